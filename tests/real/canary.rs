//! Twenty values that nobody may see, each said again by a hostile target in every form it can think of: none of them is in
//! the store, on a page, or in anything that is printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use roundsman::app::{detail, junit, report};
use roundsman::clock::SystemClock;
use roundsman::config::load::{Surroundings, load};
use roundsman::domain::exchange::Exchange;
use roundsman::domain::expression::{Name, Names, Shape};
use roundsman::domain::outcome::{Failure, FailureKind, Observation, Verdict};
use roundsman::domain::template::Template;
use roundsman::engine::ledger::Ledger;
use roundsman::engine::plan::Plan;
use roundsman::net::client;
use roundsman::ports::{
    Building, BuiltProber, Clock as _, Commit, Kind, Kinds, Loaded, Prober, StatusReader as _, StepContext, Store as _,
};
use roundsman::settings::{Node, Problems, read};
use roundsman::{notifiers, publishers, store};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::commands::configuration;
use crate::telling::{page_of, run};

/// So many are secrets from the environment, from files, captured, set as cookies, and given in fields whose names tell.
const CANARIES: [(&str, usize); 5] = [("Env", 5), ("File", 5), ("Captured", 6), ("Cookie", 2), ("Field", 2)];

/// Ends what is said to the parrot.
const END: &str = "\n.\n";

/// What the parrot says each time, so that a test which sees nothing fails.
const MARKER: &str = "the parrot says";

/// A value that nobody may see. Its ends have letters and digits only, so that they outlive every escape.
fn canary(kind: &str, n: usize) -> String {
    let [begin, end] = ends(kind, n);
    format!("{begin}/{n}+\"ü\" a=b-c.~'<&>\\{end}")
}

fn ends(kind: &str, n: usize) -> [String; 2] {
    [format!("{kind}{n}xCanaryQ7"), format!("Q8Canary{kind}{n}x")]
}

/// The forms in which the parrot says a value again; made otherwise than by what takes them out.
fn forms(value: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let hex: String = value.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let query: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut address = url::Url::parse("http://a.example/").expect("a URL");
    address.set_query(Some(value));
    let browser = address.query().unwrap_or_default().replace('#', "");
    let json = json!({ "said": value }).to_string();
    vec![
        value.to_owned(),
        STANDARD.encode(value),
        STANDARD.encode(format!("user:{value}")),
        URL_SAFE_NO_PAD.encode(format!("ab{value}cd")),
        hex.to_uppercase(),
        hex,
        query,
        browser,
        json!({ "again": json }).to_string(),
        json,
    ]
}

/// A kind that sends a text and shows all that comes back.
static PARROT: &[Kind] = &[Kind {
    name: "parrot",
    about: "says something to a parrot",
    main: "say",
    schema: Settings::json_schema,
    names: || Names::new().with_all(SEEN),
    build,
}];

static SEEN: &[Name] = &[
    Name::known("body", Shape::Text, "what it said"),
    Name::known("json", Shape::Any, "the same as JSON"),
    Name::known("headers", Shape::Map(&Shape::Text), "what stood before it"),
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    address: String,
    #[schemars(with = "String")]
    say: Template,
}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let Settings { address, say } = read(node, problems)?;
    Some(BuiltProber { prober: Arc::new(Listener { address, say }), implied: Vec::new() })
}

struct Listener {
    address: String,
    say: Template,
}

impl Prober for Listener {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let said = cx.fill(&self.say, |value| Some(value.to_owned())).await?;
            let failed = |error: std::io::Error| Failure::new(FailureKind::ConnectReset, error.to_string());
            let mut parrot = TcpStream::connect(&self.address).await.map_err(failed)?;
            parrot.write_all(format!("{said}{END}").as_bytes()).await.map_err(failed)?;
            let mut answer = String::new();
            parrot.read_to_string(&mut answer).await.map_err(failed)?;
            let (sent, received) = (format!("authorization: Bearer {said}\n\n{said}"), answer.clone());
            cx.recorder.add(move || Exchange {
                command: Some(format!("say -H 'authorization: Bearer x' {sent:?}")),
                sent,
                received,
                ..Exchange::default()
            });
            let (head, body) = answer.split_once("\n\n").unwrap_or_default();
            let headers: serde_json::Map<_, _> =
                head.lines().filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.into())).collect();
            let mut seen = Observation { body: Some(body.to_owned().into()), ..Observation::default() };
            seen.facts.insert("headers", headers);
            Ok(seen)
        })
    }
}

