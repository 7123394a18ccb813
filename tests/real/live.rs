//! Pages that stay current: the stream of events over real connections, its bounds, and what ends it; the script and the style;
//! and what everybody may see.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use roundsman::clock::SystemClock;
use roundsman::ports::Clock as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::commands::configuration;
use crate::servers::roundsman::Daemon;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

const ROOT: &str = "\
web:
  listen: \"${env:ROUNDSMAN_LISTEN:-127.0.0.1:0}\"
  token: \"${secret:page}\"
  public: { title: The shop, path: /status/shop, probes: [here] }
secrets: { page: { env: PAGE_TOKEN } }
";

const TOKEN: &str = "6d6e0f7bb5b0a1d5c6f8a1e2d3c4b5a697887766";

/// A daemon that watches a port on which nobody listens, once a second, and something that nobody may know of.
fn daemon() -> (TempDir, Daemon) {
    let directory = configuration(&[
        ("roundsman.yaml", ROOT),
        (
            "probes/p.yaml",
            "here: { tcp: \"127.0.0.1:9\", labels: { title: Check <out> } }\nhidden-thing: { tcp: \"127.0.0.1:9\" }\n",
        ),
        ("schedules/s.yaml", "often: { every: 1s, probes: [\"*\"] }\n"),
    ]);
    let daemon = Daemon::run(directory.path(), &[("PAGE_TOKEN", TOKEN)]);
    (directory, daemon)
}

fn ask(daemon: &Daemon, path: &str, headers: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(daemon.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
        .expect("it is heard");
    BufReader::new(stream)
}

fn whole(daemon: &Daemon, path: &str, headers: &str) -> String {
    let mut text = String::new();
    ask(daemon, path, headers).read_to_string(&mut text).expect("an answer");
    text
}

fn bearer() -> String {
    format!("Authorization: Bearer {TOKEN}\r\n")
}

/// The numbers of the next event; nothing when the stream has ended.
fn event(stream: &mut BufReader<TcpStream>) -> Option<Value> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).expect("a line in time") == 0 {
            return None;
        }
        // What a stream sends comes in chunks, whose lengths stand between.
        if let Some(numbers) = line.strip_prefix("data: ") {
            return Some(serde_json::from_str(numbers).expect("numbers"));
        }
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let clock = SystemClock::start();
    while !holds() {
        assert!(clock.monotonic().0 < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_open_page_hears_of_every_commit_until_the_daemon_stops() {
    let (_directory, daemon) = daemon();
    assert!(whole(&daemon, "/events", "").starts_with("HTTP/1.1 401"), "it is for those who read");
    let mut stream = ask(&daemon, "/events", &bearer());
    let first = event(&mut stream).expect("how things stand");
    let next = event(&mut stream).expect("a commit");
    assert!(next["runs"].as_u64() > first["runs"].as_u64(), "{first} {next}");
    // One that reads nothing holds nobody up.
    let _deaf = ask(&daemon, "/events", &bearer());
    let later = event(&mut stream).expect("another commit");
    assert!(later["runs"].as_u64() > next["runs"].as_u64(), "{next} {later}");
    let clock = SystemClock::start();
    let (status, said) = daemon.terminate();
    assert!(status.success(), "{said}");
    assert!(clock.monotonic().0 < Duration::from_secs(9), "streams do not keep it from stopping: {said}");
    while event(&mut stream).is_some() {}
}

#[test]
fn so_many_listen_and_the_page_is_there_for_the_next_all_the_same() {
    let (_directory, daemon) = daemon();
    let mut all: Vec<_> = (0..70).map(|_| ask(&daemon, "/events", &bearer())).collect();
    let begins = all.iter_mut().map(|stream| {
        let mut line = String::new();
        stream.read_line(&mut line).expect("an answer");
        line
    });
    let begins: Vec<_> = begins.collect();
    let refused = begins.iter().filter(|line| line.starts_with("HTTP/1.1 503")).count();
    assert_eq!(refused, 6, "{begins:?}");
    assert!(whole(&daemon, "/", &bearer()).starts_with("HTTP/1.1 200"));
    drop(all);
    until("the places are free again", || {
        let mut line = String::new();
        ask(&daemon, "/events", &bearer()).read_line(&mut line).expect("an answer");
        line.starts_with("HTTP/1.1 200")
    });
}

#[test]
fn the_script_and_the_style_are_known_by_their_content() {
    let (_directory, daemon) = daemon();
    for (path, media) in [("/live.js", "text/javascript; charset=utf-8"), ("/style.css", "text/css; charset=utf-8")] {
        let answer = whole(&daemon, path, "");
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains(&format!("content-type: {media}\r\n")),
            "{answer}"
        );
        assert!(answer.contains("cache-control: no-cache\r\n"), "{answer}");
        let tag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
        let known = whole(&daemon, path, &format!("If-None-Match: {tag}\r\n"));
        assert!(known.starts_with("HTTP/1.1 304") && known.ends_with("\r\n\r\n"), "{known}");
        assert!(whole(&daemon, path, "If-None-Match: \"other\"\r\n").starts_with("HTTP/1.1 200"));
    }
}

#[test]
fn everybody_sees_what_was_chosen_and_nothing_else() {
    let (_directory, daemon) = daemon();
    until("a run", || whole(&daemon, "/status/shop", "").contains("1 of 1 is failing."));
    let page = whole(&daemon, "/status/shop", "");
    assert!(page.contains("cache-control: public, max-age=30\r\n"), "{page}");
    assert!(page.contains("Check &lt;out&gt;") && page.contains("href=\"../style.css\""), "{page}");
    for secret in ["hidden-thing", "127.0.0.1:9", "refused", "connect.", "<a ", "here", "often"] {
        // The only link leads back to the page itself.
        let body = page.split("\r\n\r\n").nth(1).expect("a body").replace("<a href=\"?\">look again</a>", "");
        assert!(!body.contains(secret), "{secret}: {body}");
    }
    let badge = whole(&daemon, "/badge/here.svg", "");
    assert!(
        badge.contains("content-type: image/svg+xml\r\n") && badge.contains("<title>Check &lt;out&gt;: failed"),
        "{badge}"
    );
    let tag = badge.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
    assert!(!tag.is_empty());
    for path in ["/badge/hidden-thing.svg", "/badge/none.svg", "/badge/here", "/badge/here.png"] {
        assert!(whole(&daemon, path, "").starts_with("HTTP/1.1 404"), "{path}");
    }
    assert!(whole(&daemon, "/public", "").starts_with("HTTP/1.1 401"), "no other path is open");
}
