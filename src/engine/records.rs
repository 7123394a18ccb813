//! What a run leaves for whoever looks for its cause, and what must not be in it: what is secret, what the run captured, and
//! what is private by what it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::exchange::{Assertion, BUNDLE_BYTES_MAX, Bundle, Captured, Exchange, StepRecord};
use crate::domain::expression::{Explanation, Expression, Scope};
use crate::domain::names::{CaptureName, StepName};
use crate::domain::outcome::{Cause, Failure, Observation, StepOutcome, Verdict};
use crate::domain::privacy::{conceal, is_private};
use crate::domain::probe::Step;
use crate::domain::redaction::{CUT, MARK, Redactor, of_cut};
use crate::ports::{Recorder, Secrets};

/// So much of what was captured is looked for, in bytes; no text that is shown is longer.
const CAPTURE_BYTES_MAX: usize = 64 * 1024;

/// What captures may be without telling anything.
const PLAIN: [&str; 3] = ["true", "false", "null"];

/// What was found private is looked for elsewhere only if it has as many bytes: a shorter one is too often an ordinary word.
const FOUND_LENGTH_MIN: usize = 8;

/// So much of what a run finds private is looked for elsewhere: a target that says more of it makes nobody wait.
const FOUND_MAX: usize = 256;

/// What is told of an exchange is shorter, so what stands behind this many bytes is neither told nor read.
const READ_BYTES_MAX: usize = 16 * 1024;

/// What is told of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Of one that failed what can be kept.
    Failed,
    /// Of every one what can be kept.
    All,
    /// Of every one everything.
    Whole,
}

/// The records of a run's steps. Text is made of them only when somebody will read it.
pub struct Records {
    telling: Telling,
    steps: Vec<Record>,
}

struct Record {
    name: StepName,
    recorder: Recorder,
    assertions: Vec<Assertion>,
    captures: Vec<Captured>,
}

impl Records {
    /// No record yet.
    pub fn new(telling: Telling) -> Self {
        Self { telling, steps: Vec::new() }
    }

    /// Every assertion of a step with its values, where they will be read.
    pub fn examine<A>(
        &self,
        step: &Step<A>,
        scope: &dyn Scope,
        observation: &Observation,
        failed: bool,
    ) -> Vec<Assertion> {
        if self.telling == Telling::Failed && !failed {
            return Vec::new();
        }
        let examined = |warns: bool| {
            move |expression: &Expression| {
                let (held, mut explanation) = expression.examine(scope);
                if observation.hides(expression) {
                    explanation = explanation.without_values();
                }
                Assertion { held, warns, explanation }
            }
        };
        step.expect.iter().map(examined(false)).chain(step.warn.iter().map(examined(true))).collect()
    }

    /// Adds what a step did.
    pub fn add<A>(
        &mut self,
        step: &Step<A>,
        recorder: Recorder,
        assertions: Vec<Assertion>,
        captures: &BTreeMap<CaptureName, String>,
    ) {
        let captured = step.capture.iter().filter_map(|wanted| {
            let characters = captures.get(&wanted.name)?.chars().count();
            Some(Captured { name: wanted.name.clone(), characters })
        });
        self.steps.push(Record { name: step.name.clone(), recorder, assertions, captures: captured.collect() });
    }

    /// Ends the records of a run: takes out of its failures what they must not hold, and gives what is kept of it. Of a run
    /// that was well that is nothing.
    pub fn close(
        self,
        verdict: &mut Verdict,
        outcomes: &mut [StepOutcome],
        captures: &BTreeMap<CaptureName, String>,
        secrets: &dyn Secrets,
    ) -> Option<Arc<Bundle>> {
        let told =
            |outcome: &StepOutcome| outcome.verdict.as_ref().is_some_and(|verdict| !verdict.failures().is_empty());
        let tells_all = self.telling != Telling::Failed;
        if !tells_all && verdict.failures().is_empty() && !outcomes.iter().any(told) {
            return None;
        }
        let privately = Discretion::of(captures, secrets);
        // Everything is learned before anything is shown: what one step was given another may have been told.
        let steps = self.steps.into_iter().map(|record| StepRecord {
            name: record.name,
            exchanges: record.recorder.exchanges().into_iter().map(|exchange| privately.learn(exchange)).collect(),
            assertions: record.assertions,
            captures: record.captures,
        });
        let mut steps: Vec<StepRecord> = steps.collect();
        let verdicts = outcomes.iter_mut().flat_map(|outcome| {
            let of_cases = outcome.cases.iter_mut().filter_map(|case| case.verdict.as_mut());
            outcome.verdict.iter_mut().chain(of_cases)
        });
        for failure in verdicts.chain([&mut *verdict]).flat_map(Verdict::failures_mut) {
            privately.failure(failure);
        }
        let is_kept = matches!(verdict, Verdict::Failed(_) | Verdict::Inconclusive(Cause::Ours(_)));
        if !(tells_all || is_kept) {
            return None;
        }
        for step in &mut steps {
            let exchanges = std::mem::take(&mut step.exchanges).into_iter();
            step.exchanges = exchanges.map(|exchange| exchange.shown(|text| privately.excerpt(text))).collect();
            step.assertions.iter_mut().for_each(|assertion| privately.explanation(&mut assertion.explanation));
        }
        let bundle = Bundle { steps, left_out: 0 }.within(match self.telling {
            Telling::Whole => usize::MAX,
            Telling::Failed | Telling::All => BUNDLE_BYTES_MAX,
        });
        Some(Arc::new(bundle))
    }
}

