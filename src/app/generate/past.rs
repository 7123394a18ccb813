//! The runs, and the incidents and versions that come of them, commit by commit as they would have ended.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::fleet::{Fleet, Member, Tier};
use super::troubles::{Trouble, Troubles};
use crate::domain::history::Grain;
use crate::domain::incident::{Incident, IncidentId, Moment, Severity, Version};
use crate::domain::judge::Aspect;
use crate::domain::names::StepName;
use crate::domain::outcome::{
    Cause, Failure, FailureKind, Phases, Run, RunId, SlotAccount, SlotOutcome, StepOutcome, Verdict,
};
use crate::domain::schedule::LEAD;
use crate::domain::time::{Timestamp, earlier, later, milliseconds};
use crate::ports::Commit;

/// About so many runs are in one commit.
const COMMIT_RUNS: usize = 20_000;

/// A grid on which all slots lie, in seconds.
const GRID: u64 = 30;

/// So long before the end nothing begins to be wrong, so that what was is over.
const CALM: u64 = 4 * 3_600;

/// After so many failed runs there is an incident, as the schedules say.
const AFTER: u32 = 2;

/// Versions last three days.
const RELEASE: f64 = 3.0 * 86_400.0;

/// One service.
struct Service {
    troubles: Troubles,
    /// When versions begin, in seconds since the beginning.
    releases: Vec<u64>,
}

/// What is remembered of a probe.
#[derive(Default)]
struct Memory {
    troubles: Troubles,
    failed: u32,
    open: Option<Incident>,
    /// The number of the version that was seen last.
    version: Option<usize>,
}

/// All that ended, as an iterator of commits.
pub struct Past<'a> {
    fleet: &'a Fleet,
    begin: Timestamp,
    random: StdRng,
    services: Vec<Service>,
    memories: Vec<Vec<Memory>>,
    /// The next slot, in seconds since the beginning.
    second: u64,
    seconds: u64,
    step: Option<StepName>,
}

impl<'a> Past<'a> {
    /// So many days before an instant.
    pub fn of(fleet: &'a Fleet, until: Timestamp, days: u32, mut random: StdRng) -> Self {
        let seconds = u64::from(days) * 86_400;
        // Slots of every schedule lie on whole hours.
        let until = Grain::Hour.begin(until);
        let troubled = seconds.saturating_sub(CALM);
        let services = (0..Fleet::services()).map(|_| Service {
            troubles: Troubles::of_service(troubled, &mut random),
            releases: releases(seconds, &mut random),
        });
        let services = services.collect();
        let memory =
            |random: &mut StdRng| Memory { troubles: Troubles::of_probe(troubled, random), ..Memory::default() };
        let memories =
            fleet.tiers.iter().map(|tier| tier.members.iter().map(|_| memory(&mut random)).collect()).collect();
        Self {
            fleet,
            begin: earlier(until, Duration::from_secs(seconds)),
            random,
            services,
            memories,
            second: 0,
            seconds,
            step: StepName::parse("http").ok(),
        }
    }

    fn round(&mut self, number: usize, tier: &Tier, commit: &mut Commit) {
        for (index, member) in tier.members.iter().enumerate() {
            let run = self.run(number, index, tier, member);
            let memory = &mut self.memories[number][index];
            if let Some(step) = &self.step {
                let releases = &self.services[member.service].releases;
                let version = releases.partition_point(|release| *release <= self.second);
                if memory.version != Some(version) {
                    commit.versions.push(Version {
                        probe: member.name.clone(),
                        step: step.clone(),
                        version: format!("1.{version}.0"),
                        since: run.started_at,
                        before: memory.version.map(|before| format!("1.{before}.0")),
                    });
                    memory.version = Some(version);
                }
            }
            follow(memory, tier, &run, commit);
            commit.add_account(SlotAccount {
                schedule: tier.name.clone(),
                probe: member.name.clone(),
                through: run.slot,
                counts: vec![(SlotOutcome::Ran, 1)],
            });
            commit.runs.push(run);
        }
    }

