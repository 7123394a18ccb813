//! `roundsman drill`: a message of the daemon's own goes the way of every alert to a real topic and comes back out of a real
//! queue; with each hop broken in turn, that hop is named. (That a run cannot be made or judged is for the engine's own tests.)

use std::time::Duration;

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::commands::configuration;
use crate::operating::command;
use crate::probing::now;
use crate::servers::moto::{ACCOUNT, Moto, REGION};
use crate::servers::receiver::Receiver;
use crate::servers::roundsman::Daemon;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A daemon with these channels. Its one probe is well, and everything is quiet, grouped and escalated that can be.
fn with(channels: &str) -> TempDir {
    configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN:-127.0.0.1:0}}\", token: \"${{secret:page}}\" }}\n\
                 secrets: {{ page: {{ file: page }}, reading: {{ file: reading }} }}\n\
                 publish: {{ prometheus: {{}} }}\n\
                 channels: {channels}\n\
                 group: {{ by: [], wait: 5m, limit: 1, interval: 1h }}\n\
                 severities: {{ P4: {{ hold: \"mon-fri 03:00-03:01\", acknowledge: 1m, escalate: [other] }} }}\n\
                 maintenance: {{ always: {{ from: 2020-01-01 00:00, until: 2099-01-01 00:00 }} }}\n\
                 routes: [{{ to: [other] }}, {{ to: [ops] }}]\n"
            ),
        ),
        ("page", TOKEN),
        ("reading", "y_NbAkKc66ryYTWUXYEu"),
        ("probes/p.yaml", "me: { command: { run: [\"true\"] } }\n"),
        ("schedules/s.yaml", "rarely: { every: 1h, probes: [me], alert: { after: 1, severity: P4 } }\n"),
    ])
}

fn sns(topic: &str, echo: &str) -> String {
    format!(
        "{{ ops: {{ sns: {{ topic: \"{topic}\", echo: \"{echo}\" }} }}, other: {{ webhook: \"http://127.0.0.1:9/\" }} }}"
    )
}

fn environment(moto: &Moto) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", moto.url.clone()),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "hunter2".to_owned()),
        ("AWS_REGION", REGION.to_owned()),
    ]
}

fn start(directory: &TempDir, moto: &Moto) -> Daemon {
    let environment = environment(moto);
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Daemon::run(directory.path(), &environment)
}

/// One more queue behind a topic, which keeps what a drill takes out of its own.
async fn inbox(moto: &Moto, topic: &str) -> String {
    let made = moto.json("sqs", "AmazonSQS.CreateQueue", json!({ "QueueName": "inbox" })).await;
    let queue = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:inbox");
    let subscribe = [("Action", "Subscribe"), ("TopicArn", topic), ("Protocol", "sqs"), ("Endpoint", &queue)];
    moto.query("sns", &subscribe).await;
    made["QueueUrl"].as_str().expect("a URL").to_owned()
}

/// What SNS put into the messages of a queue.
async fn told(moto: &Moto, queue: &str) -> Vec<Value> {
    let messages = moto.messages(queue).await;
    messages.iter().map(|message| serde_json::from_str(message["Body"].as_str().unwrap()).unwrap()).collect()
}

/// Drills `ops`: the exit code, and where it broke and why.
fn drill(directory: &TempDir, daemon: &Daemon) -> (i32, Option<(String, String, String)>, Value) {
    let (code, said, complaint) = command(directory, daemon, &["drill", "--channel", "ops", "--format", "json"]);
    let reports: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{complaint}"));
    let hops = reports[0]["hops"].as_array().expect("hops").clone();
    let text = |hop: &Value, field: &str| hop[field].as_str().expect("text").to_owned();
    let broken = hops.iter().find(|hop| hop["outcome"] == "broken");
    let broken = broken.map(|hop| (text(hop, "event"), text(hop, "part"), text(hop, "said")));
    (code, broken, reports[0].clone())
}

/// Asks the API from within a test that is not blocked.
fn ask(daemon: &Daemon, method: &Method, path: &str, headers: &[(&str, &str)], body: Option<String>) -> (u16, Value) {
    tokio::task::block_in_place(|| crate::operating::ask(daemon, method, path, headers, body))
}

