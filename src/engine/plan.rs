//! The plan: what the files mean, whole, immutable and resolved. What `validate` accepts is this, and this is what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::access::{Proxy, Role};
use crate::domain::bill::dollars::Dollars;
use crate::domain::blueprint::Blueprint;
use crate::domain::grouping::{Grouping, Rules};
use crate::domain::hours::Hours;
use crate::domain::incident::{IncidentId, Severity};
use crate::domain::judge::AlertPolicy;
use crate::domain::names::{ChannelName, ProbeName, ScheduleName, SecretName, StepName};
use crate::domain::objective::Objective;
use crate::domain::probe::{Probe, Step};
use crate::domain::quiet::MaintenanceWindow;
use crate::domain::route::{Route, Subject};
use crate::domain::schedule::{Cadence, Schedule};
use crate::domain::time::Timestamp;
use crate::ports::{Known, Notifier, Pinger, Prober, PublisherFactory, Secrets, Token};
use crate::settings::Span;

/// A probe with what performs its steps.
pub type PlannedProbe = Probe<Arc<dyn Prober>>;

/// A step with what performs it.
pub type PlannedStep = Step<Arc<dyn Prober>>;

/// The budget of the steps of a run where nothing else is said.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that was declared.
#[derive(Clone)]
pub struct Plan {
    /// The watched system.
    pub site: String,
    /// Where this process stands.
    pub location: Arc<str>,
    /// The store's file.
    pub store: PathBuf,
    /// How long runs and closed incidents are kept.
    pub retention: Duration,
    /// Whether the files are loaded again by themselves once they have changed.
    pub heeds_files: bool,
    /// The budget of a run that no schedule started and whose probe names none.
    pub timeout: Duration,
    /// The page.
    pub web: WebPlan,
    /// The tiers.
    pub schedules: BTreeMap<ScheduleName, Arc<Schedule>>,
    /// The probes, each after its expansion.
    pub probes: BTreeMap<ProbeName, Arc<PlannedProbe>>,
    /// Where messages can go.
    pub channels: BTreeMap<ChannelName, Arc<dyn Notifier>>,
    /// How messages to a channel are grouped, where that is not as by default.
    pub grouping: BTreeMap<ChannelName, Grouping>,
    /// Which messages go where: the first that matches.
    pub routes: Vec<Route>,
    /// What goes for a severity besides its routes.
    pub severities: BTreeMap<Severity, SeverityPlan>,
    /// The texts of the runbooks that are files, by what probes say of them.
    pub runbooks: BTreeMap<String, Arc<str>>,
    /// Planned quiet time.
    pub maintenance: Vec<MaintenanceWindow>,
    /// Who is told that we live, besides those who look at metrics.
    pub heartbeat: Option<HeartbeatPlan>,
    /// When channels are drilled by themselves.
    pub drill: Option<DrillPlan>,
    /// What AWS may bill a month, by service.
    pub budgets: BTreeMap<String, Dollars>,
    /// What is said of what `roundsman aws` prints.
    pub blueprint: Blueprint,
    /// Where metrics go, by kind.
    pub publishers: BTreeMap<&'static str, Arc<dyn PublisherFactory>>,
    /// Where secrets come from.
    pub secrets: Arc<dyn Secrets>,
    /// The secrets that are used, so that `run` can look whether they are there.
    pub secrets_used: BTreeSet<SecretName>,
    /// Each declared thing (`probe api-health`, `schedule hourly`, `channel ops`, `routes`, …) with its resolved text, so
    /// that a reload can say what changed.
    pub written: BTreeMap<String, String>,
    /// Where each probe is written, for people.
    pub places: BTreeMap<ProbeName, Place>,
}

/// Where a probe is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name; of one of several that one definition makes, its key under `each`.
    pub name: Span,
    /// The whole definition, with the comment above it. Secrets are references in it.
    pub whole: Span,
}

/// The page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebPlan {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How people reach it, for links in messages; without a slash at the end.
    pub url: Option<String>,
    /// The tokens of whoever has no proxy.
    pub tokens: Tokens,
    /// A proxy that knows who asks.
    pub proxy: Option<Proxy>,
    /// What everybody may see.
    pub public: Option<PublicPlan>,
}

/// The page that everybody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPlan {
    /// What it is called.
    pub title: String,
    /// Its path.
    pub path: String,
    /// The probes that it shows, with their titles, in its order.
    pub probes: Vec<(ProbeName, String)>,
}

impl PublicPlan {
    /// Where something else is: the first parts of its paths, none of which this page may take.
    pub const TAKEN: [&str; 18] = [
        "about",
        "api",
        "audit",
        "badge",
        "deliveries",
        "events",
        "favicon.ico",
        "healthz",
        "incidents",
        "live.js",
        "metrics",
        "objectives",
        "ping",
        "probes",
        "readyz",
        "runs",
        "schedules",
        "style.css",
    ];
}

/// What is asked of whoever reads, and of whoever changes something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Lets read. Without it reading on loopback asks for none.
    pub read: Option<Token>,
    /// Lets change something, and read.
    pub operate: Option<Token>,
}

impl Tokens {
    /// One that lets do both.
    pub fn one(token: Token) -> Self {
        Self { read: Some(token.clone()), operate: Some(token) }
    }

