//! Twenty secrets of every sort in a daemon that logs at its loudest, while everything that it speaks to says them again in
//! every form: targets in their answers, receivers in their refusals. None of them is in what it prints, on a page, in a
//! metric, in a message, or in a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use crate::commands::configuration;
use crate::probing::now;
use crate::servers::receiver::{Receiver, Taken};
use crate::servers::roundsman::Daemon;

/// What each secret is for; those of files come last.
const SECRETS: [&str; 20] = [
    "BEARER",
    "HEADER",
    "BASIC",
    "QUERY",
    "PATH",
    "BODY",
    "OAUTH",
    "POSTGRES",
    "REDIS",
    "GRPC",
    "SOCKET",
    "PING",
    "HOOK",
    "SIGN",
    "AUTHORIZATION",
    "DUTY",
    "SLACK",
    "BOT",
    "SMTP",
    "PAGE",
];

/// What the target gives, and a run captures.
const CAPTURED: &str = "Zq9CapturedCanary+token/==";

/// A value that is in no other text; PagerDuty's and Slack's have their form, a ping's goes into a path.
fn canary(name: &str) -> String {
    match name {
        "DUTY" => "d0c4n4ry00000000000000000000f00d".to_owned(),
        "SLACK" => "T0C4N4RY/B0C4N4RY/xCanarySlackx".to_owned(),
        "BOT" => "xoxb-0-CanaryBot-x".to_owned(),
        // It goes into a header as it is.
        "PAGE" => "Zq7CanaryPAGE+/=x.9".to_owned(),
        "PING" => "Canary-Ping-0123456789".to_owned(),
        name => format!("Zq7Canary{name}+/=x\"'&<é>9"),
    }
}

/// The forms in which a value may be seen.
fn forms(value: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let hex = value.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let quoted = json!(value).to_string();
    vec![
        value.to_owned(),
        STANDARD.encode(value),
        STANDARD_NO_PAD.encode(format!("probe:{value}")),
        URL_SAFE_NO_PAD.encode(value),
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string(),
        hex.to_uppercase(),
        hex,
        quoted[1..quoted.len() - 1].to_owned(),
    ]
}

/// What was said to the parrot.
type Heard = Arc<Mutex<String>>;

/// Answers whatever comes with all that it was told and all that it may not know, in every form, and a status that fails.
fn parrot() -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let hears = Arc::clone(&hears);
            std::thread::spawn(move || say_again(stream, &hears));
        }
    });
    (address, heard)
}

fn say_again(mut stream: TcpStream, heard: &Heard) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(300)));
    let mut asked = Vec::new();
    let mut piece = [0; 16_384];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        asked.extend_from_slice(&piece[..length]);
    }
    let asked = String::from_utf8_lossy(&asked).into_owned();
    heard.lock().expect("no panic").push_str(&asked);
    let all: Vec<_> = SECRETS.iter().flat_map(|name| forms(&canary(name))).collect();
    let is_login = asked.starts_with("POST /login ");
    let body = if is_login { json!({ "token": CAPTURED }).to_string() } else { format!("{asked}\n{}", all.join("\n")) };
    let status = if is_login { "200 OK" } else { "500 Internal Server Error" };
    let said = all[..9].join(" ").replace(['\r', '\n'], "");
    let answer = format!(
        "HTTP/1.1 {status}\r\nx-said: {said}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes());
}

