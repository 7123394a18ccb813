//! A mirror in S3: what `aws s3 sync` keeps there, or replication.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::estate::{Paged, list, observation, or_missing, place};
use super::history::{Backup, History};
use super::prober::Window;
use crate::domain::aws_call::AwsCall;
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::time::Timestamp;
use crate::net::aws::call::Call;
use crate::net::aws::permission::permissions;
use crate::net::aws::services::S3;
use crate::probers::aws::{Caller, Talk, check_bucket, instant};
use crate::settings::{Problems, Spanned};

/// A mirror in S3.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorSettings {
    /// The bucket.
    #[schemars(with = "String")]
    bucket: Spanned<String>,
    /// How the keys of the mirror begin. At most 100,000 objects are listed; more are a failure. Default: all that is in
    /// the bucket.
    prefix: Option<String>,
    /// The key of an object that is written whenever the mirror is. `aws s3 sync` copies what has changed and nothing
    /// else, so without one a mirror of what rests looks old. Default: the newest object tells.
    #[schemars(with = "Option<String>")]
    sentinel: Option<Spanned<String>>,
    /// Whether S3 must have copied the sentinel, or else the newest object, to where the bucket is replicated. Default:
    /// `false`.
    #[serde(default)]
    replication: bool,
}

/// What is looked at.
#[derive(Debug)]
pub struct Draft {
    bucket: String,
    prefix: String,
    sentinel: Option<String>,
    replication: bool,
}

impl MirrorSettings {
    /// Whether replication is asked for.
    pub fn is_replicated(&self) -> bool {
        self.replication
    }

    /// Reads the settings; every mistake is a problem.
    pub fn read(&self, problems: &mut Problems) -> Draft {
        let bucket = &self.bucket.value;
        check_bucket(&self.bucket, problems);
        if let Some(sentinel) = self.sentinel.as_ref().filter(|sentinel| sentinel.value.is_empty()) {
            problems.error(sentinel.span.clone(), "the key of an object is empty").help =
                Some("leave `sentinel` out if there is none".to_owned());
        }
        Draft {
            bucket: bucket.clone(),
            prefix: self.prefix.clone().unwrap_or_default(),
            sentinel: self.sentinel.as_ref().map(|sentinel| sentinel.value.clone()),
            replication: self.replication,
        }
    }
}

/// A mirror.
pub struct Mirror {
    /// What is looked at.
    pub draft: Draft,
    /// Asks.
    pub caller: Caller,
}

/// All objects of a mirror in a few words.
#[derive(Default)]
struct Sum {
    count: u64,
    size_bytes: u64,
    newest: Option<(Timestamp, String)>,
}

impl Mirror {
    /// What a run asks, as far as is known before.
    pub fn calls(&self) -> Vec<AwsCall> {
        let Draft { sentinel, replication, .. } = &self.draft;
        let head = sentinel.as_deref().or(replication.then_some("*")).map(|key| self.head(key));
        let calls = std::iter::once(self.paged().call).chain(head);
        calls.flat_map(|call| permissions(&call, self.caller.region())).collect()
    }

    /// The list of its objects.
    pub fn paged(&self) -> Paged {
        let Draft { bucket, prefix, .. } = &self.draft;
        let prefix = (!prefix.is_empty()).then_some(prefix);
        let call = Call::action(&S3, "ListObjectsV2", json!({ "Bucket": bucket, "Prefix": prefix }));
        Paged { call, input: "ContinuationToken", output: "NextContinuationToken" }
    }

    fn head(&self, key: &str) -> Call {
        Call::action(&S3, "HeadObject", json!({ "Bucket": self.draft.bucket, "Key": key }))
    }

    /// Looks.
    pub async fn look(&self, talk: &mut Talk<'_>, window: Window) -> Result<Observation, Failure> {
        let seen = self.facts(talk, window).await;
        observation(talk, seen)
    }

    async fn facts(&self, talk: &mut Talk<'_>, window: Window) -> Result<FactMap, Failure> {
        let Draft { bucket, prefix, sentinel, replication } = &self.draft;
        let mut sum = Sum::default();
        let listed = self.paged().read(talk, |page| sum.add(page)).await;
        listed.map_err(or_missing(format!("there is no bucket {bucket}{}", place(&self.caller))))?;
        let Some((at, newest)) = sum.newest else {
            let message = format!("there is no object in s3://{bucket}/{prefix}");
            return Err(Failure::new(FailureKind::BackupMissing, message));
        };
        let (mut at, mut told_by, mut status) = (at, newest.clone(), None);
        if sentinel.is_some() || *replication {
            told_by = sentinel.clone().unwrap_or(newest.clone());
            let reply = talk.call(&self.head(&told_by)).await;
            let reply = reply.map_err(or_missing(format!("there is no object s3://{bucket}/{told_by}")))?;
            let headers = &reply.observation.facts["headers"];
            status = headers["x-amz-replication-status"].as_str().map(str::to_owned);
            at = instant(&headers["last-modified"]).ok_or_else(|| {
                let message = format!("the answer does not say when s3://{bucket}/{told_by} was written");
                Failure::new(FailureKind::ProtocolInvalid, message)
            })?;
        }
        // How old it is and whether it is of the future is told as of every backup; a mirror has no window.
        let whole = Backup { name: told_by, at, size_bytes: None, kept_days: None };
        let history = History::of(vec![whole], &format!("s3://{bucket}/{prefix}"), FOR_EVER, window.now)?;
        let mut facts = FactMap::default();
        facts.extend(history.facts().get("age_s").map(|age_s| ("age_s", age_s.clone())));
        facts.insert("newest", newest);
        facts.insert("count", sum.count);
        facts.insert("size_bytes", sum.size_bytes);
        facts.extend(status.filter(|_| *replication).map(|status| ("replication", status)));
        Ok(facts)
    }
}

/// Longer than anything has been kept in S3.
const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(100 * 365 * 86_400);

impl Sum {
    fn add(&mut self, page: &Value) {
        for object in list(&page["Contents"]) {
            let (Some(key), Some(at)) = (object["Key"].as_str(), instant(&object["LastModified"])) else { continue };
            let size = &object["Size"];
            self.count += 1;
            self.size_bytes += size.as_u64().or_else(|| size.as_str()?.parse().ok()).unwrap_or_default();
            if self.newest.as_ref().is_none_or(|(newest, _)| at > *newest) {
                self.newest = Some((at, key.to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_summed_over_pages() {
        let object = |key: &str, day: u32, size: &str| json!({ "Key": key, "LastModified": format!("2026-11-{day:02}T00:00:00.000Z"), "Size": size });
        let mut sum = Sum::default();
        sum.add(&json!({ "Contents": [object("a", 3, "10"), object("b", 5, "20")] }));
        sum.add(&json!({ "Contents": object("c", 4, "300") }));
        sum.add(&json!({}));
        let newest = sum.newest.map(|(_, key)| key);
        assert_eq!((sum.count, sum.size_bytes, newest.as_deref()), (3, 330, Some("b")));
    }
}
