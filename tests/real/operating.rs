//! What people on call do, with the built binary: they see what is wrong, take it on, say something of it, want quiet, and have
//! sent again what a receiver did not take; by commands, by the API, and from PagerDuty.

use std::fs;
use std::path::Path;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use roundsman::net::client;
use roundsman::notifiers::mac::hex_mac;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::commands::configuration;
use crate::servers::receiver::{Receiver, Taken, Target};
use crate::servers::roundsman::{Daemon, output};

/// What lets change something.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const HOOK: &str = "C4N4RY-of-the-webhook";

/// A configuration that pages `channel` at once when the target fails.
fn watching(target: &str, channel: &str, token: &str) -> TempDir {
    configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN:-127.0.0.1:0}}\"{token} }}\n\
                 secrets: {{ page: {{ file: page }}, key: {{ file: key }}, hook: {{ file: hook }} }}\n\
                 channels: {{ pager: {channel} }}\n\
                 routes: [{{ to: [pager] }}]\n"
            ),
        ),
        ("page", TOKEN),
        ("key", TOKEN),
        ("hook", HOOK),
        ("probes/p.yaml", &format!("api: {{ http: \"{target}\" }}\n")),
        ("schedules/s.yaml", "often: { every: 1s, probes: [api], alert: { after: 1, severity: P1 } }\n"),
    ])
}

fn with_token(target: &str, channel: &str) -> TempDir {
    watching(target, channel, ", token: \"${secret:page}\"")
}

fn webhook(receiver: &Receiver) -> String {
    format!("{{ webhook: \"{}\" }}", receiver.url)
}

fn pagerduty(receiver: &Receiver) -> String {
    format!(
        "{{ pagerduty: {{ routing_key: \"${{secret:key}}\", url: \"{}v2/enqueue\", \
         webhook_secret: \"${{secret:hook}}\" }} }}",
        receiver.url
    )
}

