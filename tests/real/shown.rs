//! What a target says is text wherever it is shown: whatever stands in a body, a header, a reason phrase, a certificate, a record
//! of a name or the text of an error, it steers no terminal, begins no line of its own, adds no element to a page, is neither a
//! link nor a mention nor a header in a message, and is filled in nowhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use html5gum::{Token, Tokenizer};
use roundsman::app::{answer, detail, junit, report};
use roundsman::clock::SystemClock;
use roundsman::config::load::{Surroundings, load};
use roundsman::domain::outcome::{FailureKind, Verdict};
use roundsman::engine::ledger::Ledger;
use roundsman::engine::plan::Plan;
use roundsman::net::client;
use roundsman::ports::{Clock as _, Commit, Kinds, Loaded, Store as _};
use roundsman::probers::KINDS;
use roundsman::{notifiers, publishers, store};

use crate::commands::configuration;
use crate::payloads::{self, hides};
use crate::probing::quoted;
use crate::servers::certificates::Authority;
use crate::servers::dns::{Answering, answered_with};
use crate::servers::hostile::{Hostile, Move};
use crate::servers::secured::Secured;
use crate::telling::{page_of, run};

/// Begins every payload, so that a test which sees nothing fails.
pub const MARKER: &str = "Q7marker";

/// What would begin a line of its own.
const FORGED: &str = "forged";

/// What no page of ours has, neither as an element nor as an attribute.
const ALIEN: &str = "x-alien";

/// Where a payload stands, and the expectation that quotes it.
const PLACES: [(&str, &str); 7] = [
    ("body", "body == \"x\""),
    ("header", "headers[\"x-said\"] == \"x\""),
    ("reason", "status == 599"),
    ("certificate", "cert.subject == \"x\""),
    ("names", "cert.names == [\"x\"]"),
    ("record", "answers == [\"x\"]"),
    ("error", "reply == \"x\""),
];

/// Servers that say the payload in each place, with the probes that meet them; they are gone when this is dropped.
struct Sayers {
    plan: Arc<Plan>,
    clock: Arc<SystemClock>,
    directory: tempfile::TempDir,
    _servers: (Vec<Hostile>, [Secured; 2], Answering),
}

async fn sayers(payload: &[u8]) -> Sayers {
    let ok = "HTTP/1.1 200 OK\r\n";
    let length = payload.len();
    let around = |before: &str, after: &str| [before.as_bytes(), payload, after.as_bytes()].concat();
    let body = Hostile::answering(around(&format!("{ok}Content-Length: {length}\r\n\r\n"), "")).await;
    let header = Hostile::answering(around(&format!("{ok}X-Said: "), "\r\nContent-Length: 0\r\n\r\n")).await;
    let reason = Hostile::answering(around("HTTP/1.1 200 ", "\r\nContent-Length: 0\r\n\r\n")).await;
    let refusal = Move::Send(around("-ERR ", "\r\n"));
    let error = Hostile::playing(vec![Move::ReadBytes(1), refusal, Move::Hang]).await;
    let authority = Authority::new("Test CA");
    let text = String::from_utf8_lossy(payload);
    let subject = authority.issue(&["127.0.0.1"], |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, &*text);
    });
    // Names in a certificate are of ASCII, whatever else they are.
    let named = authority.issue(&["127.0.0.1"], |params| {
        let name: String = text.chars().filter(char::is_ascii).collect();
        params.subject_alt_names.push(rcgen::SanType::DnsName(name.try_into().expect("ASCII")));
    });
    let certificate = Secured::showing(&subject).await;
    let of_names = Secured::showing(&named).await;
    let text = [&[u8::try_from(length).unwrap()], payload].concat();
    let record = Answering::over_tcp(move |question| answered_with(question, &[(16, 60, text.clone())])).await;
    let steps = [
        format!("http: \"{}\"", body.url()),
        format!("http: \"{}\"", header.url()),
        format!("http: \"{}\"", reason.url()),
        format!("tls: {{ address: \"{}\", ca: {} }}", certificate.address, quoted(&authority.pem)),
        format!("tls: {{ address: \"{}\", ca: {} }}", of_names.address, quoted(&authority.pem)),
        format!("dns: {{ name: said.test, type: TXT, server: \"{}\" }}", record.address),
        format!("redis: \"{}\"", error.address),
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
    let servers = (vec![body, header, reason, error], [certificate, of_names], record);
    Sayers { plan: Arc::new(plan), clock, directory, _servers: servers }
}

