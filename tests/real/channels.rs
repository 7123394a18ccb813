//! Every channel over HTTP: against what receivers do wrong, and against receivers that keep to their own rules.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use roundsman::domain::incident::Event;
use roundsman::ports::{Notification, Notifier, NotifyError, Receipt};

use crate::commands::configuration;
use crate::notification::{channel, channel_with, flooding, opened, resolved};
use crate::servers::hostile::{Hostile, Move};
use crate::servers::receiver::{Receiver, Taken, Target};
use crate::servers::roundsman::Daemon;

const SECRETS: &[(&str, &str)] =
    &[("key", "0123456789abcdef0123456789abcdef"), ("token", "xoxb-C4N4RY-token"), ("hook", "T0/B0/C4N4RYhook")];

/// How a channel is written whose receiver is at a URL that ends with `/`.
type Written = fn(&str) -> String;

/// The channels over HTTP, with their kind.
const CHANNELS: [(&str, Written); 4] = [
    ("webhook", |at| format!("url: \"{at}${{secret:hook}}\"")),
    ("pagerduty", |at| format!("{{ routing_key: \"${{secret:key}}\", url: \"{at}v2/enqueue\" }}")),
    ("slack", |at| format!("webhook: \"{at}services/${{secret:hook}}\"")),
    ("slack", |at| format!("{{ token: \"${{secret:token}}\", channel: \"#ops\", api: \"{at}api\" }}")),
];

fn notification() -> Notification {
    opened("I1", "2026-11-24T10:00:00Z".parse().expect("an instant"))
}

/// What becomes of a message, in words.
fn settled(result: &Result<Receipt, NotifyError>) -> String {
    match result {
        Ok(_) => "taken".to_owned(),
        Err(NotifyError::Transient { retry_after: None, .. }) => "again".to_owned(),
        Err(NotifyError::Transient { retry_after: Some(rest), .. }) => format!("after {}s", rest.as_secs()),
        Err(NotifyError::Rejected(_)) => "plain".to_owned(),
        Err(NotifyError::Unauthorized(_)) => "a person".to_owned(),
    }
}

fn answer(status: &str, body: &str) -> Vec<Move> {
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    vec![Move::ReadHead, Move::Send(answer.into_bytes())]
}

/// What receivers do wrong, and what becomes of a message to `webhook`, `pagerduty`, and `slack` in its two forms.
fn faults() -> Vec<(&'static str, Vec<Move>, [&'static str; 4])> {
    let torn = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"ok\":".to_vec();
    let rejected = ["plain"; 4];
    let person = ["a person"; 4];
    let again = ["again"; 4];
    vec![
        ("bad request", answer("400 Bad Request", "invalid_payload"), rejected),
        ("too large", answer("413 Content Too Large", ""), rejected),
        ("unprocessable", answer("422 Unprocessable Content", ""), rejected),
        ("unauthorized", answer("401 Unauthorized", ""), person),
        ("forbidden", answer("403 Forbidden", "invalid_token"), person),
        ("gone", answer("410 Gone", "channel_is_archived"), person),
        ("no service", answer("404 Not Found", "no_service"), person),
        ("moved", answer("301 Moved Permanently\r\nlocation: /", ""), person),
        ("throttled", answer("429 Too Many Requests", ""), ["again", "after 120s", "again", "again"]),
        (
            "throttled for a while",
            answer("429 Too Many Requests\r\nretry-after: 30", ""),
            ["after 30s", "after 120s", "after 30s", "after 30s"],
        ),
        ("throttled for long", answer("429 Too Many Requests\r\nretry-after: 900", ""), ["after 900s"; 4]),
        ("broken", answer("500 Internal Server Error", ""), again),
        ("away", answer("503 Service Unavailable\r\nretry-after: 7", ""), ["after 7s"; 4]),
        ("a portal", answer("200 OK", "<html>Please log in</html>"), ["taken", "again", "again", "again"]),
        ("empty", answer("204 No Content", ""), ["taken", "again", "again", "again"]),
        (
            "of another",
            answer("202 Accepted", "{\"dedup_key\":\"I2\",\"ok\":true}"),
            ["taken", "again", "again", "again"],
        ),
        ("torn", vec![Move::ReadHead, Move::Send(torn)], ["taken", "again", "again", "again"]),
        ("not HTTP", vec![Move::ReadHead, Move::Send(b"220 ESMTP\r\n".to_vec())], again),
        ("reset", vec![Move::ReadHead, Move::Reset], again),
        ("reset at once", vec![Move::Reset], again),
        ("hanging", vec![Move::ReadHead, Move::Hang], again),
        (
            "slow",
            vec![Move::ReadHead, Move::Drip(b"HTTP/1.1 200 OK\r\n".repeat(100), Duration::from_millis(50))],
            again,
        ),
        (
            "endless",
            vec![Move::ReadHead, Move::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Move::Endless(vec![b'x'; 4096])],
            ["taken", "again", "again", "again"],
        ),
    ]
}

