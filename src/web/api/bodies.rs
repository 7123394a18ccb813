//! The shapes of what is read and answered below `/api/v1`. Who asks reads them with the same types.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::figures::Figures;
use crate::domain::incident::{Acknowledgement, Event, Finding, Hearers, Incident, IncidentId, Severity};
use crate::domain::judge::Aspect;
use crate::domain::names::{ChannelName, ProbeName, ScheduleName, WindowName};
use crate::domain::outcome::{Failure, RunId};
use crate::domain::pause::Pause;
use crate::domain::probe::Labels;
use crate::domain::quiet::{Matchers, Silence};
use crate::domain::time::{Length, Timestamp};
use crate::engine::plan::WebPlan;
use crate::ports::{IncidentStory, Told, UndeliveredRow};
use crate::web::api::runs::RunBody;

/// Lengths of time as programs may write them: what people write besides is taken too.
const LENGTH: &str = "^[0-9]{1,4}(ms|s|m|h|d)( [0-9]{1,4}(ms|s|m|h|d))?$";

/// Somebody takes an incident on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// Who.
    pub by: String,
    /// What they say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Somebody says something of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Who.
    pub by: String,
    /// What.
    pub text: String,
}

/// Somebody wants quiet, until an instant or for a length of time: one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// About what.
    pub matchers: About,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it begins; at once where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// For how long after it begins.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = LENGTH))]
    pub length: Option<Length>,
}

/// What a silence is about, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct About {
    /// Probes, or globs with `*`.
    pub probes: Vec<String>,
    /// Schedules.
    #[schemars(with = "Vec<ScheduleName>")]
    pub schedules: BTreeSet<ScheduleName>,
    /// Labels.
    pub labels: Labels,
    /// Severities.
    #[schemars(with = "Vec<Severity>")]
    pub severities: BTreeSet<Severity>,
}

impl From<About> for Matchers {
    fn from(about: About) -> Self {
        let About { probes, schedules, labels, severities } = about;
        Self { probes, schedules, labels, severities }
    }
}

/// Somebody wants a channel drilled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// Which.
    pub channel: String,
}

/// What can be drilled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Channels {
    /// The channels.
    pub channels: Vec<ChannelName>,
}

/// Nothing more needs to be said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Incidents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incidents {
    /// The open ones, the gravest first.
    pub open: Vec<IncidentBody>,
    /// Those that are over, the one that opened last first; a part of them, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Vec<IncidentBody>>,
    /// The cursor by which the next part of `resolved` is asked for; absent where this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An incident as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentBody {
    /// Its id.
    pub id: IncidentId,
    /// The probe.
    pub probe: ProbeName,
    /// Whether the target fails or we cannot look.
    pub aspect: Aspect,
    /// How much it matters.
    pub severity: Severity,
    /// Whether it goes on.
    pub is_open: bool,
    /// What is wrong, or was, in one line.
    pub summary: String,
    /// The first bad run.
    pub since: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Why it ended otherwise than by recovery.
    pub resolved_because: Option<String>,
    /// Who has taken it on.
    pub acknowledged: Option<Acknowledgement>,
    /// Why nobody is told of it now.
    pub quiet: Option<String>,
    /// The maintenance window in which it began.
    pub maintenance: Option<WindowName>,
    /// The channels that are told of it.
    pub told: Vec<ChannelName>,
    /// Who has heard of it by now; absent where nobody looked.
    #[serde(default)]
    pub hearers: Option<Hearers>,
    /// When they are reminded.
    pub remind_at: Option<Timestamp>,
    /// When others are told, if nobody takes it on.
    pub escalate_at: Option<Timestamp>,
    /// Every schedule that took part.
    pub schedules: Vec<ScheduleName>,
    /// The schedules that hold it open, with their severity.
    pub firing: BTreeMap<ScheduleName, Severity>,
    /// The probe's labels.
    pub labels: Labels,
    /// The probe's runbook.
    pub runbook: Option<String>,
    /// Its page, where people can reach one.
    pub url: Option<String>,
    /// What changed shortly before, in words.
    pub changes: Vec<String>,
    /// What was looked at because it opened, in short.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// How long things took.
    #[serde(default)]
    pub figures: FiguresBody,
    /// The failures of the run that fired first.
    pub first_failures: Arc<[Failure]>,
    /// The failures of the latest bad run.
    pub latest_failures: Arc<[Failure]>,
}

/// How long things took in an incident, in seconds; absent what has not come yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FiguresBody {
    /// From the first bad run to the opening.
    pub detect_seconds: f64,
    /// From there until somebody took it on.
    pub acknowledge_seconds: Option<f64>,
    /// From the first bad run until it was over.
    pub resolve_seconds: Option<f64>,
}

impl From<Figures> for FiguresBody {
    fn from(figures: Figures) -> Self {
        Self {
            detect_seconds: figures.detect.as_secs_f64(),
            acknowledge_seconds: figures.acknowledge.map(|length| length.as_secs_f64()),
            resolve_seconds: figures.resolve.map(|length| length.as_secs_f64()),
        }
    }
}

/// A text of an incident, as Markdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Text {
    /// The text.
    pub text: String,
}

