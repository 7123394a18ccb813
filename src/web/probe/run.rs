//! The page of a run: what came of it and why, where its time went, and each step with what it exchanged.

use maud::{Markup, html};

use super::certificates::left;
use super::fall::{fall, tone};
use super::list::on;
use crate::domain::exchange::Bundle;
use crate::domain::outcome::{Case, Failure, Run, RunId, StepOutcome, Verdict};
use crate::domain::time::{clock, milliseconds, words};
use crate::ports::RunStory;
use crate::web::chart::LEGEND;
use crate::web::evidence::record;
use crate::web::frame::{Frame, Place, page};
use crate::web::marks::{Tone, glyph, mark};
use crate::web::reasons;
use crate::web::units::latency;
use crate::web::view::{LINE_MAX, VALUE_MAX, View};

/// How many steps are spelled out, and how many test cases of each.
const STEPS_MAX: usize = 60;
const CASES_MAX: usize = 200;

/// The page, with the runs of the same probe before and after it.
pub fn run(view: &View<'_>, story: &RunStory, before: Option<&RunId>, after: Option<&RunId>) -> Markup {
    let RunStory { run, bundle } = story;
    let tone = Tone::of_verdict(run.verdict.word());
    let kept = bundle.as_ref().map(|kept| &*kept.bundle);
    let incident = bundle.as_ref().and_then(|kept| kept.incident.as_ref());
    let main = html! {
        h1 { (run.probe) " " span .(tone.class()) { (verb(&run.verdict)) } }
        p .lede { "At " (clock(run.started_at)) " (" (view.ago(run.started_at)) "), after " (latency(milliseconds(run.duration))) "." }
        p .runbook {
            a .btn href={ "../probes/" (run.probe) } { "The probe" } " "
            @if let Some(incident) = incident { a .btn href={ "../incidents/" (incident) } { "The incident" } " " }
            @if let Some(before) = before { a .btn rel="prev" href=(before) { "← The run before" } " " }
            @if let Some(after) = after { a .btn rel="next" href=(after) { "The run after →" } }
        }
        div .two {
            div {
                (why(view, run))
                section .card .pad { h2 { "Where the time went" } (fall(run)) }
                (steps(view, run, kept))
            }
            div { section .card .pad { h2 { "In short" } (in_short(view, story)) } }
        }
    };
    let title = format!("{} {}", run.probe, verb(&run.verdict));
    page(view, &Frame { place: Place::Run, title: &title, tone, refresh: None, main })
}

/// The page for an id that no run has.
pub fn unknown(view: &View<'_>) -> Markup {
    let main = html! {
        h1 { "There is no such run." }
        p .lede { "It may have been erased: runs are kept for " (words(view.plan.retention)) "." }
    };
    page(view, &Frame { place: Place::Run, title: "No such run", tone: Tone::Unknown, refresh: None, main })
}

fn verb(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Degraded(_) => "was degraded",
        Verdict::Failed(_) => "failed",
        Verdict::Inconclusive(_) => "could not be seen",
    }
}

/// Why it did not pass.
fn why(view: &View<'_>, run: &Run) -> Markup {
    let failures = run.verdict.failures();
    html! {
        @if !failures.is_empty() {
            section .card .pad {
                h2 { @if matches!(run.verdict, Verdict::Inconclusive(_)) { "Why we could not look" } @else { "What is wrong" } }
                (reasons::sides(view, Tone::of_verdict(run.verdict.word()), failures))
            }
        } @else if let Verdict::Inconclusive(cause) = &run.verdict {
            section .card .pad { h2 { "Why we could not look" } p { (view.text(&cause.to_string(), LINE_MAX)) } }
        }
    }
}

fn steps(view: &View<'_>, run: &Run, kept: Option<&Bundle>) -> Markup {
    html! {
        section .card .pad .run {
            h2 { "Its steps" }
            @match kept {
                Some(bundle) if bundle.left_out > 0 => { p .dim { (bundle.left_out) " earlier exchanges had no room" } }
                Some(_) => {}
                None if matches!(run.verdict, Verdict::Failed(_) | Verdict::Inconclusive(_)) => {
                    p .dim { "What it exchanged is not kept any more: of each probe the last bad runs are, and of each incident the first and the latest." }
                }
                None => { p .dim { "What was exchanged is kept of runs that failed, and not of this one." } }
            }
            @for one in run.steps.iter().take(STEPS_MAX) { (step(view, run, one, kept)) }
            @if run.steps.len() > STEPS_MAX { p .dim { "and " (run.steps.len() - STEPS_MAX) " more steps" } }
            @if run.steps.is_empty() { p .dim { "It did not come to any step." } }
        }
    }
}

