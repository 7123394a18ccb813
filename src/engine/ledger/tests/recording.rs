//! Stories of a store that takes nothing, or has lost what was known.

use super::*;
use crate::engine::unrecorded::Trouble;

impl Story {
    /// So many seconds in which the store fails, or is well, each looked at.
    fn store(&mut self, since: Option<Timestamp>, seconds: i64) -> &mut Self {
        let trouble =
            since.map(|since| Trouble { since, why: "the store failed: database or disk is full".to_owned() });
        for _ in 0..seconds {
            self.second += 1;
            let (now, mut commit) = (self.now(), Commit::default());
            self.ledger.watch_store(trouble.as_ref(), now, &mut commit);
            self.ledger.catch_up(now, &mut commit);
            self.note(commit);
        }
        self
    }
}

fn watched() -> Story {
    Story::of(plan_of(vec![schedule_of("tier", "30s", 1)]))
}

#[test]
fn a_store_that_takes_nothing_for_a_while_is_an_incident_of_our_own_until_it_does() {
    let mut story = watched();
    let since = story.now();
    story.store(Some(since), 14).store(None, 1);
    assert_eq!(story.heard(), [] as [&str; 0], "a moment is nobody's business");
    let since = story.now();
    story.store(Some(since), 3_600);
    assert_eq!(
        story.heard(),
        [
            "ops opened P2 #1 Roundsman cannot write its state: local.resources: the store failed: database or disk is full"
        ]
    );
    // A probe that fails meanwhile is told by itself.
    story.runs("tier", "probe-0", "xx").store(Some(since), 1);
    assert_eq!(story.heard(), ["ops opened P2 #1 probe-0 is failing"]);
    story.restart().store(None, 1);
    assert_eq!(story.heard(), ["ops resolved P2 #2 Roundsman writes its state again after 1 h"]);
    story.store(None, 60);
    assert_eq!(story.heard(), [] as [&str; 0]);
}

#[test]
fn where_no_alert_watches_anything_it_is_told_once_one_does() {
    let mut plan = plan_of(vec![schedule_of("tier", "30s", 1)]);
    Arc::make_mut(plan.schedules.values_mut().next().unwrap()).alert = None;
    let mut story = Story::of(plan);
    let since = story.now();
    story.store(Some(since), 60);
    assert_eq!((story.heard().len(), story.ledger.unwatched), (0, Some(since)), "it is not looked for again");
    let (now, mut commit) = (story.now(), Commit::default());
    story.ledger.take(Arc::clone(&watched().ledger.plan), now, &mut commit);
    story.store(Some(since), 60);
    assert_eq!(story.heard().len(), 1);
}

#[test]
fn a_state_that_was_lost_is_told_once() {
    let mut story = watched();
    let mut commit = Commit::default();
    story.ledger.take_loss("what was known is lost", story.now(), &mut commit);
    story.note(commit);
    assert_eq!(
        story.heard(),
        ["ops opened P2 #1 Roundsman has lost its state: local.resources: what was known is lost"]
    );
    story.store(None, 300).restart().store(None, 299);
    assert_eq!(story.heard(), [] as [&str; 0]);
    story.store(None, 1);
    assert_eq!(story.heard(), ["ops resolved P2 #2 Roundsman has kept its state since for 10 min"]);
}

#[test]
fn what_is_of_ourselves_can_be_taken_on_and_silenced_as_any_other() {
    let mut story = watched();
    let since = story.now();
    story.store(Some(since), 20).heard();
    story.act("ann", &Act::Acknowledge { note: None }).unwrap();
    assert_eq!(story.heard().len(), 1);
    let mut story = watched();
    story.silence("roundsman", 60);
    let since = story.now();
    story.store(Some(since), 60).store(None, 1);
    assert_eq!(story.heard(), [] as [&str; 0]);
}
