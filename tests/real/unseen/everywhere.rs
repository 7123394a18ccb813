//! Looks everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roundsman::notifiers::mac::hex_mac;
use serde_json::json;

use super::canaries::{Canary, Kept, all, said_again, shown, understood};
use super::house::House;
use super::parrot::Parrot;
use super::search::Searcher;
use crate::servers::certificates::Authority;
use crate::servers::receiver::{Receiver, Taken};
use crate::servers::roundsman::{Daemon, output};

/// What is searched, by where it was seen.
type Seen = BTreeMap<String, Vec<u8>>;

/// A request of our own to the daemon.
fn ask(at: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).expect("a connection");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .expect("it takes a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    answer
}

fn is_well(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 200")
}

/// Every file of the state, the log of the store among them, and what could not be published.
fn files(directory: &Path) -> Seen {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let all = entries.flat_map(|path| {
        if path.is_dir() {
            return files(&path);
        }
        Seen::from([(path.display().to_string(), std::fs::read(&path).expect("a file"))])
    });
    all.collect()
}

/// The command lines of a process and of all that it has begun, as long as it goes on.
fn command_lines(of: u32, goes_on: &AtomicBool) -> Vec<u8> {
    let mut lines = BTreeSet::new();
    while goes_on.load(Ordering::SeqCst) {
        for entry in std::fs::read_dir("/proc").expect("Linux").map_while(Result::ok) {
            let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
            let status = String::from_utf8_lossy(&read("status")).into_owned();
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<u32>().ok());
            if parent == Some(of) || entry.file_name().to_str() == Some(&of.to_string()) {
                lines.insert(read("cmdline"));
            }
        }
        sleep(Duration::from_millis(20));
    }
    lines.into_iter().collect::<Vec<_>>().concat()
}

/// Lets whoever looks end when this is dropped, whatever happens.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

fn said(output: Output) -> Vec<u8> {
    [output.stdout, b"\n".to_vec(), output.stderr].concat()
}

/// What those who may change things say to the daemon, right and wrong.
fn speak_to(daemon: &Daemon, value: &dyn Fn(&str) -> String, seen: &mut Seen) {
    let at = daemon.address;
    for form in said_again(&value("JOB")).iter().take(5) {
        let wrong: String = url::form_urlencoded::byte_serialize(form.as_bytes()).collect();
        seen.insert(format!("a wrong ping {form}"), ask(at, "GET", &format!("/ping/{wrong}x"), "", ""));
    }
    let text = said_again(&value("JOB")).join("\n");
    let failed = ask(at, "POST", &format!("/ping/{}/fail", value("JOB")), "", &text);
    assert!(is_well(&failed), "{}", String::from_utf8_lossy(&failed));
    seen.insert("a ping".to_owned(), failed);

    let page = value("PAGE");
    for wrong in said_again(&page).iter().map(|form| form.replace(['\r', '\n'], "")) {
        for header in [format!("Bearer {wrong}x"), format!("Basic {}", STANDARD.encode(format!("probe:{wrong}x")))] {
            let answer = ask(at, "GET", "/", &format!("Authorization: {header}\r\n"), "");
            assert!(!is_well(&answer));
            seen.insert(format!("with the wrong token {header}"), answer);
        }
    }
    let event = json!({ "event": { "id": "e-1", "event_type": "incident.priority_updated", "data": { "id": "P1" } } });
    let event = event.to_string();
    let digits: Vec<_> = value("DUTYHOOK").bytes().map(|byte| format!("{byte:02x}")).collect();
    for (name, signature) in
        [("signed", hex_mac(&value("DUTYHOOK"), event.as_bytes())), ("signed by nobody", digits.concat())]
    {
        let headers = format!("X-PagerDuty-Signature: v1={signature}\r\n");
        let answer = ask(at, "POST", "/api/v1/pagerduty", &headers, &event);
        assert_eq!(is_well(&answer), name == "signed", "{}", String::from_utf8_lossy(&answer));
        seen.insert(format!("what PagerDuty said, {name}"), answer);
    }
}