fn limited(mut text: String) -> String {
    if text.len() > READ_BYTES_MAX {
        text.truncate(text.floor_char_boundary(READ_BYTES_MAX));
        text.push(CUT);
    }
    text
}

/// Keeps to itself what is nobody's business.
pub struct Discretion<'a> {
    secrets: &'a dyn Secrets,
    own: Redactor,
}

impl<'a> Discretion<'a> {
    /// Knows the secrets, and what this run has captured.
    pub fn of(captures: &BTreeMap<CaptureName, String>, secrets: &'a dyn Secrets) -> Self {
        let own = Redactor::default();
        for value in captures.values().filter(|value| !PLAIN.contains(&value.as_str())) {
            own.learn(&value[..value.floor_char_boundary(CAPTURE_BYTES_MAX)]);
        }
        Self { secrets, own }
    }

    /// Remembers what is private in an exchange, and gives it back without. What is known is taken out first: a value that
    /// was taken out in part would not be known again. Ordinary words and numbers go only where they stand, since elsewhere
    /// they say what happened.
    fn learn(&self, exchange: Exchange) -> Exchange {
        let learn = |value: &str| {
            let value = value.trim();
            let is_room = self.own.known() < FOUND_MAX;
            if is_room && value.len() >= FOUND_LENGTH_MIN && value.parse::<f64>().is_err() {
                self.own.learn_found(value);
            }
        };
        let conceal = |text: String| conceal(&self.known(&limited(text)), learn);
        Exchange {
            sent: conceal(exchange.sent),
            received: conceal(exchange.received),
            command: exchange.command.map(conceal),
            ..exchange
        }
    }

    /// The text without what it must not hold.
    pub fn text(&self, text: &str) -> String {
        conceal(&self.known(text), |_| {})
    }

    fn known(&self, text: &str) -> String {
        self.own.redact(&self.secrets.redact(text))
    }

    /// The same for a text that may end in the middle of something.
    fn excerpt(&self, text: &str) -> String {
        of_cut(text, |text| self.text(text))
    }

    fn explanation(&self, explanation: &mut Explanation) {
        for part in &mut explanation.parts {
            // `json.access_token`, `headers["set-cookie"]`: that the value is private is told by the path and not by itself.
            let name = part.expression.rsplit(['.', '[']).next().unwrap_or_default();
            let is_text = part.value.starts_with('"');
            if is_text && is_private(name.trim_matches([']', '"', '\''])) {
                MARK.clone_into(&mut part.value);
            } else {
                part.value = self.text(&part.value);
            }
        }
        if let Some(reason) = &mut explanation.reason {
            *reason = self.text(reason);
        }
    }

