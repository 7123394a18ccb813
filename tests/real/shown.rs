//! What a target says is text wherever it is shown: whatever stands in a body, a header, a reason phrase, a certificate or a
//! record of a name, it steers no terminal, begins no line of its own, adds no element to a page, and is filled in nowhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use html5gum::{Token, Tokenizer};
use roundsman::app::{detail, junit, report};
use roundsman::clock::SystemClock;
use roundsman::config::load::{Surroundings, load};
use roundsman::domain::outcome::{FailureKind, Verdict};
use roundsman::engine::ledger::Ledger;
use roundsman::engine::plan::Plan;
use roundsman::net::client;
use roundsman::ports::{Clock as _, Commit, Kinds, Loaded, Notification, StatusReader as _, Store as _};
use roundsman::probers::KINDS;
use roundsman::{notifiers, publishers, store};

use crate::commands::configuration;
use crate::notification::opened;
use crate::probing::quoted;
use crate::servers::certificates::Authority;
use crate::servers::dns::{Answering, answered_with};
use crate::servers::hostile::Hostile;
use crate::servers::receiver::Receiver;
use crate::servers::secured::Secured;
use crate::telling::{page_of, run};
use crate::webhook::webhook;

/// Begins every payload, so that a test which sees nothing fails.
const MARKER: &str = "Q7marker";

/// What would begin a line of its own.
const FORGED: &str = "forged";

/// What no page of ours has, neither as an element nor as an attribute.
const ALIEN: &str = "x-alien";

/// Each behind the marker: for a terminal, a log, a page, a chat, a workflow, a template, a reader.
const PAYLOADS: [&str; 10] = [
    "",
    "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}2J",
    "\r\nforged: passed\r\n\r\nforged\n",
    "\rforged\u{8}\u{8}\0",
    "</script></style></title><x-alien x-alien=1>",
    "\"'><x-alien x-alien=\"1\"> --> ]]><x-alien/>",
    "\" x-alien=\"1\" ' x-alien='1' javascript:alert(1)",
    "<!channel> <@U123> <https://evil.example|click> @everyone",
    "${{secrets.key}} ${secret:key} ${env:HOME} {{run.id}} {{token}} {{7*7}} {% raw %}",
    "\u{202e}gnp.exe\u{2066}\u{feff}",
];

/// Where a payload stands, and the expectation that quotes it.
const PLACES: [(&str, &str); 5] = [
    ("body", "body == \"x\""),
    ("header", "headers[\"x-said\"] == \"x\""),
    ("reason", "status == 599"),
    ("certificate", "cert.subject == \"x\""),
    ("record", "answers == [\"x\"]"),
];

/// Servers that say the payload in each place, with the probes that meet them; they are gone when this is dropped.
struct Sayers {
    plan: Arc<Plan>,
    clock: Arc<SystemClock>,
    directory: tempfile::TempDir,
    _servers: (Vec<Hostile>, Secured, Answering),
}

async fn sayers(payload: &str) -> Sayers {
    let ok = "HTTP/1.1 200 OK\r\n";
    let length = payload.len();
    let body = Hostile::answering(format!("{ok}Content-Length: {length}\r\n\r\n{payload}")).await;
    let header = Hostile::answering(format!("{ok}X-Said: {payload}\r\nContent-Length: 0\r\n\r\n")).await;
    let reason = Hostile::answering(format!("HTTP/1.1 200 {payload}\r\nContent-Length: 0\r\n\r\n")).await;
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["127.0.0.1"], |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, payload);
    });
    let certificate = Secured::showing(&identity).await;
    let text = [&[u8::try_from(length).unwrap()], payload.as_bytes()].concat();
    let record = Answering::over_tcp(move |question| answered_with(question, &[(16, 60, text.clone())])).await;
    let steps = [
        format!("http: \"{}\"", body.url()),
        format!("http: \"{}\"", header.url()),
        format!("http: \"{}\"", reason.url()),
        format!("tls: {{ address: \"{}\", ca: {} }}", certificate.address, quoted(&authority.pem)),
        format!("dns: {{ name: said.test, type: TXT, server: \"{}\" }}", record.address),
    ];
    let mut probes = String::new();
    for ((place, expect), step) in PLACES.iter().zip(steps) {
        let _ = write!(probes, "{place}:\n  {step}\n  expect: ['{expect}']\n");
    }
    let names = PLACES.map(|(place, _)| place).join(", ");
    let schedule = format!("often: {{ every: 30s, probes: [{names}], alert: {{ after: 1, severity: P1 }} }}\n");
    let files = [("roundsman.yaml", "{}\n"), ("probes/p.yaml", &probes), ("schedules/s.yaml", &schedule)];
    let directory = configuration(&files);
    let clock = Arc::new(SystemClock::start());
    let surroundings = Surroundings {
        kinds: Kinds {
            probers: KINDS,
            channels: notifiers::CHANNELS,
            publishers: publishers::PUBLISHERS,
            ping: notifiers::ping::build,
        },
        environment: Arc::new(|_: &str| None),
        clock: Arc::clone(&clock) as _,
        http: client::shared().expect("a client"),
        pulses: Arc::default(),
        billed: roundsman::app::aws::billed::billed,
    };
    let loaded = load(directory.path(), &surroundings);
    let plan = loaded.plan.unwrap_or_else(|| panic!("{}", loaded.problems.render(false)));
    let servers = (vec![body, header, reason], certificate, record);
    Sayers { plan: Arc::new(plan), clock, directory, _servers: servers }
}

