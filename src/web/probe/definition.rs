//! What a probe is: as it is written, and what that comes to.

use maud::{Markup, html};

use crate::domain::names::ProbeName;
use crate::domain::privacy::conceal;
use crate::domain::schedule::Schedule;
use crate::domain::time::words;
use crate::engine::plan::{PlannedProbe, PlannedStep};
use crate::web::view::{LINE_MAX, View};
use crate::web::{policy, runbook};

/// So much of a definition is shown, in characters.
const WRITTEN_MAX: usize = 8_192;

/// How many steps are spelled out, and how many assertions of each.
const STEPS_MAX: usize = 50;
/// How many assertions of a step are shown.
const ASSERTIONS_MAX: usize = 20;

/// The card.
pub fn definition(view: &View<'_>, probe: &PlannedProbe, schedules: &[&Schedule]) -> Markup {
    let place = view.plan.places.get(&probe.name);
    let at = place.map(|place| {
        let (line, _) = place.name.line_column();
        format!("{}:{line}", place.name.source.path.display())
    });
    html! {
        section .card .pad .definition id="definition" {
            h2 { "Its definition" @if let Some(at) = &at { small .m { (view.text(at, LINE_MAX)) } } }
            @if let Some(place) = place {
                pre { (view.lines(&as_written(place.whole.text()), WRITTEN_MAX)) }
            }
            @if let Some(each) = probe.each.as_object() {
                p .dim { "One of those that " code { "each" } " makes: "
                    @for (index, (name, value)) in each.iter().take(ASSERTIONS_MAX).enumerate() {
                        @if index > 0 { ", " }
                        code { (view.text(&format!("{name}: {}", value.as_str().unwrap_or_default()), LINE_MAX)) }
                    }
                    "."
                }
            }
            @if let Some(runbook) = &probe.runbook { p { "Runbook: " (runbook::of_probe(view, runbook)) } }
            details open[place.is_none()] {
                summary { "What it comes to" }
                dl { (in_short(view, probe, schedules)) }
                @for step in probe.steps.iter().take(STEPS_MAX) { (drawn_step(view, step, "")) }
                @for step in probe.cleanup.iter().take(STEPS_MAX) { (drawn_step(view, step, "cleanup: ")) }
                @let left_out = probe.steps.len().saturating_sub(STEPS_MAX) + probe.cleanup.len().saturating_sub(STEPS_MAX);
                @if left_out > 0 { p .dim { "and " (left_out) " more steps" } }
                @if !(probe.expect.is_empty() && probe.warn.is_empty()) {
                    h3 { "all steps together" }
                    (assertions(view, "expect", &probe.expect))
                    (assertions(view, "warn", &probe.warn))
                }
            }
        }
    }
}

/// The text without what is private by its name, unless that is a reference, which tells nothing.
fn as_written(text: &str) -> String {
    let concealed = conceal(text, |_| {});
    let line = |(written, concealed): (&str, &str)| {
        let mut is_reference = true;
        conceal(written, |private| is_reference &= is_reference_only(private));
        if is_reference { written.to_owned() } else { concealed.to_owned() }
    };
    text.lines().zip(concealed.lines()).map(line).collect::<Vec<_>>().join("\n")
}

/// Whether it is one reference or several, behind the scheme of a header perhaps.
fn is_reference_only(private: &str) -> bool {
    let private = private.trim_matches(['"', '\'', ' ']);
    let scheme = private.split_once(' ').filter(|(word, _)| matches!(*word, "Bearer" | "Basic" | "Token"));
    let private = scheme.map_or(private, |(_, rest)| rest);
    let mut rest = private;
    while let Some(inner) = rest.strip_prefix("${").or_else(|| rest.strip_prefix("{{")) {
        let Some(end) = inner.find('}') else { return false };
        rest = inner[end..].trim_start_matches('}');
    }
    rest.is_empty() && !private.is_empty()
}

