//! Reads the three places in which everything is declared, and goes through them in order: variables, references,
//! shapes, probes, schedules, destinations. Goes on after each mistake, so that all are found in one pass.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::blueprint::{Channels, blueprint, told};
use super::budget;
use super::destinations;
use super::diagnosis;
use super::drill::drill;
use super::each::{Expanded, expand};
use super::files::{Files, Folder, ROOT_FILE};
use super::filled::Filled;
use super::grouping;
use super::heartbeat::heartbeat;
use super::probes::{Made, ProbeMaker, WrittenProbe, check_budget, check_labels};
use super::public::public;
use super::raw::{RawReload, RawRoot, RawSchedule};
use super::reach::Reach;
use super::resolve::{self, Environment, References, identity};
use super::runbooks::runbooks;
use super::schedules::{self, Scheduling, WrittenSchedule};
use super::secrets::{self, DeclaredSecrets};
use super::severities;
use super::unnoticed;
use super::uses;
use super::vault::Vault;
use super::web::web;
use super::windows;
use crate::domain::bill::prices::Thing;
use crate::domain::names::{NAME_LENGTH_MAX, ProbeName, ScheduleName, SecretName};
use crate::domain::template::{Piece, canonical};
use crate::domain::time::Length;
use crate::engine::forecast::Forecast;
use crate::engine::plan::{Place, Plan, TIMEOUT, WebPlan};
use crate::engine::pulses::Pulses;
use crate::ports::{Building, Clock, Kinds, Pings, Secrets};
use crate::settings::{Entry, Level, Node, Problem, Problems, Source, Span, Value, parse, read, suggest};

/// How long runs are kept.
const RETENTION: Duration = Duration::from_secs(90 * 86_400);

/// The shortest time for which runs can be kept: alerts look back, and the page shows the last hour.
const RETENTION_MIN: Duration = Duration::from_secs(3_600);

/// What loading needs besides the files.
#[derive(Clone)]
pub struct Surroundings {
    /// The tables of kinds.
    pub kinds: Kinds,
    /// The environment.
    pub environment: Arc<Environment>,
    /// The clocks: a cron line is asked when it occurs next.
    pub clock: Arc<dyn Clock>,
    /// The shared client for everything over HTTP that is not a probe.
    pub http: reqwest::Client,
    /// What jobs elsewhere say of themselves; a daemon opens it.
    pub pulses: Arc<Pulses>,
    /// What of what `roundsman aws` prints is billed: it is a part of what a budget is for, and only `app` knows it.
    pub billed: fn(&Plan) -> BTreeMap<Thing, u64>,
}

/// What came of loading.
pub struct Loaded {
    /// The plan, if nothing stands in its way.
    pub plan: Option<Plan>,
    /// Every mistake, and every warning.
    pub problems: Problems,
    /// Where the page listens, also when other things are wrong.
    pub listen: Option<SocketAddr>,
    /// The secret that lets somebody in there, and where it is kept; also when other things are wrong.
    pub token: Option<(Arc<dyn Secrets>, SecretName)>,
}

/// Loads a directory.
pub fn load(directory: &Path, surroundings: &Surroundings) -> Loaded {
    let mut problems = Problems::new();
    let files = Files::read(directory, &mut problems);
    plan(directory, &files, surroundings, problems)
}

/// Loads what a command line names instead of files: one probe of one URL, called by what follows its scheme.
pub fn load_url(url: &str, surroundings: &Surroundings) -> Loaded {
    let mut problems = Problems::new();
    let name = url.split_once("://").map_or(url, |(_, rest)| rest).chars().take(NAME_LENGTH_MAX);
    let name: String = name.map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let name = match name.trim_matches(['-', '.']) {
        "" => "url",
        name => name,
    };
    // The URL stands for itself: nothing in it is a reference or a hole.
    let literal = canonical(&[Piece::Literal(url.to_owned())]);
    let text = format!("{name}: {{ http: {} }}\n", serde_json::Value::from(literal));
    let probes = parse(Source::new("the command line", text), &mut problems);
    let probes = Folder { trees: probes.into_iter().collect(), lost: false };
    let files = Files { root: None, root_lost: false, probes, schedules: Folder::default() };
    plan(Path::new("."), &files, surroundings, problems)
}

fn plan(directory: &Path, files: &Files, surroundings: &Surroundings, mut problems: Problems) -> Loaded {
    let (plan, listen) = plan_of(directory, files, surroundings, &mut problems);
    // The one that lets do more comes first.
    let token =
        plan.as_ref().and_then(|plan| Some((Arc::clone(&plan.secrets), plan.web.tokens.secrets().next()?.clone())));
    Loaded { plan: plan.filter(|_| !problems.has_errors()), problems, listen, token }
}

