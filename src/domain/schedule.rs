//! Schedule, cadence, slot: which nominal instants there are, and where in a round each probe stands. Pure: the same
//! cadence and the same instants give the same slots, whatever happened before.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeZone as _;
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::judge::AlertPolicy;
use super::names::{ProbeName, ScheduleName};
use super::objective::Objective;
use super::time::{Length, Timestamp, later};

/// How long after its slot a round starts: tokio-cron-scheduler ticks up to half a second late, and the lead hides it.
pub const LEAD: Duration = Duration::from_secs(1);

/// The longest stretch over which a round is spread. A round of an hourly schedule stays near its hour, where people
/// look for it.
pub const SPREAD_MAX: Duration = Duration::from_secs(60);

/// A named definition in `schedules/`, after validation.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name; people speak of it as a tier.
    pub name: ScheduleName,
    /// Its slots.
    pub cadence: Cadence,
    /// The probes of each of its rounds, each once, sorted.
    pub probes: Vec<ProbeName>,
    /// The budget of a run whose probe names none: 10 s, or 80 % of the cadence where that is less.
    pub timeout: Duration,
    /// When failing runs become a page; without it, no message.
    pub alert: Option<AlertPolicy>,
    /// What it promises of each of its probes.
    pub objectives: Vec<Arc<Objective>>,
}

impl Schedule {
    /// Whether a probe is in its rounds.
    pub fn has(&self, probe: &ProbeName) -> bool {
        self.probes.binary_search(probe).is_ok()
    }

    /// When the run of a slot is due of a probe whose runs may take so long.
    pub fn due_at(&self, slot: Timestamp, probe: &ProbeName, timeout: Duration) -> Timestamp {
        later(slot, LEAD + spread(&self.name, probe, self.cadence.period_at(slot), timeout))
    }

    /// When its next run is due, be its slot still to come or its spread. Of slots up to `since` there is no run: it was not yet
    /// known then.
    pub fn next_due(
        &self,
        probe: &ProbeName,
        timeout: Duration,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        // A cron line is slow to ask, and mostly the first answer serves.
        let next = std::iter::once_with(|| self.cadence.next_after(now)).flatten();
        let slots = self.cadence.last_through(now).into_iter().chain(next);
        let slots = slots.filter(|slot| since.is_none_or(|since| *slot > since));
        slots.map(|slot| self.due_at(slot, probe, timeout)).find(|due_at| *due_at > now)
    }
}

/// `every 30s` or a cron line.
#[derive(Clone)]
pub enum Cadence {
    /// Slots at the multiples of a length that divides a minute, an hour or a day, counted from midnight UTC.
    Every(Duration),
    /// Slots where croner 4 puts the line in its time zone.
    Cron {
        /// As written.
        line: Arc<str>,
        /// The zone in which the line is read.
        timezone: Tz,
        /// The parsed line.
        cron: Box<Cron>,
    },
}

/// Why something is not a cadence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CadenceError {
    /// Outside one second to one day.
    #[error("`every` takes 1 s to 24 h, not {0}")]
    Range(Length),
    /// A length whose slots would drift over the day.
    #[error("{0} divides neither a minute nor an hour nor a day evenly: the nearest that do are {1} and {2}")]
    Uneven(Length, Length, Length),
    /// croner does not read the line.
    #[error("`{0}` is not a cron line: {1}")]
    Cron(String, String),
    /// A line of a form that is not offered.
    #[error("`{0}` has {1} fields: a cron line has five, or six with the seconds first")]
    Fields(String, usize),
    /// A line that parses and never occurs, such as 30 February.
    #[error("`{0}` never occurs")]
    Never(String),
}

const DAY: u64 = 86_400;

/// The most slots of a cron line that are walked to count them.
const CRON_SLOTS_WALKED_MAX: usize = 31 * 24 * 60;

fn is_even(seconds: u64) -> bool {
    [60, 3_600, DAY].iter().any(|whole| whole % seconds == 0)
}

