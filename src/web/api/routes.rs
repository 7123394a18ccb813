//! Which path below `/api/v1` gives what.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};

use super::answers::Trouble;
use super::{deliveries, drill, incidents, objectives, pagerduty, pauses, reload, silences, trigger};
use crate::web::routes::Room;

/// The routes.
pub fn routes() -> Router<Arc<Room>> {
    Router::new()
        .route("/incidents", get(incidents::all))
        .route("/incidents/{id}", get(incidents::one))
        .route("/incidents/{id}/war-room", get(incidents::war_room))
        .route("/incidents/{id}/post-mortem", get(incidents::post_mortem))
        .route("/incidents/{id}/acknowledge", post(incidents::acknowledge))
        .route("/incidents/{id}/notes", post(incidents::note))
        .route("/silences", get(silences::all).post(silences::begin))
        .route("/silences/{id}", delete(silences::end))
        .route("/pauses", get(pauses::all).post(pauses::begin))
        .route("/pauses/{id}", delete(pauses::end))
        .route("/probes/{name}/trigger", post(trigger::trigger))
        .route("/reload", post(reload::reload))
        .route("/deliveries", get(deliveries::all))
        .route("/deliveries/redrive", post(deliveries::redrive_all))
        .route("/deliveries/{id}/redrive", post(deliveries::redrive))
        .route("/drill", get(drill::channels).post(drill::drill))
        .route("/objectives", get(objectives::all))
        .route("/pagerduty", post(pagerduty::hear))
        .method_not_allowed_fallback(async || {
            Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "this is not asked in that way")
        })
        .fallback(async || Trouble::new(StatusCode::NOT_FOUND, "there is nothing of that name"))
}
