//! The steps of a probe, one after the other: each may use what those before it captured, and some are brought by other
//! probes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::kinds::{Parted, part};
use super::probes::{Made, ProbeMaker, WrittenProbe, check_budget};
use super::raw::{RawPath, RawStep};
use super::resolve;
use super::unnoticed::{self, RawUnnoticed};
use crate::domain::debt::Owing;
use crate::domain::expression::{Expression, Name, Names, Shape};
use crate::domain::names::{CaptureName, ProbeName, StepName};
use crate::domain::probe::{Capture, Step};
use crate::engine::plan::PlannedStep;
use crate::ports::{Building, Kind, Prober};
use crate::settings::{Node, OneOrMany, Problem, Problems, Scalar, Span, Spanned, Value, nearest, read, suggest};

const STEP_KEYS: &[&str] = &["name", "when", "expect", "warn", "capture", "timeout", "version", "unnoticed", "use"];

/// How many steps a run may have, those that are brought among them.
const STEPS_MAX: usize = 100;

/// The way through the steps of one probe so far.
pub struct Course<'a> {
    /// `each.…` of the probe.
    pub each: &'a serde_json::Value,
    /// What is made already, for what is brought.
    pub made: &'a Made,
    /// The names of steps, and where each was given.
    names: HashMap<StepName, Span>,
    captured: BTreeSet<CaptureName>,
    /// What was brought captures these, its cleanup among it and for that, and where it was brought.
    lent: BTreeMap<CaptureName, (ProbeName, Span)>,
    /// A step is not known, so that nothing that it may have captured is missing.
    open: bool,
    /// A step is broken, so that nothing that it may have seen is missing.
    lost: bool,
    /// What each step sees, for the expectations of the journey.
    pub seen: Vec<Name>,
    /// Who was brought, in their order, and where.
    pub used: Vec<(ProbeName, Span)>,
    /// What the cleanup needs.
    pub owing: Owing,
    /// What puts away what steps make that bring it themselves, the last of them first.
    pub put_away: Vec<PlannedStep>,
    /// The kinds of the steps that bring it, and where each stands.
    makers: HashMap<&'static str, Span>,
}

impl<'a> Course<'a> {
    /// The beginning.
    pub fn new(each: &'a serde_json::Value, made: &'a Made) -> Self {
        Self {
            each,
            made,
            names: HashMap::new(),
            captured: BTreeSet::new(),
            lent: BTreeMap::new(),
            open: false,
            lost: false,
            seen: Vec::new(),
            used: Vec::new(),
            owing: Owing::default(),
            put_away: Vec::new(),
            makers: HashMap::new(),
        }
    }

    /// Whether a step is not known.
    pub fn is_open(&self) -> bool {
        self.open || self.lost
    }

    /// What was captured by now.
    pub fn captured(&self) -> &BTreeSet<CaptureName> {
        &self.captured
    }

    /// What the expectations of the journey may name.
    pub fn whole(&self) -> Names {
        let steps = if self.is_open() { Shape::Any } else { Shape::fields(self.seen.iter().cloned()) };
        self.before_step()
            .with(Name::known("total_ms", Shape::Number, "how long the steps took, in milliseconds"))
            .with(Name::known("cleanup_debt", Shape::Number, "how many earlier runs are still to be cleaned up"))
            .with(Name::new("steps", steps, "what each step saw, by its name; a skipped step is absent"))
    }

    /// What an expression may name before its step has run.
    fn before_step(&self) -> Names {
        let text = |name: &str, about: &'static str| Name::new(name.to_owned(), Shape::Text, about);
        let captures = self.captured.iter().map(|name| text(name.as_str(), "a captured value, as text"));
        let captures = if self.open { Shape::Any } else { Shape::fields(captures) };
        let names = Names::new().with(Name::new("captures", captures, "what earlier steps captured"));
        match self.each.as_object() {
            None => names,
            Some(each) => {
                let fields = Shape::fields(each.keys().map(|name| text(name, "a field of `each`")));
                names.with(Name::new("each", fields, "the entry of `each` that made this probe"))
            }
        }
    }

