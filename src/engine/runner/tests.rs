//! Runs under paused time: what ends a step, what follows it, and what is in the store meanwhile.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::domain::debt::Owing;
use crate::domain::expression::{Expression, Name, Names, Shape};
use crate::domain::names::{CaptureName, SecretName};
use crate::domain::outcome::{Case, Phases, Refused};
use crate::domain::probe::Capture;
use crate::domain::template::Template;
use crate::engine::testing::{Debts, NoSecrets, TestClock, plan_of, probe, step};
use crate::ports::{Prober, SecretError, Secrets, StepContext};
use futures::future::BoxFuture;
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::mpsc;

struct World {
    clock: Arc<TestClock>,
    store: Arc<Debts>,
    runner: Runner,
    stop: CancellationToken,
    owed: mpsc::Receiver<Debt>,
}

fn world() -> World {
    let clock = TestClock::starting("2026-11-25T10:00:00Z");
    let (store, stop) = (Arc::new(Debts::default()), CancellationToken::new());
    let (sender, owed) = mpsc::channel(4);
    let journal = Journal::new(clock.clone(), Arc::clone(&store) as _, sender);
    let runner = Runner::new(clock.clone(), stop.clone()).journaling(Arc::new(journal));
    World { clock, store, runner, stop, owed }
}

impl World {
    async fn run(&self, probe: PlannedProbe) -> Run {
        self.run_under(plan_of(Vec::new()), probe).await
    }

    async fn run_under(&self, plan: Plan, probe: PlannedProbe) -> Run {
        let (now, due) = (self.clock.now(), self.clock.monotonic());
        let plan = Arc::new(plan);
        let order = Order { plan, probe: Arc::new(probe), schedule: None, extra: None, slot: now, due_at: now, due };
        self.runner.run(order).await
    }
}

fn seen(body: &'static str) -> Observation {
    Observation { body: Some(body.into()), ..Observation::default() }
}

fn name(text: &str) -> CaptureName {
    CaptureName::parse(text).unwrap()
}

fn capture(text: &str) -> Capture {
    Capture { name: name(text), path: format!("json.{text}").parse().unwrap() }
}

/// A cleanup of one step that counts how often it was performed.
fn counting(count: &Arc<AtomicUsize>) -> Vec<PlannedStep> {
    let count = Arc::clone(count);
    vec![step("away", move || {
        count.fetch_add(1, SeqCst);
        (Duration::from_millis(10), Ok(Observation::default()))
    })]
}

