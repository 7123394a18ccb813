//! The user pool of the demo's shop, as Cognito answers: a login with a password, a token that says who somebody is, and one by
//! which the session is ended.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::shop::SHOPPER_PASSWORD;
use crate::domain::time::Timestamp;
use crate::engine::runner::new_id;

/// So many sessions that nobody ends are kept; the oldest goes first.
const SESSIONS_MAX: usize = 1_000;

/// A pool with one user, `probe`.
#[derive(Default)]
pub struct Pool {
    /// Access tokens by the refresh token that they came with. Tokens sort by time, so the first is the oldest.
    sessions: Mutex<BTreeMap<String, String>>,
}

impl Pool {
    /// What the pool says to an action, if it is one of its own.
    pub fn answer(&self, action: &str, input: &Value, now: Timestamp) -> Option<(StatusCode, Value)> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |pointer: &str| input.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let answered = match action {
            "InitiateAuth" if text("/AuthParameters/PASSWORD") == SHOPPER_PASSWORD => {
                let (refresh, access) = (new_id(now), new_id(now));
                sessions.insert(refresh.clone(), access.clone());
                if sessions.len() > SESSIONS_MAX {
                    sessions.pop_first();
                }
                let tokens = json!({ "AccessToken": access, "RefreshToken": refresh, "ExpiresIn": 3_600 });
                Ok(json!({ "AuthenticationResult": tokens, "ChallengeParameters": {} }))
            }
            "InitiateAuth" => Err("Incorrect username or password."),
            "GetUser" if sessions.values().any(|access| access == text("/AccessToken")) => {
                Ok(json!({ "Username": "probe", "UserAttributes": [] }))
            }
            "GetUser" => Err("Access Token has been revoked"),
            "RevokeToken" => {
                sessions.remove(text("/Token"));
                Ok(json!({}))
            }
            _ => return None,
        };
        Some(match answered {
            Ok(value) => (StatusCode::OK, value),
            Err(message) => {
                (StatusCode::BAD_REQUEST, json!({ "__type": "NotAuthorizedException", "message": message }))
            }
        })
    }
}