/// Everything that people and programs are shown of the payload, by what shows it.
async fn shown(payload: &str, receiver: &Receiver) -> BTreeMap<(&'static str, &'static str), String> {
    let said = sayers(payload).await;
    let Sayers { plan, clock, directory, .. } = &said;
    let opened_store = store::open(&directory.path().join("state/roundsman.db")).expect("a store");
    let mut commit = Commit::default();
    let mut ledger = Ledger::open(Arc::clone(plan), Loaded::default(), clock.now(), &mut commit);
    let mut shown = BTreeMap::new();
    for (place, _) in PLACES {
        let whole = run(plan, clock, place, true).await;
        let Verdict::Failed(failures) = &whole.verdict else { panic!("{place}: {:?}", whole.verdict) };
        let is_refused = failures[0].kind == FailureKind::ProtocolInvalid;
        assert!(is_refused || failures[0].kind == FailureKind::Expect, "{place}, {payload:?}: {}", failures[0]);
        shown.insert((place, "once"), report::text(&whole));
        shown.insert((place, "once --verbose"), detail::text(&whole));
        let json = report::json(std::slice::from_ref(&whole), true).to_string();
        shown.insert((place, "once --format json"), json);
        let document = junit::document(std::slice::from_ref(&whole)).expect("XML");
        shown.insert((place, "once --format junit"), String::from_utf8(document).expect("text"));
        ledger.take_run(run(plan, clock, place, false).await, clock.now(), &mut commit);
    }
    let incidents = commit.incidents.clone();
    opened_store.commit(commit.into()).await.expect("it is stored");
    shown.insert(("all", "the status page"), page_of(plan, clock, &opened_store, "/").await);
    for (place, _) in PLACES {
        let incident = incidents.iter().rfind(|incident| incident.probe.as_str() == place).expect("an incident");
        let page = page_of(plan, clock, &opened_store, &format!("/incidents/{}", incident.id)).await;
        shown.insert((place, "the page of the incident"), page);
        let incident = opened_store.incident(&incident.id).await.expect("it is read").expect("it is there").incident;
        let notification = Notification { incident, ..opened("I1", clock.now()) };
        let notifier = webhook(&format!("url: \"{}\"", receiver.url));
        notifier.notify(&notification).await.expect("it is taken");
        let message = receiver.wait_until(|taken| !taken.is_empty()).last().expect("one").body.to_string();
        shown.insert((place, "a message"), message);
    }
    opened_store.close().await;
    shown
}

/// What steers a terminal, or hides, apart from the ends of lines and colours of our own.
fn steering(text: &str) -> Option<String> {
    let ours = |rest: &str| {
        let colour = rest.strip_prefix("[").and_then(|rest| rest.split_once('m'));
        colour.is_some_and(|(numbers, _)| numbers.chars().all(|c| c.is_ascii_digit() || c == ';'))
    };
    let hidden = |c: char| {
        c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut found = text.char_indices().filter(|(_, c)| hidden(*c));
    found.find(|(at, c)| *c != '\u{1b}' || !ours(&text[at + 1..])).map(|(at, _)| text[at..].chars().take(20).collect())
}

/// The elements of a document, each with the names of its attributes, that are none of ours.
fn aliens(page: &str) -> Vec<String> {
    let tags = Tokenizer::new(page).filter_map(|token| match token {
        Ok(Token::StartTag(tag)) => Some(tag),
        _ => None,
    });
    let words = tags.flat_map(|tag| {
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        let attributes = tag.attributes.iter().map(|(name, value)| {
            let value = if value.starts_with(b"javascript:") { ALIEN } else { "" };
            format!("{}{value}", String::from_utf8_lossy(name))
        });
        std::iter::once(name).chain(attributes.collect::<Vec<_>>())
    });
    words.filter(|word| word.contains(ALIEN)).collect()
}

#[test]
fn what_a_target_says_is_text_wherever_it_is_shown() {
    // It has a runtime of its own, which is neither begun nor ended within another.
    let receiver = Receiver::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut wrong = Vec::new();
    for payload in PAYLOADS {
        let payload = format!("{MARKER}{payload}");
        let shown = runtime.block_on(shown(&payload, &receiver));
        for ((place, output), text) in &shown {
            let mut say = |what: &str| wrong.push(format!("{payload:?} in the {place}, {output}: {what}\n{text}"));
            if let Some(found) = steering(text) {
                say(&format!("steers: {found:?}"));
            }
            if text.lines().any(|line| line.trim_start().starts_with(FORGED)) && !output.contains("page") {
                say("begins a line");
            }
            let is_document = output.contains("page") || output.contains("junit");
            if is_document && !aliens(text).is_empty() {
                say(&format!("adds {:?}", aliens(text)));
            }
            // A text that looks like a template stays what it is.
            if payload.contains("{{7*7}}") && text.contains(MARKER) && !text.contains("{{7*7}}") {
                say("is filled in");
            }
        }
        for (place, _) in PLACES {
            // What HTTP does not let through is refused and so shown by nobody, and of a status only its number is read.
            let is_hidden = place == "reason" || shown[&(place, "once")].contains("protocol.invalid");
            for output in ["once --verbose", "the page of the incident", "once --format json"] {
                let text = &shown[&(place, output)];
                if is_hidden == text.contains(MARKER) {
                    wrong.push(format!("{payload:?} in the {place}, {output}: expected hidden: {is_hidden}\n{text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn the_oracles_see_what_they_look_for() {
    assert_eq!(steering("\u{1b}[31mred\u{1b}[0m\n"), None);
    assert!(steering("a\u{1b}[2Jb").is_some() && steering("a\rb").is_some() && steering("\u{202e}").is_some());
    assert_eq!(aliens("<p>x</p>&lt;x-alien>"), [""; 0]);
    assert_eq!(aliens("<p a=\"\" x-alien=1>x<x-alien>"), [ALIEN, ALIEN]);
    assert_eq!(aliens("<a href=\"javascript:alert(1)\">"), ["hrefx-alien"]);
}
