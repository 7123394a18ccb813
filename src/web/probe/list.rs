//! Runs in lines, the latest first: how each ended, why in short, how long it took and how late it began.

use maud::{Markup, html};

use super::window::Asked;
use crate::domain::history::RunsFound;
use crate::domain::names::ScheduleName;
use crate::domain::outcome::{Extra, Run, Verdict};
use crate::domain::time::milliseconds;
use crate::web::marks::{Tone, mark};
use crate::web::reasons;
use crate::web::units::latency;
use crate::web::view::{LINE_MAX, View};

/// How many runs a part of the list has.
pub const RUNS_MAX: usize = 25;

/// The list, with the way to those before it and to those that did not pass.
pub fn list(view: &View<'_>, asked: &Asked, found: &RunsFound) -> Markup {
    let only_bad = Asked { bad: !asked.bad, before: None, ..asked.clone() };
    html! {
        section .card .pad .runs-card id="runs" {
            h2 { @if asked.bad { "Runs that did not pass" } @else { "Runs" } }
            p .choice {
                a href={ (only_bad.href()) "#runs" } { @if asked.bad { "All runs" } @else { "Only those that did not pass" } }
                @if asked.before.is_some() {
                    @let first = Asked { before: None, ..asked.clone() };
                    " · " a href={ (first.href()) "#runs" } { "The latest" }
                }
            }
            @if found.runs.is_empty() {
                p .dim { @if asked.bad { "None that did not pass is on record here." } @else { "No run is on record here." } }
            } @else {
                ul .runs { @for run in &found.runs { li { (line(view, run)) } } }
            }
            @if let (true, Some(last)) = (found.more, found.runs.last()) {
                @let earlier = Asked { before: Some(last.started_at), ..asked.clone() };
                p .choice { a href={ (earlier.href()) "#runs" } { "Earlier runs" } }
            }
        }
    }
}

fn line(view: &View<'_>, run: &Run) -> Markup {
    let why = match &run.verdict {
        Verdict::Inconclusive(cause) => Some(reasons::prose(view, &cause.to_string(), LINE_MAX)),
        verdict => reasons::line(view, verdict.failures()),
    };
    html! {
        (mark(Tone::of_verdict(run.verdict.word()), run.verdict.word()))
        a .n href={ "../runs/" (run.id) } {
            b { (view.instant(run.started_at)) }
            span { (on(run)) }
            @if let Some(why) = why { span .reason .(Tone::of_verdict(run.verdict.word()).class()) { (why) } }
        }
        div .num {
            span { b { (latency(milliseconds(run.duration))) } }
            span { (latency(milliseconds(run.lateness))) " late" }
        }
    }
}

/// For what it was made: `reachability`, `reachability, recheck`, `trigger`, `asked for`.
pub fn on(run: &Run) -> String {
    let parts: Vec<_> =
        run.schedule.as_ref().map(ScheduleName::as_str).into_iter().chain(run.extra.map(Extra::as_str)).collect();
    if parts.is_empty() { "asked for".to_owned() } else { parts.join(", ") }
}
