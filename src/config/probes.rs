//! Probes as written become probes as they run: expanded, resolved, their kinds built, their expressions compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::alerts::{policy, recheck};
use super::each::Expanded;
use super::kinds::part;
use super::raw::{RawLength, RawProbe};
use super::resolve::{self, identity};
use super::steps::{Course, Written, brought_cleanup, compile};
use super::unnoticed::RawUnnoticed;
use crate::domain::expression::{Expression, Name};
use crate::domain::names::{CaptureName, ChannelName, ProbeName, ScheduleName, SecretName, StepName};
use crate::domain::probe::Labels;
use crate::engine::plan::PlannedProbe;
use crate::ports::{Building, Kind};
use crate::settings::{Key, Node, OneOrMany, Problems, Span, Spanned, Value, read};

/// The budget of the cleanup of a probe that names none.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(5);

const PROBE_KEYS: &[&str] = &[
    "labels",
    "runbook",
    "needs",
    "diagnose",
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
    "version",
    "unnoticed",
];

/// A probe with what the files say around it.
pub struct WrittenProbe {
    /// The probe.
    pub probe: Arc<PlannedProbe>,
    /// Where its name is written.
    pub key: Key,
    /// Its whole definition.
    pub whole: Span,
    /// Its budget, where it names one.
    pub timeout: Option<Spanned<Duration>>,
    /// Where its own alert says how soon it is run again.
    pub recheck: Option<Spanned<Duration>>,
    /// The probes that it needs.
    pub needs: Vec<Spanned<ProbeName>>,
    /// The probes that explain its incidents, those of its alert among them.
    pub diagnose: Vec<Spanned<ProbeName>>,
    /// Where its runbook is.
    pub runbook: Option<Spanned<String>>,
    /// The schedule that it joins by itself.
    pub schedule: Option<Spanned<ScheduleName>>,
    /// The secrets that it uses.
    pub secrets: BTreeSet<SecretName>,
    /// Its resolved text, to see whether a reload changed it.
    pub identity: String,
    /// The probes whose steps it brings.
    pub uses: Vec<ProbeName>,
    /// What each of its steps sees, in their order.
    pub seen: Vec<Name>,
    /// What they capture, and not its cleanup.
    pub captured: BTreeSet<CaptureName>,
    /// Something that it brings is not known, so nothing that might come of it is missing.
    pub open: bool,
}

/// The probes that are made by now, and those that will be.
#[derive(Default)]
pub struct Made {
    /// By name.
    pub probes: BTreeMap<ProbeName, WrittenProbe>,
    /// Names that have a mistake.
    pub broken: BTreeSet<String>,
    /// Every name that is written, whether it is well or not.
    pub all: BTreeSet<String>,
    /// Those of them that stand for one probe for each entry of their `each`.
    pub expanded: BTreeSet<String>,
    /// A file could not be read, so that a name that is not there may be in it.
    pub lost: bool,
}

/// What probes are made with.
pub struct ProbeMaker<'a> {
    /// The table of kinds.
    pub kinds: &'static [Kind],
    /// What builders need.
    pub building: &'a Building,
    /// Labels that every probe has unless it says otherwise.
    pub labels: &'a BTreeMap<String, String>,
    /// What of any step nothing has to notice.
    pub unnoticed: &'a RawUnnoticed,
    /// The channels; none where the file that declares them could not be read.
    pub channels: Option<&'a BTreeSet<ChannelName>>,
}