/// Says what it was told, and what it has given, in every form; at first it gives.
async fn parrot(listener: TcpListener, heard: Arc<Mutex<Vec<String>>>) {
    let of = |kind: &str| (0..6).map(|n| canary(kind, n)).collect::<Vec<_>>();
    let (captured, cookies, fields) = (of("Captured"), of("Cookie"), of("Field"));
    for turn in 0.. {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut said = Vec::new();
        while !said.ends_with(END.as_bytes()) {
            assert!(stream.read_buf(&mut said).await.expect("bytes") > 0);
        }
        heard.lock().unwrap().push(String::from_utf8(said).expect("text"));
        let answer = if turn % 2 == 0 {
            let cookie = |n: usize| url::form_urlencoded::byte_serialize(cookies[n].as_bytes()).collect::<String>();
            let fields = json!({
                "c0": captured[0], "c1": captured[1], "list": [{ "c2": captured[2] }], "c3": captured[3],
                "c4": captured[4], "c5": captured[5], "refresh_token": fields[0], "client-secret": fields[1],
            });
            format!("set-cookie: sid={}; Path=/\nset-cookie: b={}\n\n{fields}", cookie(0), cookie(1))
        } else {
            let all = CANARIES.iter().flat_map(|(kind, count)| (0..*count).map(|n| canary(kind, n)));
            // A cookie is known as it was set.
            let cookie = |value: String| url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
            let all = all.map(|value| if value.starts_with("Cookie") { cookie(value) } else { value });
            let all: Vec<_> = all.flat_map(|value| forms(&value)).collect();
            let short: String = all.iter().take(3).map(|form| form.replace('\n', "")).collect();
            format!("x-echo: {short}\n\n{MARKER}\n{}", all.join("\n"))
        };
        stream.write_all(answer.as_bytes()).await.expect("it listens");
    }
}

