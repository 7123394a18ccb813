//! Kind `heartbeat` with the built binary: pings come over HTTP as jobs send them, outlive `kill -9`, and their absence is
//! the failure.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::commands::configuration;
use crate::servers::roundsman::{Daemon, output};

const TOKEN: &str = "a-token-of-a-test-0123456789";

/// A job that pings every so often, watched every second.
fn house(every: &str, grace: &str) -> TempDir {
    configuration(&[
        (
            "roundsman.yaml",
            "web: { listen: \"${env:ROUNDSMAN_LISTEN:-127.0.0.1:0}\", token: \"${secret:page}\" }\n\
             secrets: { page: { env: PAGE }, job: { env: JOB } }\n\
             publish: { prometheus: {} }\n",
        ),
        (
            "probes/p.yaml",
            &format!(
                "job: {{ heartbeat: {{ token: \"${{secret:job}}\", every: {every}, grace: {grace} }} }}\n\
                 slow: {{ heartbeat: {{ token: \"${{secret:job}}\", every: 1d }}, expect: last_took_s < 1 }}\n"
            ),
        ),
        (
            "schedules/s.yaml",
            "often: { every: 1s, probes: [job], alert: { after: 1 } }\nrarely: { every: 1h, probes: [slow] }\n",
        ),
    ])
}

const SECRETS: [(&str, &str); 2] = [("PAGE", "the-token-of-the-page"), ("JOB", TOKEN)];

async fn ask(at: SocketAddr, method: Method, path: &str, body: &str) -> Response {
    let client = Client::builder().no_proxy().build().unwrap();
    client.request(method, format!("http://{at}{path}")).body(body.to_owned()).send().await.unwrap()
}

async fn ping(daemon: &Daemon, path: &str) {
    let answer = ask(daemon.address, Method::POST, &format!("/ping/{TOKEN}{path}"), "42 orders\u{1b}[31m").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.text().await.unwrap(), "ok\n");
}

/// What the store knows of the job.
fn pulse(house: &TempDir) -> serde_json::Value {
    let store = Connection::open(house.path().join("state/roundsman.db")).unwrap();
    let (token, pulse): (String, String) =
        store.query_row("SELECT token, pulse FROM pulses", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(token.len() == 64 && !token.contains(TOKEN), "{token}");
    serde_json::from_str(&pulse).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_fails_and_a_ping_mends_it() {
    let house = house("5s", "1s");
    let daemon = Daemon::run(house.path(), &SECRETS);
    let opened = daemon.wait_for(" opened: job");
    assert!(opened.contains("no ping in the"), "a fresh deployment fails only when its time is over: {opened}");
    assert!(opened.contains("one was due every 5 s with 1 s of grace"), "{opened}");
    ping(&daemon, "").await;
    daemon.wait_for(" resolved: job after ");
    ping(&daemon, "/fail").await;
    let failed = daemon.wait_for_count(" opened: job", 2);
    assert!(failed.contains("that it failed: 42 orders␛[31m"), "{failed}");
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains(TOKEN), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_outlives_the_process_and_a_restart_triggers_nothing() {
    let house = house("1h", "10m");
    let daemon = Daemon::run(house.path(), &SECRETS);
    ping(&daemon, "/start").await;
    ping(&daemon, "").await;
    let before = pulse(&house);
    assert_eq!((&before["pings"], &before["text"]), (&2.into(), &"42 orders␛[31m".into()));
    assert!(before["took_ms"].as_f64().is_some(), "{before}");
    // Each ping that was answered for is there, whenever the plug is pulled.
    for count in 3..8 {
        ping(&daemon, "").await;
        assert_eq!(pulse(&house)["pings"], count);
    }
    daemon.kill();
    let daemon = Daemon::run(house.path(), &SECRETS);
    ping(&daemon, "/fail").await;
    daemon.kill();
    let daemon = Daemon::run(house.path(), &SECRETS);
    let opened = daemon.wait_for(" opened: job");
    assert!(opened.contains("ago that it failed"), "{opened}");
    let after = pulse(&house);
    assert_eq!((&after["pings"], &after["since"]), (&8.into(), &before["since"]));
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_admits_to_its_job_and_to_nothing_else() {
    let house = house("1h", "10m");
    let daemon = Daemon::run(house.path(), &SECRETS);
    let at = daemon.address;
    for method in [Method::GET, Method::HEAD, Method::POST] {
        assert_eq!(ask(at, method, &format!("/ping/{TOKEN}"), "").await.status(), StatusCode::OK);
    }
    let refused = ask(at, Method::DELETE, &format!("/ping/{TOKEN}"), "").await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refused.headers()["allow"], "GET, POST, HEAD");
    assert_eq!(ask(at, Method::POST, "/", "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    let guarded = Client::new().get(format!("http://{at}/")).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(guarded.status(), StatusCode::UNAUTHORIZED, "the token of a job opens no page");

    let mut answers = Vec::new();
    for path in ["/ping/x", "/ping/the-token-of-the-page", &format!("/ping/{TOKEN}x/fail"), "/ping/%F0%9F%98%80"] {
        let answer = ask(at, Method::GET, path, "").await;
        let mut headers: Vec<_> = answer.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        headers.retain(|(name, _)| name != "date");
        answers.push((answer.status(), headers, answer.text().await.unwrap()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!((answers[0].0, answers[0].2.as_str()), (StatusCode::NOT_FOUND, "no heartbeat has this token\n"));

    // Whoever guesses is slowed down, and the job is not.
    let mut statuses = Vec::new();
    for number in 0..200 {
        statuses.push(ask(at, Method::GET, &format!("/ping/guess-{number:030}"), "").await.status());
    }
    assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
    ping(&daemon, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_hears_no_pings_and_says_so() {
    let house = house("1h", "10m");
    let path = house.path().to_str().unwrap();
    let named = output(&["once", "job", "--config", path], &SECRETS);
    let text = String::from_utf8(named.stdout).unwrap();
    assert_eq!(named.status.code(), Some(3), "{text}");
    assert!(text.contains("local.setup: nobody listens for pings here"), "{text}");
    let all = output(&["once", "--config", path], &SECRETS);
    assert_eq!(all.status.code(), Some(0), "{}", String::from_utf8_lossy(&all.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_dribbles_costs_itself_only() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let house = house("1h", "10m");
    let daemon = Daemon::run(house.path(), &SECRETS);
    let mut slow = tokio::net::TcpStream::connect(daemon.address).await.unwrap();
    let head = format!("POST /ping/{TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab");
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut endless = tokio::net::TcpStream::connect(daemon.address).await.unwrap();
    let head =
        format!("POST /ping/{TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n{}", "y".repeat(4_096));
    endless.write_all(head.as_bytes()).await.unwrap();
    ping(&daemon, "").await;
    let mut answer = [0; 15];
    let read = tokio::time::timeout(Duration::from_secs(30), endless.read_exact(&mut answer)).await;
    read.expect("a long text is cut and answered").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    let read = tokio::time::timeout(Duration::from_secs(30), slow.read_exact(&mut answer)).await;
    read.expect("a slow text is given up").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408 Re");
    assert_eq!(pulse(&house)["pings"], 2);
}
