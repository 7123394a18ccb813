//! What expressions and captures see of an observation. Bodies are read only where they are used, and a captured value
//! is taken from the answer's own text, byte for byte.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::domain::expression::{Expression, Scope};
use crate::domain::names::{CaptureName, StepName};
use crate::domain::outcome::Observation;
use crate::domain::probe::{CapturePath, Segment};
use crate::domain::time::Timestamp;

/// The scope of a step's expressions.
pub struct Facts<'a> {
    observation: Option<&'a Observation>,
    captures: &'a BTreeMap<CaptureName, String>,
    each: &'a Value,
    now: Option<Timestamp>,
    /// The body as JSON: read once for all expressions of the step, since a hostile one costs a lot to read.
    json: OnceCell<Result<Value, String>>,
}

impl<'a> Facts<'a> {
    /// Before the step has seen anything: captures and `each` only.
    pub fn before(captures: &'a BTreeMap<CaptureName, String>, each: &'a Value) -> Self {
        Self { observation: None, captures, each, now: None, json: OnceCell::new() }
    }

    /// After the step.
    pub fn of(observation: &'a Observation, captures: &'a BTreeMap<CaptureName, String>, each: &'a Value) -> Self {
        Self { observation: Some(observation), captures, each, now: None, json: OnceCell::new() }
    }

    /// The same, at an instant: `days_until` counts from it.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { now: Some(now), ..self }
    }
}

/// The scope of a journey's own expressions: what its steps saw, each under its name.
pub struct Whole<'a> {
    /// The instant from which `days_until` counts.
    pub now: Timestamp,
    /// What was seen by the steps that were performed.
    pub steps: &'a [(StepName, Observation)],
    /// How long they took together, in milliseconds.
    pub total_ms: f64,
    /// How many earlier runs are still to be cleaned up.
    pub cleanup_debt: u64,
    /// What was captured.
    pub captures: &'a BTreeMap<CaptureName, String>,
    /// The entry of `each`.
    pub each: &'a Value,
    /// Whether an expression reads a body: it is large, and read for nothing else.
    pub bodies: bool,
}

impl Whole<'_> {
    /// Whether any of these reads a body.
    pub fn reads_bodies<'e>(expressions: impl IntoIterator<Item = &'e Expression>) -> bool {
        let is_body = |segment: &str| segment == "json" || segment == "body";
        // Without a name below it `steps`, or one of them, may mean anything of it.
        let reads =
            |path: &str| path.starts_with("steps") && (path.split('.').count() <= 2 || path.split('.').any(is_body));
        expressions.into_iter().any(|expression| expression.references().any(reads))
    }

    fn step(&self, observation: &Observation) -> Value {
        let phases =
            observation.phases.parts().into_iter().filter_map(|(name, ms)| Some((name.to_owned(), ms?.into())));
        let mut facts: Map<String, Value> = phases.collect();
        facts.insert("total_ms".to_owned(), observation.phases.total_ms.into());
        facts.extend(observation.facts.iter().map(|(name, value)| (name.to_owned(), value.clone())));
        if self.bodies
            && let Ok(text) = body(observation)
        {
            facts.entry("body").or_insert_with(|| text.into());
            // What is no JSON is absent, which an expectation that reads it does not survive.
            if let Ok(value) = json(observation) {
                facts.entry("json").or_insert(value);
            }
        }
        Value::Object(facts)
    }
}

impl Scope for Whole<'_> {
    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    fn lookup(&self, root: &str) -> Result<Cow<'_, Value>, String> {
        match root {
            "total_ms" => Ok(Cow::Owned(self.total_ms.into())),
            "cleanup_debt" => Ok(Cow::Owned(self.cleanup_debt.into())),
            "steps" => {
                let steps = self.steps.iter().map(|(name, seen)| (name.to_string(), self.step(seen)));
                Ok(Cow::Owned(Value::Object(steps.collect())))
            }
            _ => Facts::before(self.captures, self.each).lookup(root).map(|value| Cow::Owned(value.into_owned())),
        }
    }
}

impl Scope for Facts<'_> {
    fn now(&self) -> Option<Timestamp> {
        self.now
    }

    fn lookup(&self, root: &str) -> Result<Cow<'_, Value>, String> {
        match root {
            "captures" => {
                let entries = self.captures.iter().map(|(name, text)| (name.to_string(), Value::String(text.clone())));
                Ok(Cow::Owned(Value::Object(entries.collect::<Map<_, _>>())))
            }
            "each" => Ok(Cow::Borrowed(self.each)),
            _ => {
                let observation =
                    self.observation.ok_or_else(|| format!("`{root}` is not there before the step has run"))?;
                if root == "json" && !observation.facts.contains_key(root) {
                    return self
                        .json
                        .get_or_init(|| json(observation))
                        .as_ref()
                        .map(Cow::Borrowed)
                        .map_err(Clone::clone);
                }
                fact(observation, root)
            }
        }
    }
}

fn json(observation: &Observation) -> Result<Value, String> {
    serde_json::from_str(body(observation)?).map_err(|error| format!("the body is not JSON: {error}"))
}

fn fact<'a>(observation: &'a Observation, root: &str) -> Result<Cow<'a, Value>, String> {
    if let Some(value) = observation.facts.get(root) {
        return Ok(Cow::Borrowed(value));
    }
    match root {
        "body" => Ok(Cow::Owned(Value::String(body(observation)?.to_owned()))),
        "total_ms" => Ok(Cow::Owned(Value::from(observation.phases.total_ms))),
        _ => {
            let phases = &observation.phases;
            let mut parts = phases.parts().into_iter().chain(phases.errors());
            let part = parts.find(|(name, _)| *name == root).and_then(|(_, ms)| ms);
            part.map(|ms| Cow::Owned(Value::from(ms))).ok_or_else(|| format!("`{root}` is not there"))
        }
    }
}

