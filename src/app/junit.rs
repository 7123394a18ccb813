//! Runs as JUnit's XML: a suite for each probe, and a case for each step and for each test case that a step ran, so that
//! what reads test results reads probes.

use std::io;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::domain::outcome::{Case, Cause, Failure, Run, StepOutcome, Verdict};
use crate::domain::text::harmless;

/// The report as a document.
pub fn document(runs: &[Run]) -> io::Result<Vec<u8>> {
    let mut report = Report::new("roundsman");
    for run in runs {
        let mut suite = TestSuite::new(run.probe.as_str());
        suite.set_timestamp(run.started_at.fixed_offset());
        suite.set_time(run.duration);
        suite.add_property(("verdict", run.verdict.word()));
        suite.add_property(("run", run.id.0.as_ref()));
        for step in &run.steps {
            suite.add_test_case(of_step(run, step));
            suite.add_test_cases(step.cases.iter().map(|case| of_case(run, step, case)));
        }
        report.add_test_suite(suite);
    }
    let mut document = Vec::new();
    report.serialize(&mut document).map_err(io::Error::other)?;
    Ok(document)
}

fn of_step(run: &Run, step: &StepOutcome) -> TestCase {
    let mut case = TestCase::new(step.name.as_str(), status(step.verdict.as_ref()));
    case.set_classname(run.probe.as_str());
    case.set_time(Duration::try_from_secs_f64(step.phases.total_ms / 1e3).unwrap_or_default());
    if let Some(Verdict::Degraded(warnings)) = &step.verdict {
        case.set_system_out(warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    case
}

fn of_case(run: &Run, step: &StepOutcome, seen: &Case) -> TestCase {
    let mut case = TestCase::new(seen.name.as_str(), status(seen.verdict.as_ref()));
    case.set_classname(format!("{}.{}", run.probe, step.name));
    case.set_time(Duration::try_from_secs_f64(seen.took_ms / 1e3).unwrap_or_default());
    case
}

fn status(verdict: Option<&Verdict>) -> TestCaseStatus {
    match verdict {
        None | Some(Verdict::Inconclusive(Cause::Skipped)) => TestCaseStatus::skipped(),
        Some(Verdict::Passed | Verdict::Degraded(_)) => TestCaseStatus::success(),
        Some(Verdict::Failed(failures)) => unsuccessful(NonSuccessKind::Failure, failures),
        // What we could not look at is our error and not the target's failure, which is JUnit's own distinction.
        Some(verdict @ Verdict::Inconclusive(_)) => unsuccessful(NonSuccessKind::Error, verdict.failures()),
    }
}

fn unsuccessful(kind: NonSuccessKind, failures: &[Failure]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    match failures {
        [] => status.set_message("shut down while it ran"),
        [first, ..] => status.set_message(&*harmless(&first.to_string())).set_type(first.kind.as_str()),
    };
    let lines = failures.iter().map(|failure| match &failure.expected {
        Some(expected) => format!("expected: {}\n{}", harmless(expected), harmless(&failure.to_string())),
        None => harmless(&failure.to_string()).into_owned(),
    });
    status.set_description(lines.collect::<Vec<_>>().join("\n\n"));
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_cases_and_control_characters_do_not_break_the_xml() {
        let document = document(&[crate::app::testing::journey(), crate::app::testing::suite()]).unwrap();
        insta::assert_snapshot!(String::from_utf8(document).unwrap());
    }
}
