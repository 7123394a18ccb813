//! Office hours: the days and the time of day in which people are at work, as they are written: `mon-fri 09:00-17:00`.

use std::fmt;

use chrono::{Datelike as _, Days, NaiveTime, TimeZone as _, Weekday};
use chrono_tz::Tz;

use super::time::Timestamp;

/// When people are at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// As written.
    text: String,
    /// From Monday on.
    days: [bool; 7],
    from: NaiveTime,
    /// Before this; absent for the end of the day.
    until: Option<NaiveTime>,
    timezone: Tz,
}

/// Why a text says no hours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// Not days and two times.
    #[error("`{0}` says no hours")]
    Form(String),
    /// A day that is none.
    #[error("`{0}` is no day: write mon, tue, wed, thu, fri, sat or sun")]
    Day(String),
    /// A time that is none.
    #[error("`{0}` is no time of day: write it like 09:00")]
    Time(String),
    /// They would be over before they begin.
    #[error("the hours end before they begin")]
    Backwards,
}

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Hours {
    /// Reads `mon-fri 09:00-17:00`, `sat,sun 10:00-24:00`.
    pub fn parse(text: &str, timezone: Tz) -> Result<Self, HoursError> {
        let form = || HoursError::Form(text.to_owned());
        let (named, times) = text.trim().split_once(' ').ok_or_else(form)?;
        let (from, until) = times.trim().split_once('-').ok_or_else(form)?;
        let (from, until) = (time(from)?, if until.trim() == "24:00" { None } else { Some(time(until)?) });
        if until.is_some_and(|until| until <= from) {
            return Err(HoursError::Backwards);
        }
        let mut days = [false; 7];
        for part in named.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            // `sat-mon` goes over the end of the week.
            let count = (last + 7 - first) % 7;
            (0..=count).for_each(|n| days[(first + n) % 7] = true);
        }
        Ok(Self { text: text.trim().to_owned(), days, from, until, timezone })
    }

    /// Whether people are at work.
    pub fn contain(&self, now: Timestamp) -> bool {
        let local = now.with_timezone(&self.timezone);
        self.is_day(local.weekday()) && local.time() >= self.from && self.until.is_none_or(|until| local.time() < until)
    }

    /// When people are at work next; nothing where they are.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        if self.contain(now) {
            return None;
        }
        let today = now.with_timezone(&self.timezone).date_naive();
        let days = (0..=8).filter_map(|n| today.checked_add_days(Days::new(n)));
        let begins = days.filter(|date| self.is_day(date.weekday())).filter_map(|date| {
            // In the hour that a clock leaves out, what comes next is the end of that hour.
            let late = |minute| date.and_time(self.from) + chrono::TimeDelta::minutes(minute);
            (0..=120).find_map(|minute| self.timezone.from_local_datetime(&late(minute)).earliest())
        });
        begins.map(|at| at.to_utc()).find(|at| *at > now)
    }

    fn is_day(&self, day: Weekday) -> bool {
        self.days[day.num_days_from_monday() as usize]
    }
}

fn day(text: &str) -> Result<usize, HoursError> {
    let wanted = text.trim().to_ascii_lowercase();
    NAMES.iter().position(|name| *name == wanted).ok_or_else(|| HoursError::Day(text.trim().to_owned()))
}

fn time(text: &str) -> Result<NaiveTime, HoursError> {
    NaiveTime::parse_from_str(text.trim(), "%H:%M").map_err(|_| HoursError::Time(text.trim().to_owned()))
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timezone {
            Tz::UTC => f.write_str(&self.text),
            timezone => write!(f, "{} {timezone}", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn hours_are_over_at_their_end_and_begin_again_on_the_next_day_of_theirs() {
        let office = Hours::parse("mon-fri 09:00-17:00", Tz::UTC).unwrap();
        for (now, next) in [
            ("2026-11-24T08:59:59Z", Some("2026-11-24T09:00:00Z")),
            ("2026-11-24T09:00:00Z", None),
            ("2026-11-24T16:59:59Z", None),
            ("2026-11-24T17:00:00Z", Some("2026-11-25T09:00:00Z")),
            ("2026-11-27T20:00:00Z", Some("2026-11-30T09:00:00Z")),
        ] {
            assert_eq!(office.next_after(at(now)), next.map(at), "{now}");
        }
        let rare = Hours::parse("sat-mon,Wed 20:00-24:00", Tz::UTC).unwrap();
        let open: Vec<_> = (23..30).filter(|day| rare.contain(at(&format!("2026-11-{day}T23:59:59Z")))).collect();
        assert_eq!(open, [23, 25, 28, 29]);
        assert_eq!(rare.next_after(at("2026-11-24T00:00:00Z")), Some(at("2026-11-25T20:00:00Z")));
    }

    #[test]
    fn hours_are_those_of_the_clock_on_the_wall() {
        let office = Hours::parse("mon-sun 02:30-17:00", Tz::Europe__Berlin).unwrap();
        for (now, next) in [
            ("2026-07-01T23:00:00Z", "2026-07-02T00:30:00Z"),
            ("2026-12-01T23:00:00Z", "2026-12-02T01:30:00Z"),
            // 29 March has no 2:30, and 25 October has two.
            ("2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z"),
            ("2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z"),
        ] {
            assert_eq!(office.next_after(at(now)), Some(at(next)), "{now}");
        }
    }

    #[test]
    fn what_says_no_hours_is_refused() {
        for (text, why) in [
            ("always", "`always` says no hours"),
            ("mon-fri 9", "`mon-fri 9` says no hours"),
            ("mo-fr 09:00-17:00", "`mo` is no day: write mon, tue, wed, thu, fri, sat or sun"),
            ("mon 9-17", "`9` is no time of day: write it like 09:00"),
            ("mon 22:00-06:00", "the hours end before they begin"),
        ] {
            assert_eq!(Hours::parse(text, Tz::UTC).unwrap_err().to_string(), why);
        }
    }
}
