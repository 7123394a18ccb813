//! A message to send to real receivers.

use std::collections::BTreeMap;
use std::sync::Arc;

use roundsman::domain::incident::{Event, Incident, IncidentId, Severity};
use roundsman::domain::judge::Aspect;
use roundsman::domain::names::ProbeName;
use roundsman::domain::outcome::RunId;
use roundsman::domain::time::Timestamp;
use roundsman::ports::Notification;

/// That a bare incident of `api-health`, P1, has opened.
pub fn opened(incident: &str, at: Timestamp) -> Notification {
    Notification {
        event: Event::Opened,
        incident: Incident {
            id: IncidentId(Arc::from(incident)),
            probe: ProbeName::parse("api-health").unwrap(),
            aspect: Aspect::Failing,
            severity: Severity::P1,
            since: at,
            opened_at: at,
            resolved_at: None,
            resolved_because: None,
            firing: BTreeMap::new(),
            schedules: Vec::new(),
            first_failures: Vec::new(),
            latest_failures: Vec::new(),
            opening_run: RunId(Arc::from("run")),
            labels: BTreeMap::new(),
            runbook: None,
            quiet: None,
            maintenance: None,
            acknowledged: None,
            remind_at: None,
            reminders: 0,
            escalate_at: None,
            escalated_at: None,
            changes: Vec::new(),
            told: Vec::new(),
            transitions: 1,
        },
        transition: 1,
        at,
        site: "shop".to_owned(),
        url: None,
        late: false,
        plain: false,
    }
}
