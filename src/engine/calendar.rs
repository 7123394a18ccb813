//! Which slots have come, and for which of them it is too late. Pure: instants go in, entries and gaps come out.
//!
//! A slot of a probe is *entered* when its start (slot, lead, spread) is still ahead or at most [`GRACE`] past, else it
//! is a *gap*. Of several slots of a probe that are found at once only the last is entered, so nothing bursts after a
//! stop and nothing is back-filled.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::plan::{Plan, PlannedProbe};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::schedule::Schedule;
use crate::domain::time::{Timestamp, earlier, later};

/// How late a start may be and still count as a start of its slot.
pub const GRACE: Duration = Duration::from_secs(5);

/// The most slots that are counted of one stop: more than a year of seconds.
const GAP_SLOTS_MAX: u64 = 50_000_000;

/// A slot of a probe that is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The schedule.
    pub schedule: ScheduleName,
    /// The probe.
    pub probe: ProbeName,
    /// The nominal instant.
    pub slot: Timestamp,
    /// When it is to start.
    pub due_at: Timestamp,
}

/// Slots of a probe that nobody ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The schedule.
    pub schedule: ScheduleName,
    /// The probe.
    pub probe: ProbeName,
    /// The last of them.
    pub through: Timestamp,
    /// How many.
    pub count: u64,
}

/// What has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Come {
    /// To be run.
    pub entries: Vec<Entry>,
    /// Too late.
    pub gaps: Vec<Gap>,
    /// How many rounds began.
    pub rounds: u64,
}

struct Tier {
    schedule: Arc<Schedule>,
    /// Every slot up to here was entered or is a gap.
    cursor: Timestamp,
    next: Option<Timestamp>,
}

/// The slots of every schedule.
#[derive(Default)]
pub struct Calendar {
    tiers: BTreeMap<ScheduleName, Tier>,
    timeouts: HashMap<(ScheduleName, ProbeName), Duration>,
}

impl Calendar {
    /// Takes the schedules of a plan. A schedule that was there goes on from where it is; for each probe of a new one
    /// `accounted` says through which slot it is settled, and what lies between that and now is entered or a gap.
    pub fn take(
        &mut self,
        plan: &Plan,
        now: Timestamp,
        accounted: impl Fn(&ScheduleName, &ProbeName) -> Option<Timestamp>,
    ) -> Come {
        let mut come = Come::default();
        let mut before = std::mem::take(&mut self.tiers);
        self.timeouts = plan
            .schedules
            .values()
            .flat_map(|schedule| schedule.probes.iter().map(move |probe| (schedule, probe)))
            .filter_map(|(schedule, probe)| {
                let timeout = timeout(schedule, plan.probes.get(probe)?);
                Some(((schedule.name.clone(), probe.clone()), timeout))
            })
            .collect();
        for (name, schedule) in &plan.schedules {
            let known = before.remove(name).filter(|tier| tier.schedule.cadence == schedule.cadence);
            let cursor = known.as_ref().map_or(now, |tier| tier.cursor);
            let mut counts = HashMap::new();
            for probe in &schedule.probes {
                let was_there = known.as_ref().is_some_and(|tier| tier.schedule.has(probe));
                let Some(through) = accounted(name, probe).filter(|_| !was_there) else { continue };
                // What was accounted in the future was so by a clock that has been set back since.
                let stretch = (through.min(cursor), cursor);
                let count = *counts.entry(stretch).or_insert_with(|| count(schedule, stretch));
                self.settle(schedule, probe, count, cursor, now, &mut come);
            }
            let next = schedule.cadence.next_after(cursor);
            self.tiers.insert(name.clone(), Tier { schedule: Arc::clone(schedule), cursor, next });
        }
        come
    }

    /// The first slot that has not come.
    pub fn next_slot(&self) -> Option<Timestamp> {
        self.tiers.values().filter_map(|tier| tier.next).min()
    }

    /// When the next run of a probe on a schedule is due, be its slot still to come or its spread.
    pub fn next_due(&self, schedule: &ScheduleName, probe: &ProbeName, now: Timestamp) -> Option<Timestamp> {
        let tier = &self.tiers.get(schedule)?.schedule;
        let timeout = self.timeouts.get(&(schedule.clone(), probe.clone())).copied().unwrap_or(tier.timeout);
        tier.next_due(probe, timeout, None, now)
    }

