//! Calls of AWS for every kind that asks it something: over the connections of the run, with the phases and the record of any
//! request, and repeated for as long as the service only asks us to come later.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::domain::outcome::{Failure, FailureKind, Observation, Phases, Refused};
use crate::net::aws::answer::{self, NoValue, Refusal};
use crate::net::aws::call::Call;
use crate::net::aws::{Aws, Site, check_region};
use crate::net::stopwatch::Stopwatch;
use crate::ports::{Building, StepContext};
use crate::probers::http::sigv4::in_time;
use crate::probers::http::{Outgoing, Sender};
use crate::settings::{Problems, Spanned};

/// A call is made so often at most.
const ATTEMPTS_MAX: u64 = 8;

/// The longest rest before the second attempt; it doubles with each.
const REST_FIRST: Duration = Duration::from_millis(200);

/// No rest is longer.
const REST_MAX: Duration = Duration::from_secs(5);

/// Actions whose answers hold what nobody may read: secrets, keys, tokens.
const SECRET_ANSWERS: [(&str, &str); 30] = [
    ("cognito-identity", "GetCredentialsForIdentity"),
    ("cognito-identity", "GetOpenIdToken"),
    ("cognito-identity", "GetOpenIdTokenForDeveloperIdentity"),
    ("cognito-idp", "AdminInitiateAuth"),
    ("cognito-idp", "AdminRespondToAuthChallenge"),
    ("cognito-idp", "AssociateSoftwareToken"),
    ("cognito-idp", "GetTokensFromRefreshToken"),
    ("cognito-idp", "InitiateAuth"),
    ("cognito-idp", "RespondToAuthChallenge"),
    ("ecr", "GetAuthorizationToken"),
    ("iam", "CreateAccessKey"),
    ("kms", "Decrypt"),
    ("kms", "DeriveSharedSecret"),
    ("kms", "GenerateDataKey"),
    ("kms", "GenerateDataKeyPair"),
    ("kms", "GenerateRandom"),
    ("redshift", "GetClusterCredentials"),
    ("redshift", "GetClusterCredentialsWithIAM"),
    ("secretsmanager", "BatchGetSecretValue"),
    ("secretsmanager", "GetRandomPassword"),
    ("secretsmanager", "GetSecretValue"),
    ("ssm", "GetParameter"),
    ("ssm", "GetParameterHistory"),
    ("ssm", "GetParameters"),
    ("ssm", "GetParametersByPath"),
    ("sts", "AssumeRole"),
    ("sts", "AssumeRoleWithSAML"),
    ("sts", "AssumeRoleWithWebIdentity"),
    ("sts", "GetFederationToken"),
    ("sts", "GetSessionToken"),
];

/// Makes calls for the steps of one prober.
pub struct Caller {
    aws: Arc<Aws>,
    region: Option<String>,
    endpoint: Option<String>,
    sender: Sender,
}

/// What came of a call.
pub struct Reply {
    /// The value of the answer; null where it has none.
    pub json: Value,
    /// The error of the service, where it answered with one.
    pub refusal: Option<Refusal>,
    /// What assertions see. It is refused where the service refused.
    pub observation: Observation,
}

/// How the pages of an answer hang together.
#[derive(Clone, Copy, Debug)]
pub struct Paging {
    /// The field of the input that asks for the next page.
    pub input: &'static str,
    /// The field of the answer that names it; absent, null or empty on the last page.
    pub output: &'static str,
    /// So many pages are read at most.
    pub pages_max: u32,
}