fn plan_of(
    directory: &Path,
    files: &Files,
    surroundings: &Surroundings,
    problems: &mut Problems,
) -> (Option<Plan>, Option<SocketAddr>) {
    let now = surroundings.clock.now();
    let mut references = References {
        environment: &*surroundings.environment,
        directory: directory.to_owned(),
        vars: BTreeMap::new(),
        secrets: BTreeSet::new(),
        each: None,
        filled: Filled::default(),
        root_lost: files.root_lost,
        lost: Cell::default(),
    };
    let empty = Node { span: Span::new(&Source::new(ROOT_FILE, ""), 0..0), value: Value::Map(Vec::new()) };
    let written_root = files.root.as_ref().unwrap_or(&empty);
    let declared = written_root.get("secrets").map(Node::entries).unwrap_or_default();
    references.secrets = declared.iter().map(|entry| entry.key.text.clone()).collect();
    if let Some(vars) = written_root.get("vars") {
        if !matches!(vars.value, Value::Map(_) | Value::Null | Value::Broken) {
            problems.error(vars.span.clone(), "`vars` is a mapping from a name to a value").help =
                Some("write it like `vars: { api: https://api.example.com }`".to_owned());
        }
        references.take_vars(vars, problems);
    }
    let mut root = references.resolve(written_root, problems);
    take_literal_secrets(&mut root, problems);
    let mut raw: RawRoot = read(&root, problems).unwrap_or_default();

    let secrets: Arc<dyn Secrets> = Arc::new(DeclaredSecrets::new(
        secrets::sources(&raw.secrets, problems),
        directory.to_owned(),
        Arc::clone(&surroundings.environment),
        Vault::new(surroundings.http.clone(), Arc::clone(&surroundings.clock)),
    ));
    let site = raw.site.clone().unwrap_or_else(|| directory_name(directory));
    let location: Arc<str> = Arc::from(raw.location.as_deref().unwrap_or("local"));
    let building = Building {
        secrets: Arc::clone(&secrets),
        http: surroundings.http.clone(),
        clock: Arc::clone(&surroundings.clock),
        cleanup: false,
        site: site.clone(),
        location: Arc::clone(&location),
        directory: Arc::from(directory),
        pings: Arc::clone(&surroundings.pulses) as Arc<dyn Pings>,
    };
    let (labels, unnoticed) = (&raw.defaults.labels, &raw.defaults.unnoticed);
    let declared: BTreeSet<_> = raw.channels.keys().map(|name| name.value.clone()).collect();
    let channels = (!files.root_lost).then_some(&declared);
    let maker = ProbeMaker { kinds: surroundings.kinds.probers, building: &building, labels, unnoticed, channels };
    unnoticed::check_defaults(unnoticed, surroundings.kinds.probers, problems);
    check_labels(root.get("defaults").and_then(|defaults| defaults.get("labels")), problems);
    check_budget(raw.defaults.timeout.as_ref(), problems);
    if let Some(kept) = raw.retention.as_ref().filter(|kept| kept.value.0.0 < RETENTION_MIN) {
        let message = format!("runs are kept for at least {}, not {}", Length(RETENTION_MIN), kept.value.0);
        problems.error(kept.span.clone(), message);
    }
    let (probes, broken) = probes(files, &maker, &mut references, problems);
    let timeout = raw.defaults.timeout.as_ref().map_or(TIMEOUT, |limit| limit.value.0.0);
    let lost = files.probes.lost;
    let retention = raw.retention.as_ref().map_or(RETENTION, |kept| kept.value.0.0);
    let all = Scheduling { probes: &probes, broken: &broken, lost, timeout, retention, channels, now };
    let schedules = schedules(files, &all, &references, problems);
    let runbooks = runbooks(probes.values().filter_map(|probe| probe.runbook.as_ref()), directory, problems);
    check_probes(&probes, &broken, &schedules, files, problems);

    let channels = destinations::channels(&raw.channels, surroundings.kinds.channels, &building, problems);
    let labels = labels_of(&probes);
    let grouping = grouping::groupings(raw.group.as_ref(), &raw.channels, &labels.keys().copied().collect(), problems);
    let known = windows::Known {
        node: root.get("maintenance"),
        probes: probes.keys().collect(),
        labels,
        schedules: schedules.iter().map(|(schedule, ..)| &schedule.name).collect(),
        lost: lost || !broken.is_empty() || files.schedules.lost,
        looked_back: schedules.iter().flat_map(|(schedule, ..)| &schedule.objectives).map(|of| of.over).max(),
        now,
    };
    let mut of_routes = Problems::new();
    let routes = destinations::routes(&raw.routes, &declared, &known, &mut of_routes);
    let severities = severities::severities(&raw.severities, root.get("severities"), &declared, problems);
    // A route with a mistake may have been meant for any channel.
    let routes_written = root.get("routes").map_or(0, |routes| routes.children().len());
    let routes_well = !of_routes.has_errors() && routes.len() == routes_written;
    problems.extend(of_routes);
    let reach = Reach { probes: &probes, schedules: &schedules, routes: &routes };
    let told_by_alarms = told(&raw.alarms);
    // An alert with a mistake may have named any channel.
    let alerts_well = broken.is_empty() && !lost && !files.schedules.lost;
    for name in raw.channels.keys().filter(|_| routes_well && alerts_well) {
        let escalates = severities.values().any(|severity| severity.escalate.contains(&name.value));
        if !escalates && !told_by_alarms.contains(name.value.as_str()) && !reach.names(&name.value) {
            problems.warning(name.span.clone(), format!("no route leads to the channel `{}`", name.value)).help =
                Some(format!("add `routes: [{{ to: [{}] }}]`", name.value));
        }
    }
    if routes_well && !files.root_lost {
        reach.check(problems);
    }
    let maintenance = windows::windows(&raw.maintenance, &known, problems);
    let publishers = destinations::publishers(&raw.publish, surroundings.kinds.publishers, &building, problems);
    let heartbeat = heartbeat(raw.heartbeat.take(), &surroundings.kinds, &building, problems);
    let drill = drill(raw.drill.as_ref(), &declared, now, problems);
    let budgets = budget::budgets(&raw.budget, problems);
    let of_metrics = publishers.values().find_map(|publisher| publisher.place()?.region);
    let region = of_metrics.as_deref().or(raw.estate.region());
    let known = Channels { declared: &declared, made: &channels, region };
    let blueprint = blueprint(&raw.estate, &raw.dashboard, &raw.alarms, known, problems);
    let store = store(directory, &raw, problems);
    let public = raw.web.public.as_ref().map(|written| public(written, &all, problems));
    // A public page with a mistake is none that anybody missed to write.
    let web = web(&raw.web, problems).and_then(|web| {
        Some(WebPlan {
            public: match public {
                Some(public) => Some(public?),
                None => None,
            },
            ..web
        })
    });

    let (_, mut secrets_used) = resolve::needs(&root);
    secrets_used.extend(probes.values().flat_map(|probe| probe.secrets.iter().cloned()));
    secrets_used.extend(web.iter().flat_map(|web| web.tokens.secrets().cloned()));
    let written = written(&root, &probes, &schedules);
    let place = |probe: &WrittenProbe| Place { name: probe.key.span.clone(), whole: probe.whole.clone() };
    let places = probes.iter().map(|(name, probe)| (name.clone(), place(probe))).collect();
    let listen = web.as_ref().map(|web| web.listen);
    let plan = store.zip(web).map(|(store, web)| Plan {
        site,
        location,
        store,
        retention,
        heeds_files: raw.reload == RawReload::Changed,
        timeout,
        web,
        schedules: schedules::by_name(schedules.into_iter().map(|(schedule, ..)| schedule).collect()),
        probes: probes.into_iter().map(|(name, probe)| (name, probe.probe)).collect(),
        channels,
        grouping,
        routes,
        severities,
        runbooks,
        maintenance,
        heartbeat,
        drill,
        budgets,
        blueprint,
        publishers,
        secrets,
        secrets_used,
        written,
        places,
    });
    if let Some(plan) = plan.as_ref().filter(|_| !problems.has_errors()) {
        let forecast = || Forecast::of(plan, now).and((surroundings.billed)(plan));
        budget::check(&raw.budget, forecast, problems);
    }
    references.filled.mask(problems);
    (plan, listen)
}