    /// What has come of one schedule until an instant, which is now or a little before.
    pub fn advance(&mut self, name: &ScheduleName, until: Timestamp, now: Timestamp) -> Come {
        let mut come = Come::default();
        let Some(tier) = self.tiers.get(name) else { return come };
        let (schedule, cursor, next) = (Arc::clone(&tier.schedule), tier.cursor, tier.next);
        let period = schedule.cadence.period_at(cursor);
        let (cursor, next) = if later(now, period) < cursor {
            // The clock was set back by more than a period: to wait until it comes again where it was would be
            // blindness, so counting goes on from where the clock is now. Less than a period is waited for, because
            // those slots have been run.
            (now, schedule.cadence.next_after(now))
        } else if next.is_some_and(|slot| slot <= until) {
            let count = count(&schedule, (cursor, until));
            for probe in &schedule.probes {
                self.settle(&schedule, probe, count, until, now, &mut come);
            }
            come.rounds = 1;
            (until, schedule.cadence.next_after(until))
        } else {
            (cursor, next)
        };
        if let Some(tier) = self.tiers.get_mut(name) {
            (tier.cursor, tier.next) = (cursor, next);
        }
        come
    }

    /// What has come of every schedule.
    pub fn advance_all(&mut self, until: Timestamp, now: Timestamp) -> Come {
        let names: Vec<_> = self.tiers.keys().cloned().collect();
        let mut all = Come::default();
        for name in names {
            let come = self.advance(&name, until, now);
            all.entries.extend(come.entries);
            all.gaps.extend(come.gaps);
            all.rounds += come.rounds;
        }
        all
    }

    fn settle(
        &self,
        schedule: &Schedule,
        probe: &ProbeName,
        count: u64,
        until: Timestamp,
        now: Timestamp,
        come: &mut Come,
    ) {
        let Some(last) = schedule.cadence.last_through(until).filter(|_| count > 0) else { return };
        let key = (schedule.name.clone(), probe.clone());
        let timeout = self.timeouts.get(&key).copied().unwrap_or(schedule.timeout);
        let due_at = schedule.due_at(last, probe, timeout);
        let in_time = due_at >= earlier(now, GRACE);
        let missed = if in_time { count - 1 } else { count };
        if missed > 0 {
            let through = if in_time { earlier(last, Duration::from_micros(1)) } else { last };
            come.gaps.push(Gap { schedule: key.0.clone(), probe: key.1.clone(), through, count: missed });
        }
        if in_time {
            come.entries.push(Entry { schedule: key.0, probe: key.1, slot: last, due_at });
        }
    }
}

/// How many slots a schedule has in a stretch `(after, through]`: once for all of its probes, since cron lines are walked.
fn count(schedule: &Schedule, (after, through): (Timestamp, Timestamp)) -> u64 {
    schedule.cadence.count(after, through, GAP_SLOTS_MAX)
}

