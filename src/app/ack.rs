//! `ack`: takes an incident on.

use std::path::PathBuf;

use clap::Args;

use super::answer::{Answer, Output, Stop, say};
use super::daemon_client::{DaemonArguments, DaemonClient, by, segment};
use crate::config::load::Surroundings;
use crate::domain::text::harmless;
use crate::web::api::bodies::{Acknowledge, Done};

/// Who takes on what.
#[derive(Clone, Debug, Args)]
pub struct AckArguments {
    /// The incident: its id, a beginning of it that no other has, or its probe.
    #[arg(value_name = "INCIDENT")]
    pub incident: String,
    /// Who takes it on; by default whom the system says you are.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// What you say of it.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

/// Takes it on. That somebody has, or that it is over, is exit 1.
pub async fn ack(directory: PathBuf, surroundings: Surroundings, what: AckArguments) -> Result<Answer, Stop> {
    let by = by(what.by, &surroundings)?;
    let daemon = DaemonClient::find(&directory, &surroundings, &what.daemon).await?;
    let id = daemon.incident(&what.incident).await?;
    let path = format!("incidents/{}/acknowledge", segment(&id.0));
    let done: Done = daemon.post(&path, &Acknowledge { by, note: what.note }).await?;
    let by = done.incident.acknowledged.as_ref().map(|taken| taken.by.as_str()).unwrap_or_default();
    Output::default().line(format_args!("{} has taken on {id}: {}", harmless(by), harmless(&done.incident.summary)))?;
    say_unless(done.recorded);
    Ok(Answer::Well)
}

/// Says it where something holds and is not recorded.
pub fn say_unless(recorded: bool) {
    if !recorded {
        say("taken, and not recorded yet: the store rests, and it is lost if the daemon ends before that returns");
    }
}