fn files(parrot: SocketAddr, receiver: &str) -> Vec<(&'static str, String)> {
    let mut declared = String::new();
    for (n, name) in SECRETS.iter().enumerate() {
        let of = if n < 14 { format!("env: CANARY_{name}") } else { format!("file: secrets/{name}") };
        let _ = writeln!(declared, "  {}: {{ {of} }}", name.to_lowercase());
    }
    let hole = |name: &str| format!("${{secret:{name}}}");
    let root = format!(
        "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN}}\", token: \"{}\" }}
publish: {{ prometheus: {{}} }}
secrets:
{declared}channels:
  told: {{ webhook: {{ url: \"{receiver}told\", sign: \"{}\", headers: {{ authorization: \"Bearer {}\" }} }} }}
  hook: {{ webhook: \"http://{parrot}/{}\" }}
  duty: {{ pagerduty: {{ routing_key: \"{}\", url: \"http://{parrot}/v2/enqueue\" }} }}
  team: {{ slack: {{ webhook: \"http://{parrot}/services/{}\" }} }}
  bot: {{ slack: {{ token: \"{}\", channel: \"#ops\", api: \"http://{parrot}/api\" }} }}
  gone: {{ webhook: \"http://127.0.0.1:9/{}\" }}
  mail: {{ email: {{ server: localhost, port: 9, user: probe, password: \"{}\", from: a@example.com, to: b@example.com }} }}
routes: [{{ to: [told, hook, duty, team, bot, gone, mail] }}]
",
        hole("page"), hole("sign"), hole("authorization"), hole("hook"), hole("duty"), hole("slack"), hole("bot"), hole("hook"), hole("smtp"),
    );
    let at = format!("http://{parrot}");
    let see = "expect: [status == 200, body == \"x\", \"headers[\\\"x-said\\\"] == \\\"x\\\"\"]";
    let probes = format!(
        "bearer: {{ http: {{ url: \"{at}/\", bearer: \"{}\" }}, {see} }}
header: {{ http: {{ url: \"{at}/\", headers: {{ x-key: \"{}\" }} }}, {see} }}
basic: {{ http: {{ url: \"{at}/\", basic: {{ user: probe, password: \"{}\" }} }}, {see} }}
query: {{ http: \"{at}/?key={}\", {see} }}
path: {{ http: \"{at}/{}/x\", {see} }}
body: {{ http: {{ method: POST, url: \"{at}/\", json: {{ password: \"{}\" }} }}, {see} }}
oauth: {{ http: {{ url: \"{at}/\", oauth2: {{ token_url: \"{at}/token\", client_id: probe, client_secret: \"{}\" }} }} }}
postgres: {{ postgres: {{ address: \"{parrot}\", user: probe, password: \"{}\", tls: false }} }}
redis: {{ redis: {{ address: \"{parrot}\", password: \"{}\" }} }}
grpc: {{ grpc: {{ url: \"grpc://{parrot}\", bearer: \"{}\" }} }}
socket: {{ websocket: {{ url: \"ws://{parrot}/\", bearer: \"{}\" }} }}
job: {{ heartbeat: {{ token: \"{}\", every: 1h }} }}
away: {{ http: {{ url: \"http://127.0.0.1:9/{}\", bearer: \"{}\" }} }}
journey:
  steps:
    - {{ name: login, http: {{ method: POST, url: \"{at}/login\", json: {{ password: \"{}\" }} }}, capture: {{ token: json.token }} }}
    - {{ name: use, http: {{ url: \"{at}/\", bearer: \"{{{{token}}}}\" }}, {see} }}
",
        hole("bearer"), hole("header"), hole("basic"), hole("query"), hole("path"), hole("body"), hole("oauth"), hole("postgres"),
        hole("redis"), hole("grpc"), hole("socket"), hole("ping"), hole("path"), hole("bearer"), hole("body"),
    );
    let schedule = "often: { every: 2s, probes: [\"*\"], timeout: 1500ms, alert: { after: 1, severity: P1 } }\n";
    vec![("roundsman.yaml", root), ("probes/p.yaml", probes), ("schedules/s.yaml", schedule.to_owned())]
}

fn get(at: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(at).expect("a connection");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        canary("PAGE")
    )
    .expect("it takes a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Every file of the state, the log of the store among them.
fn state(directory: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(directory.join("state")).expect("a directory");
    let entries = entries.map(|entry| entry.expect("an entry").path());
    entries
        .map(|path| {
            let bytes = std::fs::read(&path).expect("a file");
            (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect()
}

#[test]
fn no_secret_of_any_sort_is_seen_while_everything_says_it_again() {
    let (parrot, heard) = parrot();
    let receiver = Receiver::start();
    let files = files(parrot, &receiver.url);
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let directory = configuration(&files);
    std::fs::create_dir(directory.path().join("secrets")).expect("a directory");
    for name in &SECRETS[14..] {
        std::fs::write(directory.path().join("secrets").join(name), canary(name)).expect("a file");
    }
    let environment: Vec<_> = SECRETS[..14].iter().map(|name| (format!("CANARY_{name}"), canary(name))).collect();
    let mut environment: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    environment.push(("ROUNDSMAN_LOG", "trace"));
    let daemon = Daemon::run(directory.path(), &environment);
    let told =
        receiver.wait_until(|taken| taken.iter().filter(|message| message.text("event") == "opened").count() >= 13);
    // A few rounds more, with channels that are tried again.
    let began = now();
    while now().since(began) < Duration::from_secs(6) {
        sleep(Duration::from_millis(200));
    }

    let mut shown = state(directory.path());
    for path in ["/", "/metrics", "/readyz", "/nothing", &format!("/ping/{}x", canary("PING"))] {
        shown.insert(format!("GET {path}").replace(&canary("PING"), "…"), get(daemon.address, path));
    }
    for message in &told {
        let page = get(daemon.address, &format!("/incidents/{}", message.text("incident")));
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        shown.insert(format!("the page of {}", message.text("probe")), page);
    }
    let bodies = |message: &Taken| format!("{} {}", message.path, message.raw);
    shown.insert("messages".to_owned(), receiver.taken().iter().map(bodies).collect::<Vec<_>>().join("\n"));
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    shown.insert("what it prints".to_owned(), said);
    for (name, text) in state(directory.path()) {
        shown.insert(format!("{name} afterwards"), text);
    }

    // Each was sent where it belongs, or this proves nothing.
    let mut sent = heard.lock().expect("no panic").clone();
    let _ = write!(sent, "{:?}", receiver.taken());
    for name in
        ["BEARER", "HEADER", "BASIC", "QUERY", "PATH", "BODY", "OAUTH", "HOOK", "AUTHORIZATION", "DUTY", "SLACK", "BOT"]
    {
        let sent_as = forms(&canary(name)).into_iter().chain([format!("{:?}", canary(name))]);
        assert!(sent_as.into_iter().any(|form| sent.contains(&form)), "{name} was sent nowhere");
    }
    assert!(sent.contains(CAPTURED), "the captured token was sent nowhere");
    let mut hits = Vec::new();
    for (name, value) in SECRETS.iter().map(|name| (*name, canary(name))).chain([("CAPTURED", CAPTURED.to_owned())]) {
        for form in forms(&value) {
            for (place, text) in &shown {
                if let Some(at) = text.find(&form) {
                    let from = text.floor_char_boundary(at.saturating_sub(120));
                    let to = text.ceil_char_boundary((at + form.len() + 20).min(text.len()));
                    hits.push(format!("{place}: {name} as {form}: …{}…", &text[from..to]));
                }
            }
        }
    }
    println!("{} places, {} bytes", shown.len(), shown.values().map(String::len).sum::<usize>());
    hits.truncate(30);
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}