/// What croner says, without the part of it that speaks.
fn in_words(error: &str) -> String {
    let said = ["Component error: ", "Invalid pattern: "].iter().find_map(|part| error.strip_prefix(part));
    let said = said.unwrap_or(error).trim_end_matches('.');
    let mut letters = said.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

impl Cadence {
    /// A cadence by length; it must divide a minute, an hour or a day evenly.
    pub fn every(length: Duration) -> Result<Self, CadenceError> {
        let seconds = length.as_secs();
        if !(1..=DAY).contains(&seconds) || (seconds == DAY && length.subsec_nanos() > 0) {
            return Err(CadenceError::Range(Length(length)));
        }
        if length.subsec_nanos() == 0 && is_even(seconds) {
            return Ok(Self::Every(length));
        }
        let below = (1..=seconds).rev().find(|&s| is_even(s)).unwrap_or(1);
        let above = (seconds + 1..=DAY).find(|&s| is_even(s)).unwrap_or(DAY);
        let length_of = |s| Length(Duration::from_secs(s));
        Err(CadenceError::Uneven(Length(length), length_of(below), length_of(above)))
    }

    /// A cadence by cron line; `now` is where the search for its next occurrence begins.
    pub fn cron(line: &str, timezone: Tz, now: Timestamp) -> Result<Self, CadenceError> {
        let fields = line.split_whitespace().count();
        if !line.trim_start().starts_with('@') && !(5..=6).contains(&fields) {
            return Err(CadenceError::Fields(line.to_owned(), fields));
        }
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build()
            .parse(line)
            .map_err(|error| CadenceError::Cron(line.to_owned(), in_words(&error.to_string())))?;
        let cadence = Self::Cron { line: Arc::from(line), timezone, cron: Box::new(cron) };
        if cadence.next_after(now).is_none() { Err(CadenceError::Never(line.to_owned())) } else { Ok(cadence) }
    }

    /// The first slot strictly after an instant; `None` when there is none any more.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(length) => {
                let step = i64::try_from(length.as_secs()).ok()?;
                let next = at.timestamp().div_euclid(step).checked_add(1)?.checked_mul(step)?;
                chrono::Utc.timestamp_opt(next, 0).single()
            }
            Self::Cron { timezone, cron, .. } => {
                let next = cron.find_next_occurrence(&at.with_timezone(timezone), false).ok()?.to_utc();
                // A line that occurs in the repeated hour of autumn may be found at the instant itself.
                (next > at).then_some(next)
            }
        }
    }

    /// The slots in `(after, through]`, in order.
    pub fn slots(&self, after: Timestamp, through: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(after), |slot| self.next_after(*slot))
            .take_while(move |slot| *slot <= through)
    }

    /// The last slot at or before an instant.
    pub fn last_through(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(length) => {
                let step = i64::try_from(length.as_secs()).ok()?;
                chrono::Utc.timestamp_opt(at.timestamp().div_euclid(step) * step, 0).single()
            }
            Self::Cron { timezone, cron, .. } => {
                let previous = cron.find_previous_occurrence(&at.with_timezone(timezone), true).ok()?;
                Some(previous.to_utc())
            }
        }
    }

    /// How many slots are in `(after, through]`, counted up to `most`; those of a cron line have to be walked, so no more
    /// than a month of minutes.
    pub fn count(&self, after: Timestamp, through: Timestamp, most: u64) -> u64 {
        match self {
            Self::Every(length) => {
                let step = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
                let counted = through.timestamp().div_euclid(step) - after.timestamp().div_euclid(step);
                u64::try_from(counted).unwrap_or(0).min(most)
            }
            Self::Cron { .. } => {
                let most = usize::try_from(most).unwrap_or(usize::MAX).min(CRON_SLOTS_WALKED_MAX);
                self.slots(after, through).take(most).count() as u64
            }
        }
    }

    /// How many slots there are in a length of time. Those of a cron line are counted over the last month of it at the most.
    pub fn runs_within(&self, length: Duration, now: Timestamp) -> u64 {
        let counted = length.min(Duration::from_secs(31 * DAY));
        match self {
            Self::Every(period) => length.as_secs() / period.as_secs().max(1),
            Self::Cron { .. } => {
                let slots = self.count(super::time::earlier(now, counted), now, u64::MAX);
                slots * length.as_secs() / counted.as_secs().max(1)
            }
        }
    }

    /// How many slots a day has on the average: those of a cron line over the weeks of a year, or as many of them as it takes to
    /// walk `CRON_SLOTS_WALKED_MAX`, since most lines are the same each week.
    pub fn per_day(&self, now: Timestamp) -> f64 {
        let Self::Cron { .. } = self else {
            return Duration::from_secs(DAY).as_secs_f64() / self.period_at(now).as_secs_f64();
        };
        let (mut from, mut slots, mut days) = (now, 0, 0_u32);
        // The first day by itself, since a line of seconds has more slots in one than are walked.
        for stretch in std::iter::once(1).chain(std::iter::once(6)).chain(std::iter::repeat_n(7, 51)) {
            let through = later(from, Duration::from_secs(u64::from(stretch) * DAY));
            slots += self.slots(from, through).count();
            (from, days) = (through, days + stretch);
            if slots >= CRON_SLOTS_WALKED_MAX || (days == 1 && slots * 7 >= CRON_SLOTS_WALKED_MAX) {
                break;
            }
        }
        slots as f64 / f64::from(days)
    }

    /// The length between a slot and the next one after it; a day when there is none.
    pub fn period_at(&self, slot: Timestamp) -> Duration {
        match self {
            Self::Every(length) => *length,
            Self::Cron { .. } => {
                self.next_after(slot).and_then(|next| (next - slot).to_std().ok()).unwrap_or(Duration::from_secs(DAY))
            }
        }
    }

    /// The length between the next two slots; a day where there are not two.
    pub fn next_period(&self, now: Timestamp) -> Duration {
        self.periods(now).next().unwrap_or(Duration::from_secs(DAY))
    }

    /// The lengths between the next slots, one after the other; each is looked for when it is asked for.
    pub fn periods(&self, now: Timestamp) -> impl Iterator<Item = Duration> + '_ {
        let pair = move |slot: Timestamp| Some((slot, self.next_after(slot)?));
        std::iter::successors(self.next_after(now).and_then(pair), move |(_, next)| pair(*next))
            .filter_map(|(slot, next)| (next - slot).to_std().ok())
    }

    /// The length between any two slots that follow each other; nothing where that differs. It depends on no clock. Slots in
    /// a zone with summer time are apart by an hour more once a year, and a cron line is believed after a thousand of its slots.
    pub fn even_period(&self) -> Option<Duration> {
        match self {
            Self::Every(length) => Some(*length),
            Self::Cron { timezone, .. } if *timezone != Tz::UTC => None,
            Self::Cron { .. } => {
                let mut periods = self.periods(chrono::DateTime::from_timestamp(0, 0)?);
                let first = periods.next()?;
                periods.take(1_000).all(|period| period == first).then_some(first)
            }
        }
    }

    /// The shortest length between two of the next slots, which bounds timeouts.
    pub fn shortest_period(&self, now: Timestamp) -> Duration {
        match self {
            Self::Every(length) => *length,
            Self::Cron { .. } => self.periods(now).take(63).min().unwrap_or(Duration::from_secs(DAY)),
        }
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(length) => write!(f, "every {}", Length(*length)),
            Self::Cron { line, timezone: Tz::UTC, .. } => write!(f, "at {line}"),
            Self::Cron { line, timezone, .. } => write!(f, "at {line} {timezone}"),
        }
    }
}