    /// A step makes what is put away behind it. What it makes bears the id of the run, so no run has two of a kind.
    fn makes(&mut self, kind: &'static str, at: &Span, problems: &mut Problems) {
        if let Some(first) = self.makers.get(kind) {
            let message = format!("a second step of kind `{kind}` that makes something, which bears the id of the run");
            problems.push(
                Problem::error(at.clone(), message)
                    .with_also(first.clone(), "the first one")
                    .with_help("write another probe for it"),
            );
        } else {
            self.makers.insert(kind, at.clone());
        }
    }

    /// A step brings what puts away what it makes.
    fn bring_cleanup(&mut self, of: &Spanned<StepName>, kind: &'static str, action: Arc<dyn Prober>) {
        let name = StepName::parse(&format!("{}-cleanup", of.value)).unwrap_or_else(|_| of.value.clone());
        self.names.entry(name.clone()).or_insert_with(|| of.span.clone());
        let step = Step {
            name,
            kind,
            action,
            when: None,
            expect: Vec::new(),
            warn: Vec::new(),
            capture: Vec::new(),
            version: None,
            timeout: None,
            unnoticed: Vec::new(),
        };
        self.put_away.insert(0, step);
    }

    fn not_captured(&self, name: &CaptureName, at: Span) -> Problem {
        let problem = Problem::error(at, format!("no step before this one captures `{name}`"));
        let help = match nearest(name.as_str(), self.captured.iter().map(CaptureName::as_str)) {
            Some(meant) => format!("did you mean `{{{{{meant}}}}}`?"),
            None => format!("capture it in an earlier step: `capture: {{ {name}: json.{name} }}`"),
        };
        problem.with_help(help)
    }

    /// The name of a step that is brought: its own, with its probe's before it where that is taken.
    fn name_of(&self, used: &WrittenProbe, step: &PlannedStep) -> Option<StepName> {
        let probe = used.probe.name.as_str();
        // The one step of a probe without a list is known by the probe's name.
        let alone = (!used.probe.journey && !used.probe.cleanup.iter().any(|other| other.name == step.name))
            .then(|| StepName::parse(probe).ok())
            .flatten();
        let own = alone.unwrap_or_else(|| step.name.clone());
        let longer = || StepName::parse(&format!("{probe}-{own}")).ok();
        if self.names.contains_key(&own) { longer().filter(|name| !self.names.contains_key(name)) } else { Some(own) }
    }
}

/// A step as it is written, of a list or of a probe that is one.
pub struct Written<'a> {
    /// Its name.
    pub name: Spanned<StepName>,
    /// Its condition.
    pub when: Option<&'a Spanned<String>>,
    /// Its expectations.
    pub expect: &'a OneOrMany<Spanned<String>>,
    /// Its warnings.
    pub warn: &'a OneOrMany<Spanned<String>>,
    /// Its captures.
    pub capture: &'a BTreeMap<Spanned<CaptureName>, Spanned<RawPath>>,
    /// Where its target says which version it is.
    pub version: Option<&'a Spanned<RawPath>>,
    /// Its own limit.
    pub timeout: Option<Duration>,
    /// What of it nothing has to notice.
    pub unnoticed: &'a RawUnnoticed,
}

