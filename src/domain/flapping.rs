//! Flapping is a state and not a stream of pages: what begins to fail again and again is one incident that stays open until
//! it has been quiet. A pure step over the judge's transitions, beside its states.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::judge::Transition;
use super::time::{Timestamp, between, earlier, later};

/// The largest number of openings that may be asked for.
pub const OPENINGS_MAX: u32 = 100;

/// When coming and going is flapping, and when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlappingPolicy {
    /// So many openings …
    pub openings: u32,
    /// … within this time are flapping,
    pub within: Duration,
    /// which is over when nothing has changed for so long.
    pub quiet: Duration,
}

impl Default for FlappingPolicy {
    fn default() -> Self {
        Self { openings: 4, within: Duration::from_secs(3_600), quiet: Duration::from_secs(900) }
    }
}

/// How it has come and gone lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flap {
    /// When it opened, oldest first; no more than the policy asks for.
    pub openings: VecDeque<Timestamp>,
    /// Since when it flaps; absent while it does not.
    pub since: Option<Timestamp>,
    /// When it last opened or recovered, while it flaps.
    pub changed_at: Option<Timestamp>,
    /// Whether it was failing then.
    pub failing: bool,
}

/// What becomes of a step of the judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// It stands.
    Stands(Transition),
    /// It opens, and flaps from now on.
    Begins(Transition),
    /// It is one of many, and nobody is told.
    Swallowed,
    /// It has been quiet and well for long enough: it is over.
    Over,
    /// It has been failing for so long without a pause that it is an ordinary incident again.
    Steady,
    /// Nothing.
    None,
}

impl Flap {
    /// Whether it flaps.
    pub fn is_flapping(&self) -> bool {
        self.since.is_some()
    }

    /// Whether nothing of it need be known any longer.
    pub fn is_forgotten(&self) -> bool {
        self.since.is_none() && self.openings.is_empty()
    }

    /// One step: what the judge made of a run, at an instant. A clock that is set back makes the quiet begin anew.
    pub fn step(&mut self, policy: &FlappingPolicy, transition: Option<Transition>, now: Timestamp) -> Edge {
        while self.openings.front().is_some_and(|at| *at > now || between(*at, now) > policy.within) {
            self.openings.pop_front();
        }
        if let Some(Transition::Fired { .. }) = transition {
            self.openings.push_back(now);
            while self.openings.len() > policy.openings as usize {
                self.openings.pop_front();
            }
        }
        if self.is_flapping() {
            return self.go_on(policy, transition, now);
        }
        match transition {
            Some(fired @ Transition::Fired { .. }) if self.openings.len() >= policy.openings as usize => {
                (self.since, self.changed_at, self.failing) = (Some(now), Some(now), true);
                Edge::Begins(fired)
            }
            Some(transition) => Edge::Stands(transition),
            None => Edge::None,
        }
    }

    fn go_on(&mut self, policy: &FlappingPolicy, transition: Option<Transition>, now: Timestamp) -> Edge {
        if let Some(transition) = transition {
            (self.changed_at, self.failing) = (Some(now), matches!(transition, Transition::Fired { .. }));
            return Edge::Swallowed;
        }
        let changed_at = self.changed_at.map_or(now, |at| at.min(now));
        self.changed_at = Some(changed_at);
        if now < later(changed_at, policy.quiet) {
            return Edge::None;
        }
        let failing = self.failing;
        *self = Self::default();
        if failing { Edge::Steady } else { Edge::Over }
    }

