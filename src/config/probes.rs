//! Probes as written become probes as they run: expanded, resolved, their kinds built, their expressions compiled.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::each::Expanded;
use super::kinds::{Parted, part};
use super::raw::{RawAlert, RawLength, RawProbe, RawStep};
use super::resolve::{self, identity};
use crate::domain::expression::{Expression, Name, Names, Shape};
use crate::domain::incident::Severity;
use crate::domain::judge::{After, AlertPolicy};
use crate::domain::names::{CaptureName, ProbeName, ScheduleName, SecretName, StepName};
use crate::domain::probe::{Capture, Labels, Step};
use crate::engine::plan::PlannedProbe;
use crate::ports::{Building, Kind, Prober};
use crate::settings::{Key, Node, OneOrMany, Problem, Problems, Scalar, Span, Spanned, Value, nearest, read, suggest};

/// The budget of the cleanup of a probe that names none.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(5);

const STEP_KEYS: &[&str] = &["name", "when", "expect", "warn", "capture", "timeout"];
const PROBE_KEYS: &[&str] = &[
    "labels",
    "runbook",
    "needs",
    "schedule",
    "on_request",
    "timeout",
    "cleanup_timeout",
    "alert",
    "steps",
    "cleanup",
    "each",
    "expect",
    "warn",
];

/// A probe with what the files say around it.
pub struct WrittenProbe {
    /// The probe.
    pub probe: Arc<PlannedProbe>,
    /// Where its name is written.
    pub key: Key,
    /// Its budget, where it names one.
    pub timeout: Option<Spanned<Duration>>,
    /// The probes that it needs.
    pub needs: Vec<Spanned<ProbeName>>,
    /// The schedule that it joins by itself.
    pub schedule: Option<Spanned<ScheduleName>>,
    /// The secrets that it uses.
    pub secrets: BTreeSet<SecretName>,
    /// Its resolved text, to see whether a reload changed it.
    pub identity: String,
}

/// What probes are made with.
pub struct ProbeMaker<'a> {
    /// The table of kinds.
    pub kinds: &'static [Kind],
    /// What builders need.
    pub building: &'a Building,
    /// Labels that every probe has unless it says otherwise.
    pub labels: &'a BTreeMap<String, String>,
}