/// Whoever writes a secret itself under `secrets:` is told so, and does not see it again.
fn take_literal_secrets(root: &mut Node, problems: &mut Problems) {
    let Value::Map(entries) = &mut root.value else { return };
    let Some(Value::Map(secrets)) =
        entries.iter_mut().find(|entry| entry.key.text == "secrets").map(|entry| &mut entry.value.value)
    else {
        return;
    };
    for Entry { key, value } in secrets {
        if matches!(value.value, Value::Text(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_)) {
            let problem =
                problems.error(value.span.clone(), "under `secrets` stands where a secret is, not the secret");
            problem.help = Some(format!("write `{0}: {{ env: NAME }}` or `{0}: {{ file: path }}`", key.text));
            problem.hidden = true;
            value.value = Value::Broken;
        }
    }
}

fn directory_name(directory: &Path) -> String {
    let whole = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    whole.file_name().map_or_else(|| "roundsman".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn probes(
    files: &Files,
    maker: &ProbeMaker<'_>,
    references: &mut References<'_>,
    problems: &mut Problems,
) -> (BTreeMap<ProbeName, WrittenProbe>, BTreeSet<String>) {
    let mut made = Made { lost: files.probes.lost, ..Made::default() };
    let mut written = Vec::new();
    let mut seen: BTreeMap<ProbeName, Span> = BTreeMap::new();
    for file in &files.probes.trees {
        for entry in entries(file, "probes", problems) {
            let expanded: Vec<Expanded> = expand(entry, references, problems);
            made.all.insert(entry.key.text.clone());
            if expanded.is_empty() {
                made.broken.insert(entry.key.text.clone());
            }
            if entry.value.get("each").is_some() {
                made.expanded.insert(entry.key.text.clone());
            }
            for one in expanded {
                if let Some(first) = seen.insert(one.name.clone(), one.key.span.clone()) {
                    let problem =
                        Problem::error(one.key.span.clone(), format!("there are two probes named `{}`", one.name));
                    problems.push(problem.with_also(first, "the first one"));
                    continue;
                }
                written.push(one);
            }
        }
    }
    for one in uses::in_order(written, problems) {
        match maker.make(&one, &made, problems) {
            Some(probe) => {
                made.probes.insert(one.name, probe);
            }
            None => {
                made.broken.insert(one.name.to_string());
            }
        }
    }
    (made.probes, made.broken)
}

fn entries<'a>(file: &'a Node, what: &str, problems: &mut Problems) -> &'a [Entry] {
    if !matches!(file.value, Value::Map(_) | Value::Broken | Value::Null) {
        problems.error(file.span.clone(), format!("a file in `{what}/` is a mapping from a name to what it names"));
    }
    file.entries()
}

