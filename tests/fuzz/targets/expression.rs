//! Expressions over what a target said.

use std::collections::BTreeMap;

use roundsman::domain::expression::{Expression, Name, Names, Shape};
use roundsman::domain::names::CaptureName;
use roundsman::domain::outcome::Observation;
use roundsman::engine::facts::Facts;
use roundsman::probers::KINDS;
use serde_json::{Value, json};

use super::{Taken, two_parts};

/// An expression, a line `---`, and a body.
///
/// What is wrong is at a place of the text. What is right gives the same answer twice, is true or says why not, and the
/// opposite is false.
pub fn target(data: &[u8]) -> Taken {
    let (source, body) = two_parts(data);
    let http = KINDS.iter().find(|kind| kind.name == "http").unwrap();
    let captured = Shape::fields([Name::new("token", Shape::Text, "")]);
    let names: Names = (http.names)().with(Name::new("captures", captured, "")).with(Name::new("each", Shape::Any, ""));
    let expression = match Expression::compile(&source, &names) {
        Ok(expression) => expression,
        Err(error) => {
            assert!(source.get(error.span.clone()).is_some(), "{:?} is no place in {source:?}", error.span);
            assert!(!error.message.is_empty());
            return Taken::No;
        }
    };
    let mut observation = Observation { body: Some(body.into()), ..Observation::default() };
    observation.facts.insert("status", 200);
    observation.facts.insert("headers", json!({ "content-type": "text/html", "x-id": "007" }));
    observation.facts.insert("redirects", 0);
    observation.phases.total_ms = 12.5;
    let captures = BTreeMap::from([(CaptureName::parse("token").unwrap(), "1e5".to_owned())]);
    let each = Value::Null;
    let facts = Facts::of(&observation, &captures, &each);
    let (truth, said) = (expression.test(&facts), expression.assert(&facts));
    assert_eq!((&truth, &said), (&expression.test(&facts), &expression.assert(&facts)), "the same twice");
    match (&truth, &said) {
        (Ok(true), Ok(())) => {}
        (Ok(false), Err(explanation)) => assert_eq!(explanation.reason, None, "it is simply false"),
        (Err(fault), Err(explanation)) => {
            assert_eq!(fault, explanation);
            assert!(fault.reason.is_some(), "an error without a reason: {source:?}");
        }
        other => panic!("{source:?} is both: {other:?}"),
    }
    // The opposite may be too long or too deep to be compiled.
    if let (Ok(truth), Ok(opposite)) = (&truth, Expression::compile(&format!("!({source})"), &names)) {
        assert_eq!(opposite.test(&facts).ok(), Some(!truth), "{source:?}");
    }
    truth.is_ok().into()
}
