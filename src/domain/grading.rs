//! How much a failing probe matters, where that depends on what fails and on how much of it. A pure rule, beside the judge:
//! the judge says whether there is an incident, this says how grave it is now. That it never falls while it is open is the
//! incident's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::incident::Severity;
use super::outcome::{Failure, FailureKind};

/// The largest number of runs of which a share may be asked for: with fewer than a hundred nobody can tell one percent.
pub const RUNS_MAX: u32 = 1_000;

/// How much a failing probe matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grading {
    /// Where nothing else says more.
    pub default: Severity,
    /// By what failed, in the place of the default.
    pub failures: BTreeMap<FailureKind, Severity>,
    /// By how much failed, where that is graver.
    pub error_rate: Option<ErrorRate>,
}

/// How much it matters that a share of the last runs failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRate {
    /// Of how many runs. Those that were not made yet count as good, so that the first failure is not 100 %.
    pub runs: u32,
    /// From which share on.
    pub from: BTreeMap<Severity, Share>,
}

impl Grading {
    /// How much a failing run matters after the last ones, itself among them. Of several failures the gravest counts.
    pub fn severity(&self, failures: &[Failure], recent: &Recent) -> Severity {
        let of_kind = |failure: &Failure| self.failures.get(&failure.kind).copied().unwrap_or(self.default);
        let by_kind = failures.iter().map(of_kind).max().unwrap_or(self.default);
        let by_rate = self.error_rate.as_ref().and_then(|rate| rate.severity(recent));
        by_rate.map_or(by_kind, |by_rate| by_rate.max(by_kind))
    }

    /// Every severity that it may come to.
    pub fn severities(&self) -> BTreeSet<Severity> {
        let by_rate = self.error_rate.iter().flat_map(|rate| rate.from.keys());
        self.failures.values().chain(by_rate).copied().chain([self.default]).collect()
    }
}

impl ErrorRate {
    fn severity(&self, recent: &Recent) -> Option<Severity> {
        let failures = recent.failures();
        let reached = self.from.iter().filter(|(_, share)| share.is_reached(failures, self.runs));
        reached.map(|(severity, _)| *severity).max()
    }
}

/// A share, in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

/// Why a text is not a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share is more than 0% and at most 100%, with two decimals at most, like `5%` or `0.5%`")]
pub struct ShareError;

impl FromStr for Share {
    type Err = ShareError;
    fn from_str(text: &str) -> Result<Self, ShareError> {
        let number = text.strip_suffix('%').ok_or(ShareError)?.trim_end();
        let (whole, decimals) = number.split_once('.').map_or((number, "0"), |(whole, decimals)| (whole, decimals));
        let is_number = |part: &str, longest: usize| {
            (1..=longest).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(whole, 3) || !is_number(decimals, 2) {
            return Err(ShareError);
        }
        let digits = format!("{whole}{decimals:0<2}").parse().map_err(|_| ShareError)?;
        if (1..=10_000).contains(&digits) { Ok(Self(digits)) } else { Err(ShareError) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 100.0)
    }
}

impl Share {
    /// Whether so many failures among so many runs are that much.
    pub fn is_reached(self, failures: u32, runs: u32) -> bool {
        u64::from(failures) * 10_000 >= u64::from(self.0) * u64::from(runs)
    }
}

/// Which of the last runs failed: stretches of the same, the oldest first, which begin with a failure. What is older says
/// nothing, and where none failed there is nothing to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent(VecDeque<(bool, u32)>);

impl Recent {
    /// One more run; `most` of them are kept.
    pub fn take(&mut self, bad: bool, most: u32) {
        match self.0.back_mut() {
            Some((last, count)) if *last == bad => *count = count.saturating_add(1),
            _ => self.0.push_back((bad, 1)),
        }
        let mut excess = self.0.iter().map(|(_, count)| count).sum::<u32>().saturating_sub(most);
        while let Some((bad, count)) = self.0.front_mut() {
            let gone = if *bad { excess.min(*count) } else { *count };
            excess = excess.saturating_sub(gone);
            *count -= gone;
            if *count > 0 {
                break;
            }
            self.0.pop_front();
        }
    }

