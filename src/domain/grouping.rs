//! What is told together: messages to one channel that begin within moments of each other, and a storm of them whatever they
//! are about. Nothing is decided here but which of what waits leaves in one message, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::incident::{Event, Incident, IncidentId, Severity};
use super::judge::Aspect;
use super::names::ProbeName;
use super::probe::Labels;
use super::time::{Timestamp, later};

/// How many incidents a message lists; the rest is counted.
pub const LISTED_MAX: usize = 50;

/// How messages to a channel are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// The labels that incidents must share to be told together; where there are none all are.
    pub by: Vec<String>,
    /// How long what is not P1 waits for others.
    pub wait: Duration,
    /// How many incidents are told of within `interval` before all that come are told together.
    pub limit: u32,
    /// How long it is from one message of a storm to the next.
    pub interval: Duration,
}

impl Default for Grouping {
    fn default() -> Self {
        Self {
            by: vec!["service".to_owned()],
            wait: Duration::from_secs(10),
            limit: 5,
            interval: Duration::from_secs(60),
        }
    }
}

impl Grouping {
    /// With what an incident that begins is told: those that answer the same go together. Two that lack a label share that.
    /// Nothing where nothing waits, since whoever wants no wait wants each by itself.
    pub fn key(&self, labels: &Labels) -> Option<String> {
        let value = |name: &String| format!("{name}={}", labels.get(name).map_or("", String::as_str));
        (!self.wait.is_zero()).then(|| self.by.iter().map(value).collect::<Vec<_>>().join(","))
    }
}

/// What a receiver makes of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeping {
    /// Each stands by itself, whatever it is about.
    #[default]
    Messages,
    /// What began together is one message that is continued, so what follows goes by how it began.
    Threads,
    /// As with threads; and each is an alert that somebody takes on and that is closed, so only a storm puts several into one.
    Alerts,
}

/// The rules for a channel: what people want, and what its receiver can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What people want.
    pub grouping: Grouping,
    /// What its receiver makes of it.
    pub keeping: Keeping,
}

impl Rules {
    /// With what an incident that begins is told; nothing where each is an alert.
    pub fn key(&self, labels: &Labels) -> Option<String> {
        (self.keeping != Keeping::Alerts).then(|| self.grouping.key(labels)).flatten()
    }

    /// How long a message waits for others: a page for P1 does not, nor does what somebody has just done.
    pub fn wait(&self, event: Event, severity: Severity) -> Duration {
        match event {
            Event::Opened | Event::Escalated if severity == Severity::P1 => Duration::ZERO,
            Event::Acknowledged => Duration::ZERO,
            Event::Opened | Event::Escalated | Event::Reminder | Event::Resolved | Event::PostMortem => {
                self.grouping.wait
            }
        }
    }
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What happened.
    pub event: Event,
    /// The incident is over, of which this is the beginning: both are told by one message.
    pub over: bool,
    /// Who takes it where the channel will not. What goes together has the same.
    pub fallback: Option<String>,
    /// With what it is told: for a beginning by [`Grouping::key`], else the message by which the channel heard of the
    /// beginning, where that told of several. What has none is told by itself, but in a storm.
    pub together: Option<String>,
    /// The channel has heard of the incident before.
    pub follows: bool,
    /// What begins with it, where something does.
    pub begins: Option<Beginning>,
    /// When it was committed.
    pub since: Timestamp,
    /// When it need not wait any longer.
    pub ripe_at: Timestamp,
}

/// What begins, which may have begun a moment ago as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The probe, and in which way it is bad. What is of the same begins again.
    pub of: (ProbeName, Aspect),
    /// When the channel was last told that it began before this, where that was within the last interval.
    pub told_at: Option<Timestamp>,
}

/// A message that has left within the last interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// What happened.
    pub event: Event,
    /// By what its incidents were told together.
    pub together: Option<String>,
    /// When it left.
    pub at: Timestamp,
    /// Of how many incidents it tells.
    pub size: u64,
}

/// What leaves and what goes on waiting, by the places in what waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Departure {
    /// The messages, each with all that it tells.
    pub messages: Vec<Vec<usize>>,
    /// What waits until another instant than it was to.
    pub held: Vec<(usize, Timestamp)>,
    /// What is over and began again since: word of the last stands for it.
    pub stood_for: Vec<usize>,
}

/// What is told in one breath: other things that happened, and what another channel would have to take, are other messages.
type Lane<'a> = (&'static str, bool, Option<&'a str>);

