//! What is made otherwise, and that nothing else is.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::breed::{Asked, Change, mutants};
use super::edit;
use super::place::{Place, Unnoticed, Way};
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::outcome::{Observation, Phases};

const BODY: &str = "{ \"a\" : 1,\n  \"list\": [ {\"id\": 7 , \"x\":\"y\"}, {\"id\": 8} ], \"last\": null }\n";

fn way(dotted: &str) -> Vec<Way> {
    let step = |name: &str| if name == "*" { Way::Each } else { Way::Field(name.to_owned()) };
    dotted.split('.').map(step).collect()
}

#[test]
fn a_body_keeps_every_other_byte() {
    let other = |_: &Value| Some(json!("é"));
    let gone = |_: &Value| None;
    for (place, make, expected) in [
        ("a", &other as edit::Make<'_>, BODY.replace("1,", "\"é\",")),
        ("list.*.id", &other, BODY.replace(": 7", ": \"é\"").replace(": 8", ": \"é\"")),
        ("a", &gone, BODY.replace(" \"a\" : 1,", "")),
        ("last", &gone, BODY.replace(", \"last\": null", "")),
        ("list.*.id", &gone, BODY.replace("\"id\": 7 ,", "").replace("\"id\": 8", "")),
        ("list", &gone, BODY.replace(",\n  \"list\": [ {\"id\": 7 , \"x\":\"y\"}, {\"id\": 8} ]", "")),
        ("nothing.there", &other, BODY.to_owned()),
    ] {
        let made = edit::text(BODY, &way(place), make).unwrap();
        assert_eq!(made, expected, "{place}");
        // The same as what happens to a value.
        let mut value: Value = serde_json::from_str(BODY).unwrap();
        edit::value(&mut value, &way(place), make);
        assert_eq!(serde_json::from_str::<Value>(&made).unwrap(), value, "{place}");
    }
    assert_eq!(edit::text("no json", &way("a"), &other), None);
    let twice = edit::text(r#"{"a":1,"a":2}"#, &way("a"), &gone).unwrap();
    assert!(serde_json::from_str::<Value>(&twice).is_ok(), "{twice}");
}

#[test]
fn a_place_is_said_as_expressions_say_it() {
    for (place, head, tail) in [
        ("json.services.cache", "json.services.cache", None),
        ("headers.content-type", "headers[\"content-type\"]", None),
        ("json.in", "json[\"in\"]", None),
        ("json.items.*.id", "json.items", Some("item.id")),
        ("answers.*", "answers", Some("item")),
    ] {
        let expected = Some((head.to_owned(), tail.map(str::to_owned)));
        assert_eq!(Place(way(place)).expression(), expected, "{place}");
        assert_eq!(Place(way(place)).to_string(), place);
    }
    assert_eq!(Place(way("a.*.b.*")).expression(), None);
}

#[test]
fn an_explanation_is_about_the_places_that_it_names() {
    let known = |pattern: &str| Unnoticed { pattern: pattern.to_owned(), reason: "so".to_owned(), written_at: None };
    for (pattern, place, is_about) in [
        ("json.id", "json.id", true),
        ("json.id", "json.id.x", false),
        ("json.user.*", "json.user.name.first", true),
        ("headers.*", "headers.content-type", true),
        ("headers.*", "json.headers", false),
    ] {
        assert_eq!(known(pattern).is_about(&Place(way(place))), is_about, "{pattern} {place}");
    }
}

fn names() -> Names {
    Names::new().with_all(&[
        Name::known("status", Shape::Number, ""),
        Name::known("headers", Shape::Map(&Shape::Text), ""),
        Name::known("body", Shape::Text, ""),
        Name::known("json", Shape::Any, ""),
        Name::known("remote_ip", Shape::Text, ""),
    ])
}

fn seen(id: &str, body: &str) -> Observation {
    let facts = json!({ "status": 200, "headers": { "x-id": id, "date": "today" }, "remote_ip": "192.0.2.1" });
    let facts = facts.as_object().cloned().unwrap_or_else(Map::new);
    let phases = Phases { connect_ms: Some(2.0), first_byte_ms: Some(8.0), total_ms: 12.0, ..Phases::default() };
    Observation {
        facts: facts.into_iter().collect(),
        body: Some(body.to_owned().into()),
        phases,
        ..Observation::default()
    }
}

fn told(one: &Observation, two: &Observation, paths: &[&str], captured: &[&str], cleanup: bool) -> Vec<String> {
    let names = names();
    let asked = Asked {
        names: &names,
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        texts: BTreeSet::new(),
        captured: captured.iter().map(|path| Place(way(path))).collect(),
        cleanup,
    };
    let (mutants, volatile) = mutants(one, two, &asked);
    let volatile = volatile.iter().map(|place| format!("volatile {place}"));
    mutants.iter().map(|mutant| format!("{} {}", mutant.place, mutant.change)).chain(volatile).collect()
}

#[test]
fn what_changes_by_itself_and_what_a_capture_takes_is_told_apart() {
    let one = seen("1", r#"{"ok":true,"n":null,"items":[{"id":"a"}],"token":"x"}"#);
    let two = seen("2", r#"{"ok":true,"n":null,"items":[{"id":"b"},{"id":"c"}],"token":"x"}"#);
    insta::assert_snapshot!(told(&one, &two, &[], &["json.token"], false).join("\n"));
    assert_eq!(
        told(&one, &two, &[], &[], true),
        ["connect.refused connect.refused", "timeout.first_byte timeout.first_byte", "status 500"]
    );
}

#[test]
fn the_way_to_the_target_is_drilled_where_somebody_asks_for_it() {
    let one = seen("1", "words");
    let is_drilled =
        |paths: &[&str]| told(&one, &one, paths, &[], false).contains(&"remote_ip another value".to_owned());
    assert!(!is_drilled(&["body"]));
    assert!(is_drilled(&["remote_ip"]));
}

#[test]
fn a_slow_answer_is_slow_in_all_its_parts() {
    let one = seen("1", "words");
    let names = names();
    let asked =
        Asked { names: &names, paths: BTreeSet::new(), texts: BTreeSet::new(), captured: Vec::new(), cleanup: false };
    let (mutants, _) = mutants(&one, &one, &asked);
    let slow = mutants.iter().find(|mutant| mutant.change == Change::Slow).unwrap();
    let phases = slow.forms[0].of(&one).unwrap().phases;
    let factor = phases.total_ms / 12.0;
    assert!((phases.total_ms - 5_000.0).abs() < 1e-6, "as long as nobody waits: {phases:?}");
    assert!((phases.first_byte_ms.unwrap() - 8.0 * factor).abs() < 1e-6, "{phases:?}");
}
