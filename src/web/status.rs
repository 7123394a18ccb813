//! The status page: how things are, what is wrong, then every tier with its probes.

use maud::{Markup, html};

use super::board::{Board, ROWS_MAX, Row, Standing, Tier};
use super::chart;
use super::frame::{Frame, Place, REFRESH_SECONDS, page};
use super::headline::Headline;
use super::marks::{Tone, mark};
use super::reasons;
use super::units::{count, counted, latency, list};
use super::view::{LINE_MAX, View};
use crate::domain::incident::Incident;
use crate::domain::judge::Aspect;
use crate::domain::names::{ChannelName, ProbeName};
use crate::domain::outcome::{SlotOutcome, Verdict};
use crate::domain::time::{between, milliseconds, words};
use crate::ports::Overview;

/// How many open incidents the page spells out.
const INCIDENTS_MAX: usize = 50;

/// The page.
pub fn status(view: &View<'_>, overview: &Overview) -> Markup {
    let board = Board::new(view, overview);
    let headline = Headline::new(view, overview, &board);
    let debts = overview.debts.iter().map(|(probe, runs)| format!("{} of {probe}", counted(*runs, "run")));
    let debts: Vec<_> = debts.collect();
    let main = html! {
        h1 { span .(headline.tone.class()) { (headline.accent) } (headline.rest) }
        p .lede { (headline.lede) }
        @if !overview.open.is_empty() {
            section .incidents aria-label="open incidents" {
                @for incident in overview.open.iter().take(INCIDENTS_MAX) { (open(view, incident)) }
                @if overview.open.len() > INCIDENTS_MAX {
                    p .dim { "and " (counted((overview.open.len() - INCIDENTS_MAX) as u64, "incident")) " more" }
                }
            }
        }
        @for tier in &board.tiers { (drawn_tier(view, tier)) }
        @if !debts.is_empty() { p .dim { "Still to be cleaned up: " (list(debts.iter().map(String::as_str))) "." } }
        @for silence in overview.silences.iter().filter(|silence| silence.is_active(view.now)) {
            p .dim {
                "Silenced until " (view.instant(silence.until)) " by " (view.text(&silence.by, 60)) ": "
                (view.text(&silence.matchers.to_string(), LINE_MAX)) " – " (view.text(&silence.reason, LINE_MAX))
            }
        }
        @for pause in overview.pauses.iter().filter(|pause| pause.is_active(view.now)) {
            p .dim {
                "Paused "
                @match pause.until {
                    Some(until) => { "until " (view.instant(until)) }
                    None => { "until somebody resumes" }
                }
                " by " (view.text(&pause.by, 60)) ": "
                (view.text(&pause.what.to_string(), LINE_MAX)) " – " (view.text(&pause.reason, LINE_MAX))
            }
        }
        @if !overview.resolved.is_empty() {
            section {
                div .tier { h2 { "Resolved lately" } }
                ul .past .card { @for incident in &overview.resolved { (resolved(view, incident)) } }
            }
        }
    };
    let refresh = Some(REFRESH_SECONDS);
    page(view, &Frame { place: Place::Status, title: &headline.title, tone: headline.tone, refresh, main })
}

/// The page while the state is not loaded yet.
pub fn starting(view: &View<'_>, place: Place) -> Markup {
    let main = html! {
        h1 { span .unk { "Roundsman is starting." } }
        p .lede { "It loads its state; " (counted(view.plan.probes.len() as u64, "probe")) " and "
            (counted(view.plan.schedules.len() as u64, "schedule")) " are planned." }
    };
    page(view, &Frame { place, title: "Starting", tone: Tone::Unknown, refresh: Some(2), main })
}

/// The page when the store cannot be read; `place` is where the reader wanted to go.
pub fn unreadable(view: &View<'_>, place: Place, reason: &str) -> Markup {
    let main = html! {
        h1 { span .bad { "The store cannot be read." } " Probing goes on." }
        p .lede { (view.text(reason, LINE_MAX)) }
    };
    let refresh = Some(REFRESH_SECONDS);
    page(view, &Frame { place, title: "Store unreadable", tone: Tone::Bad, refresh, main })
}

fn open(view: &View<'_>, incident: &Incident) -> Markup {
    html! {
        article .card .inc {
            span .sev { (incident.severity) }
            p .what {
                a href={ "incidents/" (incident.id) } {
                    b { (incident.what()) }
                }
            }
            p .t { "since " (view.instant(incident.since)) " (" (words(between(incident.since, view.now))) ")" }
            @for failure in incident.latest_failures.iter().take(2) {
                p .m {
                    @if let Some(assertion) = reasons::assertion(view, failure) { code { (assertion) } " – " }
                    (reasons::short(view, failure))
                }
            }
            p .t {
                @if let Some(reason) = &incident.quiet { "muted: " (view.text(&reason.to_string(), LINE_MAX)) }
                @else if incident.told.is_empty() { "nobody to tell" }
                @else { "message to " (list(incident.told.iter().map(ChannelName::as_str))) }
                @if let Some(taken) = &incident.acknowledged { " · taken on by " (view.text(&taken.to_string(), LINE_MAX)) }
                @if let Some(runbook) = super::runbook::link(view, incident) { " · " (runbook) }
            }
        }
    }
}

