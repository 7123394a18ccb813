//! Drills beside what is open.

use super::*;
use crate::domain::outcome::Extra;
use crate::engine::ledger::drills::{Ending, Undrilled};
use crate::engine::testing::incident;
use crate::ports::{Notification, Notifier, NotifyError, Receipt};
use futures::future::BoxFuture;

struct Silent;

impl Notifier for Silent {
    fn notify<'a>(&'a self, _: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(std::future::ready(Ok(Receipt::default())))
    }
}

fn team() -> ChannelName {
    ChannelName::parse("team").unwrap()
}

/// Everything that could keep a drill back, or take it: a window that mutes all, a route with a fallback, hours.
fn plan() -> Plan {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
    plan.channels = [(team(), Arc::new(Silent) as Arc<dyn Notifier>)].into();
    plan.routes[0].fallback = Some("other".parse().unwrap());
    let when = Occurrence::Once(at("2020-01-01T00:00:00Z"), at("2099-01-01T00:00:00Z"));
    let matchers = Matchers { probes: vec!["drill".to_owned()], ..Matchers::default() };
    plan.maintenance.push(MaintenanceWindow { name: "always".parse().unwrap(), when, matchers, mode: Mode::Mute });
    let (acknowledge, escalate) = (Some(Duration::from_secs(60)), vec!["other".parse().unwrap()]);
    let hold = Some(Hours::parse("mon-fri 03:00-03:01", chrono_tz::Tz::UTC).unwrap());
    let severity = SeverityPlan { acknowledge, escalate, hold, post_mortem: acknowledge };
    plan.severities = [(Severity::P4, severity)].into();
    plan
}

fn drilled(letter: char) -> Run {
    Run { schedule: None, extra: Some(Extra::Drill), ..run("tier", "drill", 0, letter) }
}

#[test]
fn a_drill_is_told_to_its_channel_alone_at_once_and_is_counted_nowhere() {
    let mut story = Story::of(plan());
    let (now, mut commit) = (story.now(), Commit::default());
    let opened = story.ledger.drill(drilled('x'), &team(), now, &mut commit).unwrap();
    assert!(opened.drill && opened.is_open());
    let [told] = &commit.deliveries[..] else { panic!() };
    assert_eq!((&told.channel, &told.fallback, &told.together, told.next_attempt_at), (&team(), &None, &None, now));
    assert_eq!(story.ledger.incidents_open(), 0);
    assert_eq!(story.ledger.next_due(), None, "nobody is reminded of it, and nothing is escalated");
    let refused = story.ledger.act(&opened.id, "ann", &Act::Note("x".to_owned()), now, &mut commit);
    assert!(matches!(refused, Err(ActError::NotOpen(_))));

    // A real incident neither has it for a cause nor is disturbed by it.
    story.runs("tier", "probe-0", "xx");
    assert!(story.last.incidents.iter().all(|incident| !incident.drill && incident.changes.is_empty()));
    assert_eq!(story.ledger.incidents_open(), 1);
    let mut commit = Commit::default();
    let again = story.ledger.drill(drilled('x'), &team(), now, &mut commit);
    assert_eq!(again, Err(Undrilled::NoChange("failed")));
    assert_eq!((commit.deliveries.len(), commit.runs.len()), (0, 1), "the run is kept all the same");
    let over = story.ledger.drill(drilled('.'), &team(), now, &mut commit).unwrap();
    assert_eq!((over.id, over.resolved_because), (opened.id, None));
    assert_eq!(commit.deliveries[0].notification.transition, 2);
    assert_eq!(story.ledger.incidents_open(), 1);
    let again = story.ledger.drill(drilled('.'), &team(), now, &mut commit);
    assert_eq!(again, Err(Undrilled::NoChange("passed")));
}

#[test]
fn a_channel_that_a_reload_took_away_is_not_drilled_and_what_was_begun_is_ended() {
    let mut story = Story::of(plan());
    let (now, mut commit) = (story.now(), Commit::default());
    let opened = story.ledger.drill(drilled('x'), &team(), now, &mut commit).unwrap();
    let mut without = plan();
    without.channels.clear();
    story.ledger.take(Arc::new(without), now, &mut commit);
    let gone = story.ledger.drill(drilled('.'), &team(), now, &mut commit);
    assert_eq!(gone, Err(Undrilled::NoChannel(team())));
    let mut commit = Commit::default();
    let ending = Ending { incident: None, broken: Some("why".to_owned()), text: "at a hop".to_owned() };
    story.ledger.end_drill(ending.clone(), now, &mut commit);
    assert_eq!(commit.incidents[0].resolved_because.as_deref(), Some("why"));
    assert_eq!(commit.deliveries[0].notification.event, Event::Resolved);
    let last = commit.moments.last().unwrap();
    assert_eq!((last.what.as_str(), last.text.as_str(), &last.incident), ("broken", "at a hop", &opened.id));
    let mut commit = Commit::default();
    story.ledger.end_drill(ending, now, &mut commit);
    assert!(commit.moments.is_empty() && commit.incidents.is_empty(), "there is nothing to end");
}

#[test]
fn what_a_process_that_ended_left_open_is_ended_at_the_next_start() {
    let now = at("2026-11-24T10:00:00Z");
    let left = Incident { drill: true, told: vec![team()], ..incident("D1", "drill", now) };
    let real = Incident { firing: [("tier".parse().unwrap(), Severity::P1)].into(), ..incident("I1", "probe-0", now) };
    let over = Incident { id: IncidentId(Arc::from("D0")), resolved_at: Some(now), ..left.clone() };
    let key =
        AlertKey { schedule: "tier".parse().unwrap(), probe: "probe-0".parse().unwrap(), aspect: Aspect::Failing };
    let firing = AlertState::Firing { since: now, passes: 0 };
    let loaded = Loaded { incidents: vec![left, over, real], states: vec![(key, firing)], ..Loaded::default() };
    let mut commit = Commit::default();
    let ledger = Ledger::open(Arc::new(plan()), loaded, now, &mut commit);
    assert_eq!(ledger.incidents_open(), 1, "the real one goes on");
    let [told] = &commit.deliveries[..] else { panic!("{:#?}", commit.deliveries) };
    assert_eq!((&*told.notification.incident.id.0, told.notification.event), ("D1", Event::Resolved));
    assert_eq!(told.next_attempt_at, now, "it does not wait for the first look");
    assert_eq!(commit.incidents[0].resolved_because.as_deref(), Some("the process ended during the drill"));
}