/// Every page and every answer for programs.
fn pages(daemon: &Daemon, page: &str, incidents: &[String], seen: &mut Seen) {
    let mut paths: Vec<_> = [
        "/",
        "/metrics",
        "/readyz",
        "/healthz",
        "/nothing",
        "/style.css",
        "/api/v1/incidents?resolved=1",
        "/api/v1/incidents",
        "/api/v1/deliveries",
        "/api/v1/silences",
        "/api/v1/pauses",
        "/api/v1/nothing",
    ]
    .map(str::to_owned)
    .into();
    for (n, incident) in incidents.iter().enumerate() {
        // All of them are told in the same way: a few show how.
        let papers = if n.is_multiple_of(16) { ["", "/war-room", "/post-mortem"].as_slice() } else { &[""] };
        for of in papers {
            paths.extend([format!("/incidents/{incident}{of}"), format!("/api/v1/incidents/{incident}{of}")]);
        }
    }
    let basic = STANDARD.encode(format!("anybody:{page}"));
    for (n, path) in paths.into_iter().enumerate() {
        let authorization = if n.is_multiple_of(2) { format!("Bearer {page}") } else { format!("Basic {basic}") };
        let answer = ask(daemon.address, "GET", &path, &format!("Authorization: {authorization}\r\n"), "");
        assert!(
            is_well(&answer) || path.ends_with("nothing") || path.ends_with("post-mortem"),
            "{path}: {}",
            String::from_utf8_lossy(&answer)
        );
        seen.insert(format!("GET {path}"), answer);
    }
}

/// What each command prints, on both streams, while the daemon runs.
fn commands(house: &House, daemon: &Daemon, incident: &str) -> Seen {
    let config = house.directory.path().to_str().expect("a path in UTF-8");
    let url = format!("http://{}", daemon.address);
    let channels = ["refused", "broken", "sent-away", "duty", "team", "bot", "mail", "topic"];
    let mut all: Vec<Vec<&str>> = vec![
        vec!["once", "--verbose"],
        vec!["once", "--verbose", "--format", "json"],
        vec!["once", "--format", "junit"],
        vec!["validate"],
        vec!["validate", "--format", "json"],
        vec!["incidents", "--url", &url],
        vec!["incidents", "--format", "json", "--url", &url],
        vec!["incidents", incident, "--url", &url],
        vec!["incidents", incident, "--format", "json", "--url", &url],
        vec!["incidents", incident, "--war-room", "--url", &url],
        vec!["incidents", incident, "--post-mortem", "--url", &url],
        vec!["deliveries", "--url", &url],
        vec!["deliveries", "--format", "json", "--url", &url],
        vec!["silence", "list", "--url", &url],
        vec!["pause", "list", "--url", &url],
        vec!["trigger", "planted", "--url", &url],
        vec!["trigger", "street", "--format", "json", "--url", &url],
        vec!["reload", "--url", &url],
        vec!["routes", "explain", "planted"],
        vec!["drill", "--probes", "planted", "street", "word"],
    ];
    all.extend(channels.map(|channel| vec!["notify", channel]));
    all.push(vec!["notify", "refused", "--format", "json"]);
    let variables = house.variables();
    let mut seen = Seen::new();
    for few in all.chunks(8) {
        let run = |arguments: &Vec<&str>| {
            let whole = [arguments.as_slice(), &["--config", config]].concat();
            (arguments.join(" "), said(output(&whole, &variables)))
        };
        seen.extend(scope(|threads| {
            let running: Vec<_> = few.iter().map(|arguments| threads.spawn(move || run(arguments))).collect();
            running.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        }));
    }
    seen
}

