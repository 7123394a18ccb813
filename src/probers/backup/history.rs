//! What a list of backups says: how old the newest is, how many there are, and how long there was none.

use std::time::Duration;

use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::{Timestamp, between, earlier, words};

/// How far a backup may be ahead of this machine's clock: beyond it one of the two clocks is wrong, and what never grows old
/// would pass for ever.
const AHEAD_MAX: Duration = Duration::from_secs(300);

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// By what it can be found: a name, an ARN, a key, a path.
    pub name: String,
    /// When it was made.
    pub at: Timestamp,
    /// How large it is, in bytes, where that is known.
    pub size_bytes: Option<u64>,
    /// For how many days it is kept from then on, where somebody said so.
    pub kept_days: Option<u64>,
}

/// The backups of a window of time that ends now: at least one.
#[derive(Debug, PartialEq, Eq)]
pub struct History {
    /// The newest first.
    backups: Vec<Backup>,
    now: Timestamp,
}

impl History {
    /// The backups of `what` that are not older than `over`. None at all is a failure, and so is one of the future.
    pub fn of(mut backups: Vec<Backup>, what: &str, over: Duration, now: Timestamp) -> Result<Self, Failure> {
        let begin = earlier(now, over);
        backups.retain(|backup| backup.at >= begin);
        backups.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.name.cmp(&b.name)));
        let Some(newest) = backups.first() else {
            let message = format!("there is no backup of {what} from the last {}", words(over));
            return Err(Failure::new(FailureKind::BackupMissing, message));
        };
        let ahead = between(now, newest.at);
        if ahead > AHEAD_MAX {
            let message = format!(
                "the newest backup of {what} is dated {} ahead of this machine's clock: one of the two clocks is wrong",
                words(ahead)
            );
            return Err(
                Failure::new(FailureKind::BackupDated, message).with("a backup of the past", newest.name.clone())
            );
        }
        Ok(Self { backups, now })
    }

    /// The newest.
    pub fn newest(&self) -> Option<&Backup> {
        self.backups.first()
    }

    /// The longest time without a backup, from each to the next and from the newest to now.
    fn gap_max(&self) -> Duration {
        let ends = std::iter::once(self.now).chain(self.backups.iter().map(|backup| backup.at));
        ends.zip(&self.backups).map(|(end, backup)| between(backup.at, end)).max().unwrap_or_default()
    }

    /// What assertions name.
    pub fn facts(&self) -> FactMap {
        let age_s = |backup: &Backup| between(backup.at, self.now).as_secs();
        let mut facts = FactMap::default();
        facts.insert("count", self.backups.len());
        facts.insert("max_gap_h", hours(self.gap_max()));
        if let Some(newest) = self.newest() {
            facts.insert("newest", newest.name.as_str());
            facts.insert("age_s", age_s(newest));
            facts.extend(newest.size_bytes.map(|size| ("size_bytes", size)));
        }
        facts
            .extend(self.backups.get(1).and_then(|before| before.size_bytes).map(|size| ("previous_size_bytes", size)));
        facts.extend(self.backups.last().map(|oldest| ("oldest_age_s", age_s(oldest))));
        // What is kept for ever has no end that could come too early.
        facts.extend(
            self.backups.iter().filter_map(|backup| backup.kept_days).min().map(|days| ("retention_days", days)),
        );
        facts
    }
}

/// Hours with two decimals: more of them say nothing about backups.
fn hours(length: Duration) -> f64 {
    (length.as_secs_f64() / 36.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::time::later;

    const HOUR: u64 = 3_600;

    fn now() -> Timestamp {
        "2026-11-26T12:00:00Z".parse().unwrap()
    }

    /// A backup of so many hours ago.
    fn ago(hours: u64, size_bytes: u64) -> Backup {
        let at = earlier(now(), Duration::from_secs(hours * HOUR));
        Backup { name: format!("b{hours}"), at, size_bytes: Some(size_bytes), kept_days: None }
    }

    fn facts(backups: Vec<Backup>) -> serde_json::Value {
        let over = Duration::from_secs(30 * 24 * HOUR);
        let history = History::of(backups, "the table Users", over, now()).unwrap();
        history.facts().iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }

    #[test]
    fn daily_backups_are_told_from_the_newest_to_the_oldest() {
        let daily = (0..40).rev().map(|day| ago(day * 24 + 2, 100 + day)).collect();
        let told = json!({
            "count": 30, "max_gap_h": 24.0, "newest": "b2", "age_s": 2 * HOUR, "size_bytes": 100,
            "previous_size_bytes": 101, "oldest_age_s": (29 * 24 + 2) * HOUR,
        });
        assert_eq!(facts(daily), told);
    }

    #[test]
    fn the_time_since_the_newest_is_a_hole_too() {
        assert_eq!(facts(vec![ago(30, 1), ago(31, 1)])["max_gap_h"], 30.0);
        assert_eq!(facts(vec![ago(2, 1), ago(74, 1), ago(98, 1)])["max_gap_h"], 72.0);
        assert_eq!(facts(vec![ago(30, 1)])["max_gap_h"], 30.0);
    }

    #[test]
    fn the_shortest_retention_counts() {
        let kept = |hours, kept_days| Backup { kept_days, ..ago(hours, 1) };
        assert_eq!(facts(vec![kept(1, Some(35)), kept(2, Some(7)), kept(3, None)])["retention_days"], 7);
        assert_eq!(facts(vec![kept(1, None)]).get("retention_days"), None);
    }

    #[test]
    fn nothing_and_the_future_fail() {
        let over = Duration::from_secs(48 * HOUR);
        let fails = |backups| History::of(backups, "the table Users", over, now()).unwrap_err().to_string();
        assert_eq!(fails(Vec::new()), "backup.missing: there is no backup of the table Users from the last 2 d");
        assert_eq!(fails(vec![ago(49, 1)]), "backup.missing: there is no backup of the table Users from the last 2 d");
        let ahead = |seconds| Backup { at: later(now(), Duration::from_secs(seconds)), ..ago(0, 1) };
        assert_eq!(
            fails(vec![ago(1, 1), ahead(3 * HOUR)]),
            "backup.dated: the newest backup of the table Users is dated 3 h ahead of this machine's clock: one of the two clocks is wrong"
        );
        let skewed = History::of(vec![ahead(120)], "the table Users", over, now()).unwrap();
        assert_eq!(skewed.facts()["age_s"], 0);
    }
}
