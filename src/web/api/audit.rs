//! What somebody changed. It names people and addresses, so it is for those who may change something themselves.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::{Trouble, answer};
use super::queries::{Cursor, Limit, Queried, linked};
use crate::domain::audit::AuditRecord;
use crate::web::routes::Room;

/// Which records.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WhichAudit {
    /// How many come at once.
    limit: Limit,
    /// Where to go on: `next` of the part before.
    cursor: Option<Cursor>,
}

/// Records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// The latest first.
    pub audit: Vec<AuditRecord>,
    /// The cursor by which the next part is asked for; absent where this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What was changed last.
pub async fn all(
    State(room): State<Arc<Room>>,
    uri: Uri,
    Queried(which): Queried<WhichAudit>,
) -> Result<Response, Trouble> {
    room.when_ready()?;
    let (before, limit) = (which.cursor.map(|cursor| cursor.name().to_owned()), which.limit.0);
    let mut audit = room.patiently(room.web.reader.audits(before, limit + 1)).await?;
    let more = audit.len() > limit;
    audit.truncate(limit);
    let next = audit.last().filter(|_| more).map(|last| Cursor::after(&last.id).opaque());
    let body = Audit { audit, next: next.clone() };
    Ok(linked(answer(&*room.plan().secrets, StatusCode::OK, &body), &uri, next.as_deref()))
}