impl ProbeMaker<'_> {
    /// Makes one probe; what is wrong with it goes to the problems.
    pub fn make(&self, expanded: &Expanded, problems: &mut Problems) -> Option<WrittenProbe> {
        let Expanded { name, key, node, each } = expanded;
        let journey = node.get("steps").is_some();
        let (rest, single) = if journey {
            (self.without_kinds(node, problems), None)
        } else {
            let parted = part("a probe", node, Some(key), self.kinds, PROBE_KEYS, problems)?;
            (parted.rest.clone(), Some(parted))
        };
        let raw: RawProbe = read(&rest, problems)?;
        let mut captured = BTreeSet::new();
        let mut names = HashMap::new();
        let steps = match (single, &raw.steps) {
            (Some(parted), _) => {
                let name = StepName::parse(parted.kind.name).ok()?;
                let written = Written {
                    name: Spanned { value: name, span: key.span.clone() },
                    when: None,
                    expect: &raw.expect,
                    warn: &raw.warn,
                    capture: &BTreeMap::new(),
                    timeout: None,
                };
                self.step(&parted, &written, each, &mut captured, false, problems).into_iter().collect()
            }
            (None, Some(steps)) => {
                if steps.value.is_empty() {
                    problems.error(steps.span.clone(), "a journey needs at least one step");
                }
                for expression in raw.expect.iter().chain(raw.warn.iter()) {
                    problems.error(expression.span.clone(), "a journey's expectations stand in its steps").help =
                        Some("move it to the step whose answer it reads".to_owned());
                }
                self.steps(&steps.value, each, &mut names, &mut captured, false, problems)
            }
            (None, None) => {
                let steps = node.entries().iter().find(|entry| entry.key.text == "steps");
                // A list that is wrong was reported.
                if let Some(empty) = steps.filter(|entry| matches!(entry.value.value, Value::Null)) {
                    problems.error(empty.key.span.clone(), "a journey needs at least one step");
                }
                Vec::new()
            }
        };
        let cleanup = self.steps(&raw.cleanup, each, &mut names, &mut captured, true, problems);
        let mut labels: Labels = self.labels.clone();
        labels.extend(raw.labels.clone());
        check_labels(node.get("labels"), problems);
        let timeout = raw.timeout.as_ref().map(|limit| Spanned { value: limit.value.0.0, span: limit.span.clone() });
        for limit in [&raw.timeout, &raw.cleanup_timeout] {
            check_budget(limit.as_ref(), problems);
        }
        if let Some(schedule) = raw.schedule.as_ref().filter(|_| raw.on_request) {
            problems.error(schedule.span.clone(), "a probe that runs only on request has no schedule").help =
                Some("remove `schedule` or `on_request`".to_owned());
        }
        let (_, secrets) = resolve::needs(node);
        let probe = PlannedProbe {
            name: name.clone(),
            labels,
            runbook: raw.runbook.clone(),
            needs: raw.needs.iter().map(|needed| needed.value.clone()).collect(),
            on_request: raw.on_request,
            steps,
            cleanup,
            timeout: timeout.as_ref().map(|limit| limit.value),
            cleanup_timeout: raw.cleanup_timeout.as_ref().map_or(CLEANUP_TIMEOUT, |limit| limit.value.0.0),
            each: each.clone(),
            alert: raw.alert.as_ref().and_then(|alert| policy(alert, problems)),
            journey,
        };
        Some(WrittenProbe {
            probe: Arc::new(probe),
            key: key.clone(),
            timeout,
            needs: raw.needs.0,
            schedule: raw.schedule,
            secrets,
            identity: identity(node),
        })
    }

    /// A journey has its kinds in its steps; a kind beside `steps` is a mistake, and a frequent one.
    fn without_kinds(&self, node: &Node, problems: &mut Problems) -> Node {
        let Value::Map(entries) = &node.value else { return node.clone() };
        let (kinds, rest): (Vec<_>, Vec<_>) =
            entries.iter().cloned().partition(|entry| self.kinds.iter().any(|kind| kind.name == entry.key.text));
        for entry in kinds {
            problems.error(entry.key.span.clone(), format!("`{}` stands beside `steps`", entry.key.text)).help =
                Some("make it a step of the journey".to_owned());
        }
        Node { span: node.span.clone(), value: Value::Map(rest) }
    }

    fn steps(
        &self,
        nodes: &[Node],
        each: &serde_json::Value,
        names: &mut HashMap<StepName, Span>,
        captured: &mut BTreeSet<CaptureName>,
        cleanup: bool,
        problems: &mut Problems,
    ) -> Vec<Step<Arc<dyn Prober>>> {
        let mut made = Vec::new();
        for node in nodes {
            let parted = part("a step", node, None, self.kinds, STEP_KEYS, problems);
            let raw: Option<RawStep> = match &parted {
                Some(parted) => read(&parted.rest, problems),
                None => None,
            };
            let (Some(parted), Some(raw)) = (parted, raw) else {
                // What a broken step would have captured is not missing.
                captured.extend(captures_of(node));
                continue;
            };
            if let Some(first) = names.insert(raw.name.value.clone(), raw.name.span.clone()) {
                problems.push(
                    Problem::error(raw.name.span.clone(), format!("there are two steps named `{}`", raw.name.value))
                        .with_also(first, "the first one"),
                );
            }
            check_budget(raw.timeout.as_ref(), problems);
            let written = Written {
                name: raw.name,
                when: raw.when.as_ref(),
                expect: &raw.expect,
                warn: &raw.warn,
                capture: &raw.capture,
                timeout: raw.timeout.as_ref().map(|limit| limit.value.0.0),
            };
            made.extend(self.step(&parted, &written, each, captured, cleanup, problems));
        }
        made
    }

    fn step(
        &self,
        parted: &Parted<'_, Kind>,
        written: &Written<'_>,
        each: &serde_json::Value,
        captured: &mut BTreeSet<CaptureName>,
        cleanup: bool,
        problems: &mut Problems,
    ) -> Option<Step<Arc<dyn Prober>>> {
        for (name, at) in resolve::needs(&parted.settings).0 {
            if !captured.contains(&name) {
                problems.push(not_captured(&name, at, captured));
            }
        }
        let building = Building { cleanup, ..self.building.clone() };
        let before = before_step(each, captured);
        let scope = parted.kind_names().iter().fold(before.clone(), |names, name| names.with(name.clone()));
        let built = (parted.kind.build)(&parted.settings, &building, problems);

        let compile_all = |list: &OneOrMany<Spanned<String>>, problems: &mut Problems| -> Vec<Expression> {
            list.iter().filter_map(|text| compile(text, &scope, problems)).collect()
        };
        let expect = compile_all(written.expect, problems);
        let warn = compile_all(written.warn, problems);
        let when = written.when.and_then(|text| compile(text, &before, problems));
        let mut capture = Vec::new();
        for (name, path) in written.capture {
            let root = path.value.0.root.as_str();
            if scope.get(root).is_none() {
                let names = (parted.kind.names)();
                let help = suggest(root, names.iter().map(|name| name.name.as_ref()));
                problems
                    .error(path.span.clone(), format!("a step of kind `{}` sees no `{root}`", parted.kind.name))
                    .help = help;
            }
            capture.push(Capture { name: name.value.clone(), path: path.value.0.clone() });
            captured.insert(name.value.clone());
        }
        let built = built?;
        let implied =
            built.implied.iter().filter(|implied| !expect.iter().any(|e| e.mentions(implied.unless_mentioned)));
        let implied = implied.filter_map(|implied| match Expression::compile(implied.expect, &scope) {
            Ok(expression) => Some(expression),
            Err(error) => {
                tracing::error!(kind = parted.kind.name, "an implied expectation does not compile: {error}");
                None
            }
        });
        let mut expectations: Vec<_> = implied.collect();
        expectations.extend(expect);
        Some(Step {
            name: written.name.value.clone(),
            kind: parted.kind.name,
            action: built.prober,
            when,
            expect: expectations,
            warn,
            capture,
            timeout: written.timeout,
        })
    }
}