/// A command to a daemon: its exit code, what it printed, what it complained of.
pub fn command(directory: &TempDir, daemon: &Daemon, arguments: &[&str]) -> (i32, String, String) {
    let (config, url) = (directory.path().to_str().expect("a path in UTF-8"), format!("http://{}", daemon.address));
    let arguments = [arguments, &["--config", config, "--url", &url]].concat();
    let Output { status, stdout, stderr } = output(&arguments, &[("USER", "ann")]);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

/// Asks the API: the status and the body.
pub fn ask(
    daemon: &Daemon,
    method: &Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<String>,
) -> (u16, Value) {
    let url = format!("http://{}{path}", daemon.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut request = client::shared().expect("a client").request(method.clone(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    })
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Changes something with the right token.
fn change(daemon: &Daemon, method: &Method, path: &str, body: &Value) -> (u16, Value) {
    let headers = [("authorization", &*bearer(TOKEN)), ("content-type", "application/json")];
    ask(daemon, method, &format!("/api/v1/{path}"), &headers, Some(body.to_string()))
}

fn read(daemon: &Daemon, path: &str) -> Value {
    ask(daemon, &Method::GET, path, &[("authorization", &bearer(TOKEN))], None).1
}

/// The incident that is open, once one is.
fn open_incident(receiver: &Receiver) -> String {
    let id = |taken: &Taken| {
        let id = taken.body["incident"].as_str().or_else(|| taken.body["dedup_key"].as_str());
        id.expect("an incident").to_owned()
    };
    id(receiver.wait_until(|taken| !taken.is_empty()).last().expect("a message"))
}

fn events(taken: &[Taken]) -> Vec<&str> {
    taken.iter().map(|taken| taken.text("event")).collect()
}

#[test]
fn an_incident_is_taken_on_by_command_and_everybody_hears_who_has_it() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = with_token(&target.url, &webhook(&receiver));
    let daemon = Daemon::run(directory.path(), &[]);
    let run = |arguments: &[&str]| command(&directory, &daemon, arguments);
    let (code, said, _) = run(&["incidents"]);
    assert_eq!((code, said.as_str()), (0, "no incident is open\n"));
    target.set(false);
    let id = open_incident(&receiver);

    // The receiver has the message before its answer is on record.
    let heard = || {
        let (code, said, _) = run(&["incidents"]);
        assert!(code == 1 && said.contains(&id) && said.contains("nobody has taken it on; "), "{said}");
        said.contains("; told pager\n")
    };
    while !heard() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let (code, said, complaint) = run(&["ack", "api", "--note", "looking"]);
    assert!(code == 0 && said.starts_with(&format!("ann has taken on {id}: api is failing")), "{said}{complaint}");
    let told = receiver.wait_until(|taken| events(taken).contains(&"acknowledged"));
    assert_eq!(events(&told), ["opened", "acknowledged"]);
    let page = read(&daemon, &format!("/incidents/{id}"));
    assert!(page.as_str().is_some_and(|page| page.contains("by ann: looking")), "{page}");
    let (code, _, complaint) = run(&["ack", &id[..20].to_lowercase(), "--by", "bob"]);
    assert!(code == 1 && complaint.starts_with("error: ann acknowledged it at 20"), "{complaint}");

    let (code, said, _) = run(&["note", "api", "rolled\nback"]);
    assert_eq!((code, said), (0, format!("noted in the time line of {id}\n")));
    let (code, said, _) = run(&["incidents", &id, "--format", "json"]);
    let story: Value = serde_json::from_str(&said).expect("JSON");
    let moments = story["moments"].as_array().expect("a time line");
    assert!(code == 1 && moments.iter().any(|moment| moment["text"] == "ann: rolled\nback"), "{story}");
    assert_eq!(story["incident"]["acknowledged"]["by"], "ann");
    let (_, said, _) = run(&["incidents", "api"]);
    assert!(
        said.contains("note          ann: rolled␊back") && said.contains("pager acknowledged: delivered"),
        "{said}"
    );

    target.set(true);
    receiver.wait_until(|taken| events(taken).contains(&"resolved"));
    let (code, said, _) = run(&["incidents", "--resolved"]);
    assert!(code == 0 && said.starts_with("no incident is open\nP1  api") && said.contains(&id), "{said}");
    for late in [&["ack", &id][..], &["note", &id, "late"]] {
        let (code, _, complaint) = run(late);
        assert!(code == 1 && complaint.contains("is over: it was resolved at"), "{complaint}");
    }
    let (code, _, complaint) = run(&["ack", "nothing"]);
    assert!(code == 2 && complaint.contains("there is no incident `nothing`"), "{complaint}");
    daemon.kill();
}

#[test]
fn an_incident_is_taken_on_by_a_form_of_its_page_and_by_no_form_of_another_page() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = with_token(&target.url, &webhook(&receiver));
    let daemon = Daemon::run(directory.path(), &[]);
    target.set(false);
    let id = open_incident(&receiver);
    let [own, foreign] = [format!("http://{}", daemon.address), "https://evil.example".to_owned()];
    let password = format!("Basic {}", STANDARD.encode(format!("ann:{TOKEN}")));
    let wrong = format!("Basic {}", STANDARD.encode("ann:wrong"));
    let path = format!("/incidents/{id}/acknowledge");
    let send = |path: &str, headers: &[(&str, &str)], body: &str| {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        ask(&daemon, &Method::POST, path, &[headers, &form].concat(), Some(body.to_owned()))
    };
    let form = ask(&daemon, &Method::GET, &path, &[("authorization", &password)], None).1;
    assert!(form.as_str().is_some_and(|form| form.contains("<form") && !form.contains("http-equiv")), "{form}");
    let taken = "by=ann&text=looking+at+it";
    for (headers, body, status) in [
        (&[("authorization", &*password)][..], taken, 403),
        (&[("authorization", &password), ("origin", &foreign)], taken, 403),
        (&[("authorization", &password), ("origin", "null")], taken, 403),
        (&[("authorization", &password), ("origin", &own), ("sec-fetch-site", "cross-site")], taken, 403),
        (&[("authorization", &password), ("origin", &own), ("sec-fetch-site", "none")], taken, 403),
        (&[("origin", &own)], taken, 401),
        (&[("authorization", &wrong), ("origin", &own)], taken, 401),
        (&[("authorization", &password), ("origin", &own)], "by=&text=", 422),
        (&[("authorization", &password), ("origin", &own)], "by=ann&more=x", 400),
        (&[("authorization", &password), ("origin", &own)], taken, 303),
        (&[("authorization", &password), ("sec-fetch-site", "same-origin")], "by=bob&text=", 409),
    ] {
        let (code, said) = send(&path, headers, body);
        assert_eq!(code, status, "{headers:?} {body}: {said}");
    }
    receiver.wait_until(|taken| events(taken).contains(&"acknowledged"));
    let note = format!("/incidents/{id}/note");
    let headers = [("authorization", &*password), ("origin", &own)];
    assert_eq!(send(&note, &headers, "by=ann&text=%3Cb%3Erolled%3C/b%3E%0Aback").0, 303);
    assert_eq!(send("/incidents/nothing/note", &headers, "by=ann&text=x").0, 404);
    let page = read(&daemon, &format!("/incidents/{id}"));
    let page = page.as_str().expect("a page");
    assert!(page.contains("by ann: looking at it") && page.contains("&lt;b&gt;rolled&lt;/b&gt;"), "{page}");
    assert!(!page.contains("/acknowledge\""), "who has it need not be asked for: {page}");
    daemon.kill();
}

#[test]
fn a_silence_keeps_a_page_back_is_recorded_and_can_be_ended() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = with_token(&target.url, &webhook(&receiver));
    let daemon = Daemon::run(directory.path(), &[]);
    let run = |arguments: &[&str]| command(&directory, &daemon, arguments);
    let (code, said, complaint) = run(&["silence", "add", "a*", "P1", "--for", "1h", "--reason", "a new disk"]);
    assert!(code == 0 && said.starts_with("a*, P1  until 20"), "{said}{complaint}");
    let (_, listed, _) = run(&["silence", "list"]);
    let id = listed.lines().nth(2).expect("three lines").trim().to_owned();
    assert!(listed.contains("    ann: a new disk\n"), "{listed}");

    target.set(false);
    daemon.wait_for("nobody is told of api: silenced by ann until");
    let (code, said, _) = run(&["incidents", "api"]);
    assert!(code == 1 && said.contains("quiet: silenced by ann until"), "{said}");
    assert!(said.contains("muted         silenced by ann until") && said.ends_with("told:\n  nobody\n"), "{said}");
    assert!(receiver.taken().is_empty());

    let (code, said, _) = run(&["silence", "end", &id]);
    assert_eq!((code, said), (0, format!("{id} is over\n")));
    assert_eq!(events(&receiver.wait_until(|taken| !taken.is_empty())), ["opened"]);
    let (_, listed, _) = run(&["silence", "list"]);
    assert_eq!(listed, "nothing is silenced\n");
    let (code, _, complaint) = run(&["silence", "add", "*", "--for", "1h", "--reason", "x"]);
    assert!(code == 2 && complaint.contains("a silence says what it is about, and not everything"), "{complaint}");
    let (code, _, complaint) = run(&["silence", "add", "apis", "--for", "1h", "--reason", "x"]);
    assert_eq!((code, &*complaint), (0, "no probe that runs fits it now: did you mean `api`?\n"));
    let (code, _, complaint) = run(&["silence", "add", "later", "--for", "90d", "--reason", "x"]);
    assert!(code == 2 && complaint.contains("a silence lasts for at most 30 d"), "{complaint}");
    daemon.kill();
}

