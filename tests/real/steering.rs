//! What people do to a running daemon, with the built binary: pause and resume, run a probe now, have the files read again; by
//! commands and by the API.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::commands::configuration;
use crate::operating::{ask, command};
use crate::servers::receiver::{Receiver, Taken, Target};
use crate::servers::roundsman::Daemon;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A configuration that probes a target so often, pages a receiver when it fails once, and has a token.
fn watching(target: &Target, receiver: &Receiver, every: &str) -> TempDir {
    configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN:-127.0.0.1:0}}\", token: \"${{secret:page}}\" }}\n\
                 secrets: {{ page: {{ file: page }} }}\n\
                 publish: {{ prometheus: {{}} }}\n\
                 channels: {{ pager: {{ webhook: \"{}\" }} }}\n\
                 routes: [{{ to: [pager] }}]\n",
                receiver.url
            ),
        ),
        ("page", TOKEN),
        ("probes/p.yaml", &format!("api: {{ http: \"{}\" }}\ncache: {{ http: \"{}\" }}\n", target.url, target.url)),
        (
            "schedules/s.yaml",
            &format!("often: {{ every: {every}, probes: [api, cache], alert: {{ after: 1, severity: P1 }} }}\n"),
        ),
    ])
}

fn change(daemon: &Daemon, method: &Method, path: &str, body: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    ask(daemon, method, &format!("/api/v1/{path}"), &headers, Some(body.to_string()))
}

/// The value of a metric with those labels; 0 where it is not there.
fn metric(daemon: &Daemon, series: &str) -> f64 {
    let headers = [("authorization", &*format!("Bearer {TOKEN}"))];
    let (_, page) = ask(daemon, &Method::GET, "/metrics", &headers, None);
    let page = page.as_str().expect("a page").to_owned();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("it did not come to this: {what}");
}

fn probes(taken: &[Taken], event: &str) -> Vec<String> {
    let of_event = taken.iter().filter(|taken| taken.text("event") == event);
    of_event.map(|taken| taken.text("probe").to_owned()).collect()
}

const PAUSED: &str = "roundsman_slots_total{probe=\"api\",schedule=\"often\",outcome=\"paused\"}";
const RAN: &str = "roundsman_slots_total{probe=\"api\",schedule=\"often\",outcome=\"ran\"}";

#[test]
fn a_pause_is_kept_by_a_daemon_that_is_killed_before_the_next_slot_and_pages_nobody_until_it_is_resumed() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = watching(&target, &receiver, "1s");
    let daemon = Daemon::run(directory.path(), &[]);
    let (code, said, complaint) = command(&directory, &daemon, &["pause", "ap*", "--reason", "a new disk"]);
    daemon.kill();
    assert!(code == 0 && said.starts_with("ap*  paused until somebody resumes, since 20"), "{said}{complaint}");
    assert!(said.contains("    ann: a new disk\n"), "{said}");
    let id = said.lines().nth(2).expect("three lines").trim().to_owned();

    let daemon = Daemon::run(directory.path(), &[]);
    let run = |arguments: &[&str]| command(&directory, &daemon, arguments);
    let (code, listed, _) = run(&["pause", "list"]);
    assert!(code == 0 && listed == said, "{listed}");
    target.set(false);
    receiver.wait_until(|taken| probes(taken, "opened") == ["cache"]);
    wait_until("paused slots are counted", || metric(&daemon, PAUSED) >= 3.0);
    assert_eq!((metric(&daemon, RAN), metric(&daemon, "roundsman_paused")), (0.0, 1.0), "nothing was run");

    // It is triggered, shown, and not judged.
    let (code, said, complaint) = run(&["trigger", "api"]);
    assert!(code == 1 && said.starts_with("✕ api failed in "), "{said}{complaint}");
    assert!(said.contains("for often: not judged: it is paused by ann: a new disk (run 01"), "{said}");
    let (code, _, complaint) = run(&["trigger", "api"]);
    assert!(code == 1 && complaint.contains("api was triggered less than 10 s ago"), "{complaint}");
    assert_eq!(probes(&receiver.taken(), "opened"), ["cache"]);

    let (code, _, complaint) = run(&["resume", "api"]);
    assert!(code == 2 && complaint.contains(&format!("api is paused with others, by `ap*`: `roundsman resume {id}`")));
    assert_eq!(run(&["pause", "api", "--reason", "mine"]).0, 0);
    let (code, said, _) = run(&["resume", "api"]);
    assert_eq!((code, said.as_str()), (0, "this pause is over, and api is still paused by `ap*`\n"));
    let (code, said, _) = run(&["resume", "ap*"]);
    assert_eq!((code, said.as_str()), (0, "ap* is run again\n"));
    daemon.wait_for("the pause of ap* is over: somebody resumed");
    receiver.wait_until(|taken| probes(taken, "opened") == ["cache", "api"]);
    assert_eq!(run(&["pause", "list"]).1, "nothing is paused\n");
    for (arguments, code, sentence) in [
        (&["pause", "*", "--reason", "x"][..], 2, "a pause says what is paused, and not everything"),
        (&["pause", "apl", "--reason", "x"], 2, "there is no probe `apl`: did you mean `api`?"),
        (&["pause", "often", "--reason", "x"], 2, "there is no probe `often`: for the schedule write `schedule:often`"),
        (&["pause", "a b", "--reason", "x"], 2, "what is paused is a probe, or `schedule:NAME`, with `*` for any text"),
        (&["pause", "api", "--for", "800d", "--reason", "x"], 2, "lasts for at most 366 d"),
        (&["pause", "api", "--reason", " "], 2, "a pause has an author and a reason"),
        (&["resume", "api"], 2, "there is no pause `api`"),
        (&["trigger", "apl"], 2, "there is no probe `apl`"),
        (&["trigger", "api", "--schedule", "seldom"], 2, "api is not on a schedule `seldom`: it is on often"),
    ] {
        let (exit, _, complaint) = run(arguments);
        assert!(exit == code && complaint.contains(sentence), "{arguments:?}: {exit} {complaint}");
    }
    daemon.kill();
}