#[tokio::test]
async fn each_fault_has_its_settlement_on_each_channel() {
    let impatient =
        reqwest::Client::builder().timeout(Duration::from_secs(1)).redirect(reqwest::redirect::Policy::none());
    let impatient = impatient.no_proxy().build().expect("a client");
    let cases = faults().into_iter().flat_map(|(fault, script, expected)| {
        CHANNELS.into_iter().zip(expected).map(move |(channel, expected)| (fault, script.clone(), channel, expected))
    });
    let outcomes = cases.map(|(fault, script, (kind, written), expected)| {
        let http = impatient.clone();
        async move {
            let receiver = Hostile::playing(script).await;
            let notifier = channel_with(kind, &written(&receiver.url()), SECRETS, http);
            let result = notifier.notify(&notification()).await;
            let message = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
            assert!(SECRETS.iter().all(|(_, secret)| !message.contains(secret)), "{fault}: {message}");
            (settled(&result) != expected).then(|| format!("{fault} × {kind}: {result:?}, not {expected}"))
        }
    });
    let wrong: Vec<_> = join_all(outcomes).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_a_receiver_repeats_of_a_secret_is_in_no_error() {
    for ((kind, written), (_, secret)) in CHANNELS.into_iter().zip([SECRETS[2], SECRETS[0], SECRETS[2], SECRETS[1]]) {
        for status in ["400 Bad Request", "403 Forbidden", "500 Internal Server Error", "200 OK"] {
            let receiver = Hostile::playing(answer(status, &format!("\u{1b}[2J {secret} is not known"))).await;
            let result = channel(kind, &written(&receiver.url()), SECRETS).notify(&notification()).await;
            let Err(error) = result else { continue };
            let message = error.to_string();
            assert!(message.contains("• is not known") && !message.contains(['\u{1b}', '\n']), "{kind}: {message}");
            assert!(!message.contains(secret), "{kind}: {message}");
        }
    }
}

#[tokio::test]
async fn slack_says_with_200_what_it_refuses() {
    for (code, expected) in [
        ("ratelimited", "again"),
        ("internal_error", "again"),
        ("invalid_auth", "a person"),
        ("token_revoked", "a person"),
        ("not_in_channel", "a person"),
        ("missing_scope", "a person"),
        ("invalid_blocks", "plain"),
        ("msg_too_long", "plain"),
        ("what_nobody_knows", "plain"),
    ] {
        let receiver = Hostile::playing(answer("200 OK", &format!("{{\"ok\":false,\"error\":\"{code}\"}}"))).await;
        let bot = channel("slack", &(CHANNELS[3].1)(&receiver.url()), SECRETS);
        let result = bot.notify(&notification()).await;
        assert_eq!(settled(&result), expected, "{code}: {result:?}");
        assert!(result.unwrap_err().to_string().contains(code));
    }
}

/// Sends, one after the other.
fn send(notifier: &Arc<dyn Notifier>, messages: &[Notification]) -> Vec<Receipt> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut receipts: Vec<Receipt> = Vec::new();
        for message in messages {
            let result = match receipts.first() {
                Some(first) => notifier.follow(message, first).await,
                None => notifier.notify(message).await,
            };
            receipts.push(result.expect("it is taken"));
        }
        receipts
    })
}

