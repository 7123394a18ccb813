//! The files as written: plain types, one for each shape. Their doc comments are what an editor shows.

mod values;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::blueprint::{RawAlarms, RawDashboard, RawEstate};
use super::grades::SeverityForms;
use super::objectives::RawObjective;
use super::unnoticed::RawUnnoticed;
use crate::domain::incident::Severity;
use crate::domain::names::{CaptureName, ChannelName, ProbeName, ScheduleName, SecretName, StepName, WindowName};
use crate::domain::template::Template;
use crate::settings::{Node, OneOrMany, Spanned};

pub use values::{
    AfterForms, Expressions, Names, RawAfter, RawDollars, RawLength, RawListen, RawPath, RawShare, Severities,
};

/// roundsman.yaml: every key may be absent, and so may the file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Roundsman")]
pub struct RawRoot {
    /// The watched system, for messages and pages. Default: the name of the configuration's directory.
    pub site: Option<String>,
    /// Where this process stands, e.g. a region. Default: `local`.
    pub location: Option<String>,
    /// Where state is kept: `sqlite:` and a path, relative to the configuration. Default: `sqlite:state/roundsman.db`.
    #[schemars(with = "Option<String>")]
    pub store: Option<Spanned<String>>,
    /// How long runs and closed incidents are kept, at least `1h`. Default: `90d`.
    #[schemars(with = "Option<RawLength>")]
    pub retention: Option<Spanned<RawLength>>,
    /// The page and `/metrics`.
    pub web: RawWeb,
    /// Values that are used in several places, as `${var:name}`.
    #[schemars(with = "BTreeMap<String, String>")]
    pub vars: Option<Node>,
    /// What holds for every probe that does not say otherwise.
    pub defaults: RawDefaults,
    /// Secrets by reference; their values are read when they are used, and never shown.
    #[schemars(with = "BTreeMap<String, RawSecret>")]
    pub secrets: BTreeMap<SecretName, Spanned<RawSecret>>,
    /// Where metrics go.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub publish: BTreeMap<Spanned<String>, Node>,
    /// Where messages can go; a channel has exactly one kind as its key.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub channels: BTreeMap<Spanned<ChannelName>, Node>,
    /// What of messages goes together; a channel may have a `group` of its own.
    pub group: Option<RawGroup>,
    /// Which messages go where: the first that matches takes the message.
    pub routes: Vec<RawRoute>,
    /// What goes for a severity, P1 to P4, besides its routes.
    #[schemars(with = "BTreeMap<String, RawSeverity>")]
    pub severities: BTreeMap<Spanned<String>, RawSeverity>,
    /// Planned quiet time.
    #[schemars(with = "BTreeMap<String, RawWindow>")]
    pub maintenance: BTreeMap<Spanned<WindowName>, RawWindow>,
    /// Who is told that Roundsman lives, and makes noise when it is not told any more.
    pub heartbeat: Option<RawHeartbeat>,
    /// When channels are drilled by themselves. Default: never.
    pub drill: Option<RawDrill>,
    /// What AWS may bill a month, by service or in `total`, e.g. `cloudwatch: 50 USD`: a plan that costs more is an error.
    /// Default: anything.
    #[schemars(with = "BTreeMap<String, String>")]
    pub budget: BTreeMap<Spanned<String>, Spanned<RawDollars>>,
    /// What the site runs on in AWS, for the dashboard and the alarms that `roundsman aws` prints.
    pub estate: RawEstate,
    /// The dashboard that it prints.
    pub dashboard: RawDashboard,
    /// The alarms that it prints.
    pub alarms: RawAlarms,
}

/// When channels are drilled: a probe is made to fail and to pass, and the message about it is followed to its receiver.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Drill")]
pub struct RawDrill {
    /// A cron line of five fields, or six with the seconds first: `0 10 * * 1` is each Monday at ten. At least an hour apart.
    #[schemars(with = "String")]
    pub cron: Spanned<String>,
    /// The time zone of the cron line. Default: UTC.
    #[schemars(with = "Option<String>")]
    pub timezone: Option<Spanned<String>>,
    /// The channels, one after another. Default: all.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub channels: OneOrMany<Spanned<ChannelName>>,
}