#[test]
fn what_was_given_up_is_delivered_once_after_the_receiver_was_mended() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = with_token(&target.url, &pagerduty(&receiver));
    // PagerDuty refuses such a key, once whole and once plain.
    fs::write(directory.path().join("key"), "wrong").expect("a file");
    let daemon = Daemon::run(directory.path(), &[]);
    let run = |arguments: &[&str]| command(&directory, &daemon, arguments);
    let (code, said, _) = run(&["deliveries"]);
    assert_eq!((code, said.as_str()), (0, "every message was taken\n"));
    target.set(false);
    daemon.wait_for("given up: 400 Bad Request");
    let said = loop {
        let (code, said, _) = run(&["deliveries"]);
        if said.contains("    given up 20") {
            assert_eq!(code, 1);
            break said;
        }
    };
    let id = said.lines().nth(2).expect("three lines").trim().to_owned();
    assert!(said.starts_with("pager opened of ") && said.contains(" after 2 attempts: 400 Bad Request"), "{said}");

    fs::write(directory.path().join("key"), TOKEN).expect("a file");
    let (code, said, complaint) = run(&["deliveries", "--redrive", &id]);
    assert_eq!((code, said.as_str(), complaint.as_str()), (0, "1 message is due now\n", ""));
    let accepted = |taken: &[Taken]| taken.iter().filter(|taken| taken.status == 202).count();
    receiver.wait_until(|taken| accepted(taken) == 1);
    loop {
        let (code, said, _) = run(&["deliveries"]);
        if (code, said.as_str()) == (0, "every message was taken\n") {
            break;
        }
    }
    let (code, _, complaint) = run(&["deliveries", "--redrive", &id]);
    assert!(code == 1 && complaint.contains("was delivered"), "{complaint}");
    let (code, said, _) = run(&["deliveries", "--redrive-all"]);
    assert_eq!((code, said.as_str()), (0, "nothing waits that is not due already\n"));
    target.set(true);
    receiver.wait_until(|taken| accepted(taken) == 2);
    let actions: Vec<_> = receiver.taken().iter().map(|taken| taken.text("event_action").to_owned()).collect();
    assert_eq!(actions, ["trigger", "trigger", "trigger", "resolve"], "twice refused, once taken, and the end");
    daemon.kill();
}