/// A message as it is, as the least form, and with all that a target can write.
fn all_forms() -> Vec<Notification> {
    let opened = notification();
    let late = Notification { late: true, ..resolved(&opened) };
    let plain = Notification { plain: true, ..opened.clone() };
    let flooding = flooding(&opened);
    vec![Notification { plain: true, ..flooding.clone() }, flooding, opened, plain, late]
}

fn written(n: usize, receiver: &Receiver) -> Arc<dyn Notifier> {
    channel(CHANNELS[n].0, &(CHANNELS[n].1)(&receiver.url), SECRETS)
}

#[test]
fn every_form_keeps_to_the_rules_of_its_receiver() {
    for n in 1..CHANNELS.len() {
        let receiver = Receiver::start();
        send(&written(n, &receiver), &all_forms());
        let refused: Vec<_> = receiver.taken().into_iter().filter(|taken| !taken.status.is_success()).collect();
        assert!(refused.is_empty(), "{refused:#?}");
    }
}

#[test]
fn pagerduty_has_one_alert_for_each_incident_however_often_it_is_told() {
    let receiver = Receiver::start();
    let pagerduty = written(1, &receiver);
    let (opened, other) = (notification(), opened("I2", notification().at));
    let end = resolved(&other);
    let late = Notification { event: Event::Opened, late: true, ..end.clone() };
    let receipts = send(&pagerduty, &[opened.clone(), opened.clone(), resolved(&opened), resolved(&opened), late, end]);
    assert_eq!(receipts[0].id.as_deref(), Some("I1"));
    let events: Vec<_> = receiver
        .taken()
        .iter()
        .map(|taken| format!("{} {}", taken.text("event_action"), taken.text("dedup_key")))
        .collect();
    // What opened and closed before anybody could be told is an alert that is over, not silence.
    assert_eq!(events, ["trigger I1", "trigger I1", "resolve I1", "resolve I1", "trigger I2", "resolve I2"]);
    let key = receiver.taken()[0].text("routing_key").to_owned();
    assert_eq!(key, SECRETS[0].1);
}

#[test]
fn slack_keeps_one_message_for_each_incident_and_its_history_as_a_thread() {
    let receiver = Receiver::start();
    let bot = written(3, &receiver);
    let opened = notification();
    let receipts = send(&bot, &[opened.clone(), resolved(&opened)]);
    assert_eq!(receipts[0].id.as_deref(), Some("C024BE91L/1700000000.000000"));
    let asked = |taken: &Taken| {
        let [method, channel, ts, thread] =
            [&taken.path[5..], taken.text("channel"), taken.text("ts"), taken.text("thread_ts")];
        format!("{method} {channel} ts={ts} thread={thread}")
    };
    let taken = receiver.taken();
    assert_eq!(
        taken.iter().map(asked).collect::<Vec<_>>(),
        [
            "chat.postMessage #ops ts= thread=",
            "chat.update C024BE91L ts=1700000000.000000 thread=",
            "chat.postMessage C024BE91L ts= thread=1700000000.000000",
        ]
    );
    assert!(taken.iter().all(|taken| taken.authorization == "Bearer xoxb-C4N4RY-token"));
    assert!(taken[1].text("text").contains("resolved"), "the message says how things are now");
    assert_eq!(taken[1].text("parse"), "none", "a name in it is only a text");

    // What somebody removed, and what was sent while the channel was a webhook, is followed by a message of its own.
    for first in ["C024BE91L/1600000000.000000", "204"] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let first = Receipt { id: Some(first.to_owned()) };
        runtime.block_on(bot.follow(&resolved(&opened), &first)).expect("it is taken");
        assert_eq!(asked(receiver.taken().last().expect("a message")), "chat.postMessage #ops ts= thread=");
    }
}

/// What a peer was asked for.
fn first_line(head: &str) -> &str {
    head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1")
}

