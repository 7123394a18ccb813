//! The spool on a thread of its own: a disk that hangs keeps nobody from publishing. What is asked of it ends by itself, also
//! when nobody waits for it any more; then it is found the next time.

use std::io::Error;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};

use super::load::Load;
use super::packet::{Packet, samples};
use super::spool::{Losses, Spool};
use crate::domain::time::Timestamp;

/// How long the disk is waited for; then memory must do.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the files are, and how much of the disk they may take.
#[derive(Clone, Debug)]
pub struct Lodging {
    /// The directory.
    pub directory: PathBuf,
    /// So many bytes.
    pub budget: u64,
}

/// What is asked of the disk.
#[derive(Debug)]
pub enum Task {
    /// To keep these requests.
    Put(Vec<Vec<Packet>>),
    /// To give the newest.
    Take(Timestamp),
    /// To keep what it gave, and nobody has.
    TakeBack(Load),
    /// To remove what has its fate.
    Settle(Load),
    /// To keep what was seen last.
    Remember(String),
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Worked {
    /// How many samples were written.
    pub written: u64,
    /// Requests that were not.
    pub left: Vec<Vec<Packet>>,
    /// How many samples are gone, by a bug of ours.
    pub lost: u64,
    /// What was read.
    pub load: Option<Load>,
    /// What has its fate.
    pub settled: Option<Load>,
    /// Whether what was seen last is there.
    pub kept: bool,
    /// How many samples were dropped for want of room.
    pub crowded_out: u64,
    /// How many samples were dropped because their file cannot be believed.
    pub damaged: u64,
    /// What the process before this one had seen last, where it was only now that the disk was opened.
    pub remembered: Option<String>,
    /// What was wrong with files.
    pub strange: Vec<String>,
    /// What went wrong.
    pub error: Option<Error>,
}

/// The spool, at rest or at work.
#[derive(Debug)]
pub struct Disk {
    lodging: Option<Lodging>,
    /// Absent until it could be opened, and while it works.
    spool: Option<Spool>,
    working: Option<JoinHandle<(Option<Spool>, Worked)>>,
    /// It was waited for in vain, and is not until it answers.
    hangs: bool,
    /// How many samples it was given and has not answered for.
    in_hand: u64,
    /// How many samples were on disk when it last rested.
    pub spooled: u64,
    /// Whether something was there to be taken then.
    pub is_waiting: bool,
}

impl Disk {
    /// Nothing is opened yet. Without a lodging there is no disk.
    pub fn new(lodging: Option<Lodging>) -> Self {
        Self { lodging, spool: None, working: None, hangs: false, in_hand: 0, spooled: 0, is_waiting: false }
    }

    /// Whether there is one at all.
    pub fn exists(&self) -> bool {
        self.lodging.is_some()
    }

    /// Whether it is known what is there.
    pub fn is_open(&self) -> bool {
        self.spool.is_some()
    }

    /// Whether what was asked last has not been answered. Nothing else may be asked then.
    pub fn is_working(&self) -> bool {
        self.working.is_some()
    }

    /// Asks. The answer comes by [`Self::answer`].
    pub fn ask(&mut self, task: Task) {
        let Some(Lodging { directory, budget }) = self.lodging.clone() else { return };
        if let Task::Put(parts) = &task {
            self.in_hand = parts.iter().map(|part| samples(part)).sum();
        }
        let known = self.spool.take();
        self.working = Some(spawn_blocking(move || {
            let is_new = known.is_none();
            let opened = known.map_or_else(|| Spool::open(&directory, budget), |spool| Ok(Some(spool)));
            match opened {
                Ok(Some(mut spool)) => {
                    // Without it a probe is silent until its next run, and nothing else is amiss.
                    let remembered = if is_new { spool.remembered().unwrap_or_default() } else { None };
                    let worked = work(&mut spool, task);
                    let Losses { crowded_out, damaged, strange } = spool.take_losses();
                    (Some(spool), Worked { crowded_out, damaged, remembered, strange, ..worked })
                }
                opened => (None, Worked { error: opened.err(), ..undone(task) }),
            }
        }));
    }

    /// What came of what was asked; nothing where that goes on for longer than anybody should wait, or nothing was asked.
    pub async fn answer(&mut self) -> Option<Worked> {
        let working = self.working.as_mut()?;
        let patience = if self.hangs { Duration::ZERO } else { PATIENCE };
        let answer = tokio::time::timeout(patience, working).await;
        self.hangs = answer.is_err();
        let answer = answer.ok()?;
        self.working = None;
        let in_hand = std::mem::take(&mut self.in_hand);
        let (spool, worked) = answer.unwrap_or_else(|bug| {
            (None, Worked { lost: in_hand, error: Some(Error::other(bug.to_string())), ..Worked::default() })
        });
        if let Some(spool) = &spool {
            (self.spooled, self.is_waiting) = (spool.samples(), spool.is_waiting());
        }
        self.spool = spool;
        Some(worked)
    }
}

fn work(spool: &mut Spool, task: Task) -> Worked {
    let mut worked = Worked::default();
    match task {
        Task::Put(parts) => {
            let mut parts = parts.into_iter();
            while let Some(part) = parts.next() {
                if let Err(error) = spool.put(&part) {
                    worked.error = Some(error);
                    worked.left = std::iter::once(part).chain(parts).collect();
                    break;
                }
                worked.written += samples(&part);
            }
        }
        Task::Take(now) => match spool.take(now) {
            Ok(load) => worked.load = load,
            Err(error) => worked.error = Some(error),
        },
        Task::TakeBack(load) => spool.take_back(&load),
        Task::Settle(load) => {
            worked.error = spool.settle(&load).err();
            worked.settled = Some(load);
        }
        Task::Remember(text) => {
            worked.error = spool.remember(&text).err();
            worked.kept = worked.error.is_none();
        }
    }
    worked
}

/// What comes of a task where there is nobody to do it.
fn undone(task: Task) -> Worked {
    match task {
        Task::Put(left) => Worked { left, ..Worked::default() },
        // Its files are somebody else's now, who sends them again.
        Task::Settle(load) => Worked { settled: Some(load), ..Worked::default() },
        Task::Take(_) | Task::TakeBack(_) | Task::Remember(_) => Worked::default(),
    }
}
