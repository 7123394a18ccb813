//! A value taken from a body: by whatever path, from whatever bytes, it is what a slow reader finds there.

use roundsman::domain::outcome::Observation;
use roundsman::domain::probe::{CapturePath, Segment};
use roundsman::engine::facts::capture;
use serde_json::{Value, json};

use super::{Taken, two_parts};

/// A path, a line `---`, and a body.
pub fn target(data: &[u8]) -> Taken {
    let (path, body) = two_parts(data);
    let Ok(path) = path.parse::<CapturePath>() else { return Taken::No };
    let mut observation = Observation { body: Some(body.clone().into()), ..Observation::default() };
    observation.facts.insert("headers".to_owned(), json!({ "x": "y" }));
    let taken = capture(&observation, &path);
    assert_eq!(taken, capture(&observation, &path), "the same twice");
    if path.root == "json" {
        // A body that the slow reader cannot hold (a number beyond doubles) is taken by text all the same.
        if let Ok(whole) = serde_json::from_str::<Value>(&body) {
            compare(&taken, find(&whole, &path.segments));
        }
    }
    if path.root == "body" && path.segments.is_empty() {
        assert_eq!(taken, Ok(body));
    }
    taken.is_ok().into()
}

fn find<'a>(whole: &'a Value, segments: &[Segment]) -> Option<&'a Value> {
    let found = segments.iter().try_fold(whole, |at, segment| match segment {
        Segment::Field(field) => at.as_object()?.get(field),
        Segment::Index(index) => at.as_array()?.get(*index),
    });
    found.filter(|found| !found.is_null())
}

fn compare(taken: &Result<String, String>, expected: Option<&Value>) {
    match (taken, expected) {
        (Err(_), None) => {}
        (Ok(text), Some(Value::String(expected))) => assert_eq!(text, expected),
        (Ok(text), Some(expected)) => {
            let read: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(&read, expected, "from {text:?}");
        }
        (taken, expected) => panic!("{taken:?} was taken where {expected:?} is"),
    }
}
