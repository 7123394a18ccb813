//! What the steps of a run share over HTTP, and what runs do not.

use roundsman::domain::outcome::FailureKind;

use super::commands::configuration;
use super::probing::{Run, probe};
use super::servers::hostile::{Hostile, Move};
use super::servers::nginx::{Nginx, Site};
use super::servers::roundsman::output;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn steps_share_a_connection_and_cookies_and_runs_do_not() {
    let directives = "location = /login { add_header Set-Cookie \"session=abc; Path=/; HttpOnly\"; return 200 in; }
                      location = /me { return 200 \"$connection $http_cookie\"; }";
    let nginx = Nginx::start(&[Site { identity: None, directives }], &[]);
    let yaml = |path: &str| format!("url: http://127.0.0.1:{}/{path}", nginx.port(0));
    let run = Run::new();
    let login = run.step("http", &yaml("login")).await.unwrap();
    assert!(login.phases.connect_ms.is_some());
    let me = run.step("http", &yaml("me")).await.unwrap();
    let again = run.step("http", &yaml("me")).await.unwrap();
    assert_eq!(me.phases.connect_ms, None, "the connection was there already");
    let body = String::from_utf8(me.body.unwrap().to_vec()).unwrap();
    assert!(body.ends_with(" session=abc"), "{body}");
    assert_eq!(again.body.unwrap(), body, "the connection is the same");
    let other = probe("http", &yaml("me")).await.unwrap();
    assert!(other.phases.connect_ms.is_some());
    let other = String::from_utf8(other.body.unwrap().to_vec()).unwrap();
    assert!(other.ends_with(' ') && other.trim() != body.split(' ').next().unwrap(), "{other}");
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let answer = || vec![Move::ReadHead, Move::Send(OK.into())];
    // The first connection reads a second request and then closes without a byte.
    let first = [answer(), vec![Move::ReadHead]].concat();
    let server = Hostile::start(vec![first, answer()]).await;
    let run = Run::new();
    let yaml = format!("url: {}", server.url());
    run.step("http", &yaml).await.unwrap();
    let second = run.step("http", &yaml).await.unwrap();
    assert_eq!(second.facts["status"], 200);
    assert!(second.phases.connect_ms.is_some(), "a fresh connection was made");
    assert_eq!(server.heads().len(), 3);
}

#[tokio::test]
async fn a_farewell_on_an_idle_connection_is_no_answer() {
    let farewell = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // In one piece, so that it is there before the second request.
    let first = vec![Move::ReadHead, Move::Send(format!("{OK}{farewell}").into_bytes())];
    let server = Hostile::start(vec![first, vec![Move::ReadHead, Move::Send(OK.into())]]).await;
    let run = Run::new();
    run.step("http", &format!("url: {}", server.url())).await.unwrap();
    let order = run.step("http", &format!("{{ url: \"{}\", method: POST, body: order }}", server.url())).await;
    assert_eq!(order.unwrap().facts["status"], 200);
    assert_eq!(server.heads().iter().filter(|head| head.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn what_must_not_be_done_twice_is_not_sent_twice() {
    let first = vec![Move::ReadHead, Move::Send(OK.into()), Move::ReadHead];
    let server = Hostile::start(vec![first, vec![Move::ReadHead, Move::Send(OK.into())]]).await;
    let run = Run::new();
    run.step("http", &format!("url: {}", server.url())).await.unwrap();
    let order = run.step("http", &format!("{{ url: \"{}\", method: POST, body: order }}", server.url())).await;
    assert_eq!(order.unwrap_err().kind, FailureKind::ProtocolClosed);
    assert_eq!(server.heads().iter().filter(|head| head.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn a_fresh_connection_that_closes_is_the_targets_failure() {
    let server = Hostile::playing(vec![Move::ReadHead]).await;
    let failure = probe("http", &format!("url: {}", server.url())).await.unwrap_err();
    assert_eq!(failure.to_string(), "protocol.closed: the connection was closed without an answer");
    assert_eq!(server.heads().len(), 1);
}

/// What goes through a number on its way is another number afterwards: `7`, `1.2345678901234567e19`, `100000`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_captured_is_sent_on_byte_for_byte() {
    let body = r#"{"id":"007","big":12345678901234567890,"power":1e5,"word":"true","yes":true}"#;
    let first = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = |text: &str| vec![Move::ReadHead, Move::Send(text.as_bytes().to_vec())];
    let server = Hostile::start(vec![[answer(&first), answer(OK)].concat()]).await;
    let url = server.url();
    let directory = configuration(&[
        ("schedules/s.yaml", "often: { every: 30s, probes: [journey] }\n"),
        (
            "probes/p.yaml",
            &format!(
                "journey:\n  steps:\n    - name: first\n      http: \"{url}\"\n      capture: {{ id: json.id, big: json.big, \
             power: json.power, word: json.word, yes: json.yes }}\n    - name: second\n      http: \
             {{ url: \"{url}{{{{id}}}}/{{{{big}}}}/{{{{power}}}}/{{{{word}}}}/{{{{yes}}}}\" }}\n"
            ),
        ),
    ]);
    let path = directory.path().to_str().unwrap().to_owned();
    let once = tokio::task::spawn_blocking(move || output(&["once", "--config", &path], &[])).await.unwrap();
    assert!(once.status.success(), "{}", String::from_utf8_lossy(&[once.stdout, once.stderr].concat()));
    let heads = server.heads();
    assert_eq!(heads[1].lines().next(), Some("GET /007/12345678901234567890/1e5/true/true HTTP/1.1"));
}
