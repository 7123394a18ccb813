//! What the tests of reports share.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::exchange::{Assertion, Bundle, Captured, Exchange, StepRecord};
use crate::domain::expression::{Explanation, Part};
use crate::domain::names::{CaptureName, ProbeName, StepName};
use crate::domain::outcome::{Case, Failure, FailureKind, Phases, Run, RunId, StepOutcome, Verdict};

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
        version: None,
        cases: Vec::new(),
    };
    Run {
        id: RunId(Arc::from("01JDEXAMPLE")),
        location: Arc::from("here"),
        probe: ProbeName::parse("shopper-journey").unwrap(),
        schedule: None,
        extra: None,
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
        bundle: None,
    }
}

/// The same with all that its steps did: a login that was redirected, over TLS, and an order that failed.
pub fn told() -> Run {
    let hop = |path: &str, status: &str, connect, wait| {
        Exchange {
        remote: Some("192.0.2.7:443".to_owned()),
        sent: format!(
            "POST {path} HTTP/1.1\nhost: shop.example.com\nauthorization: Basic •••\ncontent-type: application/json\n\n\
             {{\"user\":\"probe\",\"password\":\"•••\"}}"
        ),
        received: format!("HTTP/1.1 {status}\nset-cookie: sid=•••; Path=/; HttpOnly\nlocation: /account\n\n"),
        certificates: vec![
            "CN=shop.example.com, from CN=Example CA, for shop.example.com, www.shop.example.com, api.shop.example.com, \
             ends 2027-02-01 (17.2 days left)"
                .to_owned(),
            "CN=Example CA, from CN=Example Root, ends 2031-01-01 (1446.8 days left)".to_owned(),
        ],
        command: Some(format!(
            "curl -X POST --resolve shop.example.com:443:192.0.2.7 -H 'authorization: Basic •••' \
             -H 'content-type: application/json' --data '{{\"user\":\"probe\",\"password\":\"•••\"}}' https://shop.example.com{path}"
        )),
        phases: Phases {
            connect_ms: connect,
            tls_ms: connect.map(|ms: f64| ms * 2.0),
            first_byte_ms: Some(wait),
            transfer_ms: Some(1.0),
            total_ms: connect.unwrap_or_default() * 3.0 + wait + 1.2,
            ..Phases::default()
        },
    }
    };
    let assertion = |held, warns, expression: &str, part: &str, value: &str, reason: Option<&str>| Assertion {
        held,
        warns,
        explanation: Explanation {
            expression: expression.to_owned(),
            parts: vec![Part { expression: part.to_owned(), value: value.to_owned() }],
            reason: reason.map(str::to_owned),
        },
    };
    let long = format!("{{\"error\":\"{}\"}}", "no stock ".repeat(14));
    let failing = Exchange {
        received: format!("HTTP/1.1 503 Service Unavailable\ncontent-type: application/json\n\n{long}"),
        certificates: Vec::new(),
        ..hop("/orders", "503", None, 33.0)
    };
    let record = |name, exchanges, assertions, captures| StepRecord {
        name: StepName::parse(name).unwrap(),
        exchanges,
        assertions,
        captures,
    };
    let captured = Captured { name: CaptureName::parse("token").unwrap(), characters: 24 };
    let login = record(
        "login",
        vec![hop("/login", "302 Found", Some(4.0), 11.0), hop("/account", "200 OK", None, 9.0)],
        vec![
            assertion(true, false, "status >= 200 && status < 300", "status", "200", None),
            assertion(false, true, "total_ms < 20", "total_ms", "25.8", None),
        ],
        vec![captured],
    );
    let order = record(
        "add-to-wardrobe",
        vec![failing],
        vec![
            assertion(false, false, "status == 201", "status", "503", None),
            assertion(false, false, "json.id > 0", "json", "{\"error\":\"no stock\"}", Some("`json.id` is not there")),
        ],
        Vec::new(),
    );
    Run { bundle: Some(Arc::new(Bundle { steps: vec![login, order], left_out: 0 })), ..journey() }
}

/// A run of a test runner of which one case failed, with a hostile name, and one was skipped.
pub fn suite() -> Run {
    let case = |name: &str, took_ms, verdict| Case { name: name.to_owned(), verdict, took_ms };
    let broken = vec![Failure::new(FailureKind::Case, "assert 1 == 2")];
    let failure = Failure::new(FailureKind::Case, "shop.cart › pays\u{1b}[2J: assert 1 == 2");
    let mut run = journey();
    run.probe = ProbeName::parse("suite").unwrap();
    run.verdict = Verdict::Failed(vec![failure.clone()]);
    run.steps.truncate(1);
    run.steps[0].name = StepName::parse("command").unwrap();
    run.steps[0].kind = "command".to_owned();
    run.steps[0].status = None;
    run.steps[0].phases = Phases { total_ms: 62.0, ..Phases::default() };
    run.steps[0].verdict = Some(Verdict::Failed(vec![failure]));
    run.steps[0].cases = vec![
        case("shop.cart › pays\u{1b}[2J", 20.0, Some(Verdict::Failed(broken))),
        case("shop.cart › adds", 12.5, Some(Verdict::Passed)),
        case("shop.cart › later", 0.0, None),
    ];
    run
}
