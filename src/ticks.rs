//! Ticks from tokio-cron-scheduler: one async UTC job for each schedule, whose closure only sends the schedule's name.
//!
//! Of version 0.15.1 we use the least that it does well. Its repeated jobs die after a stall, its zoned jobs keep the
//! offset of their creation, its croner 3 skips an hour in autumn, and its jobs fire after `shutdown()`; so there are
//! no repeated, one-shot, sync or zoned jobs, a job is never made anew on reload, and the line of a job is the simplest
//! one that covers every slot. A tick is a hint: which slots are due is decided by croner 4 and the clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::domain::names::ScheduleName;
use crate::domain::schedule::{Cadence, Schedule};
use crate::ports::{TickError, TickSource};

/// How many ticks may wait for the engine; one more is dropped, since the engine asks the clock anyway.
const TICKS_WAITING_MAX: usize = 1_024;

/// Ticks for as many schedules as are watched.
pub struct CronTicks {
    scheduler: JobScheduler,
    jobs: BTreeMap<ScheduleName, String>,
    sender: mpsc::Sender<ScheduleName>,
    receiver: mpsc::Receiver<ScheduleName>,
}

impl CronTicks {
    /// Starts the scheduler, without a job yet.
    pub async fn start() -> Result<Self, TickError> {
        let scheduler = JobScheduler::new().await.map_err(tick_error)?;
        scheduler.start().await.map_err(tick_error)?;
        let (sender, receiver) = mpsc::channel(TICKS_WAITING_MAX);
        Ok(Self { scheduler, jobs: BTreeMap::new(), sender, receiver })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn tick_error(error: JobSchedulerError) -> TickError {
    TickError(error.to_string())
}

/// The simplest six-field line, in UTC, that has a tick at every slot of a cadence.
fn covering_line(cadence: &Cadence) -> String {
    match cadence {
        Cadence::Every(length) => match length.as_secs() {
            1 => "* * * * * *".to_owned(),
            seconds if seconds < 60 && 60 % seconds == 0 => format!("*/{seconds} * * * * *"),
            60 => "0 * * * * *".to_owned(),
            seconds if seconds % 60 == 0 && seconds < 3_600 && 3_600 % seconds == 0 => {
                format!("0 */{} * * * *", seconds / 60)
            }
            3_600 => "0 0 * * * *".to_owned(),
            seconds if seconds % 60 == 0 => "0 * * * * *".to_owned(),
            _ => "* * * * * *".to_owned(),
        },
        // Six fields have seconds of their own; five occur on whole minutes, whatever the zone.
        Cadence::Cron { line, .. } if line.split_whitespace().count() == 6 => "* * * * * *".to_owned(),
        Cadence::Cron { .. } => "0 * * * * *".to_owned(),
    }
}

impl TickSource for CronTicks {
    fn watch<'a>(&'a mut self, schedules: &'a [Arc<Schedule>]) -> BoxFuture<'a, Result<(), TickError>> {
        Box::pin(async move {
            for schedule in schedules {
                let line = covering_line(&schedule.cadence);
                if self.jobs.get(&schedule.name) == Some(&line) {
                    continue;
                }
                let (sender, name) = (self.sender.clone(), schedule.name.clone());
                let job = Job::new_async(line.as_str(), move |_, _| {
                    let _ = sender.try_send(name.clone());
                    Box::pin(std::future::ready(()))
                });
                self.scheduler.add(job.map_err(tick_error)?).await.map_err(tick_error)?;
                // A job of an older line goes on: what it ticks beyond the slots costs one look at the clock.
                self.jobs.insert(schedule.name.clone(), line);
            }
            Ok(())
        })
    }

    fn next(&mut self) -> BoxFuture<'_, ScheduleName> {
        Box::pin(async move {
            match self.receiver.recv().await {
                Some(name) => name,
                // Cannot be: we hold a sender. Never to tick is then the answer that harms nobody.
                None => std::future::pending().await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_cadence_has_the_simplest_line_that_covers_it() {
        let every = |seconds| Cadence::every(Duration::from_secs(seconds)).unwrap();
        for (seconds, line) in [
            (1, "* * * * * *"),
            (30, "*/30 * * * * *"),
            (60, "0 * * * * *"),
            (45, "* * * * * *"),
            (300, "0 */5 * * * *"),
            (3_600, "0 0 * * * *"),
            (7_200, "0 * * * * *"),
            (86_400, "0 * * * * *"),
        ] {
            assert_eq!(covering_line(&every(seconds)), line, "{seconds}");
        }
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let zoned = Cadence::cron("30 2 * * *", chrono_tz::Tz::Europe__Berlin, now).unwrap();
        assert_eq!(covering_line(&zoned), "0 * * * * *");
        let seconds = Cadence::cron("*/7 * * * * *", chrono_tz::Tz::UTC, now).unwrap();
        assert_eq!(covering_line(&seconds), "* * * * * *");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_watched_schedule_ticks() {
        let schedule = Arc::new(Schedule {
            name: ScheduleName::parse("often").unwrap(),
            cadence: Cadence::every(Duration::from_secs(1)).unwrap(),
            probes: Vec::new(),
            timeout: Duration::from_secs(1),
            alert: None,
            objectives: Vec::new(),
        });
        let mut ticks = CronTicks::start().await.unwrap();
        ticks.watch(&[Arc::clone(&schedule)]).await.unwrap();
        ticks.watch(&[schedule]).await.unwrap();
        assert_eq!(ticks.jobs.len(), 1);
        let tick = tokio::time::timeout(Duration::from_secs(5), ticks.next()).await.unwrap();
        assert_eq!(tick.as_str(), "often");
    }
}
