//! A day that is really made, under simulated time: the scheduler, the runner and the publisher of CloudWatch as they are, and
//! in the place of the network somebody who counts. What it comes to is what was foretold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use chrono::TimeDelta;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::app::aws::billed::billed;
use crate::app::wiring::KINDS;
use crate::config::load::{Surroundings, load};
use crate::config::prices;
use crate::domain::aws_call::AwsCall;
use crate::domain::bill::demand::{DAYS_OF_MONTH, Demand};
use crate::domain::bill::lines::{Bill, TOTAL};
use crate::domain::bill::prices::Thing;
use crate::domain::metric::Sample;
use crate::domain::names::ProbeName;
use crate::domain::outcome::{Failure, Observation};
use crate::domain::time::{Timestamp, between};
use crate::engine::fanout::Fanout;
use crate::engine::forecast::Forecast;
use crate::engine::plan::{Plan, PlannedProbe, PlannedStep};
use crate::engine::start::{Engine, Rooms};
use crate::engine::testing::{Debts, NoTicks, TestClock, at, plan_of, schedule_of};
use crate::net::aws::Aws;
use crate::net::client;
use crate::ports::{Clock as _, Exposition, Foretold, Prober, PublishError, Publisher, PublisherFactory, StepContext};
use crate::publishers::cloudwatch::{CloudWatch, Manner, Namespace};
use crate::settings::Problems;

const BEGIN: &str = "2026-11-24T00:00:00Z";

/// How long after its beginning the values of a minute are sent.
const SENT_AFTER: TimeDelta = TimeDelta::seconds(65);

/// When a request came, and the series that are in it.
type Came = (Timestamp, Vec<String>);

/// Requests as they come to the service.
#[derive(Clone, Default)]
struct Service(Arc<Mutex<Vec<Came>>>);

/// What the SDK sends through.
#[derive(Clone)]
struct Wire {
    service: Service,
    clock: Arc<TestClock>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        assert!(
            request.uri().ends_with("/service/GraniteServiceVersion20100801/operation/PutMetricData"),
            "{}",
            request.uri()
        );
        // Large requests are compressed; those are only counted.
        let is_plain = request.headers().get("content-encoding").is_none();
        let series = if is_plain { series(request.body().bytes().unwrap()) } else { Vec::new() };
        self.service.0.lock().unwrap().push((self.clock.now(), series));
        let mut answer = HttpResponse::new(200_u16.try_into().unwrap(), Vec::new().into());
        answer.headers_mut().insert("x-amzn-requestid", "R1");
        answer.headers_mut().insert("smithy-protocol", "rpc-v2-cbor");
        HttpConnectorFuture::ready(Ok(answer))
    }
}

/// The names of the metrics of a request, each with its dimensions.
fn series(body: &[u8]) -> Vec<String> {
    let body = cbor(&mut &*body);
    let data = body["MetricData"].as_array().unwrap();
    data.iter().map(|datum| format!("{} {}", datum["MetricName"], datum["Dimensions"])).collect()
}

/// The next value, of the kinds that requests have.
fn cbor(rest: &mut &[u8]) -> serde_json::Value {
    let take = |rest: &mut &[u8], count: usize| {
        let (taken, after) = rest.split_at(count);
        *rest = after;
        taken.to_vec()
    };
    let number = |bytes: Vec<u8>| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let head = take(rest, 1)[0];
    let (kind, short) = (head >> 5, head & 31);
    let is_open = short == 31;
    let length = match short {
        0..=23 => u64::from(short),
        24..=27 => number(take(rest, 1 << (short - 24))),
        _ => u64::MAX,
    };
    let ends = |rest: &mut &[u8]| is_open && rest.strip_prefix(&[0xff]).inspect(|after| *rest = after).is_some();
    match kind {
        0 => length.into(),
        1 => (-1 - i64::try_from(length).unwrap()).into(),
        3 => String::from_utf8(take(rest, usize::try_from(length).unwrap())).unwrap().into(),
        4 => (0..length).map_while(|_| (!ends(rest)).then(|| cbor(rest))).collect(),
        5 => (0..length)
            .map_while(|_| (!ends(rest)).then(|| (cbor(rest).as_str().unwrap().to_owned(), cbor(rest))))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        6 => cbor(rest),
        7 if short == 27 => f64::from_bits(length).into(),
        7 if short == 26 => f64::from(f32::from_bits(u32::try_from(length).unwrap())).into(),
        7 => (short == 21).into(),
        _ => panic!("bytes are in no request"),
    }
}