fn step(view: &View<'_>, run: &Run, step: &StepOutcome, kept: Option<&Bundle>) -> Markup {
    let record_of_it = kept.and_then(|bundle| bundle.steps.iter().find(|record| record.name == step.name));
    let is_bad = !matches!(step.verdict, Some(Verdict::Passed) | None);
    // What made the run bad stands on top; a warning of a step that another one's failure outweighs only here.
    let is_told = |failure: &&Failure| {
        let same = |told: &Failure| told.kind == failure.kind && told.message == failure.message;
        !run.verdict.failures().iter().any(same)
    };
    let failures = step.verdict.as_ref().map_or(&[][..], Verdict::failures);
    let failures: Vec<Failure> = failures.iter().filter(is_told).cloned().collect();
    html! {
        details open[is_bad] {
            summary {
                @match &step.verdict {
                    Some(verdict) => { (mark(tone(step), verdict.word())) }
                    None => { (mark(Tone::Unknown, "skipped")) }
                }
                " " b { @if step.cleanup { "cleanup: " } (step.name) } " "
                span .dim {
                    (view.text(&step.kind, 60))
                    @if step.verdict.is_some() { ", " (latency(step.phases.total_ms)) }
                    @if let Some(status) = step.status { ", status " (status) }
                }
            }
            (reasons::sides(view, tone(step), &failures))
            @if record_of_it.is_none() {
                ul .key {
                    @for ((word, class), (_, ms)) in LEGEND.into_iter().zip(step.phases.parts()) {
                        @if let Some(ms) = ms { li { i .(class) {} (word) " " (latency(ms)) } }
                    }
                }
            }
            @if let Some(version) = &step.version { p .dim { "version " code { (view.text(version, LINE_MAX)) } } }
            @if let Some(at) = step.certificate_expires { p .dim { "certificate " (left(view.now, at)) ", " (view.instant(at)) } }
            @if let Some(late) = step.late_ms {
                p .dim { "Roundsman itself stood still for " (latency(late)) " of it: its times may be too long by as much" }
            }
            (cases(view, &step.cases))
            @if let Some(kept) = record_of_it { (record(view, kept)) }
        }
    }
}

/// What a test runner said, those that are bad first.
fn cases(view: &View<'_>, cases: &[Case]) -> Markup {
    let tone = |case: &Case| case.verdict.as_ref().map_or(Tone::Unknown, |verdict| Tone::of_verdict(verdict.word()));
    let mut sorted: Vec<&Case> = cases.iter().collect();
    sorted.sort_by_key(|case| matches!(case.verdict, Some(Verdict::Passed) | None));
    html! {
        @if !sorted.is_empty() {
            h3 { "test cases" }
            ul .said {
                @for case in sorted.iter().take(CASES_MAX) {
                    li {
                        span .v .(tone(case).class()) {
                            (glyph(tone(case))) (case.verdict.as_ref().map_or("skipped", Verdict::word))
                        }
                        span {
                            (view.text(&case.name, LINE_MAX)) " " span .dim { (latency(case.took_ms)) }
                            @if let Some(verdict) = &case.verdict {
                                @for failure in verdict.failures().iter().take(1) { span .dim { (view.text(&failure.message, VALUE_MAX)) } }
                            }
                        }
                    }
                }
            }
            @if sorted.len() > CASES_MAX { p .dim { "and " (sorted.len() - CASES_MAX) " more" } }
        }
    }
}

fn in_short(view: &View<'_>, RunStory { run, bundle }: &RunStory) -> Markup {
    let incident = bundle.as_ref().and_then(|kept| kept.incident.as_ref());
    let exactly = |at| view.exactly(at);
    html! {
        dl {
            dt { "verdict" } dd { (mark(Tone::of_verdict(run.verdict.word()), run.verdict.word())) }
            dt { "probe" } dd { a href={ "../probes/" (run.probe) } { (run.probe) } }
            dt { "made for" }
            dd {
                @if let Some(schedule) = &run.schedule {
                    a href={ "../probes/" (run.probe) "?schedule=" (schedule) } { (on(run)) }
                } @else { (on(run)) }
            }
            dt { @if run.extra.is_some() || run.schedule.is_none() { "wanted at" } @else { "slot" } } dd { (exactly(run.slot)) }
            dt { "due" } dd { (exactly(run.due_at)) }
            dt { "started" } dd { (exactly(run.started_at)) }
            dt { "late by" } dd { (latency(milliseconds(run.lateness))) }
            dt { "took" } dd { (latency(milliseconds(run.duration))) }
            dt { "location" } dd { (view.text(&run.location, 60)) }
            @if let Some(incident) = incident { dt { "incident" } dd { a href={ "../incidents/" (incident) } { code { (incident) } } } }
            dt { "run" } dd { code { (run.id) } }
        }
        p .dim { "Times are UTC. What it took is of its steps, without its cleanup and without waiting for a permit." }
    }
}
