//! Where the time of a run went: each step in its place within the whole, phase by phase.

use maud::{Markup, html};

use crate::domain::outcome::{Run, StepOutcome};
use crate::web::chart::{LEGEND, waterfall};
use crate::web::marks::{Tone, glyph};
use crate::web::units::latency;

/// How many steps are drawn.
const STEPS_MAX: usize = 60;

/// The waterfall, with the key of its colours.
pub fn fall(run: &Run) -> Markup {
    let ran: Vec<&StepOutcome> = run.steps.iter().filter(|step| step.verdict.is_some()).collect();
    let end_ms = ran.iter().map(|step| step.offset_ms + step.phases.total_ms).fold(0.0, f64::max);
    let used = |index: usize| ran.iter().any(|step| step.phases.parts()[index].1.is_some());
    if ran.is_empty() || end_ms <= 0.0 {
        return html! { p .dim { "no step took any time" } };
    }
    html! {
        ol .falls {
            @for step in ran.iter().take(STEPS_MAX) {
                @let tone = tone(step);
                li {
                    span .step {
                        @if tone != Tone::Well { (glyph(tone)) " " }
                        @if step.cleanup { span .dim { "cleanup: " } }
                        (step.name)
                    }
                    (waterfall(&step.phases, step.offset_ms, end_ms))
                    span .took { (latency(step.phases.total_ms)) }
                }
            }
        }
        @if ran.len() > STEPS_MAX { p .dim { "and " (ran.len() - STEPS_MAX) " more steps" } }
        ul .key {
            @for (index, (word, class)) in LEGEND.into_iter().enumerate() {
                @if used(index) { li { i .(class) {} (word) } }
            }
        }
    }
}

/// The accent of what became of a step.
pub fn tone(step: &StepOutcome) -> Tone {
    step.verdict.as_ref().map_or(Tone::Unknown, |verdict| Tone::of_verdict(verdict.word()))
}
