//! What came of a probe: facts first (observation), then what they mean (failure, verdict), then the whole (run).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exchange::Bundle;
use super::expression::{Explanation, Expression, Part};
use super::fact_map::FactMap;
use super::names::{ProbeName, ScheduleName, StepName};
pub use super::phases::Phases;
use super::time::Timestamp;

/// The facts that a step saw.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// What assertions name, except `body` and `json`, which are read from [`Self::body`] only where they are used, and
    /// the `_ms` values, which are in [`Self::phases`].
    pub facts: FactMap,
    /// The bytes that came, where the kind has a body.
    pub body: Option<Bytes>,
    /// How long each part took.
    pub phases: Phases,
    /// When the first certificate of the chain that ends first does so, where TLS was spoken.
    pub certificate_expires: Option<Timestamp>,
    /// What a test runner said of each of its test cases, where the step ran one.
    pub cases: Vec<Case>,
    /// The answer was no, which is the failure of the step unless an expectation names that fact.
    pub refused: Option<Box<Refused>>,
    /// Facts that are told with the first expectation that does not hold, whether it names them or not: a program's last
    /// words on standard error say more than its exit code.
    pub aside: Vec<Part>,
    /// Whether `json` and `body` hold what nobody may read: passwords, keys, tokens. Assertions see them, and tell no values.
    pub is_secret: bool,
}

impl Observation {
    /// Whether this one of its expectations reads what nobody else may.
    pub fn hides(&self, expectation: &Expression) -> bool {
        self.is_secret && (expectation.mentions("json") || expectation.mentions("body"))
    }
}

/// An answer that is a failure unless somebody expects it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The fact that tells of it: whoever names it in an expectation judges for himself.
    pub unless_mentioned: &'static str,
    /// What it is otherwise.
    pub failure: Failure,
}

/// One test case of a step that ran a test runner. Its name is the target's text and never a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Case {
    /// Its name, with that of its class or suite before it.
    pub name: String,
    /// What became of it; absent when it was skipped.
    pub verdict: Option<Verdict>,
    /// How long it took, in milliseconds, as the runner says.
    pub took_ms: f64,
}

