//! Whether it is we who see nothing. What many runs say of the network goes above what each of them says of its target: where
//! the machine is cut off their verdicts are inconclusive, and there is one incident, "Roundsman has no network".

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::Ledger;
use crate::domain::flapping::Flap;
use crate::domain::incident::Incident;
use crate::domain::judge::{AlertKey, AlertState, Aspect};
use crate::domain::names::ProbeName;
use crate::domain::network::{Change, DOUBT_MAX, HOSTS_MIN, Network, Sight, is_here, may_be_ours};
use crate::domain::outcome::{Cause, Failure, FailureKind, Run, Verdict};
use crate::domain::quiet::Reason;
use crate::domain::schedule::Cadence;
use crate::domain::time::{Timestamp, later, words};
use crate::engine::plan::{Plan, PlannedProbe};
use crate::ports::Commit;

/// A schedule that has a slot at least as often is looked at when it is asked how many runs say something soon.
const OFTEN: Duration = Duration::from_secs(60);

/// Of the hosts that are looked at often, one of so many must have been looked at before anything is known: five of thousands
/// would be a moment in which one provider is down.
const PART: usize = 5;

/// Why an incident that nobody was told of is none.
const CUT_OFF: &str = "Roundsman has no network";

/// Why it is over though nobody has seen that.
const UNKNOWABLE: &str = "too few hosts are looked at to say more";

/// What runs say of the network.
#[derive(Default)]
pub(super) struct Sights {
    network: Network,
    /// The host of each probe that looks over the network.
    hosts: HashMap<ProbeName, Arc<str>>,
    /// Whether there are so many hosts that anything can be known.
    is_able: bool,
    /// How many hosts say enough.
    enough: usize,
}

impl Sights {
    /// As an earlier process left it.
    pub(super) fn known(cut_off: bool) -> Self {
        Self { network: Network::known(cut_off), ..Self::default() }
    }

    /// Goes on under another plan.
    pub(super) fn take(&mut self, plan: &Plan) {
        let of_probe = |probe: &Arc<PlannedProbe>| Some((probe.name.clone(), Arc::from(host(probe)?)));
        self.hosts = plan.probes.values().filter_map(of_probe).collect();
    }
}

/// The host that a probe looks at, where the way there is over the network.
fn host(probe: &PlannedProbe) -> Option<String> {
    probe.steps.iter().find_map(|step| step.action.host()).filter(|host| !is_here(host))
}

impl Ledger {
    /// Takes note of what a run says of the network. Where we are cut off it says nothing of its target, and the answer is yes.
    pub(super) fn look_at_network(&mut self, run: &mut Run, now: Timestamp, commit: &mut Commit) -> bool {
        let Some(host) = self.network.hosts.get(&run.probe) else { return false };
        let sight = Sight::of(&run.verdict);
        let was_in_doubt = self.network.network.is_in_doubt();
        let change = self.network.network.take(host, sight, self.network.enough, now);
        if let Some(change) = change {
            self.change_network(change, run, now, commit);
        } else if was_in_doubt && !self.network.network.is_in_doubt() {
            self.open.stir_quiet(|reason| matches!(reason, Reason::Network { .. }));
        }
        if !self.network.network.is_cut_off() || !may_be_ours(run.verdict.failures()) {
            return false;
        }
        if let Verdict::Failed(failures) = &run.verdict {
            let said = failures.first().map(ToString::to_string).unwrap_or_default();
            let failure = Failure::new(FailureKind::LocalNetwork, format!("nothing is seen from here: {said}"));
            run.verdict = Verdict::Inconclusive(Cause::Ours(failure));
        }
        true
    }

