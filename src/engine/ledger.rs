//! What is known of alerts: the states, the open incidents, and whom each incident was told to. In memory and without
//! I/O; each change is put into the commit that makes it last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::plan::Plan;
use super::runner::new_id;
use crate::domain::exchange::Bundle;
use crate::domain::incident::{Event, Incident, IncidentId, Moment, Severity, Version};
use crate::domain::judge::{AlertKey, AlertPolicy, AlertState, Aspect, Transition, judge};
use crate::domain::names::{ChannelName, ProbeName, ScheduleName, StepName};
use crate::domain::outcome::{Run, Verdict};
use crate::domain::quiet::why_quiet;
use crate::domain::schedule::Schedule;
use crate::domain::time::{Timestamp, between, clock, words};
use crate::ports::{Commit, Delivery, KeptBundle, Loaded, Notification};

/// The states and the open incidents.
pub struct Ledger {
    plan: Arc<Plan>,
    /// Healthy states are not held.
    states: HashMap<AlertKey, AlertState>,
    open: BTreeMap<(ProbeName, Aspect), Incident>,
    versions: BTreeMap<(ProbeName, StepName), Version>,
}

/// How long before an incident a change may have been its cause.
const SHORTLY: Duration = Duration::from_secs(3_600);

/// How many changes are told of one incident.
const CHANGES_MAX: usize = 10;

/// Where several versions answer in turn, a change is told this often at most.
const CHANGE_TOLD_EVERY: Duration = Duration::from_secs(300);

impl Ledger {
    /// The ledger as the process before this one left it, under this plan: what is no longer configured is resolved.
    pub fn open(plan: Arc<Plan>, loaded: Loaded, now: Timestamp, commit: &mut Commit) -> Self {
        let open = loaded.incidents.into_iter().map(|incident| ((incident.probe.clone(), incident.aspect), incident));
        let versions =
            loaded.versions.into_iter().map(|version| ((version.probe.clone(), version.step.clone()), version));
        let mut ledger = Self {
            plan: Arc::clone(&plan),
            states: loaded.states.into_iter().collect(),
            open: open.collect(),
            versions: versions.collect(),
        };
        ledger.take(plan, now, commit);
        ledger
    }

    /// How many incidents are open.
    pub fn incidents_open(&self) -> usize {
        self.open.len()
    }

    /// Goes on under another plan: states that nothing feeds any more are forgotten, and an incident that none of them
    /// holds open is resolved with that reason. The rest keeps its counts.
    pub fn take(&mut self, plan: Arc<Plan>, now: Timestamp, commit: &mut Commit) {
        self.plan = plan;
        let gone: BTreeSet<AlertKey> = self
            .states
            .keys()
            .filter(|key| watched(&self.plan, &key.schedule, &key.probe).is_none())
            .cloned()
            .collect();
        for key in gone {
            self.states.remove(&key);
            commit.forget(key);
        }
        let unheld: Vec<_> = self.open.keys().cloned().collect();
        for of in unheld {
            let Some(mut incident) = self.open.remove(&of) else { continue };
            incident.firing.retain(|schedule, _| {
                let key = AlertKey { schedule: schedule.clone(), probe: of.0.clone(), aspect: of.1 };
                matches!(self.states.get(&key), Some(AlertState::Firing { .. }))
            });
            if incident.firing.is_empty() {
                self.resolve(incident, now, Some("removed from the configuration"), commit);
            } else {
                self.open.insert(of, incident);
            }
        }
        self.reconsider_quiet(now, commit);
        self.tell_who_was_missed(now, commit);
    }

    /// Where no route took an incident when it opened, one that has come since does.
    fn tell_who_was_missed(&mut self, now: Timestamp, commit: &mut Commit) {
        let untold = |incident: &Incident| incident.told.is_empty() && incident.quiet.is_none();
        let missed: Vec<_> =
            self.open.iter().filter(|(_, incident)| untold(incident)).map(|(of, _)| of.clone()).collect();
        for of in missed {
            let Some(mut incident) = self.open.remove(&of) else { continue };
            if self.plan.route(incident.severity).is_some() {
                self.tell_opened(&mut incident, now, commit);
                commit.put_incident(incident.clone());
            }
            self.open.insert(of, incident);
        }
    }

