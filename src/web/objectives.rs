//! The objectives: what was promised of the runs of many days, what was measured, and what is left of the error budget; the
//! worst first.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::fold::{cell, table, text};
use super::frame::{Frame, Place, page};
use super::marks::{Tone, mark};
use super::routes::Room;
use super::units::{count, counted};
use super::view::{LINE_MAX, View};
use super::visit::Visit;
use crate::domain::objective::{Goal, Judgement, Standing, Standings, upper_bound};
use crate::domain::text::{percent, times};
use crate::domain::time::{Length, words};

/// How many are spelled out.
const ROWS_MAX: usize = 200;

/// They are looked at once a minute.
const REFRESH: u32 = 60;

/// The page.
pub async fn objectives_page(State(room): State<Arc<Room>>, visit: Visit) -> Response {
    let found = async { room.web.desk.standings() };
    room.shown(&visit, Place::Objectives, found, |view, standings| objectives(view, standings)).await
}

/// The page of how they stand.
pub fn objectives(view: &View<'_>, standings: &Standings) -> Markup {
    let mut worst: Vec<&Standing> = standings.standings.iter().collect();
    worst.sort_by(|one, other| by_trouble(one, other));
    let (tone, accent, rest) = headline(&worst, standings.at.is_some());
    let rows: Vec<_> = worst.iter().take(ROWS_MAX).map(|standing| row(view, standing)).collect();
    let main = html! {
        h1 { span .(tone.class()) { (accent) } (rest) }
        p .lede {
            @if let Some(at) = standings.at { "Looked at " (view.ago(at)) ", at " (view.instant(at)) "." }
            @else { "Once a minute it is looked how they stand; that has not been done yet." }
        }
        @if !rows.is_empty() {
            (table("objectives", &["objective", "verdict", "measured", "budget left", "burn rate", "runs out"], &rows))
            @if worst.len() > rows.len() { p .dim { "and " (counted((worst.len() - rows.len()) as u64, "objective")) " more, none of them worse" } }
            p .dim .note {
                "The burn rate says how many times too quickly the error budget went, over the last hour, six hours and three days: at 1 \
                 it is gone by the end of the window."
            }
        } @else if standings.at.is_some() {
            p .dim { "Write some under " code { "objectives:" } " of a schedule." }
        }
    };
    page(view, &Frame { place: Place::Objectives, title: "Objectives", tone, refresh: Some(REFRESH), main })
}

/// Missed ones first, then by what is left of the budget.
fn by_trouble(one: &Standing, other: &Standing) -> Ordering {
    let rank = |standing: &Standing| match standing.judgement() {
        Judgement::Missed => 0,
        Judgement::NotEnoughEvidence | Judgement::Met => 1,
    };
    let of = |standing: &Standing| (standing.schedule.clone(), standing.probe.clone());
    rank(one).cmp(&rank(other)).then(left(one).total_cmp(&left(other))).then_with(|| of(one).cmp(&of(other)))
}

/// The share of the budget that is left; all of it where there is no run that could use it.
fn left(standing: &Standing) -> f64 {
    let left = standing.objective.budget(standing.count).left();
    if left.is_nan() { 1.0 } else { left }
}

fn headline(all: &[&Standing], is_looked: bool) -> (Tone, String, String) {
    let number = |judgement| all.iter().filter(|standing| standing.judgement() == judgement).count() as u64;
    let (missed, met) = (number(Judgement::Missed), number(Judgement::Met));
    let unknown = all.len() as u64 - missed - met;
    if all.is_empty() {
        let sentence = if is_looked { "No schedule has an objective." } else { "Nobody has looked yet." };
        return (Tone::Unknown, String::new(), sentence.to_owned());
    }
    let rest = match (met, unknown) {
        (met, 0) => format!("{} met", count(met)),
        (0, unknown) => format!("{} cannot be judged yet", count(unknown)),
        (met, unknown) => format!("{} met, {} cannot be judged yet", count(met), count(unknown)),
    };
    match missed {
        0 if unknown == 0 => (Tone::Well, String::new(), format!("Every objective is met: {}.", count(met))),
        0 => (Tone::Unknown, String::new(), format!("No objective is missed: {rest}.")),
        1 => (Tone::Bad, "1 objective is missed".to_owned(), format!(", {rest}.")),
        many => (Tone::Bad, format!("{} are missed", counted(many, "objective")), format!(", {rest}.")),
    }
}

