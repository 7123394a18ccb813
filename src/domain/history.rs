//! What became of the runs of a probe on a schedule over an hour or a day: how many ended how, and how long they took. A stretch
//! is small, and stretches add up: a month of a probe that runs every 30 seconds is 720 of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::incident::{Hearers, Incident, IncidentId, Severity};
use super::names::{ProbeName, ScheduleName};
use super::outcome::{Run, RunId};
use super::time::Timestamp;

/// How long a stretch is. Stretches begin where UTC's hours and days do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Grain {
    /// Its length.
    pub fn length(self) -> Duration {
        match self {
            Self::Hour => Duration::from_hours(1),
            Self::Day => Duration::from_hours(24),
        }
    }

    /// Where the stretch begins in which an instant lies.
    pub fn begin(self, at: Timestamp) -> Timestamp {
        let length = i64::try_from(self.length().as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_timestamp(at.timestamp().div_euclid(length) * length, 0).unwrap_or(at)
    }
}

/// How many runs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// All held.
    pub passed: u64,
    /// A warning did not hold.
    pub degraded: u64,
    /// An expectation did not hold, or there was no answer.
    pub failed: u64,
    /// We could not look.
    pub inconclusive: u64,
}

impl Verdicts {
    /// Counts a run by the word of its verdict; another word counts nothing.
    pub fn count(&mut self, verdict: &str) {
        match verdict {
            "passed" => self.passed += 1,
            "degraded" => self.degraded += 1,
            "failed" => self.failed += 1,
            "inconclusive" => self.inconclusive += 1,
            _ => {}
        }
    }

    /// Takes back a run that was counted.
    pub fn uncount(&mut self, verdict: &str) {
        let count = match verdict {
            "passed" => &mut self.passed,
            "degraded" => &mut self.degraded,
            "failed" => &mut self.failed,
            "inconclusive" => &mut self.inconclusive,
            _ => return,
        };
        *count = count.saturating_sub(1);
    }

    /// How many there were.
    pub fn all(self) -> u64 {
        self.passed + self.degraded + self.failed + self.inconclusive
    }

    /// The share that did not fail of those in which we could look; nothing where there is none.
    pub fn availability(self) -> Option<f64> {
        let seen = self.passed + self.degraded + self.failed;
        (seen > 0).then(|| (seen - self.failed) as f64 / seen as f64)
    }

    /// Together with others.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.degraded += other.degraded;
        self.failed += other.failed;
        self.inconclusive += other.inconclusive;
    }
}

/// So many buckets halve each doubling of a duration: a quantile is off by at most a thirty-second part, some 3 %.
const PARTS: u64 = 16;

/// How long runs took, in buckets whose width grows with what they hold. Runs in which we could not look are in none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// The number of a bucket and how many runs are in it, by their numbers.
    buckets: Vec<(u16, u32)>,
}

impl Durations {
    /// Of buckets as [`Self::buckets`] gives them, in any order.
    pub fn of(mut buckets: Vec<(u16, u32)>) -> Self {
        buckets.sort_unstable();
        let mut durations = Self::default();
        for (bucket, runs) in buckets {
            match durations.buckets.last_mut() {
                Some((last, known)) if *last == bucket => *known = known.saturating_add(runs),
                _ => durations.buckets.push((bucket, runs)),
            }
        }
        durations
    }

    /// The number of each bucket that holds any, and how many it holds, by their numbers.
    pub fn buckets(&self) -> &[(u16, u32)] {
        &self.buckets
    }

    /// Counts a run that took so long.
    pub fn count(&mut self, duration: Duration) {
        self.put(bucket(duration), 1);
    }

    /// Takes back a run that was counted.
    pub fn uncount(&mut self, duration: Duration) {
        let bucket = bucket(duration);
        if let Ok(at) = self.buckets.binary_search_by_key(&bucket, |(known, _)| *known) {
            self.buckets[at].1 -= 1;
            self.buckets.retain(|(_, runs)| *runs > 0);
        }
    }

    /// Together with others.
    pub fn add(&mut self, other: &Self) {
        for (bucket, runs) in &other.buckets {
            self.put(*bucket, *runs);
        }
    }

    fn put(&mut self, bucket: u16, runs: u32) {
        match self.buckets.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(runs),
            Err(at) => self.buckets.insert(at, (bucket, runs)),
        }
    }

    /// How many runs there are.
    pub fn runs(&self) -> u64 {
        self.buckets.iter().map(|(_, runs)| u64::from(*runs)).sum()
    }

    /// The duration that a share of the runs did not exceed, by the nearest rank, as the middle of its bucket; nothing where there
    /// is no run.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (share.clamp(0.0, 1.0) * self.runs() as f64).max(1.0);
        let mut met = 0_u64;
        self.buckets.iter().find_map(|(bucket, held)| {
            met += u64::from(*held);
            (met as f64 >= rank).then(|| middle(*bucket))
        })
    }
}

/// The bucket of a duration: up to 31 µs each microsecond has its own, then each doubling has sixteen.
fn bucket(duration: Duration) -> u16 {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let doublings = u64::from(micros.max(1).ilog2().saturating_sub(PARTS.ilog2()));
    u16::try_from(doublings * PARTS + (micros >> doublings)).unwrap_or(u16::MAX)
}

