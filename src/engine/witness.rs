//! Which secrets a step used, and what they were then: whoever was refused looks whether they still are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::aws_call::AwsCall;
use crate::domain::names::SecretName;
use crate::domain::time::Monotonic;
use crate::ports::{Clock, SecretError, Secrets};

/// Secrets for one step.
pub struct Witness<'a> {
    secrets: &'a dyn Secrets,
    used: Mutex<BTreeMap<SecretName, SecretString>>,
}

impl<'a> Witness<'a> {
    /// Nothing has been used yet.
    pub fn of(secrets: &'a dyn Secrets) -> Self {
        Self { secrets, used: Mutex::default() }
    }

    /// Whether one that was used is another one now. What was kept of them is read again.
    pub async fn is_outdated(&self) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, before) in used {
            self.secrets.renew(&name).await;
            let now = self.secrets.resolve(&name).await;
            if now.is_ok_and(|now| now.expose_secret() != before.expose_secret()) {
                return true;
            }
        }
        false
    }
}

impl Secrets for Witness<'_> {
    fn resolve<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        Box::pin(async move {
            let secret = self.secrets.resolve(name).await?;
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), secret.clone());
            Ok(secret)
        })
    }

    fn code<'a>(
        &'a self,
        name: &'a SecretName,
        clock: &'a dyn Clock,
        deadline: Monotonic,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        Box::pin(async move {
            self.resolve(name).await?;
            self.secrets.code(name, clock, deadline).await
        })
    }

    fn redact(&self, text: &str) -> String {
        self.secrets.redact(text)
    }

    fn renew<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, ()> {
        self.secrets.renew(name)
    }

    fn calls(&self, name: &SecretName) -> Vec<AwsCall> {
        self.secrets.calls(name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;
    use crate::domain::expression::{Expression, Name, Names, Shape};
    use crate::domain::outcome::{Failure, FailureKind, Observation, Run, Verdict};
    use crate::engine::plan::{Plan, PlannedProbe, PlannedStep};
    use crate::engine::runner::{Order, Runner};
    use crate::engine::testing::{TestClock, plan_of, probe, step};
    use crate::ports::{Prober, StepContext};
    use tokio_util::sync::CancellationToken;

    /// A secret that is kept until somebody renews it.
    struct Rotated {
        kept: Mutex<&'static str>,
        real: &'static str,
        renewed: AtomicUsize,
    }

    impl Secrets for Rotated {
        fn resolve<'a>(&'a self, _: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
            let kept = *self.kept.lock().unwrap();
            Box::pin(std::future::ready(Ok(SecretString::from(kept))))
        }
        fn redact(&self, text: &str) -> String {
            text.to_owned()
        }
        fn renew<'a>(&'a self, _: &'a SecretName) -> BoxFuture<'a, ()> {
            self.renewed.fetch_add(1, SeqCst);
            *self.kept.lock().unwrap() = self.real;
            Box::pin(std::future::ready(()))
        }
    }

    /// How a target refuses.
    #[derive(Clone, Copy, Debug)]
    enum Refuses {
        Kind(FailureKind),
        Status(u16),
    }

    /// Takes one password, and counts who knocks.
    struct Door {
        takes: &'static str,
        refuses: Refuses,
        knocks: Arc<AtomicUsize>,
    }

    impl Prober for Door {
        fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
            Box::pin(async {
                self.knocks.fetch_add(1, SeqCst);
                let name = SecretName::parse("door").unwrap();
                let secret = cx.secrets.resolve(&name).await.unwrap();
                let mut seen = Observation::default();
                seen.facts.insert("status", 200_u16);
                match self.refuses {
                    _ if secret.expose_secret() == self.takes => {}
                    Refuses::Kind(kind) => return Err(Failure::new(kind, "not with that password")),
                    Refuses::Status(status) => seen.facts.insert("status", status),
                }
                Ok(seen)
            })
        }
    }

    fn door(takes: &'static str, refuses: Refuses, expect: &str) -> (PlannedStep, Arc<AtomicUsize>) {
        let knocks = Arc::<AtomicUsize>::default();
        let names = Names::new().with(Name::known("status", Shape::Number, "the status"));
        let mut step = step("open", || unreachable!());
        step.action = Arc::new(Door { takes, refuses, knocks: Arc::clone(&knocks) });
        step.expect = vec![Expression::compile(expect, &names).unwrap()];
        (step, knocks)
    }

    async fn run(step: PlannedStep, real: &'static str) -> (Run, usize) {
        let clock = TestClock::starting("2026-11-25T10:00:00Z");
        let secrets = Arc::new(Rotated { kept: Mutex::new("old"), real, renewed: AtomicUsize::default() });
        let plan = Arc::new(Plan { secrets: Arc::clone(&secrets) as _, ..plan_of(Vec::new()) });
        let probe = Arc::new(PlannedProbe { steps: vec![step], ..probe("door") });
        let (slot, due) = (clock.now(), clock.monotonic());
        let order = Order { plan, probe, schedule: None, extra: None, slot, due_at: slot, due };
        let run = Runner::new(clock, CancellationToken::new()).telling_all().run(order).await;
        (run, secrets.renewed.load(SeqCst))
    }

    #[tokio::test(start_paused = true)]
    async fn a_rotated_secret_is_no_outage() {
        for refuses in [
            Refuses::Kind(FailureKind::AuthRefused),
            Refuses::Kind(FailureKind::AuthToken),
            Refuses::Kind(FailureKind::AwsLogin),
            Refuses::Status(401),
            Refuses::Status(403),
        ] {
            let (step, knocks) = door("new", refuses, "status == 200");
            let (run, renewed) = run(step, "new").await;
            assert_eq!((run.verdict, knocks.load(SeqCst), renewed), (Verdict::Passed, 2, 1), "{refuses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_what_it_was_is_refused_once() {
        let (step, knocks) = door("another", Refuses::Status(401), "status == 200");
        let (run, renewed) = run(step, "old").await;
        assert_eq!((run.verdict.word(), knocks.load(SeqCst), renewed), ("failed", 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_refusal_stands() {
        let (step, knocks) = door("another", Refuses::Kind(FailureKind::AuthRefused), "status == 200");
        let (run, _) = run(step, "new").await;
        assert_eq!((run.verdict.word(), knocks.load(SeqCst)), ("failed", 2), "there is no third attempt");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_but_a_refusal_is_tried_again() {
        for (refuses, expect, word) in [
            (Refuses::Kind(FailureKind::ConnectRefused), "status == 200", "failed"),
            (Refuses::Status(500), "status == 200", "failed"),
            (Refuses::Status(401), "status == 401", "passed"),
        ] {
            let (step, knocks) = door("new", refuses, expect);
            let (run, renewed) = run(step, "new").await;
            assert_eq!((run.verdict.word(), knocks.load(SeqCst), renewed), (word, 1, 0), "{refuses:?}");
        }
    }
}
