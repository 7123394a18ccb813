//! What somebody changed. It names people and addresses, so it is for those who may change something themselves.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::answers::{Trouble, answer};
use crate::domain::audit::AuditRecord;
use crate::web::routes::Room;

/// How many are answered where nothing is said, and at most.
const LIMITS: (usize, usize) = (100, 500);

/// Which records.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Which {
    /// Those before the one of this id.
    before: Option<String>,
    /// How many.
    limit: Option<usize>,
}

/// Records, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// The records.
    pub audit: Vec<AuditRecord>,
}

/// What was changed last.
pub async fn all(
    State(room): State<Arc<Room>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Trouble> {
    room.when_ready()?;
    let which = which.ok().map(|Query(which)| which).filter(|which| which.limit.is_none_or(|limit| limit <= LIMITS.1));
    let Some(Which { before, limit }) = which else {
        let sentence = format!("nothing may be asked but `?before=ID` and `?limit=N` with at most {}", LIMITS.1);
        return Err(Trouble::new(StatusCode::BAD_REQUEST, sentence));
    };
    let audit = room.patiently(room.web.reader.audits(before, limit.unwrap_or(LIMITS.0))).await?;
    Ok(answer(&*room.plan().secrets, StatusCode::OK, &Audit { audit }))
}