impl ProbeMaker<'_> {
    /// Makes the steps of a list.
    pub fn steps(
        &self,
        nodes: &[Node],
        course: &mut Course<'_>,
        cleanup: bool,
        problems: &mut Problems,
    ) -> Vec<PlannedStep> {
        let mut made = Vec::new();
        for node in nodes {
            if let Some(used) = node.get("use") {
                made.extend(bring(node, used, course, cleanup, problems));
                continue;
            }
            let parted = part("a step", node, None, self.kinds, STEP_KEYS, problems);
            let raw: Option<RawStep> = match &parted {
                Some(parted) => read(&parted.rest, problems),
                None => None,
            };
            let (Some(parted), Some(raw)) = (parted, raw) else {
                // What a broken step would have captured is not missing.
                course.captured.extend(captures_of(node));
                course.lost = true;
                continue;
            };
            if let Some(first) = course.names.insert(raw.name.value.clone(), raw.name.span.clone()) {
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
                version: raw.version.as_ref(),
                timeout: raw.timeout.as_ref().map(|limit| limit.value.0.0),
                unnoticed: &raw.unnoticed,
            };
            made.extend(self.step(&parted, &written, course, cleanup, problems));
        }
        made
    }

    /// Makes one step.
    pub fn step(
        &self,
        parted: &Parted<'_, Kind>,
        written: &Written<'_>,
        course: &mut Course<'_>,
        cleanup: bool,
        problems: &mut Problems,
    ) -> Option<PlannedStep> {
        for (name, at) in resolve::needs(&parted.settings).0 {
            if !course.captured.contains(&name) && !course.open {
                problems.push(course.not_captured(&name, at));
            }
            if cleanup {
                course.owing.add(name);
            }
        }
        let building = Building { cleanup, ..self.building.clone() };
        let before = course.before_step();
        let kind_names = (parted.kind.names)();
        let scope = kind_names.iter().fold(before.clone(), |names, name| names.with(name.clone()));
        let built = (parted.kind.build)(&parted.settings, &building, problems);

        let compile_all = |list: &OneOrMany<Spanned<String>>, problems: &mut Problems| -> Vec<Expression> {
            list.iter().filter_map(|text| compile(text, &scope, problems)).collect()
        };
        let expect = compile_all(written.expect, problems);
        let warn = compile_all(written.warn, problems);
        let when = written.when.and_then(|text| compile(text, &before, problems));
        if cleanup {
            when.iter().chain(&expect).chain(&warn).for_each(|expression| course.owing.add_expression(expression));
        } else {
            let facts = Shape::fields(kind_names.iter().cloned());
            course.seen.push(Name::new(written.name.value.to_string(), facts, "a step"));
        }
        for path in written.capture.values().chain(written.version) {
            let root = path.value.0.root.as_str();
            if scope.get(root).is_none() {
                let help = suggest(root, kind_names.iter().map(|name| name.name.as_ref()));
                problems
                    .error(path.span.clone(), format!("a step of kind `{}` sees no `{root}`", parted.kind.name))
                    .help = help;
            }
        }
        let mut capture = Vec::new();
        for (name, path) in written.capture {
            if let Some((lender, at)) = course.lent.get(&name.value) {
                problems.push(
                    Problem::error(
                        name.span.clone(),
                        format!("`{}` is what the probe `{lender}` cleans up with", name.value),
                    )
                    .with_also(at.clone(), "brought here")
                    .with_help("capture it by another name"),
                );
            }
            capture.push(Capture { name: name.value.clone(), path: path.value.0.clone() });
            course.captured.insert(name.value.clone());
        }
        let unnoticed = unnoticed::of_step(written.unnoticed, self.unnoticed, parted.kind, problems);
        let built = built?;
        if let Some(action) = built.prober.cleanup() {
            course.makes(parted.kind.name, &written.name.span, problems);
            course.bring_cleanup(&written.name, parted.kind.name, action);
        }
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
            version: written.version.map(|path| path.value.0.clone()),
            timeout: written.timeout,
            unnoticed,
        })
    }
}