    /// Takes in one run: its verdict moves the states, the states move the incidents, the incidents are told.
    pub fn take_run(&mut self, mut run: Run, now: Timestamp, commit: &mut Commit) {
        self.take_versions(&run, commit);
        let plan = Arc::clone(&self.plan);
        let bundle = run.bundle.take();
        let watched = run.schedule.as_ref().and_then(|name| watched(&plan, name, &run.probe));
        let Some((schedule, policy)) = watched else {
            self.keep(bundle, &run, commit);
            commit.runs.push(run);
            return;
        };
        for aspect in Aspect::ALL {
            let key = AlertKey { schedule: schedule.name.clone(), probe: run.probe.clone(), aspect };
            let before = self.states.get(&key).cloned().unwrap_or_default();
            let (after, transition) = judge(policy, aspect, &before, &run);
            let firing = matches!(after, AlertState::Firing { .. });
            if after != before {
                commit.remember(key.clone(), after.clone());
                if after == AlertState::Healthy {
                    self.states.remove(&key)
                } else {
                    self.states.insert(key.clone(), after)
                };
            }
            match transition {
                Some(Transition::Fired { since }) => self.fired(&key, policy.severity, since, &run, now, commit),
                Some(Transition::Recovered) => self.recovered(&key, now, commit),
                None if firing && aspect.bad(&run.verdict) == Some(true) => self.still_bad(&key, &run, commit),
                None => {}
            }
        }
        self.keep(bundle, &run, commit);
        commit.runs.push(run);
        self.reconsider_quiet(now, commit);
    }

    /// Notes which versions a run saw; of two that overlap, the one that began later saw the newer one. What changed goes into the time line of the probe's open incidents.
    fn take_versions(&mut self, run: &Run, commit: &mut Commit) {
        for step in &run.steps {
            let Some(version) = &step.version else { continue };
            let known = self.versions.get(&(run.probe.clone(), step.name.clone()));
            if known.is_some_and(|known| known.version == *version || run.started_at < known.since) {
                continue;
            }
            let quick = known.is_some_and(|known| between(known.since, run.started_at) < CHANGE_TOLD_EVERY);
            let seen = Version {
                probe: run.probe.clone(),
                step: step.name.clone(),
                version: version.clone(),
                since: run.started_at,
                before: known.map(|known| known.version.clone()),
            };
            if let Some(change) = seen.change().filter(|_| !quick) {
                let of_probe = self.open.values().filter(|incident| incident.probe == run.probe);
                let moments = of_probe.map(|incident| moment(incident, run.started_at, "version", change.clone()));
                commit.moments.extend(moments);
            }
            commit.put_version(seen.clone());
            self.versions.insert((run.probe.clone(), step.name.clone()), seen);
        }
    }

    /// The changes of the hour before, the latest last: whichever probe saw them, since one part of a system breaks
    /// another.
    fn changes_before(&self, since: Timestamp, now: Timestamp) -> Vec<(Timestamp, String)> {
        let recent = |version: &&Version| version.since <= now && between(version.since, since) < SHORTLY;
        let changes = self.versions.values().filter(recent);
        let mut changes: Vec<_> = changes.filter_map(|version| Some((version.since, version.change()?))).collect();
        changes.sort();
        changes.split_off(changes.len().saturating_sub(CHANGES_MAX))
    }

    /// Keeps what a run left, with the incident that it speaks of.
    fn keep(&self, bundle: Option<Arc<Bundle>>, run: &Run, commit: &mut Commit) {
        let Some(bundle) = bundle else { return };
        let of_aspect = |aspect: &Aspect| {
            let open = self.open.get(&(run.probe.clone(), *aspect));
            open.filter(|_| aspect.bad(&run.verdict) == Some(true)).map(|incident| incident.id.clone())
        };
        commit.bundles.push(KeptBundle {
            run: run.id.clone(),
            probe: run.probe.clone(),
            started_at: run.started_at,
            incident: Aspect::ALL.iter().find_map(of_aspect),
            bundle,
        });
    }

