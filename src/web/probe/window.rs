//! Which stretch of time the page of a probe shows, as its address says it, and how finely.

use std::fmt::Write as _;
use std::time::Duration;

use crate::domain::history::Grain;
use crate::domain::names::ScheduleName;
use crate::domain::time::{Timestamp, between, earlier, later, rfc3339, words};
use crate::web::visit::Visit;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The shortest stretch that is shown.
const SHORTEST: Duration = Duration::from_secs(MINUTE);

/// The longest.
const LONGEST: Duration = Duration::from_secs(400 * DAY);

/// Which lengths one comes to who looks from farther and farther away.
const LENGTHS: [Duration; 7] = [
    Duration::from_secs(HOUR),
    Duration::from_secs(6 * HOUR),
    Duration::from_secs(DAY),
    Duration::from_secs(7 * DAY),
    Duration::from_secs(30 * DAY),
    Duration::from_secs(90 * DAY),
    LONGEST,
];

/// The stretches that have a name, each of which ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The last hour.
    Hour,
    /// The last day.
    Day,
    /// The last seven days.
    Week,
    /// The last thirty days.
    Month,
}

impl Over {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "1d",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// Its length.
    pub fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hour => HOUR,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
        })
    }

    /// The shortest in which something has a dozen slots that comes so often: fewer are no line.
    pub fn fitting(period: Duration) -> Self {
        Self::ALL.into_iter().find(|over| over.length() >= period * 12).unwrap_or(Self::Month)
    }
}

/// What is shown of all that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// What ends now.
    Over(Over),
    /// From one instant until another.
    Between(Timestamp, Timestamp),
}

/// What the address of the page asks for. Links are made by asking for something else besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The stretch; without it one that fits the cadence.
    pub shown: Option<Shown>,
    /// The schedule of which the page speaks, and whose runs it lists; without it one of them, and the runs of all.
    pub schedule: Option<ScheduleName>,
    /// The list of runs begins with the last one that started before.
    pub before: Option<Timestamp>,
    /// It lists only runs that did not pass.
    pub bad: bool,
}

impl Asked {
    /// Reads an address; what cannot be meant is refused with a sentence.
    pub fn read(visit: &Visit) -> Result<Self, String> {
        let instant = |name: &str, text: &str| {
            let at = text.parse::<Timestamp>().map_err(|_| ());
            at.map_err(|()| format!("`{name}` is an instant like 2026-11-24T09:00:00Z"))
        };
        let (mut asked, mut over, mut from, mut until) = (Self::default(), None, None, None);
        for (name, value) in visit.asked() {
            match &*name {
                "over" => {
                    over = Over::ALL.into_iter().find(|over| over.key() == value);
                    if over.is_none() {
                        return Err("`over` is one of 1h, 1d, 7d and 30d".to_owned());
                    }
                }
                "from" => from = Some(instant("from", &value)?),
                "until" => until = Some(instant("until", &value)?),
                "before" => asked.before = Some(instant("before", &value)?),
                "schedule" => asked.schedule = Some(value.parse().map_err(|_| "there is no such schedule".to_owned())?),
                "bad" => asked.bad = true,
                _ => {}
            }
        }
        asked.shown = match (from, until) {
            (Some(from), Some(until)) => {
                if until <= from || !(SHORTEST..=LONGEST).contains(&between(from, until)) {
                    let (shortest, longest) = (words(SHORTEST), words(LONGEST));
                    return Err(format!("`until` is {shortest} to {longest} after `from`"));
                }
                Some(Shown::Between(from, until))
            }
            (None, None) => over.map(Shown::Over),
            _ => return Err("`from` and `until` go together".to_owned()),
        };
        Ok(asked)
    }

    /// The same for another stretch. Its list of runs begins anew.
    #[must_use]
    pub fn showing(&self, shown: Shown) -> Self {
        Self { shown: Some(shown), before: None, ..self.clone() }
    }