/// The steps of another probe, as they are there, with their captures.
fn bring(
    node: &Node,
    used: &Node,
    course: &mut Course<'_>,
    cleanup: bool,
    problems: &mut Problems,
) -> Vec<PlannedStep> {
    let at = used.span.clone();
    let known = course.open;
    // Until it is known to be well, nothing that comes of it is missing.
    course.open = true;
    if cleanup {
        problems.error(at, "a probe is used among the steps, and its cleanup comes with it").help =
            Some("move it to `steps`".to_owned());
        return Vec::new();
    }
    for other in node.entries().iter().filter(|entry| entry.key.text != "use") {
        problems.error(other.key.span.clone(), format!("`{}` stands beside `use`", other.key.text)).help =
            Some("the steps that are brought are as their own probe says".to_owned());
    }
    let Value::Text(Scalar { text, .. }) = &used.value else {
        if !matches!(used.value, Value::Broken) {
            problems.error(at, "`use` takes the name of a probe").help = Some("write it like `use: login`".to_owned());
        }
        return Vec::new();
    };
    let Some(found) = course.made.find(text, &at, problems) else { return Vec::new() };
    let name = &found.probe.name;
    if course.used.iter().any(|(used, _)| used == name) {
        problems.error(at, format!("`{name}` is used twice")).help = Some("a journey uses a probe once".to_owned());
        return Vec::new();
    }
    course.open = known;
    if found.open {
        course.open = true;
    }
    if found.probe.steps.len() + course.seen.len() > STEPS_MAX {
        problems.error(at, format!("with `{name}` these are more than {STEPS_MAX} steps"));
        return Vec::new();
    }
    // Whoever cleans up later would find what the other captured in the place of its own.
    let captures = found.probe.steps.iter().chain(&found.probe.cleanup).flat_map(|step| &step.capture);
    let captures: BTreeSet<_> = captures.map(|capture| &capture.name).collect();
    for capture in &captures {
        if (course.captured.contains(*capture) || course.lent.contains_key(*capture)) && !course.open {
            let message = format!("`{name}` captures `{capture}`, as a step before it does");
            problems.error(at.clone(), message).help = Some("capture it by another name".to_owned());
        }
    }
    for step in found.probe.steps.iter().filter(|step| step.action.cleanup().is_some()) {
        course.makes(step.kind, &at, problems);
    }
    let mut renamed = Vec::new();
    for (step, seen) in found.probe.steps.iter().zip(&found.seen) {
        let Some(own) = course.name_of(found, step) else {
            problems.push(once_more(name, step, &at));
            return renamed;
        };
        course.names.insert(own.clone(), at.clone());
        course.seen.push(Name { name: own.to_string().into(), ..seen.clone() });
        renamed.push(Step { name: own, ..step.clone() });
    }
    course.captured.extend(found.captured.iter().cloned());
    course.lent.extend(captures.into_iter().map(|lent| (lent.clone(), (name.clone(), at.clone()))));
    course.used.push((name.clone(), at));
    renamed
}

fn once_more(name: &ProbeName, step: &PlannedStep, at: &Span) -> Problem {
    Problem::error(at.clone(), format!("`{name}` brings a step named `{}` once more", step.name))
        .with_help("give the step another name there, or here")
}

/// What cleans up after the probes that were used, the last of them first.
pub fn brought_cleanup(course: &mut Course<'_>, problems: &mut Problems) -> Vec<PlannedStep> {
    let mut brought = Vec::new();
    for (name, at) in course.used.clone().iter().rev() {
        let Some(used) = course.made.probes.get(name) else { continue };
        for step in &used.probe.cleanup {
            let Some(own) = course.name_of(used, step) else {
                problems.push(once_more(name, step, at));
                break;
            };
            course.names.insert(own.clone(), at.clone());
            brought.push(Step { name: own, ..step.clone() });
        }
        course.owing.merge(&used.probe.owing);
    }
    brought
}

/// Compiles an expression where it is written.
pub fn compile(text: &Spanned<String>, names: &Names, problems: &mut Problems) -> Option<Expression> {
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

impl Made {
    /// The probe that is to be used; a mistake where there is none, or none that can be used.
    fn find(&self, text: &str, at: &Span, problems: &mut Problems) -> Option<&WrittenProbe> {
        let found = ProbeName::parse(text).ok().and_then(|name| self.probes.get(&name));
        if self.expanded.contains(text) || found.is_some_and(|probe| !probe.probe.each.is_null()) {
            problems.error(at.clone(), format!("`{text}` is made of an entry of `each`, and cannot be used")).help =
                Some("write its steps as a probe without `each`".to_owned());
            return None;
        }
        if found.is_none() && !self.lost && !self.all.contains(text) {
            let names = self.all.iter().filter(|name| !name.contains('@')).map(String::as_str);
            problems.error(at.clone(), format!("there is no probe `{text}`")).help =
                suggest(text, names.collect::<Vec<_>>());
        }
        found
    }
}
