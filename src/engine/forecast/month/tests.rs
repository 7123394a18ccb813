//! Small plans, and what is foretold of them.

use futures::future::BoxFuture;
use secrecy::SecretString;

use super::*;
use crate::domain::metric::{MetricName, Sample};
use crate::domain::names::SecretName;
use crate::domain::outcome::{Failure, Observation};
use crate::domain::schedule::Cadence;
use crate::engine::plan::DrillPlan;
use crate::engine::testing::{at, plan_of, probe, schedule_of, step};
use crate::ports::{
    Exposition, Foretold, Notification, Notifier, NotifyError, Prober, PublishError, Publisher, Receipt, SecretError,
    Secrets, StepContext,
};

const NOW: &str = "2026-11-24T10:00:10Z";

/// Sends ten samples a request, and has a series for each probe.
struct Tens;

impl PublisherFactory for Tens {
    fn identity(&self) -> String {
        String::new()
    }
    fn start(&self, _: Option<&std::path::Path>) -> (Box<dyn Publisher>, Option<Arc<dyn Exposition>>) {
        panic!("a forecast starts nothing")
    }
    fn check(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        panic!("a forecast asks nobody")
    }
    fn calls(&self) -> Vec<AwsCall> {
        vec![AwsCall::once("cloudwatch:PutMetricData", "*")]
    }
    fn foretell(&self, minute: &[Sample], before: &[Sample]) -> Foretold {
        let old = |sample: &Sample| minute[0].at - sample.at > chrono::TimeDelta::minutes(10);
        let durations = minute.iter().filter(|sample| sample.name == MetricName::ProbeDuration);
        let again = before.iter().filter(|sample| sample.name == MetricName::ProbeDuration && old(sample));
        let series = |sample: &Sample| sample.labels.probe.as_ref().unwrap().to_string();
        let again_series: Vec<_> = again.map(|sample| format!("{} again", series(sample))).collect();
        let count = durations.clone().count() as u64;
        Foretold { requests: count.div_ceil(10).max(1), series: durations.map(series).chain(again_series).collect() }
    }
    fn looks_back(&self) -> Duration {
        Duration::from_secs(600)
    }
}

/// A channel of AWS, and a step of it.
struct Asks(Vec<AwsCall>);

impl Notifier for Asks {
    fn notify<'a>(&'a self, _: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        panic!("a forecast tells nobody")
    }
    fn calls(&self) -> Vec<AwsCall> {
        self.0.clone()
    }
}

impl Prober for Asks {
    fn probe<'a>(&'a self, _: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        panic!("a forecast looks at nothing")
    }
    fn calls(&self) -> Vec<AwsCall> {
        self.0.clone()
    }
}

fn month(a_day: f64) -> f64 {
    a_day * DAYS_OF_MONTH
}

#[test]
fn runs_steps_and_calls_of_a_day_and_of_a_month() {
    let mut hourly = schedule_of("hourly", "1h", 1);
    hourly.cadence = Cadence::cron("0 8-17 * * 1-5", chrono_tz::Tz::UTC, at(NOW)).unwrap();
    let mut plan = plan_of(vec![hourly, schedule_of("often", "30s", 12)]);
    let mut asking = probe("probe-0");
    let call = AwsCall::once("dynamodb:DescribeTable", "arn:aws:dynamodb:*:*:table/Users").times(2);
    asking.steps[0].action = Arc::new(Asks(vec![call.clone()]));
    asking.cleanup = vec![step("away", || panic!("a forecast cleans nothing up"))];
    plan.probes.insert(asking.name.clone(), Arc::new(asking));
    let forecast = Forecast::of(&plan, at(NOW));

    let [hourly, often] = &forecast.schedules[..] else { panic!("two schedules") };
    assert_eq!(hourly.next, ["11:00:00", "12:00:00", "13:00:00"].map(|time| at(&format!("2026-11-24T{time}Z"))));
    assert_eq!((hourly.rounds.day, hourly.steps.day, hourly.calls.day), (10, 20, 20));
    assert!((hourly.rounds.month - month(50.0 / 7.0)).abs() < 1e-6);
    assert_eq!((often.rounds.day, often.runs.day, often.steps.day), (2_880, 2_880 * 12, 2_880 * 13));
    assert_eq!(often.calls.day, 2_880 * 2);
    assert_eq!(often.probes[0], (ProbeName::parse("probe-0").unwrap(), Duration::from_secs(10)));
    assert!(often.spread <= Duration::from_secs(19) && often.spread > Duration::ZERO, "{:?}", often.spread);
    assert_eq!(forecast.calls[&call].day, 2_890, "how often the step is made; it is two calls each time");
    assert_eq!(forecast.runs().day, 10 + 2_880 * 12);
}

#[test]
fn the_busiest_second_has_as_many_runs_as_start_in_it() {
    // One second has no room to spread twelve runs over.
    let plan = plan_of(vec![schedule_of("each-second", "1s", 12), schedule_of("hourly", "1h", 1)]);
    let forecast = Forecast::of(&plan, at(NOW));
    assert_eq!(forecast.peak, 13);
    assert_eq!(forecast.schedules[0].spread, Duration::ZERO);
    assert_eq!(Forecast::of(&plan_of(Vec::new()), at(NOW)).peak, 0);
}

