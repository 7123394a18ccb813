//! What PagerDuty says of its own accord, by its webhooks: <https://developer.pagerduty.com/docs/webhooks-overview>. What
//! somebody acknowledges there is acknowledged here, and what somebody writes there is written here.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use subtle::{Choice, ConstantTimeEq as _};

use crate::domain::incident::IncidentId;
use crate::domain::text::harmless;
use crate::notifiers::mac::hex_mac;
use crate::ports::{Heard, Reply, Says};

/// The longest name that is kept of somebody, in characters.
const NAME_MAX: usize = 80;

/// The longest note that is kept, in characters.
const NOTE_MAX: usize = 1_900;

/// The longest id that PagerDuty may give; ours have 26 characters, theirs 36 at most.
const ID_MAX: usize = 64;

/// How many signatures one message may have: one for each secret while that is exchanged.
const SIGNATURES_MAX: usize = 8;

/// The body of a webhook.
#[derive(Deserialize)]
struct Webhook {
    event: Event,
}

/// One event. Whatever else it holds is not ours to read.
#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "event_type")]
    what: String,
    agent: Option<Agent>,
    #[serde(default)]
    data: Value,
}

/// Who did it.
#[derive(Deserialize)]
struct Agent {
    summary: Option<String>,
}

/// What a message says, if it is signed: `v1=` and the HMAC of the body as it came, once for each secret that is in force.
pub fn heard(secret: &str, signature: &str, body: &[u8]) -> Heard {
    let proof = hex_mac(secret, body);
    let given = signature.split(',').take(SIGNATURES_MAX).filter_map(|one| one.trim().strip_prefix("v1="));
    let is_signed = given.fold(Choice::from(0), |known, one| known | one.as_bytes().ct_eq(proof.as_bytes()));
    if secret.is_empty() || !bool::from(is_signed) {
        return Heard::Unsigned;
    }
    serde_json::from_slice(body).ok().and_then(reply).map_or(Heard::Strange, Heard::Reply)
}

fn reply(Webhook { event }: Webhook) -> Option<Reply> {
    let text = |value: &Value| value.as_str().filter(|text| (1..=ID_MAX).contains(&text.len())).map(str::to_owned);
    let (data, is_note) = (&event.data, event.what == "incident.annotated");
    // A note names the incident by PagerDuty's own id alone; what is said of the incident itself names both.
    let theirs = text(if is_note { &data["incident"]["id"] } else { &data["id"] })?;
    let incident = text(&data["incident_key"]).map(|key| IncidentId(Arc::from(key)));
    let says = match event.what.as_str() {
        "incident.acknowledged" => Says::Acknowledged,
        "incident.annotated" => Says::Note(piece(data["content"].as_str()?, NOTE_MAX)?),
        _ => Says::Nothing,
    };
    let who = event.agent.and_then(|agent| agent.summary).and_then(|name| piece(&name, NAME_MAX));
    let by = who.map_or_else(|| "PagerDuty".to_owned(), |who| format!("{who} (PagerDuty)"));
    Some(Reply { id: text(&event.id.into())?, theirs, incident, by, says })
}

/// The beginning of a text, harmless; nothing where it says nothing.
fn piece(text: &str, most: usize) -> Option<String> {
    let text = harmless(text.trim());
    let cut: String = text.chars().take(most).collect();
    let cut = if cut.len() < text.len() { format!("{cut}…") } else { cut };
    (!cut.is_empty()).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(of: &str, data: &Value) -> Value {
        let agent = json!({ "id": "PLH1HKV", "summary": "Ann\u{1b}[2J", "type": "user_reference" });
        json!({ "event": { "id": "e-1", "event_type": of, "resource_type": "incident", "agent": agent, "data": data } })
    }

    fn said(body: &Value) -> Heard {
        let body = body.to_string();
        heard("s3cret", &format!("v1={}", hex_mac("s3cret", body.as_bytes())), body.as_bytes())
    }

    #[test]
    fn only_what_is_signed_is_heard() {
        // printf '{}' | openssl dgst -sha256 -hmac s3cret
        let right = "adbde1ce40c89c14215687d5d762a47df6dfaefcfad61e2e86718ffc8498571b";
        let other = hex_mac("another", b"{}");
        for (signature, is_signed) in [
            (format!("v1={right}"), true),
            (format!("v1={other},v1={right}"), true),
            (format!("v1={other}, v1={right}"), true),
            (format!("v1={other}"), false),
            (format!("v0={right}"), false),
            (right.to_owned(), false),
            (format!("v1={}", &right[..63]), false),
            (format!("v1={right}0"), false),
            ("v1=".to_owned(), false),
            (String::new(), false),
            (format!("{}v1={right}", "v1=0,".repeat(8)), false),
        ] {
            let expected = if is_signed { Heard::Strange } else { Heard::Unsigned };
            assert_eq!(heard("s3cret", &signature, b"{}"), expected, "{signature}");
        }
        assert_eq!(heard("s3cret", &format!("v1={right}"), b"{ }"), Heard::Unsigned, "of another body");
        assert_eq!(heard("", &format!("v1={}", hex_mac("", b"{}")), b"{}"), Heard::Unsigned, "no secret is no proof");
    }

    #[test]
    fn an_acknowledgement_and_a_note_are_read_as_documented() {
        let incident = json!({ "id": "PGR0VU2", "type": "incident", "incident_key": "01K0", "status": "acknowledged" });
        let reply = |says, incident: Option<&str>| {
            let by = "Ann␛[2J (PagerDuty)".to_owned();
            let incident = incident.map(|id| IncidentId(Arc::from(id)));
            Heard::Reply(Reply { id: "e-1".to_owned(), theirs: "PGR0VU2".to_owned(), incident, by, says })
        };
        assert_eq!(said(&event("incident.acknowledged", &incident)), reply(Says::Acknowledged, Some("01K0")));
        assert_eq!(said(&event("incident.triggered", &incident)), reply(Says::Nothing, Some("01K0")));
        let note = json!({
            "id": "P2LA89X", "type": "incident_note", "content": " looking\nat it ", "trimmed": false,
            "incident": { "id": "PGR0VU2", "summary": "A little bump", "type": "incident_reference" },
        });
        assert_eq!(said(&event("incident.annotated", &note)), reply(Says::Note("looking␊at it".to_owned()), None));
    }

    #[test]
    fn what_is_signed_and_strange_is_nothing() {
        let long = "x".repeat(65);
        for body in [
            json!(null),
            json!({ "event": {} }),
            json!({ "event": { "id": 1, "event_type": "incident.acknowledged", "data": {} } }),
            event("pagey.ping", &json!({ "message": "Hello from your friend Pagey!", "type": "ping" })),
            event("incident.acknowledged", &json!({ "id": long })),
            event("incident.annotated", &json!({ "incident": { "id": "P" } })),
            event("incident.annotated", &json!({ "incident": { "id": "P" }, "content": " " })),
        ] {
            assert_eq!(said(&body), Heard::Strange, "{body}");
        }
        let unnamed = json!({ "event": {
            "id": "e", "event_type": "incident.acknowledged", "agent": null, "data": { "id": "P", "incident_key": long }
        } });
        let Heard::Reply(Reply { by, incident: None, .. }) = said(&unnamed) else { panic!("no reply") };
        assert_eq!(by, "PagerDuty");
    }
}