fn words(run: &Run) -> Vec<(&str, Option<&'static str>)> {
    run.steps.iter().map(|step| (step.name.as_str(), step.verdict.as_ref().map(Verdict::word))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_is_journaled_before_its_steps_and_with_what_its_cleanup_needs() {
    let world = world();
    let debts = |store: &Arc<Debts>| store.kept.lock().unwrap().values().cloned().collect::<Vec<_>>();
    let mut journey = probe("journey");
    let found: Arc<Mutex<Vec<Vec<Debt>>>> = Arc::default();
    let look = |body: &'static str| {
        let (store, found) = (Arc::clone(&world.store), Arc::clone(&found));
        move || {
            found.lock().unwrap().push(debts(&store));
            (Duration::from_millis(1), Ok(seen(body)))
        }
    };
    let mut first = step("login", look(r#"{"token":"007312","page":"x"}"#));
    first.capture = vec![capture("token"), capture("page")];
    journey.steps = vec![first, step("look", look("{}"))];
    journey.cleanup = vec![step("logout", look("{}"))];
    journey.owing.add(name("token"));

    let run = world.run(journey).await;
    assert_eq!(run.verdict, Verdict::Passed);
    let found = found.lock().unwrap();
    assert!(found.iter().all(|debts| debts.len() == 1 && debts[0].run == run.id && debts[0].due_at.is_none()));
    let captures: Vec<_> = found.iter().map(|debts| debts[0].captures.clone()).collect();
    let token = BTreeMap::from([(name("token"), "007312".to_owned())]);
    assert_eq!(captures, [BTreeMap::new(), token.clone(), token], "and nothing that the cleanup does not name");
    assert_eq!(debts(&world.store), [], "erased when clean");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_nothing_keeps_nobody_from_probing() {
    let world = world();
    world.store.full.store(true, SeqCst);
    let cleaned = Arc::default();
    let mut journey = probe("journey");
    journey.cleanup = counting(&cleaned);
    assert_eq!(world.run(journey).await.verdict, Verdict::Passed);
    assert_eq!(cleaned.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_store_did_not_take_is_offered_until_it_does() {
    let found =
        |store: &Debts| store.kept.lock().unwrap().values().map(|debt| debt.captures.clone()).collect::<Vec<_>>();
    let token = BTreeMap::from([(name("token"), "007312".to_owned())]);
    for (captures, kept) in [(false, BTreeMap::new()), (true, token)] {
        let world = world();
        world.store.full.store(true, SeqCst);
        let (filled, emptied) = (Arc::clone(&world.store), Arc::clone(&world.store));
        let looked: Arc<Mutex<Vec<BTreeMap<CaptureName, String>>>> = Arc::default();
        let sees = Arc::clone(&looked);
        let mut login = step("login", move || {
            assert_eq!(found(&filled), []);
            (Duration::from_millis(1), Ok(seen(r#"{"token":"007312"}"#)))
        });
        login.capture = if captures { vec![capture("token")] } else { Vec::new() };
        let idle = step("idle", move || {
            emptied.full.store(false, SeqCst);
            (Duration::from_millis(1), Ok(Observation::default()))
        });
        let store = Arc::clone(&world.store);
        let look = step("look", move || {
            *sees.lock().unwrap() = found(&store);
            (Duration::from_millis(1), Ok(Observation::default()))
        });
        let mut journey =
            PlannedProbe { steps: vec![login, idle, look], cleanup: counting(&Arc::default()), ..probe("journey") };
        journey.owing.add(name("token"));
        world.run(journey).await;
        assert_eq!(*looked.lock().unwrap(), [kept]);
        assert_eq!(found(&world.store), [], "erased when clean");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_waited_for_when_there_is_something_new_and_no_more() {
    let world = world();
    world.store.hangs.store(true, SeqCst);
    let idle = || step("idle", || (Duration::from_millis(1), Ok(Observation::default())));
    let journey = PlannedProbe {
        steps: (0..50).map(|_| idle()).collect(),
        cleanup: counting(&Arc::default()),
        ..probe("journey")
    };
    let before = world.clock.monotonic();
    assert_eq!(world.run(journey).await.verdict, Verdict::Passed);
    let took = world.clock.monotonic().since(before);
    assert!(took < Duration::from_millis(4_500), "two seconds before the first step and two at the end, not {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_cleanup_journals_nothing() {
    let world = world();
    let mut plain = probe("plain");
    let store = Arc::clone(&world.store);
    plain.steps = vec![step("only", move || {
        assert!(store.kept.lock().unwrap().is_empty());
        (Duration::ZERO, Ok(Observation::default()))
    })];
    assert_eq!(world.run(plain).await.verdict, Verdict::Passed);
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_the_steps_the_cleanup_follows() {
    let expect = |text: &str| {
        let json = Name::new("json", Shape::Any, "the body");
        vec![Expression::compile(text, &Names::new().with(json)).unwrap()]
    };
    let quick = |body: &'static str| step("acts", move || (Duration::ZERO, Ok(seen(body))));
    let mut failing = quick(r#"{"ok":false}"#);
    failing.expect = expect("json.ok");
    let mut uncaptured = quick("{}");
    uncaptured.capture = vec![capture("id")];
    let hung = step("acts", || (Duration::from_secs(3_600), Ok(Observation::default())));
    let panicking = step("acts", || panic!("a bug of a prober"));
    for (what, acts, verdict, kind) in [
        ("an assertion", failing, "failed", FailureKind::Expect),
        ("a capture", uncaptured, "failed", FailureKind::Capture),
        ("the deadline in mid-request", hung, "failed", FailureKind::TimeoutTotal),
        ("a panic", panicking, "inconclusive", FailureKind::Internal),
    ] {
        let world = world();
        let cleaned = Arc::default();
        let mut journey = probe("journey");
        journey.steps = vec![acts, quick("{}")];
        journey.cleanup = counting(&cleaned);
        let run = world.run(journey).await;
        assert_eq!(words(&run), [("acts", Some(verdict)), ("acts", None), ("away", Some("passed"))], "{what}");
        assert_eq!(run.verdict.failures()[0].kind, kind, "{what}");
        assert_eq!(cleaned.load(SeqCst), 1, "{what}");
        assert!(world.store.kept.lock().unwrap().is_empty(), "{what}");
    }
}

/// A tool that judges an answer which never came finds its time short and its error count empty.
#[tokio::test(start_paused = true)]
async fn a_refused_connection_fails_though_only_its_latency_is_asserted() {
    let refused = || Failure::new(FailureKind::ConnectRefused, "127.0.0.1:1 refused the connection");
    let mut quick = step("acts", move || (Duration::from_millis(1), Err(refused())));
    let time = Name::new("total_ms", Shape::Number, "the whole time");
    quick.expect = vec![Expression::compile("total_ms < 500", &Names::new().with(time)).unwrap()];
    let mut plain = probe("plain");
    plain.steps = vec![quick];
    let run = world().run(plain).await;
    assert_eq!(run.verdict, Verdict::Failed(vec![refused()]));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_skipped_has_no_verdict_and_the_cleanup_follows() {
    let world = world();
    let cleaned = Arc::default();
    let mut skipped = step("skipped", || panic!("it is not performed"));
    skipped.when = Some(Expression::compile("false", &Names::new()).unwrap());
    let mut journey = probe("journey");
    journey.steps = vec![skipped, step("acts", || (Duration::ZERO, Ok(Observation::default())))];
    journey.cleanup = counting(&cleaned);
    let run = world.run(journey).await;
    assert_eq!(run.verdict, Verdict::Passed);
    assert_eq!(words(&run), [("skipped", None), ("acts", Some("passed")), ("away", Some("passed"))]);
}

#[tokio::test(start_paused = true)]
async fn a_cleanup_that_fails_is_owed() {
    let mut world = world();
    let mut journey = probe("journey");
    let refused = || Failure::new(FailureKind::ConnectRefused, "nobody listens");
    journey.cleanup = vec![step("away", move || (Duration::ZERO, Err(refused())))];
    let run = world.run(journey).await;
    assert_eq!(run.verdict.word(), "degraded");
    assert_eq!(world.owed.try_recv().unwrap().run, run.id);
    assert_eq!(world.store.kept.lock().unwrap().len(), 1, "and it is in the store until it is paid");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_step_and_its_cleanup_goes_on() {
    let world = world();
    let cleaned = Arc::default();
    let mut journey = probe("journey");
    let stop = world.stop.clone();
    journey.steps = vec![step("acts", move || {
        stop.cancel();
        (Duration::from_secs(5), Ok(Observation::default()))
    })];
    journey.cleanup = counting(&cleaned);
    assert_eq!(world.run(journey).await.verdict, Verdict::Inconclusive(Cause::ShutDown));
    assert_eq!(cleaned.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_store_is_no_time_of_the_run() {
    let world = world();
    let mut journey = probe("journey");
    let clock = Arc::clone(&world.clock);
    journey.steps = vec![step("acts", move || {
        clock.step(3_600);
        (Duration::from_millis(40), Ok(Observation::default()))
    })];
    journey.cleanup = counting(&Arc::default());
    let run = world.run(journey).await;
    assert_eq!(run.verdict, Verdict::Passed);
    assert!(run.duration < Duration::from_secs(1), "an hour by the wall clock is no latency: {:?}", run.duration);
    assert_eq!(run.steps[0].late_ms, None, "nor did we stand still");
}

#[tokio::test(start_paused = true)]
async fn what_fails_while_we_stand_still_is_not_the_targets() {
    let asleep = Duration::from_secs(600);
    let run = async |result: fn() -> Result<Observation, Failure>, asleep: Duration| {
        let world = world();
        let mut plain = probe("plain");
        let clock = Arc::clone(&world.clock);
        plain.steps = vec![step("only", move || {
            clock.sleep(asleep);
            (Duration::from_millis(5), result())
        })];
        world.run(plain).await
    };
    let refused = || Err(Failure::new(FailureKind::TimeoutFirstByte, "no byte came within 5 s"));
    let stopped = run(refused, asleep).await;
    let Verdict::Inconclusive(Cause::Ours(failure)) = &stopped.verdict else { panic!("{:?}", stopped.verdict) };
    assert_eq!(failure.kind, FailureKind::LocalStopped);
    assert_eq!(
        failure.message,
        "Roundsman stood still for 10 min during this step; what it saw then: timeout.first_byte: no byte came within 5 s"
    );
    assert_eq!(stopped.steps[0].late_ms, Some(600_000.0));
    let well = run(|| Ok(Observation::default()), asleep).await;
    assert_eq!((well.verdict, well.steps[0].late_ms), (Verdict::Passed, Some(600_000.0)), "what held, held");
    let short = run(refused, Duration::from_millis(300)).await;
    assert_eq!((short.verdict.word(), short.steps[0].late_ms), ("failed", Some(300.0)));
    let unfelt = run(refused, Duration::from_millis(9)).await;
    assert_eq!(unfelt.steps[0].late_ms, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_slow_while_we_stand_still_is_not_the_targets() {
    let quick = || {
        let names = Names::new().with(Name::new("total_ms", Shape::Number, ""));
        vec![Expression::compile("total_ms < 1", &names).unwrap()]
    };
    let run = async |of_step: bool, warns: bool, asleep: Duration| {
        let world = world();
        let clock = Arc::clone(&world.clock);
        let mut only = step("only", move || {
            clock.sleep(asleep);
            let phases = Phases { total_ms: 5.0, ..Phases::default() };
            (Duration::from_millis(5), Ok(Observation { phases, ..Observation::default() }))
        });
        let mut slow = probe("slow");
        match (of_step, warns) {
            (true, _) => only.warn = quick(),
            (false, true) => slow.warn = quick(),
            (false, false) => slow.expect = quick(),
        }
        slow.steps = vec![only];
        world.run(slow).await.verdict
    };
    let asleep = Duration::from_secs(600);
    for (of_step, warns, word) in [(true, true, "degraded"), (false, true, "degraded"), (false, false, "failed")] {
        assert_eq!(run(of_step, warns, Duration::ZERO).await.word(), word);
    }
    assert_eq!(run(true, true, asleep).await, Verdict::Passed);
    assert_eq!(run(false, true, asleep).await, Verdict::Passed);
    let stopped = run(false, false, asleep).await;
    let Verdict::Inconclusive(Cause::Ours(failure)) = &stopped else { panic!("{stopped:?}") };
    assert_eq!(failure.kind, FailureKind::LocalStopped);
    assert!(failure.message.starts_with("Roundsman stood still for 10 min during this run; what it saw then: "));
}

#[tokio::test(start_paused = true)]
async fn what_was_captured_is_in_no_version_and_no_test_case() {
    let mut only = step("only", || {
        let refused = Failure::new(FailureKind::Case, "captured-1 was refused");
        let verdict = Some(Verdict::Failed(vec![refused]));
        let case = Case { name: "login with captured-1".to_owned(), verdict, took_ms: 1.0 };
        let body = Some(br#"{"token":"captured-1"}"#.to_vec().into());
        (Duration::ZERO, Ok(Observation { body, cases: vec![case], ..Observation::default() }))
    });
    only.capture = vec![Capture { name: name("token"), path: "json.token".parse().unwrap() }];
    only.version = Some("json.token".parse().unwrap());
    let run = world().run(PlannedProbe { steps: vec![only], ..probe("suite") }).await;
    let (seen, case) = (&run.steps[0], &run.steps[0].cases[0]);
    assert_eq!((seen.version.as_deref(), case.name.as_str()), (Some("•••"), "login with •••"));
    assert_eq!(case.verdict.as_ref().unwrap().failures()[0].message, "••• was refused");
}

#[test]
fn a_cleanup_needs_what_its_expressions_name() {
    let captures = Shape::fields([Name::new("token", Shape::Text, ""), Name::new("id", Shape::Text, "")]);
    let names = Names::new().with(Name::new("captures", captures, ""));
    for (text, token, id) in [
        ("has(captures.token)", true, false),
        ("captures[\"id\"] == \"x\"", false, true),
        ("size(captures) == 2", true, true),
        ("true", false, false),
    ] {
        let mut owing = Owing::default();
        owing.add_expression(&Expression::compile(text, &names).unwrap());
        assert_eq!((owing.needs(&name("token")), owing.needs(&name("id"))), (token, id), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_a_refused_certificate_ends_is_part_of_what_became_of_the_step() {
    let expires = crate::engine::testing::at("2021-01-01T00:00:00Z");
    let refused = move || {
        let failure = Failure::new(FailureKind::TlsExpired, "expired long ago");
        let failure = Failure { certificate_expires: Some(expires), ..failure };
        (Duration::ZERO, Err(failure.after(Phases { tls_ms: Some(3.0), ..Phases::default() })))
    };
    let run = world().run(PlannedProbe { steps: vec![step("only", refused)], ..probe("shop") }).await;
    let seen = &run.steps[0];
    assert_eq!((seen.certificate_expires, seen.phases.tls_ms), (Some(expires), Some(3.0)));
    assert_eq!(run.verdict.failures()[0].certificate_expires, None, "it went with the step");
}

/// Panics the first time that a text is to be told, as a bug in what takes secrets out would.
#[derive(Default)]
struct Slips(AtomicUsize);

impl Secrets for Slips {
    fn resolve<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        NoSecrets.resolve(name)
    }
    fn redact(&self, text: &str) -> String {
        assert!(self.0.fetch_add(1, SeqCst) > 0, "a bug of ours");
        text.to_owned()
    }
}

/// Nobody gives a secret, nor says that there is none.
struct Hung;

impl Secrets for Hung {
    fn resolve<'a>(&'a self, _: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        Box::pin(std::future::pending())
    }
    fn redact(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// Fills a text, and ends by itself as late as any prober may.
struct Fills(Template);

impl Prober for Fills {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async {
            cx.fill(&self.0, |value| Some(value.to_owned())).await?;
            Ok(Observation::default())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_nobody_gives_in_time_is_our_own_fault() {
    for text in ["${secret:door}", "no secret"] {
        let fills = PlannedStep { action: Arc::new(Fills(Template::parse(text).unwrap())), ..refusing("fills") };
        let fills = PlannedStep { timeout: Some(Duration::from_secs(2)), ..fills };
        let plan = Plan { secrets: Arc::new(Hung), ..plan_of(Vec::new()) };
        let run = world().run_under(plan, PlannedProbe { steps: vec![fills], ..probe("shop") }).await;
        if text == "no secret" {
            assert_eq!(run.verdict, Verdict::Passed);
            continue;
        }
        let Verdict::Inconclusive(cause) = &run.verdict else { panic!("{:?}", run.verdict) };
        let told = format!("{cause:?}");
        assert!(told.contains("`door` cannot be read: it was not to be had within the time of the step"), "{told}");
    }
}

fn slipping() -> Plan {
    Plan { secrets: Arc::new(Slips::default()), ..plan_of(Vec::new()) }
}

fn refusing(name: &str) -> PlannedStep {
    step(name, || (Duration::ZERO, Err(Failure::new(FailureKind::ConnectRefused, "nobody listens"))))
}

#[tokio::test(start_paused = true)]
async fn a_bug_where_results_are_put_together_is_ours_and_the_cleanup_follows() {
    let passing = || step("acts", || (Duration::ZERO, Ok(Observation::default())));
    let untrue = || vec![Expression::compile("false", &Names::new()).unwrap()];
    let of_step = PlannedProbe { steps: vec![refusing("acts"), passing()], ..probe("journey") };
    let of_whole = PlannedProbe { steps: vec![passing()], expect: untrue(), ..probe("journey") };
    for (what, journey, expected) in [
        ("a step", of_step, vec![("acts", Some("inconclusive")), ("acts", None), ("away", Some("passed"))]),
        ("the whole", of_whole, vec![("acts", Some("passed")), ("away", Some("passed"))]),
    ] {
        let world = world();
        let cleaned = Arc::default();
        let run = world.run_under(slipping(), PlannedProbe { cleanup: counting(&cleaned), ..journey }).await;
        assert_eq!(words(&run), expected, "{what}");
        let Verdict::Inconclusive(Cause::Ours(failure)) = &run.verdict else { panic!("{what}: {:?}", run.verdict) };
        assert_eq!(failure.kind, FailureKind::Internal, "{what}");
        assert_eq!(cleaned.load(SeqCst), 1, "{what}");
        assert!(world.store.kept.lock().unwrap().is_empty(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cleanup_whose_result_is_lost_to_a_bug_is_owed_and_the_rest_of_it_follows() {
    let mut world = world();
    let cleaned = Arc::default();
    let mut cleanup = vec![refusing("first")];
    cleanup.extend(counting(&cleaned));
    let run = world.run_under(slipping(), PlannedProbe { cleanup, ..probe("journey") }).await;
    assert_eq!(words(&run), [("only", Some("passed")), ("first", Some("inconclusive")), ("away", Some("passed"))]);
    assert_eq!((run.verdict.word(), cleaned.load(SeqCst)), ("degraded", 1));
    assert_eq!(world.owed.try_recv().unwrap().run, run.id);
}

/// Puts down something that cannot be told, and its run.
struct Untold(Arc<Mutex<Vec<RunId>>>);

impl Prober for Untold {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        self.0.lock().unwrap().push(cx.run.clone());
        cx.recorder.add(|| panic!("a bug of a prober"));
        Box::pin(std::future::ready(Err(Failure::new(FailureKind::ConnectRefused, "nobody listens"))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_be_told_is_still_the_run_that_its_target_saw() {
    let world = world();
    let seen: Arc<Mutex<Vec<RunId>>> = Arc::default();
    let acts = PlannedStep { action: Arc::new(Untold(Arc::clone(&seen))), ..refusing("acts") };
    let cleaned = Arc::default();
    let journey = PlannedProbe { steps: vec![acts], cleanup: counting(&cleaned), ..probe("journey") };
    let run = world.run(journey).await;
    assert_eq!((run.verdict.word(), run.verdict.failures()[0].kind), ("inconclusive", FailureKind::Internal));
    assert_eq!(*seen.lock().unwrap(), [run.id]);
    assert_eq!(cleaned.load(SeqCst), 1);
    assert!(world.store.kept.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_broken_off_is_owed() {
    let mut world = world();
    let mut journey = probe("journey");
    journey.steps = vec![step("hangs", || (Duration::from_secs(3_600), Ok(Observation::default())))];
    journey.cleanup = counting(&Arc::default());
    let broken_off = tokio::time::timeout(Duration::from_secs(1), world.run(journey)).await;
    assert!(broken_off.is_err());
    let owed = world.owed.try_recv().unwrap();
    assert_eq!(world.store.kept.lock().unwrap().keys().collect::<Vec<_>>(), [&owed.run]);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_which_no_step_ran_has_looked_at_nothing() {
    let when = |text: &str| Some(Expression::compile(text, &Names::new()).unwrap());
    let skipped = || PlannedStep { when: when("false"), ..step("skipped", || panic!("it is not performed")) };
    let untrue = || vec![Expression::compile("false", &Names::new()).unwrap()];
    let world = world();
    let cleaned = Arc::default();
    let journey =
        || PlannedProbe { steps: vec![skipped(), skipped()], cleanup: counting(&cleaned), ..probe("journey") };
    for of_whole in [journey(), PlannedProbe { warn: untrue(), ..journey() }] {
        let run = world.run(of_whole).await;
        assert_eq!(run.verdict, Verdict::Inconclusive(Cause::Skipped));
        assert_eq!(words(&run), [("skipped", None), ("skipped", None), ("away", Some("passed"))]);
    }
    assert_eq!(cleaned.load(SeqCst), 2);
    let expecting = PlannedProbe { expect: untrue(), ..journey() };
    assert_eq!(world.run(expecting).await.verdict.word(), "failed", "what is expected of the whole is not there");
}

/// A step that was refused, with an expectation of that.
fn refused(kind: FailureKind, expectation: &str) -> PlannedStep {
    let failure = Failure::new(kind, "no");
    let observation = Observation {
        facts: [("error".to_owned(), json!({ "code": "No" }))].into_iter().collect(),
        refused: Some(Box::new(Refused { unless_mentioned: "error", failure })),
        ..Observation::default()
    };
    let names = Names::new().with(Name::new("error", Shape::Any, "the refusal"));
    let mut asked = step("asked", move || (Duration::from_millis(1), Ok(observation.clone())));
    asked.expect = vec![Expression::compile(expectation, &names).unwrap()];
    asked
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_us_is_ours_although_another_was_expected() {
    let world = world();
    let verdict = async |kind, expectation: &str| {
        let run = world.run(PlannedProbe { steps: vec![refused(kind, expectation)], ..probe("asks") }).await;
        run.verdict
    };
    let denied = Cause::Ours(Failure::new(FailureKind::AwsDenied, "no"));
    let other = r#"error.code == "ResourceNotFoundException""#;
    assert_eq!(verdict(FailureKind::AwsDenied, other).await, Verdict::Inconclusive(denied));
    assert_eq!(verdict(FailureKind::AwsDenied, r#"error.code == "No""#).await, Verdict::Passed, "it was expected");
    assert_eq!(verdict(FailureKind::AwsNotFound, other).await.failures()[0].kind, FailureKind::Expect);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_may_read_is_expected_of_and_not_told() {
    let world = world();
    let names = || Names::new().with(Name::new("json", Shape::Any, "")).with(Name::new("body", Shape::Any, ""));
    let expectations = [
        r#"json.Plaintext == "b""#,
        r#"body == "b""#,
        "json == {}",
        r#"json.all(x, json[x] == "k")"#,
        "json.Plaintext > 5",
    ];
    for text in expectations {
        let observation = Observation { is_secret: true, ..seen(r#"{"KeyId":"k","Plaintext":"cGxhaW4="}"#) };
        let mut decrypt = step("decrypt", move || (Duration::from_millis(1), Ok(observation.clone())));
        decrypt.expect = vec![Expression::compile(text, &names()).unwrap()];
        let run = world.run(PlannedProbe { steps: vec![decrypt], ..probe("asks") }).await;
        let told = format!("{run:?}");
        assert!(matches!(run.verdict, Verdict::Failed(_)), "{told}");
        assert!(!told.contains("cGxhaW4="), "{told}");
    }
    let observation = Observation { is_secret: true, ..seen(r#"{"Plaintext":"cGxhaW4="}"#) };
    let steps = vec![step("decrypt", move || (Duration::from_millis(1), Ok(observation.clone())))];
    let names = Names::new().with(Name::new("steps", Shape::Any, ""));
    let expect = vec![Expression::compile(r#"steps.decrypt.json.Plaintext == "b""#, &names).unwrap()];
    let run = world.run(PlannedProbe { steps, expect, journey: true, ..probe("asks") }).await;
    let told = format!("{run:?}");
    assert!(matches!(run.verdict, Verdict::Failed(_)), "{told}");
    assert!(!told.contains("cGxhaW4="), "{told}");
}
