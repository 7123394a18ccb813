//! What a bad run left: for each step what went to the target and what came back, where the time went, the certificates,
//! the assertions with their values, and the command that repeats it. All of it is text of a target.

use maud::{Markup, html};

use super::chart::{LEGEND, waterfall};
use super::marks::{Tone, glyph};
use super::units::latency;
use super::view::{LINE_MAX, VALUE_MAX, View};
use crate::domain::exchange::{Assertion, Bundle, Captured, Exchange, StepRecord};
use crate::domain::outcome::{Phases, RunId};
use crate::ports::{IncidentStory, KeptBundle};

/// The longest text of an exchange. It was cut when it was kept, so this cuts nothing of ours again.
const EXCHANGE_MAX: usize = 8_192;

/// Two bad runs of an incident, the first and the latest, or the one that is both.
pub fn evidence(view: &View<'_>, story: &IncidentStory) -> Markup {
    let heading = |kept: &KeptBundle| {
        if kept.run == story.incident.opening_run { "The run that opened it" } else { "The latest bad run" }
    };
    html! {
        @for kept in &story.bundles {
            section .card .pad .run {
                h2 { (heading(kept)) small { (view.instant(kept.started_at)) } }
                (bundle(view, &kept.bundle))
                (leads_to(&kept.run))
            }
        }
    }
}

/// The way from the page of an incident to a run.
pub fn leads_to(run: &RunId) -> Markup {
    html! { p .dim .of-run { "run " a href={ "../runs/" (run) } { code { (run) } } } }
}

/// What a run left, step by step.
pub fn bundle(view: &View<'_>, bundle: &Bundle) -> Markup {
    let Bundle { steps, left_out } = bundle;
    html! {
        @if *left_out > 0 { p .dim { (left_out) " earlier exchanges had no room" } }
        @for (index, one) in steps.iter().enumerate() {
            // The last step is the one that failed; what came before it is there for who asks.
            details open[index + 1 == steps.len()] {
                summary { b { (one.name) } @let took = took_ms(one); @if took > 0.0 { " " span .dim { (latency(took)) } } }
                (record(view, one))
            }
        }
    }
}

fn took_ms(step: &StepRecord) -> f64 {
    step.exchanges.iter().map(|exchange| exchange.phases.total_ms).sum()
}

/// What one step said: its assertions, what it exchanged, what it captured.
pub fn record(view: &View<'_>, step: &StepRecord) -> Markup {
    let StepRecord { exchanges, assertions, captures, .. } = step;
    let end_ms = took_ms(step);
    let begins = exchanges.iter().scan(0.0, |sum, exchange| {
        let begin = *sum;
        *sum += exchange.phases.total_ms;
        Some(begin)
    });
    html! {
        @if !assertions.is_empty() { ul .said { @for assertion in assertions { li { (asserted(view, assertion)) } } } }
        @if exchanges.is_empty() { p .dim { "nothing was exchanged" } }
        @for (one, begin) in exchanges.iter().zip(begins) { (exchange(view, one, begin, end_ms)) }
        @for Captured { name, characters } in captures {
            p .dim { "captured " code { (name) } ", " (characters) " characters" }
        }
    }
}

fn exchange(view: &View<'_>, exchange: &Exchange, begin_ms: f64, end_ms: f64) -> Markup {
    let Exchange { remote, sent, received, certificates, command, phases } = exchange;
    html! {
        @if end_ms > 0.0 {
            (waterfall(phases, begin_ms, end_ms))
            ul .key {
                @for ((word, class), ms) in parts(phases) { li { i .(class) {} (word) " " (latency(ms)) } }
                @if let Some(remote) = remote { li .m { (view.text(remote, LINE_MAX)) } }
            }
        }
        @if !sent.is_empty() { h3 { "sent" } pre { (view.lines(sent, EXCHANGE_MAX)) } }
        @if !received.is_empty() { h3 { "received" } pre { (view.lines(received, EXCHANGE_MAX)) } }
        @if !certificates.is_empty() {
            h3 { "certificates" }
            ul .said { @for certificate in certificates { li .m { (view.text(certificate, LINE_MAX * 2)) } } }
        }
        @if let Some(command) = command { h3 { "to repeat it" } pre .cmd { (view.lines(command, EXCHANGE_MAX)) } }
    }
}

fn parts(phases: &Phases) -> impl Iterator<Item = ((&'static str, &'static str), f64)> {
    LEGEND.into_iter().zip(phases.parts()).filter_map(|(legend, (_, ms))| Some((legend, ms?)))
}

fn asserted(view: &View<'_>, assertion: &Assertion) -> Markup {
    let Assertion { held, warns, explanation } = assertion;
    let (tone, word) = match (held, warns) {
        (true, _) => (Tone::Well, "held"),
        (false, true) => (Tone::Warn, "warns"),
        (false, false) => (Tone::Bad, "did not hold"),
    };
    html! {
        span .v .(tone.class()) { (glyph(tone)) (word) }
        span {
            code { (view.text(&explanation.expression, VALUE_MAX)) }
            @if let Some(reason) = &explanation.reason { span .dim { (view.text(reason, VALUE_MAX)) } }
            @for part in &explanation.parts {
                span .dim { code { (view.text(&part.expression, LINE_MAX)) } " was " code { (view.text(&part.value, VALUE_MAX)) } }
            }
        }
    }
}