    /// The address, relative to the page.
    pub fn href(&self) -> String {
        let mut query = String::from("?");
        let mut add = |name: &str, value: &str| {
            let and = if query.len() > 1 { "&" } else { "" };
            let equals = if value.is_empty() { "" } else { "=" };
            // Writing to a String cannot fail.
            let _ = write!(query, "{and}{name}{equals}{value}");
        };
        match self.shown {
            None => {}
            Some(Shown::Over(over)) => add("over", over.key()),
            Some(Shown::Between(from, until)) => {
                add("from", &rfc3339(from));
                add("until", &rfc3339(until));
            }
        }
        if let Some(schedule) = &self.schedule {
            add("schedule", schedule.as_str());
        }
        if self.bad {
            add("bad", "");
        }
        if let Some(before) = self.before {
            // In full: several runs may start within a millisecond.
            add("before", &before.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
        }
        query
    }
}

/// What a stretch is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Single runs.
    Runs,
    /// What the store remembers by the hour or the day.
    Stretches(Grain),
}

/// How finely a stretch of up to some length is drawn.
struct Scale {
    up_to: u64,
    /// Seconds of a part: there are three hundred at most.
    part: u64,
    /// Seconds of a zone, which is a row of the table, and what a click leads to; there are some thirty at most.
    zone: u64,
    source: Source,
}

const SCALES: [Scale; 8] = [
    Scale { up_to: 5 * MINUTE, part: 5, zone: MINUTE, source: Source::Runs },
    Scale { up_to: HOUR + MINUTE, part: 30, zone: 5 * MINUTE, source: Source::Runs },
    Scale { up_to: 6 * HOUR, part: 2 * MINUTE, zone: 30 * MINUTE, source: Source::Runs },
    Scale { up_to: 25 * HOUR, part: HOUR, zone: HOUR, source: Source::Stretches(Grain::Hour) },
    Scale { up_to: 8 * DAY, part: HOUR, zone: 6 * HOUR, source: Source::Stretches(Grain::Hour) },
    Scale { up_to: 32 * DAY, part: 3 * HOUR, zone: DAY, source: Source::Stretches(Grain::Hour) },
    Scale { up_to: 100 * DAY, part: 8 * HOUR, zone: 4 * DAY, source: Source::Stretches(Grain::Hour) },
    Scale { up_to: u64::MAX, part: 2 * DAY, zone: 14 * DAY, source: Source::Stretches(Grain::Day) },
];

/// A stretch of time with how finely it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// It begins then, where a part does …
    pub from: Timestamp,
    /// … and ends then, at the latest now.
    pub until: Timestamp,
    /// The length of its parts.
    pub part: Duration,
    /// The length of its zones.
    pub zone: Duration,
    /// What it is drawn from.
    pub source: Source,
}

impl Window {
    /// What is shown at an instant.
    pub fn of(shown: Shown, now: Timestamp) -> Self {
        let (from, until) = match shown {
            Shown::Over(over) => (earlier(now, over.length()), now),
            Shown::Between(from, until) if from < now => (from, until.min(now)),
            Shown::Between(from, until) => (from, until),
        };
        let length = between(from, until).as_secs();
        let scale = SCALES.iter().find(|scale| length <= scale.up_to).unwrap_or(&SCALES[SCALES.len() - 1]);
        let part = Duration::from_secs(scale.part);
        let zone = Duration::from_secs(scale.zone);
        Self { from: begin(from, part), until, part, zone, source: scale.source }
    }

    /// The same by the hour, where there are too many runs to look at each.
    #[must_use]
    pub fn coarser(self) -> Self {
        let part = Duration::from_secs(HOUR);
        let source = Source::Stretches(Grain::Hour);
        Self { from: begin(self.from, part), part, zone: part, source, ..self }
    }

    /// Its length.
    pub fn length(&self) -> Duration {
        between(self.from, self.until)
    }