/// Each schedule with where its name is written and its resolved text.
type Schedules = Vec<(crate::domain::schedule::Schedule, Span, String)>;

fn schedules(files: &Files, all: &Scheduling<'_>, references: &References<'_>, problems: &mut Problems) -> Schedules {
    let mut seen: BTreeMap<ScheduleName, Span> = BTreeMap::new();
    let mut made = Vec::new();
    for file in &files.schedules.trees {
        for entry in entries(file, "schedules", problems) {
            let name = match ScheduleName::parse(&entry.key.text) {
                Ok(name) => name,
                Err(error) => {
                    problems.error(entry.key.span.clone(), error.to_string());
                    continue;
                }
            };
            if let Some(first) = seen.insert(name.clone(), entry.key.span.clone()) {
                let problem = Problem::error(entry.key.span.clone(), format!("there are two schedules named `{name}`"));
                problems.push(problem.with_also(first, "the first one"));
                continue;
            }
            let node = references.resolve(&entry.value, problems);
            let Some(raw) = read::<RawSchedule>(&node, problems) else { continue };
            let written = WrittenSchedule { name, key: entry.key.clone(), raw, node };
            let schedule = schedules::make(&written, all, problems);
            made.extend(schedule.map(|schedule| (schedule, written.key.span.clone(), identity(&written.node))));
        }
    }
    let names = || seen.keys().map(ScheduleName::as_str).collect::<Vec<_>>();
    for probe in all.probes.values().filter(|_| !files.schedules.lost) {
        if let Some(schedule) = probe.schedule.as_ref().filter(|schedule| !seen.contains_key(&schedule.value)) {
            problems.error(schedule.span.clone(), format!("there is no schedule `{}`", schedule.value)).help =
                suggest(schedule.value.as_str(), names());
        }
    }
    made
}