/// What PagerDuty says, signed with a secret.
fn hear(daemon: &Daemon, signature: Option<&str>, body: &Value) -> (u16, String) {
    let body = body.to_string();
    let signature = signature.map(|secret| format!("v1={},v1={}", "0".repeat(64), hex_mac(secret, body.as_bytes())));
    let signed = signature.as_deref().map(|signature| ("x-pagerduty-signature", signature));
    let headers: Vec<_> = [("content-type", "application/json")].into_iter().chain(signed).collect();
    let (status, said) = ask(daemon, &Method::POST, "/api/v1/pagerduty", &headers, Some(body));
    let outcome = said["outcome"].as_str().or_else(|| said["detail"].as_str()).expect("a sentence");
    (status, outcome.to_owned())
}

fn pagerduty_event(id: &str, of: &str, data: &Value) -> Value {
    let agent = json!({ "id": "PLH1HKV", "summary": "Ann", "type": "user_reference" });
    json!({ "event": { "id": id, "event_type": of, "resource_type": "incident", "agent": agent, "data": data } })
}

#[test]
fn what_people_do_in_pagerduty_is_done_here_once() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = with_token(&target.url, &pagerduty(&receiver));
    let daemon = Daemon::run(directory.path(), &[]);
    target.set(false);
    let id = open_incident(&receiver);
    let incident = json!({ "id": "PGR0VU2", "type": "incident", "incident_key": id });
    let acknowledged = pagerduty_event("e-1", "incident.acknowledged", &incident);
    for signature in [None, Some("another"), Some(TOKEN)] {
        let (status, said) = hear(&daemon, signature, &acknowledged);
        assert_eq!((status, &*said), (401, "it is not signed with the `webhook_secret` of a channel"));
    }
    assert_eq!(read(&daemon, "/api/v1/incidents")["open"][0]["acknowledged"], Value::Null);
    assert_eq!(hear(&daemon, Some(HOOK), &acknowledged), (200, "taken".to_owned()));
    let open = read(&daemon, "/api/v1/incidents")["open"][0].clone();
    assert_eq!((&open["id"], &open["acknowledged"]["by"]), (&json!(id), &json!("Ann (PagerDuty)")));
    let actions = |taken: &[Taken]| -> Vec<_> {
        taken.iter().map(|taken| taken.text("event_action").to_owned()).filter(|action| action != "resolve").collect()
    };
    receiver.wait_until(|taken| actions(taken) == ["trigger", "acknowledge"]);

    // PagerDuty may say again what it said, and say that our own acknowledgement came.
    assert_eq!(hear(&daemon, Some(HOOK), &acknowledged), (200, "ignored: it was said before".to_owned()));
    let (status, said) = hear(&daemon, Some(HOOK), &pagerduty_event("e-2", "incident.acknowledged", &incident));
    assert!(status == 200 && said.starts_with("ignored: "), "{said}");

    let note =
        json!({ "id": "P2", "type": "incident_note", "content": "rolled back", "incident": { "id": "PGR0VU2" } });
    let annotated = pagerduty_event("e-3", "incident.annotated", &note);
    let notes = |daemon: &Daemon| {
        let story = read(daemon, &format!("/api/v1/incidents/{id}"));
        let moments = story["moments"].as_array().expect("a time line").clone();
        moments.iter().filter(|moment| moment["text"] == "Ann (PagerDuty): rolled back").count()
    };
    assert_eq!(hear(&daemon, Some(HOOK), &annotated), (200, "taken".to_owned()));
    assert_eq!(notes(&daemon), 1);
    daemon.kill();
    let daemon = Daemon::run(directory.path(), &[]);
    assert_eq!(hear(&daemon, Some(HOOK), &annotated), (200, "ignored: it was said before".to_owned()));
    assert_eq!(notes(&daemon), 1, "not after a restart either");

    let stranger = json!({ "id": "PXXXXXX", "type": "incident", "incident_key": "of-somebody-else" });
    for (event, data) in [
        ("incident.acknowledged", &stranger),
        (
            "incident.annotated",
            &json!({
                "content": "x", "incident": { "id": "PYYYYYY" }
            }),
        ),
    ] {
        let (status, said) = hear(&daemon, Some(HOOK), &pagerduty_event("e-4", event, data));
        assert!(status == 200 && said.starts_with("ignored: "), "{said}");
    }
    target.set(true);
    receiver.wait_until(|taken| taken.iter().any(|taken| taken.text("event_action") == "resolve"));
    assert_eq!(actions(&receiver.taken()), ["trigger", "acknowledge"], "no circle");
    daemon.kill();
}

