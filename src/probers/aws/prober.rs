//! The prober of kind `aws`: one call, and what a login says of our own user.

use futures::future::BoxFuture;
use http::Method;
use serde_json::Value;

use super::caller::{Caller, Reply};
use crate::domain::aws_call::AwsCall;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::template::Template;
use crate::net::aws::call::{Call, Operation};
use crate::net::aws::permission::permissions;
use crate::net::aws::services::COGNITO_IDP;
use crate::net::excerpt::excerpt;
use crate::ports::{Prober, StepContext};
use crate::probers::http::{json, url};

/// What Cognito asks of a user who cannot log in before a person has done something for him.
const CHALLENGES: [(&str, &str); 6] = [
    ("NEW_PASSWORD_REQUIRED", "the user has to choose a new password"),
    ("MFA_SETUP", "the user has no second factor yet, and the pool wants one"),
    ("SELECT_CHALLENGE", "the user has to choose a way to log in"),
    ("SELECT_MFA_TYPE", "the user has to choose one of several second factors"),
    ("SMS_MFA", "the user gets a code in a text message"),
    ("EMAIL_OTP", "the user gets a code in a mail"),
];

/// What is asked, with its holes.
#[derive(Debug)]
pub enum Asked {
    /// An action.
    Action(String),
    /// A method and a path.
    Path(Method, Template),
}

/// Asks one question.
pub struct AwsProber {
    /// Makes the call.
    pub caller: Caller,
    /// The call, with `*` in its holes.
    pub call: Call,
    /// What is asked.
    pub asked: Asked,
    /// The input: JSON with holes.
    pub input: Option<Template>,
}

impl Prober for AwsProber {
    fn host(&self) -> Option<String> {
        self.caller.host(&self.call)
    }

    fn calls(&self) -> Vec<AwsCall> {
        permissions(&self.call, self.caller.region())
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let call = self.fill(cx).await?;
            let Reply { json, observation, .. } = self.caller.talk(cx).ask(&call).await?;
            match awaits_a_person(&call, &json) {
                Some(failure) => Err(failure.after(observation.phases)),
                None => Ok(observation),
            }
        })
    }
}

impl AwsProber {
    async fn fill(&self, cx: &StepContext<'_>) -> Result<Call, Failure> {
        let operation = match &self.asked {
            Asked::Action(_) => self.call.operation.clone(),
            Asked::Path(method, path) => Operation::Path(method.clone(), cx.fill(path, url::encode).await?),
        };
        let input = match &self.input {
            None => Value::Null,
            Some(input) => {
                let text = cx.fill(input, |value| Some(json::escape(value))).await?;
                serde_json::from_str(&text).map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?
            }
        };
        Ok(Call { operation, input, ..self.call.clone() })
    }
}

/// A login that goes well as far as it goes, and no further: what is missing is ours to do, so it is no outage of the pool.
fn awaits_a_person(call: &Call, json: &Value) -> Option<Failure> {
    if call.service != &COGNITO_IDP {
        return None;
    }
    let challenge = json.get("ChallengeName")?.as_str()?;
    let (_, why) = CHALLENGES.iter().find(|(name, _)| *name == challenge)?;
    Some(Failure::new(FailureKind::AwsLogin, format!("{why}, and a person has to see to it: {}", excerpt(challenge))))
}