impl Caller {
    /// Reads the settings `region` and `endpoint`; every mistake is a problem. Credentials are looked for when something runs,
    /// once for all callers of a region.
    pub fn read(
        region: Option<&Spanned<String>>,
        endpoint: Option<&Spanned<String>>,
        building: &Building,
        problems: &mut Problems,
    ) -> Option<Self> {
        let known = problems.len();
        if let Some(region) = region {
            check_region(region, problems);
        }
        let endpoint = endpoint.filter(|endpoint| !endpoint.value.is_empty());
        if let Some(endpoint) = endpoint.filter(|endpoint| !is_endpoint(&endpoint.value)) {
            let has_user = endpoint.value.contains('@');
            let message = if has_user {
                "an endpoint does not hold a user and a password".to_owned()
            } else {
                format!("`{}` is not where a service can be", endpoint.value)
            };
            let problem = problems.error(endpoint.span.clone(), message);
            problem.help =
                Some("write scheme and host, like `https://vpce-0a1b.s3.us-east-1.vpce.amazonaws.com`".to_owned());
            problem.hidden = has_user;
        }
        let region = region.map(|region| region.value.clone());
        let aws = Aws::shared(region.as_deref());
        let endpoint = endpoint.map(|endpoint| endpoint.value.clone());
        (problems.len() == known).then(|| Self { aws, region, endpoint, sender: Sender::new(building) })
    }

    /// A caller with all that it needs.
    #[cfg(test)]
    pub fn of(aws: Aws, building: &Building) -> Self {
        Self { aws: Arc::new(aws), region: None, endpoint: None, sender: Sender::new(building) }
    }

    /// The region that was written, which calls are made in that name none.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The host that a call goes to, where that is known before it is made.
    pub fn host(&self, call: &Call) -> Option<String> {
        let region = call.region.as_deref().or(self.region());
        let address = self.endpoint.clone().or_else(|| region.map(|region| call.service.url(region)))?;
        Url::parse(&address).ok()?.host_str().map(str::to_owned)
    }

    /// Begins a step of several calls.
    pub fn talk<'a>(&'a self, cx: &'a StepContext<'a>) -> Talk<'a> {
        Talk { caller: self, cx, watch: Stopwatch::start(cx.clock, cx.deadline), throttled: 0 }
    }

    /// The only call of a step. What the service refuses is a failure.
    pub async fn call(&self, cx: &StepContext<'_>, call: &Call) -> Result<Reply, Failure> {
        self.talk(cx).call(call).await
    }
}

/// The calls of one step: their parts are summed, and they end together.
pub struct Talk<'a> {
    caller: &'a Caller,
    cx: &'a StepContext<'a>,
    watch: Stopwatch<'a>,
    throttled: u64,
}

