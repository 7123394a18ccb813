//! The incident that an event became, by PagerDuty's REST API, in which a drill sees that its message arrived:
//! <https://developer.pagerduty.com/api-reference/9d0b4b12e36f9-list-incidents>.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::incident::{Event, IncidentId};
use crate::domain::template::Template;
use crate::domain::text::harmless;
use crate::notifiers::post::{Answer, Post, check_secret, check_url, sensitive};
use crate::ports::NotifyError;
use crate::settings::{Problems, Spanned};

/// Where incidents are looked up; accounts of the European region have another address.
const URL: &str = "https://api.pagerduty.com/incidents";

/// How long it is from one look to the next: the limit is 960 a minute for an account.
const REST: Duration = Duration::from_secs(1);

/// How incidents are looked up.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookUpSettings {
    /// A key of the REST API that may read, a secret: write `"${secret:name}"`.
    #[schemars(with = "String")]
    token: Spanned<Template>,
    /// Where incidents are. Accounts of the European service region write `https://api.eu.pagerduty.com/incidents`. Default:
    /// `https://api.pagerduty.com/incidents`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    url: Option<Spanned<Template>>,
}

/// Looks incidents up.
pub struct LookUp {
    token: Template,
    url: Template,
}

impl LookUpSettings {
    /// Says what is wrong with them.
    pub fn check(&self, problems: &mut Problems) {
        check_secret(&self.token, "a key of PagerDuty's API", "token", problems);
        if let Some(url) = &self.url {
            check_url(url, "PagerDuty's incidents", URL, problems);
        }
    }
}

impl From<LookUpSettings> for LookUp {
    fn from(settings: LookUpSettings) -> Self {
        let url = settings.url.map_or_else(|| Template::literal(URL), |url| url.value);
        Self { token: settings.token.value, url }
    }
}

impl LookUp {
    /// Looks until there is an incident of that key, and where it is to be over, until it is.
    pub async fn find(&self, post: &Post, incident: &IncidentId, event: Event) -> Result<String, NotifyError> {
        post.until_seen(REST, || self.look(post, incident, event)).await
    }

    async fn look(&self, post: &Post, incident: &IncidentId, event: Event) -> Result<Option<String>, NotifyError> {
        let mut url = post.url(&self.url).await?;
        url.query_pairs_mut().append_pair("incident_key", &incident.0);
        let token = post.fill(&self.token).await?;
        let request = post.get(url).header("accept", "application/vnd.pagerduty+json;version=2");
        let request = request.header("authorization", sensitive("authorization", &format!("Token token={token}"))?);
        seen(post.send(request).await?, incident, event)
    }
}

/// Where the incident is, if it is there and as it should be.
fn seen(answer: Answer, incident: &IncidentId, event: Event) -> Result<Option<String>, NotifyError> {
    let answer = answer.taken()?;
    let said: Option<Value> = serde_json::from_str(&answer.text).ok();
    let Some(incidents) = said.as_ref().and_then(|said| said["incidents"].as_array()) else {
        return Err(answer.strange("PagerDuty"));
    };
    // An incident whose alerts have the key has none itself, and is found by it all the same; what has another was not asked for.
    let is_it = |found: &&Value| {
        let key = &found["incident_key"];
        (key.is_null() || *key == *incident.0) && (event != Event::Resolved || found["status"] == "resolved")
    };
    let place = |found: &Value| {
        let url = found["html_url"].as_str().or_else(|| found["id"].as_str()).unwrap_or_default();
        format!("in the incident {}", harmless(url))
    };
    Ok(incidents.iter().find(is_it).map(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn an_incident_is_found_by_its_key_and_its_end_by_its_status() {
        let id = IncidentId(Arc::from("I1"));
        let of = |mut found: Value, event| {
            found["html_url"] = "https://shop.pagerduty.com/incidents/Q1\n".into();
            let other = json!({ "id": "Q0", "incident_key": "I0", "status": "resolved" });
            let incidents = json!({ "incidents": [other, found] });
            let answer = Answer { status: StatusCode::OK, retry_after: None, text: incidents.to_string() };
            seen(answer, &id, event).unwrap()
        };
        let found = |key: &str, status: &str, event| of(json!({ "incident_key": key, "status": status }), event);
        let place = Some("in the incident https://shop.pagerduty.com/incidents/Q1␊".to_owned());
        assert_eq!(found("I1", "triggered", Event::Opened), place);
        assert_eq!(found("I1", "resolved", Event::Resolved), place);
        assert_eq!(found("I1", "acknowledged", Event::Resolved), None, "it is not over yet");
        assert_eq!(found("I2", "triggered", Event::Opened), None);
        assert_eq!(of(json!({ "incident_key": null, "status": "triggered" }), Event::Opened), place);
        assert_eq!(of(json!({ "status": "resolved" }), Event::Resolved), place);
        assert_eq!(of(json!({ "status": "triggered" }), Event::Resolved), None);
        let answer = |status, text: &str| Answer { status, retry_after: None, text: text.to_owned() };
        let denied = seen(answer(StatusCode::UNAUTHORIZED, ""), &id, Event::Opened);
        assert_eq!(denied, Err(NotifyError::Unauthorized("401 Unauthorized".to_owned())));
        assert!(seen(answer(StatusCode::OK, "<html>"), &id, Event::Opened).is_err());
    }
}
