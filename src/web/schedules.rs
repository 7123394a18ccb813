//! The schedules: when each runs next, what became of its slots, how late its runs are, whether they have to wait, and who
//! hears of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::board::{Board, Tier};
use super::frame::{Frame, Place, REFRESH_SECONDS, page};
use super::marks::Tone;
use super::routes::Room;
use super::units::{count, counted, latency, list};
use super::view::{LINE_MAX, View};
use super::visit::Visit;
use super::{policy, quiet};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::SlotOutcome;
use crate::domain::schedule::{Cadence, Schedule};
use crate::domain::time::{Timestamp, milliseconds, words};
use crate::engine::desk::DeskError;
use crate::engine::permits::PermitsSeen;
use crate::ports::Overview;

/// How many of the next slots are told.
const NEXT_MAX: usize = 5;

/// How many schedules are spelled out.
const SCHEDULES_MAX: usize = 200;

/// How many probes of a schedule are named.
const PROBES_MAX: usize = 12;

/// How things stand, and the permits of each schedule.
pub type Found = (Arc<Overview>, BTreeMap<ScheduleName, PermitsSeen>);

/// The page.
pub async fn schedules_page(State(room): State<Arc<Room>>, visit: Visit) -> Response {
    let found = async {
        let permits = |name: &ScheduleName| Ok::<_, DeskError>((name.clone(), room.web.desk.permits(name)?));
        let permits = room.plan().schedules.keys().map(permits).collect::<Result<_, _>>()?;
        Ok((room.overview().await?, permits))
    };
    room.shown(&visit, Place::Schedules, found, schedules).await
}

/// The page of how things stand.
pub fn schedules(view: &View<'_>, (overview, permits): &Found) -> Markup {
    let board = Board::new(view, overview);
    let (tone, sentence) = headline(&board, permits);
    let main = html! {
        h1 { @if tone == Tone::Warn { span .warn { (sentence) } } @else { (sentence) } }
        p .lede { (lede(view, &board)) }
        @for tier in board.tiers.iter().take(SCHEDULES_MAX) { (drawn(view, overview, tier, permits.get(&tier.schedule.name))) }
        @if board.tiers.len() > SCHEDULES_MAX {
            p .dim { "and " (counted((board.tiers.len() - SCHEDULES_MAX) as u64, "schedule")) " more" }
        }
    };
    page(view, &Frame { place: Place::Schedules, title: "Schedules", tone, refresh: Some(REFRESH_SECONDS), main })
}

/// What keeps rounds from being made comes first.
fn headline(board: &Board<'_>, permits: &BTreeMap<ScheduleName, PermitsSeen>) -> (Tone, String) {
    let waiting: usize = permits.values().map(|seen| seen.waiting).sum();
    match (waiting, board.tiers.len() as u64) {
        (_, 0) => (Tone::Unknown, "There is no schedule.".to_owned()),
        (0, 1) => (Tone::Well, "1 schedule runs, and no run waits.".to_owned()),
        (0, many) => (Tone::Well, format!("{} run, and no run waits.", counted(many, "schedule"))),
        (1, _) => (Tone::Warn, "1 run waits for a permit.".to_owned()),
        (runs, _) => (Tone::Warn, format!("{} wait for a permit.", counted(runs as u64, "run"))),
    }
}

fn lede(view: &View<'_>, board: &Board<'_>) -> String {
    let next = board.tiers.iter().filter_map(|tier| tier.next).min();
    let next = next.map(|at| format!("The next slot is {}, at {}.", view.ahead(at), view.instant(at)));
    next.unwrap_or_else(|| "Name some in a file of schedules/.".to_owned())
}

fn drawn(view: &View<'_>, overview: &Overview, tier: &Tier<'_>, permits: Option<&PermitsSeen>) -> Markup {
    let schedule = tier.schedule;
    let quiet = kept_quiet(view, overview, schedule);
    html! {
        section .card .pad .sched id={ "schedule-" (schedule.name) } {
            h2 { (schedule.name) small { (policy::cadence(&schedule.cadence)) @if let Cadence::Cron { line, .. } = &schedule.cadence { ", " code { (line) } } } }
            @for line in quiet { p .dim { (line) } }
            dl .wide {
                dt { "next slots" } dd { ol .slots { @for slot in next(view, schedule) { li { (slot) } } } }
                dt { "slots so far" } dd { (accounts(tier)) }
                dt { "lateness" } dd { (lateness(tier)) }
                dt { "permits" } dd { (permits.map_or_else(|| "not known".to_owned(), said)) }
                dt { "time-out" } dd { (words(schedule.timeout)) " a run, where its probe does not say otherwise" }
                dt { "probes" } dd { (probes(schedule)) }
                dt { "who hears" } dd { @for sentence in alert(view, schedule) { p { (sentence) } } }
                @if !schedule.objectives.is_empty() {
                    dt { "objectives" }
                    dd { @for objective in &schedule.objectives { p { a href="objectives" { (view.text(&objective.text, LINE_MAX)) } } } }
                }
            }
        }
    }
}