/// A text of the daemon's, without the times that differ.
fn without_times(said: &str) -> String {
    let times = regex::Regex::new(r" +[0-9]+\.[0-9] (ms|s)\b").expect("a pattern");
    let places = regex::Regex::new(r"127\.0\.0\.1:[0-9]+|\([0-9a-f-]{36}\)").expect("a pattern");
    places.replace_all(&times.replace_all(said, " TIME"), "PLACE").into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hop_to_the_queue_is_told_with_its_time() {
    let moto = Moto::start();
    let (topic, echo) = moto.topic_and_queue("ops").await;
    let inbox = inbox(&moto, &topic).await;
    let directory = with(&sns(&topic, &echo));
    let daemon = start(&directory, &moto);
    let token = format!("Bearer {TOKEN}");
    let (_, metrics) = ask(&daemon, &Method::GET, "/metrics", &[("authorization", &token)], None);
    let metrics = metrics.as_str().unwrap();
    for known in [
        "roundsman_drills_total{channel=\"ops\",outcome=\"passed\"} 0.0",
        "roundsman_drills_total{channel=\"ops\",outcome=\"broken\"} 0.0",
        "roundsman_drill_last_success_timestamp_seconds{channel=\"ops\"} 0.0",
    ] {
        assert!(metrics.lines().any(|line| line == known), "{known}\n{metrics}");
    }
    let (code, said, complaint) = command(&directory, &daemon, &["drill", "--channel", "ops"]);
    assert_eq!(code, 0, "{said}{complaint}\n{}", daemon.said());
    insta::assert_snapshot!(without_times(&said));

    let (code, broken, report) = drill(&directory, &daemon);
    assert_eq!((code, broken), (0, None));
    let hops = report["hops"].as_array().unwrap();
    let way = |hop: &Value| format!("{} {}", hop["event"].as_str().unwrap(), hop["part"].as_str().unwrap());
    let parts = ["ran", "judged", "committed", "delivered", "read_back"];
    let whole = ["opened", "resolved"].into_iter().flat_map(|event| parts.map(|part| format!("{event} {part}")));
    assert!(hops.iter().map(way).eq(whole), "{report:#}");
    assert!(hops.iter().all(|hop| hop["took_ms"].as_f64().is_some_and(|took| (0.0..20_000.0).contains(&took))));

    let told = told(&moto, &inbox).await;
    let id = report["incident"].as_str().unwrap();
    assert_eq!(told.len(), 4, "what opened and was resolved, twice");
    for message in &told {
        assert!(message["Message"].as_str().unwrap().starts_with("[DRILL] "), "{message:#}");
        assert!(message["Subject"].as_str().unwrap().starts_with("[DRILL] "), "{message:#}");
        assert_eq!(message["MessageAttributes"]["drill"]["Value"], "true");
    }
    assert_eq!(told.iter().filter(|message| message["MessageAttributes"]["incident"]["Value"] == id).count(), 2);
    assert!(moto.messages(&echo).await.is_empty(), "what was seen was taken away");

    let (code, said, _) = command(&directory, &daemon, &["incidents", "--resolved"]);
    assert_eq!((code, said.as_str()), (0, "no incident is open\n"), "a drill is no incident");
    let (_, said, _) = command(&directory, &daemon, &["incidents", id]);
    assert!(said.contains("[DRILL] drill was failing") || said.contains("drilled       every hop was well"), "{said}");
    let (_, metrics) = ask(&daemon, &Method::GET, "/metrics", &[("authorization", &token)], None);
    let metrics = metrics.as_str().unwrap();
    let line = |name: &str| metrics.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    assert!(line("roundsman_drill_last_success_timestamp_seconds{channel=\"ops\"} 1").is_some(), "{metrics}");
    assert!(line("roundsman_drills_total{channel=\"ops\",outcome=\"passed\"} 2").is_some(), "{metrics}");
    assert_eq!(line("roundsman_incident_detect_seconds_count"), None);
    daemon.kill();

    // The next process knows when the last one was.
    let daemon = start(&directory, &moto);
    let (_, metrics) = ask(&daemon, &Method::GET, "/metrics", &[("authorization", &token)], None);
    assert!(metrics.as_str().unwrap().contains("roundsman_drill_last_success_timestamp_seconds{channel=\"ops\"} 1"));
    daemon.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hop_that_is_broken_is_named() {
    let moto = Moto::start();
    let (topic, echo) = moto.topic_and_queue("ops").await;
    let (_, elsewhere) = moto.topic_and_queue("elsewhere").await;
    let opened = |part: &str| ("opened".to_owned(), part.to_owned());
    let broken = |directory: &TempDir, daemon: &Daemon| {
        let (code, broken, _) = drill(directory, daemon);
        let (event, part, said) = broken.expect("it is broken");
        assert_eq!(code, 1);
        ((event, part), said)
    };

    let directory = with(&sns(&topic.replace(":ops", ":nobody"), &echo));
    let daemon = start(&directory, &moto);
    let (hop, said) = broken(&directory, &daemon);
    assert!(hop == opened("delivered") && said.contains("NotFound: "), "{hop:?} {said}");
    daemon.kill();

    let directory = with(&sns(&topic, &echo));
    let daemon = start(&directory, &moto);
    moto.faults(json!([{ "operation": "Publish", "fault": "forbidden" }])).await;
    let (hop, said) = broken(&directory, &daemon);
    assert!(hop == opened("delivered") && said.contains("waits after 1 attempt"), "{hop:?} {said}");
    let log = daemon.wait_for("the drill of a channel broke at the hop `delivered`");
    assert!(log.contains("ERROR"), "{log}");
    let token = format!("Bearer {TOKEN}");
    let (_, metrics) = ask(&daemon, &Method::GET, "/metrics", &[("authorization", &token)], None);
    assert!(metrics.as_str().unwrap().contains("roundsman_drills_total{channel=\"ops\",outcome=\"broken\"} 1"));
    moto.faults(json!([])).await;

    // Another program keeps the store for itself.
    let store = Connection::open(directory.path().join("state/roundsman.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (hop, said) = broken(&directory, &daemon);
    assert!(hop == opened("committed") && said.contains("the store failed"), "{hop:?} {said}");
    store.execute_batch("ROLLBACK").unwrap();
    daemon.wait_for("the store takes commits again");
    let (code, broken_hop, report) = drill(&directory, &daemon);
    assert_eq!((code, broken_hop), (0, None), "{report:#}");
    daemon.kill();

    let directory = with(&sns(&topic, &elsewhere));
    let daemon = start(&directory, &moto);
    let (hop, said) = broken(&directory, &daemon);
    assert_eq!((hop, said.as_str()), (opened("read_back"), "it has not arrived within 15 s"));
    daemon.kill();

    let directory = with(&sns(&topic, &elsewhere.replace("elsewhere", "nowhere")));
    let daemon = start(&directory, &moto);
    let (hop, said) = broken(&directory, &daemon);
    assert!(hop == opened("read_back") && said.starts_with("QueueDoesNotExist: "), "{hop:?} {said}");
    daemon.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plug_that_is_pulled_in_mid_drill_leaves_open_is_ended_by_the_next_process() {
    let moto = Moto::start();
    let (topic, _) = moto.topic_and_queue("ops").await;
    let (_, elsewhere) = moto.topic_and_queue("elsewhere").await;
    let inbox = inbox(&moto, &topic).await;
    let directory = with(&sns(&topic, &elsewhere));
    let daemon = start(&directory, &moto);
    let drilling = std::thread::scope(|scope| {
        let drilling = scope.spawn(|| command(&directory, &daemon, &["drill", "--channel", "ops"]));
        daemon.wait_for("delivered channel=ops");
        daemon.signal("KILL");
        drilling.join().expect("it is answered")
    });
    assert_eq!(drilling.0, 3, "{drilling:?}");
    daemon.kill();

    let daemon = start(&directory, &moto);
    daemon.wait_for_count("delivered channel=ops", 1);
    let told = told(&moto, &inbox).await;
    let states: Vec<_> = told.iter().map(|message| &message["MessageAttributes"]["state"]["Value"]).collect();
    assert_eq!(states, ["opened", "resolved"]);
    let text = told[1]["Message"].as_str().unwrap();
    assert!(text.starts_with("[DRILL] the incident of drill is closed after "), "{text}");
    assert!(text.contains("(the process ended during the drill)"), "{text}");
    // A stop in mid-drill leaves nothing open behind it.
    let (daemon, code) = std::thread::scope(|scope| {
        let drilling = scope.spawn(|| command(&directory, &daemon, &["drill", "--channel", "ops"]).0);
        daemon.wait_for_count("delivered channel=ops", 2);
        daemon.signal("TERM");
        (&daemon, drilling.join().expect("it is answered"))
    });
    assert_eq!(code, 3);
    daemon.wait_for_count("delivered channel=ops", 3);
    let said = daemon.said();
    assert!(said.contains("Roundsman stops"), "{said}");
}

#[test]
fn every_channel_is_drilled_and_only_by_whoever_may() {
    let receiver = Receiver::start();
    let directory = with(&format!("{{ ops: {{ webhook: \"{0}\" }}, other: {{ webhook: \"{0}\" }} }}", receiver.url));
    let daemon = Daemon::run(directory.path(), &[]);
    let (code, said, complaint) = command(&directory, &daemon, &["drill"]);
    assert_eq!(code, 0, "{said}{complaint}");
    insta::assert_snapshot!(without_times(&said));
    let taken = receiver.taken();
    let told: Vec<_> = taken.iter().map(|taken| (taken.text("event"), taken.body["drill"].as_bool())).collect();
    assert_eq!(told, [("opened", Some(true)), ("resolved", Some(true))].repeat(2));

    let (code, _, complaint) = command(&directory, &daemon, &["drill", "--channel", "opps"]);
    assert_eq!((code, complaint.as_str()), (2, "error: there is no channel `opps`; did you mean `ops`?\n"));
    let json = ("content-type", "application/json");
    let body = || Some(json!({ "channel": "ops" }).to_string());
    let (status, said) = ask(&daemon, &Method::POST, "/api/v1/drill", &[json], body());
    assert_eq!(status, 401, "{said}");
    let token = format!("Bearer {TOKEN}");
    let headers = [json, ("authorization", &*token)];
    for (body, status) in [("{}", 400), ("{\"channel\":\"opps\"}", 404), ("{\"channel\":\"\",\"x\":1}", 400)] {
        assert_eq!(ask(&daemon, &Method::POST, "/api/v1/drill", &headers, Some(body.to_owned())).0, status, "{body}");
    }
    daemon.kill();
}

#[test]
fn pagerduty_is_asked_for_the_incident_that_the_event_became() {
    let receiver = Receiver::start();
    let channels = |token: &str| {
        format!(
            "{{ ops: {{ pagerduty: {{ routing_key: \"${{secret:page}}\", url: \"{0}v2/enqueue\", \
             look_up: {{ token: \"${{secret:{token}}}\", url: \"{0}incidents\" }} }} }}, other: {{ webhook: \"{0}\" }} }}",
            receiver.url
        )
    };
    let directory = with(&channels("reading"));
    let daemon = Daemon::run(directory.path(), &[]);
    let (code, broken, report) = drill(&directory, &daemon);
    assert_eq!((code, broken), (0, None));
    assert_eq!(report["hops"][9]["said"], "in the incident Q1");
    let taken = receiver.taken();
    assert_eq!(taken[0].body["payload"]["severity"], "info");
    assert!(taken[0].body["payload"]["summary"].as_str().unwrap().starts_with("[DRILL] "));
    assert!(taken.iter().all(|taken| taken.body["dedup_key"] == report["incident"]), "one key of its own");
    daemon.kill();

    let directory = with(&channels("page"));
    let daemon = Daemon::run(directory.path(), &[]);
    let (code, broken, _) = drill(&directory, &daemon);
    let (event, part, said) = broken.expect("it is broken");
    assert_eq!((code, event.as_str(), part.as_str(), said.as_str()), (1, "opened", "read_back", "401 Unauthorized"));
    daemon.kill();
}

#[test]
fn a_receiver_that_is_away_is_told_of_at_once() {
    let directory = with("{ ops: { webhook: \"http://127.0.0.1:9/\" }, other: { webhook: \"http://127.0.0.1:9/\" } }");
    let daemon = Daemon::run(directory.path(), &[]);
    let began = now();
    let (code, said, _) = command(&directory, &daemon, &["drill", "--channel", "ops"]);
    assert!(code == 1 && said.contains("BROKEN") && said.contains("Connection refused"), "{said}");
    assert!(said.ends_with("\n  broken at opened, delivered\n"), "{said}");
    assert!(now().since(began) < Duration::from_secs(20));
    daemon.kill();
}
