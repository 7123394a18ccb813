//! Kind `heartbeat`: a job elsewhere says that it is well, and its silence is the failure. The only kind that waits to be
//! told: the web takes the pings, and what is known by them is asked for here.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, select};
use schemars::JsonSchema;
use serde::Deserialize;

use super::length::Written;
use crate::domain::exchange::Exchange;
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::pulse::{Pulse, Rhythm, TokenDigest};
use crate::domain::template::Template;
use crate::domain::time::{Timestamp, between, words};
use crate::ports::{Building, BuiltProber, Kind, Pings, Prober, StepContext, Token};
use crate::settings::{Node, Problems, Spanned, read};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "heartbeat",
    about: "waits for the pings of a job elsewhere; its silence is the failure",
    main: "token",
    schema: HeartbeatSettings::json_schema,
    names: || Names::new().with_all(NAMES),
    build,
};

const NAMES: &[Name] = &[
    Name::known(
        "last_ping_age_s",
        Shape::Number,
        "how long ago the last ping came, in seconds; absent before the first",
    ),
    Name::known(
        "last_took_s",
        Shape::Number,
        "how long the job took the last time, in seconds; absent unless it says when it starts",
    ),
    Name::known("last_text", Shape::Text, "what the job wrote with its last ping; absent where that was nothing"),
    Name::known("pings", Shape::Number, "how many pings came since somebody listens"),
    Name::known("total_ms", Shape::Number, "the whole step, in milliseconds"),
];

/// The shortest `every`.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// The shortest grace where none is written: what two machines and a network between them may be late.
const GRACE_DEFAULT_MIN: Duration = Duration::from_secs(60);

/// How long a step waits for the store to record since when somebody listens. It is written later where that is too short.
const RECORD_MAX: Duration = Duration::from_millis(500);

/// A job elsewhere that pings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HeartbeatSettings {
    /// What the job calls in `/ping/TOKEN`: a secret, `"${secret:name}"`, or a text of 16 to 256 letters, digits, `-`,
    /// `_`, `.` and `~` that nobody can guess (`openssl rand -hex 16`).
    #[schemars(with = "Template")]
    token: Spanned<Template>,
    /// The longest time from one ping to the next, at least `1s`.
    #[schemars(with = "Written")]
    every: Spanned<Written>,
    /// How much later a ping may come, and how long a job may take that says when it starts. Default: a tenth of `every`,
    /// and at least `1m`.
    grace: Option<Written>,
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: HeartbeatSettings = read(node, problems)?;
    let token = token(&settings.token, problems);
    let every = settings.every.value.0.0;
    if every < EVERY_MIN {
        let message = format!("pings are due every {} at the most often, not every {}", words(EVERY_MIN), words(every));
        problems.error(settings.every.span.clone(), message);
        return None;
    }
    let grace = settings.grace.map_or_else(|| (every / 10).max(GRACE_DEFAULT_MIN), |grace| grace.0.0);
    let prober = HeartbeatProber { token: token?, rhythm: Rhythm { every, grace }, pings: Arc::clone(&building.pings) };
    Some(BuiltProber { prober: Arc::new(prober), implied: Vec::new() })
}

/// Reads the token: a text that cannot be guessed, or a secret alone.
fn token(written: &Spanned<Template>, problems: &mut Problems) -> Option<Token> {
    if let Some(text) = written.value.as_literal() {
        match TokenDigest::of_token(text) {
            Ok(digest) => return Some(Token::Known(digest)),
            Err(error) => {
                let problem = problems.error(written.span.clone(), error.to_string());
                problem.help = Some("make one with `openssl rand -hex 16`".to_owned());
                problem.hidden = true;
                return None;
            }
        }
    }
    let secret = written.value.secrets().next().cloned();
    let secret = secret.filter(|name| written.value.to_string() == format!("${{secret:{name}}}"));
    if secret.is_none() {
        problems.error(written.span.clone(), "a token is a text or a secret, and nothing is filled into it").help =
            Some("write `token: \"${secret:name}\"`".to_owned());
    }
    secret.map(Token::Secret)
}

struct HeartbeatProber {
    token: Token,
    rhythm: Rhythm,
    pings: Arc<dyn Pings>,
}

impl Prober for HeartbeatProber {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let late = async {
                cx.clock.sleep_until(cx.deadline).await;
                Err("the secret of its token was not to be had within the time of the step".to_owned())
            };
            let token = tokio::select! {
                biased;
                token = self.token.digest(cx.secrets) => token,
                late = late => late,
            };
            let token = token.map_err(|why| Failure::new(FailureKind::LocalSecret, why))?;
            let now = cx.clock.now();
            let pulse = self.pings.pulse(token, now).ok_or_else(|| {
                let message = "nobody listens for pings here: only the daemon knows whether this job is well";
                Failure::new(FailureKind::LocalSetup, message)
            })?;
            let patience = cx.clock.sleep_until(cx.clock.monotonic() + RECORD_MAX);
            // What could not be recorded is so later; whether the job is well does not depend on it.
            drop(select(self.pings.record(), patience).await);
            record(cx, &pulse, now);
            pulse.judge(self.rhythm, now)?;
            Ok(observe(&pulse, now))
        })
    }

    fn token(&self) -> Option<&Token> {
        Some(&self.token)
    }
}

fn observe(pulse: &Pulse, now: Timestamp) -> Observation {
    let mut observation = Observation::default();
    let mut put = |name: &'static str, value: serde_json::Value| observation.facts.insert(name, value);
    put("pings", pulse.pings.into());
    if let Some((at, _)) = pulse.last {
        put("last_ping_age_s", between(at, now).as_secs_f64().into());
    }
    if let Some(took_ms) = pulse.took_ms {
        put("last_took_s", (took_ms / 1e3).into());
    }
    if let Some(text) = &pulse.text {
        put("last_text", text.as_str().into());
    }
    observation
}

/// Nothing is sent; what came is the last ping.
fn record(cx: &StepContext<'_>, pulse: &Pulse, now: Timestamp) {
    let pulse = pulse.clone();
    cx.recorder.add(move || {
        let text = pulse.text.map(|text| format!(": {text}")).unwrap_or_default();
        let received = pulse.last.map(|(at, beat)| format!("{} {} ago{text}", beat.word(), words(between(at, now))));
        Exchange { received: received.unwrap_or_default(), ..Exchange::default() }
    });
}