    fn fired(
        &mut self,
        key: &AlertKey,
        severity: Severity,
        since: Timestamp,
        run: &Run,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let of = (key.probe.clone(), key.aspect);
        let failures = run.verdict.failures().to_vec();
        if let Some(mut incident) = self.open.remove(&of) {
            incident.firing.insert(key.schedule.clone(), severity);
            if !incident.schedules.contains(&key.schedule) {
                incident.schedules.push(key.schedule.clone());
            }
            incident.latest_failures = failures;
            commit.moments.push(moment(&incident, now, "joined", format!("{} is firing too", key.schedule)));
            if severity > incident.severity {
                commit.moments.push(moment(
                    &incident,
                    now,
                    "raised",
                    format!("{} becomes {severity}", incident.severity),
                ));
                incident.severity = severity;
                if incident.quiet.is_none() {
                    self.tell_opened(&mut incident, now, commit);
                }
            }
            commit.put_incident(incident.clone());
            self.open.insert(of, incident);
            return;
        }
        let probe = self.plan.probes.get(&key.probe);
        let mut incident = Incident {
            id: IncidentId(Arc::from(new_id(now).as_str())),
            probe: key.probe.clone(),
            aspect: key.aspect,
            severity,
            since,
            opened_at: now,
            resolved_at: None,
            resolved_because: None,
            firing: BTreeMap::from([(key.schedule.clone(), severity)]),
            schedules: vec![key.schedule.clone()],
            first_failures: failures.clone(),
            latest_failures: failures,
            opening_run: run.id.clone(),
            labels: probe.map(|probe| probe.labels.clone()).unwrap_or_default(),
            runbook: probe.and_then(|probe| probe.runbook.clone()),
            quiet: None,
            changes: Vec::new(),
            told: Vec::new(),
            transitions: 0,
        };
        let changes = self.changes_before(since, now);
        incident.changes = changes.iter().map(|(at, change)| format!("{change} at {}", clock(*at))).collect();
        commit.moments.extend(changes.into_iter().map(|(at, change)| moment(&incident, at, "version", change)));
        commit.moments.push(moment(&incident, since, run.verdict.word(), first_words(&run.verdict)));
        commit.moments.push(moment(&incident, now, "opened", format!("{severity}, by {}", key.schedule)));
        let needs = probe.map(|probe| probe.needs.clone()).unwrap_or_default();
        incident.quiet = why_quiet(&needs, |needed| self.is_unwell(needed, &incident));
        match &incident.quiet {
            Some(reason) => commit.moments.push(moment(&incident, now, "muted", reason.to_string())),
            None => self.tell_opened(&mut incident, now, commit),
        }
        commit.put_incident(incident.clone());
        self.open.insert(of, incident);
    }

    fn still_bad(&mut self, key: &AlertKey, run: &Run, commit: &mut Commit) {
        let Some(incident) = self.open.get_mut(&(key.probe.clone(), key.aspect)) else { return };
        let failures = run.verdict.failures();
        if incident.latest_failures != failures {
            incident.latest_failures = failures.to_vec();
            commit.put_incident(incident.clone());
        }
    }

    fn recovered(&mut self, key: &AlertKey, now: Timestamp, commit: &mut Commit) {
        let of = (key.probe.clone(), key.aspect);
        let Some(mut incident) = self.open.remove(&of) else { return };
        incident.firing.remove(&key.schedule);
        commit.moments.push(moment(&incident, now, "recovered", format!("{} is healthy", key.schedule)));
        if incident.firing.is_empty() {
            self.resolve(incident, now, None, commit);
        } else {
            commit.put_incident(incident.clone());
            self.open.insert(of, incident);
        }
    }

