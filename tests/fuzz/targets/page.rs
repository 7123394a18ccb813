//! What a target said, where people read it: on a page, in a mail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use futures::future::BoxFuture;
use html5gum::{Token, Tokenizer};
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use roundsman::app::wiring::KINDS;
use roundsman::clock::SystemClock;
use roundsman::config::load::{Surroundings, load_url};
use roundsman::domain::expression::{Explanation, Part};
use roundsman::domain::history::{Grain, IncidentsAsked, IncidentsFound, RunsAsked, RunsFound, StoreSize, Stretch};
use roundsman::domain::incident::{Event, Hearers, Incident, IncidentId, Moment, Severity, Version};
use roundsman::domain::judge::Aspect;
use roundsman::domain::names::{ProbeName, ScheduleName};
use roundsman::domain::outcome::{Failure, FailureKind, Run, RunId, Verdict};
use roundsman::domain::text::is_hidden;
use roundsman::domain::time::Timestamp;
use roundsman::engine::plan::Plan;
use roundsman::net::client;
use roundsman::notifiers::message::{SUBJECT_MAX, TEXT_BYTES_MAX, subject, text};
use roundsman::ports::{
    HistoryReader, IncidentStory, Notification, Overview, Pair, RunStory, StatusReader, StoreError,
};
use roundsman::web::Web;
use roundsman::web::routes::router;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::Taken;

/// The page of the incident here.
const INCIDENT: &str = "01KB2H8Q4V0000000000000000";

/// Any text that a target may have sent, in every place where it can be shown.
///
/// A page has the elements and attributes that it has with a plain word there, but for code between backticks; nothing steers a terminal; a subject is one
/// line of ASCII, and a text has no more lines than it has with a plain word.
pub fn target(data: &[u8]) -> Taken {
    let said = String::from_utf8_lossy(data);
    if said.trim().is_empty() {
        return Taken::No;
    }
    let incident = incident(&said);
    for (page, plain) in pages(&incident).iter().zip(pages(&self::incident("plain"))) {
        assert_eq!(skeleton(page), skeleton(&plain), "for {said:?}");
        assert_eq!(page.find(|c| is_hidden(c) && c != '\n'), None, "for {said:?}");
    }
    let (notification, plain) = (notification(incident), notification(self::incident("plain")));
    let line = subject(&notification);
    assert!(line.len() <= SUBJECT_MAX && line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
    let letter = text(&notification);
    assert!(letter.len() <= TEXT_BYTES_MAX && !letter.contains(|c| is_hidden(c) && c != '\n'), "{letter:?}");
    assert_eq!(letter.lines().count(), text(&plain).lines().count(), "{letter:?}");
    Taken::Yes
}

/// The elements of a page with the names of their attributes, without any text.
fn skeleton(page: &str) -> Vec<String> {
    let tokens = Tokenizer::new(page).map(|token| match token.unwrap() {
        Token::StartTag(tag) => {
            let names: Vec<_> = tag.attributes.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            format!("<{} {}>", String::from_utf8_lossy(&tag.name), names.join(" "))
        }
        Token::EndTag(tag) => format!("</{}>", String::from_utf8_lossy(&tag.name)),
        Token::String(_) => String::new(),
        other => format!("{other:?}"),
    });
    // What stands between backticks is drawn as code, whoever wrote the backticks, and nothing can hang from it.
    tokens.filter(|token| !matches!(&**token, "" | "<code >" | "</code>")).collect()
}

fn at() -> Timestamp {
    "2026-11-24T09:14:01Z".parse().unwrap()
}

fn failures(said: &str) -> Vec<Failure> {
    let assertion = Failure::of_assertion(Explanation {
        expression: said.to_owned(),
        parts: vec![Part { expression: said.to_owned(), value: said.to_owned() }],
        reason: Some(said.to_owned()),
    });
    vec![assertion, Failure::new(FailureKind::TlsWrongName, said).with(said, said)]
}

fn incident(said: &str) -> Incident {
    let schedule: ScheduleName = "often".parse().unwrap();
    Incident {
        resolved_because: Some(said.to_owned()),
        firing: [(schedule.clone(), Severity::P1)].into(),
        schedules: vec![schedule],
        first_failures: failures(said).into(),
        latest_failures: failures(said).into(),
        labels: [("note".to_owned(), said.to_owned())].into(),
        transitions: 1,
        ..Incident::opened(
            IncidentId(Arc::from(INCIDENT)),
            probe(),
            Aspect::Failing,
            Severity::P1,
            RunId(Arc::from("01RUN")),
            at(),
        )
    }
}

fn probe() -> ProbeName {
    "shop.example.com".parse().unwrap()
}

fn notification(incident: Incident) -> Notification {
    let (at, site) = (at(), "shop".to_owned());
    Notification {
        event: Event::Opened,
        incident,
        transition: 1,
        at,
        site,
        url: None,
        late: false,
        plain: false,
        group: None,
        unrecorded: false,
    }
}

#[derive(Clone)]
struct Told {
    overview: Overview,
    story: IncidentStory,
}

impl StatusReader for Told {
    fn overview(&self, _: Timestamp) -> BoxFuture<'_, Result<Overview, StoreError>> {
        Box::pin(std::future::ready(Ok(self.overview.clone())))
    }
    fn incident(&self, _: &IncidentId) -> BoxFuture<'_, Result<Option<IncidentStory>, StoreError>> {
        Box::pin(std::future::ready(Ok(Some(self.story.clone()))))
    }
}

