//! What the tests of reports share.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::expression::{Explanation, Part};
use crate::domain::names::{ProbeName, StepName};
use crate::domain::outcome::{Failure, FailureKind, Phases, Run, RunId, StepOutcome, Verdict};

/// A journey whose first step passed and whose second did not, with a hostile answer.
pub fn journey() -> Run {
    let at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let phases = |dns, connect, wait, transfer| Phases {
        dns_ms: dns,
        connect_ms: connect,
        tls_ms: None,
        first_byte_ms: Some(wait),
        transfer_ms: Some(transfer),
        total_ms: dns.unwrap_or(0.0) + connect.unwrap_or(0.0) + wait + transfer + 0.5,
        ..Phases::default()
    };
    let failure = Failure {
        step: Some(StepName::parse("add-to-wardrobe").unwrap()),
        ..Failure::of_assertion(Explanation {
            expression: "status == 201 && json.name == \"probe\"".to_owned(),
            parts: vec![Part { expression: "status".to_owned(), value: "503\u{1b}[31m".to_owned() }],
            reason: None,
        })
    };
    let other = Failure::new(FailureKind::TimeoutFirstByte, "no byte came within 5 s");
    let step = |name, offset_ms, phases, verdict, status| StepOutcome {
        name: StepName::parse(name).unwrap(),
        kind: "http".to_owned(),
        cleanup: false,
        verdict,
        offset_ms,
        phases,
        certificate_expires: None,
        status,
        late_ms: None,
    };
    Run {
        id: RunId(Arc::from("01JDEXAMPLE")),
        location: Arc::from("here"),
        probe: ProbeName::parse("shopper-journey").unwrap(),
        schedule: None,
        slot: at,
        due_at: at,
        started_at: at,
        duration: Duration::from_micros(62_345),
        lateness: Duration::ZERO,
        verdict: Verdict::Failed(vec![failure.clone(), other.clone()]),
        steps: vec![
            step("login", 0.0, phases(Some(0.3), Some(4.0), 20.0, 1.0), Some(Verdict::Passed), Some(200)),
            step(
                "add-to-wardrobe",
                26.0,
                phases(None, None, 33.0, 2.0),
                Some(Verdict::Failed(vec![failure, other])),
                Some(503),
            ),
            step("logout", 62.0, Phases::default(), None, None),
        ],
    }
}
