//! A drill and its cleanup before a service that says what it is told to say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::deletion::Deletion;
use super::item::Item;
use super::rehearsal::{Drill, Progress, Rehearsal};
use super::settings::From;
use crate::domain::outcome::{FailureKind, RunId};
use crate::engine::testing::{NoSecrets, TestClock};
use crate::ports::{Clock as _, Prober as _, Recorder, Session, StepContext};
use crate::probers::aws::testing::Service;

const RUN: &str = "01KAZ0000000000000000000XY";

fn drill(service: &Service) -> Arc<Drill> {
    let key: Item = [("id".to_owned(), json!({ "S": "probe" }))].into_iter().collect();
    let (table, from) = ("Users".to_owned(), From::PointInTime);
    Arc::new(Drill { table, from, fields: Some(key.clone()), key, caller: service.caller() })
}

/// A step's context, ended after so many seconds.
macro_rules! within {
    ($seconds:expr, $clock:expr, $session:expr, |$cx:ident| $work:expr) => {{
        let (recorder, captures, run) = (Recorder::default(), BTreeMap::new(), RunId(Arc::from(RUN)));
        let $cx = &StepContext {
            clock: &*$clock,
            deadline: $clock.monotonic() + Duration::from_secs($seconds),
            run: &run,
            captures: &captures,
            secrets: &NoSecrets,
            session: $session,
            recorder: &recorder,
        };
        $work.await
    }};
}

fn refusal(code: &str) -> (u16, Value) {
    (400, json!({ "__type": code, "message": "no" }))
}

#[tokio::test]
async fn whoever_may_not_look_says_so_at_once_and_whoever_could_not_at_the_end() {
    let clock = TestClock::starting("2026-11-25T10:00:00Z");
    let creating = (200, json!({ "TableDescription": {} }));
    for (code, seconds, kind) in [
        ("AccessDeniedException", 600, FailureKind::AwsDenied),
        ("ValidationException", 600, FailureKind::AwsInvalid),
        ("ExpiredTokenException", 1, FailureKind::AwsCredentials),
        ("ResourceNotFoundException", 1, FailureKind::TimeoutTotal),
    ] {
        let service = Service::saying(vec![creating.clone(), refusal(code)]).await;
        let rehearsal = Rehearsal { drill: drill(&service) };
        let session = Session::default();
        let failure = within!(seconds, clock, &session, |cx| rehearsal.probe(cx)).unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(session.get::<Progress>().asked().is_some());
    }
}

#[tokio::test]
async fn a_drill_that_was_never_performed_leaves_nothing() {
    let clock = TestClock::starting("2026-11-25T10:00:00Z");
    let service = Service::saying(vec![refusal("ResourceNotFoundException")]).await;
    let deletion = Deletion::of(drill(&service));
    let cleaned = within!(10, clock, &Session::default(), |cx| deletion.probe(cx));
    assert!(cleaned.is_ok());
    assert!(service.asked().is_empty());
}

#[tokio::test]
async fn a_table_may_appear_for_a_minute_after_it_was_asked_for() {
    let clock = TestClock::starting("2026-11-25T10:00:00Z");
    // The run began long ago.
    clock.step(3_600);
    let service = Service::saying(vec![refusal("ResourceNotFoundException")]).await;
    let asked = Session::default();
    asked.get::<Progress>().enter(Some(clock.monotonic()));
    for session in [asked, Session::resumed()] {
        let deletion = Deletion::of(drill(&service));
        let early = within!(10, clock, &session, |cx| deletion.probe(cx)).unwrap_err();
        assert_eq!(early.kind, FailureKind::RestoreUnfinished, "{early}");
        // Time stands still only between the calls, which are real.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(61)).await;
        tokio::time::resume();
        // Each try of a cleanup that is owed has a session of its own.
        let is_resumed = session.is_resumed();
        let session = Some(session).filter(|_| !is_resumed).unwrap_or_else(Session::resumed);
        let late = within!(10, clock, &session, |cx| deletion.probe(cx));
        assert!(late.is_ok(), "{late:?}");
    }
}