/// The middle of what a bucket holds.
fn middle(bucket: u16) -> Duration {
    let bucket = u64::from(bucket);
    let doublings = (bucket / PARTS).saturating_sub(1);
    let least =
        (bucket - doublings * PARTS).checked_shl(u32::try_from(doublings).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
    Duration::from_micros(least.saturating_add((1_u64 << doublings.min(63)) / 2))
}

/// What became of the runs that started within an hour or a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// When it begins.
    pub from: Timestamp,
    /// How many ended how.
    pub verdicts: Verdicts,
    /// How long those took in which we could look.
    pub durations: Durations,
}

impl Stretch {
    /// One in which nothing was run yet.
    pub fn empty(from: Timestamp) -> Self {
        Self { from, verdicts: Verdicts::default(), durations: Durations::default() }
    }

    /// Counts a run.
    pub fn count(&mut self, verdict: &str, duration: Duration) {
        self.verdicts.count(verdict);
        if verdict != "inconclusive" {
            self.durations.count(duration);
        }
    }

    /// Takes back a run that was counted.
    pub fn uncount(&mut self, verdict: &str, duration: Duration) {
        self.verdicts.uncount(verdict);
        if verdict != "inconclusive" {
            self.durations.uncount(duration);
        }
    }

    /// Together with another, which may be of another time.
    pub fn add(&mut self, other: &Self) {
        self.verdicts.add(other.verdicts);
        self.durations.add(&other.durations);
    }
}

/// Which runs are asked for; the latest come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunsAsked {
    /// Of this probe …
    pub probe: ProbeName,
    /// … on this schedule, or on any and on none.
    pub schedule: Option<ScheduleName>,
    /// Only those that did not pass.
    pub bad: bool,
    /// Those that started then or later …
    pub from: Timestamp,
    /// … and before.
    pub until: Timestamp,
    /// Those that come after this one; nothing comes after one that is erased.
    pub after: Option<RunId>,
    /// At most so many.
    pub most: usize,
}

/// The runs that were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunsFound {
    /// The latest first.
    pub runs: Vec<Run>,
    /// Whether there are more, from before the last one of these.
    pub more: bool,
}

/// Which incidents are asked for; those that opened last come first. Drills are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentsAsked {
    /// Of this probe only.
    pub probe: Option<ProbeName>,
    /// Only those that are open, or only those that are over.
    pub open: Option<bool>,
    /// Only those that matter as much.
    pub severity: Option<Severity>,
    /// Those that opened then or later.
    pub from: Option<Timestamp>,
    /// Those that opened before then.
    pub until: Option<Timestamp>,
    /// Those that come after this one; nothing comes after one that is erased.
    pub after: Option<IncidentId>,
    /// At most so many.
    pub most: usize,
}

/// The incidents that were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentsFound {
    /// Those that opened last first.
    pub incidents: Vec<Incident>,
    /// Whether there are more, from before the last one of these.
    pub more: bool,
    /// Who has heard of them.
    pub hearers: BTreeMap<IncidentId, Hearers>,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// What it takes on the disk, in bytes, with its log.
    pub bytes: u64,
    /// How many runs it holds, nearly: counted by the places that they take.
    pub runs: u64,
    /// When the oldest run started that it holds.
    pub oldest: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_off_by_a_thirty_second_part_at_most() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let micros = random >> (random % 64);
            let mut durations = Durations::default();
            durations.count(Duration::from_micros(micros));
            let told = durations.quantile(0.5).unwrap().as_micros() as f64;
            assert!((told - micros as f64).abs() <= micros as f64 / 32.0, "{micros}: {told}");
        }
    }

    #[test]
    fn buckets_grow_with_what_they_hold() {
        let buckets: Vec<_> = (0..100_000).map(|micros| bucket(Duration::from_micros(micros))).collect();
        assert!(buckets.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1));
        assert!(bucket(Duration::MAX) < 1_000);
        assert_eq!(middle(bucket(Duration::from_micros(17))), Duration::from_micros(17));
    }

    #[test]
    fn quantiles_go_by_the_nearest_rank() {
        let mut durations = Durations::default();
        (1..=20).for_each(|micros| durations.count(Duration::from_micros(micros)));
        let of = |share| durations.quantile(share).map(|duration| duration.as_micros());
        assert_eq!([0.0, 0.5, 0.95, 0.99, 1.0].map(of), [1, 10, 19, 20, 20].map(Some));
        assert_eq!(Durations::default().quantile(0.5), None);
        assert_eq!(Durations::of(vec![(9, 2), (3, 1), (9, 1)]).buckets(), [(3, 1), (9, 3)]);
    }

    #[test]
    fn what_we_could_not_see_says_nothing_of_availability() {
        let mut stretch = Stretch::empty(Timestamp::default());
        for verdict in ["passed", "degraded", "failed", "failed", "inconclusive"] {
            stretch.count(verdict, Duration::from_millis(1));
        }
        assert_eq!(stretch.verdicts.availability(), Some(0.5));
        assert_eq!((stretch.verdicts.all(), stretch.durations.runs()), (5, 4));
        assert_eq!(Verdicts { inconclusive: 3, ..Verdicts::default() }.availability(), None);
    }

    #[test]
    fn stretches_begin_with_the_hours_and_days_of_utc() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(Grain::Hour.begin(at("2026-11-24T09:59:59Z")), at("2026-11-24T09:00:00Z"));
        assert_eq!(Grain::Day.begin(at("1969-12-31T23:00:00Z")), at("1969-12-31T00:00:00Z"));
    }
}