/// Who is told that Roundsman lives.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Heartbeat")]
pub struct RawHeartbeat {
    /// The URL of a receiver of pings like healthchecks.io, a secret, which no log and no error holds: write
    /// `"${secret:name}"`.
    #[schemars(with = "String")]
    pub ping: Spanned<Template>,
    /// How often it is told, between 10 s and 1 h. Default: 60 s.
    #[schemars(with = "Option<RawLength>")]
    pub every: Option<Spanned<RawLength>>,
}

/// The page and `/metrics`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawWeb {
    /// The address and port at which it listens. Default: `127.0.0.1:8080`.
    #[schemars(with = "Option<String>")]
    pub listen: Option<Spanned<RawListen>>,
    /// How people reach it: for links in messages, and a name by which it may be asked. Default: none.
    #[schemars(with = "Option<String>")]
    pub url: Option<Spanned<String>>,
    /// One token that lets read and change everything, in the place of `tokens`: a secret, `"${secret:name}"`, or the hash
    /// of one, `"sha256:…"`, as `roundsman token` makes it. Default: none.
    #[schemars(with = "Option<String>")]
    pub token: Option<Spanned<Template>>,
    /// A token for those who read and another for those who change something; each is written like `token`. Default: none.
    #[schemars(with = "Option<RawTokens>")]
    pub tokens: Option<Spanned<RawTokens>>,
    /// A proxy before the page, which may know who asks and say it in a header. Default: none.
    pub proxy: Option<RawProxy>,
    /// A page that everybody may see, with chosen probes only.
    pub public: Option<RawPublic>,
}

/// The page that everybody may see: titles, verdicts, 90 days and since when something is wrong; never why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Public")]
pub struct RawPublic {
    /// What it is called.
    #[schemars(with = "String")]
    pub title: Spanned<String>,
    /// Its path. Default: `/public`.
    #[schemars(with = "Option<String>")]
    pub path: Option<Spanned<String>>,
    /// Which probes: names, globs with `*`, or `label:key=value`, in the order in which they are shown. Each goes by its label
    /// `title`, or by its name.
    #[schemars(with = "Vec<String>")]
    pub probes: Spanned<OneOrMany<Spanned<String>>>,
}

/// Who may read, and who may change something; each is written like `web.token`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Tokens")]
pub struct RawTokens {
    /// Lets read. Default: none; reading on loopback is free then, and beyond it asks for the other.
    #[schemars(with = "Option<String>")]
    pub read: Option<Spanned<Template>>,
    /// Lets read and change something: acknowledge, note, silence, pause, trigger, reload, send again, drill. Default:
    /// none, and nobody may by a token.
    #[schemars(with = "Option<String>")]
    pub operate: Option<Spanned<Template>>,
}

/// A proxy before the page.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Proxy")]
pub struct RawProxy {
    /// The addresses from which it is believed, e.g. `10.0.0.7` or `10.0.0.0/24`. From others its headers are not read.
    #[schemars(with = "Names")]
    pub from: Spanned<OneOrMany<Spanned<String>>>,
    /// The header in which it says who asks, like `X-Forwarded-User`, and which it takes away from what others send. Default: none;
    /// it knows nobody then, and only `X-Forwarded-For` is believed.
    #[schemars(with = "Option<String>")]
    pub user: Option<Spanned<String>>,
    /// Who of them may change something: names, or globs with `*`; all others read. Default: nobody.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub operate: OneOrMany<Spanned<String>>,
}

