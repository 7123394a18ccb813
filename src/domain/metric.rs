//! What is measured, under which names: the only place where metric names exist. Their number is bounded by the
//! configuration, since every label is a name or an objective from it, or one of a closed set.

use std::sync::Arc;

use super::names::{ChannelName, ProbeName, ScheduleName, StepName};
use super::outcome::{Run, SlotAccount, Verdict};
use super::time::Timestamp;

/// How values of a metric go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// The last value stands.
    Gauge,
    /// Values are added up.
    Counter,
    /// Values are counted by size, in seconds.
    Histogram,
    /// The same where values are minutes and hours.
    LongHistogram,
    /// The last value, said again for whoever takes silence for the absence of data. On a page it stands anyway.
    Held,
}

/// How a metric appears in CloudWatch, whose names follow CloudWatch Synthetics.
#[derive(Clone, Copy, Debug)]
pub struct CloudWatchMetric {
    /// The name.
    pub name: &'static str,
    /// The unit, as the API spells it.
    pub unit: &'static str,
    /// From our value (a share, seconds) to theirs (per cent, milliseconds).
    pub value: fn(f64) -> f64,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $type:ident, $help:literal;)*) => {
        /// The closed set of metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum MetricName { $($(#[$doc])* $variant,)* }

        impl MetricName {
            /// Every metric, in the order in which pages list them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name for Prometheus, without the suffix that counters have there.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How values go together.
            pub fn metric_type(self) -> MetricType {
                match self { $(Self::$variant => MetricType::$type,)* }
            }

            /// What it means, in one line.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

metrics! {
    /// As in blackbox_exporter.
    ProbeSuccess = "probe_success", Gauge, "Whether the last conclusive run passed (1) or failed (0)";
    /// As in blackbox_exporter.
    ProbeDuration = "probe_duration_seconds", Gauge, "How long the steps of the last conclusive run took";
    /// As in blackbox_exporter.
    ProbeHttpDuration = "probe_http_duration_seconds", Gauge, "How long each phase of an HTTP step took, summed over redirects";
    /// As in blackbox_exporter.
    ProbeHttpStatus = "probe_http_status_code", Gauge, "The status of the last answer";
    /// The same of a step, where a probe has several.
    StepSuccess = "probe_step_success", Gauge, "Whether a step of the last conclusive run passed (1) or failed (0), where a probe has several";
    /// The same of a step, where a probe has several.
    StepDuration = "probe_step_duration_seconds", Gauge, "How long a step took, where a probe has several";
    /// What a probe said last, when that is a while ago.
    ProbeLastSuccess = "probe_last_success", Held, "Whether the last conclusive run passed (1) or failed (0), said again each minute";
    /// How long ago that is.
    ProbeAge = "probe_age_seconds", Held, "How long ago the last conclusive run began";
    /// As in blackbox_exporter.
    ProbeCertificateExpiry = "probe_ssl_earliest_cert_expiry", Gauge, "When the first certificate of the chain ends, in seconds since 1970";
    /// Runs by verdict.
    Runs = "roundsman_runs", Counter, "Runs by verdict";
    /// Runs off the slots.
    ExtraRuns = "roundsman_extra_runs", Counter, "Runs off the slots by why: recheck, parent, diagnosis, drill or trigger";
    /// Failures by kind.
    Failures = "roundsman_failures", Counter, "Failures of runs by kind";
    /// Start minus due.
    Lateness = "roundsman_run_lateness_seconds", Histogram, "Start of a run minus the instant at which it was due";
    /// The accounting of slots.
    Slots = "roundsman_slots", Counter, "Slots by outcome: ran, skipped, saturated, paused or gap";
    /// What nobody looks at because somebody wants it so.
    Paused = "roundsman_paused", Gauge, "Probes on schedules that somebody has paused";
    /// Ticks that the engine did not wait for.
    LateTicks = "roundsman_late_ticks", Counter, "Rounds that the engine started because their tick was two seconds late";
    /// Jumps of the wall clock.
    ClockSteps = "roundsman_clock_steps", Counter, "Steps of the wall clock against the clock that does not step";
    /// What is owed.
    CleanupDebt = "roundsman_cleanup_debt", Gauge, "Runs of a probe whose cleanup is still to be done";
    /// What will never be done.
    CleanupsGivenUp = "roundsman_cleanups_given_up", Counter, "Runs of a probe whose cleanup was given up after a day";
    /// What is open.
    IncidentsOpen = "roundsman_incidents_open", Gauge, "Incidents that are open";
    /// How soon we notice.
    IncidentDetect = "roundsman_incident_detect_seconds", LongHistogram, "From the first bad run to the opening of an incident, by severity";
    /// How soon somebody comes.
    IncidentAcknowledge = "roundsman_incident_acknowledge_seconds", LongHistogram, "From the opening of an incident until somebody took it on, by severity";
    /// How soon it is over: its mean is the MTTR.
    IncidentResolve = "roundsman_incident_resolve_seconds", LongHistogram, "From the first bad run until an incident was over, by severity";
    /// What is kept of an objective.
    ObjectiveMeasured = "roundsman_objective_measured_ratio", Gauge, "Share of runs over the window of an objective: of those that were well, or of failures where the objective is of errors";
    /// What is left for failures.
    ObjectiveBudget = "roundsman_objective_error_budget_remaining_ratio", Gauge, "Share of an objective's error budget that is left; negative where more was spent";
    /// How quickly it goes.
    ObjectiveBurnRate = "roundsman_objective_burn_rate", Gauge, "How many times as quickly as its window can bear an objective's error budget is used up, by stretch: 1h, 6h or 3d";
    /// Attempts of deliveries.
    Deliveries = "roundsman_deliveries", Counter, "Attempts to deliver a notification, by outcome";
    /// The age of what waits.
    OutboxOldest = "roundsman_outbox_oldest_seconds", Gauge, "Age of the oldest notification that waits for delivery";
    /// Drills of channels.
    Drills = "roundsman_drills", Counter, "Drills of a channel by outcome: passed or broken";
    /// Whether a channel is known to work.
    DrillLastSuccess = "roundsman_drill_last_success_timestamp_seconds", Gauge, "When a channel was last drilled and every hop was well, in Unix time; 0 where never";
    /// What publishers did with samples.
    Samples = "roundsman_samples", Counter, "Samples by publisher: delivered or dropped";
    /// What publishers still hold.
    SamplesHeld = "roundsman_samples_held", Gauge, "Samples that a publisher could not send yet, by where they are: waiting in memory, or spooled on disk";
    /// One a minute, while every part goes on.
    Heartbeats = "roundsman_heartbeats", Counter, "Minutes in which every part of Roundsman went on";
    /// Pings to whoever looks after us.
    HeartbeatPings = "roundsman_heartbeat_pings", Counter, "Pings that Roundsman lives, by outcome: delivered or failed";
    /// What people change.
    Changes = "roundsman_changes", Counter, "Changes that people and programs made, or were refused, by outcome: done or refused";
    /// Whether what was last loaded is what is written.
    ReloadSuccess = "roundsman_config_last_reload_successful", Gauge, "Whether the last reload of the configuration was taken (1) or refused (0)";
}

impl MetricName {
    /// The metric of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|metric| metric.as_str() == name)
    }

    /// How it appears in CloudWatch; empty where each combination would be billed and nobody could ask for it.
    pub fn cloudwatch(self) -> &'static [CloudWatchMetric] {
        match self {
            Self::ProbeSuccess | Self::StepSuccess => &[
                CloudWatchMetric { name: "SuccessPercent", unit: "Percent", value: |share| share * 100.0 },
                CloudWatchMetric { name: "Failed", unit: "Count", value: |share| 1.0 - share },
            ],
            Self::ProbeDuration | Self::StepDuration => {
                &[CloudWatchMetric { name: "Duration", unit: "Milliseconds", value: |seconds| seconds * 1e3 }]
            }
            Self::ProbeLastSuccess => {
                &[CloudWatchMetric { name: "LastSuccessPercent", unit: "Percent", value: |share| share * 100.0 }]
            }
            Self::ProbeAge => &[CloudWatchMetric { name: "Age", unit: "Seconds", value: |seconds| seconds }],
            Self::Heartbeats => &[CloudWatchMetric { name: "Heartbeat", unit: "Count", value: |beats| beats }],
            _ => &[],
        }
    }
}

