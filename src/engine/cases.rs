//! What the test cases of a runner mean for the step that ran it.

use crate::domain::expression::Part;
use crate::domain::outcome::{Case, Failure, FailureKind, Verdict};

/// How many test cases that failed are told one by one among the failures of their step; its outcome has them all.
const CASES_TOLD_MAX: usize = 10;

/// Adds what an expectation does not name and people want to know all the same.
pub fn tell_aside(failure: &mut Failure, aside: &[Part]) {
    let Some(mut explanation) = failure.explanation.take() else { return };
    let is_told = |part: &&Part| explanation.parts.iter().any(|told| told.expression == part.expression);
    let more: Vec<_> = aside.iter().filter(|part| !is_told(part)).cloned().collect();
    explanation.parts.extend(more);
    *failure = Failure::of_assertion(explanation);
}

/// A test case that failed fails its step.
pub fn failures_of(cases: &[Case]) -> Vec<Failure> {
    let failed = || cases.iter().filter(|case| matches!(case.verdict, Some(Verdict::Failed(_))));
    let told = failed().take(CASES_TOLD_MAX).map(|case| {
        let why = case.verdict.as_ref().and_then(|verdict| verdict.failures().first());
        let why = why.map(|failure| format!(": {}", failure.message)).unwrap_or_default();
        Failure::new(FailureKind::Case, format!("{}{why}", case.name))
    });
    let mut failures: Vec<_> = told.collect();
    let more = failed().count() - failures.len();
    if more > 0 {
        failures.push(Failure::new(FailureKind::Case, format!("{more} more test cases failed")));
    }
    failures
}