#[test]
fn who_has_mended_it_triggers_the_run_that_resolves() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = watching(&target, &receiver, "1h");
    let daemon = Daemon::run(directory.path(), &[]);
    let run = |arguments: &[&str]| command(&directory, &daemon, arguments);
    target.set(false);
    let (code, said, complaint) = run(&["trigger", "api", "--schedule", "often", "--format", "json"]);
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(code, 1, "{said}{complaint}");
    assert_eq!((&told["runs"][0]["run"]["verdict"], &told["runs"][0]["unjudged"]), (&json!("failed"), &Value::Null));
    assert_eq!(told["runs"][0]["id"], told["runs"][0]["run"]["id"]);
    let id = told["runs"][0]["open"][0].as_str().expect("an incident").to_owned();
    let opened = receiver.wait_until(|taken| probes(taken, "opened") == ["api"]);
    assert_eq!(opened[0].text("incident"), id);

    // The incident is silenced by its id, which is a silence of its probe.
    let (code, said, complaint) = run(&["silence", &id, "1h"]);
    assert!(
        code == 0 && said.starts_with("api  until 20") && said.contains(&format!("ann: incident {id}")),
        "{said}{complaint}"
    );
    let silence = said.lines().nth(2).expect("three lines").trim().to_owned();
    assert_eq!(run(&["silence", "list"]).1, said);
    assert_eq!(run(&["silence", "end", &silence]).1, format!("{silence} is over\n"));

    target.set(true);
    let said = loop {
        let (code, said, complaint) = run(&["trigger", "api"]);
        if !complaint.contains("less than 10 s ago") {
            assert_eq!(code, 0, "{complaint}");
            break said;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    };
    assert!(
        said.starts_with("● api passed in ") && said.contains(&format!("for often: incident {id} is resolved")),
        "{said}"
    );
    receiver.wait_until(|taken| probes(taken, "resolved") == ["api"]);
    let (code, _, complaint) = run(&["silence", &id, "1h"]);
    assert!(code == 1 && complaint.contains(&format!("{id} is over")), "{complaint}");
    daemon.kill();
}

#[test]
fn the_files_are_read_again_and_a_mistake_changes_nothing() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = watching(&target, &receiver, "1s");
    let daemon = Daemon::run(directory.path(), &[]);
    let run = |arguments: &[&str]| command(&directory, &daemon, arguments);
    let (code, said, complaint) = run(&["reload"]);
    assert_eq!((code, said.as_str()), (0, "the configuration is in force: nothing changed\n"), "{complaint}");
    assert_eq!(run(&["pause", "cache", "--reason", "x"]).0, 0);

    let probes = directory.path().join("probes/p.yaml");
    fs::write(&probes, format!("api: {{ htpt: \"{}\" }}\n", target.url)).expect("a file");
    let (code, said, complaint) = run(&["reload"]);
    assert!(code == 2 && said.starts_with("probes/p.yaml:1:8: error: "), "{said}{complaint}");
    assert!(
        complaint.contains("error: the configuration was refused whole: what ran goes on unchanged"),
        "{complaint}"
    );
    let (status, told) = change(&daemon, &Method::POST, "reload", &json!({}));
    assert_eq!((status, &told["problems"][0]["line"], &told["problems"][0]["column"]), (422, &json!(1), &json!(8)));
    daemon.wait_for("the configuration was refused whole; what ran goes on unchanged");
    assert!(run(&["pause", "list"]).1.starts_with("cache  paused"));

    fs::write(&probes, format!("api: {{ http: \"{}\", labels: {{ team: shop }} }}\n", target.url)).expect("a file");
    let schedules = directory.path().join("schedules/s.yaml");
    fs::write(schedules, "often: { every: 1s, probes: [api], alert: { after: 1, severity: P1 } }\n").expect("a file");
    let (code, said, complaint) = run(&["reload", "--format", "json"]);
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(code, 0, "{complaint}");
    let changes: Vec<_> = told["changes"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(changes.iter().any(|change| change.contains("cache removed")), "{changes:?}");
    daemon.wait_for("the pause of cache is over: removed from the configuration");
    assert_eq!(run(&["pause", "list"]).1, "nothing is paused\n");

    // What is taken at the next start only is said to whoever asks.
    let root = directory.path().join("roundsman.yaml");
    let text = fs::read_to_string(&root).expect("a file");
    fs::write(&root, format!("store: \"sqlite:other.db\"\n{text}")).expect("a file");
    let (code, said, complaint) = run(&["reload"]);
    assert_eq!(code, 0, "{complaint}");
    assert!(said.starts_with("warning: another `store` is used from the next start on\n"), "{said}");
    daemon.wait_for("another `store` is used from the next start on");
    daemon.kill();
}

