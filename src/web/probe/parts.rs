//! What became of the runs of a probe, by the parts of the stretch that a page shows, and the figures that people ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::window::{Window, begin};
use crate::domain::history::Stretch;
use crate::domain::outcome::Run;
use crate::domain::time::{Timestamp, milliseconds};

/// Of fewer runs a quantile is the slowest one, and says nothing of the rest that are to come.
const RUNS_MIN: [(Quantile, u64); 3] = [(Quantile::P50, 1), (Quantile::P95, 20), (Quantile::P99, 100)];

/// Which share of the runs took no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantile {
    /// Half of them.
    P50,
    /// 95 of 100.
    P95,
    /// 99 of 100.
    P99,
}

impl Quantile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::P50, Self::P95, Self::P99];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    fn share(self) -> f64 {
        match self {
            Self::P50 => 0.50,
            Self::P95 => 0.95,
            Self::P99 => 0.99,
        }
    }

    /// How many runs it takes.
    fn runs_min(self) -> u64 {
        RUNS_MIN.iter().find(|(quantile, _)| *quantile == self).map_or(0, |(_, runs)| *runs)
    }

    /// In milliseconds, by the nearest rank; nothing where there is no run.
    pub fn of(self, stretch: &Stretch) -> Option<f64> {
        stretch.durations.quantile(self.share()).map(milliseconds)
    }

    /// The same where there are enough runs to say so.
    pub fn known(self, stretch: &Stretch) -> Option<f64> {
        self.of(stretch).filter(|_| stretch.durations.runs() >= self.runs_min())
    }
}

/// Stretches of the store as the parts of a window, oldest first. Those outside of it are left out.
pub fn of_stretches(window: &Window, stretches: &[Stretch]) -> Vec<Stretch> {
    parts(window, stretches.iter().map(|stretch| (stretch.from, stretch)))
}

/// Runs as the parts of a window. As in what the store remembers, those off the slots count nothing.
pub fn of_runs(window: &Window, runs: &[Run]) -> Vec<Stretch> {
    let single = |run: &Run| {
        let mut stretch = Stretch::empty(run.started_at);
        stretch.count(run.verdict.word(), run.duration);
        stretch
    };
    let runs = runs.iter().filter(|run| run.extra.is_none() && run.schedule.is_some());
    let singles: Vec<_> = runs.map(single).collect();
    parts(window, singles.iter().map(|stretch| (stretch.from, stretch)))
}

fn parts<'a>(window: &Window, stretches: impl Iterator<Item = (Timestamp, &'a Stretch)>) -> Vec<Stretch> {
    let mut parts: BTreeMap<Timestamp, Stretch> = BTreeMap::new();
    for (at, stretch) in stretches.filter(|(at, _)| (window.from..window.until).contains(at)) {
        let from = begin(at, window.part);
        parts.entry(from).or_insert_with(|| Stretch::empty(from)).add(stretch);
    }
    parts.into_values().collect()
}

/// Those that begin within a time, together.
pub fn together(parts: &[Stretch], from: Timestamp, until: Timestamp) -> Stretch {
    let mut whole = Stretch::empty(from);
    parts.iter().filter(|part| (from..until).contains(&part.from)).for_each(|part| whole.add(part));
    whole
}

/// How long after another a part may come that belongs to the same line: where something comes that often, one may be missing.
pub fn gap(window: &Window, period: Duration) -> Duration {
    window.part.max(period).mul_f64(2.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::history::Grain;
    use crate::domain::outcome::{Extra, Verdict};
    use crate::engine::testing::at;
    use crate::web::probe::window::{Over, Shown};
    use crate::web::tests::fixture::run;

    const NOW: &str = "2026-11-24T09:17:45Z";

    #[test]
    fn hours_become_the_parts_of_a_month() {
        let window = Window::of(Shown::Over(Over::Month), at(NOW));
        let hour = |text: &str| {
            let mut stretch = Stretch::empty(Grain::Hour.begin(at(text)));
            stretch.count("passed", Duration::from_millis(10));
            stretch
        };
        let hours =
            ["2026-10-25T08:00:00Z", "2026-10-25T09:00:00Z", "2026-10-25T11:00:00Z", "2026-11-24T09:00:00Z"].map(hour);
        let parts = of_stretches(&window, &hours);
        let found: Vec<_> = parts.iter().map(|part| (part.from, part.verdicts.all())).collect();
        assert_eq!(found, [(at("2026-10-25T09:00:00Z"), 2), (at("2026-11-24T09:00:00Z"), 1)]);
        assert_eq!(together(&parts, window.from, window.until).verdicts.all(), 3);
        assert_eq!(together(&parts, window.until, window.until).verdicts.all(), 0);
    }

    #[test]
    fn runs_off_the_slots_count_nothing() {
        let window = Window::of(Shown::Over(Over::Hour), at(NOW));
        let mut runs = vec![run("reachability", "auth", at("2026-11-24T09:00:01Z"), 10, Verdict::Passed); 3];
        runs[1].extra = Some(Extra::Recheck);
        runs[2].schedule = None;
        let parts = of_runs(&window, &runs);
        assert_eq!((parts.len(), parts[0].from, parts[0].verdicts.all()), (1, at("2026-11-24T09:00:00Z"), 1));
    }

    #[test]
    fn few_runs_have_no_quantile_to_tell() {
        let mut stretch = Stretch::empty(at(NOW));
        let known = |stretch: &Stretch| Quantile::ALL.map(|quantile| quantile.known(stretch).is_some());
        assert_eq!(known(&stretch), [false, false, false]);
        for (more, expected) in [(1, [true, false, false]), (19, [true, true, false]), (80, [true, true, true])] {
            (0..more).for_each(|_| stretch.count("passed", Duration::from_millis(10)));
            assert_eq!(known(&stretch), expected);
        }
    }
}
