//! The listener, over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fixture::{Fixed, INCIDENT, NOW, Past, Reader, broken, incident, plan, story};
use crate::domain::incident::{Incident, IncidentId};
use crate::domain::names::SecretName;
use crate::domain::outcome::{Failure, Observation};
use crate::domain::pulse::TokenDigest;
use crate::domain::time::Timestamp;
use crate::engine::plan::{Plan, Tokens};
use crate::engine::pulses::Pulses;
use crate::engine::testing::{TestClock, plan_of, probe};
use crate::ports::{Clock, Exposition, IncidentStory, Overview, Prober, StatusReader, StepContext, StoreError, Token};
use crate::web::access::{Asked, Caller, Refusal, admit};
use crate::web::table::{Entry, Scope};
use crate::web::{Web, serve};

/// A page on a port of its own; it ends with the guard.
pub struct Served {
    address: SocketAddr,
    pub clock: Arc<TestClock>,
    ready: watch::Sender<bool>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _plan: watch::Sender<Arc<Plan>>,
}

struct Metrics;

impl Exposition for Metrics {
    fn text(&self) -> String {
        "# EOF\n".to_owned()
    }
}

/// What pages of a plan are made of, of which nothing is known.
pub fn bare(plan: watch::Receiver<Arc<Plan>>, ready: watch::Receiver<bool>, clock: Arc<TestClock>) -> Web {
    Web {
        reader: Arc::new(Reader::default()),
        history: Arc::new(Past::default()),
        clock,
        plan,
        page: Arc::new(|| None),
        ready,
        pings: Arc::new(Pulses::default()),
        desk: Arc::default(),
        unrecorded: Arc::default(),
        loadings: Arc::default(),
        reckon: Arc::new(|_, _| Ok(crate::web::reckoning::Reckoned::default())),
    }
}

/// A page of a plan, of which nothing is known but what the test furnishes it with.
pub async fn serving(plan: Plan, furnish: impl FnOnce(&mut Web)) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clock = TestClock::starting(NOW);
    let (plans, plan) = watch::channel(Arc::new(plan));
    let (ready, is_ready) = watch::channel(true);
    let stop = CancellationToken::new();
    let mut web = bare(plan, is_ready, Arc::clone(&clock));
    furnish(&mut web);
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, web, stop.clone()));
    Served { address, clock, ready, stop, tasks, _plan: plans }
}

async fn served_by(plan: Plan, reader: Arc<dyn StatusReader>, metrics: bool) -> Served {
    served_with(plan, reader, Past::default(), metrics).await
}

/// Pages of a plan, of how it stands and of what was.
pub async fn served_with(plan: Plan, reader: Arc<dyn StatusReader>, past: Past, metrics: bool) -> Served {
    serving(plan, |web| {
        (web.reader, web.history) = (reader, Arc::new(past));
        web.page = Arc::new(move || metrics.then(|| Arc::new(Metrics) as Arc<dyn Exposition>));
    })
    .await
}

async fn served(plan: Plan) -> Served {
    let reader = Reader { overview: broken(), story: Some(story(incident())) };
    served_by(plan, Arc::new(reader), true).await
}

impl Served {
    /// Everything that comes back for a request line and headers, up to the end of the connection.
    pub async fn ask(&self, line: &str, headers: &[&str]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let headers = headers.iter().fold(String::new(), |headers, header| headers + header + "\r\n");
        let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        all(&mut stream).await
    }

    pub async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path}"), &["Host: localhost"]).await
    }
}

async fn all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A peer that cuts a connection may reset it; what came before counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// The status of an answer.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn every_answer_carries_the_headers() {
    let mut plan = plan();
    let open = served(plan.clone()).await;
    plan.web.tokens = Tokens::one(Token::Secret("page".parse().unwrap()));
    let closed = served(plan).await;
    let incident = format!("/incidents/{INCIDENT}");
    for (expected, answer) in [
        (200, open.get("/").await),
        (200, open.get(&incident).await),
        (404, open.get("/incidents/other").await),
        (404, open.get(&format!("/incidents/{}", "a".repeat(2_000))).await),
        (400, open.get("/incidents/%ff").await),
        (200, open.get("/style.css").await),
        (200, open.get("/healthz").await),
        (404, open.get("/etc/passwd").await),
        (405, open.ask("POST /", &["Host: localhost", "Content-Length: 0"]).await),
        (421, open.ask("GET /", &["Host: evil.example"]).await),
        (401, closed.get("/").await),
    ] {
        assert_eq!(status(&answer), expected, "{answer}");
        for header in [
            "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
             img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'\r\n",
            "x-content-type-options: nosniff\r\n",
            "referrer-policy: same-origin\r\n",
        ] {
            assert!(answer.contains(header), "{header} is missing: {answer}");
        }
        // Only what is the same for everybody is kept, and asked for again.
        let kept =
            if answer.contains("text/css") { "cache-control: no-cache\r\n" } else { "cache-control: no-store\r\n" };
        assert!(answer.contains(kept), "{answer}");
    }
}