fn resolved(view: &View<'_>, incident: &Incident) -> Markup {
    let Some(over) = incident.resolved_at else { return html! {} };
    html! {
        li {
            (mark(Tone::Well, "resolved"))
            a .n href={ "incidents/" (incident.id) } {
                b { (incident.probe) }
                span {
                    (incident.severity)
                    @match incident.aspect {
                        Aspect::Failing => ", failing for ",
                        Aspect::Degraded => ", degraded for ",
                        Aspect::Blind => ", not seen for ",
                        Aspect::NoNetwork => ", without a network for ",
                        Aspect::Unrecorded => ", not written down for ",
                        Aspect::StateLost => ", state lost, told for ",
                        Aspect::Burning => ", burned its budget for ",
                    }
                    (words(between(incident.since, over)))
                    @if let Some(why) = &incident.resolved_because { " · " (view.text(why, LINE_MAX)) }
                }
            }
            div .num { span { (view.instant(over)) } span { (view.ago(over)) } }
        }
    }
}

fn drawn_tier(view: &View<'_>, tier: &Tier<'_>) -> Markup {
    let shown = tier.rows.len().min(ROWS_MAX);
    let left_out = &tier.rows[shown..];
    html! {
        section {
            div .tier {
                h2 { (tier.schedule.name) small { (tier.schedule.cadence) } }
                span .r { (accounts(view, tier)) }
            }
            @if shown > 0 {
                ul .rows .card { @for row in &tier.rows[..shown] { (drawn_row(view, tier, row)) } }
            } @else {
                p .dim { "no probe in this schedule" }
            }
            @if let Some(first) = left_out.first() {
                p .dim {
                    "and " (counted(left_out.len() as u64, "probe")) " more, "
                    @if first.standing == Standing::Passed { "all passed" } @else { "the worst of them " (first.standing.word()) }
                }
            }
        }
    }
}

/// `next slot in 12 s · at most 4 ms late · 2,880 of 2,881 slots ran, 1 skipped`.
fn accounts(view: &View<'_>, tier: &Tier<'_>) -> String {
    let mut parts: Vec<String> = tier.next.map(|at| format!("next slot {}", view.ahead(at))).into_iter().collect();
    if let Some(lateness) = tier.lateness {
        parts.push(format!("at most {} late", latency(milliseconds(lateness))));
    }
    let all: u64 = tier.slots.values().sum();
    if all > 0 {
        let of = |outcome: SlotOutcome| tier.slots.get(&outcome).copied().unwrap_or(0);
        let mut text = format!("{} of {} ran", count(of(SlotOutcome::Ran)), counted(all, "slot"));
        for outcome in SlotOutcome::ALL.into_iter().filter(|outcome| *outcome != SlotOutcome::Ran && of(*outcome) > 0) {
            text = format!("{text}, {} {}", count(of(outcome)), outcome.as_str());
        }
        parts.push(text);
    }
    parts.join(" · ")
}

fn drawn_row(view: &View<'_>, tier: &Tier<'_>, row: &Row<'_>) -> Markup {
    let name = html! { b { (row.probe.name) } (about(view, row)) };
    html! {
        li {
            span .vv { (mark(row.standing.tone(), row.standing.word())) }
            @if let Some(incident) = row.incident {
                a .n href={ "incidents/" (incident.id) } { (name) }
            } @else {
                div .n { (name) }
            }
            div .hist { (chart::strip(row.hour, view.now)) }
            div .spark { (chart::line(row.hour, tier.period, view.now)) }
            div .num { (numbers(view, tier, row)) }
        }
    }
}

/// The latency of the last run and of the hour, and the last run's age.
fn numbers(view: &View<'_>, tier: &Tier<'_>, row: &Row<'_>) -> Markup {
    let Some(run) = row.last else {
        let next = tier.next.map_or("no slot ahead".to_owned(), |at| format!("first slot {}", view.ahead(at)));
        return html! { span { (next) } };
    };
    html! {
        span {
            @if matches!(row.standing, Standing::Inconclusive | Standing::Skipped) { b { "–" } }
            @else { b { (latency(milliseconds(run.duration))) } }
            @if let Some(p95) = chart::p95(row.hour) { " p95 " (latency(p95)) }
        }
        span { (view.ago(run.started_at)) }
    }
}

/// What the probe is, why its last run was not passed, and why nobody is told.
fn about(view: &View<'_>, row: &Row<'_>) -> Markup {
    let service = row.probe.labels.get("service").map(|service| format!("service {}", view.text(service, 60)));
    let steps = match row.probe.steps.as_slice() {
        [only] => only.kind.to_owned(),
        steps => counted(steps.len() as u64, "step"),
    };
    let needs = match row.probe.needs.as_slice() {
        [] => None,
        needs => Some(format!("needs {}", list(needs.iter().map(ProbeName::as_str)))),
    };
    let plain: Vec<_> = service.into_iter().chain([steps]).chain(needs).collect();
    let why = row.last.and_then(|run| match &run.verdict {
        Verdict::Inconclusive(cause) => Some(html! { (view.text(&cause.to_string(), LINE_MAX)) }),
        verdict => reasons::line(view, verdict.failures()),
    });
    // An incident stands on top of the page with all of it; without one the row says what was wanted.
    let failure = row.last.and_then(|run| run.verdict.failures().first());
    let wanted = failure.filter(|_| row.incident.is_none()).and_then(|failure| reasons::assertion(view, failure));
    let muted = row.incident.and_then(|incident| incident.quiet.as_ref());
    html! {
        span { (plain.join(" · ")) }
        @if let Some(why) = why {
            span .reason .(row.standing.tone().class()) {
                (why)
                @if let Some(wanted) = wanted { ", wanted " code { (wanted) } }
            }
        }
        @if let Some(reason) = muted { span { "muted: " (view.text(&reason.to_string(), LINE_MAX)) } }
    }
}