    /// Where on its axis an instant stands, as a share of the whole; outside of it at its nearer end.
    pub fn place(&self, at: Timestamp) -> f64 {
        (between(self.from, at).as_secs_f64() / self.length().as_secs_f64()).clamp(0.0, 1.0)
    }

    /// Its zones, the first and the last of which may stand out of it.
    pub fn zones(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let (until, zone) = (self.until, self.zone);
        let first = Some(begin(self.from, zone));
        std::iter::successors(first, move |from| Some(later(*from, zone)))
            .take_while(move |from| *from < until)
            .map(move |from| (from, later(from, zone)))
    }

    /// Whether something lies within it that goes on from one instant until another, if only in part.
    pub fn has(&self, from: Timestamp, until: Timestamp) -> bool {
        from < self.until && until > self.from
    }

    /// How much is beside it: as much as it has, which may be more than is shown, since it begins where a part does.
    fn beside(&self) -> Duration {
        self.length().min(LONGEST)
    }

    /// As much before it.
    pub fn before(&self) -> Shown {
        Shown::Between(earlier(self.from, self.beside()), self.from)
    }

    /// As much after it; nothing where that lies ahead.
    pub fn after(&self, now: Timestamp) -> Option<Shown> {
        (self.until < now).then(|| Shown::Between(self.until, later(self.until, self.beside())))
    }

    /// More around it; nothing where there is no more.
    pub fn wider(&self, now: Timestamp) -> Option<Shown> {
        let length = LENGTHS.into_iter().find(|length| *length > self.length())?;
        let until = later(self.until, length.saturating_sub(self.length()) / 2).min(now);
        Some(Shown::Between(earlier(until, length), until))
    }
}