/// Whatever keeps a message from being changed or followed, the resolve is told.
#[tokio::test]
async fn slack_tells_anew_what_it_cannot_add_to_its_message() {
    let refuses = |code: &str| answer("200 OK", &format!("{{\"ok\":false,\"error\":\"{code}\"}}"));
    let takes = || answer("200 OK", "{\"ok\":true,\"channel\":\"C024BE91L\",\"ts\":\"1700000000.000001\"}");
    let [update, post] = ["POST /api/chat.update", "POST /api/chat.postMessage"];
    let opened = notification();
    let first = Receipt { id: Some("C024BE91L/1700000000.000000".to_owned()) };
    for (answers, asked, expected) in [
        (vec![refuses("message_not_found"), takes()], vec![update, post], "taken"),
        (vec![refuses("cant_update_message"), takes()], vec![update, post], "taken"),
        (vec![refuses("edit_window_closed"), takes()], vec![update, post], "taken"),
        (vec![refuses("what_nobody_knows"), takes()], vec![update, post], "taken"),
        (vec![takes(), refuses("restricted_action_thread_locked"), takes()], vec![update, post, post], "taken"),
        // What speaks of the message itself is said again of the new one.
        (vec![refuses("invalid_blocks"), refuses("invalid_blocks")], vec![update, post], "plain"),
        (vec![refuses("ratelimited")], vec![update], "again"),
        (vec![refuses("invalid_auth")], vec![update], "a person"),
    ] {
        let receiver = Hostile::start(answers).await;
        let bot = channel("slack", &(CHANNELS[3].1)(&receiver.url()), SECRETS);
        let result = bot.follow(&resolved(&opened), &first).await;
        assert_eq!(settled(&result), expected, "{asked:?}: {result:?}");
        assert_eq!(receiver.heads().iter().map(|head| first_line(head)).collect::<Vec<_>>(), asked);
    }
}

#[tokio::test]
async fn a_header_that_is_written_takes_the_place_of_the_presets() {
    let receiver = Hostile::playing(answer("200 OK", "")).await;
    let written = format!("{{ url: \"{}\", preset: ntfy, headers: {{ priority: max }} }}", receiver.url());
    channel("webhook", &written, SECRETS).notify(&notification()).await.expect("it is taken");
    let head = receiver.heads().remove(0).to_lowercase();
    let named = |name: &str| head.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>();
    assert_eq!(named("priority:"), ["priority: max"], "{head}");
    assert_eq!(named("tags:").len(), 1, "the others stay: {head}");
}

#[test]
fn slack_finds_its_message_again_after_a_restart() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let slack = (CHANNELS[3].1)(&receiver.url);
    let root = format!(
        "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN}}\" }}\n\
         secrets: {{ token: {{ env: TOKEN }} }}\n\
         channels: {{ team: {{ slack: {slack} }} }}\n\
         routes: [{{ to: [team] }}]\n"
    );
    let directory = configuration(&[
        ("roundsman.yaml", root.as_str()),
        ("probes/p.yaml", &format!("api: {{ http: \"{}\" }}\n", target.url)),
        ("schedules/s.yaml", "often: { every: 1s, probes: [api], alert: { after: 1, severity: P1 } }\n"),
    ]);
    let environment = [("TOKEN", SECRETS[1].1)];
    target.set(false);
    let daemon = Daemon::run(directory.path(), &environment);
    daemon.wait_for("delivered");
    // What was sent and not recorded would be sent again; an end in order records it.
    daemon.terminate();
    target.set(true);
    let daemon = Daemon::run(directory.path(), &environment);
    let taken = receiver.wait_until(|taken| taken.iter().any(|taken| taken.body.get("thread_ts").is_some()));
    drop(daemon);
    let updated: Vec<_> = taken.iter().filter(|taken| taken.path == "/api/chat.update").collect();
    assert!(!updated.is_empty() && updated.iter().all(|taken| taken.text("ts") == "1700000000.000000"), "{taken:#?}");
}
