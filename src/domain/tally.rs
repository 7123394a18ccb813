//! How many runs there were and how many of them were bad, over each stretch that an objective looks back on. Rings of counts,
//! so that a run costs a few additions and a probe some 1.6 KiB, however long the window is.
//!
//! A stretch is counted in slices and is longer than it says by one of them at most: by a minute of those up to an hour, by five
//! minutes of six hours, by an hour of three days. The whole window is longer by a ninetieth at most.

use std::time::Duration;

use super::objective::Stretch;
use super::time::Timestamp;

/// Runs, and how many of them were bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that say something.
    pub runs: u64,
    /// Those of them that are bad.
    pub bad: u64,
}

impl Count {
    /// The share that is bad; nothing where there is none.
    pub fn share(self) -> Option<f64> {
        (self.runs > 0).then(|| self.bad as f64 / self.runs as f64)
    }
}

/// What was counted over each stretch up to an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    stretches: [Count; 5],
    /// Over the window of the objective.
    pub whole: Count,
}

impl Counts {
    /// Over a stretch.
    pub fn of(&self, stretch: Stretch) -> Count {
        self.stretches[stretch as usize]
    }

    /// The same, to be set.
    pub fn of_mut(&mut self, stretch: Stretch) -> &mut Count {
        &mut self.stretches[stretch as usize]
    }
}

/// How many slices the whole window has at most.
const WHOLE_SLICES: u32 = 180;

/// What an objective has counted of one probe.
#[derive(Clone, Debug)]
pub struct Tally {
    /// An hour, by the minute.
    minutes: Ring,
    /// Six hours, by five minutes.
    fives: Ring,
    /// Three days, by the hour.
    hours: Ring,
    whole: Ring,
}

impl Tally {
    /// An empty one for a window.
    pub fn over(window: Duration) -> Self {
        let slice = window.as_secs().div_ceil(u64::from(WHOLE_SLICES)).max(1);
        Self {
            minutes: Ring::of(60, Duration::from_secs(3_600)),
            fives: Ring::of(300, Duration::from_secs(6 * 3_600)),
            hours: Ring::of(3_600, Duration::from_secs(3 * 86_400)),
            whole: Ring::of(slice, window),
        }
    }

    /// Counts a run that started then. Runs may come in any order; what is older than a stretch is no part of it.
    pub fn add(&mut self, at: Timestamp, bad: bool) {
        for ring in [&mut self.minutes, &mut self.fives, &mut self.hours, &mut self.whole] {
            ring.add(at.timestamp(), bad);
        }
    }

    /// What there is at an instant.
    pub fn counts(&self, now: Timestamp) -> Counts {
        let now = now.timestamp();
        Counts {
            stretches: [
                self.minutes.count(now, Stretch::Minutes5.length()),
                self.minutes.count(now, Stretch::Minutes30.length()),
                self.minutes.count(now, Stretch::Hour1.length()),
                self.fives.count(now, Stretch::Hours6.length()),
                self.hours.count(now, Stretch::Days3.length()),
            ],
            whole: self.whole.count(now, Duration::from_secs(u64::MAX)),
        }
    }
}

/// Counts by slices of time, of which the latest are held.
#[derive(Clone, Debug)]
struct Ring {
    /// The length of a slice, in seconds.
    slice: i64,
    /// The number of the latest slice that holds anything.
    newest: i64,
    /// Runs and bad ones, each slice where its number says. At one run a second the longest slice has 43,200.
    slices: Box<[(u16, u16)]>,
}

impl Ring {
    fn of(slice: u64, length: Duration) -> Self {
        // One more than the length has, since the latest has only begun.
        let count = length.as_secs().div_ceil(slice) + 1;
        Self {
            slice: i64::try_from(slice).unwrap_or(i64::MAX),
            newest: i64::MIN,
            slices: vec![(0, 0); usize::try_from(count).unwrap_or(1)].into(),
        }
    }

    fn length(&self) -> i64 {
        i64::try_from(self.slices.len()).unwrap_or(i64::MAX)
    }

    /// Where the slice of a number is.
    fn place(&self, number: i64) -> usize {
        usize::try_from(number.rem_euclid(self.length())).unwrap_or(0)
    }

    fn add(&mut self, at: i64, bad: bool) {
        let number = at.div_euclid(self.slice);
        if number > self.newest {
            let fresh = number.saturating_sub(self.newest).min(self.length());
            for past in (number - fresh + 1)..=number {
                let place = self.place(past);
                self.slices[place] = (0, 0);
            }
            self.newest = number;
        } else if number <= self.newest - self.length() {
            return;
        }
        let place = self.place(number);
        let (runs, bads) = &mut self.slices[place];
        *runs = runs.saturating_add(1);
        *bads = bads.saturating_add(u16::from(bad));
    }

