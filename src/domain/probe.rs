//! Probe, step, cleanup: the definition after validation. `A` is whatever performs a step; the rules here do not need
//! to know it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::debt::Owing;
use super::expression::Expression;
use super::judge::AlertPolicy;
use super::mutant::Unnoticed;
use super::names::{CaptureName, ProbeName, StepName};

/// Labels of a probe: they choose, route and group, and never come from a target.
pub type Labels = BTreeMap<String, String>;

/// A named definition in `probes/`.
#[derive(Clone, Debug)]
pub struct Probe<A> {
    /// Its name, unique in the configuration.
    pub name: ProbeName,
    /// What people say of it.
    pub labels: Labels,
    /// Where the runbook is: a path or a URL.
    pub runbook: Option<String>,
    /// While one of these is failing this one is probed, and pages nobody.
    pub needs: Vec<ProbeName>,
    /// What is run once, off the slots, when an incident of it opens.
    pub diagnose: Vec<ProbeName>,
    /// Whether it runs only when somebody asks for it by its name: no schedule runs it.
    pub on_request: bool,
    /// The actions, in order; the first failure ends the run and starts the cleanup.
    pub steps: Vec<Step<A>>,
    /// All must be true of the steps together, else the run has failed; what one step is to say is expected there.
    pub expect: Vec<Expression>,
    /// All should be true of the steps together, else the run is degraded.
    pub warn: Vec<Expression>,
    /// What always runs after the steps, whatever became of them.
    pub cleanup: Vec<Step<A>>,
    /// Which captures the cleanup needs.
    pub owing: Owing,
    /// The whole budget of the steps, from the moment when the run has its permit; absent, its schedule's.
    pub timeout: Option<Duration>,
    /// The whole budget of the cleanup, which is its own.
    pub cleanup_timeout: Duration,
    /// `each.key`, `each.value` and `each.<field>` of this expansion, for expressions.
    pub each: serde_json::Value,
    /// When failing runs become a page, whatever the schedule says. Apart, since it is large and most probes have none.
    pub alert: Option<Box<AlertPolicy>>,
    /// Whether the probe was written with a list of steps; its messages then name the step.
    pub journey: bool,
}

impl<A> Probe<A> {
    /// How long a run may go on whose steps have that budget, with its cleanup.
    pub fn longest(&self, budget: Duration) -> Duration {
        if self.cleanup.is_empty() { budget } else { budget + self.cleanup_timeout }
    }
}

/// One action of a probe.
#[derive(Clone, Debug)]
pub struct Step<A> {
    /// Its name, unique in the probe.
    pub name: StepName,
    /// The kind it speaks, for reports: `http`, `dns`, ….
    pub kind: &'static str,
    /// What performs it.
    pub action: A,
    /// Runs only if this is true; otherwise the step is skipped and has no verdict.
    pub when: Option<Expression>,
    /// All must be true, else the run has failed. Implied expectations stand first.
    pub expect: Vec<Expression>,
    /// All should be true, else the run is degraded.
    pub warn: Vec<Expression>,
    /// What later steps need of this one.
    pub capture: Vec<Capture>,
    /// Where its target says which version it is.
    pub version: Option<CapturePath>,
    /// The step's own limit within the probe's.
    pub timeout: Option<Duration>,
    /// What of it nothing has to notice, for drills.
    pub unnoticed: Vec<Unnoticed>,
}

/// A value taken for a later step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// By which name later steps call it.
    pub name: CaptureName,
    /// Where it is.
    pub path: CapturePath,
}

/// The place of a value in an observation: `json.a[0].b`, `headers["x"]`, `body`, `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturePath {
    /// As written.
    pub text: Arc<str>,
    /// The name in scope that it begins with.
    pub root: String,
    /// The way down from there.
    pub segments: Vec<Segment>,
}

/// One step down in a [`CapturePath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// `.field` or `["field"]`.
    Field(String),
    /// `[0]`.
    Index(usize),
}

/// Why a text is not a capture path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapturePathError {
    /// Nothing was written.
    #[error("a capture needs a path: write `json.token`, `headers[\"etag\"]` or `body`")]
    Empty,
    /// A character that no path has there.
    #[error("`{1}` cannot stand at column {0} of a path: write it like `json.items[0].id` or `headers[\"x-id\"]`")]
    Character(usize, char),
    /// The text ended inside brackets or after a dot.
    #[error("the path ends too early: write it like `json.items[0].id` or `headers[\"x-id\"]`")]
    End,
}

impl std::str::FromStr for CapturePath {
    type Err = CapturePathError;

    fn from_str(text: &str) -> Result<Self, CapturePathError> {
        let identifier = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let mut rest = text.char_indices().peekable();
        let take_while = |rest: &mut std::iter::Peekable<std::str::CharIndices<'_>>, want: &dyn Fn(char) -> bool| {
            let mut taken = String::new();
            while let Some((_, c)) = rest.next_if(|(_, c)| want(*c)) {
                taken.push(c);
            }
            taken
        };
        let unexpected = |rest: &mut std::iter::Peekable<std::str::CharIndices<'_>>| match rest.peek() {
            Some((at, c)) => CapturePathError::Character(text[..*at].chars().count() + 1, *c),
            None => CapturePathError::End,
        };
        if text.is_empty() {
            return Err(CapturePathError::Empty);
        }
        let root = take_while(&mut rest, &identifier);
        if root.is_empty() {
            return Err(unexpected(&mut rest));
        }
        let mut segments = Vec::new();
        while rest.peek().is_some() {
            if rest.next_if(|(_, c)| *c == '.').is_some() {
                let field = take_while(&mut rest, &identifier);
                if field.is_empty() {
                    return Err(unexpected(&mut rest));
                }
                segments.push(Segment::Field(field));
            } else if rest.next_if(|(_, c)| *c == '[').is_some() {
                if let Some((_, quote)) = rest.next_if(|(_, c)| *c == '"' || *c == '\'') {
                    segments.push(Segment::Field(take_while(&mut rest, &|c| c != quote)));
                    rest.next_if(|(_, c)| *c == quote).ok_or(CapturePathError::End)?;
                } else {
                    let digits = take_while(&mut rest, &|c: char| c.is_ascii_digit());
                    segments.push(Segment::Index(digits.parse().map_err(|_| unexpected(&mut rest))?));
                }
                if rest.next_if(|(_, c)| *c == ']').is_none() {
                    return Err(unexpected(&mut rest));
                }
            } else {
                return Err(unexpected(&mut rest));
            }
        }
        Ok(Self { text: Arc::from(text), root, segments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capture_paths_say_where_a_value_is() {
        let path: CapturePath = "json.items[0][\"a b\"].id".parse().unwrap();
        assert_eq!(path.root, "json");
        assert_eq!(
            path.segments,
            [
                Segment::Field("items".into()),
                Segment::Index(0),
                Segment::Field("a b".into()),
                Segment::Field("id".into())
            ]
        );
        assert_eq!("body".parse::<CapturePath>().unwrap().segments, []);
        for (text, error) in [
            ("", CapturePathError::Empty),
            ("json.", CapturePathError::End),
            ("json[", CapturePathError::End),
            ("json[x]", CapturePathError::Character(6, 'x')),
            ("json token", CapturePathError::Character(5, ' ')),
            ("json[\"a", CapturePathError::End),
        ] {
            assert_eq!(text.parse::<CapturePath>(), Err(error), "{text}");
        }
    }
}