/// The labels that a sample may have; a closed set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SampleLabels {
    /// The probe.
    pub probe: Option<ProbeName>,
    /// The schedule.
    pub schedule: Option<ScheduleName>,
    /// The step, where a probe has several.
    pub step: Option<StepName>,
    /// The channel.
    pub channel: Option<ChannelName>,
    /// The kind of publisher.
    pub publisher: Option<&'static str>,
    /// The objective, in words.
    pub objective: Option<Arc<str>>,
    /// One more with a value from a closed set: `phase`, `verdict`, `why`, `kind`, `outcome`, `severity` or `stretch`.
    pub also: Option<(&'static str, &'static str)>,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Which metric.
    pub name: MetricName,
    /// When it was so.
    pub at: Timestamp,
    /// The value; never NaN.
    pub value: f64,
    /// Of whom.
    pub labels: SampleLabels,
}

/// The names that blackbox_exporter gives to the phases of HTTP.
const PHASES: [(&str, &str); 5] = [
    ("dns_ms", "resolve"),
    ("connect_ms", "connect"),
    ("tls_ms", "tls"),
    ("first_byte_ms", "processing"),
    ("transfer_ms", "transfer"),
];

/// The samples of a run. An inconclusive run says nothing of its target: it has only its count and its lateness. One off the
/// slots has only its count: those are made where something is in doubt, and would weigh it more than what is well.
pub fn samples(run: &Run) -> Vec<Sample> {
    let of_probe =
        SampleLabels { probe: Some(run.probe.clone()), schedule: run.schedule.clone(), ..SampleLabels::default() };
    let sample =
        |name, value, labels: &SampleLabels| Sample { name, at: run.started_at, value, labels: labels.clone() };
    let also = |key, value| SampleLabels { also: Some((key, value)), ..of_probe.clone() };

    if let Some(why) = run.extra {
        return vec![sample(MetricName::ExtraRuns, 1.0, &also("why", why.as_str()))];
    }
    let mut found = vec![
        sample(MetricName::Runs, 1.0, &also("verdict", run.verdict.word())),
        sample(
            MetricName::Lateness,
            run.lateness.as_secs_f64(),
            &SampleLabels { schedule: run.schedule.clone(), ..SampleLabels::default() },
        ),
    ];
    for failure in run.verdict.failures() {
        found.push(sample(MetricName::Failures, 1.0, &also("kind", failure.kind.as_str())));
    }
    let success = match run.verdict {
        Verdict::Inconclusive(_) => return found,
        Verdict::Failed(_) => 0.0,
        Verdict::Passed | Verdict::Degraded(_) => 1.0,
    };
    found.push(sample(MetricName::ProbeSuccess, success, &of_probe));
    found.push(sample(MetricName::ProbeDuration, run.duration.as_secs_f64(), &of_probe));

    let several = run.steps.len() > 1;
    for step in run.steps.iter().filter(|step| step.verdict.is_some()) {
        let of_step = SampleLabels { step: several.then(|| step.name.clone()), ..of_probe.clone() };
        let success = match &step.verdict {
            Some(Verdict::Passed | Verdict::Degraded(_)) => Some(1.0),
            Some(Verdict::Failed(_)) => Some(0.0),
            Some(Verdict::Inconclusive(_)) | None => None,
        };
        if let Some(success) = success.filter(|_| several && !step.cleanup) {
            found.push(sample(MetricName::StepSuccess, success, &of_step));
            found.push(sample(MetricName::StepDuration, step.phases.total_ms / 1e3, &of_step));
        }
        if let Some(expires) = step.certificate_expires {
            found.push(sample(MetricName::ProbeCertificateExpiry, expires.timestamp() as f64, &of_step));
        }
        if let Some(status) = step.status {
            found.push(sample(MetricName::ProbeHttpStatus, status as f64, &of_step));
        }
        if step.kind != "http" {
            continue;
        }
        for ((_, value), (_, phase)) in step.phases.parts().into_iter().zip(PHASES) {
            if let Some(milliseconds) = value {
                let labels = SampleLabels { also: Some(("phase", phase)), ..of_step.clone() };
                found.push(sample(MetricName::ProbeHttpDuration, milliseconds / 1e3, &labels));
            }
        }
    }
    found
}

