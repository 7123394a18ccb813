//! What TLS showed: until when the certificates of the last run are good, and whose they are where something was kept of that.

use maud::{Markup, html};

use crate::domain::outcome::{Run, StepOutcome};
use crate::domain::time::{Timestamp, between, words};
use crate::ports::KeptBundle;
use crate::web::marks::{Tone, mark};
use crate::web::view::{LINE_MAX, View};

/// How many steps and certificates are told.
const TOLD_MAX: usize = 8;

/// The card; nothing where no certificate was seen. Whose they are is kept of bad runs only.
pub fn certificates(view: &View<'_>, last: Option<&Run>, kept: Option<&KeptBundle>) -> Markup {
    let steps = last.map_or(&[][..], |run| run.steps.as_slice());
    let ends = |step: &StepOutcome| Some((step.name.clone(), step.certificate_expires?));
    let ends: Vec<_> = steps.iter().filter_map(ends).take(TOLD_MAX).collect();
    let exchanges = kept.iter().flat_map(|kept| &kept.bundle.steps).flat_map(|step| &step.exchanges);
    let mut shown: Vec<&str> = exchanges.flat_map(|exchange| &exchange.certificates).map(String::as_str).collect();
    shown.dedup();
    if ends.is_empty() && shown.is_empty() {
        return html! {};
    }
    html! {
        section .card .pad {
            h2 { "Certificate" }
            @if !ends.is_empty() {
                dl {
                    @for (step, at) in &ends {
                        dt { (step) }
                        dd { (left(view.now, *at)) " " span .dim { (view.instant(*at)) } }
                    }
                }
                p .dim { "When the first of the chain ends that the last run saw." }
            }
            @if let (Some(kept), false) = (kept, shown.is_empty()) {
                h3 { "as the bad run of " (view.instant(kept.started_at)) " saw it" }
                ul .said { @for line in shown.iter().take(TOLD_MAX) { li .m { (view.text(line, LINE_MAX * 2)) } } }
            }
        }
    }
}

/// How long it is still good.
pub fn left(now: Timestamp, at: Timestamp) -> Markup {
    html! {
        @if at <= now { (mark(Tone::Bad, "ended")) " " (words(between(at, now))) " ago" }
        @else { "ends in " (words(between(now, at))) }
    }
}