/// The budget of a run: the probe's own, else the schedule's.
pub fn timeout(schedule: &Schedule, probe: &PlannedProbe) -> Duration {
    probe.timeout.unwrap_or(schedule.timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{at, plan_of, schedule_of};
    use proptest::prelude::*;

    fn name(text: &str) -> ScheduleName {
        ScheduleName::parse(text).unwrap()
    }

    #[test]
    fn a_day_of_five_hundred_probes_enters_each_slot_exactly_once() {
        let start = at("2026-11-24T00:00:00Z");
        let plan = plan_of(vec![schedule_of("tier", "30s", 500)]);
        let mut calendar = Calendar::default();
        let mut entered: HashMap<(ProbeName, Timestamp), u32> = HashMap::new();
        let first = calendar.take(&plan, start, |_, _| None);
        assert_eq!(first, Come::default());
        // Ticks come late, twice, and sometimes not at all; each half second the clock is looked at.
        for half in 1..=(86_400_i64 * 2) {
            let now = start + chrono::TimeDelta::milliseconds(half * 500);
            let come = if half % 7 == 0 {
                calendar.advance(&name("tier"), now, now)
            } else {
                calendar.advance_all(earlier(now, Duration::from_secs(2)), now)
            };
            assert_eq!(come.gaps, []);
            for entry in come.entries {
                assert!(entry.due_at >= entry.slot + chrono::TimeDelta::seconds(1));
                *entered.entry((entry.probe, entry.slot)).or_default() += 1;
            }
        }
        assert_eq!(
            entered.len(),
            500 * 2_880 - 500 * usize::from(!entered.keys().any(|(_, slot)| *slot == at("2026-11-25T00:00:00Z")))
        );
        assert!(entered.values().all(|&count| count == 1));
    }

    #[test]
    fn a_stop_is_a_gap_and_no_burst() {
        let start = at("2026-11-24T10:00:10Z");
        let plan = plan_of(vec![schedule_of("tier", "30s", 3)]);
        let mut calendar = Calendar::default();
        calendar.take(&plan, start, |_, _| None);
        // Suspended for an hour, awake at 11:00:28: the round of 11:00:00 is over for who was due by 11:00:23.
        let come = calendar.advance_all(at("2026-11-24T11:00:28Z"), at("2026-11-24T11:00:28Z"));
        assert!(come.entries.len() <= 3);
        for probe in plan.probes.keys() {
            let gaps: u64 = come.gaps.iter().filter(|gap| &gap.probe == probe).map(|gap| gap.count).sum();
            let entries = come.entries.iter().filter(|entry| &entry.probe == probe).count() as u64;
            assert_eq!(gaps + entries, 120);
            assert!(entries <= 1);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_an_hour_costs_at_most_a_period() {
        let plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
        let mut calendar = Calendar::default();
        calendar.take(&plan, at("2026-11-24T10:59:50Z"), |_, _| None);
        assert_eq!(calendar.advance_all(at("2026-11-24T11:00:00Z"), at("2026-11-24T11:00:00Z")).entries.len(), 1);
        assert_eq!(calendar.advance_all(at("2026-11-24T10:00:05Z"), at("2026-11-24T10:00:05Z")), Come::default());
        let again = calendar.advance_all(at("2026-11-24T10:00:30Z"), at("2026-11-24T10:00:30Z"));
        assert_eq!(again.entries.len(), 1);
        assert_eq!(again.gaps, []);
        // Set back by less than a period: that slot has been run.
        assert_eq!(calendar.advance_all(at("2026-11-24T10:00:29Z"), at("2026-11-24T10:00:29Z")), Come::default());
        assert_eq!(calendar.advance_all(at("2026-11-24T10:00:31Z"), at("2026-11-24T10:00:31Z")), Come::default());
    }

    #[test]
    fn a_clock_that_is_set_forward_an_hour_leaves_one_round_and_the_gaps() {
        let plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
        let mut calendar = Calendar::default();
        calendar.take(&plan, at("2026-11-24T10:00:00Z"), |_, _| None);
        let come = calendar.advance_all(at("2026-11-24T11:00:00Z"), at("2026-11-24T11:00:00Z"));
        assert_eq!((come.entries.len(), come.gaps[0].count), (1, 119));
    }

    #[test]
    fn restart_goes_on_where_the_last_process_was() {
        let plan = plan_of(vec![schedule_of("tier", "5m", 2)]);
        let mut calendar = Calendar::default();
        let now = at("2026-11-24T10:05:00.500Z");
        let come = calendar.take(&plan, now, |_, _| Some(at("2026-11-24T09:50:00Z")));
        // 09:55 and 10:00 are gaps, 10:05 can still be run.
        assert_eq!(come.gaps.iter().map(|gap| gap.count).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(come.entries.len(), 2);
        assert_eq!(calendar.advance_all(now, now), Come::default());
        // A reload in the same minute keeps the place, and has nothing to settle.
        assert_eq!(calendar.take(&plan, now, |_, _| Some(at("2026-11-24T09:50:00Z"))), Come::default());
    }

    proptest! {
        /// The accounting identity: whatever the clock does, each probe's entries and gaps are the slots that the
        /// clock passed since the last time it was set back.
        #[test]
        fn every_slot_is_an_entry_or_a_gap(jumps in prop::collection::vec(1_i64..4_000, 1..60), seconds in prop::sample::select(vec![1_u64, 10, 30, 60, 300])) {
            let start = at("2026-11-24T10:00:00Z");
            let plan = plan_of(vec![schedule_of("tier", &format!("{seconds}s"), 3)]);
            let mut calendar = Calendar::default();
            calendar.take(&plan, start, |_, _| None);
            let mut now = start;
            let mut counts: HashMap<ProbeName, u64> = HashMap::new();
            for jump in jumps {
                now += chrono::TimeDelta::seconds(jump);
                let come = calendar.advance_all(now, now);
                for entry in come.entries { *counts.entry(entry.probe).or_default() += 1; }
                for gap in come.gaps { *counts.entry(gap.probe).or_default() += gap.count; }
            }
            let expected = plan.schedules[&name("tier")].cadence.count(start, now, u64::MAX);
            for probe in plan.probes.keys() {
                prop_assert_eq!(counts.get(probe).copied().unwrap_or(0), expected);
            }
        }
    }
}