/// What holds for every probe that does not say otherwise.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawDefaults {
    /// The budget of a run whose probe and schedule name none, or 80 % of the cadence where that is less. Default: 10 s.
    #[schemars(with = "Option<RawLength>")]
    pub timeout: Option<Spanned<RawLength>>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What nothing has to notice, for `roundsman drill --probes`: a place like `json.request_id` or `headers.*`, and the
    /// reason.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub unnoticed: RawUnnoticed,
}

/// Where a secret is: in exactly one of `env`, `file` and `aws_secrets_manager`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawSecret {
    /// In an environment variable, which must not be empty.
    pub env: Option<String>,
    /// In a file of at most 64 KiB, relative to the configuration; a line break at its end is not part of it.
    pub file: Option<String>,
    /// In AWS Secrets Manager, by its name or its ARN. It is kept for five minutes, and read again when a step is refused with
    /// it.
    #[schemars(with = "Option<String>")]
    pub aws_secrets_manager: Option<Spanned<String>>,
    /// With `aws_secrets_manager`: the key of a secret whose text is a JSON object, as the console makes them; its value
    /// is a text, a number, or true or false. Default: the whole text.
    #[schemars(with = "Option<String>")]
    pub key: Option<Spanned<String>>,
    /// With `aws_secrets_manager`: its region. Default: that of the ARN, of `AWS_REGION`, of the profile or of the
    /// machine.
    #[schemars(with = "Option<String>")]
    pub region: Option<Spanned<String>>,
}

/// Which messages go where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRoute {
    /// The severities that it takes. Default: all.
    #[serde(default)]
    #[schemars(with = "Option<Severities>")]
    pub severity: OneOrMany<Severity>,
    /// The labels that the probe must have; one that no probe has is a warning of `validate`. Default: none.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub labels: BTreeMap<Spanned<String>, Spanned<String>>,
    /// The schedules of which one must have taken part. Default: all.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub schedules: OneOrMany<Spanned<ScheduleName>>,
    /// The hours in which it takes anything, e.g. `mon-fri 09:00-17:00`. Default: always.
    #[schemars(with = "Option<String>")]
    pub when: Option<Spanned<String>>,
    /// The time zone of those hours. Default: UTC.
    #[schemars(with = "Option<String>")]
    pub timezone: Option<Spanned<String>>,
    /// The channels, all of which are told.
    #[schemars(with = "Names")]
    pub to: Spanned<OneOrMany<Spanned<ChannelName>>>,
    /// The channel that takes what one of them gave up on.
    #[schemars(with = "Option<String>")]
    pub fallback: Option<Spanned<ChannelName>>,
}

/// What of messages to a channel goes together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Group")]
pub struct RawGroup {
    /// The labels that incidents must share to be told by one message: a name or a list, `[]` for all of them; those that
    /// lack a label share that. Default: `service`.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub by: Option<OneOrMany<Spanned<String>>>,
    /// How long a message that is not P1 waits for others, up to 5 min; with `0s` none waits and each is told by itself.
    /// Default: 10 s.
    #[schemars(with = "Option<RawLength>")]
    pub wait: Option<Spanned<RawLength>>,
    /// How many incidents a channel hears begin, or end, within `interval` before it is a storm, and all that come are
    /// told together whatever their labels, 1 to 1,000. Default: 5.
    #[schemars(with = "Option<u32>")]
    pub limit: Option<Spanned<u32>>,
    /// How long it is from one message of a storm to the next, between 1 s and 1 h. Default: 1 min.
    #[schemars(with = "Option<RawLength>")]
    pub interval: Option<Spanned<RawLength>>,
}

