//! The prober: looks at the one place that was written.

use std::time::Duration;

use futures::future::BoxFuture;

use super::directory::Directory;
use super::mirror::Mirror;
use super::on_demand::{OnDemand, backups_of};
use super::recovery::Recovery;
use super::vault::Vault;
use crate::domain::aws_call::AwsCall;
use crate::domain::outcome::{Failure, Observation};
use crate::domain::time::{Timestamp, earlier};
use crate::net::stopwatch::Stopwatch;
use crate::ports::{Prober, StepContext};

/// A place where backups are.
pub enum Source {
    /// Point-in-time recovery of a table.
    Recovery(Recovery),
    /// On-demand backups of a table.
    OnDemand(OnDemand),
    /// Recovery points in a vault.
    Vault(Vault),
    /// Objects in S3.
    Mirror(Mirror),
    /// Files.
    Directory(Directory),
}

/// What is looked at: the time from `over` ago to now.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// How far back.
    pub over: Duration,
    /// Its end.
    pub now: Timestamp,
}

impl Window {
    /// Its beginning.
    pub fn begin(&self) -> Timestamp {
        earlier(self.now, self.over)
    }
}

/// Looks at backups.
pub struct BackupProber {
    /// Where.
    pub source: Source,
    /// How far back.
    pub over: Duration,
}

impl Prober for BackupProber {
    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        let window = Window { over: self.over, now: cx.clock.now() };
        Box::pin(async move {
            match &self.source {
                Source::Directory(directory) => {
                    let watch = Stopwatch::start(cx.clock, cx.deadline);
                    let facts = directory.look(cx, window).await;
                    let phases = watch.phases();
                    let facts = facts.map_err(|failure| failure.after(phases))?;
                    Ok(Observation { facts, phases, ..Observation::default() })
                }
                Source::Recovery(recovery) => recovery.look(&mut recovery.caller.talk(cx), window).await,
                Source::OnDemand(backups) => backups.look(&mut backups.caller.talk(cx), window).await,
                Source::Vault(vault) => vault.look(&mut vault.caller.talk(cx), window).await,
                Source::Mirror(mirror) => mirror.look(&mut mirror.caller.talk(cx), window).await,
            }
        })
    }

    fn host(&self) -> Option<String> {
        match &self.source {
            Source::Directory(_) => None,
            Source::Recovery(recovery) => recovery.caller.host(&recovery.call()),
            Source::OnDemand(backups) => backups.caller.host(&backups_of(&backups.table, None).call),
            Source::Vault(vault) => vault.caller.host(&vault.paged(None).call),
            Source::Mirror(mirror) => mirror.caller.host(&mirror.paged().call),
        }
    }

    fn calls(&self) -> Vec<AwsCall> {
        match &self.source {
            Source::Directory(_) => Vec::new(),
            Source::Recovery(recovery) => recovery.calls(),
            Source::OnDemand(backups) => backups.calls(),
            Source::Vault(vault) => vault.calls(),
            Source::Mirror(mirror) => mirror.calls(),
        }
    }
}