/// The samples of slots that have ended.
pub fn slot_samples(account: &SlotAccount, at: Timestamp) -> Vec<Sample> {
    let labels = |outcome: &'static str| SampleLabels {
        probe: Some(account.probe.clone()),
        schedule: Some(account.schedule.clone()),
        also: Some(("outcome", outcome)),
        ..SampleLabels::default()
    };
    let counts = account.counts.iter().filter(|(_, count)| *count > 0);
    counts
        .map(|(outcome, count)| Sample {
            name: MetricName::Slots,
            at,
            value: *count as f64,
            labels: labels(outcome.as_str()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::outcome::{Extra, Phases, RunId, StepOutcome};
    use std::time::Duration;

    #[test]
    fn a_run_becomes_the_samples_that_dashboards_know() {
        let at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let run = Run {
            id: RunId(Arc::from("r")),
            location: Arc::from("here"),
            probe: ProbeName::parse("api-health").unwrap(),
            schedule: Some(ScheduleName::parse("reachability").unwrap()),
            extra: None,
            slot: at,
            due_at: at,
            started_at: at,
            duration: Duration::from_millis(250),
            lateness: Duration::from_millis(2),
            verdict: Verdict::Passed,
            steps: vec![StepOutcome {
                name: StepName::parse("http").unwrap(),
                kind: "http".to_owned(),
                cleanup: false,
                verdict: Some(Verdict::Passed),
                offset_ms: 0.0,
                phases: Phases { first_byte_ms: Some(40.0), total_ms: 50.0, ..Phases::default() },
                certificate_expires: None,
                status: Some(200),
                late_ms: None,
                version: None,
                cases: Vec::new(),
            }],
            bundle: None,
        };
        let lines: Vec<_> = samples(&run)
            .iter()
            .map(|s| format!("{} {} {:?}", s.name.as_str(), s.value, s.labels.also.map(|(_, value)| value)))
            .collect();
        assert_eq!(
            lines,
            [
                "roundsman_runs 1 Some(\"passed\")",
                "roundsman_run_lateness_seconds 0.002 None",
                "probe_success 1 None",
                "probe_duration_seconds 0.25 None",
                "probe_http_status_code 200 None",
                "probe_http_duration_seconds 0.04 Some(\"processing\")",
            ]
        );
        let recheck = samples(&Run { extra: Some(Extra::Recheck), ..run });
        assert_eq!(recheck.len(), 1, "what is in doubt weighs no more than what is well");
        assert_eq!(recheck[0].labels.also, Some(("why", "recheck")));
    }
}