impl Talk<'_> {
    /// How often a service has asked us to come later.
    pub fn throttled(&self) -> u64 {
        self.throttled
    }

    /// What was measured until now.
    pub fn phases(&self) -> Phases {
        self.watch.phases()
    }

    /// A call whose refusal is a failure.
    pub async fn call(&mut self, call: &Call) -> Result<Reply, Failure> {
        let mut reply = self.ask(call).await?;
        match reply.observation.refused.take() {
            Some(refused) => Err(refused.failure.after(self.watch.phases())),
            None => Ok(reply),
        }
    }

    /// A call whose refusal is an answer, unless it is one to who we are and not to what is asked.
    pub async fn ask(&mut self, call: &Call) -> Result<Reply, Failure> {
        let reply = self.attempts(call).await;
        reply.map_err(|failure| failure.after(self.watch.phases()))
    }

    /// Page after page, until `take` has enough of them or there are no more. Says whether all were seen.
    pub async fn pages(
        &mut self,
        mut call: Call,
        paging: Paging,
        mut take: impl FnMut(Value) -> bool,
    ) -> Result<bool, Failure> {
        for _ in 0..paging.pages_max {
            let Reply { json, .. } = self.call(&call).await?;
            let next = json.get(paging.output).filter(|next| !next.is_null() && **next != "").cloned();
            if !take(json) {
                return Ok(next.is_none());
            }
            let Some(next) = next else { return Ok(true) };
            if call.input.is_null() {
                call.input = json!({});
            }
            // Whoever gives the page again that was asked for has no other.
            if call.input.get(paging.input) == Some(&next) {
                return Ok(true);
            }
            call.input[paging.input] = next;
        }
        Ok(false)
    }

    async fn attempts(&mut self, call: &Call) -> Result<Reply, Failure> {
        let region = call.region.as_deref().or(self.caller.region());
        let site = in_time(self.cx, self.caller.aws.site(region)).await?;
        let (mut attempts, mut renewed) = (0, false);
        loop {
            attempts += 1;
            let (read, mut observation) = self.attempt(call, &site).await?;
            observation.facts.insert("region", site.region.as_str());
            observation.facts.insert("throttled", self.throttled);
            let refusal = match read {
                Ok(value) => {
                    if call.service.protocol.is_xml()
                        && let Some(value) = &value
                    {
                        observation.facts.insert("json", value.clone());
                    }
                    return Ok(Reply { json: value.unwrap_or_default(), refusal: None, observation });
                }
                Err(NoValue::Foreign(why)) => return Err(Failure::new(FailureKind::ProtocolInvalid, why)),
                Err(NoValue::Refused(refusal)) => {
                    Refusal { message: self.caller.aws.redact(&refusal.message), ..refusal }
                }
            };
            if refusal.is_throttling() {
                self.throttled += 1;
                if attempts < ATTEMPTS_MAX && self.rest(attempts).await {
                    continue;
                }
            }
            // They may have been renewed since they were read.
            if call.is_signed && refusal.is_of_credentials() && !std::mem::replace(&mut renewed, true) {
                self.caller.aws.forget().await;
                continue;
            }
            let failure = refusal.failure(call, &site.region, attempts);
            if refusal.is_no_answer(call, &site.region) {
                return Err(failure);
            }
            let code = refusal.code.clone().unwrap_or_else(|| refusal.status.to_string());
            observation.facts.insert("error", json!({ "code": code, "message": refusal.message }));
            observation.refused = Some(Box::new(Refused { unless_mentioned: "error", failure }));
            return Ok(Reply { json: Value::Null, refusal: Some(refusal), observation });
        }
    }

    async fn attempt(
        &mut self,
        call: &Call,
        site: &Site,
    ) -> Result<(Result<Option<Value>, NoValue>, Observation), Failure> {
        let Caller { aws, endpoint, sender, .. } = self.caller;
        let own = call.service.url(&site.region);
        let other = endpoint.as_ref().or(site.endpoint.as_ref());
        let wire = call.wire(other.unwrap_or(&own));
        let wire = wire.map_err(|error| Failure::new(FailureKind::AwsInvalid, error.to_string()))?;
        let signer = if call.is_signed {
            let region = call.service.signing_region(&site.region);
            let signer = aws.signer(call.service.signing, Some(region), self.cx.clock.now());
            Some(in_time(self.cx, signer).await?)
        } else {
            None
        };
        let answer_is_secret = call.name().is_some_and(|name| SECRET_ANSWERS.contains(&(call.service.name, name)));
        let outgoing = Outgoing {
            method: wire.method,
            url: wire.url,
            headers: wire.headers,
            body: wire.body,
            signer,
            answer_is_secret,
        };
        let sent = sender.send(self.cx, outgoing, &mut self.watch).await;
        let (head, mut observation) =
            sent.map_err(|failure| if other.is_none() { of_region(failure, call, site) } else { failure })?;
        observation.is_secret = answer_is_secret;
        let body = observation.body.clone().unwrap_or_default();
        Ok((answer::read(call, head.status.as_u16(), &head.headers, &body), observation))
    }

    /// Rests before another attempt, for anything up to the longest rest, so that those who were throttled together do not
    /// come back together; false when the time of the step ends before.
    async fn rest(&self, attempts: u64) -> bool {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let longest = REST_FIRST.saturating_mul(2_u32.saturating_pow(doublings)).min(REST_MAX);
        let until = self.cx.clock.monotonic() + longest.mul_f64(rand::random());
        if until >= self.cx.deadline {
            return false;
        }
        self.cx.clock.sleep_until(until).await;
        true
    }
}

/// Each region has names of its own for each of its services: where there is no such name, one of the two is not there.
pub fn of_region(failure: Failure, call: &Call, site: &Site) -> Failure {
    if failure.kind != FailureKind::DnsNxdomain {
        return failure;
    }
    let message = format!("`{}` is not in {}: {}", call.service.name, site.region, failure.message);
    Failure { kind: FailureKind::AwsRegion, message, ..failure }
}

/// Whether a text is where a service can be: a scheme and a host, and a path below which it lies.
fn is_endpoint(text: &str) -> bool {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.is_some_and(|url| {
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none()
    })
}