/// The publisher as it is built, but for the network.
struct Published {
    real: Arc<dyn PublisherFactory>,
    wire: Wire,
    manner: Manner,
}

impl PublisherFactory for Published {
    fn identity(&self) -> String {
        self.real.identity()
    }
    fn start(&self, _: Option<&Path>) -> (Box<dyn Publisher>, Option<Arc<dyn Exposition>>) {
        let wire = SharedHttpConnector::new(self.wire.clone());
        let credentials = Credentials::new("AKIDTEST", "hunter2hunter2", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http_client_fn(move |_, _| wire.clone()))
            .build();
        let (aws, clock) = (Arc::new(Aws::configured(config)), Arc::clone(&self.wire.clock));
        (Box::new(CloudWatch::new(Namespace::default(), Arc::from("local"), aws, clock, self.manner.clone())), None)
    }
    fn check(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn calls(&self) -> Vec<AwsCall> {
        self.real.calls()
    }
    fn foretell(&self, minute: &[Sample], before: &[Sample]) -> Foretold {
        self.real.foretell(minute, before)
    }
    fn looks_back(&self) -> Duration {
        self.real.looks_back()
    }
}

/// A prober that looks at nothing, and counts what it would have asked of AWS.
struct Counted {
    calls: Vec<AwsCall>,
    made: Arc<Mutex<BTreeMap<AwsCall, u64>>>,
}

impl Prober for Counted {
    fn probe<'a>(&'a self, _: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        let mut made = self.made.lock().unwrap();
        for call in &self.calls {
            *made.entry(call.clone()).or_default() += 1;
        }
        Box::pin(std::future::ready(Ok(Observation::default())))
    }
    fn calls(&self) -> Vec<AwsCall> {
        self.calls.clone()
    }
}

/// A plan of which nothing touches the network, and those who count.
struct Simulation {
    plan: Plan,
    clock: Arc<TestClock>,
    service: Service,
    made: Arc<Mutex<BTreeMap<AwsCall, u64>>>,
}

impl Simulation {
    fn of(mut plan: Plan, clock: Arc<TestClock>) -> Self {
        let (service, made) = (Service::default(), Arc::<Mutex<BTreeMap<_, _>>>::default());
        let step = |step: &PlannedStep| PlannedStep {
            action: Arc::new(Counted { calls: step.action.calls(), made: Arc::clone(&made) }),
            when: None,
            expect: Vec::new(),
            warn: Vec::new(),
            capture: Vec::new(),
            version: None,
            ..step.clone()
        };
        for probe in plan.probes.values_mut() {
            let simulated = PlannedProbe {
                steps: probe.steps.iter().map(step).collect(),
                cleanup: probe.cleanup.iter().map(step).collect(),
                expect: Vec::new(),
                warn: Vec::new(),
                ..(**probe).clone()
            };
            *probe = Arc::new(simulated);
        }
        let real = Arc::clone(&plan.publishers["cloudwatch"]);
        let wire = Wire { service: service.clone(), clock: Arc::clone(&clock) };
        // That of the settings that the repository has, which is that of none.
        let manner = Manner { republish: Some(real.looks_back()), ..Manner::default() };
        plan.publishers =
            [("cloudwatch", Arc::new(Published { real, wire, manner }) as Arc<dyn PublisherFactory>)].into();
        Self { plan, clock, service, made }
    }

    /// Goes on until what began in a length of time from an instant on has been sent, and says what was made in that.
    async fn run(self, begin: Timestamp, length: Duration) -> Made {
        let (clock, store, end) = (self.clock, Arc::new(Debts::default()), begin + length);
        let rooms = Rooms {
            clock: Arc::clone(&clock) as _,
            ticks: Box::new(NoTicks),
            store: Arc::clone(&store) as _,
            reader: Arc::clone(&store) as _,
            plan: watch::Sender::new(Arc::new(self.plan)),
            fanout: Fanout::default(),
            threads: vec![Handle::current()],
            pulses: Arc::default(),
            unrecorded: Arc::default(),
        };
        let engine = Engine::start(rooms).await.unwrap();
        clock.sleep_until(clock.monotonic() + between(clock.now(), end) + Duration::from_secs(90)).await;
        engine.stop().await;
        let commits = store.commits.lock().unwrap();
        let runs = commits.iter().flat_map(|commit| &commit.runs);
        let runs: Vec<_> = runs.filter(|run| run.slot > begin && run.slot <= end).collect();
        assert!(runs.iter().all(|run| run.verdict.word() == "passed"), "all is well");
        let requests = self.service.0.lock().unwrap();
        let requests: Vec<_> =
            requests.iter().filter(|(at, _)| (begin + SENT_AFTER..end + SENT_AFTER).contains(at)).collect();
        Made {
            runs: runs.len() as u64,
            requests: requests.len() as u64,
            series: requests.iter().flat_map(|(_, series)| series).cloned().collect(),
            calls: self.made.lock().unwrap().clone(),
        }
    }
}

