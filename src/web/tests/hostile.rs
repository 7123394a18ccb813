//! Text of a target is text: whatever it says, a page has the same elements with the same attributes.

use std::sync::Arc;

use super::fixture::{broken, degraded_answer, incident, plan, story, view};
use super::lists;
use crate::domain::expression::{Explanation, Part};
use crate::domain::outcome::{Failure, FailureKind, Verdict};
use crate::domain::quiet::{Matchers, Reason, Silence, SilenceId};
use crate::web::filter::Filter;
use crate::web::frame::Place;
use crate::web::status::{Chosen, Past};
use crate::web::{incident as incident_page, status};

/// What whoever shows text of others is held to.
#[path = "../../../tests/real/payloads.rs"]
pub mod payloads;

/// The elements of a page and the names of their attributes, in their order, without any text, and without `code`: what stands
/// between backticks in a sentence is drawn as such, whoever wrote the backticks, and nothing can hang from it.
pub fn skeleton(page: &str) -> Vec<String> {
    let mut skeleton = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start..];
        let mut quoted = false;
        let end = tag.find(|c| {
            quoted ^= c == '"';
            c == '>' && !quoted
        });
        let tag = &tag[..end.expect("every tag is closed")];
        // Of a tag only what is outside of quotes.
        skeleton.push(tag.split('"').step_by(2).collect());
        rest = &rest[start + tag.len()..];
    }
    skeleton.retain(|tag: &String| !matches!(&**tag, "<code" | "</code"));
    skeleton
}

/// Whether a link of a page begins with what browsers run.
pub fn leads_to_a_script(page: &str) -> bool {
    let page = page.to_lowercase();
    ["javascript", "vbscript", "data:text"].iter().any(|scheme| page.contains(&format!("href=\"{scheme}")))
}

/// How many lines the texts of a page break that may: an exchange is shown in lines, and nothing else.
pub fn breaks(page: &str) -> usize {
    let within = |begin, end| page.split(begin).skip(1).filter_map(move |rest| rest.split(end).next());
    let lines = within("<pre", "</pre>").chain(within("<textarea", "</textarea>"));
    lines.map(|lines| lines.matches('\n').count()).sum()
}

fn pages(text: &str) -> Vec<String> {
    let mut plan = plan();
    plan.site = text.to_owned();
    let probe = plan.probes.get_mut("api-health").and_then(Arc::get_mut).unwrap();
    probe.labels.insert("service".to_owned(), text.to_owned());
    let assertion = Failure::of_assertion(Explanation {
        expression: text.to_owned(),
        parts: vec![Part { expression: text.to_owned(), value: text.to_owned() }],
        reason: Some(text.to_owned()),
    });
    let failures = vec![assertion, Failure::new(FailureKind::TlsWrongName, text).with(text, text)];
    let mut open = incident();
    open.first_failures = [Failure::new(FailureKind::ProtocolInvalid, text)].into();
    open.latest_failures = failures.as_slice().into();
    open.labels.insert("note".to_owned(), text.to_owned());
    open.runbook = Some(format!("https://wiki.example/{text}"));
    let mut overview = broken();
    let key = ("reachability".parse().unwrap(), "api-health".parse().unwrap());
    overview.last.get_mut(&key).unwrap().verdict = Verdict::Failed(failures);
    overview.open = vec![open.clone()];
    overview.resolved[0].resolved_because = Some(text.to_owned());
    let mut told = story(open);
    told.moments[0].text = text.to_owned();
    told.moments[1].what = text.to_owned();
    told.told[0].became = text.to_owned();
    told.bundles[1].bundle = Arc::new(degraded_answer(text));
    let id = SilenceId(Arc::from("S1"));
    let silence = Silence {
        id: id.clone(),
        matchers: Matchers { probes: vec!["*".to_owned()], ..Matchers::default() },
        by: text.to_owned(),
        reason: text.to_owned(),
        from: view(&plan).now,
        until: "2026-11-24T10:10:00Z".parse().unwrap(),
    };
    let mut by_path = told.clone();
    by_path.incident.runbook = Some(text.to_owned());
    told.told[0].said = Some(text.to_owned());
    let reason = Reason::Silenced { id, by: text.to_owned(), reason: text.to_owned(), until: view(&plan).now };
    by_path.incident.quiet = Some(reason);
    by_path.incident.resolved_at = Some(view(&plan).now);
    overview.silences = vec![silence];
    let view = view(&plan);
    let own = vec![
        status::status(&view, &overview, &Chosen::new(&view, &overview, Filter::of(&view.visit)), &Past::new()).0,
        status::unreadable(&view, Place::Status, text).0,
        incident_page::incident(&view, &told, &overview).0,
        incident_page::incident(&view, &by_path, &overview).0,
    ];
    own.into_iter().chain(lists::hostile(text)).collect()
}

#[test]
fn text_of_a_target_adds_no_element_and_no_attribute() {
    let plain = pages("plain");
    for payload in payloads::texts() {
        for (page, plain) in pages(&payload).iter().zip(&plain) {
            assert_eq!(skeleton(page), skeleton(plain), "{payload:?}");
            assert!(!leads_to_a_script(page), "{payload:?}");
            assert_eq!(page.matches('\n').count(), breaks(page), "{payload:?}");
            assert_eq!(page.find(payloads::hides), None, "{payload:?}");
        }
    }
}

#[test]
fn there_are_a_hundred_of_them() {
    let different: std::collections::BTreeSet<_> = payloads::all().into_iter().collect();
    assert_eq!(different.len(), 100);
}

#[test]
fn the_skeleton_sees_an_element_that_was_smuggled_in() {
    let clean = r#"<p class="x">text</p>"#;
    assert_eq!(skeleton(clean), ["<p class=", "</p"]);
    assert_ne!(skeleton(clean), skeleton(r#"<p class="x">te<b>xt</p>"#));
    assert_ne!(skeleton(clean), skeleton(r#"<p class="x" on="y">text</p>"#));
}