impl ProbeMaker<'_> {
    /// Makes one probe, after those that it uses; what is wrong with it goes to the problems.
    pub fn make(&self, expanded: &Expanded, made: &Made, problems: &mut Problems) -> Option<WrittenProbe> {
        let Expanded { name, key, whole: written, node, each } = expanded;
        let journey = node.get("steps").is_some();
        if let Some(used) = node.get("use").filter(|_| !journey) {
            problems.error(used.span.clone(), "`use` stands in the steps of a journey").help =
                Some(format!("write `steps: [{{ use: {} }}]`", used.span.text()));
            return None;
        }
        let (rest, single) = if journey {
            (self.without_kinds(node, problems), None)
        } else {
            let parted = part("a probe", node, Some(key), self.kinds, PROBE_KEYS, problems)?;
            (parted.rest.clone(), Some(parted))
        };
        let raw: RawProbe = read(&rest, problems)?;
        let mut course = Course::new(each, made);
        let steps = match (single, &raw.steps) {
            (Some(parted), _) => {
                let name = StepName::parse(parted.kind.name).ok()?;
                let written = Written {
                    name: Spanned { value: name, span: key.span.clone() },
                    when: None,
                    expect: &raw.expect,
                    warn: &raw.warn,
                    capture: &BTreeMap::new(),
                    version: raw.version.as_ref(),
                    timeout: None,
                    unnoticed: &raw.unnoticed,
                };
                self.step(&parted, &written, &mut course, false, problems).into_iter().collect()
            }
            (None, Some(steps)) => {
                if steps.value.is_empty() {
                    problems.error(steps.span.clone(), "a journey needs at least one step");
                }
                self.steps(&steps.value, &mut course, false, problems)
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
        if let Some(version) = raw.version.as_ref().filter(|_| journey) {
            problems.error(version.span.clone(), "the version of a journey stands in one of its steps").help =
                Some("move it to the step whose answer says it".to_owned());
        }
        if let Some(pattern) = raw.unnoticed.keys().next().filter(|_| journey) {
            problems.error(pattern.span.clone(), "what of a journey is not noticed stands in its steps").help =
                Some("move it to the step that sees it".to_owned());
        }
        let whole = course.whole();
        let of_journey = |list: &OneOrMany<Spanned<String>>, problems: &mut Problems| -> Vec<Expression> {
            list.iter().filter(|_| journey).filter_map(|text| compile(text, &whole, problems)).collect()
        };
        let (expect, warn) = (of_journey(&raw.expect, problems), of_journey(&raw.warn, problems));
        // What the cleanup captures comes too late for who uses these steps.
        let captured = course.captured().clone();
        let mut cleanup = self.steps(&raw.cleanup, &mut course, true, problems);
        cleanup.append(&mut course.put_away);
        // Ours first: it may stand on what was brought, as a thing does on the session in which it was made.
        cleanup.extend(brought_cleanup(&mut course, problems));
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
            runbook: raw.runbook.as_ref().map(|runbook| runbook.value.clone()),
            needs: raw.needs.iter().map(|needed| needed.value.clone()).collect(),
            diagnose: raw.diagnose.iter().map(|probe| probe.value.clone()).collect(),
            on_request: raw.on_request,
            steps,
            expect,
            warn,
            cleanup,
            owing: course.owing.clone(),
            timeout: timeout.as_ref().map(|limit| limit.value),
            cleanup_timeout: raw.cleanup_timeout.as_ref().map_or(CLEANUP_TIMEOUT, |limit| limit.value.0.0),
            each: each.clone(),
            alert: raw.alert.as_ref().and_then(|alert| policy(alert, self.channels, problems)).map(Box::new),
            journey,
        };
        Some(WrittenProbe {
            probe: Arc::new(probe),
            key: key.clone(),
            whole: written.clone(),
            timeout,
            recheck: raw.alert.as_ref().and_then(recheck),
            needs: raw.needs.0,
            diagnose: raw
                .diagnose
                .0
                .into_iter()
                .chain(raw.alert.into_iter().flat_map(|alert| alert.diagnose.0))
                .collect(),
            runbook: raw.runbook,
            schedule: raw.schedule,
            secrets,
            identity: Self::identity(node, &course),
            captured,
            open: course.is_open(),
            uses: course.used.into_iter().map(|(name, _)| name).collect(),
            seen: course.seen,
        })
    }

    /// With what it brings: who changes that changes this.
    fn identity(node: &Node, course: &Course<'_>) -> String {
        let used = course.used.iter().filter_map(|(name, _)| course.made.probes.get(name));
        used.fold(identity(node), |text, used| format!("{text} {}", used.identity))
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