/// What may be asked of the API, and what comes of it with the right token where nothing is as it is asked for.
const ROUTES: [(&str, &str, u16); 11] = [
    ("GET", "incidents", 200),
    ("GET", "incidents/01KNOTHING", 404),
    ("POST", "incidents/01KNOTHING/acknowledge", 404),
    ("POST", "incidents/01KNOTHING/notes", 404),
    ("GET", "silences", 200),
    ("POST", "silences", 422),
    ("DELETE", "silences/01KNOTHING", 404),
    ("GET", "deliveries", 200),
    ("POST", "deliveries/01KNOTHING/redrive", 404),
    ("POST", "deliveries/redrive", 200),
    ("GET", "nothing", 404),
];

/// A body that the route reads.
fn body_for(path: &str) -> String {
    let body = match path.rsplit('/').next() {
        Some("acknowledge") => json!({ "by": "ann" }),
        Some("notes") => json!({ "by": "ann", "text": "x" }),
        Some("silences") => json!({ "matchers": {}, "by": "ann", "reason": "x", "for": "1h" }),
        _ => json!({}),
    };
    body.to_string()
}

#[test]
fn each_route_wants_the_token_and_whoever_changes_something_wants_it_as_a_bearer() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = with_token(&target.url, &webhook(&receiver));
    let daemon = Daemon::run(directory.path(), &[]);
    // `anybody:` and the token, as a browser sends it.
    let basic = "Basic YW55Ym9keTowMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==";
    let (right, wrong) = (bearer(TOKEN), bearer("0123456789abcdef0123456789abcdeg"));
    for (method, path, expected) in ROUTES {
        let method: Method = method.parse().expect("a method");
        let changes = method != Method::GET;
        for (credential, status) in [
            (None, 401),
            (Some(&*wrong), 401),
            (Some(basic), if changes { 401 } else { expected }),
            (Some(&*right), expected),
        ] {
            let mut headers = vec![("content-type", "application/json")];
            headers.extend(credential.map(|credential| ("authorization", credential)));
            let path = format!("/api/v1/{path}");
            let body = changes.then(|| body_for(&path));
            let (answered, said) = ask(&daemon, &method, &path, &headers, body);
            assert_eq!(answered, status, "{method} {path} with {credential:?}: {said}");
            assert_eq!(said["detail"].is_string(), status >= 400, "{said}");
        }
    }
    let with = |headers: &[(&str, &str)], body: &str| {
        let headers = [&[("authorization", &*right)], headers].concat();
        ask(&daemon, &Method::POST, "/api/v1/silences", &headers, Some(body.to_owned())).0
    };
    let json = ("content-type", "application/json");
    let silence = |extra: &str| {
        format!("{{\"matchers\":{{\"probes\":[\"x\"]}},\"by\":\"ann\",\"reason\":\"x\",\"for\":\"1h\"{extra}}}")
    };
    assert_eq!(with(&[("content-type", "text/plain")], &silence("")), 415);
    assert_eq!(with(&[("content-type", "application/x-www-form-urlencoded")], &silence("")), 415);
    assert_eq!(with(&[json, ("origin", "https://evil.example")], &silence("")), 403);
    assert_eq!(with(&[json, ("sec-fetch-site", "cross-site")], &silence("")), 403);
    assert_eq!(with(&[json], &silence(",\"more\":1")), 400);
    assert_eq!(with(&[json], "{"), 400);
    assert_eq!(with(&[json], &silence(&" ".repeat(70_000))), 413);
    let put = ask(&daemon, &Method::PUT, "/api/v1/silences", &[("authorization", &right)], None);
    assert_eq!(put.0, 405);
    assert_eq!(read(&daemon, "/api/v1/silences"), json!({ "silences": [] }), "none of them began one");
    assert_eq!(with(&[json, ("origin", "http://localhost")], &silence("")), 200);
    daemon.kill();
}