    /// How many openings there have been lately, and within what time.
    pub fn lately(&self, now: Timestamp) -> (usize, Duration) {
        let first = self.openings.front().copied().unwrap_or(now);
        (self.openings.len(), between(earlier(first, Duration::ZERO), now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(second)
    }

    /// A trace: each letter is what the judge made of a run (`F` fired, `R` recovered, `.` nothing), ten seconds apart; the
    /// answer shows what became of it: `F`, `R` as they stand, `B` it begins to flap, `-` swallowed, `O` over, `S` steady.
    fn trace(policy: &FlappingPolicy, steps: &str) -> String {
        let mut flap = Flap::default();
        let steps = steps.chars().enumerate().map(|(n, letter)| (second(10 * i64::try_from(n).unwrap()), letter));
        let shown = steps.map(|(now, letter)| {
            // What is known outlives the process.
            flap = serde_json::from_str(&serde_json::to_string(&flap).unwrap()).unwrap();
            let transition = match letter {
                'F' => Some(Transition::Fired { since: now }),
                'R' => Some(Transition::Recovered),
                _ => None,
            };
            match flap.step(policy, transition, now) {
                Edge::Stands(Transition::Fired { .. }) => 'F',
                Edge::Stands(Transition::Recovered) => 'R',
                Edge::Begins(_) => 'B',
                Edge::Swallowed => '-',
                Edge::Over => 'O',
                Edge::Steady => 'S',
                Edge::None => '.',
            }
        });
        shown.collect()
    }

    #[test]
    fn traces() {
        let policy = FlappingPolicy { openings: 3, within: Duration::from_secs(60), quiet: Duration::from_secs(40) };
        for (what, steps, shown) in [
            ("seldom", "F.R....F.R....F.R", "F.R....F.R....F.R"),
            ("the third within a minute begins it", "FRFRFRFRFR......", "FRFRB-----...O.."),
            ("it ends when it has been well for long enough", "FRFRFR...F.R.....FR", "FRFRB-...-.-...O.FR"),
            ("what stays down is no flapping any more", "FRFRF......R", "FRFRB...S..R"),
            ("and begins anew", "FRFRFR....FRFRFR", "FRFRB-...OFRFRB-"),
        ] {
            assert_eq!(trace(&policy, steps), shown, "{what}");
        }
    }

    #[test]
    fn once_a_second_for_an_hour_is_four_openings_and_one_end() {
        let (mut flap, mut edges) = (Flap::default(), Vec::new());
        for at in 0..5_400 {
            let transition = match at {
                3_600.. => None,
                at if at % 2 == 0 => Some(Transition::Fired { since: second(at) }),
                _ => Some(Transition::Recovered),
            };
            match flap.step(&FlappingPolicy::default(), transition, second(at)) {
                Edge::Swallowed | Edge::None => {}
                Edge::Stands(_) => edges.push((at, "stands")),
                Edge::Begins(_) => edges.push((at, "begins")),
                Edge::Over => edges.push((at, "over")),
                Edge::Steady => edges.push((at, "steady")),
            }
        }
        let stands = (0..6).map(|at| (at, "stands"));
        assert_eq!(edges, stands.chain([(6, "begins"), (3_599 + 900, "over")]).collect::<Vec<_>>());
        assert!(flap.is_forgotten());
    }

    proptest! {
        /// What is let through opens and ends in turn, whatever comes.
        #[test]
        fn what_is_told_opens_and_ends_in_turn(gaps in prop::collection::vec((1..2_000_i64, any::<bool>()), 0..300)) {
            let (mut flap, mut failing, mut open, mut now) = (Flap::default(), false, false, 0);
            for (gap, changes) in gaps {
                now += gap;
                let transition = changes.then(|| {
                    failing = !failing;
                    if failing { Transition::Fired { since: second(now) } } else { Transition::Recovered }
                });
                match flap.step(&FlappingPolicy::default(), transition, second(now)) {
                    Edge::Stands(Transition::Fired { .. }) | Edge::Begins(_) => {
                        prop_assert!(!open, "it is open already");
                        open = true;
                    }
                    Edge::Stands(Transition::Recovered) | Edge::Over => {
                        prop_assert!(open, "it is not open");
                        open = false;
                    }
                    Edge::Steady => prop_assert!(open && failing),
                    Edge::Swallowed | Edge::None => {}
                }
                prop_assert!(open || !failing, "a failing target has an open incident");
                prop_assert!(flap.openings.len() <= 4);
            }
        }
    }
}