fn row(view: &View<'_>, standing: &Standing) -> Markup {
    let Standing { schedule, probe, objective, count: counts, .. } = standing;
    let judgement = standing.judgement();
    let tone = match judgement {
        Judgement::Met => Tone::Well,
        Judgement::Missed => Tone::Bad,
        Judgement::NotEnoughEvidence => Tone::Unknown,
    };
    let measured = objective.goal.told(*counts).map_or_else(|| "–".to_owned(), percent);
    let within = if matches!(objective.goal, Goal::Within(..)) && counts.runs > 0 { " within it" } else { "" };
    html! {
        (cell("objective", &html! {
            span .n { a .n href={ "probes/" (probe) } { b { (probe) } } span { (view.text(&objective.text, LINE_MAX)) " · " (schedule) } }
        }))
        (cell("verdict", &html! {
            (mark(tone, judgement.as_str()))
            @if judgement == Judgement::NotEnoughEvidence { span .dim .block { (evidence(standing)) } }
        }))
        (cell("measured", &html! { b { (measured) } (within) span .dim .block { (count(counts.bad)) " bad of " (counted(counts.runs, "run")) } }))
        (cell("budget left", &budget(standing)))
        (cell("burn rate", &html! { ol .burn { @for (stretch, rate) in burn(standing) { li { span .dim { (stretch) } " " (rate) } } } }))
        (text("runs out", &runs_out(standing)))
    }
}

/// Why it cannot be told, as `roundsman slo` says it.
fn evidence(standing: &Standing) -> String {
    let (runs, needed) = (standing.count.runs, standing.objective.needed());
    if !standing.is_whole {
        return "the store is still being read".to_owned();
    }
    if runs == 0 {
        return "nothing was seen yet".to_owned();
    }
    if runs >= needed {
        return "too many are bad for these runs, not for the whole window".to_owned();
    }
    format!(
        "{} of the {} runs that it takes: for all that was seen up to {} may be bad",
        count(runs),
        count(needed),
        percent(upper_bound(standing.count))
    )
}

/// What is left, as a bar and as a number; nothing where nothing was seen.
fn budget(standing: &Standing) -> Markup {
    if standing.count.runs == 0 {
        return html! { "–" };
    }
    let left = left(standing);
    let tone = if left < 0.0 {
        Tone::Bad
    } else if left < 0.25 {
        Tone::Warn
    } else {
        Tone::Well
    };
    let width = format!("{:.1}", left.clamp(0.0, 1.0) * 100.0);
    html! {
        b { (whole_percent(left)) }
        svg .bar .(tone.class()) viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
            rect .base width="100" height="6" rx="1" {}
            rect .left width=(width) height="6" rx="1" {}
        }
    }
}

fn whole_percent(share: f64) -> String {
    format!("{:.0} %", (share * 100.0).max(-999_999.0)).replace("-0 %", "0 %")
}

fn burn(standing: &Standing) -> Vec<(&'static str, String)> {
    let rates = Standing::STRETCHES.into_iter().zip(standing.burn);
    rates.map(|(stretch, rate)| (stretch.as_str(), rate.map_or_else(|| "–".to_owned(), times))).collect()
}

/// When the budget is gone if it goes on as over the longest stretch in which it burns too quickly.
fn runs_out(standing: &Standing) -> String {
    let left = left(standing);
    if standing.burn.iter().all(Option::is_none) {
        return "–".to_owned();
    }
    if left <= 0.0 {
        return "it is gone".to_owned();
    }
    let rates = Standing::STRETCHES.into_iter().zip(standing.burn).rev();
    let Some((stretch, rate)) =
        rates.filter_map(|(stretch, rate)| Some((stretch, rate?))).find(|(_, rate)| *rate > 1.0)
    else {
        return "not at this rate".to_owned();
    };
    let until = standing.objective.over.as_secs_f64() * left / rate;
    format!("in {}, as over {}", words(Duration::from_secs_f64(until.min(1e9))), Length(stretch.length()))
}