fn probes(address: &str) -> String {
    let holes = |kind: &str, count: usize| (0..count).map(|n| format!("{kind}{n}")).collect::<Vec<_>>();
    let secrets = holes("env", 5).into_iter().chain(holes("file", 5)).map(|name| format!("${{secret:{name}}} "));
    let captures: Vec<_> = holes("c", 6).into_iter().map(|name| format!("{{{{{name}}}}}")).collect();
    let captures = captures.join(" ");
    format!(
        "bird:
  steps:
    - name: give
      parrot: {{ address: \"{address}\", say: \"{}\" }}
      capture: {{ c0: json.c0, c1: json.c1, c2: 'json.list[0].c2', c3: json.c3, c4: json.c4, c5: json.c5 }}
    - name: take
      parrot: {{ address: \"{address}\", say: \"{captures}\" }}
      expect:
        - body == \"x\"
        - body.startsWith(captures.c1)
        - headers[\"x-echo\"] == \"x\"
        - captures.c0 == \"x\"
        - json.c0 == 1
",
        secrets.collect::<String>()
    )
}

/// The plan, with its directory, which goes when the test ends.
fn plan(address: &str) -> (tempfile::TempDir, Arc<Plan>, Arc<SystemClock>) {
    let mut declared = String::from("secrets:\n");
    for n in 0..5 {
        let _ = write!(declared, "  env{n}: {{ env: CANARY_{n} }}\n  file{n}: {{ file: file-{n} }}\n");
    }
    let directory = configuration(&[
        ("roundsman.yaml", &declared),
        ("probes/p.yaml", &probes(address)),
        ("schedules/s.yaml", "often: { every: 1s, probes: [bird], alert: { after: 1, severity: P1 } }\n"),
    ]);
    for n in 0..5 {
        std::fs::write(directory.path().join(format!("file-{n}")), canary("File", n)).expect("a file");
    }
    let clock = Arc::new(SystemClock::start());
    let surroundings = Surroundings {
        kinds: Kinds {
            probers: PARROT,
            channels: notifiers::CHANNELS,
            publishers: publishers::PUBLISHERS,
            ping: notifiers::ping::build,
        },
        environment: Arc::new(|name: &str| {
            name.strip_prefix("CANARY_").and_then(|n| n.parse().ok()).map(|n| canary("Env", n))
        }),
        clock: Arc::clone(&clock) as _,
        http: client::shared().expect("a client"),
        pulses: Arc::default(),
        billed: roundsman::app::aws::billed::billed,
    };
    let loaded = load(directory.path(), &surroundings);
    let plan = loaded.plan.unwrap_or_else(|| panic!("{}", loaded.problems.render(false)));
    (directory, Arc::new(plan), clock)
}

/// Everything that this thread logs, down to the least.
fn logs() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let logged = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&logged);
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    let subscriber = subscriber.with_writer(move || Sink(Arc::clone(&sink))).finish();
    (logged, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn no_secret_and_no_captured_value_is_seen_anywhere() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut birds = JoinSet::new();
    birds.spawn(parrot(listener, Arc::clone(&heard)));
    let (directory, plan, clock) = plan(&address);
    let (logged, logging) = logs();

    let whole = run(&plan, &clock, "bird", true).await;
    let kept = run(&plan, &clock, "bird", false).await;
    birds.abort_all();
    for run in [&whole, &kept] {
        assert!(matches!(&run.verdict, Verdict::Failed(failures) if failures.len() == 5), "{:?}", run.verdict);
    }
    let heard = heard.lock().unwrap().concat();
    for kind in ["Env", "File", "Captured"] {
        assert!(heard.contains(&canary(kind, 0)), "the parrot was told nothing of {kind}");
    }

    let state = directory.path().join("state/roundsman.db");
    let opened = store::open(&state).expect("a store");
    let mut commit = Commit::default();
    let mut ledger = Ledger::open(Arc::clone(&plan), Loaded::default(), clock.now(), &mut commit);
    ledger.take_run(kept.clone(), clock.now(), &mut commit);
    let incident = commit.incidents.last().cloned().expect("an incident");
    opened.commit(commit.into()).await.expect("it is stored");
    let story = opened.incident(&incident.id).await.expect("it is read").expect("it is there");
    assert_eq!(story.bundles.len(), 1);
    assert_eq!(story.bundles[0].bundle.steps.len(), 2);

    let mut shown = BTreeMap::from([
        ("once --verbose", format!("{}{}", report::text(&whole), detail::text(&whole))),
        ("once --verbose --format json", report::json(std::slice::from_ref(&whole), true).to_string()),
        ("once", report::text(&kept)),
        ("once --format junit", String::from_utf8(junit::document(&[kept]).expect("XML")).expect("text")),
        ("a message", format!("{} {:?}", incident.summary(), story.moments)),
        ("the status page", page_of(&plan, &clock, &opened, "/").await),
        ("the page of the incident", page_of(&plan, &clock, &opened, &format!("/incidents/{}", incident.id)).await),
    ]);
    opened.close().await;
    tracing::info!("{}", incident.summary());
    drop(logging);
    shown.insert("the log", String::from_utf8_lossy(&logged.lock().unwrap()).into_owned());
    assert!(shown["the log"].contains("bird is failing"), "{}", shown["the log"]);
    shown.insert("the store", String::from_utf8_lossy(&std::fs::read(&state).expect("a file")).into_owned());
    for place in ["once --verbose", "once --verbose --format json", "the page of the incident", "the store"] {
        assert!(shown[place].contains(MARKER), "{place} shows no exchange:\n{}", shown[place]);
    }
    let mut hits = Vec::new();
    for (kind, count) in CANARIES {
        for n in 0..count {
            let cookie: String = url::form_urlencoded::byte_serialize(canary(kind, n).as_bytes()).collect();
            let forms = forms(&canary(kind, n)).into_iter().chain(forms(&cookie)).chain(ends(kind, n));
            for (form, (place, text)) in forms.flat_map(|form| shown.iter().map(move |at| (form.clone(), at))) {
                if text.contains(&form) {
                    hits.push(format!("{place}: {kind}{n} as {form}"));
                }
            }
        }
    }
    assert!(hits.is_empty(), "{}\n{}", hits.join("\n"), shown["the page of the incident"]);
}