#[tokio::test]
async fn a_token_opens_everything_and_nothing_else_does() {
    let mut plan = plan();
    plan.web.tokens = Tokens::one(Token::Secret("page".parse().unwrap()));
    plan.secrets = Arc::new(Fixed(Some("correct-horse")));
    let with_token = served(plan.clone()).await;
    plan.secrets = Arc::new(Fixed(None));
    let without_secret = served(plan).await;
    let incident = format!("/incidents/{INCIDENT}");
    let guarded = ["/", incident.as_str(), "/events", "/metrics", "/nothing"];
    // Where the secret is not to be had, whoever gives a token hears so, and whoever gives none is asked for one.
    for (credential, opens, unknown) in [
        (None, false, 401),
        (Some("Bearer correct-horse"), true, 503),
        (Some("Basic YW55Ym9keTpjb3JyZWN0LWhvcnNl"), true, 503),
        (Some("Bearer correct-hors"), false, 503),
        (Some("Bearer "), false, 401),
        (Some("Bearer"), false, 401),
        (Some("Basic Y29ycmVjdC1ob3JzZTo="), false, 401),
        (Some("correct-horse"), false, 401),
    ] {
        let credential = credential.map(|credential| format!("Authorization: {credential}"));
        let headers: Vec<_> = ["Host: anything.example"].into_iter().chain(credential.as_deref()).collect();
        for path in guarded {
            let answer = with_token.ask(&format!("GET {path}"), &headers).await;
            let expected = match (opens, path) {
                (false, _) => 401,
                (true, "/nothing") => 404,
                // Nobody tells what changes before the engine is there.
                (true, "/events") => 503,
                (true, _) => 200,
            };
            assert_eq!(status(&answer), expected, "{path} with {credential:?}: {answer}");
            assert_eq!(
                answer.contains("www-authenticate: Basic realm=\"Roundsman\", charset=\"UTF-8\"\r\n"),
                !opens,
                "{answer}"
            );
            let answer = without_secret.ask(&format!("GET {path}"), &headers).await;
            assert_eq!(status(&answer), unknown, "never open: {path} with {credential:?}");
        }
        for path in ["/healthz", "/readyz"] {
            assert_eq!(status(&without_secret.ask(&format!("GET {path}"), &headers).await), 200, "{path}");
        }
    }
}

#[tokio::test]
async fn without_a_token_only_its_own_names_open_it() {
    let mut plan = plan();
    plan.web.url = Some("https://rounds.example:8443/shop".to_owned());
    let served = served(plan).await;
    for (host, expected) in [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8080", 200),
        ("rounds.example", 200),
        ("rounds.example:443", 200),
        ("localhost.evil.example", 421),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1", 421),
        ("localhost@evil.example", 421),
        ("", 421),
    ] {
        let answer = served.ask("GET /", &[&format!("Host: {host}")]).await;
        assert_eq!(status(&answer), expected, "{host}: {answer}");
    }
    for (line, headers) in [
        ("GET http://evil.example/", &["Host: localhost"][..]),
        ("GET /", &["Host: localhost", "Host: evil.example"]),
        ("GET /", &[]),
    ] {
        assert_eq!(status(&served.ask(line, headers).await), 421, "{line} {headers:?}");
    }
    assert_eq!(
        status(&served.ask("GET /healthz", &["Host: evil.example"]).await),
        200,
        "it says nothing of the target"
    );
}

#[tokio::test]
async fn beyond_loopback_nothing_is_shown_without_a_token() {
    let plan = plan();
    let headers = http::HeaderMap::from_iter([(http::header::HOST, "localhost".parse().unwrap())]);
    for (scope, expected) in
        [(Scope::Read, Err(Refusal::Unknown)), (Scope::Open, Ok(Caller { user: None, by_token: false, address: None }))]
    {
        let entry = Entry { scope, is_form: false };
        let uri = http::Uri::from_static("/");
        let asked = Asked { entry, method: &http::Method::GET, uri: &uri, headers: &headers, peer: None };
        assert_eq!(admit(&plan, "0.0.0.0:80".parse().unwrap(), &asked).await, expected);
    }
}

