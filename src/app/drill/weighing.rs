//! Judges the mutants of a probe, as the runner judges what a step really saw.

use std::collections::{BTreeMap, BTreeSet};

use super::suggestion;
use crate::app::wiring::KINDS;
use crate::domain::expression::{Expression, Names};
use crate::domain::mutant::breed::mutants;
use crate::domain::mutant::{Asked, Change, Form, Mutant, Place, Unnoticed};
use crate::domain::names::{ProbeName, StepName};
use crate::domain::outcome::{Cause, Failure, FailureKind, Observation, Run, Verdict};
use crate::engine::plan::{PlannedProbe, PlannedStep};
use crate::engine::playback::Playback;

/// A probe, and what came of its drill.
pub struct Drilled {
    /// The probe.
    pub probe: ProbeName,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a drill.
pub enum Outcome {
    /// Its steps, those of its cleanup last.
    Drilled(Vec<DrilledStep>),
    /// It is not well now, and why.
    Failing(String),
    /// It says something else when what it saw is played to it again, and what.
    Unsteady(String),
    /// Every step was skipped.
    Skipped,
    /// We could not look, and why.
    Blind(String),
}

/// What came of the drill of a step.
pub struct DrilledStep {
    /// The step.
    pub name: StepName,
    /// The kind it speaks.
    pub kind: &'static str,
    /// Whether it belongs to the cleanup.
    pub cleanup: bool,
    /// What became of each mutant.
    pub findings: Vec<Finding>,
    /// The places whose value changes by itself, which nobody is asked to notice.
    pub volatile: BTreeSet<Place>,
    /// What is explained and need not be: every mutant there is noticed, or there is none.
    pub idle: Vec<Unnoticed>,
    /// For places where something passes that nobody has explained: what to add that would notice it.
    pub suggestions: BTreeMap<Place, Suggestion>,
}

/// A line that would notice.
pub struct Suggestion {
    /// `expect` or `warn`.
    pub key: &'static str,
    /// The expression.
    pub expression: String,
}

/// What became of a mutant.
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What was made otherwise.
    pub change: Change,
    /// What noticed it, if anything did.
    pub noticed: Option<Noticed>,
    /// Why nothing has to.
    pub explained: Option<String>,
}

/// What noticed a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// As what sort of failure.
    pub kind: FailureKind,
    /// The expression, where it was one.
    pub expression: Option<String>,
    /// Whether it only degrades the run.
    pub warns: bool,
}

impl DrilledStep {
    /// What passes and is not explained.
    pub fn unexplained(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.noticed.is_none() && finding.explained.is_none())
    }

    /// What the target could say and would be noticed: not only that it says nothing.
    pub fn heeds_answers(&self) -> bool {
        let said = |finding: &&Finding| !matches!(finding.change, Change::Fails(_));
        self.findings.iter().filter(said).any(|finding| finding.noticed.is_some())
    }
}