/// Where the part begins in which an instant lies; parts are counted from where UTC's days do.
pub fn begin(at: Timestamp, part: Duration) -> Timestamp {
    let seconds = i64::try_from(part.as_secs().max(1)).unwrap_or(i64::MAX);
    Timestamp::from_timestamp(at.timestamp().div_euclid(seconds) * seconds, 0).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::at;

    const NOW: &str = "2026-11-24T09:17:45Z";

    fn read(query: &str) -> Result<Asked, String> {
        Asked::read(&Visit { uri: format!("/probes/any?{query}").parse().unwrap(), user: None })
    }

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for query in [
            "",
            "over=30d",
            "over=1h&schedule=reach.a@b&bad",
            "from=2026-11-24T09:00:00.000Z&until=2026-11-24T10:00:00.000Z&before=2026-11-24T09:30:00.000001Z",
        ] {
            assert_eq!(read(query).unwrap().href(), format!("?{query}"));
        }
        assert_eq!(read("still&over=7d").unwrap().shown, Some(Shown::Over(Over::Week)), "others are not ours");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_sentence() {
        for (query, why) in [
            ("over=2h", "`over` is one of 1h, 1d, 7d and 30d"),
            ("from=yesterday&until=2026-11-24T10:00:00Z", "`from` is an instant like 2026-11-24T09:00:00Z"),
            ("from=2026-11-24T10:00:00Z", "`from` and `until` go together"),
            ("from=2026-11-24T10:00:00Z&until=2026-11-24T10:00:00Z", "`until` is 1 min to 400 d after `from`"),
            ("from=2026-11-24T10:00:00Z&until=2026-11-24T09:00:00Z", "`until` is 1 min to 400 d after `from`"),
            ("from=1926-11-24T10:00:00Z&until=2026-11-24T09:00:00Z", "`until` is 1 min to 400 d after `from`"),
            ("before=1", "`before` is an instant like 2026-11-24T09:00:00Z"),
            ("schedule=%3Cb%3E", "there is no such schedule"),
        ] {
            assert_eq!(read(query).unwrap_err(), why, "{query}");
        }
    }

    #[test]
    fn nothing_has_more_parts_than_a_chart_shows_nor_more_zones_than_a_table() {
        let mut minutes = 1;
        while minutes < 400 * 24 * 60 {
            let shown = Shown::Between(earlier(at(NOW), Duration::from_secs(minutes * MINUTE)), at(NOW));
            let window = Window::of(shown, at(NOW));
            let parts = window.length().as_secs().div_ceil(window.part.as_secs());
            let zones = window.zones().count();
            assert!(parts <= 301 && zones <= 34, "{minutes} min: {parts} parts, {zones} zones");
            minutes += minutes / 7 + 1;
        }
    }

    #[test]
    fn a_window_begins_where_a_part_does_and_ends_now() {
        let month = Window::of(Shown::Over(Over::Month), at(NOW));
        assert_eq!((month.from, month.until), (at("2026-10-25T09:00:00Z"), at(NOW)));
        let ahead = Window::of(Shown::Between(at("2026-11-24T09:00:00Z"), at("2026-11-24T10:00:00Z")), at(NOW));
        assert_eq!(ahead.until, at(NOW));
        assert_eq!(ahead.zones().last(), Some((at("2026-11-24T09:15:00Z"), at("2026-11-24T09:20:00Z"))));
    }

    #[test]
    fn one_looks_from_farther_away_and_to_either_side() {
        let hour = Window::of(Shown::Between(at("2026-11-23T09:00:00Z"), at("2026-11-23T10:00:00Z")), at(NOW));
        let between = |from, until| Shown::Between(at(from), at(until));
        assert_eq!(hour.before(), between("2026-11-23T08:00:00Z", "2026-11-23T09:00:00Z"));
        assert_eq!(hour.after(at(NOW)), Some(between("2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z")));
        assert_eq!(hour.wider(at(NOW)), Some(between("2026-11-23T06:30:00Z", "2026-11-23T12:30:00Z")));
        let now = Window::of(Shown::Over(Over::Hour), at(NOW));
        assert_eq!(now.after(at(NOW)), None);
        assert!(matches!(now.wider(at(NOW)), Some(Shown::Between(_, until)) if until == at(NOW)));
    }

    #[test]
    fn what_is_linked_from_the_widest_window_can_be_shown() {
        let between = |shown: Shown| Asked::default().showing(shown).href();
        let widest = Window::of(Shown::Between(at("2025-01-10T09:00:00Z"), at("2026-02-14T09:00:00Z")), at(NOW));
        assert!(widest.length() > LONGEST, "it begins where a part does");
        for shown in [widest.before(), widest.after(at(NOW)).unwrap()] {
            let href = between(shown);
            assert_eq!(read(href.trim_start_matches('?')).unwrap().shown, Some(shown), "{href}");
        }
        assert_eq!(widest.wider(at(NOW)), None);
    }

    #[test]
    fn what_was_open_in_part_of_a_window_lies_within_it() {
        let hour = Window::of(Shown::Between(at("2026-11-23T09:00:00Z"), at("2026-11-23T10:00:00Z")), at(NOW));
        for (from, until, within) in [
            ("08:00", "09:00", false),
            ("08:00", "09:01", true),
            ("09:20", "09:30", true),
            ("08:00", "12:00", true),
            ("09:59", "12:00", true),
            ("10:00", "12:00", false),
        ] {
            let at = |time: &str| at(&format!("2026-11-23T{time}:00Z"));
            assert_eq!(hour.has(at(from), at(until)), within, "{from} to {until}");
        }
    }

    #[test]
    fn what_seldom_runs_is_shown_over_a_longer_time() {
        for (seconds, over) in
            [(30, Over::Hour), (300, Over::Hour), (3_600, Over::Day), (86_400, Over::Month), (864_000, Over::Month)]
        {
            assert_eq!(Over::fitting(Duration::from_secs(seconds)), over, "{seconds}");
        }
    }
}