#[test]
fn a_silence_that_would_hide_everything_or_never_end_is_refused() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = with_token(&target.url, &webhook(&receiver));
    let daemon = Daemon::run(directory.path(), &[]);
    let begin = |matchers: Value, end: Value| {
        let mut body = json!({ "matchers": matchers, "by": "ann", "reason": "x" });
        body.as_object_mut().expect("an object").extend(end.as_object().expect("an object").clone());
        change(&daemon, &Method::POST, "silences", &body)
    };
    let hour = || json!({ "for": "1h" });
    for (matchers, end, why) in [
        (json!({}), hour(), "not everything"),
        (json!({ "probes": ["*"] }), hour(), "not everything"),
        (json!({ "probes": ["api", "**"], "severities": ["P1", "P2", "P3", "P4"] }), hour(), "not everything"),
        (json!({ "probes": ["api"] }), json!({ "until": "2020-01-01T00:00:00Z" }), "not in the past"),
        (json!({ "probes": ["api"] }), json!({ "for": "0s" }), "ends after it begins"),
        (json!({ "probes": ["api"] }), json!({ "for": "31d" }), "at most 30 d"),
        (json!({ "probes": ["api"] }), json!({}), "either `until` when, or `for` how long"),
        (json!({ "probes": ["api"] }), json!({ "for": "1h", "until": "2099-01-01T00:00:00Z" }), "either `until`"),
    ] {
        let (status, said) = begin(matchers, end);
        assert!(status == 422 && said["detail"].as_str().is_some_and(|said| said.contains(why)), "{status} {said}");
    }
    let (status, said) = begin(json!({ "probes": ["api"], "severities": ["P1"] }), hour());
    assert_eq!((status, &said["recorded"]), (200, &json!(true)), "{said}");
    daemon.kill();
}