fn body(observation: &Observation) -> Result<&str, String> {
    let bytes = observation.body.as_deref().ok_or("there is no body")?;
    std::str::from_utf8(bytes).map_err(|error| format!("the body is not UTF-8: byte {} is wrong", error.valid_up_to()))
}

/// The text of a captured value: a string gives its content, any other JSON its source text.
pub fn capture(observation: &Observation, path: &CapturePath) -> Result<String, String> {
    let text = match path.root.as_str() {
        // What is no JSON itself and was made into it has no text of its own.
        "json" if !observation.facts.contains_key("json") => {
            let text = body(observation)?;
            let whole: &RawValue =
                serde_json::from_str(text).map_err(|error| format!("the body is not JSON: {error}"))?;
            return content(descend(whole, path)?);
        }
        root => fact(observation, root)?.to_string(),
    };
    let whole: &RawValue = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    content(descend(whole, path)?)
}

fn descend<'a>(mut at: &'a RawValue, path: &CapturePath) -> Result<&'a RawValue, String> {
    let mut way = path.root.clone();
    for segment in &path.segments {
        let found = match segment {
            Segment::Field(field) => {
                way = format!("{way}.{field}");
                let fields: Option<BTreeMap<Cow<'_, str>, &RawValue>> = serde_json::from_str(at.get()).ok();
                fields.and_then(|mut fields| fields.remove(field.as_str()))
            }
            Segment::Index(index) => {
                way = format!("{way}[{index}]");
                let items: Option<Vec<&RawValue>> = serde_json::from_str(at.get()).ok();
                items.and_then(|items| items.get(*index).copied())
            }
        };
        at = found.ok_or_else(|| format!("`{way}` is not there"))?;
    }
    Ok(at)
}

fn content(value: &RawValue) -> Result<String, String> {
    if value.get() == "null" {
        return Err("it is null".to_owned());
    }
    if value.get().starts_with('"') {
        return serde_json::from_str(value.get()).map_err(|error| error.to_string());
    }
    Ok(value.get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(body: &str) -> Observation {
        let mut observation = Observation { body: Some(body.to_owned().into()), ..Observation::default() };
        observation.facts.insert("headers", serde_json::json!({"x-id": "0042"}));
        observation.phases.total_ms = 12.5;
        observation
    }

    #[test]
    fn captures_are_taken_as_they_came() {
        let observation = seen(
            r#"{"id":"007312","big":12345678901234567890,"sci":1e5,"yes":true,"list":[{"a b": {"x" : 1 }}],"esc":"a\"\u00e9"}"#,
        );
        for (path, expected) in [
            ("json.id", Ok("007312")),
            ("json.big", Ok("12345678901234567890")),
            ("json.sci", Ok("1e5")),
            ("json.yes", Ok("true")),
            ("json.list[0][\"a b\"]", Ok(r#"{"x" : 1 }"#)),
            ("json.esc", Ok("a\"é")),
            ("headers[\"x-id\"]", Ok("0042")),
            ("total_ms", Ok("12.5")),
            ("json.missing", Err("`json.missing` is not there")),
            ("json.list[3]", Err("`json.list[3]` is not there")),
            ("status", Err("`status` is not there")),
        ] {
            let got = capture(&observation, &path.parse().unwrap());
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{path}");
        }
        assert_eq!(capture(&seen("no json"), &"body".parse().unwrap()).unwrap(), "no json");
        assert!(
            capture(&seen("no json"), &"json.a".parse().unwrap()).unwrap_err().starts_with("the body is not JSON: ")
        );
        let mut made = seen("<a><b>7</b></a>");
        made.facts.insert("json", serde_json::json!({ "b": "7" }));
        assert_eq!(capture(&made, &"json.b".parse().unwrap()).unwrap(), "7");
        assert_eq!(capture(&seen(r#"{"a":null}"#), &"json.a".parse().unwrap()).unwrap_err(), "it is null");
    }

    #[test]
    fn who_reads_a_step_whole_reads_its_body() {
        use crate::domain::expression::{Name, Names, Shape};
        let names = Names::new().with(Name::new("steps", Shape::Any, ""));
        for (text, reads) in [
            ("steps.pay.total_ms < 5", false),
            ("steps.pay.json.id == \"7\"", true),
            ("steps.pay == steps.ask", true),
            ("size(steps) == 2", true),
        ] {
            assert_eq!(Whole::reads_bodies([&Expression::compile(text, &names).unwrap()]), reads, "{text}");
        }
    }

    #[test]
    fn a_body_that_is_not_text_is_an_error_only_where_it_is_used() {
        let observation = Observation { body: Some(vec![0x66, 0xff].into()), ..Observation::default() };
        let (captures, each) = (BTreeMap::new(), Value::Null);
        let facts = Facts::of(&observation, &captures, &each);
        assert_eq!(facts.lookup("body").unwrap_err(), "the body is not UTF-8: byte 1 is wrong");
        assert_eq!(facts.lookup("total_ms").unwrap().as_ref(), &Value::from(0.0));
        assert_eq!(
            Facts::before(&captures, &each).lookup("status").unwrap_err(),
            "`status` is not there before the step has run"
        );
    }
}