/// Drills a probe that was well both times.
pub async fn drill(playback: &Playback, again: &BTreeMap<StepName, Observation>) -> Outcome {
    let usual = playback.play(None).await;
    if let Verdict::Failed(failures) = &usual.verdict {
        return Outcome::Unsteady(failures.first().map(ToString::to_string).unwrap_or_default());
    }
    let probe = &playback.probe;
    let mut steps = Vec::new();
    for (step, cleanup) in
        probe.steps.iter().map(|step| (step, false)).chain(probe.cleanup.iter().map(|step| (step, true)))
    {
        // What was skipped both times has nothing that could be otherwise.
        let (Some(seen), Some(again)) = (playback.seen.get(&step.name), again.get(&step.name)) else { continue };
        let names = KINDS.probers.iter().find(|kind| kind.name == step.kind).map(|kind| (kind.names)());
        let names = names.unwrap_or_default();
        let (mutants, volatile) = mutants(seen, again, &asked(probe, step, cleanup, &names));
        let mut drilled = DrilledStep {
            name: step.name.clone(),
            kind: step.kind,
            cleanup,
            findings: Vec::new(),
            volatile,
            idle: Vec::new(),
            suggestions: BTreeMap::new(),
        };
        let mut passed: BTreeMap<Place, Vec<Mutant>> = BTreeMap::new();
        for mutant in mutants {
            let Ok(noticed) = weigh(playback, &usual, step, seen, &mutant.forms).await else { continue };
            let explained = match &noticed {
                Some(_) => None,
                None => step.unnoticed.iter().find(|known| known.is_about(&mutant.place)),
            };
            let (place, change) = (mutant.place.clone(), mutant.change);
            if noticed.is_none() && explained.is_none() {
                passed.entry(place.clone()).or_default().push(mutant);
            }
            let explained = explained.map(|known| known.reason.clone());
            drilled.findings.push(Finding { place, change, noticed, explained });
        }
        drilled.idle = idle(step, &drilled.findings);
        let looks = suggestion::Looks { playback, step, seen, again, names: &names, volatile: &drilled.volatile };
        drilled.suggestions = passed
            .iter()
            .filter_map(|(place, mutants)| Some((place.clone(), looks.suggest(place, mutants)?)))
            .collect();
        steps.push(drilled);
    }
    Outcome::Drilled(steps)
}

/// Another step would have been performed, whose answer nobody has heard.
struct Unknown;

/// What noticed any form of a mutant, if anything did.
async fn weigh(
    playback: &Playback,
    usual: &Run,
    step: &PlannedStep,
    seen: &Observation,
    forms: &[Form],
) -> Result<Option<Noticed>, Unknown> {
    let mut known = Err(Unknown);
    for form in forms {
        let run = playback.play(Some((&step.name, &form.of(seen)))).await;
        match &run.verdict {
            Verdict::Inconclusive(Cause::Ours(_)) => {}
            verdict => {
                let noticed = noticed(&usual.verdict, verdict);
                if noticed.is_some() {
                    return Ok(noticed);
                }
                known = Ok(None);
            }
        }
    }
    known
}

/// The first failure that is not there when all is as usual.
fn noticed(usual: &Verdict, verdict: &Verdict) -> Option<Noticed> {
    let same = |a: &Failure, b: &Failure| (a.kind, &a.step, &a.expected) == (b.kind, &b.step, &b.expected);
    let new = |failure: &&Failure| !usual.failures().iter().any(|known| same(known, failure));
    let failure = verdict.failures().iter().find(new)?;
    let expression = failure.explanation.as_ref().map(|explanation| explanation.expression.clone());
    Some(Noticed { kind: failure.kind, expression, warns: matches!(verdict, Verdict::Degraded(_)) })
}

/// What the configuration asks of a step.
fn asked<'a>(probe: &PlannedProbe, step: &PlannedStep, cleanup: bool, names: &'a Names) -> Asked<'a> {
    let of_step = || step.expect.iter().chain(&step.warn);
    let of_whole = || probe.expect.iter().chain(&probe.warn);
    let whole = format!("steps.{}.", step.name);
    let mut paths: BTreeSet<String> = of_step().flat_map(Expression::references).map(str::to_owned).collect();
    let below = of_whole().flat_map(Expression::references).filter_map(|path| path.strip_prefix(&whole));
    paths.extend(below.map(str::to_owned));
    let captured: Vec<Place> = step.capture.iter().map(|capture| Place::from(&capture.path)).collect();
    let texts = of_step().chain(of_whole()).flat_map(Expression::texts).map(str::to_owned).collect();
    Asked { names, paths, texts, captured, cleanup }
}

/// Explanations of a step's own that explain nothing.
fn idle(step: &PlannedStep, findings: &[Finding]) -> Vec<Unnoticed> {
    let explains =
        |known: &Unnoticed| findings.iter().any(|finding| finding.noticed.is_none() && known.is_about(&finding.place));
    step.unnoticed.iter().filter(|known| known.written_at.is_some() && !explains(known)).cloned().collect()
}