/// Decides for one channel. Each of what waits is in at most one message, each message is of one event, and whatever is ripe
/// is let go or is held for no longer than `interval` or `wait`.
pub fn depart(rules: &Rules, waiting: &[Waiting], left: &[Left], now: Timestamp) -> Departure {
    let mut departure = Departure::default();
    let ripe_at = repetitions(rules, waiting, now, &mut departure);
    let stood_for: BTreeSet<_> = departure.stood_for.iter().copied().collect();
    let mut lanes: BTreeMap<Lane<'_>, Vec<usize>> = BTreeMap::new();
    for (place, one) in waiting.iter().enumerate().filter(|(place, _)| !stood_for.contains(place)) {
        lanes.entry((one.event.as_str(), one.over, one.fallback.as_deref())).or_default().push(place);
    }
    for places in lanes.into_values().filter(|places| places.iter().any(|place| ripe_at[*place] <= now)) {
        let event = waiting[places[0]].event;
        let left: Vec<_> = left.iter().filter(|message| message.event == event).collect();
        let lane = Channel { rules, waiting, ripe_at: &ripe_at, left, now };
        lane.depart(places, &mut departure);
    }
    departure
}

/// When each is ripe. What comes and goes is told once in an interval, P1 or not, since whoever was told is at it: what begins
/// again waits until the interval is over, and the last of what began meanwhile stands for those that are over. Who wants no
/// wait wants to hear each.
fn repetitions(rules: &Rules, waiting: &[Waiting], now: Timestamp, departure: &mut Departure) -> Vec<Timestamp> {
    let mut ripe_at: Vec<_> = waiting.iter().map(|one| one.ripe_at).collect();
    if rules.grouping.wait.is_zero() {
        return ripe_at;
    }
    let mut all: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, one) in waiting.iter().enumerate() {
        if let Some(begins) = &one.begins {
            all.entry(&begins.of).or_default().push(place);
        }
    }
    for places in all.values_mut() {
        places.sort_by_key(|place| waiting[*place].since);
        let Some(last) = places.pop() else { continue };
        places.retain(|place| waiting[*place].over);
        // The first of them has waited for longest.
        let first = places.iter().map(|place| ripe_at[*place]).fold(ripe_at[last], Timestamp::min);
        departure.stood_for.append(places);
        let told_at = waiting[last].begins.as_ref().and_then(|begins| begins.told_at);
        let again_at = told_at.map(|at| later(at.min(now), rules.grouping.interval));
        ripe_at[last] = again_at.map_or(first, |at| at.max(first));
        if ripe_at[last] != waiting[last].ripe_at && ripe_at[last] > now {
            departure.held.push((last, ripe_at[last]));
        }
    }
    ripe_at
}

/// What goes for one event.
struct Channel<'a> {
    rules: &'a Rules,
    waiting: &'a [Waiting],
    ripe_at: &'a [Timestamp],
    left: Vec<&'a Left>,
    now: Timestamp,
}

impl Channel<'_> {
    fn depart(&self, places: Vec<usize>, departure: &mut Departure) {
        // Where what began is continued it cannot go with what began otherwise, however many there are: there are as many
        // beginnings as were told.
        let may_storm = |place: &usize| self.rules.keeping == Keeping::Messages || !self.waiting[*place].follows;
        let (stormy, rest): (Vec<_>, Vec<_>) = places.into_iter().partition(may_storm);
        let told: u64 = self.left.iter().map(|message| message.size).sum();
        let limit = u64::from(self.rules.grouping.limit);
        if told + stormy.len() as u64 > limit {
            self.storm(stormy, told > limit, departure);
            self.singly(&rest, departure);
        } else {
            self.singly(&[stormy, rest].concat(), departure);
        }
    }

    /// All in one message, which waits for the others of its moment and, where one of this storm has left, for its interval.
    fn storm(&self, places: Vec<usize>, lasts: bool, departure: &mut Departure) {
        let Grouping { wait, interval, .. } = self.rules.grouping;
        let first = places.iter().map(|place| self.waiting[*place].since).min();
        // A clock that is set back makes nothing wait for longer.
        let gathered = first.map(|first| later(first.min(self.now), wait));
        let last = self.left.iter().map(|message| message.at).max().filter(|_| lasts);
        let at = gathered.max(last.map(|last| later(last, interval)));
        match at.filter(|at| *at > self.now) {
            Some(at) => self.hold(&places, at, departure),
            None if places.is_empty() => {}
            None => departure.messages.push(places),
        }
    }

    /// What belongs together in one message, the rest each by itself.
    fn singly(&self, places: &[usize], departure: &mut Departure) {
        let mut done = BTreeSet::new();
        for &place in places {
            let one = &self.waiting[place];
            if self.ripe_at[place] > self.now {
                continue;
            }
            let Some(key) = &one.together else {
                departure.messages.push(vec![place]);
                continue;
            };
            if !done.insert(key) {
                continue;
            }
            let of_key = |place: &usize| self.waiting[*place].together.as_ref() == Some(key);
            let group: Vec<_> = places.iter().copied().filter(of_key).collect();
            // What began together ends in as few pieces as an interval allows.
            let Grouping { wait, interval, .. } = self.rules.grouping;
            let rest = if one.follows { interval } else { wait };
            let same = self.left.iter().filter(|message| message.together.as_ref() == Some(key));
            let last = same.map(|message| message.at).max();
            match last.map(|last| later(last, rest)).filter(|at| *at > self.now) {
                Some(at) => self.hold(&group, at, departure),
                None => departure.messages.push(group),
            }
        }
    }

    fn hold(&self, places: &[usize], until: Timestamp, departure: &mut Departure) {
        let ripe = places.iter().filter(|place| self.ripe_at[**place] <= self.now);
        departure.held.extend(ripe.map(|place| (*place, until)));
    }
}

