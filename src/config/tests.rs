//! Tests of the whole room: real files in, a plan or problems out. The kinds are the tests' own, since the room knows none.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::load::{Loaded, Surroundings, load, load_url, missing_secrets};
use crate::domain::expression::{Expression, Name, Names, Shape};
use crate::domain::incident::Severity;
use crate::domain::judge::{After, Rule};
use crate::domain::names::{CaptureName, ProbeName, ScheduleName, SecretName};
use crate::domain::outcome::{Failure, Observation, RunId, Verdict};
use crate::domain::route::Subject;
use crate::domain::template::Template;
use crate::engine::plan::{Plan, PlannedProbe};
use crate::engine::runner::{Order, Runner};
use crate::engine::testing::TestClock;
use crate::ports::{
    Building, BuiltProber, ChannelKind, Clock as _, Implied, Kind, Kinds, Notification, Notifier, NotifyError, Prober,
    Receipt, Recorder, SecretError, Secrets, Session, StepContext,
};
use crate::settings::{Level, Node, Problems, Spanned, read};

mod journeys;
mod objectives;
mod recipients;

/// A kind with the shape of `http` that answers with what it was given.
static ECHO: &[Kind] = &[Kind {
    name: "http",
    about: "answers with what it was given",
    main: "url",
    schema: Echo::json_schema,
    names: || {
        let text = |name, about| Name::known(name, Shape::Text, about);
        Names::new()
            .with(text("url", "the URL"))
            .with(text("body", "a token for whoever asks"))
            .with(text("sent", "the token that was sent"))
            .with(Name::known("json", Shape::Any, "the same"))
            .with(Name::known("status", Shape::Number, "always 200"))
            .with(Name::known("total_ms", Shape::Number, "always 1"))
    },
    build: build_echo,
}];

static SINK: &[ChannelKind] = &[ChannelKind {
    name: "webhook",
    about: "takes nothing",
    main: "url",
    schema: Echo::json_schema,
    build: |node, _, problems| {
        read::<Echo>(node, problems).map(|echo| Arc::new(Sink(echo.url.value)) as Arc<dyn Notifier>)
    },
}];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Echo {
    #[schemars(with = "String")]
    url: Spanned<Template>,
    #[serde(default)]
    method: Option<String>,
    bearer: Option<Template>,
    #[schemars(with = "Option<serde_json::Value>")]
    json: Option<Node>,
}

fn build_echo(node: &Node, building: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let echo: Echo = read(node, problems)?;
    let implied =
        if building.cleanup && echo.method.as_deref() == Some("DELETE") { "status < 500" } else { "status == 200" };
    let implied = vec![Implied { unless_mentioned: "status", expect: implied }];
    Some(BuiltProber { prober: Arc::new(echo), implied })
}

impl Prober for Echo {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let same = |value: &str| Some(value.to_owned());
            let mut observation = Observation::default();
            let url = cx.fill(&self.url.value, same).await?;
            observation.facts.insert("url", url);
            if let Some(bearer) = &self.bearer {
                observation.facts.insert("sent", cx.fill(bearer, same).await?);
            }
            // A target that would like to have what is not its own.
            let json = serde_json::json!({ "token": HOSTILE, "sent": self.json.is_some() });
            observation.body = Some(json.to_string().into());
            observation.facts.insert("status", 200);
            observation.phases.total_ms = 1.0;
            Ok(observation)
        })
    }
}

const HOSTILE: &str = "${secret:shopper} {{run.id}} $${ {{{{";

struct Sink(Template);

impl Notifier for Sink {
    fn notify<'a>(&'a self, _: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        let receipt = Receipt { id: Some(self.0.to_string()) };
        Box::pin(std::future::ready(Ok(receipt)))
    }
}

fn surroundings() -> Surroundings {
    let environment: BTreeMap<&str, &str> =
        BTreeMap::from([("SHOPPER", "hunter2-hunter2"), ("SHOP", "https://shop.example.com"), ("EMPTY", "")]);
    Surroundings {
        kinds: Kinds { probers: ECHO, channels: SINK, publishers: &[], ping: |_, _, _| None },
        environment: Arc::new(move |name| environment.get(name).map(|value| (*value).to_owned())),
        clock: TestClock::starting("2026-11-25T12:00:00Z"),
        http: crate::net::client::shared().unwrap(),
        pulses: Arc::default(),
        billed: |_| BTreeMap::new(),
    }
}