/// What goes for a severity.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SeverityRules")]
pub struct RawSeverity {
    /// Within what time after it is told, between 1 min and 1 d, somebody is to take an incident on. Default: nobody has
    /// to.
    #[schemars(with = "Option<RawLength>")]
    pub acknowledge: Option<Spanned<RawLength>>,
    /// The channels that are told, once, where nobody has, and then of the end as well. Default: none.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub escalate: OneOrMany<Spanned<ChannelName>>,
    /// The hours for which its messages wait, days and two times: `mon-fri 09:00-17:00`. What is over by then is never
    /// told. Default: they do not wait.
    #[schemars(with = "Option<String>")]
    pub hold: Option<Spanned<String>>,
    /// The time zone of those hours. Default: UTC.
    #[schemars(with = "Option<String>")]
    pub timezone: Option<Spanned<String>>,
    /// How long after its end, between 1 min and 7 d, those who were told are reminded, once and within `hold`, to write
    /// its post-mortem. Default: they are not.
    #[schemars(with = "Option<RawLength>")]
    pub post_mortem: Option<Spanned<RawLength>>,
}

/// Planned quiet time: again and again by `cron` and `for`, or once by `from` and `until`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Maintenance")]
pub struct RawWindow {
    /// When it begins: a cron line of five fields, or six with the seconds first.
    #[schemars(with = "Option<String>")]
    pub cron: Option<Spanned<String>>,
    /// How long it lasts after each beginning, between 1 min and 7 d.
    #[serde(rename = "for")]
    #[schemars(with = "Option<RawLength>")]
    pub length: Option<Spanned<RawLength>>,
    /// When it begins once: `2026-12-01 02:00` in its time zone, or `2026-12-01T02:00:00Z`.
    #[schemars(with = "Option<String>")]
    pub from: Option<Spanned<String>>,
    /// When it ends once.
    #[schemars(with = "Option<String>")]
    pub until: Option<Spanned<String>>,
    /// The time zone of the cron line and of instants that name none. Default: UTC.
    #[schemars(with = "Option<String>")]
    pub timezone: Option<Spanned<String>>,
    /// The probes, by name or by globs with `*`. Default: all.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub probes: OneOrMany<Spanned<String>>,
    /// The schedules; all that hold an incident open must be among them. Default: all.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub schedules: OneOrMany<Spanned<ScheduleName>>,
    /// The labels that a probe must have. Default: none.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub labels: BTreeMap<Spanned<String>, Spanned<String>>,
    /// `mute`: nobody is told until it is over. `mark`: messages say that it is maintenance. Default: `mute`.
    #[serde(default)]
    pub mode: RawMode,
}

/// What a maintenance window does.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawMode {
    /// Nobody is told until it is over.
    #[default]
    Mute,
    /// Messages say that it is maintenance.
    Mark,
}

/// A schedule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Schedule")]
pub struct RawSchedule {
    /// A length between 1 s and 24 h that divides a minute, an hour or a day evenly.
    #[schemars(with = "Option<RawLength>")]
    pub every: Option<Spanned<RawLength>>,
    /// A cron line: five fields, or six with the seconds first.
    #[schemars(with = "Option<String>")]
    pub cron: Option<Spanned<String>>,
    /// The time zone of the cron line. Default: UTC.
    #[schemars(with = "Option<String>")]
    pub timezone: Option<Spanned<String>>,
    /// Names, globs with `*`, and `label:key=value`.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub probes: OneOrMany<Spanned<String>>,
    /// The budget of a run whose probe names none. Default: 10 s, or 80 % of the cadence where that is less.
    #[schemars(with = "Option<RawLength>")]
    pub timeout: Option<Spanned<RawLength>>,
    /// When failing runs become a page. Default: never, and nobody hears of them.
    pub alert: Option<RawAlert>,
    /// What is promised of each of its probes over a window, at most 16. Default: nothing.
    #[serde(default)]
    #[schemars(with = "Option<Vec<RawObjective>>")]
    pub objectives: OneOrMany<Node>,
}