#[test]
fn programs_pause_trigger_and_reload_with_the_token_and_with_nothing_else() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = watching(&target, &receiver, "1h");
    let daemon = Daemon::run(directory.path(), &[]);
    let content = ("content-type", "application/json");
    for (method, path) in [
        (Method::POST, "/api/v1/pauses"),
        (Method::DELETE, "/api/v1/pauses/x"),
        (Method::POST, "/api/v1/probes/api/trigger"),
        (Method::POST, "/api/v1/reload"),
        (Method::GET, "/api/v1/pauses"),
    ] {
        let (status, _) = ask(&daemon, &method, path, &[content], Some("{}".to_owned()));
        assert_eq!(status, 401, "{method} {path}");
    }
    let pause = |more: &Value| {
        let mut body = json!({ "what": "api", "by": "bot", "reason": "a new disk" });
        body.as_object_mut().expect("a mapping").extend(more.as_object().expect("a mapping").clone());
        change(&daemon, &Method::POST, "pauses", &body)
    };
    for (more, status, sentence) in [
        (json!({ "what": "*" }), 422, "not everything"),
        (json!({ "what": "label:a=b" }), 422, "what is paused is a probe"),
        (json!({ "what": "nothing" }), 422, "there is no probe `nothing`"),
        (json!({ "for": "1h", "until": "2030-01-01T00:00:00Z" }), 422, "say either `until` when, or `for` how long"),
        (json!({ "until": "2020-01-01T00:00:00Z" }), 422, "a pause ends in the future"),
        (json!({ "for": "soon" }), 400, "is not a length of time"),
        (json!({ "why": "x" }), 400, "unknown field `why`"),
        (json!({ "by": "x".repeat(501) }), 422, "an author and a reason"),
    ] {
        let (code, told) = pause(&more);
        let said = told["detail"].as_str().expect("a sentence");
        assert!(code == status && said.contains(sentence), "{more}: {code} {said}");
    }
    let (status, told) = pause(&json!({ "for": "1h" }));
    assert_eq!((status, &told["recorded"], &told["pause"]["what"]), (200, &json!(true), &json!("api")), "{told}");
    let (status, again) = pause(&json!({}));
    assert_eq!(status, 409, "{again}");
    let id = told["pause"]["id"].as_str().expect("an id");
    let (_, known) = change(&daemon, &Method::GET, "pauses", &json!({}));
    assert_eq!(known["pauses"][0]["id"], id);
    let (status, ended) = change(&daemon, &Method::DELETE, &format!("pauses/{id}"), &json!({}));
    assert_eq!((status, &ended["pause"]["ended"]["because"]), (200, &json!("resumed")), "{ended}");
    assert_eq!(change(&daemon, &Method::DELETE, &format!("pauses/{id}"), &json!({})).0, 404);

    for (path, body, status) in [
        ("probes/nothing/trigger", json!({}), 404),
        ("probes/api/trigger", json!({ "schedule": "seldom" }), 422),
        ("probes/api/trigger", json!({ "when": "now" }), 400),
        ("probes/api/trigger", json!({}), 200),
        ("probes/api/trigger", json!({}), 429),
        ("probes/cache/trigger", json!({ "schedule": "often" }), 200),
        ("reload", json!({ "now": true }), 400),
        ("reload", json!({}), 200),
    ] {
        let (code, told) = change(&daemon, &Method::POST, path, &body);
        assert_eq!(code, status, "{path} {body}: {told}");
    }
    daemon.kill();
}
