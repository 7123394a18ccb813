//! Plays a run again. What the steps of a real run saw is put on a [`Tape`]; a [`Playback`] gives it to the same probe once
//! more, with what one step saw made otherwise, and the runner judges it as it judges every run: nothing here knows what an
//! expectation is. No target hears of it, and it takes no time, since the clock of a playback goes on by what was measured.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::plan::{Plan, PlannedProbe};
use super::runner::{Order, Runner};
use crate::domain::names::StepName;
use crate::domain::outcome::{Failure, FailureKind, Observation, Run};
use crate::domain::probe::Step;
use crate::domain::time::{Monotonic, Timestamp, later};
use crate::ports::{Clock, Prober, StepContext, Token};

/// What each step saw that was performed.
#[derive(Default)]
pub struct Tape(Mutex<BTreeMap<StepName, Observation>>);

impl Tape {
    /// What is on it.
    pub fn observations(&self) -> BTreeMap<StepName, Observation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The same probe, with a tape on which its next run puts what its steps see.
pub fn taped(probe: &PlannedProbe) -> (PlannedProbe, Arc<Tape>) {
    let tape = Arc::new(Tape::default());
    let acting = acting(probe, |step| {
        let (action, name) = (Arc::clone(&step.action), step.name.clone());
        Arc::new(Taping { action, name, tape: Arc::clone(&tape) })
    });
    (acting, tape)
}

/// The same probe with others who perform its steps.
fn acting(probe: &PlannedProbe, act: impl Fn(&Step<Arc<dyn Prober>>) -> Arc<dyn Prober>) -> PlannedProbe {
    let mut acting = probe.clone();
    for step in acting.steps.iter_mut().chain(&mut acting.cleanup) {
        step.action = act(step);
    }
    acting
}

struct Taping {
    action: Arc<dyn Prober>,
    name: StepName,
    tape: Arc<Tape>,
}

impl Prober for Taping {
    fn host(&self) -> Option<String> {
        self.action.host()
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async {
            let seen = self.action.probe(cx).await?;
            self.tape.0.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name.clone(), seen.clone());
            Ok(seen)
        })
    }

    fn token(&self) -> Option<&Token> {
        self.action.token()
    }
}

/// A run that can be played again and again.
pub struct Playback {
    /// The plan, for its secrets.
    pub plan: Arc<Plan>,
    /// The probe.
    pub probe: Arc<PlannedProbe>,
    /// What its steps saw.
    pub seen: BTreeMap<StepName, Observation>,
    /// When the run started.
    pub at: Timestamp,
}

impl Playback {
    /// Plays it, with what one step saw made otherwise. A step of which nothing is on the tape cannot look, which makes the
    /// run inconclusive.
    pub async fn play(&self, changed: Option<(&StepName, &Result<Observation, Failure>)>) -> Run {
        let clock = Arc::new(PlayedClock { at: self.at, gone: Mutex::default() });
        let acting = acting(&self.probe, |step| {
            let seen = match changed {
                Some((name, result)) if *name == step.name => result.clone(),
                _ => self.seen.get(&step.name).cloned().ok_or_else(|| {
                    Failure::new(FailureKind::LocalSetup, "what this step would have seen was never seen")
                }),
            };
            Arc::new(Playing { seen, clock: Arc::clone(&clock) })
        });
        let (plan, probe) = (Arc::clone(&self.plan), Arc::new(acting));
        let order = Order {
            plan,
            probe,
            schedule: None,
            extra: None,
            slot: self.at,
            due_at: self.at,
            due: Monotonic::default(),
        };
        Runner::new(clock, CancellationToken::new()).run(order).await
    }
}

struct Playing {
    seen: Result<Observation, Failure>,
    clock: Arc<PlayedClock>,
}

impl Prober for Playing {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        let ended = match &self.seen {
            Ok(seen) => {
                cx.clock.monotonic() + Duration::try_from_secs_f64(seen.phases.total_ms / 1e3).unwrap_or_default()
            }
            Err(_) => cx.clock.monotonic(),
        };
        self.clock.go_on_until(ended.min(cx.deadline));
        let result = if ended > cx.deadline {
            Err(Failure::new(FailureKind::TimeoutTotal, "the time ended"))
        } else {
            self.seen.clone()
        };
        Box::pin(std::future::ready(result))
    }
}

/// Goes on only when a step says how long it took.
struct PlayedClock {
    at: Timestamp,
    gone: Mutex<Duration>,
}

impl PlayedClock {
    fn go_on_until(&self, at: Monotonic) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        *gone = at.0.max(*gone);
    }
}

impl Clock for PlayedClock {
    fn now(&self) -> Timestamp {
        later(self.at, self.monotonic().0)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(*self.gone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nobody waits in a playback: every step has its answer at once.
    fn sleep_until(&self, _: Monotonic) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::expression::{Expression, Name, Names, Shape};
    use crate::domain::outcome::{Phases, Verdict};
    use crate::engine::testing::{TestClock, plan_of, probe, step};

    fn seen(total_ms: f64) -> Observation {
        Observation { phases: Phases { total_ms, ..Phases::default() }, ..Observation::default() }
    }

    /// A journey of two steps that takes less than a second, and of which one has gone well.
    async fn played() -> Playback {
        let mut journey = probe("probe-0");
        let took = |ms: f64| move || (Duration::ZERO, Ok(seen(ms)));
        journey.steps = vec![step("one", took(300.0)), step("two", took(400.0))];
        let names = Names::new().with(Name::known("total_ms", Shape::Number, ""));
        journey.expect = vec![Expression::compile("total_ms < 1000", &names).unwrap()];
        journey.journey = true;
        let (acting, tape) = taped(&journey);
        let (clock, plan) = (TestClock::starting("2026-11-24T10:00:00Z"), Arc::new(plan_of(Vec::new())));
        let (at, due) = (clock.now(), clock.monotonic());
        let (of, acting) = (Arc::clone(&plan), Arc::new(acting));
        let order = Order { plan: of, probe: acting, schedule: None, extra: None, slot: at, due_at: at, due };
        let run = Runner::new(clock, CancellationToken::new()).run(order).await;
        assert_eq!(run.verdict, Verdict::Passed);
        Playback { plan, probe: Arc::new(journey), seen: tape.observations(), at }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_is_judged_again_with_the_time_that_it_took() {
        let playback = played().await;
        let usual = playback.play(None).await;
        assert_eq!((&usual.verdict, usual.duration.as_millis()), (&Verdict::Passed, 700));
        let one = StepName::parse("one").unwrap();
        for (changed, kind, said) in [
            (Ok(seen(700.0)), FailureKind::Expect, "`total_ms` was `1100.0`"),
            (Ok(seen(10_001.0)), FailureKind::TimeoutTotal, "the time ended"),
            (Err(Failure::new(FailureKind::ConnectRefused, "nobody")), FailureKind::ConnectRefused, "nobody"),
        ] {
            let run = playback.play(Some((&one, &changed))).await;
            let Verdict::Failed(failures) = run.verdict else { panic!("{:?}", run.verdict) };
            assert_eq!((failures[0].kind, failures[0].message.as_str()), (kind, said));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_was_never_performed_cannot_look() {
        let mut playback = played().await;
        playback.seen.pop_last();
        let run = playback.play(None).await;
        assert!(matches!(run.verdict, Verdict::Inconclusive(_)), "{:?}", run.verdict);
    }
}
