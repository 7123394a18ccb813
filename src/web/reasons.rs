//! Why a run failed: what was expected beside what came, in the words of the configuration, with the parts of the
//! assertion.

use maud::{Markup, html};

use super::marks::Tone;
use super::view::{LINE_MAX, VALUE_MAX, View};
use crate::domain::outcome::Failure;

/// How many failures of a run a page spells out.
const FAILURES_MAX: usize = 20;

/// The first failure in one line, and how many more there are.
pub fn line(view: &View<'_>, failures: &[Failure]) -> Option<Markup> {
    let first = failures.first()?;
    let more = failures.len() - 1;
    Some(html! { (short(view, first)) @if more > 0 { " (and " (more) " more)" } })
}

/// The assertion of a failure, where it is one.
pub fn assertion(view: &View<'_>, failure: &Failure) -> Option<String> {
    failure.explanation.as_ref().map(|explanation| view.text(&explanation.expression, LINE_MAX))
}

/// A failure in one line: of an assertion its parts, of anything else its kind and its message.
pub fn short(view: &View<'_>, failure: &Failure) -> Markup {
    html! {
        @if let Some(step) = &failure.step { (step) ": " }
        @match &failure.explanation {
            Some(explanation) if !explanation.parts.is_empty() => {
                @if let Some(reason) = &explanation.reason { (view.text(reason, LINE_MAX)) "; " }
                @for (index, part) in explanation.parts.iter().enumerate() {
                    @if index > 0 { ", " }
                    code { (view.text(&part.expression, LINE_MAX)) } " was " code { (view.text(&part.value, LINE_MAX)) }
                }
            }
            Some(_) => { (prose(view, &failure.message, LINE_MAX)) }
            None => { code { (failure.kind) } " " (prose(view, &failure.message, LINE_MAX)) }
        }
    }
}

/// A sentence of ours in which what stands between backticks is code, drawn as such. Text of a target in it may have backticks of
/// its own, and gains nothing else by them.
pub fn prose(view: &View<'_>, text: &str, most: usize) -> Markup {
    let text = view.text(text, most);
    let parts: Vec<&str> = text.split('`').collect();
    html! {
        @for (index, part) in parts.iter().enumerate() {
            @if index % 2 == 0 { (part) }
            @else if part.is_empty() || index + 1 == parts.len() {
                "`" (part) @if index + 1 < parts.len() { "`" }
            }
            @else { code { (part) } }
        }
    }
}

/// Every failure, with its two sides.
pub fn sides(view: &View<'_>, tone: Tone, failures: &[Failure]) -> Markup {
    html! {
        @for failure in failures.iter().take(FAILURES_MAX) { (one(view, tone, failure)) }
        @if failures.len() > FAILURES_MAX { p .dim { "and " (failures.len() - FAILURES_MAX) " more" } }
    }
}

fn one(view: &View<'_>, tone: Tone, failure: &Failure) -> Markup {
    let explanation = failure.explanation.as_ref();
    let parts = explanation.map_or(&[][..], |explanation| explanation.parts.as_slice());
    let reason = explanation.and_then(|explanation| explanation.reason.as_deref());
    let has_sides = failure.expected.is_some() || failure.actual.is_some() || !parts.is_empty();
    html! {
        div .why .(tone.class()) {
            @if let Some(step) = &failure.step { p .dim { "step " b { (step) } } }
            @if !has_sides || explanation.is_none() {
                p { code { (failure.kind) } " " (prose(view, &failure.message, VALUE_MAX)) }
            }
            @if has_sides {
                div .sides {
                    div {
                        h3 { "expected" }
                        p { code { (failure.expected.as_deref().map_or("–".to_owned(), |text| view.text(text, VALUE_MAX))) } }
                    }
                    div {
                        h3 { "actual" }
                        @if let Some(reason) = reason { p { (view.text(reason, VALUE_MAX)) } }
                        @if let Some(actual) = &failure.actual { p { code { (view.text(actual, VALUE_MAX)) } } }
                        @for part in parts {
                            p { code { (view.text(&part.expression, VALUE_MAX)) " = " b { (view.text(&part.value, VALUE_MAX)) } } }
                        }
                        @if parts.is_empty() && reason.is_none() && failure.actual.is_none() { p { "–" } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::tests::fixture::{plan, view};

    #[test]
    fn what_stands_between_backticks_is_code_and_nothing_else_is_anything() {
        let plan = plan();
        let drawn = |text: &str| prose(&view(&plan), text, 100).0;
        for (text, html) in [
            ("plain", "plain"),
            ("`a.b` was `\"<b>\"`", "<code>a.b</code> was <code>&quot;&lt;b&gt;&quot;</code>"),
            ("one ` alone", "one ` alone"),
            ("`a` and `b", "<code>a</code> and `b"),
            ("``", "``"),
            ("the secret `hunter2` is gone", "the secret <code>•••</code> is gone"),
        ] {
            assert_eq!(drawn(text), html, "{text}");
        }
    }
}