/// When failing runs become a page.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAlert {
    /// `2`: that many failures in a row; `2 of 3`: that many among the last runs. Default: 1.
    #[schemars(with = "Option<AfterForms>")]
    pub after: Option<RawAfter>,
    /// Passes in a row that end it. Default: 1.
    #[schemars(with = "Option<u32>")]
    pub recover: Option<Spanned<u32>>,
    /// How long after a run that leaves it in doubt the probe is run again, off its slots, from 1 s up to its next slot.
    /// Default: not before its slot.
    #[schemars(with = "Option<RawLength>")]
    pub recheck: Option<Spanned<RawLength>>,
    /// How much it matters: `P1` to `P4`, the gravest first, or by what fails and by how much of it. Default: P3.
    #[schemars(with = "Option<SeverityForms>")]
    pub severity: Option<Node>,
    /// How long after whoever was told is told again, between 1 min and 1 d, as long as nobody acknowledges: then after twice
    /// as long, and so on up to a day. Default: never.
    #[schemars(with = "Option<RawLength>")]
    pub remind: Option<Spanned<RawLength>>,
    /// The channels that are told when it fails, whatever routes say: its own action. Default: those of its route.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub to: OneOrMany<Spanned<ChannelName>>,
    /// When coming and going is told as one incident that flaps. Default: after 4 openings within 1 h.
    pub flapping: Option<RawFlapping>,
    /// When runs whose warnings do not hold become a page. Default: never.
    pub degraded: Option<RawRule>,
    /// When runs that could not look become a page. Default: after 3 in a row, otherwise as failing ones do.
    pub inconclusive: Option<RawRule>,
    /// The probes, at most 8, that run once when it fires and whose findings are attached to the incident. They only read,
    /// and need no schedule. Default: none.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub diagnose: OneOrMany<Spanned<ProbeName>>,
}

/// When coming and going is one incident, which stays open until it has been quiet.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Flapping")]
pub struct RawFlapping {
    /// How many openings are flapping, 2 to 100. Default: 4.
    #[schemars(with = "Option<u32>")]
    pub openings: Option<Spanned<u32>>,
    /// Within what time, between 10 s and 1 d. Default: 1 h.
    #[schemars(with = "Option<RawLength>")]
    pub within: Option<Spanned<RawLength>>,
    /// How long nothing must change until it is over, between 10 s and 1 d. Default: 15 min.
    #[schemars(with = "Option<RawLength>")]
    pub quiet: Option<Spanned<RawLength>>,
}

/// When runs that do not fail become a page all the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rule")]
pub struct RawRule {
    /// `2` such runs in a row, or `2 of 3` among the last. Default: 1; of inconclusive ones 3.
    #[schemars(with = "Option<AfterForms>")]
    pub after: Option<RawAfter>,
    /// How many others in a row end it. Default: the alert's.
    #[schemars(with = "Option<u32>")]
    pub recover: Option<Spanned<u32>>,
    /// How much it matters. Default: the alert's; of degraded ones P3 at most.
    pub severity: Option<Severity>,
    /// As the alert's, and its default.
    #[schemars(with = "Option<RawLength>")]
    pub remind: Option<Spanned<RawLength>>,
    /// The channels that are told of it, whatever routes say. Default: those of its route, not the alert's.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub to: OneOrMany<Spanned<ChannelName>>,
}