macro_rules! failure_kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// Why a step failed: a closed, bounded set that is safe as a metric label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum FailureKind { $($(#[$doc])* #[serde(rename = $text)] $variant,)* }

        impl FailureKind {
            /// Every kind, for reference pages and tests.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kind as a label.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

failure_kinds! {
    /// The name does not exist.
    DnsNxdomain = "dns.nxdomain",
    /// The name exists and has no record of that type.
    DnsNoRecords = "dns.no_records",
    /// The server could not answer (SERVFAIL, REFUSED, …).
    DnsServer = "dns.server",
    /// The answer was not DNS.
    DnsInvalid = "dns.invalid",
    /// The target refused the connection.
    ConnectRefused = "connect.refused",
    /// The target or a hop reset the connection while it was made.
    ConnectReset = "connect.reset",
    /// A router said that there is no way to the target.
    ConnectUnreachable = "connect.unreachable",
    /// The address may not be probed (metadata services, link-local).
    ConnectBlocked = "connect.blocked",
    /// The time ended while the name was looked up.
    TimeoutDns = "timeout.dns",
    /// The time ended while connecting.
    TimeoutConnect = "timeout.connect",
    /// The time ended in the TLS handshake.
    TimeoutTls = "timeout.tls",
    /// The time ended before the first byte of the answer.
    TimeoutFirstByte = "timeout.first_byte",
    /// The time ended within the answer.
    TimeoutTransfer = "timeout.transfer",
    /// The time ended between those parts, or before the step had any.
    TimeoutTotal = "timeout.total",
    /// The certificate is past its end.
    TlsExpired = "tls.expired",
    /// The certificate's time has not begun.
    TlsNotYetValid = "tls.not_yet_valid",
    /// The certificate is for other names.
    TlsWrongName = "tls.wrong_name",
    /// Nobody whom we trust signed it.
    TlsUnknownIssuer = "tls.unknown_issuer",
    /// It signed itself.
    TlsSelfSigned = "tls.self_signed",
    /// The certificate is not usable for another reason.
    TlsCertificate = "tls.certificate",
    /// The other side speaks no TLS, or none that we accept.
    TlsProtocol = "tls.protocol",
    /// The other side does not go over to TLS, where it was asked to.
    TlsNotOffered = "tls.not_offered",
    /// The target refused who we say we are, or what that one may do.
    AuthRefused = "auth.refused",
    /// The target understood what it was asked, and answered that it does not do it.
    AnswerRefused = "answer.refused",
    /// The connection ended before the answer was whole.
    ProtocolClosed = "protocol.closed",
    /// The answer breaks its protocol.
    ProtocolInvalid = "protocol.invalid",
    /// The head of the answer is larger than we read.
    ProtocolHeaderTooLarge = "protocol.header_too_large",
    /// The body is larger than we read.
    BodyTooLarge = "body.too_large",
    /// The body cannot be unpacked as its Content-Encoding says.
    BodyDecode = "body.decode",
    /// More redirects than are followed, or a circle.
    RedirectLimit = "redirect.limit",
    /// A redirect that may not be followed.
    RedirectBlocked = "redirect.blocked",
    /// The server answers in HTTP and makes no WebSocket of the connection.
    WebSocketRefused = "websocket.refused",
    /// The server ended the WebSocket before what was waited for.
    WebSocketClosed = "websocket.closed",
    /// The authorization server of the target gave no token.
    AuthToken = "auth.token",
    /// A service of AWS answered that what it was asked about is not there.
    AwsNotFound = "aws.not_found",
    /// A service of AWS understood what it was asked, and refuses it.
    AwsRefused = "aws.refused",
    /// A service of AWS is at fault by its own words.
    AwsFault = "aws.fault",
    /// An assertion was not true.
    Expect = "expect",
    /// A value for a later step was not there.
    Capture = "capture",
    /// The report that a program should have written is missing, from an earlier run, too large, or no report.
    CommandReport = "command.report",
    /// A test case of a test runner failed.
    Case = "case",
    /// A metric has no value where there should be one.
    MetricMissing = "metric.missing",
    /// Only a part of the values of a metric came.
    MetricPartial = "metric.partial",
    /// What was written to logs was not found in them.
    LogsLost = "logs.lost",
    /// What was written to logs was rejected, though the call was taken.
    LogsRejected = "logs.rejected",
    /// Nothing came to logs for too long.
    LogsSilent = "logs.silent",
    /// A job elsewhere said that it failed.
    HeartbeatFailed = "heartbeat.failed",
    /// A job elsewhere said that it began, and not in time how it ended.
    HeartbeatUnfinished = "heartbeat.unfinished",
    /// A job elsewhere did not ping in time.
    HeartbeatSilent = "heartbeat.silent",
    /// What makes backups is switched off.
    BackupOff = "backup.off",
    /// There is no backup, or nothing that it would be of.
    BackupMissing = "backup.missing",
    /// A backup is dated in the future, so nobody knows how old it is.
    BackupDated = "backup.dated",
    /// The checksum of a backup is another than what is written of it, or nothing is.
    BackupChecksum = "backup.checksum",
    /// A backup could not be restored.
    RestoreFailed = "restore.failed",
    /// What was restored is not what it should be.
    RestoreDiffers = "restore.differs",
    /// What a restore drill made cannot be put away yet.
    RestoreUnfinished = "restore.unfinished",
    /// What bears the name of a restore drill was not made by it, and is left alone.
    RestoreForeign = "restore.foreign",
    /// The error budget of an objective is used up too quickly. No run fails for this: it is what an incident of it says.
    BudgetBurning = "budget.burning",
    /// No route or no network on our side.
    LocalNetwork = "local.network",
    /// Our own limits: file descriptors, ports, buffers.
    LocalResources = "local.resources",
    /// This machine does not let us, e.g. send pings.
    LocalPermission = "local.permission",
    /// A secret was not to be had.
    LocalSecret = "local.secret",
    /// We stood still while we should have looked: stopped, starved of the processor, or asleep with the machine.
    LocalStopped = "local.stopped",
    /// What the step needs of our own machine or process is not there: a program, a directory, the daemon.
    LocalSetup = "local.setup",
    /// AWS does not know who we are: our credentials have expired, are unknown, or do not fit their signature.
    AwsCredentials = "aws.credentials",
    /// No policy of AWS allows what we ask.
    AwsDenied = "aws.denied",
    /// AWS finds that we ask too often, also after waiting.
    AwsThrottled = "aws.throttled",
    /// What we ask of AWS is no action of the service, or not in a form that it takes.
    AwsInvalid = "aws.invalid",
    /// We ask AWS in a region where that is not.
    AwsRegion = "aws.region",
    /// The login of our own user is refused: its password or code is wrong, or somebody has to choose a new one.
    AwsLogin = "aws.login",
    /// Our own bug.
    Internal = "internal",
}

impl FailureKind {
    /// Whether it is we who could not look; it then says nothing about the target.
    pub fn is_ours(self) -> bool {
        matches!(
            self,
            Self::LocalNetwork
                | Self::LocalResources
                | Self::LocalPermission
                | Self::LocalSecret
                | Self::LocalSetup
                | Self::LocalStopped
                | Self::AwsCredentials
                | Self::AwsDenied
                | Self::AwsThrottled
                | Self::AwsInvalid
                | Self::AwsRegion
                | Self::AwsLogin
                | Self::Internal
        )
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a run failed or is degraded. A failing target is data, from the step upwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What sort.
    pub kind: FailureKind,
    /// One line for people, lower-case, without a full stop: "expired 3.2 days ago".
    pub message: String,
    /// What was wanted, in the words of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// The step, in a probe with several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// The parts of the assertion with their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// How long each part took until the step failed. On the way from the prober to the runner only, which gives it to the
    /// step's outcome: two failures are the same whatever time they took.
    #[serde(skip)]
    pub phases: Option<Box<Phases>>,
    /// When the first certificate of the chain ends that the target showed, also where it was this chain that was refused.
    /// On the same way as [`Self::phases`].
    #[serde(skip)]
    pub certificate_expires: Option<Timestamp>,
}

impl Failure {
    /// A failure of that sort, told by one line.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            expected: None,
            actual: None,
            step: None,
            explanation: None,
            phases: None,
            certificate_expires: None,
        }
    }

    /// Adds what was wanted and what came.
    #[must_use]
    pub fn with(mut self, expected: impl Into<String>, actual: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self.actual = Some(actual.into());
        self
    }

    /// Adds how long each part took until then.
    #[must_use]
    pub fn after(mut self, phases: Phases) -> Self {
        self.phases = Some(Box::new(phases));
        self
    }

    /// The failure of an assertion.
    pub fn of_assertion(explanation: Explanation) -> Self {
        let told = Self::new(FailureKind::Expect, explanation.to_string());
        Self { expected: Some(explanation.expression.clone()), explanation: Some(explanation), ..told }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = &self.step {
            write!(f, "{step}: ")?;
        }
        if self.kind != FailureKind::Expect {
            write!(f, "{}: ", self.kind)?;
        }
        f.write_str(&self.message)
    }
}

