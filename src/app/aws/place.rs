//! Where our metrics and alarms stand.

use crate::app::answer::Stop;
use crate::domain::metrics_place::MetricsPlace;
use crate::domain::names::{ProbeName, ScheduleName, StepName};
use crate::domain::objective::Objective;
use crate::domain::schedule::Schedule;
use crate::engine::plan::{Plan, PlannedProbe};
use crate::net::aws::services::partition;

/// Under which namespace metrics would stand if they were published.
const NAMESPACE: &str = "Roundsman";

/// What stands for the partition, the region and the account of the stack where a template is made into one.
const STACK: &str = "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:";

/// Names and values of dimensions, in the order of the service's documents.
pub type Dimensions = Vec<(&'static str, String)>;

/// Whether a probe's metric is of its runs on one schedule alone; or whose are in it as well. A run bears the name of its
/// schedule in no metric of a probe.
pub fn shared(plan: &Plan, schedule: &Schedule, probe: &ProbeName) -> Result<(), String> {
    let mut others = plan.schedules.values().filter(|other| other.name != schedule.name && other.has(probe));
    match others.next() {
        Some(other) => Err(format!("its runs on {} are in the same metric", other.name)),
        None => Ok(()),
    }
}

/// Where our metrics and alarms stand.
#[derive(Clone, Debug)]
pub struct Place {
    /// The watched system: alarms bear its name.
    pub site: String,
    /// Where this process stands, under which the heartbeat is.
    pub location: String,
    /// Where metrics are.
    pub metrics: MetricsPlace,
    /// Whether anybody publishes them.
    pub is_published: bool,
    /// The region of dashboards, alarms and what they read.
    pub region: String,
    /// What stands before the name of an alarm in its ARN; nothing where the account is not known.
    pub alarm_arns: Option<String>,
}

impl Place {
    /// That of a plan. A dashboard names regions, so one must be known without asking this machine: the same files give the
    /// same document everywhere.
    pub fn of(plan: &Plan) -> Result<Self, Stop> {
        let published = plan.publishers.values().find_map(|publisher| publisher.place());
        let estate = &plan.blueprint.estate;
        let of_metrics = published.as_ref().and_then(|place| place.region.clone());
        let region = of_metrics.or_else(|| estate.region.clone()).ok_or_else(|| {
            let known = "write `region:` under `publish.cloudwatch`, or under `estate`";
            Stop::Usage(format!("no region is known: {known}"))
        })?;
        let arns = |account: &String| format!("arn:{}:cloudwatch:{region}:{account}:alarm:", partition(&region));
        Ok(Self {
            site: plan.site.clone(),
            location: plan.location.to_string(),
            is_published: published.is_some(),
            metrics: published.unwrap_or_else(|| MetricsPlace {
                namespace: NAMESPACE.to_owned(),
                region: None,
                by_schedule: false,
                by_step: false,
                is_high_resolution: false,
            }),
            alarm_arns: estate.account.as_ref().map(arns),
            region,
        })
    }

    /// The same where alarms are made by the stack that is named in their ARNs.
    #[must_use]
    pub fn in_stack(self) -> Self {
        Self { alarm_arns: Some(STACK.to_owned()), ..self }
    }

    /// The formula for a metric of every probe, as many as CloudWatch finds.
    pub fn search(&self, metric: &str, stat: &str, period: u64) -> String {
        let namespace = &self.metrics.namespace;
        let is_word = namespace.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let namespace = if is_word { namespace.clone() } else { format!("\"{namespace}\"") };
        format!("SEARCH('{{{namespace},Probe}} MetricName=\"{metric}\"', '{stat}', {period})")
    }

    /// The dimensions of a probe's metrics.
    pub fn of_probe(probe: &ProbeName) -> Dimensions {
        vec![("Probe", probe.to_string())]
    }

    /// Those of a schedule over all of its probes.
    pub fn of_schedule(schedule: &ScheduleName) -> Dimensions {
        vec![("Schedule", schedule.to_string())]
    }

    /// Those of a step.
    pub fn of_step(probe: &ProbeName, step: &StepName) -> Dimensions {
        vec![("Probe", probe.to_string()), ("Step", step.to_string())]
    }

    /// Those of what an objective is about, where it is published: a probe of one step has no metrics of its step, which
    /// would be its own.
    pub fn of_objective(&self, probe: &PlannedProbe, objective: &Objective) -> Option<Dimensions> {
        match &objective.step {
            Some(step) if probe.steps.len() > 1 => self.metrics.by_step.then(|| Self::of_step(&probe.name, step)),
            _ => Some(Self::of_probe(&probe.name)),
        }
    }

    /// Those of the heartbeat.
    pub fn of_heartbeat(&self) -> Dimensions {
        vec![("Location", self.location.clone())]
    }
}