impl IncidentBody {
    /// An incident, whose page is there, and who has heard of it.
    pub fn of(incident: &Incident, hearers: Option<&Hearers>, web: &WebPlan) -> Self {
        let Incident { id, probe, aspect, severity, since, opened_at, resolved_at, .. } = incident;
        Self {
            id: id.clone(),
            probe: probe.clone(),
            aspect: *aspect,
            severity: *severity,
            is_open: incident.is_open(),
            summary: incident.summary(),
            since: *since,
            opened_at: *opened_at,
            resolved_at: *resolved_at,
            resolved_because: incident.resolved_because.clone(),
            acknowledged: incident.acknowledged.clone(),
            quiet: incident.quiet.as_ref().map(ToString::to_string),
            maintenance: incident.maintenance.clone(),
            told: incident.told.clone(),
            hearers: hearers.cloned(),
            remind_at: incident.remind_at,
            escalate_at: incident.escalate_at,
            schedules: incident.schedules.clone(),
            firing: incident.firing.clone(),
            labels: incident.labels.clone(),
            runbook: incident.runbook.clone(),
            url: web.page_of(id),
            changes: incident.changes.clone(),
            findings: incident.findings.clone(),
            figures: Figures::of(incident).into(),
            first_failures: Arc::clone(&incident.first_failures),
            latest_failures: Arc::clone(&incident.latest_failures),
        }
    }
}

/// What somebody did about an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// As it stands now.
    pub incident: IncidentBody,
    /// Whether it is in the store; where that rests it holds all the same, and is written when the store returns.
    pub recorded: bool,
}

/// An incident with what happened to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Story {
    /// As it stands.
    pub incident: IncidentBody,
    /// Its time line, oldest first.
    pub moments: Vec<MomentBody>,
    /// Its messages, in their order.
    pub messages: Vec<Message>,
}

/// A line of a time line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MomentBody {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: String,
    /// In words.
    pub text: String,
}

/// A message to one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Where to.
    pub channel: ChannelName,
    /// What happened.
    pub event: Event,
    /// When its fate was settled; absent while it waits.
    #[serde(default)]
    pub settled_at: Option<Timestamp>,
    /// What became of it, in words.
    pub became: String,
}

impl Story {
    /// A story; its page is there.
    pub fn of(story: IncidentStory, web: &WebPlan) -> Self {
        let moments = story.moments.into_iter();
        let told = story.told.into_iter();
        Self {
            incident: IncidentBody::of(&story.incident, Some(&story.hearers), web),
            moments: moments.map(|moment| MomentBody { at: moment.at, what: moment.what, text: moment.text }).collect(),
            messages: told
                .map(|Told { channel, event, settled_at, became, .. }| Message { channel, event, settled_at, became })
                .collect(),
        }
    }
}

/// The silences that are not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silences {
    /// By their end.
    pub silences: Vec<Silence>,
}

/// A silence that began or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SilenceDone {
    /// As it is now.
    pub silence: Silence,
    /// What whoever began it may not have meant: that it is about nothing that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// As for [`Done::recorded`].
    pub recorded: bool,
}

/// Somebody wants something not to be run: until an instant, for a length of time, or until somebody resumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseBegin {
    /// A probe, or `schedule:` and a schedule; `*` stands for any text.
    pub what: String,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// For how long.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = LENGTH))]
    pub length: Option<Length>,
}

/// The pauses that are not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PausesBody {
    /// In the order in which they began.
    pub pauses: Vec<Pause>,
}

/// A pause that began or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PauseDone {
    /// As it is now.
    pub pause: Pause,
    /// As for [`Done::recorded`].
    pub recorded: bool,
}

/// Somebody wants a probe run now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerAsk {
    /// For this schedule; for all on which it is where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
}

/// The runs that somebody wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriggerAnswer {
    /// One for each schedule.
    pub runs: Vec<TriggeredRun>,
}

/// A run that somebody wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriggeredRun {
    /// Its id.
    pub id: RunId,
    /// Its schedule; absent where none has the probe.
    pub schedule: Option<ScheduleName>,
    /// The run; absent while it goes on, and where there is none.
    pub run: Option<RunBody>,
    /// Why there is none.
    pub refused: Option<String>,
    /// Why it moves no alert; absent where it is judged as any run of its schedule.
    pub unjudged: Option<String>,
    /// The incidents of the probe that are open after it.
    pub open: Vec<IncidentId>,
    /// Those that it ended.
    pub resolved: Vec<IncidentId>,
    /// As for [`Done::recorded`].
    pub recorded: bool,
}

impl TriggeredRun {
    /// One of which nothing is known yet.
    pub fn going_on(id: RunId, schedule: Option<ScheduleName>) -> Self {
        let (open, resolved) = (Vec::new(), Vec::new());
        Self { id, schedule, run: None, refused: None, unjudged: None, open, resolved, recorded: false }
    }
}

/// What came of reading the files again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reload {
    /// What is otherwise than before, in words.
    pub changes: Vec<String>,
    /// What is worth a look.
    pub problems: Vec<ProblemBody>,
}

/// One mistake in the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemBody {
    /// The file; absent for what concerns none.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// `error` or `warning`.
    pub level: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// What channels have not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deliveries {
    /// What waits, oldest first, then what was given up, the latest first; at most 500 of each.
    pub deliveries: Vec<UndeliveredRow>,
    /// How many wait in all.
    pub waiting: u64,
    /// How many were given up in all.
    pub given_up: u64,
}

/// What is due now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedriveDone {
    /// So many messages.
    pub due: u64,
}