/// Why we could not look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The process was told to stop while the run was going on.
    ShutDown,
    /// The condition of every step was false, so that nobody looked. This is as somebody wrote it, and troubles nobody.
    Skipped,
    /// A failure that is ours: no network, no descriptors, no secret, a bug.
    Ours(Failure),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShutDown => f.write_str("shut down while it ran"),
            Self::Skipped => f.write_str("every step was skipped, so nothing was looked at"),
            Self::Ours(failure) => failure.fmt(f),
        }
    }
}

/// What a run says of its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "why")]
pub enum Verdict {
    /// Every expectation held, and every warning too.
    Passed,
    /// Every expectation held, a warning did not.
    Degraded(Vec<Failure>),
    /// An expectation did not hold, or the target could not be spoken to.
    Failed(Vec<Failure>),
    /// *We* could not look: it never opens or closes an incident of the target.
    Inconclusive(Cause),
}

impl Verdict {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Degraded(_) => "degraded",
            Self::Failed(_) => "failed",
            Self::Inconclusive(_) => "inconclusive",
        }
    }

    /// The glyph that stands beside the word.
    pub fn glyph(&self) -> &'static str {
        match self {
            Self::Passed => "●",
            Self::Degraded(_) => "▲",
            Self::Failed(_) => "✕",
            Self::Inconclusive(_) => "◌",
        }
    }

    /// Why it is not passed.
    pub fn failures(&self) -> &[Failure] {
        match self {
            Self::Degraded(failures) | Self::Failed(failures) => failures,
            Self::Inconclusive(Cause::Ours(failure)) => std::slice::from_ref(failure),
            Self::Passed | Self::Inconclusive(Cause::ShutDown | Cause::Skipped) => &[],
        }
    }

    /// The same, for who takes something out of them.
    pub fn failures_mut(&mut self) -> &mut [Failure] {
        match self {
            Self::Degraded(failures) | Self::Failed(failures) => failures,
            Self::Inconclusive(Cause::Ours(failure)) => std::slice::from_mut(failure),
            Self::Passed | Self::Inconclusive(Cause::ShutDown | Cause::Skipped) => &mut [],
        }
    }
}