    /// How many of them failed.
    pub fn failures(&self) -> u32 {
        self.0.iter().filter(|(bad, _)| *bad).map(|(_, count)| count).sum()
    }

    /// Whether there is nothing to know.
    pub fn is_forgotten(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why a text names no failures of a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is no such kind.
    #[error("no failure is a `{0}`")]
    Unknown(String),
    /// It is we who could not look, which is never the target's failure.
    #[error("`{0}` is not the target's failure but Roundsman's own, which makes a run inconclusive")]
    Ours(String),
}

/// The kinds of failure that are named by `tls.expired`, or by `tls.*` for all that begin so.
pub fn kinds(pattern: &str) -> Result<Vec<FailureKind>, PatternError> {
    let family = pattern.strip_suffix('*').filter(|family| family.ends_with('.'));
    let is_meant =
        |kind: &&FailureKind| family.map_or(kind.as_str() == pattern, |family| kind.as_str().starts_with(family));
    let all: Vec<_> = FailureKind::ALL.iter().filter(is_meant).copied().collect();
    if all.is_empty() {
        return Err(PatternError::Unknown(pattern.to_owned()));
    }
    let theirs: Vec<_> = all.into_iter().filter(|kind| !kind.is_ours()).collect();
    if theirs.is_empty() { Err(PatternError::Ours(pattern.to_owned())) } else { Ok(theirs) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(text: &str) -> Share {
        text.parse().unwrap()
    }

    fn failures(kinds: &[FailureKind]) -> Vec<Failure> {
        kinds.iter().map(|kind| Failure::new(*kind, "x")).collect()
    }

    /// The levels of the seed: everything down is P1, more than 5 % P2, 1 to 5 % P3, less than 1 % P4.
    fn seed(runs: u32) -> Grading {
        let from = [(Severity::P1, share("100%")), (Severity::P2, share("5.01%")), (Severity::P3, share("1%"))];
        let error_rate = Some(ErrorRate { runs, from: from.into() });
        Grading { default: Severity::P4, failures: BTreeMap::new(), error_rate }
    }

    #[test]
    fn the_levels_of_the_seed_by_error_rate() {
        let (grading, failed) = (seed(1_000), failures(&[FailureKind::Expect]));
        let level = |bad: usize| {
            let mut recent = Recent::default();
            for n in 0..1_000 {
                recent.take(n < bad, 1_000);
            }
            grading.severity(&failed, &recent).as_str()
        };
        assert_eq!([1, 9, 10, 50, 51, 999, 1_000].map(level), ["P4", "P4", "P3", "P3", "P2", "P2", "P1"]);
    }

    /// A trace: each letter is a run, `.` passed, `x` an assertion, `c` refused, `t` an expired certificate; the answer is the
    /// level after each that failed.
    #[test]
    fn what_failed_says_how_grave_it_is_and_how_much_of_it_may_say_more() {
        let from = [(Severity::P1, share("50%")), (Severity::P3, share("30%"))];
        let grading = Grading {
            default: Severity::P3,
            failures: [
                (FailureKind::Expect, Severity::P4),
                (FailureKind::ConnectRefused, Severity::P2),
                (FailureKind::TlsExpired, Severity::P1),
            ]
            .into(),
            error_rate: Some(ErrorRate { runs: 10, from: from.into() }),
        };
        assert_eq!(grading.severities().len(), 4);
        for (runs, expected) in [
            // The default stands for what is not named, an assertion is milder, the others are graver.
            ("?.x.c.t", "3-4-2-1"),
            // Three of ten make the mildest a P3, five a P1; runs that were not made yet count as good.
            ("xxxxx", "44331"),
            ("xx........xx", "44--------44"),
            ("xxxx......xx", "4433------33"),
            ("cxcxc", "24231"),
        ] {
            let mut recent = Recent::default();
            let mut levels = String::new();
            for letter in runs.chars() {
                recent.take(letter != '.', 10);
                let kind = match letter {
                    '.' => None,
                    'x' => Some(FailureKind::Expect),
                    'c' => Some(FailureKind::ConnectRefused),
                    't' => Some(FailureKind::TlsExpired),
                    _ => Some(FailureKind::BodyDecode),
                };
                let level =
                    kind.map(|kind| grading.severity(&failures(&[kind]), &recent).as_str().trim_start_matches('P'));
                levels.push_str(level.unwrap_or("-"));
            }
            assert_eq!(levels, expected, "{runs}");
        }
        let both = failures(&[FailureKind::Expect, FailureKind::TlsExpired]);
        assert_eq!(grading.severity(&both, &Recent::default()), Severity::P1, "of several the gravest counts");
    }

    #[test]
    fn kinds_are_named_by_themselves_or_by_their_family() {
        assert_eq!(kinds("expect"), Ok(vec![FailureKind::Expect]));
        assert!(kinds("tls.*").unwrap().contains(&FailureKind::TlsExpired));
        assert_eq!(kinds("tls.*").unwrap().len(), 8);
        assert_eq!(kinds("tls.expird"), Err(PatternError::Unknown("tls.expird".to_owned())));
        for (unknown, ours) in [("*", "local.*"), ("tls*", "internal"), ("t.*", "local.network"), ("", "local.stopped")]
        {
            assert_eq!(kinds(unknown), Err(PatternError::Unknown(unknown.to_owned())));
            assert_eq!(kinds(ours), Err(PatternError::Ours(ours.to_owned())));
        }
    }

    #[test]
    fn a_share_is_a_part_of_a_hundred() {
        for (text, share, shown) in
            [("5%", 500, "5%"), ("0.5%", 50, "0.5%"), ("100 %", 10_000, "100%"), ("0.01%", 1, "0.01%")]
        {
            assert_eq!(text.parse(), Ok(Share(share)));
            assert_eq!(Share(share).to_string(), shown);
        }
        for text in ["5", "0%", "101%", "-5%", "0.001%", "%", ".5%", "5.%", "1e1%", "5%%", "0.00%", "9999%"] {
            assert_eq!(text.parse::<Share>(), Err(ShareError), "{text}");
        }
        assert!(share("5%").is_reached(1, 20) && !share("5%").is_reached(0, 20) && !share("5.01%").is_reached(1, 20));
    }

    proptest! {
        #[test]
        fn what_is_kept_of_the_last_runs_counts_as_all_of_them_would(
            runs in proptest::collection::vec(any::<bool>(), 0..200), most in 1_u32..50,
        ) {
            let mut recent = Recent::default();
            for (n, bad) in (1..).zip(&runs) {
                recent.take(*bad, most);
                let last = &runs[n - (n.min(most as usize))..n];
                prop_assert_eq!(recent.failures() as usize, last.iter().filter(|bad| **bad).count());
                prop_assert_eq!(recent.is_forgotten(), recent.failures() == 0);
                prop_assert!(recent.0.iter().map(|(_, count)| count).sum::<u32>() <= most);
                prop_assert!(recent.0.iter().zip(recent.0.iter().skip(1)).all(|(one, next)| one.0 != next.0));
                let kept: Recent = serde_json::from_str(&serde_json::to_string(&recent).unwrap()).unwrap();
                prop_assert_eq!(&kept, &recent);
            }
        }

        #[test]
        fn more_failures_are_never_milder(bad in 0_u32..100, more in 0_u32..100) {
            let (grading, failed) = (seed(100), failures(&[FailureKind::Expect]));
            let level = |count: u32| grading.severity(&failed, &Recent([(true, count.min(100))].into()));
            prop_assert!(level(bad + more) >= level(bad));
        }
    }
}