    /// Both, where they are, with what they let do.
    pub fn all(&self) -> impl Iterator<Item = (&Token, Role)> {
        let operate = self.operate.iter().map(|token| (token, Role::Operate));
        operate.chain(self.read.iter().map(|token| (token, Role::Read)))
    }

    /// The secrets that they are.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.all().filter_map(|(token, _)| match token {
            Token::Secret(name) => Some(name),
            Token::Known(_) => None,
        })
    }
}

impl WebPlan {
    /// Whether anybody may change something.
    pub fn can_be_operated(&self) -> bool {
        self.tokens.operate.is_some() || self.proxy.as_ref().is_some_and(|proxy| !proxy.operate.is_empty())
    }

    /// Where people find the page of an incident.
    pub fn page_of(&self, incident: &IncidentId) -> Option<String> {
        self.url.as_ref().map(|base| format!("{base}/incidents/{incident}"))
    }
}

/// Who is told that we live.
#[derive(Clone)]
pub struct HeartbeatPlan {
    /// How.
    pub ping: Arc<dyn Pinger>,
    /// How often.
    pub every: Duration,
}

/// When channels are drilled by themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct DrillPlan {
    /// When.
    pub cadence: Cadence,
    /// Which, one after another.
    pub channels: Vec<ChannelName>,
}

/// What goes for a severity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeverityPlan {
    /// Within what time somebody is to acknowledge.
    pub acknowledge: Option<Duration>,
    /// Who is told where nobody did.
    pub escalate: Vec<ChannelName>,
    /// The hours for which messages wait.
    pub hold: Option<Hours>,
    /// How long after its end those who were told are reminded of the post-mortem.
    pub post_mortem: Option<Duration>,
}

impl Plan {
    /// The probes that some schedule runs.
    pub fn scheduled(&self) -> BTreeSet<&ProbeName> {
        self.schedules.values().flat_map(|schedule| &schedule.probes).collect()
    }

    /// The objectives of a schedule for one of its probes: those of a step only where that step is.
    pub fn objectives<'a>(
        &'a self,
        schedule: &'a Schedule,
        probe: &ProbeName,
    ) -> impl Iterator<Item = &'a Arc<Objective>> {
        let probe = self.probes.get(probe);
        let has = move |step: &StepName| probe.is_some_and(|probe| probe.steps.iter().any(|own| own.name == *step));
        schedule.objectives.iter().filter(move |objective| objective.step.as_ref().is_none_or(has))
    }

    /// The first route that takes something now.
    pub fn route(&self, subject: &Subject<'_>, now: Timestamp) -> Option<&Route> {
        self.routes.iter().find(|route| route.refuses(subject, now).is_none())
    }

    /// How messages to a channel are grouped.
    pub fn rules(&self, channel: &ChannelName) -> Rules {
        Rules {
            grouping: self.grouping.get(channel).cloned().unwrap_or_default(),
            keeping: self.channels.get(channel).map(|notifier| notifier.keeping()).unwrap_or_default(),
        }
    }

    /// The tokens of the jobs that ping.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        let steps = self.probes.values().flat_map(|probe| probe.steps.iter().chain(&probe.cleanup));
        steps.filter_map(|step| step.action.token())
    }

    /// The names that labels of samples may have.
    pub fn known(&self) -> Known {
        let of_schedule = |schedule: &Arc<Schedule>| {
            let name = schedule.name.clone();
            schedule.probes.iter().map(|probe| (name.clone(), probe.clone())).collect::<Vec<_>>()
        };
        Known {
            probes: self.probes.keys().cloned().collect(),
            steps: self.probes.values().flat_map(|probe| steps_of(probe)).collect(),
            schedules: self.schedules.keys().cloned().collect(),
            rounds: self.schedules.values().flat_map(of_schedule).collect(),
            channels: self.channels.keys().cloned().collect(),
            objectives: self.schedules.values().flat_map(|schedule| of_objectives(schedule)).collect(),
        }
    }

    /// What differs in another plan, in words: `probe api-health changed`, `schedule hourly added`.
    pub fn changes(&self, next: &Self) -> Vec<String> {
        let names: BTreeSet<_> = self.written.keys().chain(next.written.keys()).collect();
        let change = |name: &&String| match (self.written.get(*name), next.written.get(*name)) {
            (Some(_), None) => Some(format!("{name} removed")),
            (None, Some(_)) => Some(format!("{name} added")),
            (before, after) if before != after => Some(format!("{name} changed")),
            _ => None,
        };
        names.iter().filter_map(change).collect()
    }
}

impl PlannedProbe {
    /// The policy for its runs on a schedule: its own, else the schedule's.
    pub fn alert_on<'a>(&'a self, schedule: &'a Schedule) -> Option<&'a AlertPolicy> {
        self.alert.as_deref().or(schedule.alert.as_ref())
    }

    /// Whether a step of it does not look but waits to be told, which only a daemon is.
    pub fn waits_to_be_told(&self) -> bool {
        self.steps.iter().any(|step| step.action.token().is_some())
    }
}

fn of_objectives(schedule: &Schedule) -> impl Iterator<Item = (ScheduleName, Arc<str>)> {
    schedule.objectives.iter().map(|objective| (schedule.name.clone(), Arc::clone(&objective.text)))
}

fn steps_of(probe: &PlannedProbe) -> Vec<(ProbeName, StepName)> {
    probe.steps.iter().chain(&probe.cleanup).map(|step| (probe.name.clone(), step.name.clone())).collect()
}
