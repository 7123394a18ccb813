//! What to add to a probe so that it notices what it does not. Nothing is suggested that was not tried: it holds for both
//! looks at the target, and for none of what passed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::weighing::Suggestion;
use crate::domain::expression::{Expression, Names, Scope as _};
use crate::domain::mutant::place::{Way, leaves};
use crate::domain::mutant::{Change, Mutant, Place};
use crate::domain::names::CaptureName;
use crate::domain::outcome::Observation;
use crate::domain::privacy::is_private;
use crate::engine::facts::{Facts, capture};
use crate::engine::plan::PlannedStep;
use crate::engine::playback::Playback;
use crate::engine::records::Discretion;

/// The longest text that is suggested to be expected word for word, in characters.
const TEXT_MAX: usize = 60;

/// The least that is suggested as a limit for a time, in milliseconds.
const LIMIT_MS_MIN: f64 = 500.0;

/// What is known of a step.
pub struct Looks<'a> {
    /// The run.
    pub playback: &'a Playback,
    /// The step.
    pub step: &'a PlannedStep,
    /// What it saw.
    pub seen: &'a Observation,
    /// What it saw the second time.
    pub again: &'a Observation,
    /// What its expressions may name.
    pub names: &'a Names,
    /// What changes by itself.
    pub volatile: &'a BTreeSet<Place>,
}

impl Looks<'_> {
    /// The first line that would notice everything that passed at a place.
    pub fn suggest(&self, place: &Place, passed: &[Mutant]) -> Option<Suggestion> {
        let is_slow = passed.iter().any(|mutant| mutant.change == Change::Slow);
        let key = if is_slow { "warn" } else { "expect" };
        let captures = self.captures();
        let privately = Discretion::of(&captures, &*self.playback.plan.secrets);
        let expression = self.candidates(place).into_iter().find(|text| {
            privately.text(text) == *text
                && Expression::compile(text, self.names).is_ok_and(|expression| self.notices(&expression, passed))
        })?;
        Some(Suggestion { key, expression })
    }

    fn captures(&self) -> BTreeMap<CaptureName, String> {
        let steps = self.playback.probe.steps.iter();
        let taken = steps.flat_map(|step| step.capture.iter().map(move |taken| (&step.name, taken)));
        let values = taken.filter_map(|(step, taken)| {
            let seen = self.playback.seen.get(step)?;
            Some((taken.name.clone(), capture(seen, &taken.path).ok()?))
        });
        values.collect()
    }

    fn notices(&self, expression: &Expression, passed: &[Mutant]) -> bool {
        let (captures, each) = (BTreeMap::new(), Value::Null);
        let holds = |of: &Observation| expression.assert(&Facts::of(of, &captures, &each).at(self.playback.at)).is_ok();
        let notices =
            |mutant: &Mutant| mutant.forms.iter().any(|form| form.of(self.seen).is_ok_and(|made| !holds(&made)));
        holds(self.seen) && holds(self.again) && passed.iter().all(notices)
    }

    /// What might do, the most exact first.
    fn candidates(&self, place: &Place) -> Vec<String> {
        if place.0.len() == 1 {
            match place.name() {
                "total_ms" => {
                    let limit = (self.seen.phases.total_ms * 3.0).max(LIMIT_MS_MIN);
                    return vec![format!("total_ms < {:.0}", (limit / 100.0).ceil() * 100.0)];
                }
                "status" => {
                    return self
                        .seen
                        .facts
                        .get("status")
                        .map(|status| format!("status == {status}"))
                        .into_iter()
                        .collect();
                }
                _ => {}
            }
        }
        if place.to_string() == "cert.days_left" {
            return vec![
                "cert.days_left > 21".to_owned(),
                "cert.days_left > 7".to_owned(),
                "cert.days_left > 1".to_owned(),
            ];
        }
        let Some((head, tail)) = place.expression() else { return Vec::new() };
        let said = tail.as_deref().unwrap_or(&head);
        let conditions = match self.value(place) {
            Some(value) => conditions(said, &value, self.volatile.contains(place), place),
            None => self.words().into_iter().map(|word| format!("{said}.contains({})", quoted(word))).collect(),
        };
        match tail {
            Some(_) => conditions.into_iter().map(|condition| format!("{head}.all(item, {condition})")).collect(),
            None => conditions,
        }
    }

    /// The value that stands first at a place; none for a body that is read as text.
    fn value(&self, place: &Place) -> Option<Value> {
        let (captures, each) = (BTreeMap::new(), Value::Null);
        let facts = Facts::of(self.seen, &captures, &each);
        if place.name() == "body" {
            return None;
        }
        let whole = facts.lookup(place.name()).ok()?;
        let mut found = BTreeMap::new();
        leaves(&Place::root(place.name()), &whole, &mut found);
        found.get(place).and_then(|values| values.first()).map(|value| (*value).clone())
    }

    /// Pieces of the body that were there both times, the last line first: who cuts a body cuts it there.
    fn words(&self) -> Vec<&str> {
        let text =
            |of: &'_ Observation| of.body.as_deref().and_then(|body| std::str::from_utf8(body).ok()).map(str::to_owned);
        let (Some(body), Some(again)) = (self.seen.body.as_deref(), text(self.again)) else { return Vec::new() };
        let lines = std::str::from_utf8(body).unwrap_or_default().lines().rev().map(str::trim);
        let ends = lines.filter(|line| !line.is_empty()).take(5).map(|line| {
            let from = line.char_indices().rev().nth(TEXT_MAX - 1).map_or(0, |(at, _)| at);
            &line[from..]
        });
        ends.filter(|end| again.contains(end)).collect()
    }
}

/// What can be asked of a value where it is well.
fn conditions(said: &str, value: &Value, is_volatile: bool, place: &Place) -> Vec<String> {
    let own = place.0.iter().rev().find_map(|way| match way {
        Way::Field(name) => Some(name.as_str()),
        Way::Each => None,
    });
    let is_exact = !is_volatile && !own.is_some_and(is_private);
    let exact = |written: String| is_exact.then(|| format!("{said} == {written}"));
    match value {
        Value::Null => vec![format!("{said} == null")],
        Value::Bool(truth) => {
            exact(truth.to_string()).into_iter().chain([format!("{said} in [true, false]")]).collect()
        }
        Value::Number(number) => {
            let above = number.as_f64().filter(|number| *number >= 0.0).map(|_| format!("{said} >= 0"));
            exact(number.to_string()).into_iter().chain(above).collect()
        }
        Value::String(text) => {
            let whole = exact(quoted(text)).filter(|_| text.chars().count() <= TEXT_MAX);
            let beginning: String = text.chars().take(TEXT_MAX).collect();
            let beginning = is_exact.then(|| format!("{said}.startsWith({})", quoted(&beginning)));
            let filled = (!text.is_empty()).then(|| format!("{said}.matches(\".+\")"));
            whole.into_iter().chain(beginning).chain(filled).collect()
        }
        Value::Array(items) if items.is_empty() => vec![format!("size({said}) == 0")],
        Value::Array(_) => vec![format!("size({said}) > 0")],
        Value::Object(_) => vec![format!("has({said})")],
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
