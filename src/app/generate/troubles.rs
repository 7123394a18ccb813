//! When what is wrong: stretches of a probe of its own, and those that it shares with all that look at the same service.

use std::ops::Range;

use rand::RngExt as _;
use rand::rngs::StdRng;

/// What is wrong in a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody listens.
    Down,
    /// The answer is an error.
    Broken,
    /// It takes long.
    Slow,
}

/// How often in thirty days, and from how many minutes to how many.
type Habit = (f64, Range<f64>);

const OF_A_SERVICE: [(Trouble, Habit); 2] = [(Trouble::Broken, (2.0, 5.0..45.0)), (Trouble::Slow, (3.0, 20.0..180.0))];
const OF_A_PROBE: [(Trouble, Habit); 2] = [(Trouble::Down, (0.7, 3.0..60.0)), (Trouble::Slow, (1.0, 10.0..120.0))];

/// Stretches in seconds since the beginning, in the order of their beginnings.
#[derive(Clone, Debug, Default)]
pub struct Troubles(Vec<(Range<u64>, Trouble)>);

impl Troubles {
    /// Those that probes of one service share, within so many seconds.
    pub fn of_service(seconds: u64, random: &mut StdRng) -> Self {
        Self::by(&OF_A_SERVICE, seconds, random)
    }

    /// Those of one probe.
    pub fn of_probe(seconds: u64, random: &mut StdRng) -> Self {
        Self::by(&OF_A_PROBE, seconds, random)
    }

    fn by(habits: &[(Trouble, Habit)], seconds: u64, random: &mut StdRng) -> Self {
        let mut troubles = Vec::new();
        for (trouble, (often, minutes)) in habits {
            let apart = 30.0 * 86_400.0 / often;
            let mut at = apart * -(1.0 - random.random::<f64>()).ln();
            while super::whole(at) < seconds {
                let length = random.random_range(minutes.clone()) * 60.0;
                troubles.push((super::whole(at)..super::whole(at + length), *trouble));
                at += length + apart * -(1.0 - random.random::<f64>()).ln();
            }
        }
        troubles.sort_by_key(|(range, _)| range.start);
        Self(troubles)
    }

    /// What is wrong at a second; seconds are asked for in their order.
    pub fn at(&mut self, second: u64) -> Option<Trouble> {
        self.0.retain(|(range, _)| range.end > second);
        self.0.iter().find(|(range, _)| range.start <= second).map(|(_, trouble)| *trouble)
    }
}
