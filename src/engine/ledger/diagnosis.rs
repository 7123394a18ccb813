//! What is looked at because an incident opens: probes that run once, off the slots, and whose findings are attached to it.
//! Whoever is paged does not wait for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Ledger, first_words, moment, watched};
use crate::domain::exchange::Bundle;
use crate::domain::incident::{Finding, Incident, IncidentId};
use crate::domain::judge::Aspect;
use crate::domain::names::ProbeName;
use crate::domain::outcome::{Extra, Run};
use crate::domain::time::{Timestamp, between};
use crate::engine::scheduler::extras::{ExtraRun, Refusal};
use crate::ports::{Commit, Diagnosis};

/// How many incidents one run may explain: of a storm the first are enough, and each keeps a copy.
const EXPLAINED_MAX: usize = 16;

/// An incident that is older when the process starts is not diagnosed any more: what is seen now may be something else.
const FRESH: Duration = Duration::from_secs(600);

/// The longest finding, in characters: messages have it as one fact among others.
const TEXT_MAX: usize = 300;

/// A run that was asked for so long ago and has not come was lost on the way.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// Which incidents wait for which probes.
#[derive(Default)]
pub struct Waiting(BTreeMap<ProbeName, Asked>);

/// A run that is on its way.
struct Asked {
    at: Timestamp,
    incidents: Vec<IncidentId>,
}

impl Waiting {
    /// An incident waits for a probe; says whether a run is to be asked for, since one may be on its way.
    fn add(&mut self, probe: &ProbeName, incident: &IncidentId, now: Timestamp) -> bool {
        let is_new = !self.0.contains_key(probe);
        let asked = self.0.entry(probe.clone()).or_insert_with(|| Asked { at: now, incidents: Vec::new() });
        if asked.incidents.len() < EXPLAINED_MAX && !asked.incidents.contains(incident) {
            asked.incidents.push(incident.clone());
        }
        let is_lost = between(asked.at, now) >= LOST_AFTER;
        if is_lost {
            asked.at = now;
        }
        is_new || is_lost
    }

    /// Those that wait for a probe wait no longer.
    fn take(&mut self, probe: &ProbeName) -> Vec<IncidentId> {
        self.0.remove(probe).map(|asked| asked.incidents).unwrap_or_default()
    }

    /// An incident waits no longer.
    pub fn forget(&mut self, incident: &IncidentId) {
        for asked in self.0.values_mut() {
            asked.incidents.retain(|known| known != incident);
        }
        self.0.retain(|_, asked| !asked.incidents.is_empty());
    }
}

impl Ledger {
    /// Asks for what is to be looked at because an incident has opened. That we cannot look is not looked at.
    pub(super) fn diagnose(&mut self, incident: &Incident, now: Timestamp) {
        if incident.aspect == Aspect::Blind {
            return;
        }
        let plan = Arc::clone(&self.plan);
        let of_probe = plan.probes.get(&incident.probe).map(|probe| probe.diagnose.as_slice()).unwrap_or_default();
        let of_alerts = incident.firing.keys().filter_map(|schedule| watched(&self.rounds, schedule, &incident.probe));
        for probe in of_probe.iter().chain(of_alerts.flat_map(|(_, policy)| &policy.diagnose)) {
            let is_known = incident.findings.iter().any(|finding| finding.probe == *probe);
            if !is_known && self.waiting.add(probe, &incident.id, now) {
                self.wanted.push(ExtraRun { schedule: None, probe: probe.clone(), why: Extra::Diagnosis, id: None });
            }
        }
    }

    /// Asks again for what the process before this one may not have lived to see.
    pub(super) fn diagnose_again(&mut self, now: Timestamp) {
        let fresh = self.open.iter().filter(|(_, incident)| between(incident.opened_at, now) < FRESH);
        for incident in fresh.map(|(_, incident)| incident.clone()).collect::<Vec<_>>() {
            self.diagnose(&incident, now);
        }
    }

    /// Attaches what a probe saw to the incidents that wait for it. Where a run of it went on already when it was wanted,
    /// the next that ends serves as well.
    pub(super) fn take_diagnosis(
        &mut self,
        run: &Run,
        bundle: Option<&Arc<Bundle>>,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        for id in self.waiting.take(&run.probe) {
            let Some(of) = self.open.of_id(&id) else { continue };
            let Some(mut incident) = self.open.remove(&of) else { continue };
            let finding = Finding {
                probe: run.probe.clone(),
                verdict: run.verdict.word().to_owned(),
                text: cut(&seen(run, bundle)),
            };
            commit.moments.push(moment(&incident, now, "diagnosed", finding.to_string()));
            incident.findings.push(finding.clone());
            commit.put_incident(incident.clone());
            self.open.insert(of, incident);
            commit.diagnoses.push(Diagnosis {
                incident: id,
                run: run.id.clone(),
                started_at: run.started_at,
                finding,
                bundle: bundle.cloned().unwrap_or_default(),
            });
        }
    }

    /// There is no such run. Where one of the probe goes on, that is waited for.
    pub(super) fn diagnosis_is_refused(
        &mut self,
        probe: &ProbeName,
        refusal: Refusal,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let why = match refusal {
            Refusal::Busy => return,
            Refusal::Gone => "there is no such probe any more",
            Refusal::Paused => "it is paused",
            Refusal::Slot | Refusal::Saturated => "no permit came free in time",
        };
        for id in self.waiting.take(probe) {
            if let Some(incident) = self.open.of_id(&id).and_then(|of| self.open.get(&of)) {
                let text = format!("{probe} did not look: {why}");
                commit.moments.push(moment(incident, now, "undiagnosed", text));
            }
        }
    }
}

/// What a run saw: why it is not passed, else the values that its assertions are about.
fn seen(run: &Run, bundle: Option<&Arc<Bundle>>) -> String {
    let failed = first_words(&run.verdict);
    if !failed.is_empty() {
        return failed;
    }
    let assertions = bundle.into_iter().flat_map(|bundle| &bundle.steps).flat_map(|step| &step.assertions);
    let mut values: Vec<String> = Vec::new();
    for part in assertions.flat_map(|assertion| &assertion.explanation.parts) {
        let value = format!("{} was {}", part.expression, part.value);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values.join(", ")
}

fn cut(text: &str) -> String {
    let mut kept: String = text.chars().take(TEXT_MAX).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}