    fn run(&mut self, number: usize, index: usize, tier: &Tier, member: &Member) -> Run {
        let slot = later(self.begin, Duration::from_secs(self.second));
        let due_at = later(slot, LEAD + member.spread);
        let lateness = Duration::from_micros(self.random.random_range(40..900));
        let started_at = later(due_at, lateness);
        let of_service = self.services[member.service].troubles.at(self.second);
        let trouble = self.memories[number][index].troubles.at(self.second).or(of_service);
        let random = &mut self.random;
        let mut total_ms = member.calm_ms * busy(started_at) * (0.8 + 0.4 * random.random::<f64>().powi(2));
        if random.random_bool(0.004) {
            total_ms *= random.random_range(2.0..8.0);
        }
        let chance = random.random_range(0..10_000_u32);
        let verdict = match (trouble, chance) {
            (Some(Trouble::Down), _) => {
                Verdict::Failed(vec![Failure::new(FailureKind::ConnectRefused, "nobody listens at 10.0.0.7:443")])
            }
            (Some(Trouble::Broken), _) | (None, 0..3) => {
                Verdict::Failed(vec![Failure::new(FailureKind::Expect, "status == 200").with("200", "503")])
            }
            (Some(Trouble::Slow), _) => {
                total_ms *= random.random_range(3.0..6.0);
                Verdict::Degraded(vec![
                    Failure::new(FailureKind::Expect, "total_ms < 500").with("< 500", format!("{total_ms:.0}")),
                ])
            }
            (None, 3) => Verdict::Inconclusive(Cause::ShutDown),
            _ => Verdict::Passed,
        };
        let answered = trouble != Some(Trouble::Down);
        if !answered {
            total_ms = random.random_range(0.3..2.0);
        }
        let duration = Duration::from_micros(super::whole(total_ms * 1e3));
        let part = |share: f64| milliseconds(duration.mul_f64(share));
        let phases = Phases {
            connect_ms: answered.then(|| part(0.2)),
            first_byte_ms: answered.then(|| part(0.7)),
            transfer_ms: answered.then(|| part(0.05)),
            total_ms: milliseconds(duration),
            ..Phases::default()
        };
        let steps = self.step.iter().map(|name| StepOutcome {
            name: name.clone(),
            kind: "http".to_owned(),
            cleanup: false,
            verdict: Some(verdict.clone()),
            offset_ms: 0.0,
            phases,
            certificate_expires: None,
            status: answered.then_some(if trouble == Some(Trouble::Broken) { 503 } else { 200 }),
            late_ms: None,
            version: None,
            cases: Vec::new(),
        });
        Run {
            id: RunId(id(started_at, random).into()),
            location: Arc::from("local"),
            probe: member.name.clone(),
            schedule: Some(tier.name.clone()),
            extra: None,
            slot,
            due_at,
            started_at,
            duration,
            lateness,
            steps: steps.collect(),
            verdict,
            bundle: None,
        }
    }
}

impl Iterator for Past<'_> {
    type Item = Commit;

    fn next(&mut self) -> Option<Commit> {
        let mut commit = Commit::default();
        let fleet = self.fleet;
        while self.second < self.seconds && commit.runs.len() < COMMIT_RUNS {
            for (number, tier) in fleet.tiers.iter().enumerate() {
                if self.second.is_multiple_of(tier.every.as_secs()) {
                    self.round(number, tier, &mut commit);
                }
            }
            self.second += GRID;
        }
        (!commit.runs.is_empty()).then_some(commit)
    }
}

/// Opens and resolves the incident of a probe.
fn follow(memory: &mut Memory, tier: &Tier, run: &Run, commit: &mut Commit) {
    let Verdict::Failed(failures) = &run.verdict else {
        memory.failed = 0;
        if let Some(mut incident) = memory.open.take() {
            incident.resolved_at = Some(later(run.started_at, run.duration));
            incident.firing.clear();
            commit.moments.push(moment(&incident, run, "resolved", "it passed"));
            commit.put_incident(incident);
        }
        return;
    };
    memory.failed += 1;
    if memory.failed == AFTER {
        let ended = later(run.started_at, run.duration);
        let id = IncidentId(run.id.0.clone());
        let mut incident =
            Incident::opened(id, run.probe.clone(), Aspect::Failing, Severity::P3, run.id.clone(), ended);
        incident.since = earlier(run.started_at, tier.every);
        incident.firing = [(tier.name.clone(), Severity::P3)].into();
        incident.schedules = vec![tier.name.clone()];
        incident.first_failures = failures.as_slice().into();
        incident.latest_failures = Arc::clone(&incident.first_failures);
        commit.moments.push(moment(&incident, run, "opened", "the second run in a row failed"));
        commit.put_incident(incident.clone());
        memory.open = Some(incident);
    }
}

fn moment(incident: &Incident, run: &Run, what: &str, text: &str) -> Moment {
    let at = later(run.started_at, run.duration);
    Moment { incident: incident.id.clone(), at, what: what.to_owned(), text: text.to_owned() }
}

/// When versions begin.
fn releases(seconds: u64, random: &mut StdRng) -> Vec<u64> {
    let mut releases = Vec::new();
    let mut at = RELEASE * random.random::<f64>();
    while super::whole(at) < seconds {
        releases.push(super::whole(at));
        at += RELEASE * random.random_range(0.3..1.7);
    }
    releases
}

/// By how much things take longer than by night: by half as much again in the early afternoon.
fn busy(at: Timestamp) -> f64 {
    let hour = at.timestamp().rem_euclid(86_400) as f64 / 3_600.0;
    1.0 + 0.5
        * (std::f64::consts::PI * (hour - 7.0) / 14.0).sin().max(0.0)
        * f64::from(u8::from((7.0..21.0).contains(&hour)))
}

/// An id as the daemon makes them, by the chance of the seed.
fn id(at: Timestamp, random: &mut StdRng) -> String {
    let milliseconds = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    ulid::Ulid::from_parts(milliseconds, random.random()).to_string()
}