/// What is shown, by the place of the payload and what shows it.
type Shown = BTreeMap<(&'static str, &'static str), String>;

/// Everything that people and programs are shown of the payload.
async fn shown(payload: &[u8]) -> Shown {
    let said = sayers(payload).await;
    let Sayers { plan, clock, directory, .. } = &said;
    let opened_store = store::open(&directory.path().join("state/roundsman.db")).expect("a store");
    let mut commit = Commit::default();
    let mut ledger = Ledger::open(Arc::clone(plan), Loaded::default(), clock.now(), &mut commit);
    let mut shown = BTreeMap::new();
    for (place, _) in PLACES {
        let whole = run(plan, clock, place, true).await;
        let Verdict::Failed(failures) = &whole.verdict else { panic!("{place}: {:?}", whole.verdict) };
        let expected = [FailureKind::ProtocolInvalid, FailureKind::Expect, FailureKind::AnswerRefused];
        assert!(expected.contains(&failures[0].kind), "{place}, {payload:?}: {}", failures[0]);
        shown.insert((place, "once"), report::text(&whole));
        shown.insert((place, "once --verbose"), detail::text(&whole));
        let json = answer::indented(&report::json(std::slice::from_ref(&whole), true));
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
    let mut found = text.char_indices().filter(|(_, c)| hides(*c));
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

/// What of a text is more than text, in what shows it.
pub fn wrong(output: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(found) = steering(text) {
        wrong.push(format!("steers: {found:?}"));
    }
    // An exchange is shown in its lines, between fences that nothing in it can close.
    let outside = text.split("\n```").step_by(2);
    let begins = outside.flat_map(str::lines).any(|line| line.trim_start().starts_with(FORGED));
    if begins && !output.contains("page") {
        wrong.push("begins a line".to_owned());
    }
    let is_document = output.contains("page") || output.contains("junit") || output.contains("HTML");
    if is_document && !aliens(text).is_empty() {
        wrong.push(format!("adds {:?}", aliens(text)));
    }
    // A text that looks like a template stays what it is.
    if text.contains("{{run.id}} {{token}}") && !text.contains("{{7*7}}") {
        wrong.push("is filled in".to_owned());
    }
    wrong
}

#[test]
fn what_a_target_says_is_text_wherever_it_is_shown() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut found = Vec::new();
    for payload in payloads::all() {
        let payload = [MARKER.as_bytes(), &payload].concat();
        let shown = runtime.block_on(shown(&payload));
        let payload = String::from_utf8_lossy(&payload);
        for ((place, output), text) in &shown {
            let wrong = wrong(output, text).into_iter();
            found.extend(wrong.map(|what| format!("{payload:?} in the {place}, {output}: {what}\n{text}")));
        }
        for (place, _) in PLACES {
            // What HTTP does not let through is refused and so shown by nobody, and of a status only its number is read.
            let is_hidden = place == "reason" || shown[&(place, "once")].contains("protocol.invalid");
            for output in ["once --verbose", "the page of the incident", "once --format json"] {
                let text = &shown[&(place, output)];
                if is_hidden == text.contains(MARKER) {
                    found.push(format!("{payload:?} in the {place}, {output}: expected hidden: {is_hidden}\n{text}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} are wrong:\n{}", found.len(), found.join("\n\n"));
}

#[test]
fn the_oracles_see_what_they_look_for() {
    assert_eq!(steering("\u{1b}[31mred\u{1b}[0m\n"), None);
    assert!(steering("a\u{1b}[2Jb").is_some() && steering("a\rb").is_some() && steering("\u{202e}").is_some());
    assert_eq!(aliens("<p>x</p>&lt;x-alien>"), [""; 0]);
    assert_eq!(aliens("<p a=\"\" x-alien=1>x<x-alien>"), [ALIEN, ALIEN]);
    assert_eq!(aliens("<a href=\"javascript:alert(1)\">"), ["hrefx-alien"]);
}
