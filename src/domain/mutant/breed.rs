//! What of an observation is worth making otherwise. It goes by the facts and their shapes and not by the kind that saw them,
//! so that a new kind is drilled without a line here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::edit;
use super::place::{Place, Way, leaves};
use crate::domain::expression::{Names, Shape};
use crate::domain::outcome::{Failure, FailureKind, Observation};

/// How many times as long a slow step takes …
const SLOWER: f64 = 10.0;

/// … and at least how long, in milliseconds: whatever answers at once is still quick when it takes ten times as long.
const SLOW_MS_MIN: f64 = 5_000.0;

/// How many places of one step are drilled.
const PLACES_MAX: usize = 500;

/// A text that nobody expects.
const OTHER: &str = "something else";

/// A number that is beyond every bound.
const BEYOND: i64 = 1_000_000_000_000;

/// Names that tell of the way to the target and not of what it said. They are drilled where an expression asks for them.
const OF_THE_WAY: &[&str] = &[
    "cert",
    "chain_length",
    "hops",
    "http_version",
    "ip_family",
    "received_hex",
    "redirects",
    "remote_ip",
    "requests",
    "sent",
    "server_version",
    "tls_version",
    "transport",
    "url",
    "wire_bytes",
];

/// Headers that serve the connection: who breaks them breaks the answer, and the step fails of that.
const OF_THE_CONNECTION: &[&str] = &["connection", "content-length", "date", "keep-alive", "transfer-encoding"];

/// What the configuration says of a step, as far as it matters here.
pub struct Asked<'a> {
    /// What expressions may name.
    pub names: &'a Names,
    /// The paths that expressions use, from the step's own names on.
    pub paths: BTreeSet<String>,
    /// The texts that stand in expressions: whoever forbids one notices no other.
    pub texts: BTreeSet<String>,
    /// What captures take. It is given back to the target by the steps after this one, so that whether the target would
    /// notice that it is another cannot be seen here.
    pub captured: Vec<Place>,
    /// Whether the step cleans up: it is asked only whether it did.
    pub cleanup: bool,
}

/// What is made otherwise at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is not there.
    Removed,
    /// It is null.
    Null,
    /// It is of another type.
    Type,
    /// It is another of the same type.
    Value,
    /// It is empty.
    Empty,
    /// Its second half is missing.
    Cut,
    /// The answer has this status.
    Status(u16),
    /// The certificate ends within a day.
    Ending,
    /// Everything takes ten times as long, or still longer where that would be quick.
    Slow,
    /// The target cannot be spoken to.
    Fails(FailureKind),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("removed"),
            Self::Null => f.write_str("null"),
            Self::Type => f.write_str("of another type"),
            Self::Value => f.write_str("another value"),
            Self::Empty => f.write_str("empty"),
            Self::Cut => f.write_str("cut in half"),
            Self::Status(status) => status.fmt(f),
            Self::Ending => f.write_str("less than one"),
            Self::Slow => f.write_str("far longer"),
            Self::Fails(kind) => kind.fmt(f),
        }
    }
}

/// One thing made otherwise.
pub struct Mutant {
    /// Where.
    pub place: Place,
    /// What.
    pub change: Change,
    /// As what it may come. It is noticed where one of these is: a bound has one side, and a word that is forbidden is one
    /// of many.
    pub forms: Vec<Form>,
}

/// What a step would have seen.
pub struct Form(Box<Made>);

type Made = dyn Fn(&Observation) -> Result<Observation, Failure> + Send + Sync;

impl Form {
    fn new(make: impl Fn(Observation) -> Observation + Send + Sync + 'static) -> Self {
        Self(Box::new(move |seen| Ok(make(seen.clone()))))
    }

    /// In the place of what it did see.
    pub fn of(&self, seen: &Observation) -> Result<Observation, Failure> {
        (self.0)(seen)
    }
}