#[test]
fn no_secret_is_seen_anywhere_while_everything_says_it_again() {
    let authority = Authority::new("Parrots");
    let client = authority.issue(&["client"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let mut canaries = all();
    canaries.push(Canary::of_lines("KEY", Kept::File, &client.key));
    let spoilt = "-----BEGIN PRIVATE KEY-----\nZq7SPOILTh0Dk+T1wSPOILT5xVj=\n-----END PRIVATE KEY-----\n";
    canaries.push(Canary::of_lines("SPOILT", Kept::Env, spoilt));
    let planted = shown();
    let value = |name: &str| canaries.iter().find(|canary| canary.name == name).expect("a canary").value.clone();

    let parrot = Parrot::start(canaries.clone(), authority, client);
    let receiver = Receiver::start();
    let house = House::build(&canaries, &planted, &parrot, &receiver.url);
    let daemon = Daemon::run(house.directory.path(), &house.variables());
    let mut seen = Seen::new();
    let goes_on = AtomicBool::new(true);
    let told = scope(|threads| {
        let lines = threads.spawn(|| command_lines(daemon.id(), &goes_on));
        let ends = Ends(&goes_on);
        // Whoever has told something is ready.
        receiver.wait_until(|taken| !taken.is_empty());
        speak_to(&daemon, &value, &mut seen);
        let opened = |taken: &Taken| taken.text("event") == "opened";
        let told = receiver.wait_until(|taken| {
            let opened: BTreeSet<_> =
                taken.iter().filter(|taken| opened(taken)).map(|taken| taken.text("probe")).collect();
            // What the spoilt key is for is never spoken to.
            house.probes.iter().all(|probe| probe == "spoilt" || opened.contains(probe.as_str()))
        });
        let incidents: Vec<_> =
            told.iter().filter(|taken| opened(taken)).map(|taken| taken.text("incident").to_owned()).collect();
        seen.extend(commands(&house, &daemon, &incidents[0]));
        pages(&daemon, &value("PAGE"), &incidents, &mut seen);
        seen.extend(files(&house.directory.path().join("state")));
        drop(ends);
        seen.insert("command lines".to_owned(), lines.join().expect("no panic"));
        receiver.taken()
    });
    let messages: Vec<_> = told.iter().map(|taken| format!("{} {}", taken.path, taken.raw)).collect();
    seen.insert("messages".to_owned(), messages.join("\n").into_bytes());
    let (status, output) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{output}");
    seen.insert("what the daemon prints".to_owned(), output.into_bytes());
    for (name, bytes) in files(&house.directory.path().join("state")) {
        seen.insert(format!("{name} afterwards"), bytes);
    }

    was_used(&canaries, &parrot, &told, &house);
    nothing_is_found(&canaries, &planted, &seen);
}

/// Each was where it belongs, or nothing is proved.
fn was_used(canaries: &[Canary], parrot: &Parrot, told: &[Taken], house: &House) {
    let mut heard = understood(&parrot.heard());
    heard.extend(told.iter().map(|taken| taken.authorization.clone()));
    for file in ["seen", "heard"] {
        heard.push(std::fs::read_to_string(house.directory.path().join(file)).expect("the command ran"));
    }
    let unused = canaries.iter().filter(|canary| !canary.is_in(&heard)).map(|canary| canary.name);
    // These are not sent: with `SIGN`, `DUTYHOOK`, `KEY` and `AWSKEY` something is proved, `JOB` and `PAGE` are what we are
    // told, and `SPOILT` is of no use.
    let proofs = ["JOB", "SIGN", "DUTYHOOK", "PAGE", "AWSKEY", "KEY", "SPOILT"];
    assert_eq!(unused.collect::<Vec<_>>(), proofs, "these were sent nowhere");
    let sign = &canaries.iter().find(|canary| canary.name == "SIGN").expect("a canary").value;
    let (time, mac) = told[0].signature.split_once(",v1=").expect("a signature");
    let signed = format!("{}.{}", time.trim_start_matches("t="), told[0].raw);
    assert_eq!(mac, hex_mac(sign, signed.as_bytes()));
    let heard = heard.join("\n");
    assert!(heard.contains("a client has proved that it has its key"));
    assert!(heard.contains("AWS4-HMAC-SHA256 Credential=AKIDPARROT/"));
}

fn nothing_is_found(canaries: &[Canary], planted: &Canary, seen: &Seen) {
    let control = Searcher::new(std::slice::from_ref(planted));
    for place in ["messages", "GET /api/v1/incidents"] {
        assert!(control.find(&seen[place]).contains_key(&("SHOWN", "raw")), "{place} does not show what it should");
    }
    let shows = |place: &str| seen.iter().any(|(name, bytes)| name.contains(place) && !control.find(bytes).is_empty());
    for place in ["GET /incidents/", "roundsman.db"] {
        assert!(shows(place), "{place} does not show what it should");
    }
    let searcher = Searcher::new(canaries);
    let mut hits = Vec::new();
    for (place, bytes) in seen {
        for ((name, form), at) in searcher.find(bytes) {
            // The journal holds what a cleanup needs while a run goes on, and the log of the store until its next checkpoint.
            if name == "CAPTURED" && place.contains("roundsman.db") && !place.ends_with("afterwards") {
                continue;
            }
            let around = &bytes[at.saturating_sub(150)..bytes.len().min(at + 80)];
            hits.push(format!("{place}: {name} as {form}: …{}…", String::from_utf8_lossy(around)));
        }
    }
    let bytes: usize = seen.values().map(Vec::len).sum();
    println!("{} secrets, {} places, {bytes} bytes", canaries.len(), seen.len());
    let count = hits.len();
    hits.truncate(60);
    assert!(hits.is_empty(), "{count} findings:\n{}", hits.join("\n"));
}