/// A probe, but for its kind, which is the key that names one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Probe")]
pub struct RawProbe {
    /// Labels, for schedules, routes, silences and messages. Default: those of `defaults`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Where the runbook is: a URL, or the path of a Markdown file from `roundsman.yaml`, which stands on the page of an
    /// incident.
    #[schemars(with = "Option<String>")]
    pub runbook: Option<Spanned<String>>,
    /// While one of these is failing this one is probed, and pages nobody. Default: none.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub needs: OneOrMany<Spanned<ProbeName>>,
    /// The probes, at most 8, that run once when an incident of this one opens and whose findings are attached to it. They
    /// only read, and need no schedule. Default: none.
    #[serde(default)]
    #[schemars(with = "Option<Names>")]
    pub diagnose: OneOrMany<Spanned<ProbeName>>,
    /// The schedule that this probe joins, beside those that name it. Default: those that name it.
    #[schemars(with = "Option<String>")]
    pub schedule: Option<Spanned<ScheduleName>>,
    /// Runs only when somebody asks for it by its name: no schedule takes it by a pattern or a label. Default: false.
    #[serde(default)]
    pub on_request: bool,
    /// The budget of the whole run. Default: the schedule's, or 10 s, or 80 % of the cadence where that is less.
    #[schemars(with = "Option<RawLength>")]
    pub timeout: Option<Spanned<RawLength>>,
    /// The budget of the cleanup, which is its own. Default: 5 s.
    #[schemars(with = "Option<RawLength>")]
    pub cleanup_timeout: Option<Spanned<RawLength>>,
    /// When failing runs become a page, whatever the schedule says. Default: what the schedule says.
    pub alert: Option<RawAlert>,
    /// The actions of a journey, in order; `use: PROBE` in the place of one brings all of another probe's.
    #[schemars(with = "Option<Vec<StepForms>>")]
    pub steps: Option<Spanned<Vec<Node>>>,
    /// The steps that always run after the others, on a deadline of their own.
    #[serde(default)]
    #[schemars(with = "Option<Vec<RawStep>>")]
    pub cleanup: Vec<Node>,
    /// Makes one probe of each entry: `name@key`, with `${each:key}`, `${each:value}` and `${each:field}`.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub each: Option<Node>,
    /// Where the target says which version it is, e.g. `json.version`: a change is told with the incidents after it.
    #[schemars(with = "Option<String>")]
    pub version: Option<Spanned<RawPath>>,
    /// CEL expressions that must all be true, else the run has failed. Default: what the kind implies.
    #[serde(default)]
    #[schemars(with = "Option<Expressions>")]
    pub expect: OneOrMany<Spanned<String>>,
    /// CEL expressions that should all be true, else the run is degraded. Default: none.
    #[serde(default)]
    #[schemars(with = "Option<Expressions>")]
    pub warn: OneOrMany<Spanned<String>>,
    /// What nothing has to notice, for `roundsman drill --probes`: a place like `json.request_id` or `headers.*`, and the reason.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub unnoticed: RawUnnoticed,
}

/// A step, but for its kind, which is the key that names one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Step")]
pub struct RawStep {
    /// Its name, unique in the probe.
    #[schemars(with = "String")]
    pub name: Spanned<StepName>,
    /// Runs only if this is true.
    #[schemars(with = "Option<String>")]
    pub when: Option<Spanned<String>>,
    /// All must be true, else the run has failed.
    #[serde(default)]
    #[schemars(with = "Option<Expressions>")]
    pub expect: OneOrMany<Spanned<String>>,
    /// All should be true, else the run is degraded.
    #[serde(default)]
    #[schemars(with = "Option<Expressions>")]
    pub warn: OneOrMany<Spanned<String>>,
    /// What later steps need: a name and the path of its value, e.g. `token: json.token`.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub capture: BTreeMap<Spanned<CaptureName>, Spanned<RawPath>>,
    /// Where the target says which version it is, e.g. `json.version`: a change is told with the incidents after it.
    #[schemars(with = "Option<String>")]
    pub version: Option<Spanned<RawPath>>,
    /// The step's own limit within the probe's.
    #[schemars(with = "Option<RawLength>")]
    pub timeout: Option<Spanned<RawLength>>,
    /// What nothing has to notice, for `roundsman drill --probes`: a place like `json.request_id` or `headers.*`, and the reason.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub unnoticed: RawUnnoticed,
}

// Only its schema is used.
/// A step in a list: one that is written there, or those of another probe.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum StepForms {
    /// A step.
    Step(Box<RawStep>),
    /// The steps of another probe.
    Used(RawUse),
}

/// The steps of another probe, with their captures; its cleanup follows ours.
#[derive(JsonSchema)]
#[schemars(rename = "Use", deny_unknown_fields)]
pub struct RawUse {
    /// The name of the probe.
    #[schemars(rename = "use")]
    pub probe: String,
}