/// The mutants of what a step saw, and the places whose value changes by itself: they differ between two looks at a target
/// that was well both times, so nobody can be asked to notice that they change.
pub fn mutants(seen: &Observation, again: &Observation, asked: &Asked<'_>) -> (Vec<Mutant>, BTreeSet<Place>) {
    let mut mutants = failures(seen);
    mutants.extend(status(seen));
    if asked.cleanup {
        return (mutants, BTreeSet::new());
    }
    let (json, json_again) = (body_json(seen, asked), body_json(again, asked));
    let known = values(seen, json.as_deref(), asked);
    let changed = values(again, json_again.as_deref(), asked);
    let volatile: BTreeSet<Place> = known
        .iter()
        .filter(|(place, values)| changed.get(*place) != Some(values))
        .map(|(place, _)| place.clone())
        .collect();
    mutants.push(slow());
    if seen.facts.get("cert").and_then(|cert| cert.get("days_left")).is_some() {
        mutants.push(ending());
    }
    if let Some(place) = body_place(seen, asked) {
        // Of JSON each value is made otherwise by itself.
        let is_fixed = json.is_none() && seen.body == again.body;
        mutants.extend(body(&place, seen, is_fixed, asked));
    }
    let texts: Arc<[String]> = asked.texts.iter().cloned().collect();
    for (place, values) in known.iter().take(PLACES_MAX) {
        let is_captured = asked.captured.iter().any(|taken| place.is_at_or_below(taken));
        for change in changes(place, values, asked.names) {
            if change == Change::Value && volatile.contains(place) || is_captured && change >= Change::Type {
                continue;
            }
            let forms = (0..forms(change, values, &texts)).map(|form| {
                let (place, texts) = (place.clone(), Arc::clone(&texts));
                Form::new(move |seen| put(seen, &place, &|value: &Value| make(change, form, value, &texts)))
            });
            mutants.push(Mutant { place: place.clone(), change, forms: forms.collect() });
        }
    }
    (mutants, volatile)
}

/// The values of an observation by their places, but for times, which go together, and for the body as a whole.
fn values<'v>(seen: &'v Observation, json: Option<&'v Value>, asked: &Asked<'_>) -> BTreeMap<Place, Vec<&'v Value>> {
    let mut found = BTreeMap::new();
    for (name, value) in seen.facts.iter().filter(|(name, _)| asked.names.get(name).is_some()) {
        leaves(&Place::root(name), value, &mut found);
    }
    if let Some(json) = json {
        leaves(&Place::root("json"), json, &mut found);
    }
    let of_body = body_place(seen, asked);
    found.retain(|place, _| {
        let own = match place.0.last() {
            Some(Way::Field(name)) => name.as_str(),
            _ => "",
        };
        let is_json = matches!(asked.names.get(place.name()).map(|name| &name.shape), Some(Shape::Any));
        let is_apart = own.ends_with("_ms") && !is_json
            || place.name() == "status"
            || place.name() == "headers" && OF_THE_CONNECTION.contains(&own)
            || Some(place) == of_body.as_ref();
        !is_apart && (!OF_THE_WAY.contains(&place.name()) || is_asked(place, asked))
    });
    found
}

