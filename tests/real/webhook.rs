//! The webhook against receivers that answer in every way.

use std::sync::Arc;
use std::time::Duration;

use roundsman::domain::incident::Event;
use roundsman::ports::{Notification, Notifier, NotifyError};

use crate::notification::{channel, opened};
use crate::servers::hostile::{Hostile, Move};
use crate::servers::receiver::Receiver;

const SECRET: &str = "T0PSECRET/hook";

/// A webhook with these settings.
pub fn webhook(yaml: &str) -> Arc<dyn Notifier> {
    channel("webhook", yaml, &[("path", SECRET)])
}

fn notification() -> Notification {
    opened("I1", "2026-11-24T10:00:00Z".parse().expect("an instant"))
}

async fn answered(head: &str) -> Result<(), NotifyError> {
    let receiver =
        Hostile::answering(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\nno \u{1b}[2J{SECRET}")).await;
    let notifier = webhook(&format!("url: \"{}${{secret:path}}\"\n", receiver.url()));
    notifier.notify(&notification()).await.map(drop)
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    answered("204 No Content").await.expect("2xx is taken");
    for status in ["400 Bad Request", "413 Content Too Large", "422 Unprocessable Content"] {
        assert!(matches!(answered(status).await, Err(NotifyError::Rejected(_))), "{status}");
    }
    for status in ["401 Unauthorized", "403 Forbidden", "404 Not Found", "410 Gone", "302 Found\r\nlocation: /"] {
        assert!(matches!(answered(status).await, Err(NotifyError::Unauthorized(_))), "{status}");
    }
    for (status, expected) in [
        ("500 Internal Server Error", None),
        ("429 Too Many Requests\r\nretry-after: 30", Some(Duration::from_secs(30))),
        ("503 Service Unavailable\r\nretry-after: 99999999", Some(Duration::from_secs(3_600))),
        ("503 Service Unavailable\r\nretry-after: soon", None),
        ("503 Service Unavailable\r\nretry-after: Fri, 01 Jan 2100 00:00:00 GMT", Some(Duration::from_secs(3_600))),
    ] {
        let Err(NotifyError::Transient { retry_after, message }) = answered(status).await else { panic!("{status}") };
        assert_eq!(retry_after, expected, "{status}");
        assert!(message.contains("no ␛[2J•••"), "{message}");
    }
}

#[tokio::test]
async fn a_secret_in_the_url_is_in_no_error() {
    let refused = webhook("url: \"http://127.0.0.1:9/${secret:path}\"\n");
    let dropped = Hostile::playing(vec![Move::ReadHead, Move::Reset]).await;
    let dropped = webhook(&format!("url: \"{}${{secret:path}}\"\n", dropped.url()));
    for notifier in [refused, dropped] {
        let Err(NotifyError::Transient { message, .. }) = notifier.notify(&notification()).await else { panic!() };
        assert!(!message.contains("T0PSECRET"), "{message}");
        assert!(message.starts_with("the receiver could not be reached: "), "{message}");
    }
}

#[test]
fn what_is_sent_has_its_key_and_its_headers() {
    let receiver = Receiver::start();
    let notifier =
        webhook(&format!("url: \"{}\"\nheaders: {{ authorization: \"Bearer ${{secret:path}}\" }}\n", receiver.url));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let receipt = runtime.block_on(notifier.notify(&notification())).expect("it is taken");
    assert_eq!(receipt.id.as_deref(), Some("204"));
    let taken = receiver.taken();
    assert_eq!((taken.len(), taken[0].key.as_str(), taken[0].text("event")), (1, "I1-1", "opened"));
    assert_eq!(taken[0].authorization, format!("Bearer {SECRET}"));
}

#[test]
fn a_receiver_can_verify_what_is_signed() {
    let receiver = Receiver::start();
    let notifier = webhook(&format!("url: \"{}\"\nsign: \"${{secret:path}}\"\n", receiver.url));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(notifier.notify(&notification())).expect("it is taken");
    let taken = receiver.taken();
    // The example of the documentation, as it stands there.
    let page = include_str!("../../docs/channels/webhook.md");
    let example = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let script = format!(
        "{example}\nimport sys\nsecret, header, body = sys.argv[1:]\n\
         assert is_ours(secret, header, body.encode())\n\
         assert not is_ours(secret + 'x', header, body.encode())\n\
         assert not is_ours(secret, header, body.replace('P1', 'P2').encode())\n"
    );
    let body = taken[0].raw.as_str();
    let output = std::process::Command::new(crate::servers::python::interpreter())
        .args(["-c", &script, SECRET, &taken[0].signature, body])
        .output()
        .expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn presets_and_templates_have_the_shape_that_their_receivers_want() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let hostile = crate::notification::flooding(&notification());
    for (more, path, field) in [
        ("preset: discord", "/hook", "embeds"),
        ("preset: teams", "/hook", "attachments"),
        ("preset: telegram, with: { chat: \"-1\" }", "/hook", "chat_id"),
        ("preset: opsgenie", "/hook", "alias"),
        ("template: '{ \"ticket\": { \"text\": \"{{text}}\" } }'", "/hook", "ticket"),
    ] {
        let receiver = Receiver::start();
        let notifier = webhook(&format!("{{ url: \"{}hook\", {more} }}", receiver.url));
        for message in [notification(), hostile.clone()] {
            runtime.block_on(notifier.notify(&message)).expect("it is taken");
        }
        let taken = receiver.taken();
        assert_eq!(taken.len(), 2);
        assert!(taken.iter().all(|taken| taken.path == path && !taken.body[field].is_null()), "{more}: {taken:#?}");
    }
}

#[test]
fn opsgenie_closes_by_the_alias_what_it_opened() {
    let receiver = Receiver::start();
    let url = receiver.url.clone();
    let notifier = webhook(&format!(
        "{{ url: \"{url}v2/alerts\", preset: opsgenie, headers: {{ authorization: \"GenieKey ${{secret:path}}\" }} }}"
    ));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let over = crate::notification::resolved(&notification());
    // What is over before it was told is told in turn.
    let begun = Notification { event: Event::Opened, late: true, ..over.clone() };
    for message in [notification(), over.clone(), begun, over] {
        runtime.block_on(notifier.notify(&message)).expect("it is taken");
    }
    let close = "/v2/alerts/I1/close?identifierType=alias";
    let paths: Vec<_> = receiver.taken().into_iter().map(|taken| taken.path).collect();
    assert_eq!(paths, ["/v2/alerts", close, "/v2/alerts", close]);
}