    /// What is held of the last so long.
    fn count(&self, now: i64, length: Duration) -> Count {
        let mut count = Count::default();
        if self.newest == i64::MIN {
            return count;
        }
        let last = now.div_euclid(self.slice);
        let slices = i64::try_from(length.as_secs()).unwrap_or(i64::MAX) / self.slice;
        let first = last.saturating_sub(slices.min(self.length() - 1)).max(self.newest - self.length() + 1);
        let wanted = usize::try_from(last.min(self.newest) - first + 1).unwrap_or(0);
        let (before, after) = self.slices.split_at(self.place(first));
        for (runs, bad) in after.iter().chain(before).take(wanted) {
            count.runs += u64::from(*runs);
            count.bad += u64::from(*bad);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn second(second: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    const STRETCHES: [Stretch; 5] =
        [Stretch::Minutes5, Stretch::Minutes30, Stretch::Hour1, Stretch::Hours6, Stretch::Days3];

    #[test]
    fn a_run_leaves_each_stretch_in_its_time() {
        let mut tally = Tally::over(Duration::from_secs(30 * 86_400));
        tally.add(second(0), true);
        let left = |after: i64| {
            let counts = tally.counts(second(after));
            let held: Vec<_> = STRETCHES.iter().filter(|stretch| counts.of(**stretch).bad == 1).collect();
            held.len() + usize::from(counts.whole.bad == 1)
        };
        assert_eq!(left(0), 6);
        assert_eq!(left(300), 6);
        assert_eq!(left(300 + 60), 5);
        assert_eq!(left(1_800 + 60), 4);
        assert_eq!(left(3_600 + 60), 3);
        assert_eq!(left(6 * 3_600 + 300), 2);
        assert_eq!(left(3 * 86_400 + 3_600), 1);
        assert_eq!(left(30 * 86_400), 1);
        assert_eq!(left(30 * 86_400 + 4 * 3_600), 0);
    }

    #[test]
    fn the_longest_window_holds_a_run_a_second() {
        let mut ring = Ring::of(90 * 86_400 / 180, Duration::from_secs(90 * 86_400));
        for at in 0..ring.slice {
            ring.add(at, at % 2 == 0);
        }
        let seconds = u64::try_from(ring.slice).unwrap();
        assert_eq!(ring.count(0, Duration::from_secs(90 * 86_400)), Count { runs: seconds, bad: seconds / 2 });
    }

    #[test]
    fn a_probe_costs_little() {
        let tally = Tally::over(Duration::from_secs(90 * 86_400));
        let rings = [&tally.minutes, &tally.fives, &tally.hours, &tally.whole];
        let bytes: usize = rings.iter().map(|ring| size_of_val(&*ring.slices)).sum();
        assert!(bytes + size_of::<Tally>() <= 1_700, "{bytes}");
    }

    proptest! {
        /// Against a list of all runs: no stretch lacks a run of its length, and none has one that is older by more than a slice.
        #[test]
        fn each_stretch_has_what_it_should(
            mut runs in prop::collection::vec((0_i64..400_000, any::<bool>()), 0..300),
            now in 300_000_i64..500_000,
            days in 1_u64..20,
        ) {
            let window = Duration::from_secs(days * 86_400);
            let mut tally = Tally::over(window);
            runs.retain(|(at, _)| *at <= now);
            // The latest may come before an earlier one by as much as the window is long.
            for (at, bad) in &runs {
                tally.add(second(*at), *bad);
            }
            let latest = runs.iter().map(|(at, _)| *at).max().unwrap_or(0);
            let counts = tally.counts(second(now));
            let slice = |stretch| match stretch {
                Stretch::Minutes5 | Stretch::Minutes30 | Stretch::Hour1 => 60,
                Stretch::Hours6 => 300,
                Stretch::Days3 => 3_600,
            };
            let whole = i64::try_from(window.as_secs()).unwrap();
            let all = STRETCHES.map(|stretch| {
                (counts.of(stretch), i64::try_from(stretch.length().as_secs()).unwrap(), slice(stretch))
            });
            for (count, length, slice) in all.into_iter().chain([(counts.whole, whole, whole / 180 + 1)]) {
                let within = |most: i64| runs.iter().filter(|(at, _)| *at > now - most).count() as u64;
                prop_assert!(count.runs >= within(length.min(whole)), "{count:?} {length}");
                prop_assert!(count.runs <= within(length + slice), "{count:?} {length} {latest}");
                prop_assert!(count.bad <= count.runs);
            }
        }
    }
}