/// Loads files that are written into a directory of their own.
fn loaded(files: &[(&str, &str)]) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    lay(directory.path(), files);
    load(directory.path(), &surroundings())
}

fn lay(directory: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn plan(files: &[(&str, &str)]) -> Plan {
    let loaded = loaded(files);
    assert_eq!(loaded.problems.render(false), "");
    loaded.plan.unwrap()
}

fn probe(plan: &Plan, name: &str) -> Arc<PlannedProbe> {
    plan.probes.get(&ProbeName::parse(name).unwrap()).unwrap_or_else(|| panic!("there is no {name}")).clone()
}

fn members(plan: &Plan, schedule: &str) -> Vec<String> {
    let schedule = plan.schedules.get(&ScheduleName::parse(schedule).unwrap()).unwrap();
    schedule.probes.iter().map(ToString::to_string).collect()
}

fn sources(expressions: &[Expression]) -> Vec<&str> {
    expressions.iter().map(Expression::source).collect()
}

/// What one run of a probe saw and decided.
async fn run(plan: Plan, name: &str) -> crate::domain::outcome::Run {
    let clock = TestClock::starting("2026-11-25T12:00:00Z");
    let (now, due) = (clock.now(), clock.monotonic());
    let probe = probe(&plan, name);
    let order = Order { plan: Arc::new(plan), probe, schedule: None, extra: None, slot: now, due_at: now, due };
    Runner::new(clock, CancellationToken::new()).run(order).await
}

/// The facts of one step, after one that captured the hostile token.
async fn seen(plan: &Plan, name: &str, step: usize) -> serde_json::Map<String, serde_json::Value> {
    let clock = TestClock::starting("2026-11-25T12:00:00Z");
    let cx = StepContext {
        clock: &*clock,
        deadline: clock.monotonic(),
        run: &RunId(Arc::from("R1")),
        captures: &BTreeMap::from([(CaptureName::parse("token").unwrap(), HOSTILE.to_owned())]),
        secrets: &*plan.secrets,
        session: &Session::default(),
        recorder: &Recorder::default(),
    };
    let step = &probe(plan, name).steps[step];
    step.action.probe(&cx).await.unwrap().facts.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

const ROOT: &str = r#"
site: styling-adventures-prod
location: us-east-1
store: sqlite:state/rounds.db
retention: 30d
web: { listen: "127.0.0.1:8081", url: "https://rounds.example.com/" }
vars:
  api: "${env:API_URL:-http://127.0.0.1:4280}"
  health: "${var:api}/health"
defaults: { timeout: 8s, labels: { team: shop, tier: none } }
secrets:
  shopper: { env: SHOPPER }
  hook:    { file: hook.txt }
  unused:  { env: NOWHERE }
channels:
  oncall: { webhook: "${secret:hook}" }
  team:   { webhook: { url: https://team.example.com } }
routes:
  - { severity: [P1, P2], to: [oncall, team] }
  - { to: team, fallback: oncall }
"#;

const PROBES: &str = r#"
home:  { http: "${env:SHOP}" }
words: { http: "${env:SHOP}", expect: 'body.contains("Add to cart")', schedule: hourly }

api-health:
  http: "${var:health}"
  expect:
    - json.status == "healthy"
    - status == 200
  warn: total_ms < 500
  runbook: runbooks/api.md
  labels: { service: api, team: api }
  timeout: 3s

pages:
  each: { home: /, cart: { path: /cart, words: Your cart } }
  http: "https://shop.example.com/${each:key}"
  expect: body.contains(each.key)
  labels: { tier: suite }

shopper-journey:
  needs: [api-health]
  cleanup_timeout: 2s
  alert: { severity: P1, recover: 3 }
  steps:
    - name: login
      http: { method: POST, url: "${var:api}/login", json: { user: probe, password: "${secret:shopper}" } }
      capture: { token: json.token }
    - name: add-to-wardrobe
      http: { url: "${var:api}/wardrobe", bearer: "{{token}}" }
      expect: [status == 200, total_ms < 500, sent == captures.token]
      timeout: 1s
  cleanup:
    - name: remove-item
      http: { method: DELETE, url: "${var:api}/wardrobe?name=probe-{{run.id}}", bearer: "{{token}}" }
      when: has(captures.token)
"#;

const SCHEDULES: &str = r#"
reachability:
  every: 30s
  probes: [api-health, home]
  alert: { after: 2 of 3, recover: 2, severity: P1 }
fast:
  every: 5s
  probes: home
journeys:
  every: 5m
  timeout: 20s
  probes: [shopper-journey]
hourly:
  cron: "0 * * * *"
  timezone: Europe/Berlin
  probes: ["pages@*", "label:tier=suite"]
"#;

fn example() -> Plan {
    plan(&[
        ("roundsman.yaml", ROOT),
        ("probes/shop.yaml", PROBES),
        ("schedules/tiers.yaml", SCHEDULES),
        ("hook.txt", "x"),
        ("runbooks/api.md", "# The API"),
    ])
}

#[tokio::test]
async fn the_root_file_becomes_the_frame_of_the_plan() {
    let plan = example();
    assert_eq!((plan.site.as_str(), &*plan.location), ("styling-adventures-prod", "us-east-1"));
    assert!(plan.store.ends_with("state/rounds.db") && plan.store.is_absolute(), "{:?}", plan.store);
    assert_eq!(plan.retention, Duration::from_secs(30 * 86_400));
    assert_eq!(plan.web.listen, "127.0.0.1:8081".parse().unwrap());
    assert_eq!(plan.web.url.as_deref(), Some("https://rounds.example.com"));
    let used: Vec<_> = plan.secrets_used.iter().map(ToString::to_string).collect();
    assert_eq!(used, ["hook", "shopper"], "what nobody uses need not be there");
    let labels = BTreeMap::new();
    let subject = |severity| Subject { severity, labels: &labels, schedules: &[] };
    let now = "2026-11-24T10:00:00Z".parse().unwrap();
    let to =
        |severity| plan.route(&subject(severity), now).unwrap().to.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((to(Severity::P2), to(Severity::P3)), (vec!["oncall".into(), "team".into()], vec!["team".to_owned()]));
    let fallback = plan.route(&subject(Severity::P4), now).unwrap().fallback.as_ref().map(ToString::to_string);
    assert_eq!(fallback.as_deref(), Some("oncall"));
}

#[tokio::test]
async fn every_key_may_be_absent_and_so_may_the_root_file() {
    let plan = plan(&[
        ("probes/a.yaml", "home: { http: https://a.example }"),
        ("schedules/a.yaml", "often: { every: 30s, probes: home }"),
    ]);
    assert_eq!((&*plan.location, plan.retention), ("local", Duration::from_secs(90 * 86_400)));
    assert_eq!((plan.web.listen, plan.web.tokens.all().count()), ("127.0.0.1:8080".parse().unwrap(), 0));
    assert!(plan.store.ends_with("state/roundsman.db"));
    let often = &plan.schedules[&ScheduleName::parse("often").unwrap()];
    assert_eq!((often.timeout, &often.alert), (Duration::from_secs(10), &None));
}

#[tokio::test]
async fn probes_are_expanded_filled_and_compiled() {
    let plan = example();
    let names: Vec<_> = plan.probes.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["api-health", "home", "pages@cart", "pages@home", "shopper-journey", "words"]);
    let health = probe(&plan, "api-health");
    assert_eq!(sources(&health.steps[0].expect), ["json.status == \"healthy\"", "status == 200"]);
    assert_eq!(sources(&health.steps[0].warn), ["total_ms < 500"]);
    assert_eq!(health.steps[0].kind, "http");
    assert_eq!(health.runbook.as_deref(), Some("runbooks/api.md"));
    let labels: Vec<_> = health.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(labels, ["service=api", "team=api", "tier=none"], "its own stand above the defaults");
    // The implied expectation stands first, unless another one mentions the status.
    assert_eq!(sources(&probe(&plan, "words").steps[0].expect), ["status == 200", "body.contains(\"Add to cart\")"]);
    let journey = probe(&plan, "shopper-journey");
    let steps: Vec<_> = journey.steps.iter().chain(&journey.cleanup).map(|step| step.name.to_string()).collect();
    assert_eq!(steps, ["login", "add-to-wardrobe", "remove-item"]);
    assert_eq!(journey.needs, [ProbeName::parse("api-health").unwrap()]);
    assert_eq!(journey.steps[1].timeout, Some(Duration::from_secs(1)));
    assert_eq!(journey.cleanup_timeout, Duration::from_secs(2));
    assert_eq!(
        journey.alert.as_ref().map(|alert| (alert.failing.severity, alert.failing.recover)),
        Some((Severity::P1, 3))
    );
    assert_eq!(sources(&journey.cleanup[0].expect), ["status < 500"], "a cleanup is told that it is one");
}

#[tokio::test]
async fn what_was_filled_in_is_what_is_sent() {
    for (name, url) in [
        ("home", "https://shop.example.com"),
        ("api-health", "http://127.0.0.1:4280/health"),
        ("pages@cart", "https://shop.example.com/cart"),
    ] {
        assert_eq!(seen(&example(), name, 0).await["url"], url);
    }
}

#[tokio::test]
async fn schedules_choose_by_name_glob_and_label() {
    let plan = example();
    assert_eq!(members(&plan, "reachability"), ["api-health", "home"]);
    assert_eq!(members(&plan, "hourly"), ["pages@cart", "pages@home", "words"], "a probe may name its schedule itself");
    let alert = plan.schedules[&ScheduleName::parse("reachability").unwrap()].alert.clone().unwrap().failing;
    assert_eq!((alert.after, alert.recover, alert.severity), (After::new(2, 3).unwrap(), 2, Severity::P1));
}

#[tokio::test]
async fn the_nearest_timeout_counts() {
    let plan = example();
    let budget = |schedule: &str, name: &str| {
        let schedule = &plan.schedules[&ScheduleName::parse(schedule).unwrap()];
        crate::engine::calendar::timeout(schedule, &probe(&plan, name)).as_secs()
    };
    assert_eq!(budget("reachability", "api-health"), 3, "the probe's own");
    assert_eq!(budget("journeys", "shopper-journey"), 20, "the schedule's");
    assert_eq!(budget("reachability", "home"), 8, "that of the defaults");
    assert_eq!(budget("fast", "home"), 4, "80 % of the cadence, where the default is more");
    assert_eq!(plan.timeout.as_secs(), 8, "and no schedule: the defaults again");
}

#[tokio::test]
async fn two_characters_may_stand_for_themselves() {
    let probes = r#"
literal: { http: "https://a.example/$${env:SHOP}/{{{{token}}?${var:braces}", schedule: often }
"#;
    let plan = plan(&[
        ("roundsman.yaml", "vars: { braces: \"{{{{x}} $${var:api}\" }"),
        ("probes/a.yaml", probes),
        ("schedules/a.yaml", "often: { every: 30s }"),
    ]);
    assert_eq!(seen(&plan, "literal", 0).await["url"], "https://a.example/${env:SHOP}/{{token}}?{{x}} ${var:api}");
}

#[tokio::test]
async fn a_captured_value_is_never_scanned_again() {
    let run = run(example(), "shopper-journey").await;
    assert!(matches!(run.verdict, Verdict::Passed), "{:?}", run.verdict);
    assert_eq!(seen(&example(), "shopper-journey", 1).await["sent"], HOSTILE, "what a target says stands for itself");
}

#[tokio::test]
async fn a_value_of_the_environment_is_never_scanned_again() {
    let mut surroundings = surroundings();
    surroundings.environment = Arc::new(|name| (name == "SHOP").then(|| HOSTILE.to_owned()));
    let directory = tempfile::tempdir().unwrap();
    let files = [
        ("probes/a.yaml", "home: { http: \"${env:SHOP}\", schedule: often }"),
        ("schedules/a.yaml", "often: { every: 30s }"),
    ];
    lay(directory.path(), &files);
    let loaded = load(directory.path(), &surroundings);
    assert_eq!(loaded.problems.render(false), "");
    assert_eq!(seen(&loaded.plan.unwrap(), "home", 0).await["url"], HOSTILE);
}

#[tokio::test]
async fn a_url_of_the_command_line_stands_for_itself() {
    let loaded = load_url("https://a.example/{{x}}/${env:SHOP}", &surroundings());
    assert_eq!(loaded.problems.render(false), "");
    assert_eq!(
        seen(&loaded.plan.unwrap(), "a.example---x-----env-SHOP", 0).await["url"],
        "https://a.example/{{x}}/${env:SHOP}"
    );
}

#[tokio::test]
async fn secrets_that_are_used_and_not_there_are_named() {
    let plan = example();
    let missing = missing_secrets(&plan).await;
    assert_eq!(missing.len(), 1, "the file was in a directory that is gone: {missing:?}");
    assert!(missing[0].starts_with("the secret `hook` cannot be read: the file "), "{missing:?}");
}

/// Each secret takes four seconds to say that nobody answers.
struct Slow;

impl Secrets for Slow {
    fn resolve<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Err(SecretError { name: name.clone(), reason: "nobody answers".to_owned(), passes: name.as_str() == "b" })
        })
    }
    fn redact(&self, text: &str) -> String {
        text.to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_looked_for_all_at_once() {
    let mut plan = example();
    plan.secrets = Arc::new(Slow);
    plan.secrets_used = ["a", "b", "c"].map(|name| SecretName::parse(name).unwrap()).into();
    let missing = tokio::time::timeout(Duration::from_secs(5), missing_secrets(&plan)).await.unwrap();
    let told = ["a", "c"].map(|name| format!("the secret `{name}` cannot be read: nobody answers"));
    assert_eq!(missing, told);
}

#[test]
fn what_runs_on_request_is_on_no_schedule_and_no_warning() {
    let loaded = loaded(&[
        (
            "probes/a.yaml",
            "home: { http: https://a.example, labels: { tier: suite } }\n\
             asked: { http: https://b.example, labels: { tier: suite }, on_request: true }\n",
        ),
        ("schedules/a.yaml", "often: { every: 30s, probes: [\"*\", \"label:tier=suite\"] }\n"),
    ]);
    assert_eq!(loaded.problems.render(false), "");
    let plan = loaded.plan.unwrap();
    let scheduled: Vec<_> =
        plan.schedules.values().flat_map(|schedule| &schedule.probes).map(ToString::to_string).collect();
    assert_eq!((scheduled, plan.probes.len()), (vec!["home".to_owned()], 2));
}

#[tokio::test]
async fn warnings_do_not_stand_in_the_way() {
    let loaded = loaded(&[
        (
            "roundsman.yaml",
            "channels:\n  team: { webhook: https://a.example }\n  lost: { webhook: https://b.example }\n\
             routes:\n  - { severity: [P1, P2], to: team }\n  - { severity: P1, to: team }\n",
        ),
        ("probes/a.yaml", "home: { http: https://a.example }\nalone: { http: https://b.example }\n"),
        ("schedules/a.yaml", "often: { every: 30s, probes: home, alert: { severity: P4 } }\nidle: { every: 1m }\n"),
    ]);
    let said: Vec<_> =
        loaded.problems.sorted().into_iter().map(|problem| (problem.level, problem.headline(false))).collect();
    assert!(said.iter().all(|(level, _)| *level == Level::Warning));
    let said: Vec<_> = said.into_iter().map(|(_, line)| line).collect();
    assert_eq!(
        said,
        [
            "probes/a.yaml:2:1: warning: no schedule runs the probe `alone`",
            "roundsman.yaml:3:3: warning: no route leads to the channel `lost`",
            "roundsman.yaml:6:25: warning: no message reaches this route",
            "schedules/a.yaml:1:1: warning: no route takes the alerts of `often`, whose severity is P4",
            "schedules/a.yaml:2:1: warning: the schedule `idle` runs no probe",
        ]
    );
    assert_eq!(loaded.plan.unwrap().probes.len(), 2);
}

#[tokio::test]
async fn labels_that_no_probe_has_are_a_warning() {
    let loaded = loaded(&[
        (
            "roundsman.yaml",
            "channels: { team: { webhook: https://a.example } }\nroutes:\n\
             \x20 - { labels: { servce: api }, to: team }\n\
             \x20 - { labels: { service: apo }, to: team }\n\
             \x20 - { labels: { service: api, team: shop }, to: team }\n\
             \x20 - { to: team }\n\
             maintenance: { w: { cron: \"0 2 * * *\", for: 1h, labels: { service: shop } } }\n\
             defaults: { labels: { team: shop } }\n",
        ),
        ("probes/a.yaml", "api: { http: https://a.example, labels: { service: api } }\n"),
        ("schedules/a.yaml", "often: { every: 30s, probes: api, alert: { after: 2, recheck: 25s } }\n"),
    ]);
    let said = loaded.problems.sorted().into_iter();
    let said: Vec<_> = said.map(|p| (p.headline(false), p.help.clone().unwrap_or_default())).collect();
    let said: Vec<_> = said.iter().map(|(headline, help)| (headline.as_str(), help.as_str())).collect();
    assert_eq!(
        said,
        [
            ("roundsman.yaml:3:17: warning: no probe has a label `servce`", "did you mean `service`?"),
            (
                "roundsman.yaml:4:26: warning: no probe has the label `service` with the value `apo`",
                "did you mean `api`?"
            ),
            (
                "roundsman.yaml:7:68: warning: no probe has the label `service` with the value `shop`",
                "only `api` is known here"
            ),
            (
                "schedules/a.yaml:1:63: warning: no recheck of `api` ends in time: 25 s after a run it may go on for 10 s, \
                 and `often` has a slot every 30 s",
                "write a shorter `recheck` or `timeout`"
            ),
        ]
    );
}

#[tokio::test]
async fn an_alert_says_of_each_aspect_what_it_does_not_take_from_the_whole() {
    let plan = plan(&[
        ("roundsman.yaml", "channels: { team: { webhook: https://a.example } }\nroutes: [{ to: team }]\n"),
        ("probes/a.yaml", "api: { http: https://a.example }\n"),
        (
            "schedules/a.yaml",
            "plain: { every: 30s, probes: api, alert: { after: 2, recover: 3, severity: P1, remind: 30m } }\n\
             own: { every: 1m, probes: api, alert: { after: 2, recover: 3, severity: P1, degraded: { after: 3 of 5 }, \
             inconclusive: { after: 5, recover: 1, severity: P2, remind: 1h } } }\n\
             mild: { every: 2m, probes: api, alert: { severity: P4, degraded: {} } }\n",
        ),
    ]);
    let alert = |name: &str| plan.schedules[&ScheduleName::parse(name).unwrap()].alert.clone().unwrap();
    let told = |rule: &Rule| format!("{} {} {} {:?}", rule.after, rule.recover, rule.severity, rule.remind);
    let plain = alert("plain");
    assert_eq!(told(&plain.blind), "3 3 P1 Some(1800s)");
    assert_eq!(plain.degraded, None);
    let own = alert("own");
    assert_eq!(own.degraded.as_ref().map(told).as_deref(), Some("3 of 5 3 P3 None"));
    assert_eq!(told(&own.blind), "5 1 P2 Some(3600s)");
    assert_eq!(alert("mild").degraded.map(|rule| told(&rule)).as_deref(), Some("1 1 P4 None"));
}

#[tokio::test]
async fn an_alert_that_no_route_takes_is_a_warning_whatever_the_routes_look_at() {
    let loaded = loaded(&[
        (
            "roundsman.yaml",
            "channels: { team: { webhook: https://a.example } }\nroutes:\n\
             \x20 - { labels: { service: api }, to: team }\n\
             \x20 - { schedules: slow, when: \"mon-fri 09:00-17:00\", to: team }\n",
        ),
        (
            "probes/a.yaml",
            "api: { http: https://a.example, labels: { service: api } }\nshop: { http: https://b.example }\n\
             desk: { http: https://c.example }\nown: { http: https://d.example, alert: { severity: P1 } }\n\
             labelled: { http: https://e.example, labels: { service: api }, alert: {} }\n",
        ),
        (
            "schedules/a.yaml",
            "often: { every: 30s, probes: [api, shop, desk, own, labelled], alert: {} }\n\
             slow: { every: 1h, probes: [shop, own], alert: {} }\n\
             lost: { every: 1m, probes: [shop], alert: {} }\n\
             well: { every: 1m, probes: [api], alert: {} }\n",
        ),
    ]);
    let said: Vec<_> = loaded.problems.sorted().into_iter().map(|problem| problem.headline(false)).collect();
    assert_eq!(
        said,
        [
            "probes/a.yaml:4:1: warning: no route takes the alerts of `own` with `often`, whose severity is P1",
            "schedules/a.yaml:1:1: warning: no route takes the alerts of `often` with `desk` and 1 more, whose severity is \
             P3",
            "schedules/a.yaml:3:1: warning: no route takes the alerts of `lost`, whose severity is P3",
        ]
    );
}

#[tokio::test]
async fn a_window_may_be_longer_than_its_shortest_period_if_it_is_over_once() {
    for line in [
        "cron: \"0 2 * * 2-4\", for: 2d",
        "cron: \"0 * * * *\", for: 59m",
        "cron: \"*/5 9-16 * * 1-5\", for: 1h",
        "cron: \"0 0 * * 6,0\", for: 24h, timezone: Europe/Berlin",
        "cron: \"0 0 1 1 *\", for: 7d",
    ] {
        let root = format!("maintenance: {{ deploy: {{ {line} }} }}\n");
        let loaded = loaded(&[
            ("roundsman.yaml", root.as_str()),
            ("probes/a.yaml", "home: { http: https://a.example }\n"),
            ("schedules/a.yaml", "often: { every: 30s, probes: home }\n"),
        ]);
        assert_eq!(loaded.problems.render(false), "", "{line}");
    }
}

#[tokio::test]
async fn one_pass_finds_the_mistakes_of_all_files() {
    let loaded = loaded(&[
        (
            "roundsman.yaml",
            "sit: shop\nweb: { listen: here }\nchannels: { team: { webhok: x } }\nroutes: [{ to: [tem] }]\n",
        ),
        (
            "probes/a.yaml",
            "home: { http: https://a.example, expect: stats == 200 }\nnext: { http: { url: \"{{x}}\" } }\n",
        ),
        ("probes/b.yaml", "home: { http: https://b.example }\n"),
        ("schedules/a.yaml", "often: { every: 7s, probes: [hme] }\nlate: { cron: \"0 0 31 4 *\", probes: home }\n"),
    ]);
    assert!(loaded.plan.is_none());
    let places: Vec<_> = loaded.problems.sorted().into_iter().map(|problem| problem.headline(false)).collect();
    insta::assert_snapshot!(places.join("\n"));
}

#[tokio::test]
async fn values_from_outside_are_not_repeated() {
    let loaded = loaded(&[
        ("roundsman.yaml", "vars: { token: \"${env:SHOPPER}\" }\nstore: \"${var:token}\"\n"),
        (
            "probes/a.yaml",
            "pages:\n  each: { a: \"${file:secret.txt}\" }\n  http: https://a.example\n  needs: \"${each:value}\"\n\
             \n  expect: body == ${var:token}\n",
        ),
        ("secret.txt", "from-a-file\n"),
        ("schedules/a.yaml", "often: { every: 30s, probes: \"${env:SHOPPER}\" }\n"),
    ]);
    let text = loaded.problems.render(false);
    assert!(loaded.problems.len() >= 4, "{text}");
    for secret in ["hunter2", "from-a-file"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(
        text.contains("`${env:SHOPPER}` is not a store") && text.contains("there is no probe `${file:secret.txt}`"),
        "{text}"
    );
}