    /// Takes it out of a failure, wherever it may be in it.
    pub fn failure(&self, failure: &mut Failure) {
        if let Some(explanation) = &mut failure.explanation {
            self.explanation(explanation);
            failure.message = explanation.to_string();
        } else {
            failure.message = self.text(&failure.message);
        }
        for text in [&mut failure.expected, &mut failure.actual].into_iter().flatten() {
            *text = self.text(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::FailureKind;
    use crate::engine::testing::{NoSecrets, step};
    use std::time::Duration;

    fn records(telling: Telling) -> Records {
        let recorder = Recorder::default();
        recorder.add(|| Exchange {
            sent: "GET / HTTP/1.1\ncookie: sid=c00kie-jar\n\nhunter2 and t0ken".to_owned(),
            received: "HTTP/1.1 200 OK\n\n{\"password\":\"p4ssw0rd\"} t0k3n c00kie-jar, and again p4ssw0rd, hunter2, captured and a cut capt"
                .to_owned(),
            ..Exchange::default()
        });
        let mut records = Records::new(telling);
        let step = step("only", || (Duration::ZERO, Err(Failure::new(FailureKind::Internal, ""))));
        records.add(&step, recorder, Vec::new(), &BTreeMap::new());
        records
    }

    fn close(telling: Telling, mut verdict: Verdict) -> (Verdict, Option<Arc<Bundle>>) {
        let captures = BTreeMap::from([(CaptureName::parse("token").unwrap(), "captured".to_owned())]);
        let bundle = records(telling).close(&mut verdict, &mut [], &captures, &NoSecrets);
        (verdict, bundle)
    }

    fn failure() -> Failure {
        Failure::new(FailureKind::ProtocolInvalid, "it said captured, hunter2 and c00kie-jar")
            .with("token=abcdef", "p4ssw0rd")
    }

    #[test]
    fn only_a_run_that_somebody_will_ask_about_is_kept() {
        let failures = || vec![failure()];
        for (verdict, is_kept) in [
            (Verdict::Passed, false),
            (Verdict::Degraded(failures()), false),
            (Verdict::Failed(failures()), true),
            (Verdict::Inconclusive(Cause::Ours(failure())), true),
            (Verdict::Inconclusive(Cause::ShutDown), false),
            (Verdict::Inconclusive(Cause::Skipped), false),
        ] {
            assert_eq!(close(Telling::Failed, verdict.clone()).1.is_some(), is_kept, "{verdict:?}");
            assert!(close(Telling::Whole, verdict).1.is_some(), "who asks for all gets all");
        }
    }

    #[test]
    fn what_is_private_in_one_place_is_taken_out_of_every_other() {
        let (verdict, bundle) = close(Telling::Failed, Verdict::Failed(vec![failure()]));
        let exchange = &bundle.unwrap().steps[0].exchanges[0];
        assert_eq!(exchange.sent, "GET / HTTP/1.1\ncookie: sid=•••\n\n••• and t0ken");
        assert_eq!(
            exchange.received,
            "HTTP/1.1 200 OK\n\n{\"password\":\"•••\"} t0k3n •••, and again •••, •••, ••• and a cut •••"
        );
        let told = &verdict.failures()[0];
        assert_eq!(told.message, "it said •••, ••• and •••");
        assert_eq!((told.expected.as_deref(), told.actual.as_deref()), (Some("token=•••"), Some("•••")));
    }

    #[test]
    fn what_is_private_is_in_no_test_case() {
        use crate::domain::outcome::{Case, Phases};
        let case = Case { name: String::new(), verdict: Some(Verdict::Failed(vec![failure()])), took_ms: 0.0 };
        let mut outcomes = [StepOutcome {
            name: StepName::parse("only").unwrap(),
            kind: "command".to_owned(),
            cleanup: false,
            verdict: None,
            offset_ms: 0.0,
            phases: Phases::default(),
            certificate_expires: None,
            status: None,
            late_ms: None,
            version: None,
            cases: vec![case],
        }];
        let mut verdict = Verdict::Failed(vec![failure()]);
        records(Telling::Failed).close(&mut verdict, &mut outcomes, &BTreeMap::new(), &NoSecrets);
        let told = outcomes[0].cases[0].verdict.as_ref().unwrap().failures();
        assert_eq!(told[0].message, "it said captured, ••• and •••");
    }

    #[test]
    fn an_ordinary_word_is_taken_out_only_where_it_stands() {
        let none = BTreeMap::new();
        let privately = Discretion::of(&none, &NoSecrets);
        let received = "set-cookie: theme=dark\n{\"token\":\"active\",\"pin\":\"20261124\"}".to_owned();
        let shown = privately.learn(Exchange { received, ..Exchange::default() });
        assert_eq!(shown.received, "set-cookie: theme=•••\n{\"token\":\"•••\",\"pin\":\"•••\"}");
        let told = "dark is active since 20261124";
        assert_eq!(privately.text(told), told);
    }

    #[test]
    fn a_value_is_private_where_its_path_says_so_and_numbers_are_not() {
        use crate::domain::expression::Part;
        let part = |expression: &str, value: &str| Part { expression: expression.to_owned(), value: value.to_owned() };
        let mut explanation = Explanation {
            expression: "json.access_token == headers[\"set-cookie\"] || json.tokens > 5".to_owned(),
            parts: vec![
                part("json.access_token", "\"abc\""),
                part("headers[\"set-cookie\"]", "\"sid=1\""),
                part("json.tokens", "4"),
                part("json.status", "\"ok\""),
            ],
            reason: None,
        };
        Discretion::of(&BTreeMap::new(), &NoSecrets).explanation(&mut explanation);
        let values: Vec<_> = explanation.parts.iter().map(|part| part.value.as_str()).collect();
        assert_eq!(values, [MARK, MARK, "4", "\"ok\""]);
    }
}