impl HistoryReader for Told {
    fn history(
        &self,
        _: BTreeSet<Pair>,
        _: Timestamp,
        _: Timestamp,
        _: Grain,
    ) -> BoxFuture<'_, Result<BTreeMap<Pair, Vec<Stretch>>, StoreError>> {
        Box::pin(std::future::ready(Ok(BTreeMap::new())))
    }
    fn runs(&self, _: RunsAsked) -> BoxFuture<'_, Result<RunsFound, StoreError>> {
        let runs = self.overview.last.values().cloned().collect();
        Box::pin(std::future::ready(Ok(RunsFound { runs, more: false })))
    }
    fn run(&self, _: &RunId) -> BoxFuture<'_, Result<Option<RunStory>, StoreError>> {
        let run = self.overview.last.values().next().cloned();
        Box::pin(std::future::ready(Ok(run.map(|run| RunStory { run, bundle: None }))))
    }
    fn incidents(&self, _: IncidentsAsked) -> BoxFuture<'_, Result<IncidentsFound, StoreError>> {
        let incidents = vec![self.story.incident.clone()];
        Box::pin(std::future::ready(Ok(IncidentsFound { incidents, more: false, hearers: BTreeMap::new() })))
    }
    fn changes(&self, _: &ProbeName, _: Timestamp, _: Timestamp) -> BoxFuture<'_, Result<Vec<Version>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    fn size(&self) -> BoxFuture<'_, Result<StoreSize, StoreError>> {
        Box::pin(std::future::ready(Ok(StoreSize::default())))
    }
}

/// The status page and the page of the incident.
fn pages(incident: &Incident) -> Vec<String> {
    thread_local! {
        static PLAN: Arc<Plan> = plan();
    }
    let mut overview = Overview { open: vec![incident.clone()], ..Overview::default() };
    let run = Run {
        id: RunId(Arc::from("01RUN")),
        location: Arc::from("here"),
        probe: probe(),
        schedule: None,
        extra: None,
        slot: at(),
        due_at: at(),
        started_at: at(),
        duration: Duration::from_millis(12),
        lateness: Duration::ZERO,
        verdict: Verdict::Failed(incident.latest_failures.to_vec()),
        steps: Vec::new(),
        bundle: None,
    };
    overview.last.insert(("often".parse().unwrap(), probe()), run);
    let said = incident.labels["note"].clone();
    let moment = Moment { incident: incident.id.clone(), at: at(), what: said.clone(), text: said.clone() };
    let told = vec![roundsman::ports::Told {
        channel: "pager".parse().unwrap(),
        event: Event::Opened,
        committed_at: at(),
        settled_at: None,
        fate: roundsman::ports::Fate::Waits,
        became: said.clone(),
        attempts: 2,
        said: Some(said),
    }];
    let story = IncidentStory {
        hearers: Hearers::default(),
        incident: incident.clone(),
        moments: vec![moment],
        told,
        bundles: Vec::new(),
        diagnoses: Vec::new(),
        nearby: vec![incident.clone()],
    };
    let told = Arc::new(Told { overview, story });
    let web = Web {
        reader: Arc::clone(&told) as _,
        history: told,
        clock: Arc::new(SystemClock::start()),
        plan: watch::channel(PLAN.with(Arc::clone)).1,
        page: Arc::new(|| None),
        ready: watch::channel(true).1,
        pings: Arc::new(roundsman::engine::pulses::Pulses::default()),
        desk: Arc::default(),
        unrecorded: Arc::default(),
        loadings: Arc::default(),
        reckon: Arc::new(|_, _| Ok(roundsman::web::reckoning::Reckoned::default())),
    };
    let service = TowerToHyperService::new(router(web, "127.0.0.1:80".parse().unwrap(), TaskTracker::new()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let get = async |path: &str| {
        let request = Request::get(path).header(header::HOST, "127.0.0.1").body(Body::empty()).unwrap();
        let response = service.call(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    runtime.block_on(async { vec![get("/?still").await, get(&format!("/incidents/{INCIDENT}")).await] })
}

/// A plan with one probe.
fn plan() -> Arc<Plan> {
    let surroundings = Surroundings {
        kinds: KINDS,
        environment: Arc::new(|_: &str| None),
        clock: Arc::new(SystemClock::start()),
        http: client::shared().unwrap(),
        pulses: Arc::default(),
        billed: |_| BTreeMap::new(),
    };
    Arc::new(load_url("https://shop.example.com", &surroundings).plan.unwrap())
}