    fn resolve(&mut self, mut incident: Incident, now: Timestamp, because: Option<&str>, commit: &mut Commit) {
        incident.resolved_at = Some(now);
        incident.resolved_because = because.map(str::to_owned);
        let length = words(between(incident.since, now));
        let text = because.map_or_else(|| format!("after {length}"), |why| format!("after {length}: {why}"));
        commit.moments.push(moment(&incident, now, "resolved", text));
        // Whoever was told that it began is told that it is over, and nobody else.
        let told = incident.told.clone();
        self.tell(&mut incident, Event::Resolved, &told, now, commit);
        commit.put_incident(incident);
    }

    /// What was kept quiet is told once its reason is gone and it still lasts.
    fn reconsider_quiet(&mut self, now: Timestamp, commit: &mut Commit) {
        let quiet: Vec<_> =
            self.open.iter().filter(|(_, incident)| incident.quiet.is_some()).map(|(of, _)| of.clone()).collect();
        for of in quiet {
            let needs = self.plan.probes.get(&of.0).map(|probe| probe.needs.clone()).unwrap_or_default();
            let Some(mut incident) = self.open.remove(&of) else { continue };
            let reason = why_quiet(&needs, |needed| self.is_unwell(needed, &incident));
            if reason != incident.quiet {
                incident.quiet.clone_from(&reason);
                match reason {
                    Some(reason) => commit.moments.push(moment(&incident, now, "muted", reason.to_string())),
                    None => self.tell_opened(&mut incident, now, commit),
                }
                commit.put_incident(incident.clone());
            }
            self.open.insert(of, incident);
        }
    }

    /// Whether a probe is failing, so that what needs it may be quiet. Where both are on one schedule a first failure
    /// counts too, since both are seen to fail in one round and the one that is needed may be judged later; elsewhere it
    /// would keep a page back until a slower schedule has made up its mind.
    fn is_unwell(&self, probe: &ProbeName, dependant: &Incident) -> bool {
        self.states.iter().any(|(key, state)| {
            key.probe == *probe
                && key.aspect == Aspect::Failing
                && (matches!(state, AlertState::Firing { .. }) || dependant.firing.contains_key(&key.schedule))
        })
    }

    /// Tells the channels of the severity's route that were not told yet.
    fn tell_opened(&self, incident: &mut Incident, now: Timestamp, commit: &mut Commit) {
        let Some(route) = self.plan.route(incident.severity) else {
            let text = format!("nobody: no route takes {}", incident.severity);
            commit.moments.push(moment(incident, now, "told", text));
            return;
        };
        let new: Vec<_> = route.to.iter().filter(|channel| !incident.told.contains(channel)).cloned().collect();
        incident.told.extend(new.iter().cloned());
        self.tell(incident, Event::Opened, &new, now, commit);
    }

    fn tell(
        &self,
        incident: &mut Incident,
        event: Event,
        channels: &[ChannelName],
        now: Timestamp,
        commit: &mut Commit,
    ) {
        if channels.is_empty() {
            return;
        }
        incident.transitions += 1;
        let url = self.plan.web.url.as_ref().map(|base| format!("{base}/incidents/{}", incident.id));
        let fallback = self.plan.route(incident.severity).and_then(|route| route.fallback.clone());
        let notification = Notification {
            event,
            incident: incident.clone(),
            transition: incident.transitions,
            at: now,
            site: self.plan.site.clone(),
            url,
            late: false,
            plain: false,
        };
        commit.deliveries.extend(channels.iter().map(|channel| Delivery {
            id: new_id(now),
            channel: channel.clone(),
            fallback: fallback.clone().filter(|fallback| fallback != channel),
            notification: notification.clone(),
            created_at: now,
            attempts: 0,
            next_attempt_at: now,
        }));
    }
}