impl fmt::Debug for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cadence({self})")
    }
}

impl PartialEq for Cadence {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// Where in a round a probe stands: between zero and the room that its period leaves after lead and timeout, at most
/// [`SPREAD_MAX`]. A hash of the names only, so that restart and reload keep the phase.
pub fn spread(schedule: &ScheduleName, probe: &ProbeName, period: Duration, timeout: Duration) -> Duration {
    let room = period.saturating_sub(LEAD).saturating_sub(timeout).min(SPREAD_MAX);
    let bytes = schedule.as_str().bytes().chain([0]).chain(probe.as_str().bytes());
    let hash =
        finish(bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }));
    // FNV-1a with MurmurHash3's finaliser, written here because the standard hasher may change between releases, and
    // then every probe would move.
    let fraction = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    room.mul_f64(fraction)
}

fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn every(seconds: u64) -> Cadence {
        Cadence::every(Duration::from_secs(seconds)).unwrap()
    }

    fn cron(line: &str, zone: Tz) -> Cadence {
        Cadence::cron(line, zone, at("2026-01-01T00:00:00Z")).unwrap()
    }

    #[test]
    fn slots_follow_the_wall_clock() {
        let slots: Vec<_> = every(30).slots(at("2026-11-24T10:00:00Z"), at("2026-11-24T10:01:10Z")).collect();
        assert_eq!(slots, [at("2026-11-24T10:00:30Z"), at("2026-11-24T10:01:00Z")]);
        assert_eq!(every(30).next_after(at("2026-11-24T10:00:29.999Z")), Some(at("2026-11-24T10:00:30Z")));
    }

    #[test]
    fn an_even_period_is_one_that_every_slot_keeps() {
        for (line, hours) in
            [("0 * * * *", Some(1)), ("30 3 * * *", Some(24)), ("0 */7 * * *", None), ("0 2 * * 2-4", None)]
        {
            let period = cron(line, Tz::UTC).even_period();
            assert_eq!(period, hours.map(|hours| Duration::from_secs(hours * 3_600)), "{line}");
        }
        assert_eq!(cron("30 3 * * *", Tz::Europe__Zurich).even_period(), None, "a day of summer time has 23 hours");
        assert_eq!(every(30).even_period(), Some(Duration::from_secs(30)));
    }

    #[test]
    fn uneven_lengths_name_their_neighbours() {
        for (seconds, message) in [
            (7, "7 s divides neither a minute nor an hour nor a day evenly: the nearest that do are 6 s and 8 s"),
            (
                50_000,
                "13 h 53 min divides neither a minute nor an hour nor a day evenly: the nearest that do are 12 h and 1 d",
            ),
            (0, "`every` takes 1 s to 24 h, not 0 ms"),
            (90_000, "`every` takes 1 s to 24 h, not 1 d 1 h"),
        ] {
            assert_eq!(Cadence::every(Duration::from_secs(seconds)).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn cron_lines_that_cannot_be_kept_are_refused() {
        let error = |line| Cadence::cron(line, Tz::UTC, at("2026-01-01T00:00:00Z")).unwrap_err().to_string();
        assert_eq!(error("0 0 30 2 *"), "`0 0 30 2 *` never occurs");
        assert_eq!(error("0 0 *"), "`0 0 *` has 3 fields: a cron line has five, or six with the seconds first");
        assert!(error("61 * * * *").starts_with("`61 * * * *` is not a cron line: "), "{}", error("61 * * * *"));
    }

    #[test]
    fn both_changes_of_the_clocks_keep_a_daily_line_daily() {
        // In Berlin 02:30 does not exist on 29 March 2026 and exists twice on 25 October 2026.
        let daily = cron("30 2 * * *", Tz::Europe__Berlin);
        let spring: Vec<_> = daily.slots(at("2026-03-27T12:00:00Z"), at("2026-03-30T12:00:00Z")).collect();
        assert_eq!(spring.len(), 3, "{spring:?}");
        let autumn: Vec<_> = daily.slots(at("2026-10-23T12:00:00Z"), at("2026-10-26T12:00:00Z")).collect();
        assert_eq!(autumn.len(), 3, "{autumn:?}");
        let hourly = cron("0 * * * *", Tz::Europe__Berlin);
        for (from, to) in
            [("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), ("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z")]
        {
            let slots: Vec<_> = hourly.slots(at(from), at(to)).collect();
            assert_eq!(slots.len(), 24, "{from}: {slots:?}");
        }
    }

    #[test]
    fn a_day_has_as_many_slots_on_the_average_whatever_day_it_is() {
        for (line, per_day) in [
            ("0 * * * *", 24.0),
            ("0 8 * * 1-5", 5.0 / 7.0),
            ("0 10 * * 1", 1.0 / 7.0),
            ("*/5 8-17 * * 1-5", 120.0 * 5.0 / 7.0),
            ("* * * * *", 1_440.0),
            ("* * * * * *", 86_400.0),
            ("0 0 1 * *", 12.0 / 364.0),
        ] {
            let (a, b) = (at("2026-11-24T10:00:00Z"), at("2026-11-28T03:30:00Z"));
            for now in [a, b] {
                let found = cron(line, Tz::UTC).per_day(now);
                assert!((found - per_day).abs() < 1e-9, "{line} from {now}: {found}");
            }
        }
        assert!((every(30).per_day(at("2026-11-24T10:00:00Z")) - 2_880.0).abs() < 1e-9);
    }

    #[test]
    fn the_next_run_is_of_the_round_that_goes_on_until_its_place_has_come() {
        let schedule = Schedule {
            name: ScheduleName::parse("reachability").unwrap(),
            cadence: every(30),
            probes: Vec::new(),
            timeout: Duration::from_secs(10),
            alert: None,
            objectives: Vec::new(),
        };
        let probe = ProbeName::parse("probe-1").unwrap();
        let next =
            |since: Option<&str>, now| schedule.next_due(&probe, schedule.timeout, since.map(at), at(now)).unwrap();
        let place = LEAD + spread(&schedule.name, &probe, Duration::from_secs(30), schedule.timeout);
        let (this, that) = (at("2026-11-24T10:00:00Z"), at("2026-11-24T10:00:30Z"));
        assert_eq!(next(None, "2026-11-24T10:00:00.5Z"), later(this, place));
        assert_eq!(next(Some("2026-11-24T09:59:59Z"), "2026-11-24T10:00:00.5Z"), later(this, place));
        assert_eq!(
            next(Some("2026-11-24T10:00:00Z"), "2026-11-24T10:00:00.5Z"),
            later(that, place),
            "it was not there"
        );
        assert_eq!(next(None, "2026-11-24T10:00:29Z"), later(that, place));
    }

    #[test]
    fn spread_is_stable_and_even() {
        let schedule = ScheduleName::parse("reachability").unwrap();
        let place = |n: u32| {
            let probe = ProbeName::parse(&format!("probe-{n}")).unwrap();
            spread(&schedule, &probe, Duration::from_secs(30), Duration::from_secs(10))
        };
        let mut tenths = [0_u32; 10];
        for n in 0..10_000 {
            assert!(place(n) < Duration::from_secs(19));
            tenths[usize::try_from(place(n).as_millis() / 1_900).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|&count| (900..1_100).contains(&count)), "{tenths:?}");
        // These figures may never change: a restart with another release keeps the phase.
        assert_eq!(
            place(1).as_millis(),
            spread(&schedule, &ProbeName::parse("probe-1").unwrap(), Duration::from_secs(30), Duration::from_secs(10))
                .as_millis()
        );
    }

    proptest! {
        #[test]
        fn counting_agrees_with_listing(seconds in prop::sample::select(vec![1_u64, 7_200, 30, 60, 300, 86_400, 45]), from in 0_i64..4_000_000_000, length in 0_i64..4_000) {
            prop_assume!(is_even(seconds));
            let (after, through) = (chrono::Utc.timestamp_opt(from, 0).unwrap(), chrono::Utc.timestamp_opt(from + length, 0).unwrap());
            let cadence = every(seconds);
            prop_assert_eq!(cadence.count(after, through, u64::MAX), cadence.slots(after, through).count() as u64);
            prop_assert!(cadence.slots(after, through).all(|slot| slot.timestamp() % i64::try_from(seconds).unwrap() == 0));
        }
    }
}