    fn change_network(&mut self, change: Change, run: &Run, now: Timestamp, commit: &mut Commit) {
        if !change.cut_off {
            self.resolve_own(Aspect::NoNetwork, None, now, commit);
            return;
        }
        self.withdraw(now, commit);
        let last = run.verdict.failures().first().map(ToString::to_string).unwrap_or_default();
        let Change { hosts, of, .. } = change;
        let took = words(change.took(now));
        let message = format!("{hosts} of {of} hosts were out of reach within {took}, the last by {last}");
        let failure = Failure::new(FailureKind::LocalNetwork, message);
        let firing = self.gravest(|probe| self.network.hosts.contains_key(probe));
        self.open_own(Aspect::NoNetwork, failure, firing, change.since, now, commit);
    }

    /// Ends what nobody was told of and what may be for our own network, whatever else it was quiet for, and begins anew with
    /// what it and others on their way to it were judged by.
    fn withdraw(&mut self, now: Timestamp, commit: &mut Commit) {
        let untold = self.open.iter().filter(|(_, open)| self.is_withdrawn_if_cut_off(open));
        let untold: Vec<_> = untold.map(|(of, _)| of.clone()).collect();
        for of in untold {
            let Some(incident) = self.open.remove(&of) else { continue };
            for schedule in incident.firing.keys() {
                let key = AlertKey { schedule: schedule.clone(), probe: of.0.clone(), aspect: of.1 };
                // What flaps has an incident, which this was.
                self.put_flap(key.clone(), Flap::default(), commit);
                self.forget_state(key, now, commit);
            }
            self.resolve(incident, now, Some(CUT_OFF), commit);
        }
        let is_suspect = |key: &AlertKey, state: &AlertState| {
            matches!(state, AlertState::Suspect { .. })
                && matches!(key.aspect, Aspect::Failing | Aspect::Blind)
                && self.network.hosts.contains_key(&key.probe)
        };
        let suspects = self.states.iter().filter(|(key, state)| is_suspect(key, state));
        let suspects: Vec<_> = suspects.map(|(key, _)| key.clone()).collect();
        for key in suspects {
            self.forget_state(key, now, commit);
        }
    }

    fn is_withdrawn_if_cut_off(&self, incident: &Incident) -> bool {
        incident.told.is_empty()
            && self.network.hosts.contains_key(&incident.probe)
            && may_be_ours(&incident.latest_failures)
    }

    fn forget_state(&mut self, key: AlertKey, now: Timestamp, commit: &mut Commit) {
        self.states.remove(&key);
        self.set_recheck(&key.schedule, &key.probe, now);
        commit.forget(key);
    }

    /// Why nobody is told of an incident yet: it may be our own network, and other runs are about to say.
    pub(super) fn doubt_network(&self, incident: &Incident, now: Timestamp) -> Option<Reason> {
        let Sights { network, is_able, .. } = &self.network;
        let is_doubted = *is_able && network.is_in_doubt() && self.is_withdrawn_if_cut_off(incident);
        let until = later(incident.opened_at, DOUBT_MAX);
        // A clock that was set back does not make anybody wait for longer.
        (is_doubted && (incident.opened_at..until).contains(&now)).then_some(Reason::Network { until })
    }

    /// Counts the hosts that are looked at: under another plan, and when something is paused or resumed. Where they are too few
    /// any more, nobody could say when it is over.
    pub(super) fn weigh_network(&mut self, now: Timestamp, commit: &mut Commit) {
        let (mut looked_at, mut often) = (BTreeSet::new(), BTreeSet::new());
        for (schedule, probe) in self.rounds() {
            let Some(host) = self.network.hosts.get(probe) else { continue };
            if self.paused.has(Some(&schedule.name), probe, now) {
                continue;
            }
            looked_at.insert(host);
            if matches!(schedule.cadence, Cadence::Every(every) if every <= OFTEN) {
                often.insert(host);
            }
        }
        let (is_able, enough) = (looked_at.len() >= HOSTS_MIN, HOSTS_MIN.max(often.len().div_ceil(PART)));
        (self.network.is_able, self.network.enough) = (is_able, enough);
        if self.network.network.is_cut_off() && !is_able {
            self.network.network = Network::default();
            self.resolve_own(Aspect::NoNetwork, Some(UNKNOWABLE), now, commit);
        }
    }
}