impl Parted<'_, Kind> {
    fn kind_names(&self) -> Vec<Name> {
        (self.kind.names)().iter().cloned().collect()
    }
}

struct Written<'a> {
    name: Spanned<StepName>,
    when: Option<&'a Spanned<String>>,
    expect: &'a OneOrMany<Spanned<String>>,
    warn: &'a OneOrMany<Spanned<String>>,
    capture: &'a BTreeMap<Spanned<CaptureName>, Spanned<super::raw::RawPath>>,
    timeout: Option<Duration>,
}

/// What an expression may name before its step has run.
fn before_step(each: &serde_json::Value, captured: &BTreeSet<CaptureName>) -> Names {
    let text = |name: &str, about: &'static str| Name::new(name.to_owned(), Shape::Text, about);
    let captures = Shape::fields(captured.iter().map(|name| text(name.as_str(), "a captured value, as text")));
    let names = Names::new().with(Name::new("captures", captures, "what earlier steps captured"));
    match each.as_object() {
        None => names,
        Some(each) => {
            let fields = Shape::fields(each.keys().map(|name| text(name, "a field of `each`")));
            names.with(Name::new("each", fields, "the entry of `each` that made this probe"))
        }
    }
}

fn compile(text: &Spanned<String>, names: &Names, problems: &mut Problems) -> Option<Expression> {
    match Expression::compile(&text.value, names) {
        Ok(expression) => Some(expression),
        Err(error) => {
            let scalar = Scalar::new(text.value.clone(), !text.span.text().starts_with(['"', '\'', '|', '>']));
            let node = Node { span: text.span.clone(), value: Value::Text(scalar) };
            let span = if error.span.is_empty() { text.span.clone() } else { resolve::part(&node, error.span.clone()) };
            problems.error(span, error.message).help = error.help;
            None
        }
    }
}

fn captures_of(step: &Node) -> Vec<CaptureName> {
    let capture = step.get("capture").map(Node::entries).unwrap_or_default();
    capture.iter().filter_map(|entry| CaptureName::parse(&entry.key.text).ok()).collect()
}

fn not_captured(name: &CaptureName, at: Span, captured: &BTreeSet<CaptureName>) -> Problem {
    let problem = Problem::error(at, format!("no step before this one captures `{name}`"));
    let help = match nearest(name.as_str(), captured.iter().map(CaptureName::as_str)) {
        Some(meant) => format!("did you mean `{{{{{meant}}}}}`?"),
        None => format!("capture it in an earlier step: `capture: {{ {name}: json.{name} }}`"),
    };
    problem.with_help(help)
}

/// A limit of nothing lets nothing run.
pub fn check_budget(limit: Option<&Spanned<RawLength>>, problems: &mut Problems) {
    if let Some(zero) = limit.filter(|limit| limit.value.0.0.is_zero()) {
        problems.error(zero.span.clone(), "a budget of nothing lets nothing run").help =
            Some("write a length like `10s`, or remove the key".to_owned());
    }
}

/// The names of the labels that are written in a mapping.
pub fn check_labels(written: Option<&Node>, problems: &mut Problems) {
    let is_name = |key: &str| {
        key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !key.starts_with("__")
    };
    for key in written.map(Node::entries).unwrap_or_default().iter().map(|entry| &entry.key) {
        if !is_name(&key.text) {
            problems.error(key.span.clone(), format!("the label `{}` is not a name", key.text)).help =
                Some("labels have letters, digits and `_`, and begin with a letter, or with one `_`".to_owned());
        }
    }
}

/// The policy of an alert as written.
pub fn policy(alert: &RawAlert, problems: &mut Problems) -> Option<AlertPolicy> {
    let recover = match &alert.recover {
        None => 1,
        Some(recover) if (1..=crate::domain::judge::WINDOW_MAX).contains(&recover.value) => recover.value,
        Some(recover) => {
            problems.error(
                recover.span.clone(),
                format!("`recover` takes 1 to {} passes", crate::domain::judge::WINDOW_MAX),
            );
            return None;
        }
    };
    Some(AlertPolicy {
        after: alert.after.map_or_else(After::default, |after| after.0),
        recover,
        severity: alert.severity.unwrap_or(Severity::P3),
    })
}
