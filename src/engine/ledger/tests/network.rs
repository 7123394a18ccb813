//! Stories of a machine that has no network, and of targets that only look so.

use futures::future::BoxFuture;

use super::*;
use crate::domain::network::DOUBT_MAX;
use crate::domain::outcome::Observation;
use crate::engine::ledger::pauses::Pausing;
use crate::ports::{Prober, StepContext};

/// A step that looks at a host and is never run.
struct Looks(String);

impl Prober for Looks {
    fn probe<'a>(&'a self, _: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(std::future::ready(Ok(Observation::default())))
    }
    fn host(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

/// So many probes of P1 that one failure opens, each of a host of its own in one of these domains.
fn over_the_network(count: usize, domains: &[&str]) -> Story {
    Story::of(planned(count, domains, |_| {}))
}

fn planned(count: usize, domains: &[&str], change: impl Fn(&mut AlertPolicy)) -> Plan {
    let mut tier = schedule_of("tier", "30s", count);
    let alert = tier.alert.as_mut().unwrap();
    alert.failing.after = "1".parse().unwrap();
    (alert.failing.severity, alert.blind.severity) = (Severity::P2, Severity::P1);
    change(alert);
    let mut plan = plan_of(vec![tier]);
    for (n, probe) in plan.probes.values_mut().enumerate() {
        let host = format!("host-{n}.{}", domains[n % domains.len()]);
        Arc::make_mut(probe).steps[0].action = Arc::new(Looks(host));
    }
    plan
}

/// The same eight, the last of which needs the first.
fn where_one_is_needed() -> Story {
    let mut plan = planned(8, TWO, |_| {});
    let last = plan.probes.get_mut(&name("probe-7")).unwrap();
    Arc::make_mut(last).needs = vec![name("probe-0")];
    Story::of(plan)
}

impl Story {
    /// A run of each of these probes.
    fn each(&mut self, probes: std::ops::Range<usize>, letter: char) -> &mut Self {
        for n in probes {
            self.runs("tier", &format!("probe-{n}"), &letter.to_string());
        }
        self
    }

    fn open(&self) -> Vec<String> {
        self.ledger.open.iter().map(|(_, incident)| incident.what()).collect()
    }
}

const TWO: &[&str] = &["shop.example", "bank.example.org"];

#[test]
fn where_nothing_is_seen_there_is_one_incident_until_it_is_seen_again() {
    let mut story = over_the_network(8, TWO);
    story.each(0..8, '.').each(0..4, 'n');
    assert_eq!(story.heard(), [] as [&str; 0], "it may be us");
    assert_eq!(story.open().len(), 4);
    story.each(4..5, 'n');
    assert_eq!(
        story.heard(),
        [
            "ops opened P1 #1 Roundsman has no network: local.network: 5 of 5 hosts were out of reach within 4 s, the last by \
          timeout.dns: no name server answered"
        ]
    );
    assert_eq!(story.open(), ["Roundsman has no network"]);
    assert_eq!(story.last.runs[0].verdict.word(), "inconclusive", "the target has no part in it");
    let withdrawn: Vec<_> = story.last.incidents.iter().filter(|open| !open.is_open()).collect();
    assert_eq!(withdrawn.len(), 4);
    assert!(withdrawn.iter().all(|over| over.resolved_because.as_deref() == Some("Roundsman has no network")));
    // Neither their failures nor that they cannot be seen is told, however long it lasts; nor does a restart change that.
    for letter in ['n', '?', 'w', 'n'] {
        story.each(0..8, letter).restart().minutes(2);
    }
    assert_eq!((story.heard(), story.open().len()), (Vec::<String>::new(), 1));
    story.each(0..4, '.');
    assert_eq!(story.heard(), [] as [&str; 0], "not enough was seen");
    story.each(4..5, '.');
    assert_eq!(story.heard(), ["ops resolved P1 #2 Roundsman has a network again after 8 min 41 s"]);
    story.each(0..1, 'n').each(1..8, '.');
    assert_eq!(story.heard().len(), 1, "what fails alone is the target's again");
}

#[test]
fn what_fails_while_others_are_seen_is_told_when_the_first_of_them_is() {
    let mut story = over_the_network(8, TWO);
    story.each(0..2, 'n');
    assert_eq!(story.lines().last().unwrap(), "muted: first it is seen whether it is Roundsman that has no network");
    story.each(2..3, '.');
    assert_eq!(story.heard().len(), 2);
    // That nobody listens is an answer.
    let mut story = over_the_network(8, TWO);
    story.each(0..8, 'x');
    assert_eq!(story.heard().len(), 8);
}

#[test]
fn nobody_waits_for_longer_than_it_may_take_nor_where_it_cannot_be_known() {
    let mut story = over_the_network(8, TWO);
    story.each(0..1, 'n').minutes(1);
    assert_eq!(story.heard().len(), 1);
    for (count, domains) in [(4, TWO), (0, TWO)] {
        let mut story = if count == 0 {
            Story::of(plan_of(vec![schedule_of("tier", "30s", 8)]))
        } else {
            over_the_network(count, domains)
        };
        story.each(0..4, 'n').each(0..4, 'n');
        assert_eq!(story.heard().len(), 4);
    }
}

#[test]
fn hosts_of_one_domain_may_fail_for_its_name_servers() {
    let mut story = over_the_network(8, &["shop.example"]);
    story.each(0..8, 'n').minutes(1);
    assert_eq!(story.heard().len(), 8, "they are told");
    let mut story = over_the_network(8, &["shop.example"]);
    story.each(0..8, '?');
    assert_eq!(story.open(), ["Roundsman has no network"], "the machine itself says so");
}

#[test]
fn where_too_few_hosts_are_left_nobody_waits_for_them() {
    let mut story = over_the_network(8, TWO);
    story.each(0..8, 'n').heard();
    let fewer = over_the_network(4, TWO);
    let mut commit = Commit::default();
    story.ledger.take(Arc::clone(&fewer.ledger.plan), story.now(), &mut commit);
    story.note(commit);
    assert_eq!(story.heard(), [TOO_FEW]);
    story.each(0..1, 'n');
    assert_eq!(story.heard().len(), 1);
}

const TOO_FEW: &str =
    "ops resolved P1 #2 the incident of roundsman is closed after 7 s (too few hosts are looked at to say more)";

#[test]
fn where_most_hosts_are_paused_nobody_waits_for_what_they_would_say() {
    let mut story = over_the_network(8, TWO);
    story.each(0..8, 'n').heard();
    for n in 0..3 {
        story.pause(&format!("probe-{n}"), None).unwrap();
    }
    assert_eq!((story.heard(), story.open().len()), (vec![], 1), "five are left");
    let last = story.pause("probe-3", Some(60)).unwrap();
    assert_eq!((story.heard(), story.open().len()), (vec![TOO_FEW.to_owned()], 0));
    // What fails now is the target's.
    story.each(4..5, 'n');
    assert!(story.heard()[0].contains(" probe-4 is failing"), "{:?}", story.told);
    story.pausing(Pausing::End(last.id)).unwrap();
    story.each(5..8, 'n').each(3..4, 'n');
    assert!(
        story.heard()[0].contains("Roundsman has no network"),
        "four in doubt and one that was told: {:?}",
        story.told
    );
}

#[test]
fn a_machine_that_is_cut_off_shows_where_few_of_many_hosts_are_not_paused() {
    let mut story = over_the_network(40, TWO);
    story.each(4..10, 'n');
    assert_eq!(story.open().len(), 6, "eight must be seen of forty");
    let mut story = over_the_network(40, TWO);
    for n in 1..4 {
        story.pause(&format!("probe-{n}*"), None).unwrap();
    }
    story.each(4..9, 'n');
    assert_eq!(story.open(), ["Roundsman has no network"], "five of seven");
}

#[test]
fn a_run_that_sees_nothing_says_that_it_is_not_judged_for_that() {
    let mut story = over_the_network(8, TWO);
    story.each(0..8, 'n');
    assert_eq!(story.unjudged(Some("tier"), 'n').as_deref(), Some("Roundsman has no network"));
    assert_eq!(story.unjudged(Some("tier"), '.'), None);
}

#[test]
fn where_nobody_watches_nobody_is_told_and_nothing_is_the_targets() {
    let mut plan = (*over_the_network(8, TWO).ledger.plan).clone();
    Arc::make_mut(plan.schedules.values_mut().next().unwrap()).alert = None;
    let mut story = Story::of(plan);
    story.each(0..8, 'n');
    assert_eq!((story.heard().len(), story.open().len()), (0, 0));
    assert_eq!(story.last.runs[0].verdict.word(), "inconclusive");
}

#[test]
fn targets_that_are_down_when_it_is_over_are_told_and_do_not_keep_it() {
    let mut story = over_the_network(8, TWO);
    story.each(0..8, 'n').heard();
    // These two are down for themselves.
    story.each(0..3, '.').each(3..4, 'n').restart().each(4..7, '.').each(7..8, 'n').each(0..3, '.');
    assert_eq!(story.heard(), ["ops resolved P1 #2 Roundsman has a network again after 16 s"]);
    story.each(3..4, 'n').each(4..7, '.').each(7..8, 'n').minutes(1);
    let told = story.heard();
    assert!(told[0].starts_with("ops opened P2 #1 probe-3 is failing") && told.len() == 2, "{told:?}");
}

#[test]
fn what_a_process_was_in_doubt_of_waits_for_the_first_look_of_the_next() {
    let mut story = over_the_network(8, TWO);
    story.each(0..4, 'n').restart();
    // Something is seen, after which the next doubts again, and no more; and it is read anew what is configured.
    story.each(4..5, '.').each(5..6, 'n').each(6..7, '.');
    let plan = Arc::clone(&story.ledger.plan);
    let (now, mut commit) = (story.now(), Commit::default());
    story.ledger.take(plan, now, &mut commit);
    story.note(commit);
    let told = story.heard();
    assert!(told[0].contains(" probe-5 is failing") && told.len() == 1, "the one that is new: {told:?}");
    story.each(0..2, '.').minutes(1);
    let told = story.heard();
    assert!(told[0].contains(" probe-2 ") && told[1].contains(" probe-3 ") && told.len() == 2, "{told:?}");
    let mut story = over_the_network(8, TWO);
    story.each(0..4, 'n').restart().each(4..8, 'n').each(0..1, 'n');
    assert_eq!((story.heard().len(), story.open()), (1, vec!["Roundsman has no network".to_owned()]));
}

#[test]
fn nobody_waits_for_longer_during_the_first_look_either() {
    let mut story = over_the_network(8, TWO);
    story.each(0..1, 'x').restart().heard();
    story.each(1..2, 'n');
    let due = story.ledger.next_due().unwrap();
    assert_eq!(due, story.now() + DOUBT_MAX, "before the first look is over");
    let mut commit = Commit::default();
    story.ledger.catch_up(due, &mut commit);
    story.note(commit);
    let told = story.heard();
    assert!(told[0].contains(" probe-1 is failing") && told.len() == 1, "{told:?}");
    assert!(story.ledger.next_due().unwrap() > due, "the end of the first look");
}

#[test]
fn what_needs_another_is_withdrawn_with_it() {
    let mut story = where_one_is_needed();
    story.each(0..1, 'n').each(7..8, 'n');
    assert_eq!(story.lines().last().unwrap(), "muted: needs probe-0, which is failing");
    story.each(1..4, 'n');
    assert_eq!((story.heard().len(), story.open()), (1, vec!["Roundsman has no network".to_owned()]));
    // It fails first, so that what it needs is looked at.
    let mut story = where_one_is_needed();
    story.each(7..8, 'n');
    assert_eq!(story.lines().last().unwrap(), "muted: first probe-0, which it needs, is looked at again");
    story.each(1..4, 'n').each(0..1, 'n');
    assert_eq!((story.heard().len(), story.open()), (1, vec!["Roundsman has no network".to_owned()]));
}

#[test]
fn a_run_that_sees_nothing_is_no_look_at_what_others_need() {
    let mut story = where_one_is_needed();
    story.each(7..8, 'e').each(1..6, 'n').heard();
    story.each(0..1, 'n');
    assert_eq!(story.heard(), [] as [&str; 0], "it was not looked at");
    story.minutes(1);
    assert_eq!(story.heard().len(), 1);
}

#[test]
fn what_was_not_seen_for_our_own_network_does_not_count_to_the_targets() {
    let third = |alert: &mut AlertPolicy| {
        alert.failing.after = "3".parse().unwrap();
        alert.recheck = Some(Duration::from_secs(5));
    };
    let mut story = Story::of(planned(8, TWO, third));
    story.each(0..2, '?').each(2..4, 'n');
    assert_eq!((story.ledger.states.len(), story.ledger.rechecks.next_at().is_some()), (4, true));
    story.each(4..5, 'n');
    assert_eq!((story.ledger.states.len(), story.ledger.rechecks.next_at()), (0, None));
    let gone = story.last.states.values().filter(|state| **state == AlertState::Healthy);
    assert_eq!(gone.count(), 4, "nor is it kept");
}

#[test]
fn what_came_and_went_until_nothing_was_seen_does_not_flap_for_ever() {
    let mut story = Story::of(planned(8, TWO, |alert| alert.flapping.openings = 2));
    story.each(0..1, 'n').each(0..1, '.').each(0..1, 'n');
    assert!(story.ledger.flaps.values().all(Flap::is_flapping) && story.ledger.flaps.len() == 1);
    story.heard();
    story.each(1..5, 'n');
    assert_eq!((story.heard().len(), story.ledger.flaps.len(), story.last.flaps.len()), (1, 0, 4));
}