fn in_short(view: &View<'_>, probe: &PlannedProbe, schedules: &[&Schedule]) -> Markup {
    let timeout = |schedule: &Schedule| probe.timeout.unwrap_or(schedule.timeout);
    let link = |name: &ProbeName| html! { a href=(name) { (name) } };
    html! {
        @for schedule in schedules {
            dt { "schedule" }
            dd { b { (schedule.name) } " " (policy::cadence(&schedule.cadence)) ", within " (words(timeout(schedule))) }
            dt { "alert" }
            dd {
                @match probe.alert_on(schedule) {
                    Some(alert) => { @for sentence in policy::sentences(alert) { p { (sentence) } } }
                    None => { "none: nobody is told" }
                }
            }
        }
        @if schedules.is_empty() {
            dt { "schedule" }
            dd { @if probe.on_request { "none: it runs when somebody asks for it" } @else { "none" } }
            dt { "within" } dd { (words(probe.timeout.unwrap_or(view.plan.timeout))) }
        }
        @if !probe.cleanup.is_empty() { dt { "cleanup within" } dd { (words(probe.cleanup_timeout)) } }
        @for (key, value) in &probe.labels { dt { (view.text(key, 60)) } dd { (view.text(value, LINE_MAX)) } }
        @if !probe.needs.is_empty() {
            dt { "needs" }
            dd { @for (index, name) in probe.needs.iter().enumerate() { @if index > 0 { ", " } (link(name)) } }
        }
        @if !probe.diagnose.is_empty() {
            dt { "diagnosed by" }
            dd { @for (index, name) in probe.diagnose.iter().enumerate() { @if index > 0 { ", " } (link(name)) } }
        }
    }
}

fn drawn_step(view: &View<'_>, step: &PlannedStep, mark: &str) -> Markup {
    let host = step.action.host();
    html! {
        h3 {
            (mark) b { (step.name) } " " code { (step.kind) }
            @if let Some(host) = &host { " to " (view.text(host, LINE_MAX)) }
            @if let Some(limit) = step.timeout { ", within " (words(limit)) }
        }
        @if let Some(when) = &step.when { p .dim { "only when " code { (view.text(when.source(), LINE_MAX)) } } }
        (assertions(view, "expect", &step.expect))
        (assertions(view, "warn", &step.warn))
        @for capture in &step.capture {
            p .dim { "captures " code { (capture.name) } " from " code { (view.text(&capture.path.text, LINE_MAX)) } }
        }
        @if let Some(version) = &step.version { p .dim { "version from " code { (view.text(&version.text, LINE_MAX)) } } }
    }
}

fn assertions(view: &View<'_>, what: &str, expressions: &[crate::domain::expression::Expression]) -> Markup {
    html! {
        @for expression in expressions.iter().take(ASSERTIONS_MAX) {
            p .dim { (what) " " code { (view.text(&as_written(expression.source()), LINE_MAX)) } }
        }
        @if expressions.len() > ASSERTIONS_MAX { p .dim { "and " (expressions.len() - ASSERTIONS_MAX) " more" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_value_that_is_written_out_is_not_shown_and_a_reference_is() {
        for (text, shown) in [
            ("  authorization: \"Bearer ${secret:partner}\"", "  authorization: \"Bearer ${secret:partner}\""),
            ("  authorization: Bearer {{token}}", "  authorization: Bearer {{token}}"),
            ("  password: ${secret:shopper}", "  password: ${secret:shopper}"),
            ("  expect: status == 200", "  expect: status == 200"),
        ] {
            assert_eq!(as_written(text), shown);
        }
        for text in [
            "  authorization: Bearer abcdefgh",
            "  x-api-key: abcdefgh",
            "  http: https://anna:abcdefgh@shop.example",
            "  json: { \"password\": \"abcdefgh\", \"token\": \"${secret:x}\" }",
            "  authorization: \"Basic ${secret:user}abcdefgh\"",
        ] {
            assert!(!as_written(text).contains("abcdefgh"), "{}", as_written(text));
        }
        assert_eq!(as_written("a\nb"), "a\nb");
    }
}