#[test]
fn without_a_token_everybody_here_reads_and_nobody_changes_anything() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = watching(&target.url, &webhook(&receiver), "");
    let daemon = Daemon::run(directory.path(), &[]);
    target.set(false);
    let id = open_incident(&receiver);
    let (code, said, _) = command(&directory, &daemon, &["incidents"]);
    assert!(code == 1 && said.contains(&id), "{said}");
    let (code, _, complaint) = command(&directory, &daemon, &["ack", "api"]);
    let sentence = "none is set: write `web: { token: \"${secret:name}\" }`";
    assert!(code == 2 && complaint.contains(sentence), "{complaint}");
    for credential in [None, Some(("authorization", "Bearer ")), Some(("authorization", "Bearer x"))] {
        let headers: Vec<_> = [("content-type", "application/json")].into_iter().chain(credential).collect();
        let path = format!("/api/v1/incidents/{id}/acknowledge");
        let (status, said) = ask(&daemon, &Method::POST, &path, &headers, Some(body_for(&path)));
        assert!(status == 403 && said["detail"].as_str().is_some_and(|said| said.contains(sentence)), "{said}");
    }
    let (status, _) = ask(&daemon, &Method::GET, "/api/v1/incidents", &[("host", "evil.example")], None);
    assert_eq!(status, 421);
    let (status, said) = hear(&daemon, Some(HOOK), &json!({}));
    assert!(status == 401 && said.starts_with("no channel has a `webhook_secret`"), "{said}");
    daemon.kill();
}

#[test]
fn what_was_answered_for_is_there_after_the_plug_was_pulled() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = with_token(&target.url, &webhook(&receiver));
    target.set(false);
    let mut daemon = Daemon::run(directory.path(), &[]);
    let id = open_incident(&receiver);
    for n in 0..5 {
        let (status, _) = match n {
            0 => change(&daemon, &Method::POST, &format!("incidents/{id}/acknowledge"), &json!({ "by": "ann" })),
            n => {
                let note = json!({ "by": "ann", "text": format!("note {n}") });
                change(&daemon, &Method::POST, &format!("incidents/{id}/notes"), &note)
            }
        };
        daemon.kill();
        assert_eq!(status, 200);
        daemon = Daemon::run(directory.path(), &[]);
        let story = read(&daemon, &format!("/api/v1/incidents/{id}"));
        assert_eq!(story["incident"]["acknowledged"]["by"], "ann");
        let moments = story["moments"].as_array().expect("a time line");
        let notes = moments.iter().filter(|moment| moment["what"] == "note").count();
        assert_eq!(notes, n, "{story}");
    }
    let told = receiver.wait_until(|taken| events(taken).contains(&"acknowledged"));
    assert_eq!(told.iter().filter(|message| message.text("event") == "opened").count(), 1);
    daemon.kill();
}

#[test]
fn a_daemon_that_is_not_there_is_said_and_so_is_another_program() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = with_token(&target.url, &webhook(&receiver));
    let config = directory.path().to_str().expect("a path in UTF-8");
    let run = |directory: &str, url: &[&str]| {
        let Output { status, stderr, .. } = output(&[&["incidents", "--config", directory], url].concat(), &[]);
        (status.code(), String::from_utf8(stderr).expect("text"))
    };
    let (code, said) = run(config, &["--url", "http://127.0.0.1:9"]);
    assert!(code == Some(3) && said.starts_with("error: no daemon answers at http://127.0.0.1:9: "), "{said}");
    let (code, said) = run(config, &["--url", &target.url]);
    assert!(code == Some(3) && said.contains("is not a daemon of this version"), "{said}");
    let (code, said) = run(config, &["--url", "localhost"]);
    assert!(code == Some(2) && said.contains("`localhost` is not a URL"), "{said}");
    let (code, said) = run(config, &[]);
    assert!(code == Some(2) && said.contains("name it with `--url`, or in ROUNDSMAN_URL"), "{said}");
    let nowhere = Path::new(config).join("nowhere");
    let (code, said) = run(nowhere.to_str().expect("a path in UTF-8"), &["--url", "http://127.0.0.1:9"]);
    assert!(code == Some(3) && said.contains("no daemon answers"), "what is named needs no files: {said}");
}