/// What only shows when all probes and schedules are known.
fn check_probes(
    probes: &BTreeMap<ProbeName, WrittenProbe>,
    broken: &BTreeSet<String>,
    schedules: &Schedules,
    files: &Files,
    problems: &mut Problems,
) {
    if probes.is_empty() && broken.is_empty() && !files.probes.trees.is_empty() && !files.probes.lost {
        problems.push(Problem::placeless(Level::Error, "no probe is defined in `probes/`"));
    }
    let scheduled: BTreeSet<_> = schedules.iter().flat_map(|(schedule, ..)| &schedule.probes).collect();
    let of_schedules = schedules.iter().filter_map(|(schedule, ..)| schedule.alert.as_ref());
    let explaining = of_schedules.flat_map(|alert| &alert.diagnose);
    let of_probes = probes.values().flat_map(|probe| probe.diagnose.iter().map(|named| &named.value));
    let used = probes.values().flat_map(|probe| &probe.uses).chain(explaining).chain(of_probes);
    let used: BTreeSet<_> = used.collect();
    let known = diagnosis::Known { probes, broken, lost: files.probes.lost };
    for (name, probe) in probes {
        let runs = scheduled.contains(name) || used.contains(name) || probe.probe.on_request;
        if !runs && probe.schedule.is_none() && !schedules.is_empty() && !files.schedules.lost {
            problems.warning(probe.key.span.clone(), format!("no schedule runs the probe `{name}`")).help =
                Some("name it in a schedule's `probes`, give it a `schedule`, or write `on_request: true`".to_owned());
        }
        diagnosis::check(&probe.diagnose, Some(name), known, problems);
        for needed in &probe.needs {
            if needed.value == *name {
                problems.error(needed.span.clone(), format!("`{name}` needs itself"));
            } else if !probes.contains_key(&needed.value) {
                if files.probes.lost || broken.contains(needed.value.as_str()) {
                    continue;
                }
                problems.error(needed.span.clone(), format!("there is no probe `{}`", needed.value)).help =
                    suggest(needed.value.as_str(), probes.keys().map(ProbeName::as_str).collect::<Vec<_>>());
            } else if let Some(way) = circle(probes, name, &needed.value) {
                problems.error(needed.span.clone(), format!("the needs go in a circle: {way}"));
            }
        }
    }
}

/// The labels that probes have, with their values.
fn labels_of(probes: &BTreeMap<ProbeName, WrittenProbe>) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in probes.values().flat_map(|probe| &probe.probe.labels) {
        labels.entry(key).or_default().insert(value);
    }
    labels
}

/// The way from `start` over `first` back to `start`, if there is one; told once, at the probe whose name sorts first.
fn circle(probes: &BTreeMap<ProbeName, WrittenProbe>, start: &ProbeName, first: &ProbeName) -> Option<String> {
    let mut way = vec![vec![start, first]];
    let mut seen = BTreeSet::new();
    while let Some(path) = way.pop() {
        let last = *path.last()?;
        if last == start {
            let is_first = path.iter().all(|name| *name >= start);
            return is_first.then(|| path.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" → "));
        }
        if !seen.insert(last) {
            continue;
        }
        for next in probes.get(last).map(|probe| probe.needs.as_slice()).unwrap_or_default() {
            way.push(path.iter().copied().chain([&next.value]).collect());
        }
    }
    None
}

fn store(directory: &Path, raw: &RawRoot, problems: &mut Problems) -> Option<PathBuf> {
    let Some(written) = &raw.store else { return Some(directory.join("state/roundsman.db")) };
    let path = written.value.strip_prefix("sqlite:").filter(|path| !path.is_empty());
    if path.is_none() {
        problems.error(written.span.clone(), format!("`{}` is not a store", written.value)).help =
            Some("write it like `sqlite:state/roundsman.db`".to_owned());
    }
    path.map(|path| directory.join(path))
}

fn written(root: &Node, probes: &BTreeMap<ProbeName, WrittenProbe>, schedules: &Schedules) -> BTreeMap<String, String> {
    let mut written: BTreeMap<_, _> =
        probes.iter().map(|(name, probe)| (format!("probe {name}"), probe.identity.clone())).collect();
    written.extend(
        schedules.iter().map(|(schedule, _, identity)| (format!("schedule {}", schedule.name), identity.clone())),
    );
    for entry in root.entries() {
        match entry.key.text.as_str() {
            "channels" | "publish" => {
                let what = if entry.key.text == "channels" { "channel" } else { "publisher" };
                let each = entry.value.entries().iter();
                written.extend(each.map(|entry| destinations::written(&entry.key.text, what, &entry.value)));
            }
            key => {
                written.insert(key.to_owned(), identity(&entry.value));
            }
        }
    }
    written
}

/// Looks whether the secrets that are used are there, as `run` does before it starts. That nobody answers who keeps one, as in a
/// region that is down, keeps no monitor of it from starting: its steps look again.
pub async fn missing_secrets(plan: &Plan) -> Vec<String> {
    let mut missing = Vec::new();
    // All at once: where nobody answers, each takes seconds.
    let resolved = join_all(plan.secrets_used.iter().map(|name| plan.secrets.resolve(name)));
    for resolved in resolved.await {
        match resolved {
            Err(error) if error.passes => tracing::warn!("{error}"),
            resolved => missing.extend(resolved.err().map(|error| error.to_string())),
        }
    }
    missing
}
