//! How old the newest of the objects is in which access logs are kept in S3.
//!
//! A bucket of access logs has more objects than anybody lists, and their keys begin with the time. So the prefix says which
//! part of a key is the time, and only the last two days, or hours, are listed.

use std::time::Duration;

use chrono::format::{Item, StrftimeItems};
use serde_json::{Value, json};

use super::search::or_missing;
use crate::domain::aws_call::AwsCall;
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::{Timestamp, between, earlier};
use crate::net::aws::call::Call;
use crate::net::aws::permission::permissions;
use crate::net::aws::services::S3;
use crate::ports::StepContext;
use crate::probers::aws::{Paging, Talk, instant};

/// The most objects of an hour or a day that are listed: 50,000.
const PAGING: Paging = Paging { input: "ContinuationToken", output: "NextContinuationToken", pages_max: 50 };

/// Access logs.
pub struct AccessLogs {
    /// The bucket.
    pub bucket: String,
    /// How their keys begin.
    pub prefix: DatedPrefix,
}

/// The beginning of keys, with the time in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedPrefix {
    text: String,
    /// How long a prefix is that of keys which are written now.
    grain: Duration,
}

impl DatedPrefix {
    /// Reads one: `%Y`, `%m`, `%d` and `%H` stand for parts of the time in UTC, the day at least. The error says what is wrong
    /// with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut seen = Vec::new();
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('%') {
            let part =
                after.chars().next().filter(|part| "YmdH".contains(*part)).ok_or("after `%` stands Y, m, d or H")?;
            seen.push(part);
            rest = after.get(1..).unwrap_or_default();
        }
        if !['Y', 'm', 'd'].iter().all(|part| seen.contains(part)) {
            return Err("it does not say where year, month and day are: `%Y`, `%m` and `%d`");
        }
        let grain = Duration::from_secs(if seen.contains(&'H') { 3_600 } else { 86_400 });
        Ok(Self { text: text.to_owned(), grain })
    }

    /// The prefix of the keys of an instant.
    fn at(&self, at: Timestamp) -> String {
        // What is no part of the time was refused, so every item can be written.
        let items: Vec<Item<'_>> = StrftimeItems::new(&self.text).collect();
        at.format_with_items(items.into_iter()).to_string()
    }
}

impl AccessLogs {
    /// Lists the objects of now and of the hour or day before.
    pub async fn look(&self, cx: &StepContext<'_>, talk: &mut Talk<'_>) -> Result<FactMap, Failure> {
        let now = cx.clock.now();
        let mut newest = None;
        for at in [now, earlier(now, self.prefix.grain)] {
            let is_whole = talk.pages(self.list(&self.prefix.at(at)), PAGING, |page| {
                newest = newest_of(&page).into_iter().chain(newest.take()).max();
                true
            });
            let is_whole = is_whole.await.map_err(or_missing(format!("bucket {}", self.bucket)))?;
            if !is_whole {
                let message = format!(
                    "there are more than 50,000 objects in s3://{}/{}: write an hour, `%H`, into the prefix",
                    self.bucket,
                    self.prefix.at(at)
                );
                return Err(Failure::new(FailureKind::LocalSetup, message));
            }
            if newest.is_some() {
                break;
            }
        }
        let Some((at, key)) = newest else {
            let [here, before] = [now, earlier(now, self.prefix.grain)].map(|at| self.prefix.at(at));
            let message = format!("no access log is in s3://{0}/{here}, and none in s3://{0}/{before}", self.bucket);
            return Err(Failure::new(FailureKind::LogsSilent, message));
        };
        let mut facts = FactMap::default();
        facts.insert("age_s", between(at, now).as_secs_f64());
        facts.insert("newest", key);
        Ok(facts)
    }

    /// What a run asks for.
    pub fn calls(&self, region: Option<&str>) -> Vec<AwsCall> {
        let calls = permissions(&self.list("*"), region);
        calls.into_iter().map(|call| if call.calls > 0 { call.times(2) } else { call }).collect()
    }

    fn list(&self, prefix: &str) -> Call {
        Call::action(&S3, "ListObjectsV2", json!({ "Bucket": self.bucket, "Prefix": prefix }))
    }
}

/// The newest object of a page: when it was written, and its key.
fn newest_of(page: &Value) -> Option<(Timestamp, String)> {
    let objects = page["Contents"].as_array().into_iter().flatten();
    objects.filter_map(|object| Some((instant(&object["LastModified"])?, object["Key"].as_str()?.to_owned()))).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_the_day_and_perhaps_the_hour() {
        let now: Timestamp = "2026-11-24T00:30:00Z".parse().unwrap();
        for (text, at, before) in [
            ("cdn/E2EXAMPLE.%Y-%m-%d-", "cdn/E2EXAMPLE.2026-11-24-", "cdn/E2EXAMPLE.2026-11-23-"),
            ("alb/%Y/%m/%d/%H", "alb/2026/11/24/00", "alb/2026/11/23/23"),
        ] {
            let prefix = DatedPrefix::parse(text).unwrap();
            assert_eq!((prefix.at(now), prefix.at(earlier(now, prefix.grain))), (at.to_owned(), before.to_owned()));
        }
        for (text, why) in [
            ("cdn/", "does not say where"),
            ("cdn/%Y/%m/", "does not say where"),
            ("cdn/%Y/%j/", "Y, m, d or H"),
            ("cdn/%Y%m%d%", "Y, m, d or H"),
            ("100%/%Y%m%d", "Y, m, d or H"),
        ] {
            let said = DatedPrefix::parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn the_newest_object_is_the_one_that_was_written_last() {
        let object = |key: &str, minute: u32| json!({ "Key": key, "LastModified": format!("2026-11-24T10:{minute:02}:00.000Z") });
        let page = json!({ "Contents": [object("b", 5), object("c", 9), object("a", 7), { "Key": "d" }] });
        assert_eq!(newest_of(&page).map(|(_, key)| key).as_deref(), Some("c"));
        assert_eq!(newest_of(&json!({})), None);
    }
}
