//! Mail to a real server over TLS, and to servers that do everything wrong.

use std::sync::Arc;

use futures::future::join_all;
use roundsman::ports::{Notification, Notifier, NotifyError};
use serde_json::json;

use crate::notification::{channel, flooding, opened, resolved};
use crate::servers::certificates::{Authority, self_signed};
use crate::servers::hostile::{Hostile, Move};
use crate::servers::smtp::Mail;

const PASSWORD: &str = "C4N4RY open-sesame";
const SECRETS: &[(&str, &str)] = &[("password", PASSWORD), ("wrong", "C4N4RY wrong")];

fn email(port: u16, ca: &str, more: &str) -> Arc<dyn Notifier> {
    let ca = json!(ca);
    let yaml = format!("server: localhost\nport: {port}\nca: {ca}\nfrom: Roundsman <roundsman@shop.example>\n{more}\n");
    channel("email", &yaml, SECRETS)
}

fn login(secret: &str, to: &str) -> String {
    format!("user: roundsman\npassword: \"${{secret:{secret}}}\"\nto: {to}")
}

fn notification() -> Notification {
    opened("I1", "2026-11-24T10:00:00Z".parse().expect("an instant"))
}

#[tokio::test]
async fn mail_arrives_whole_over_either_form_of_tls() {
    let authority = Authority::new("ours");
    let identity = authority.issue(&["localhost"], |_| {});
    for form in ["starttls", "tls"] {
        let server = Mail::start(form, &identity, "roundsman", PASSWORD);
        let more = login("password", "[oncall@shop.example, Ops <ops@shop.example>]") + &format!("\nsecurity: {form}");
        let notifier = email(server.port, &authority.pem, &more);
        let plain = Notification { plain: true, ..flooding(&notification()) };
        for message in [notification(), resolved(&notification()), flooding(&notification()), plain] {
            let receipt = notifier.notify(&message).await.expect("it is taken");
            assert_eq!(receipt.id.as_deref(), Some("2.0.0 queued as 42"));
        }
        let taken = server.taken();
        assert_eq!(taken.len(), 4);
        for mail in &taken {
            assert_eq!((&mail["user"], &mail["tls"]), (&json!("roundsman"), &json!(true)));
            assert_eq!(mail["to"], json!(["oncall@shop.example", "ops@shop.example"]));
        }
        let text = taken[0]["mail"].as_str().expect("a mail");
        for part in [
            "Subject: P1 opened: api-health is failing\r\n",
            "Message-ID: <I1-1@shop.example>\r\n",
            "References: <I1@shop.example>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: multipart/alternative;",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let flood = taken[2]["mail"].as_str().expect("a mail");
        assert!(flood.contains("and 40 more"), "a line with a dot alone did not end it");
    }
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let authority = Authority::new("ours");
    let server = Mail::start("starttls", &authority.issue(&["localhost"], |_| {}), "roundsman", PASSWORD);
    for (secret, to, expected) in [
        (
            "password",
            "nobody@shop.example",
            "plain: the mail was not taken: permanent error (550): 5.1.1 there is no such person",
        ),
        ("password", "later@shop.example", "again: the mail was not taken: transient error (451): 4.3.0 later"),
        ("password", "strict@shop.example", "plain: the mail was not taken: permanent error (554): 5.6.0 no such mail"),
        (
            "wrong",
            "oncall@shop.example",
            "a person: the mail was not taken: permanent error (535): 5.7.8 Authentication credentials invalid",
        ),
    ] {
        let result = email(server.port, &authority.pem, &login(secret, to)).notify(&notification()).await;
        assert_eq!(settled(result), expected);
    }
    assert_eq!(server.taken().len(), 0);
}

fn settled<T>(result: Result<T, NotifyError>) -> String {
    match result {
        Ok(_) => "taken".to_owned(),
        Err(NotifyError::Transient { message, .. }) => format!("again: {message}"),
        Err(NotifyError::Rejected(message)) => format!("plain: {message}"),
        Err(NotifyError::Unauthorized(message)) => format!("a person: {message}"),
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_is_not_known() {
    let authority = Authority::new("ours");
    for identity in [self_signed(&["localhost"]), authority.issue(&["other.example"], |_| {})] {
        for form in ["starttls", "tls"] {
            let server = Mail::start(form, &identity, "roundsman", PASSWORD);
            let more = login("password", "oncall@shop.example") + &format!("\nsecurity: {form}");
            let said = settled(email(server.port, &authority.pem, &more).notify(&notification()).await);
            assert!(said.starts_with("again: the mail was not taken: Connection error: "), "{said}");
            assert_eq!(server.taken().len(), 0);
        }
    }
}

#[tokio::test]
async fn each_fault_has_its_settlement() {
    let say = |text: &str| Move::Send(text.as_bytes().to_vec());
    let cases = [
        (vec![Move::Reset], "again"),
        (vec![Move::Hang], "again: no answer in time"),
        (vec![say("HTTP/1.1 400 Bad Request\r\n\r\n")], "again"),
        (vec![say("421 4.3.2 shutting down\r\n")], "again"),
        (vec![say("554 5.7.1 go away\r\n")], "plain"),
        (vec![say("220 x\r\n")], "again"),
        // Who offers no TLS hears neither the mail nor the password.
        (vec![say("220 x\r\n250 x\r\n"), Move::Hang], "a person"),
        (vec![say("220 x\r\n250-x\r\n250 STARTTLS\r\n454 4.7.0 not now\r\n"), Move::Hang], "again"),
        (vec![say("220 x\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n250 in the clear\r\n"), Move::Hang], "again"),
        (vec![Move::Endless(b"220-x\r\n".to_vec())], "again"),
    ];
    let outcomes = cases.map(|(script, expected)| async move {
        let peer = Hostile::playing(script.clone()).await;
        let notifier = email(peer.address.port(), "", &login("password", "oncall@shop.example"));
        let said = settled(notifier.notify(&notification()).await);
        assert!(!said.contains("C4N4RY"), "{said}");
        (!said.starts_with(expected)).then(|| format!("{script:?}: {said}, not {expected}"))
    });
    let wrong: Vec<_> = join_all(outcomes).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