#[tokio::test]
async fn it_is_ready_when_the_state_is_loaded() {
    let served = served_by(plan(), Arc::new(Reader::default()), false).await;
    served.ready.send_replace(false);
    assert!(served.get("/healthz").await.ends_with("\r\n\r\nok\n"));
    let answer = served.get("/readyz").await;
    assert!(status(&answer) == 503 && answer.ends_with("\r\n\r\nstarting\n"), "{answer}");
    let answer = served.get("/").await;
    assert!(status(&answer) == 503 && answer.contains("Roundsman is starting."), "{answer}");
    assert_eq!(status(&served.get("/metrics").await), 503);
    served.ready.send_replace(true);
    let answer = served.get("/readyz").await;
    assert!(status(&answer) == 200 && answer.ends_with("\r\n\r\nready\n"), "{answer}");
    assert!(served.get("/").await.contains("No probe has run yet."));
    let answer = served.get("/metrics").await;
    assert!(status(&answer) == 404 && answer.ends_with("write `prometheus:` under `publish:`\n"), "{answer}");
}

#[tokio::test]
async fn metrics_are_openmetrics() {
    let answer = served(plan()).await.get("/metrics").await;
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\n# EOF\n"), "{answer}");
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let answer = served(plan()).await.ask("HEAD /", &["Host: localhost"]).await;
    assert!(status(&answer) == 200 && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_cut_after_ten_seconds() {
    let served = served(plan()).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await.unwrap();
    let began = served.clock.monotonic();
    let answer = all(&mut stream).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    let took = served.clock.monotonic().since(began).as_secs();
    assert!((10..=11).contains(&took), "{took} s");
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let served = served(plan()).await;
    let large = format!("X-Large: {}", "x".repeat(32 * 1024));
    let answer = served.ask("GET /", &["Host: localhost", &large]).await;
    assert_ne!(status(&answer), 200, "{answer}");
    assert_eq!(status(&served.get("/").await), 200, "others are served");
}

#[tokio::test]
async fn connections_that_ask_nothing_make_room_for_one_that_asks() {
    let served = served(plan()).await;
    let began = served.clock.monotonic();
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        idle.push(stream);
    }
    assert_eq!(status(&served.get("/healthz").await), 200);
    assert_eq!(all(&mut idle[0]).await, "", "it has asked nothing for longest");
    assert!(served.clock.monotonic().since(began) < Duration::from_secs(9), "nobody was waited for");
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_told_although_somebody_is_connected() {
    let mut served = served(plan()).await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(status(&served.get("/healthz").await), 200);
    let told = served.clock.monotonic();
    served.stop.cancel();
    served.tasks.join_next().await.unwrap().unwrap();
    assert!(served.clock.monotonic().since(told) <= Duration::from_secs(3));
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
}

/// A store that never answers, or answers that it cannot.
struct Unwell(Option<&'static str>);

impl Unwell {
    async fn say<T>(&self) -> Result<T, StoreError> {
        match self.0 {
            Some(reason) => Err(StoreError::Failed(reason.to_owned())),
            None => std::future::pending().await,
        }
    }
}

impl StatusReader for Unwell {
    fn overview(&self, _: Timestamp) -> BoxFuture<'_, Result<Overview, StoreError>> {
        Box::pin(self.say())
    }
    fn incident(&self, _: &IncidentId) -> BoxFuture<'_, Result<Option<IncidentStory>, StoreError>> {
        Box::pin(self.say())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_said() {
    for (reader, reason) in [
        (Unwell(Some("disk full")), "the store failed: disk full"),
        (Unwell(None), "the store failed: no answer within 5 s"),
    ] {
        let served = served_by(plan(), Arc::new(reader), false).await;
        for path in ["/", "/incidents/any"] {
            let answer = served.get(path).await;
            assert!(status(&answer) == 503 && answer.contains(reason), "{answer}");
            assert!(answer.contains("The store cannot be read."), "{answer}");
        }
        assert!(served.get("/healthz").await.ends_with("\r\n\r\nok\n"), "which asks no store");
    }
}

/// Waits for a job with a token.
struct Waiting(Token);

impl Prober for Waiting {
    fn probe<'a>(&'a self, _: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(std::future::ready(Ok(Observation::default())))
    }
    fn token(&self) -> Option<&Token> {
        Some(&self.0)
    }
}

#[tokio::test]
async fn a_ping_is_answered_for_only_when_it_is_recorded() {
    let waiting = |token: Token| {
        let (mut plan, mut job) = (plan_of(Vec::new()), probe("job"));
        job.steps[0].action = Arc::new(Waiting(token));
        plan.probes.insert(job.name.clone(), Arc::new(job));
        plan
    };
    // Nothing records in these tests, as when the store rests.
    let served_job = served(waiting(Token::Known(TokenDigest::of("0123456789abcdef")))).await;
    let answer = served_job.get("/ping/0123456789abcdef").await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("retry-after: 5") && answer.ends_with("heard and not recorded: ping again\n"), "{answer}");
    assert_eq!(status(&served_job.get("/ping/0123456789abcdeg").await), 404);
    served_job.ready.send_replace(false);
    assert!(served_job.get("/ping/0123456789abcdef").await.ends_with("starting\n"));

    let unreadable = served(waiting(Token::Secret(SecretName::parse("gone").unwrap()))).await;
    let answer = unreadable.get("/ping/0123456789abcdef").await;
    assert_eq!(status(&answer), 503, "it may be the right one: {answer}");
}

/// The body of an answer as JSON.
fn body(answer: &str) -> serde_json::Value {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("content-type: application/json\r\n")
            || head.contains("content-type: application/problem+json\r\n"),
        "{head}"
    );
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn programs_read_incidents_without_secrets() {
    let mut incident = incident();
    Arc::make_mut(&mut incident.latest_failures)[0].actual = Some("hunter2 \u{1b}[2J".to_owned());
    let told = Reader { overview: broken(), story: Some(story(incident)) };
    let over = Incident { resolved_at: Some(NOW.parse().unwrap()), ..self::incident() };
    let past = Past { incidents: vec![over], ..Past::default() };
    let served = served_with(plan(), Arc::new(told), past, true).await;
    let story = body(&served.get(&format!("/api/v1/incidents/{INCIDENT}")).await);
    insta::assert_snapshot!(format!("{story:#}"));
    let open = body(&served.get("/api/v1/incidents").await);
    assert_eq!((&open["open"][0]["id"], open.get("resolved")), (&INCIDENT.into(), None));
    let both = body(&served.get("/api/v1/incidents?resolved=1").await);
    assert_eq!(both["resolved"][0]["is_open"], false);
    for (path, expected) in [
        ("/api/v1/incidents?resolve=1", 400),
        ("/api/v1/incidents/other", 404),
        (&format!("/api/v1/incidents/{}", "a".repeat(65)), 404),
        ("/api/v1/nothing", 404),
        ("/api/v2/incidents", 404),
        ("/api/v1/deliveries", 503),
    ] {
        let answer = served.get(path).await;
        assert_eq!(status(&answer), expected, "{path}: {answer}");
        assert!(path.starts_with("/api/v2") || body(&answer)["detail"].is_string(), "{answer}");
    }
    served.ready.send_replace(false);
    let answer = served.get("/api/v1/incidents").await;
    assert_eq!(
        (status(&answer), &body(&answer)["detail"]),
        (503, &"Roundsman is starting or stopping: try again".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let mut plan = plan();
    plan.web.tokens = Tokens::one(Token::Secret("page".parse().unwrap()));
    plan.secrets = Arc::new(Fixed(Some("correct-horse")));
    let served = served(plan).await;
    let headers = [
        "Host: localhost",
        "Authorization: Bearer correct-horse",
        "Content-Type: application/json",
        "Content-Length: 100",
    ];
    let began = served.clock.monotonic();
    let answer = served.ask("POST /api/v1/silences", &headers).await;
    assert_eq!(status(&answer), 408, "{answer}");
    assert_eq!(served.clock.monotonic().since(began).as_secs(), 10);
    let whole = r#"{"matchers":{"probes":["x"]},"by":"ann","reason":"x","for":"1h"}"#;
    let length = format!("Content-Length: {}\r\n\r\n{whole}", whole.len());
    let answer = served.ask("POST /api/v1/silences", &[headers[0], headers[1], headers[2], &length]).await;
    assert_eq!(status(&answer), 503, "nobody stands behind the desk: {answer}");
}
