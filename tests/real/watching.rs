//! Who watches the watcher: the pings that say that the daemon lives, and the watchdog that must not take a stopped process
//! for a stuck one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

use reqwest::Client;

use crate::commands::configuration;
use crate::servers::roundsman::{Daemon, command};

/// How long a ping may take that must come.
const PING_MAX: Duration = Duration::from_secs(60);

/// The part of the URL by which the receiver knows whose ping it is.
const SECRET: &str = "f3a1c9d2-4b77";

/// A receiver of pings, which gives these answers in turn and the last for ever. Says which paths were asked for.
fn receiver(answers: &'static [&'static str]) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/{SECRET}", listener.local_addr().expect("an address"));
    let (asked, paths) = mpsc::channel();
    std::thread::spawn(move || {
        let answers = answers.iter().chain(std::iter::repeat(answers.last().expect("an answer")));
        for (stream, answer) in listener.incoming().map_while(Result::ok).zip(answers) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let body = format!("you are {SECRET}");
            let head = format!("HTTP/1.1 {answer}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = (&stream).write_all(format!("{head}{body}").as_bytes());
            if asked.send(request).is_err() {
                return;
            }
        }
    });
    (url, paths)
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_say_that_we_live_and_nobody_learns_whom_they_tell() {
    let (url, paths) = receiver(&["404 Not Found", "500 Internal Server Error", "200 OK"]);
    let house = configuration(&[
        (
            "roundsman.yaml",
            "web: { listen: \"${env:ROUNDSMAN_LISTEN}\" }\n\
             secrets: { watcher: { env: WATCHER } }\n\
             heartbeat: { ping: \"${secret:watcher}\", every: 10s }\n\
             publish: { prometheus: {} }\n",
        ),
        // Nothing happens for an hour, and yet all goes on.
        ("probes/p.yaml", "shop: { http: http://127.0.0.1:9/ }\n"),
        ("schedules/s.yaml", "hourly: { every: 1h, probes: [shop] }\n"),
    ]);
    let daemon = Daemon::run(house.path(), &[("WATCHER", &url)]);
    let next = || paths.recv_timeout(PING_MAX).expect("a ping");
    assert_eq!(next(), format!("GET /{SECRET}/start HTTP/1.1"));
    assert_eq!(next(), format!("GET /{SECRET} HTTP/1.1"));
    daemon.wait_for("the heartbeat's ping is not taken: it answers 500 Internal Server Error");
    assert_eq!(next(), format!("GET /{SECRET} HTTP/1.1"));
    daemon.wait_for("the heartbeat's ping is taken again");

    let client = Client::builder().no_proxy().build().expect("a client");
    let page = client.get(format!("http://{}/metrics", daemon.address)).send().await.expect("the page");
    let page = page.text().await.expect("text");
    let value = |name: &str| page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    assert!(value("roundsman_heartbeats_total ") >= Some(1.0), "{page}");
    assert_eq!(value("roundsman_heartbeat_pings_total{outcome=\"failed\"} "), Some(1.0), "{page}");

    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains(SECRET), "{said}");
    assert!(!said.contains("answers 404"), "who does not know of beginnings is no trouble: {said}");
}

/// Longer than the watchdog has patience with a loop: nobody turned meanwhile, and nobody is stuck.
#[test]
fn a_stopped_process_is_not_taken_for_a_stuck_one() {
    let house = configuration(&[
        ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN}\" }\n"),
        ("probes/p.yaml", "shop: { http: http://127.0.0.1:9/ }\n"),
        ("schedules/s.yaml", "hourly: { every: 1h, probes: [shop] }\n"),
    ]);
    let daemon = Daemon::run(house.path(), &[]);
    daemon.signal("STOP");
    sleep(Duration::from_secs(40));
    daemon.signal("CONT");
    // Whoever ends the process does it with the first look or the second.
    sleep(Duration::from_secs(4));
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("has not turned"), "{said}");
}

/// Nobody reads the log, so the pipe is full after some hundred lines, and whoever logs waits for ever. That no more can be
/// said must not keep the process from ending.
#[test]
fn a_process_in_which_a_loop_is_stuck_ends_to_be_started_again() {
    let each: Vec<_> = (0..800).map(|n| format!("n{n}: x")).collect();
    let probes = format!("shop: {{ each: {{ {} }}, http: http://127.0.0.1:9/ }}\n", each.join(", "));
    let house = configuration(&[
        ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN}\" }\n"),
        ("probes/p.yaml", &probes),
        ("schedules/s.yaml", "often: { every: 2s, probes: [\"*\"], alert: { after: 1 } }\n"),
    ]);
    let config = house.path().to_str().expect("a path in UTF-8");
    let mut daemon = command(&["run", "--config", config], &[("ROUNDSMAN_LISTEN", "127.0.0.1:0")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // Thirty seconds of patience, and what the start and the machine take.
    let ended = (0..240).find_map(|_| {
        sleep(Duration::from_millis(500));
        daemon.try_wait().expect("it is our child")
    });
    let _ = daemon.kill();
    let _ = daemon.wait();
    assert_eq!(ended.and_then(|status| status.code()), Some(3), "{ended:?}");
}
