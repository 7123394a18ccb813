//! `note`: writes something into the time line of an incident.

use std::path::PathBuf;

use clap::Args;

use super::ack::say_unless;
use super::answer::{Answer, Output, Stop};
use super::daemon_client::{DaemonArguments, DaemonClient, by, segment};
use crate::config::load::Surroundings;
use crate::web::api::bodies::{Done, Note};

/// Who says what.
#[derive(Clone, Debug, Args)]
pub struct NoteArguments {
    /// The incident: its id, a beginning of it that no other has, or its probe.
    #[arg(value_name = "INCIDENT")]
    pub incident: String,
    /// What you say.
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// Who says it; by default whom the system says you are.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

/// Writes it. That the incident is over is exit 1.
pub async fn note(directory: PathBuf, surroundings: Surroundings, what: NoteArguments) -> Result<Answer, Stop> {
    let by = by(what.by, &surroundings)?;
    let daemon = DaemonClient::find(&directory, &surroundings, &what.daemon).await?;
    let id = daemon.incident(&what.incident).await?;
    let path = format!("incidents/{}/notes", segment(&id.0));
    let done: Done = daemon.post(&path, &Note { by, text: what.text }).await?;
    Output::default().line(format_args!("noted in the time line of {id}"))?;
    say_unless(done.recorded);
    Ok(Answer::Well)
}