/// What was really made.
struct Made {
    runs: u64,
    requests: u64,
    series: BTreeSet<String>,
    calls: BTreeMap<AwsCall, u64>,
}

/// The configuration of the repository.
fn repository(clock: &Arc<TestClock>) -> Plan {
    let surroundings = Surroundings {
        kinds: KINDS,
        environment: Arc::new(|_: &str| None),
        clock: Arc::clone(clock) as _,
        http: client::shared().unwrap(),
        pulses: Arc::default(),
        billed,
    };
    let loaded = load(Path::new(env!("CARGO_MANIFEST_DIR")), &surroundings);
    assert_eq!(loaded.problems.render(false), "");
    loaded.plan.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_day_of_the_repository_costs_what_was_foretold() {
    let clock = TestClock::starting(BEGIN);
    let simulation = Simulation::of(repository(&clock), clock);
    let forecast = Forecast::of(&simulation.plan, at(BEGIN)).and(billed(&simulation.plan));
    let made = simulation.run(at(BEGIN), Duration::from_hours(24)).await;

    assert_eq!(made.runs, forecast.runs().day);
    assert_eq!(made.requests, forecast.publishers["cloudwatch"].requests.day);
    assert_eq!(made.series.len() as u64, forecast.publishers["cloudwatch"].series, "{:#?}", made.series);

    // The bill of what was made, thirty times over and a bit, is the bill of what was foretold.
    let prices = prices::built_in(&mut Problems::new()).unwrap();
    let mut demand = Demand::default();
    for (thing, count) in forecast.things.iter().filter(|(thing, _)| **thing != Thing::Metric) {
        demand.add(*thing, *count as f64);
    }
    demand.add(Thing::Metric, made.series.len() as f64);
    let region = Some("us-east-1".to_owned());
    let put = AwsCall::once("cloudwatch:PutMetricData", "*").of_region(region);
    demand.ask(put, made.requests as f64 * DAYS_OF_MONTH);
    for (call, times) in &made.calls {
        demand.ask(call.clone(), *times as f64 * DAYS_OF_MONTH);
    }
    let (made, foretold) = (Bill::of(&demand, &prices), Bill::of(&forecast.demand(), &prices));
    let amounts = |bill: &Bill| {
        let lines = bill.lines.iter().map(|line| format!("{}: {:.3} {}", line.what, line.quantity, line.amount));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(amounts(&made), amounts(&foretold));
    assert!((made.amount(TOTAL).0 - foretold.amount(TOTAL).0).abs() < 1e-6);
    assert!(foretold.amount(TOTAL).0 > 10.0, "{foretold:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_for_one_request_is_sent_in_as_many_as_were_foretold() {
    let clock = TestClock::starting(BEGIN);
    let mut seldom = schedule_of("seldom", "5m", 0);
    seldom.probes = (0..333).map(|n| ProbeName::parse(&format!("seldom-{n}")).unwrap()).collect();
    seldom.probes.sort();
    let mut plan = plan_of(vec![schedule_of("often", "30s", 700), seldom]);
    plan.publishers = repository(&clock).publishers;
    let simulation = Simulation::of(plan, clock);
    let forecast = Forecast::of(&simulation.plan, at(BEGIN));
    assert_eq!(forecast.runs().day, 2_880 * 700 + 288 * 333);
    assert_eq!(forecast.publishers["cloudwatch"].series, 1_033 * 3 + 1);
    // The first slots of a process are those after its start, and then each ten minutes are as these.
    let made = simulation.run(at(BEGIN) + TimeDelta::minutes(4), Duration::from_secs(600)).await;
    assert_eq!(made.runs, 20 * 700 + 2 * 333);
    assert!(made.requests > 30, "{}: some minutes have more than three thousand data", made.requests);
    assert_eq!(made.requests * 144, forecast.publishers["cloudwatch"].requests.day);
}