/// What one message tells of several incidents, or of one that was told of with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The message: the same in every attempt at it.
    pub id: String,
    /// The message by which all of them were told to have begun, where that told of several: a receiver that keeps an alert
    /// knows it by this.
    pub origin: Option<String>,
    /// Of how many incidents it tells.
    pub size: u64,
    /// How many more began with them of which this is not told yet.
    pub left: u64,
    /// They themselves, the gravest first; at most [`LISTED_MAX`].
    pub members: Vec<Member>,
}

impl Group {
    /// How many it tells of and does not list.
    pub fn more(&self) -> u64 {
        self.size.saturating_sub(self.members.len() as u64)
    }

    /// How many of those that are listed were over before this could be told.
    pub fn over(&self) -> usize {
        self.members.iter().filter(|member| member.over).count()
    }

    /// Which probes, in words: the first three and how many more.
    pub fn probes(&self) -> String {
        const NAMED: usize = 3;
        let named: Vec<_> = self.members.iter().take(NAMED).map(|member| member.probe.as_str()).collect();
        match self.size.saturating_sub(named.len() as u64) {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    }

    /// What is wrong with them, where `still` stands before it if it has been told before.
    pub fn trouble(&self, still: &str) -> String {
        let size = self.size;
        match self.members.iter().map(|member| member.aspect).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()[..]
        {
            [Aspect::Failing] => format!("{size} probes are {still}failing: {}", self.probes()),
            [Aspect::Blind] => format!("Roundsman {still}cannot see {size} probes: {}", self.probes()),
            [Aspect::Degraded] => format!("{size} probes are {still}degraded: {}", self.probes()),
            [Aspect::Burning] => format!("{size} probes {still}burn their error budget: {}", self.probes()),
            [Aspect::Failing, Aspect::Degraded] => {
                format!("{size} probes are {still}failing or degraded: {}", self.probes())
            }
            [Aspect::Failing, Aspect::Blind] => {
                format!("{size} probes {still}fail or cannot be seen: {}", self.probes())
            }
            [Aspect::Failing, Aspect::Burning] => {
                format!("{size} probes {still}fail or burn their error budget: {}", self.probes())
            }
            [.., last] if last.is_own() || last == Aspect::Burning => {
                format!("{size} incidents are {still}open: {}", self.probes())
            }
            _ => format!("{size} probes {still}fail, are degraded or cannot be seen: {}", self.probes()),
        }
    }
}

/// One incident of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The incident.
    pub incident: IncidentId,
    /// Its probe.
    pub probe: ProbeName,
    /// Whether the target fails or we cannot look.
    pub aspect: Aspect,
    /// How much it matters.
    pub severity: Severity,
    /// The first bad run.
    pub since: Timestamp,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// It was over before this could be told.
    pub over: bool,
    /// What is wrong, in one line; what a target said is in it.
    pub summary: String,
}