/// The schedule and the policy by which runs of a probe on it are judged; none where nothing watches them, as after a
/// reload that came while a run was going on.
fn watched<'a>(plan: &'a Plan, schedule: &ScheduleName, probe: &ProbeName) -> Option<(&'a Schedule, &'a AlertPolicy)> {
    let schedule = plan.schedules.get(schedule).filter(|schedule| schedule.has(probe))?;
    Some((schedule, plan.alert(schedule, plan.probes.get(probe)?)?))
}

fn moment(incident: &Incident, at: Timestamp, what: &str, text: String) -> Moment {
    Moment { incident: incident.id.clone(), at, what: what.to_owned(), text }
}

fn first_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Inconclusive(cause) => cause.to_string(),
        verdict => verdict.failures().first().map(ToString::to_string).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::names::ScheduleName;
    use crate::domain::outcome::{Failure, FailureKind, Phases, RunId, StepOutcome};
    use crate::engine::plan::Route;
    use crate::engine::testing::{at, plan_of, schedule_of};

    fn name(text: &str) -> ProbeName {
        ProbeName::parse(text).unwrap()
    }

    fn run(schedule: &str, probe: &str, second: i64, letter: char) -> Run {
        let started_at = at("2026-11-24T10:00:00Z") + chrono::TimeDelta::seconds(second);
        Run {
            id: RunId(Arc::from("r")),
            location: Arc::from("here"),
            probe: name(probe),
            schedule: Some(ScheduleName::parse(schedule).unwrap()),
            slot: started_at,
            due_at: started_at,
            started_at,
            duration: Duration::from_millis(5),
            lateness: Duration::ZERO,
            verdict: match letter {
                'x' => Verdict::Failed(vec![Failure::new(FailureKind::ConnectRefused, "nobody listens")]),
                '?' => Verdict::Inconclusive(crate::domain::outcome::Cause::Ours(Failure::new(
                    FailureKind::LocalNetwork,
                    "no route",
                ))),
                _ => Verdict::Passed,
            },
            steps: Vec::new(),
            bundle: None,
        }
    }

    #[test]
    fn a_version_that_changed_shortly_before_is_told_with_the_incident() {
        let plan = Arc::new(plan_of(vec![schedule_of("tier", "30s", 2)]));
        let start = at("2026-11-24T10:00:00Z");
        let mut ledger = Ledger::open(Arc::clone(&plan), Loaded::default(), start, &mut Commit::default());
        let take = |ledger: &mut Ledger, probe: &str, second: i64, letter: char, version: &str| {
            let mut run = run("tier", probe, second, letter);
            run.steps = vec![StepOutcome {
                cases: Vec::new(),
                name: StepName::parse("http").unwrap(),
                kind: "http".to_owned(),
                cleanup: false,
                verdict: Some(run.verdict.clone()),
                offset_ms: 0.0,
                phases: Phases::default(),
                certificate_expires: None,
                status: None,
                late_ms: None,
                version: Some(version.to_owned()),
            }];
            let mut commit = Commit::default();
            ledger.take_run(run, start + chrono::TimeDelta::seconds(second), &mut commit);
            commit
        };
        let first = take(&mut ledger, "probe-1", 0, '.', "1.0.0");
        assert_eq!((first.versions.len(), first.moments.len()), (1, 0));
        assert_eq!(take(&mut ledger, "probe-1", 30, '.', "1.0.0").versions, [], "nothing changed");
        take(&mut ledger, "probe-1", 600, '.', "1.1.0");
        assert_eq!(take(&mut ledger, "probe-1", 590, '.', "1.0.0").versions, [], "a slow run that began before");
        // What is known outlives the process.
        let versions = ledger.versions.values().cloned().collect();
        let loaded = Loaded { versions, ..Loaded::default() };
        let mut ledger = Ledger::open(Arc::clone(&plan), loaded, start, &mut Commit::default());
        take(&mut ledger, "probe-0", 630, 'x', "7");
        let opened = take(&mut ledger, "probe-0", 660, 'x', "7");
        let told: Vec<_> = opened.moments.iter().map(|moment| moment.what.as_str()).collect();
        assert_eq!(told, ["version", "failed", "opened"]);
        let changes = &opened.deliveries[0].notification.incident.changes;
        assert!(changes[0].starts_with("probe-1 saw version 1.0.0 become 1.1.0 at "), "{changes:?}");
        let while_open = take(&mut ledger, "probe-0", 1_200, 'x', "8").moments;
        assert_eq!(while_open[0].text, "probe-0 saw version 7 become 8");
        assert!(take(&mut ledger, "probe-0", 1_230, 'x', "7").moments.is_empty(), "two that answer in turn");
        take(&mut ledger, "probe-1", 9_000, 'x', "1.1.0");
        let much_later = take(&mut ledger, "probe-1", 9_030, 'x', "1.1.0");
        assert_eq!(much_later.incidents[0].changes, Vec::<String>::new());
    }

    /// Feeds runs (schedule, probe, letter), a second apart, and writes down what is told and to whom.
    struct Story {
        ledger: Ledger,
        second: i64,
        told: Vec<String>,
        last: Commit,
    }

    impl Story {
        fn of(plan: Plan) -> Self {
            let ledger =
                Ledger::open(Arc::new(plan), Loaded::default(), at("2026-11-24T10:00:00Z"), &mut Commit::default());
            Self { ledger, second: 0, told: Vec::new(), last: Commit::default() }
        }

        fn note(&mut self, commit: Commit) {
            for delivery in &commit.deliveries {
                let n = &delivery.notification;
                self.told.push(format!(
                    "{} {} {} #{} {}",
                    delivery.channel,
                    n.event.as_str(),
                    n.incident.severity,
                    n.transition,
                    n.summary()
                ));
                assert!(!n.incident.schedules.is_empty());
            }
            self.last = commit;
        }

        fn runs(&mut self, schedule: &str, probe: &str, letters: &str) -> &mut Self {
            for letter in letters.chars() {
                self.second += 1;
                let mut commit = Commit::default();
                let now = at("2026-11-24T10:00:00Z") + chrono::TimeDelta::seconds(self.second);
                self.ledger.take_run(run(schedule, probe, self.second, letter), now, &mut commit);
                self.note(commit);
            }
            self
        }
    }

    #[test]
    fn an_incident_is_told_once_and_resolved_once() {
        let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
        story.runs("tier", "probe-0", ".xxxx..");
        assert_eq!(
            story.told,
            [
                "ops opened P2 #1 probe-0 is failing: connect.refused: nobody listens",
                "ops resolved P2 #2 probe-0 is well again after 4 s",
            ]
        );
        assert_eq!(story.ledger.incidents_open(), 0);
    }

    #[test]
    fn a_second_schedule_joins_and_the_incident_closes_when_both_are_healthy() {
        let mut grave = schedule_of("grave", "1m", 1);
        grave.alert.as_mut().unwrap().severity = Severity::P1;
        let mut plan = plan_of(vec![schedule_of("tier", "30s", 1), grave]);
        let pager = ChannelName::parse("pager").unwrap();
        plan.routes.insert(0, Route { severities: [Severity::P1].into(), to: vec![pager], fallback: None });
        let mut story = Story::of(plan);
        story.runs("tier", "probe-0", "xx").runs("grave", "probe-0", "xx");
        story.runs("tier", "probe-0", ".");
        assert_eq!(story.ledger.incidents_open(), 1);
        story.runs("grave", "probe-0", ".");
        assert_eq!(
            story.told,
            [
                "ops opened P2 #1 probe-0 is failing: connect.refused: nobody listens",
                "pager opened P1 #2 probe-0 is failing: connect.refused: nobody listens",
                "ops resolved P1 #3 probe-0 is well again after 5 s",
                "pager resolved P1 #3 probe-0 is well again after 5 s",
            ]
        );
    }

    #[test]
    fn lasting_blindness_is_an_incident_of_its_own() {
        let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
        story.runs("tier", "probe-0", "xx???x");
        assert_eq!(
            story.told,
            [
                "ops opened P2 #1 probe-0 is failing: connect.refused: nobody listens",
                "ops opened P2 #1 Roundsman cannot see probe-0: local.network: no route",
                "ops resolved P2 #2 Roundsman sees probe-0 again after 3 s",
            ]
        );
        assert_eq!(story.ledger.incidents_open(), 1, "the target's incident is still open");
    }

    fn plan_with_need() -> Plan {
        let mut plan = plan_of(vec![schedule_of("tier", "30s", 2)]);
        let mut child = crate::engine::testing::probe("probe-1");
        child.needs = vec![name("probe-0")];
        plan.probes.insert(name("probe-1"), Arc::new(child));
        plan
    }

    #[test]
    fn what_needs_a_failing_probe_is_quiet_until_that_is_well() {
        let mut story = Story::of(plan_with_need());
        story.runs("tier", "probe-0", "xx").runs("tier", "probe-1", "xx");
        assert_eq!(story.told.len(), 1);
        assert!(
            story
                .last
                .moments
                .iter()
                .any(|moment| moment.what == "muted" && moment.text == "needs probe-0, which is failing")
        );
        story.runs("tier", "probe-0", ".");
        assert_eq!(
            story.told[1..],
            [
                "ops resolved P2 #2 probe-0 is well again after 4 s",
                "ops opened P2 #1 probe-1 is failing: connect.refused: nobody listens",
            ]
        );
    }

    #[test]
    fn what_was_quiet_from_end_to_end_resolves_without_a_word() {
        let mut story = Story::of(plan_with_need());
        story.runs("tier", "probe-0", "xx").runs("tier", "probe-1", "xx.");
        assert_eq!(story.told.len(), 1);
        assert_eq!(story.ledger.incidents_open(), 1);
    }

    #[test]
    fn a_restart_goes_on_counting_and_resolves_what_it_missed() {
        let plan = Arc::new(plan_of(vec![schedule_of("tier", "30s", 1)]));
        let mut commits = Vec::new();
        let mut ledger =
            Ledger::open(Arc::clone(&plan), Loaded::default(), at("2026-11-24T10:00:00Z"), &mut Commit::default());
        // Each run is taken by another process, which knows only what was committed.
        for (second, letter) in (1..).zip("xx.".chars()) {
            let mut commit = Commit::default();
            let now = at("2026-11-24T10:00:00Z") + chrono::TimeDelta::seconds(second);
            ledger.take_run(run("tier", "probe-0", second, letter), now, &mut commit);
            let loaded = Loaded {
                states: ledger.states.clone().into_iter().collect(),
                incidents: ledger.open.values().cloned().collect(),
                versions: ledger.versions.values().cloned().collect(),
                ..Loaded::default()
            };
            let mut of_start = Commit::default();
            ledger = Ledger::open(Arc::clone(&plan), loaded, now, &mut of_start);
            assert!(of_start.deliveries.is_empty());
            commits.push(commit);
        }
        let events: Vec<_> =
            commits.iter().flat_map(|commit| &commit.deliveries).map(|d| d.notification.event).collect();
        assert_eq!(events, [Event::Opened, Event::Resolved]);
    }

    #[test]
    fn what_is_removed_while_firing_resolves_with_that_reason() {
        let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
        story.runs("tier", "probe-0", "xx");
        let mut commit = Commit::default();
        story.ledger.take(
            Arc::new(plan_of(vec![schedule_of("tier", "30s", 0)])),
            at("2026-11-24T10:01:00Z"),
            &mut commit,
        );
        assert_eq!(commit.forgotten.len(), 1);
        story.note(commit);
        assert_eq!(
            story.told[1],
            "ops resolved P2 #2 the incident of probe-0 is closed after 59 s (removed from the configuration)"
        );
    }

    #[test]
    fn a_first_failure_of_what_is_needed_mutes_on_its_own_schedule_only() {
        let mut plan = plan_with_need();
        let slow = schedule_of("slow", "1h", 1);
        plan.schedules.insert(slow.name.clone(), Arc::new(slow));
        let mut story = Story::of(plan);
        // The needed probe has failed once on a schedule that will not know more for an hour.
        story.runs("slow", "probe-0", "x").runs("tier", "probe-1", "xx");
        assert_eq!(story.told, ["ops opened P2 #1 probe-1 is failing: connect.refused: nobody listens"]);
        // Failing on any schedule mutes, and so does a first failure on the same one.
        let mut story = Story::of(plan_with_need());
        story.runs("tier", "probe-0", "x").runs("tier", "probe-1", "xx");
        assert!(story.told.is_empty());
    }

    #[test]
    fn a_severity_that_is_raised_pages_nobody_while_it_is_quiet() {
        let mut plan = plan_with_need();
        let mut grave = schedule_of("grave", "1m", 2);
        grave.alert.as_mut().unwrap().severity = Severity::P1;
        plan.schedules.insert(grave.name.clone(), Arc::new(grave));
        let mut story = Story::of(plan);
        story.runs("tier", "probe-0", "xx").runs("tier", "probe-1", "xx").runs("grave", "probe-1", "xx");
        assert_eq!(story.told, ["ops opened P2 #1 probe-0 is failing: connect.refused: nobody listens"]);
        assert_eq!(story.last.incidents.last().unwrap().severity, Severity::P1, "it is known all the same");
    }

    #[test]
    fn a_run_that_ends_after_its_probe_has_left_the_schedule_is_kept_and_not_judged() {
        let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
        story.runs("tier", "probe-0", "x");
        let mut plan = plan_of(vec![schedule_of("tier", "30s", 0)]);
        plan.probes.insert(name("probe-0"), Arc::new(crate::engine::testing::probe("probe-0")));
        story.ledger.take(Arc::new(plan), at("2026-11-24T10:01:00Z"), &mut Commit::default());
        story.runs("tier", "probe-0", "x");
        assert!(story.told.is_empty() && story.ledger.states.is_empty());
        assert_eq!(story.last.runs.len(), 1);
    }

    #[test]
    fn what_a_run_left_is_kept_with_the_incident_it_speaks_of() {
        let mut story = Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]));
        let mut kept = Vec::new();
        for letter in ['x', 'x', 'x', '?', '.'] {
            story.second += 1;
            let mut run = run("tier", "probe-0", story.second, letter);
            run.bundle = (letter != '.').then(Arc::default);
            let mut commit = Commit::default();
            story.ledger.take_run(run, at("2026-11-24T10:01:00Z"), &mut commit);
            assert!(commit.runs.iter().all(|run| run.bundle.is_none()), "it is kept once");
            kept.extend(commit.bundles.into_iter().map(|bundle| bundle.incident.is_some()));
            story.note(Commit { incidents: commit.incidents, ..Commit::default() });
        }
        assert_eq!(kept, [false, true, true, false], "the first only made it suspect, and the last saw nothing of it");
    }

    #[test]
    fn a_route_that_comes_later_tells_what_is_open() {
        let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
        plan.routes.clear();
        let mut story = Story::of(plan);
        story.runs("tier", "probe-0", "xx");
        let mut commit = Commit::default();
        let plan = Arc::new(plan_of(vec![schedule_of("tier", "30s", 1)]));
        story.ledger.take(Arc::clone(&plan), at("2026-11-24T10:01:00Z"), &mut commit);
        story.note(commit);
        assert_eq!(story.told, ["ops opened P2 #1 probe-0 is failing: connect.refused: nobody listens"]);
        let mut again = Commit::default();
        story.ledger.take(plan, at("2026-11-24T10:02:00Z"), &mut again);
        assert!(again.deliveries.is_empty());
    }

    #[test]
    fn without_a_route_the_time_line_says_that_nobody_was_told() {
        let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
        plan.routes.clear();
        let mut story = Story::of(plan);
        story.runs("tier", "probe-0", "xx");
        assert!(story.told.is_empty());
        assert!(story.last.moments.iter().any(|moment| moment.text == "nobody: no route takes P2"));
    }
}
