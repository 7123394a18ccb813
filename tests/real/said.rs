//! What targets, receivers and people say, on every page and in every command of a daemon that hears all of it at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::commands::configuration;
use crate::operating::{TOKEN, command};
use crate::payloads;
use crate::servers::hostile::{Hostile, Move};
use crate::servers::roundsman::Daemon;
use crate::shown::{MARKER, wrong};

/// How many of those who ask have an address of their own, so that none changes more than one may at once.
const SOURCES: u8 = 8;

/// How often it is asked whether everything is as it will be, once a second.
const ASKED_MAX: usize = 120;

/// A daemon whose targets each say one of the texts, and whose receiver refuses every message with the next of them.
struct Site {
    runtime: Runtime,
    clients: Vec<Client>,
    daemon: Daemon,
    directory: TempDir,
    _servers: Vec<Hostile>,
}

fn probe(number: usize) -> String {
    format!("says-{number:03}")
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

impl Site {
    fn start(said: &[Vec<u8>]) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let (mut probes, mut servers) = (String::new(), Vec::new());
        for (number, text) in said.iter().enumerate() {
            let target = runtime.block_on(Hostile::answering(answer("200 OK", text)));
            let url = target.url();
            let _ = writeln!(probes, "{}: {{ http: \"{url}\", expect: 'body == \"well\"' }}", probe(number));
            servers.push(target);
        }
        let refusals = said.iter().map(|text| vec![Move::ReadHead, Move::Send(answer("500 No", text))]).collect();
        let receiver = runtime.block_on(Hostile::start(refusals));
        let root = format!(
            "web:\n  listen: \"${{env:ROUNDSMAN_LISTEN:-127.0.0.1:0}}\"\n  token: \"${{secret:page}}\"\n  \
             public: {{ title: Everybody, probes: [\"*\"] }}\n\
             secrets: {{ page: {{ file: page }} }}\npublish: {{ prometheus: {{}} }}\n\
             channels: {{ refuses: {{ webhook: \"{0}\" }}, refuses-too: {{ webhook: \"{0}too\" }} }}\n\
             routes: [{{ to: [refuses, refuses-too] }}]\n",
            receiver.url()
        );
        servers.push(receiver);
        let schedule = "often:\n  every: 10s\n  probes: [\"*\"]\n  alert: { after: 1, severity: P1 }\n  \
                        objectives: [{ success: 99 %, over: 1h }]\n";
        let files =
            [("roundsman.yaml", &*root), ("page", TOKEN), ("probes/p.yaml", &probes), ("schedules/s.yaml", schedule)];
        let directory = configuration(&files);
        let daemon = Daemon::run(directory.path(), &[]);
        let from = |number: u8| Client::builder().no_proxy().local_address(IpAddr::from([127, 0, 0, 10 + number]));
        let clients = (0..SOURCES).map(|number| from(number).build().expect("a client")).collect();
        Self { runtime, clients, daemon, directory, _servers: servers }
    }

    /// The status and the body.
    fn ask(&self, number: usize, method: Method, path: &str, body: Option<&Value>) -> (u16, String) {
        let url = format!("http://{}{path}", self.daemon.address);
        let mut request = self.clients[number % self.clients.len()].request(method, url).bearer_auth(TOKEN);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        self.runtime.block_on(async {
            let answer = request.send().await.expect("an answer");
            (answer.status().as_u16(), answer.text().await.expect("a body"))
        })
    }

    fn read(&self, path: &str) -> String {
        let (status, body) = self.ask(0, Method::GET, path, None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).expect("JSON")
    }

    /// The open incidents by their probes, once each target has one.
    fn incidents(&self, number: usize) -> BTreeMap<String, String> {
        for _ in 0..ASKED_MAX {
            let open = self.json("/api/v1/incidents");
            let text = |incident: &Value, name: &str| incident[name].as_str().unwrap_or_default().to_owned();
            let open = open["open"].as_array().into_iter().flatten();
            let open: BTreeMap<_, _> = open.map(|one| (text(one, "probe"), text(one, "id"))).collect();
            if open.len() == number {
                return open;
            }
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
        panic!("not every target has an incident\n{}", self.daemon.said());
    }

    /// Everything that is done about a probe, by somebody of that name for that reason; how much of it is taken.
    fn act(&self, number: usize, probe: &str, incident: &str, text: &str) -> usize {
        // A name is not as long as a reason.
        let by: String = text.chars().take(100).collect();
        let acts = [
            (format!("incidents/{incident}/acknowledge"), json!({ "by": by, "note": text })),
            (format!("incidents/{incident}/notes"), json!({ "by": by, "text": text })),
            (
                "silences".to_owned(),
                json!({ "matchers": { "probes": [probe] }, "by": by, "reason": text, "for": "1h" }),
            ),
            ("pauses".to_owned(), json!({ "what": probe, "by": by, "reason": text, "for": "1h" })),
        ];
        let taken = acts.iter().filter(|(path, body)| {
            let (status, said) = self.ask(number, Method::POST, &format!("/api/v1/{path}"), Some(body));
            assert!([200, 422].contains(&status), "{path} {text:?}: {status} {said}");
            status == 200
        });
        taken.count()
    }
}

#[test]
fn what_anybody_says_is_text_on_every_page_and_in_every_command() {
    let said: Vec<_> = payloads::all().iter().map(|text| [MARKER.as_bytes(), text].concat()).collect();
    let site = Site::start(&said);
    let incidents = site.incidents(said.len());
    let mut taken = 0;
    for (number, text) in said.iter().enumerate() {
        let probe = probe(number);
        taken += site.act(number, &probe, &incidents[&probe], &String::from_utf8_lossy(text));
    }
    assert_eq!(taken, 4 * said.len(), "what people say is kept as they say it");

    let mut shown = BTreeMap::new();
    let mut audit = "audit".to_owned();
    let mut paths: Vec<String> =
        ["", "incidents", "schedules", "deliveries", "objectives", "about", "public", "?show=paused"]
            .map(str::to_owned)
            .into();
    while !audit.is_empty() {
        paths.push(audit.clone());
        let page = site.read(&format!("/{audit}"));
        let next = page.split("href=\"audit?before=").nth(1).and_then(|rest| rest.split('"').next());
        audit = next.map(|id| format!("audit?before={id}")).unwrap_or_default();
    }
    for (probe, incident) in &incidents {
        let runs = site.json(&format!("/api/v1/probes/{probe}/runs?bad=1"));
        let run = runs["runs"].as_array().and_then(|runs| runs.last()).expect("a run")["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        paths.extend([
            format!("probes/{probe}"),
            format!("runs/{run}"),
            format!("incidents/{incident}"),
            format!("incidents/{incident}?still"),
            format!("incidents/{incident}/silence"),
            format!("incidents/{incident}/acknowledge"),
        ]);
        for text in ["war-room", "post-mortem"] {
            let path = format!("incidents/{incident}/{text}");
            shown.insert(format!("the text /{path}"), site.read(&format!("/{path}")));
        }
        let (_, out, errors) = command(&site.directory, &site.daemon, &["incidents", probe]);
        shown.insert(format!("`incidents {probe}`"), out + &errors);
    }
    for path in paths {
        shown.insert(format!("the page /{path}"), site.read(&format!("/{path}")));
    }
    shown.insert("the text /metrics".to_owned(), site.read("/metrics"));
    for arguments in [
        &["status"][..],
        &["incidents"],
        &["silence", "list"],
        &["pause", "list"],
        &["deliveries"],
        &["slo"],
        &["resume", "says-001"],
        &["ack", "says-001", "--by", "x"],
    ] {
        let (_, out, errors) = command(&site.directory, &site.daemon, arguments);
        shown.insert(format!("`{}`", arguments.join(" ")), out + &errors);
    }

    let found: Vec<_> = shown
        .iter()
        .flat_map(|(output, text)| wrong(output, text).into_iter().map(move |what| format!("{output}: {what}\n{text}")))
        .collect();
    assert!(found.is_empty(), "{} of {} are wrong:\n{}", found.len(), shown.len(), found.join("\n\n"));
    let is_silent = |output: &&String| {
        let quiet = [
            "/schedules",
            "/objectives",
            "/about",
            "/public",
            "/metrics",
            "`slo`",
            "`resume",
            "/acknowledge",
            "/silence",
        ];
        !quiet.iter().any(|part| output.contains(part)) && !shown[*output].contains(MARKER)
    };
    assert_eq!(shown.keys().filter(is_silent).collect::<Vec<_>>(), Vec::<&String>::new(), "they show nothing of it");
}