impl Member {
    /// The incident as it was when its message was committed.
    pub fn of(incident: &Incident, over: bool) -> Self {
        Self {
            incident: incident.id.clone(),
            probe: incident.probe.clone(),
            aspect: incident.aspect,
            severity: incident.severity,
            since: incident.since,
            resolved_at: incident.resolved_at,
            over,
            summary: incident.summary(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(second)
    }

    /// One that began at a second, P1 or not, of a service.
    fn began(at: i64, grave: bool, service: &str) -> Waiting {
        Waiting {
            event: Event::Opened,
            over: false,
            fallback: None,
            together: Some(format!("service={service}")),
            follows: false,
            begins: None,
            since: second(at),
            ripe_at: second(if grave { at } else { at + 10 }),
        }
    }

    /// One of the same probe as the others, which may be over a second later.
    fn again(at: i64, grave: bool, over: bool) -> Waiting {
        let begins = Beginning { of: ("api".parse().unwrap(), Aspect::Failing), told_at: None };
        Waiting { over, begins: Some(begins), ..began(at, grave, "a") }
    }

    /// The end of one that began with others, or by itself.
    fn ended(at: i64, origin: Option<&str>) -> Waiting {
        Waiting {
            event: Event::Resolved,
            together: origin.map(str::to_owned),
            follows: true,
            ripe_at: second(if origin.is_some() { at + 10 } else { at }),
            ..began(at, false, "")
        }
    }

    fn rules(keeping: Keeping) -> Rules {
        Rules { keeping, ..Rules::default() }
    }

    /// Looks each second, and writes down when how many leave together: `10:3` is three in one message ten seconds in.
    fn trace(rules: &Rules, mut all: Vec<Waiting>) -> String {
        let (mut left, mut told, mut begun) = (Vec::<Left>::new(), Vec::new(), None);
        for at in 0..400 {
            let now = second(at);
            left.retain(|message| later(message.at, rules.grouping.interval) > now);
            let (mut here, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.since <= now);
            for begins in here.iter_mut().filter_map(|one| one.begins.as_mut()) {
                begins.told_at = begun.filter(|told_at| *told_at + rules.grouping.interval > now);
            }
            let departure = depart(rules, &here, &left, now);
            for (place, until) in &departure.held {
                here[*place].ripe_at = *until;
            }
            for message in &departure.messages {
                told.push(format!("{at}:{}", message.len()));
                let first = &here[message[0]];
                let same = message.iter().all(|place| here[*place].together == first.together);
                let together = first.together.clone().filter(|_| same);
                left.push(Left { event: first.event, together, at: now, size: message.len() as u64 });
                begun = message.iter().any(|place| here[*place].begins.is_some()).then_some(now).or(begun);
            }
            let gone: BTreeSet<_> = departure.messages.concat().into_iter().chain(departure.stood_for).collect();
            let stays = here.into_iter().enumerate().filter(|(place, _)| !gone.contains(place));
            all = stays.map(|(_, one)| one).chain(later).collect();
        }
        assert!(all.is_empty(), "it waits for ever: {all:?}");
        told.join(" ")
    }

    #[test]
    fn traces() {
        let (many, storm) = (
            |n: i64| (0..n).map(|n| began(0, false, &n.to_string())),
            |n: i64| (0..n).map(|n| began(n / 100, true, &n.to_string())),
        );
        let messages = rules(Keeping::Messages);
        for (what, waiting, told) in [
            ("one that is not P1 waits for others", vec![began(0, false, "a")], "10:1"),
            ("P1 leaves at once", vec![began(0, true, "a")], "0:1"),
            ("P1 takes along what waits", vec![began(0, false, "a"), began(3, true, "a")], "3:2"),
            (
                "what follows P1 within the wait goes together",
                vec![began(0, true, "a"), began(1, true, "a"), began(2, true, "a")],
                "0:1 10:2",
            ),
            (
                "each service by itself",
                vec![began(0, false, "a"), began(1, false, "b"), began(2, false, "a")],
                "10:2 11:1",
            ),
            ("five of five services", many(5).collect(), "10:1 10:1 10:1 10:1 10:1"),
            ("six are a storm", many(6).collect(), "10:6"),
            ("a storm is one message for each interval", storm(10_000).collect(), "10:1100 70:6000 130:2900"),
            (
                "five, and what comes after them",
                many(5).chain([began(20, true, "x"), began(21, false, "y")]).collect(),
                "10:1 10:1 10:1 10:1 10:1 30:2",
            ),
            (
                "P1 that begins again waits for an interval",
                vec![again(0, true, true), again(2, true, false)],
                "0:1 60:1",
            ),
            (
                "and its last word stands for all that is over",
                vec![again(0, true, true), again(2, true, true), again(4, true, true), again(6, true, false)],
                "0:1 60:1",
            ),
            (
                "also before the first word",
                vec![again(0, false, true), again(2, false, true), again(9, false, false)],
                "10:1",
            ),
            (
                "what comes and goes for long",
                (0..75).map(|n| again(n * 2, n % 2 == 0, true)).collect(),
                "0:1 60:1 120:1 180:1",
            ),
            ("but no other", vec![again(0, true, true), began(1, true, "b"), again(2, true, false)], "0:1 1:1 60:1"),
            ("ends that began apart", vec![ended(0, None), ended(1, None)], "0:1 1:1"),
            (
                "ends that began together",
                vec![ended(0, Some("m")), ended(5, Some("m")), ended(15, Some("m"))],
                "10:2 70:1",
            ),
            ("a storm of ends", (0..500).map(|n| ended(n / 100, None)).collect(), "10:500"),
        ] {
            assert_eq!(trace(&messages, waiting), told, "{what}");
        }
        let apart = |mut one: Waiting| {
            one.together = None;
            one
        };
        let alerts = rules(Keeping::Alerts);
        let each = Rules { grouping: Grouping { wait: Duration::ZERO, ..Grouping::default() }, ..Rules::default() };
        let apart_again = (0..3).map(|n| apart(again(n, true, true))).collect();
        assert_eq!(trace(&each, apart_again), "0:1 1:1 2:1", "who wants no wait hears each");
        assert_eq!(trace(&alerts, many(3).map(apart).collect()), "10:1 10:1 10:1", "alerts stay apart");
        assert_eq!(trace(&alerts, many(6).map(apart).collect()), "10:6", "but in a storm");
        let ends = (0..7).map(|_| ended(0, None)).chain((0..100).map(|_| ended(0, Some("m")))).collect();
        assert_eq!(trace(&alerts, ends), "0:1 0:1 0:1 0:1 0:1 0:1 0:1 10:100", "and each is closed as it was opened");
    }

    #[test]
    fn other_events_and_other_fallbacks_are_other_messages() {
        let late = Waiting { over: true, ..began(0, false, "a") };
        let elsewhere = Waiting { fallback: Some("team".to_owned()), ..began(0, false, "a") };
        let all = vec![began(0, false, "a"), late, elsewhere, ended(0, Some("m")), began(0, false, "a")];
        let departure = depart(&Rules::default(), &all, &[], second(10));
        assert_eq!(departure.messages, [vec![0, 4], vec![2], vec![1], vec![3]]);
    }

    #[test]
    fn what_lacks_a_label_shares_that() {
        let labels = |text: &str| Labels::from([("service".to_owned(), text.to_owned())]);
        let grouping = Grouping::default();
        assert_eq!(grouping.key(&labels("api")).as_deref(), Some("service=api"));
        assert_eq!(grouping.key(&Labels::new()), grouping.key(&labels("")));
        let all = Grouping { by: Vec::new(), ..Grouping::default() };
        assert_eq!(all.key(&labels("api")), all.key(&labels("shop")));
        assert_eq!(
            Grouping { wait: Duration::ZERO, ..all }.key(&labels("api")),
            None,
            "who waits for nobody goes alone"
        );
    }

    fn some() -> impl Strategy<Value = Waiting> {
        (0..120_i64, any::<bool>(), 0..4_u8, 0..3_u8).prop_map(|(at, grave, service, sort)| match sort {
            0 => ended(at, None),
            1 => ended(at, Some(if grave { "m" } else { "n" })),
            _ => began(at, grave, &service.to_string()),
        })
    }

    proptest! {
        #[test]
        fn everything_leaves_once_and_no_interval_brings_more_than_the_limit_and_one(
            all in prop::collection::vec(some(), 0..200),
        ) {
            let of = |event| all.iter().filter(move |one: &&Waiting| one.event == event).cloned().collect::<Vec<_>>();
            for event in [Event::Opened, Event::Resolved] {
                let (count, told) = (of(event).len(), trace(&Rules::default(), of(event)));
                let told: Vec<(i64, usize)> = told
                    .split_whitespace()
                    .map(|one| one.split_once(':').map(|(at, n)| (at.parse().unwrap(), n.parse().unwrap())).unwrap())
                    .collect();
                prop_assert_eq!(told.iter().map(|(_, size)| size).sum::<usize>(), count);
                for (at, _) in &told {
                    let within = told.iter().filter(|(other, _)| (*at..*at + 60).contains(other)).count();
                    prop_assert!(within <= 6, "{} messages in a minute: {:?}", within, told);
                }
            }
        }
    }
}