/// What became of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// The step.
    pub name: StepName,
    /// The kind it speaks.
    pub kind: String,
    /// Whether it belongs to the cleanup.
    pub cleanup: bool,
    /// Absent when the step was skipped: what did not run has no verdict.
    pub verdict: Option<Verdict>,
    /// When it began, in milliseconds after the run did.
    pub offset_ms: f64,
    /// How long its parts took; all zero when it was skipped.
    pub phases: Phases,
    /// When the certificate ends that the target showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_expires: Option<Timestamp>,
    /// The status, where the kind has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    /// For how many milliseconds we ourselves stood still during the step, where that was enough to spoil what was
    /// measured by our own clock: its times may be too long by as much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<f64>,
    /// Which version the target said it is, cut to [`VERSION_LENGTH_MAX`] characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The test cases of the runner that the step ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<Case>,
}

/// The longest version that is kept, in characters.
pub const VERSION_LENGTH_MAX: usize = 100;

/// The id of a run: sorts by time, and is ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct RunId(pub Arc<str>);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a run is made off the slots. It has no slot and no account; otherwise it is a run as any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    /// A state is in doubt, and the next slot is far.
    Recheck,
    /// A probe that needs this one is about to page.
    Parent,
    /// An incident has opened, and what this probe sees may explain it.
    Diagnosis,
    /// The way from a failure to the people is tried out.
    Drill,
    /// Somebody wants to know now.
    Trigger,
}

impl Extra {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Recheck, Self::Parent, Self::Diagnosis, Self::Drill, Self::Trigger];

    /// The word in the store and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recheck => "recheck",
            Self::Parent => "parent",
            Self::Diagnosis => "diagnosis",
            Self::Drill => "drill",
            Self::Trigger => "trigger",
        }
    }
}

/// One probe executed once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id, which targets may see as `{{run.id}}`.
    pub id: RunId,
    /// Where it ran.
    pub location: Arc<str>,
    /// The probe.
    pub probe: ProbeName,
    /// The schedule whose slot it served, or for which it was made off the slots; absent when somebody asked for it.
    pub schedule: Option<ScheduleName>,
    /// Why it was made off the slots; absent for the one of a slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Extra>,
    /// The nominal instant; of a run off the slots the one at which it was wanted.
    pub slot: Timestamp,
    /// When it should have started: slot, lead and spread.
    pub due_at: Timestamp,
    /// When it started, with its permit.
    pub started_at: Timestamp,
    /// How long the steps took, without the cleanup and without waiting for a permit.
    pub duration: Duration,
    /// Start minus due, in one clock that does not step.
    pub lateness: Duration,
    /// What it says.
    pub verdict: Verdict,
    /// Its steps, then its cleanup, in their order.
    pub steps: Vec<StepOutcome>,
    /// What it leaves for whoever looks for a cause, where there is one to look for. It is kept beside the run and not in it.
    #[serde(skip)]
    pub bundle: Option<Arc<Bundle>>,
}

/// What became of a slot of a probe: exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotOutcome {
    /// The probe was run.
    Ran,
    /// Its last run was still going on.
    Skipped,
    /// No permit came free before the next slot.
    Saturated,
    /// Somebody paused it.
    Paused,
    /// The process was down or suspended, or its clock stepped over the slot.
    Gap,
}

impl SlotOutcome {
    /// Every outcome, in the order in which tables show them.
    pub const ALL: [Self; 5] = [Self::Ran, Self::Skipped, Self::Saturated, Self::Paused, Self::Gap];

    /// The outcome as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Skipped => "skipped",
            Self::Saturated => "saturated",
            Self::Paused => "paused",
            Self::Gap => "gap",
        }
    }
}

/// Slots of one probe that have ended, in their order: through which slot, and how many with which outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotAccount {
    /// The schedule.
    pub schedule: ScheduleName,
    /// The probe.
    pub probe: ProbeName,
    /// Every slot up to and including this one has its outcome; counting goes on after it.
    pub through: Timestamp,
    /// How many slots ended how.
    pub counts: Vec<(SlotOutcome, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_kinds_are_labels() {
        for kind in FailureKind::ALL {
            assert!(kind.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_'), "{kind}");
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