fn is_asked(place: &Place, asked: &Asked<'_>) -> bool {
    let text = place.to_string();
    let is_below = |below: &str, above: &str| {
        below.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    asked.paths.iter().any(|path| is_below(&text, path) || is_below(path, &text))
}

/// The body as JSON, where expressions may read it as that and it is.
fn body_json<'v>(seen: &'v Observation, asked: &Asked<'_>) -> Option<Cow<'v, Value>> {
    if seen.facts.contains_key("json") {
        return None;
    }
    asked.names.get("json")?;
    serde_json::from_slice(seen.body.as_deref()?).ok().map(Cow::Owned)
}

/// By which name expressions read the body as text.
fn body_place(seen: &Observation, asked: &Asked<'_>) -> Option<Place> {
    let text = std::str::from_utf8(seen.body.as_deref()?).ok()?;
    let named = asked.names.get("body").map(|_| "body");
    let twin = seen.facts.iter().find(|(_, value)| value.as_str() == Some(text)).map(|(name, _)| name);
    named.or(twin).map(Place::root)
}

/// What can be made otherwise at a place, by what is known of it before it is seen: nobody takes the status from an answer.
fn changes(place: &Place, values: &[&Value], names: &Names) -> Vec<Change> {
    let Some(shape) = names.get(place.name()).map(|name| &name.shape) else { return Vec::new() };
    let depth = place.0.len() - 1;
    let is_free = match shape {
        Shape::Any => true,
        Shape::Map(Shape::Any) => depth > 0,
        Shape::List(Shape::Map(Shape::Any)) => depth > 1,
        _ => false,
    };
    if !is_free {
        let of_map = matches!(shape, Shape::Map(_)).then_some(Change::Removed);
        return of_map.into_iter().chain([Change::Value]).collect();
    }
    let is_null = values.iter().all(|value| value.is_null());
    // What is of a list or of nothing has no name that could be missing.
    let is_field = depth > 0 && matches!(place.0.last(), Some(Way::Field(_)));
    let removed = is_field.then_some(Change::Removed);
    let null = (!is_null).then_some([Change::Null, Change::Type]).into_iter().flatten();
    removed.into_iter().chain(null).chain([Change::Value]).collect()
}

/// In how many forms a change comes.
fn forms(change: Change, values: &[&Value], texts: &[String]) -> usize {
    if change != Change::Value {
        return 1;
    }
    values.iter().map(|value| others(value, texts).len()).max().unwrap_or(0)
}

/// A value made otherwise: none where it is gone.
fn make(change: Change, form: usize, value: &Value, texts: &[String]) -> Option<Value> {
    match change {
        Change::Removed => None,
        Change::Null => Some(Value::Null),
        Change::Type => Some(match value {
            Value::String(text) => text.parse::<i64>().map_or_else(|_| json!([text]), Value::from),
            Value::Number(number) => number.to_string().into(),
            Value::Bool(truth) => truth.to_string().into(),
            Value::Array(_) => json!({}),
            Value::Object(_) => json!([]),
            Value::Null => OTHER.into(),
        }),
        _ => others(value, texts).into_iter().nth(form).or_else(|| Some(value.clone())),
    }
}

/// Others of the same type.
fn others(value: &Value, texts: &[String]) -> Vec<Value> {
    let others: Vec<Value> = match value {
        Value::Null => vec![OTHER.into(), BEYOND.into()],
        Value::Bool(truth) => vec![(!truth).into()],
        Value::Number(_) => vec![(-BEYOND).into(), 0.into(), BEYOND.into()],
        Value::String(_) => [OTHER, ""].into_iter().chain(texts.iter().map(String::as_str)).map(Value::from).collect(),
        Value::Array(items) if items.is_empty() => vec![json!([OTHER])],
        Value::Array(_) => vec![json!([])],
        Value::Object(_) => vec![json!({ OTHER: OTHER })],
    };
    others.into_iter().filter(|other| other != value).collect()
}

/// Puts what was made into its place: into the body's own text where it stands there.
fn put(mut seen: Observation, place: &Place, make: edit::Make<'_>) -> Observation {
    let Some((_, below)) = place.0.split_first() else { return seen };
    if place.name() == "json" && !seen.facts.contains_key("json") {
        let text = seen.body.as_deref().and_then(|body| std::str::from_utf8(body).ok());
        if let Some(made) = text.and_then(|text| edit::text(text, below, make)) {
            seen = with_body(seen, &made);
        }
        return seen;
    }
    change_facts(&mut seen, |facts| {
        edit::value(facts, &place.0, make);
    });
    seen
}

/// Changes the facts as the one object that expressions see.
fn change_facts(seen: &mut Observation, change: impl FnOnce(&mut Value)) {
    let mut facts = Value::Object(seen.facts.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect());
    change(&mut facts);
    if let Value::Object(made) = facts {
        seen.facts = made.into_iter().collect();
    }
}

/// Another body, and the same wherever it is told as text too.
fn with_body(mut seen: Observation, text: &str) -> Observation {
    let before = seen.body.replace(Bytes::copy_from_slice(text.as_bytes()));
    let before = before.as_deref().and_then(|body| std::str::from_utf8(body).ok());
    let twins = seen.facts.iter().filter(|(_, value)| before.is_some() && value.as_str() == before);
    let twins: Vec<_> = twins.map(|(name, _)| name.to_owned()).collect();
    seen.facts.extend(twins.into_iter().map(|name| (name, text)));
    seen
}

/// What becomes of a body as a whole.
fn body(place: &Place, seen: &Observation, is_fixed: bool, asked: &Asked<'_>) -> Vec<Mutant> {
    let text = seen.body.as_deref().and_then(|body| std::str::from_utf8(body).ok()).unwrap_or_default();
    if text.is_empty() {
        return Vec::new();
    }
    let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let others = [OTHER.to_owned()].into_iter().chain(asked.texts.iter().cloned()).filter(|other| other != text);
    let of = |change, texts: Vec<String>| Mutant {
        place: place.clone(),
        change,
        forms: texts.into_iter().map(|text| Form::new(move |seen| with_body(seen, &text))).collect(),
    };
    let mut mutants = vec![of(Change::Empty, vec![String::new()])];
    if half > 0 {
        mutants.push(of(Change::Cut, vec![text[..half].to_owned()]));
    }
    if is_fixed {
        mutants.push(of(Change::Value, others.collect()));
    }
    mutants
}

/// The answers of a target that is broken, and of one that lets everybody in.
fn status(seen: &Observation) -> Vec<Mutant> {
    let Some(own) = seen.facts.get("status").and_then(Value::as_u64) else { return Vec::new() };
    let lets_in = (!(200..300).contains(&own)).then_some(200);
    let broken = (own != 500).then_some(500);
    let of = |status: u16| Mutant {
        place: Place::root("status"),
        change: Change::Status(status),
        forms: vec![Form::new(move |mut seen| {
            seen.facts.insert("status", status);
            seen
        })],
    };
    broken.into_iter().chain(lets_in).map(of).collect()
}

fn ending() -> Mutant {
    let place = Place::root("cert").below(Way::Field("days_left".to_owned()));
    let at = place.clone();
    let form = Form::new(move |seen| put(seen, &at, &|_: &Value| Some(0.5.into())));
    Mutant { place, change: Change::Ending, forms: vec![form] }
}

fn slow() -> Mutant {
    let form = Form::new(|mut seen| {
        let phases = &mut seen.phases;
        let factor = SLOWER.max(SLOW_MS_MIN / phases.total_ms.max(f64::MIN_POSITIVE));
        let parts = [
            &mut phases.dns_ms,
            &mut phases.connect_ms,
            &mut phases.tls_ms,
            &mut phases.first_byte_ms,
            &mut phases.transfer_ms,
        ];
        parts.into_iter().flatten().for_each(|ms| *ms *= factor);
        phases.total_ms *= factor;
        change_facts(&mut seen, |facts| slower(facts, factor));
        seen
    });
    Mutant { place: Place::root("total_ms"), change: Change::Slow, forms: vec![form] }
}

/// The same for the times among the facts; what the target says of itself in its JSON stays.
fn slower(facts: &mut Value, factor: f64) {
    match facts {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut().filter(|(name, _)| *name != "json") {
                match value.as_f64().filter(|_| name.ends_with("_ms")) {
                    Some(ms) => *value = (ms * factor).into(),
                    None => slower(value, factor),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| slower(item, factor)),
        _ => {}
    }
}

/// In which ways a target that was spoken to so may not be spoken to.
fn failures(seen: &Observation) -> Vec<Mutant> {
    let phases = &seen.phases;
    let over_tls = phases.tls_ms.is_some() || seen.certificate_expires.is_some();
    let silent = if phases.first_byte_ms.is_some() { FailureKind::TimeoutFirstByte } else { FailureKind::TimeoutTotal };
    let kinds = [
        phases.dns_ms.map(|_| FailureKind::DnsNxdomain),
        phases.connect_ms.map(|_| FailureKind::ConnectRefused),
        over_tls.then_some(FailureKind::TlsExpired),
        over_tls.then_some(FailureKind::TlsWrongName),
        Some(silent),
    ];
    let of = |kind: FailureKind| Mutant {
        place: Place::root(kind.as_str()),
        change: Change::Fails(kind),
        forms: vec![Form(Box::new(move |_| Err(Failure::new(kind, "as in a drill"))))],
    };
    kinds.into_iter().flatten().map(of).collect()
}