#[test]
fn requests_are_those_of_each_minute() {
    let mut plan = plan_of(vec![schedule_of("often", "30s", 12), schedule_of("seldom", "1h", 40)]);
    plan.publishers = [("cloudwatch", Arc::new(Tens) as Arc<dyn PublisherFactory>)].into();
    let forecast = Forecast::of(&plan, at("2026-11-24T10:00:00Z"));
    // Twenty-four runs of one schedule in each minute, and once an hour the forty of the other, or most of them.
    let day = Day::of(&plan, at("2026-11-24T10:00:00Z"), Duration::ZERO);
    let runs = |samples: &[Sample]| samples.iter().filter(|s| s.name == MetricName::ProbeDuration).count() as u64;
    let minutes: Vec<_> = day.minutes().map(|minute| (runs(&minute.samples), minute.count)).collect();
    assert_eq!(minutes.iter().map(|(_, count)| count).sum::<u64>(), 1_440);
    assert_eq!(minutes.iter().map(|(runs, count)| runs * count).sum::<u64>(), 1_440 * 24 + 24 * 40);
    assert!((3..=6).contains(&minutes.len()), "minutes in which the same runs start are one kind: {minutes:?}");
    let requests = forecast.publishers["cloudwatch"].requests;
    let foretold: u64 = minutes.iter().map(|(runs, count)| runs.div_ceil(10) * count).sum();
    assert_eq!(requests.day, foretold);
    assert!(foretold > 1_440 * 3 + 24 * 3, "{foretold}");
    assert!((requests.month - month(requests.day as f64)).abs() < 1e-6);
    assert_eq!(forecast.things[&Thing::Metric], 40 + 28, "those of one schedule alone are silent for long");
}

#[test]
fn what_is_seldom_is_known_from_before_the_day() {
    let mut weekly = schedule_of("weekly", "1h", 2);
    weekly.cadence = Cadence::cron("0 8 * * 5", chrono_tz::Tz::UTC, at(NOW)).unwrap();
    let plan = plan_of(vec![weekly, schedule_of("often", "30s", 1)]);
    let day = Day::of(&plan, at(NOW), Duration::from_secs(600));
    let minutes: Vec<_> = day.minutes().collect();
    assert_eq!(minutes.len(), 1, "all minutes of a Tuesday are alike");
    let before = &minutes[0].before;
    let last = |probe: &str| {
        let of = |sample: &&Sample| sample.labels.probe.as_ref().is_some_and(|name| name.as_str() == probe);
        (minutes[0].samples[0].at - before.iter().find(of).unwrap().at).num_seconds()
    };
    assert!(last("probe-0") <= 30, "it is on both: {}", last("probe-0"));
    assert!((660..=720).contains(&last("probe-1")), "longer ago than anybody looks back: {}", last("probe-1"));
}

#[test]
fn synthetics_runs_once_a_minute_at_the_most() {
    let plan = plan_of(vec![schedule_of("often", "30s", 3), schedule_of("each-minute", "1m", 2)]);
    let forecast = Forecast::of(&plan, at(NOW));
    assert!((forecast.canary_runs - month(1_440.0 * 5.0)).abs() < 1e-6);
    assert_eq!(forecast.too_frequent.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>(), ["often"]);
}

#[test]
fn a_drill_is_two_messages() {
    let mut plan = plan_of(Vec::new());
    let publish = AwsCall::once("sns:Publish", "arn:aws:sns:us-east-1:123456789012:ops");
    let ops: ChannelName = "ops".parse().unwrap();
    plan.channels = [(ops.clone(), Arc::new(Asks(vec![publish.clone()])) as Arc<dyn Notifier>)].into();
    assert_eq!(Forecast::of(&plan, at(NOW)).calls.len(), 0, "a message is told of and not counted");
    let cadence = Cadence::cron("0 10 * * 3", chrono_tz::Tz::UTC, at(NOW)).unwrap();
    plan.drill = Some(DrillPlan { cadence, channels: vec![ops.clone()] });
    let forecast = Forecast::of(&plan, at(NOW));
    assert_eq!(forecast.messages[&ops], std::slice::from_ref(&publish));
    let often = forecast.calls[&publish];
    assert_eq!(often.day, 2, "tomorrow is Wednesday");
    assert!((often.month - month(2.0 / 7.0)).abs() < 1e-6);
}

/// Both names stand for keys of one secret, and another for one of its own.
struct Managed;

impl Secrets for Managed {
    fn resolve<'a>(&'a self, _: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        panic!("a forecast reads nothing")
    }
    fn redact(&self, text: &str) -> String {
        text.to_owned()
    }
    fn calls(&self, name: &SecretName) -> Vec<AwsCall> {
        let place = if name.as_str() == "other" { "other" } else { "shop" };
        vec![AwsCall::once("secretsmanager:GetSecretValue", place)]
    }
    fn kept(&self, name: &SecretName) -> Option<Duration> {
        (name.as_str() != "file").then_some(Duration::from_mins(5))
    }
}

#[test]
fn a_secret_is_read_once_for_all_of_its_names() {
    let mut plan = plan_of(Vec::new());
    plan.secrets = Arc::new(Managed);
    plan.secrets_used = ["user", "password", "other", "file"].map(|name| SecretName::parse(name).unwrap()).into();
    let calls = Forecast::of(&plan, at(NOW)).calls;
    let often: Vec<_> = calls.iter().map(|(call, often)| (call.resource.as_str(), often.day)).collect();
    assert_eq!(often, [("other", 288), ("shop", 288)]);
}