/// The next slots, in UTC and where the schedule's time zone is.
fn next(view: &View<'_>, schedule: &Schedule) -> Vec<String> {
    let there = |at: Timestamp| match &schedule.cadence {
        Cadence::Cron { timezone, .. } if *timezone != chrono_tz::UTC => {
            format!(" ({})", at.with_timezone(timezone).format("%a %H:%M:%S %Z"))
        }
        _ => String::new(),
    };
    let first = schedule.cadence.next_after(view.now);
    let slots = std::iter::successors(first, |slot| schedule.cadence.next_after(*slot)).take(NEXT_MAX);
    slots.map(|at| format!("{}{}", view.instant(at), there(at))).collect()
}

/// What became of the slots: each of them is one of these.
fn accounts(tier: &Tier<'_>) -> Markup {
    let of = |outcome: SlotOutcome| tier.slots.get(&outcome).copied().unwrap_or(0);
    let all: u64 = tier.slots.values().sum();
    if all == 0 {
        return html! { "none has come" };
    }
    let parts: Vec<_> =
        SlotOutcome::ALL.into_iter().map(|outcome| format!("{} {}", count(of(outcome)), outcome.as_str())).collect();
    html! {
        (sentence(all, of(SlotOutcome::Ran)))
        p .dim { (parts.join(" + ")) " = " (count(all)) }
    }
}

fn sentence(all: u64, ran: u64) -> String {
    match all - ran {
        0 if all == 1 => "The only slot was run.".to_owned(),
        0 => format!("All {} were run.", counted(all, "slot")),
        1 => format!("1 of {} was not run.", counted(all, "slot")),
        missed => format!("{} of {} were not run.", count(missed), counted(all, "slot")),
    }
}

/// How late the last run of each probe began.
fn lateness(tier: &Tier<'_>) -> String {
    let mut last: Vec<Duration> = tier.rows.iter().filter_map(|row| row.last).map(|run| run.lateness).collect();
    last.sort_unstable();
    let rank = (last.len() * 99).div_ceil(100);
    let of = |length: Duration| latency(milliseconds(length));
    match (last.len(), last.last(), last.get(rank.saturating_sub(1))) {
        (1, Some(only), _) => format!("the last run began {} late", of(*only)),
        (runs, Some(most), Some(p99)) => {
            format!(
                "of the last runs of {} 99 % began within {}, the latest {} late",
                counted(runs as u64, "probe"),
                of(*p99),
                of(*most)
            )
        }
        _ => "nothing has run".to_owned(),
    }
}

fn said(seen: &PermitsSeen) -> String {
    let PermitsSeen { most, used, waiting } = *seen;
    let waiting = match waiting {
        0 => "no run waits".to_owned(),
        1 => "1 run waits".to_owned(),
        runs => format!("{} wait", counted(runs as u64, "run")),
    };
    format!("{} of {} in use, {waiting}", count(used as u64), count(most as u64))
}

fn probes(schedule: &Schedule) -> Markup {
    let (shown, more) = schedule.probes.split_at(schedule.probes.len().min(PROBES_MAX));
    html! {
        (count(schedule.probes.len() as u64)) ": "
        @for (index, probe) in shown.iter().enumerate() { @if index > 0 { ", " } a href={ "probes/" (probe) } { (probe) } }
        @if !more.is_empty() { " and " (count(more.len() as u64)) " more" }
    }
}

/// Who hears of it when.
fn alert(view: &View<'_>, schedule: &Schedule) -> Vec<String> {
    let mut sentences = match &schedule.alert {
        Some(alert) => policy::sentences(alert),
        None => vec!["Nobody: the schedule has no `alert`.".to_owned()],
    };
    let has_own = |name: &&ProbeName| view.plan.probes.get(*name).is_some_and(|probe| probe.alert.is_some());
    let own: Vec<_> = schedule.probes.iter().filter(has_own).map(ProbeName::as_str).collect();
    if !own.is_empty() {
        sentences.push(format!("A policy of its own: {}.", list(own.iter().copied())));
    }
    sentences
}

/// What keeps some of it quiet now.
fn kept_quiet(view: &View<'_>, overview: &Overview, schedule: &Schedule) -> Vec<Markup> {
    let probes = schedule.probes.iter().filter_map(|name| view.plan.probes.get(name));
    let rounds: Vec<_> = probes.map(|probe| (&schedule.name, &probe.name, &probe.labels)).collect();
    quiet::reasons(view, overview, &rounds)
}
