//! What may be asked below `/api/v1`.

use super::{audit, deliveries, drill, incidents, objectives, pagerduty, pauses, reload, silences, trigger};
use crate::web::table::{Row, Scope};

/// The rows.
pub fn rows() -> Vec<Row> {
    use Scope::{Operate, Read, Signed};
    vec![
        Row::get(Read, "/api/v1/incidents", incidents::all),
        Row::get(Read, "/api/v1/incidents/{id}", incidents::one),
        Row::get(Read, "/api/v1/incidents/{id}/war-room", incidents::war_room),
        Row::get(Read, "/api/v1/incidents/{id}/post-mortem", incidents::post_mortem),
        Row::post(Operate, "/api/v1/incidents/{id}/acknowledge", incidents::acknowledge),
        Row::post(Operate, "/api/v1/incidents/{id}/notes", incidents::note),
        Row::get(Read, "/api/v1/silences", silences::all),
        Row::post(Operate, "/api/v1/silences", silences::begin),
        Row::delete(Operate, "/api/v1/silences/{id}", silences::end),
        Row::get(Read, "/api/v1/pauses", pauses::all),
        Row::post(Operate, "/api/v1/pauses", pauses::begin),
        Row::delete(Operate, "/api/v1/pauses/{id}", pauses::end),
        Row::post(Operate, "/api/v1/probes/{name}/trigger", trigger::trigger),
        Row::post(Operate, "/api/v1/reload", reload::reload),
        Row::get(Read, "/api/v1/deliveries", deliveries::all),
        Row::post(Operate, "/api/v1/deliveries/redrive", deliveries::redrive_all),
        Row::post(Operate, "/api/v1/deliveries/{id}/redrive", deliveries::redrive),
        Row::get(Read, "/api/v1/drill", drill::channels),
        Row::post(Operate, "/api/v1/drill", drill::drill),
        Row::get(Operate, "/api/v1/audit", audit::all),
        Row::get(Read, "/api/v1/objectives", objectives::all),
        Row::post(Signed, "/api/v1/pagerduty", pagerduty::hear),
    ]
}
