//! What could not be sent, on disk: a file for each request, whose name says of what time it is and how many samples it
//! holds, so that a start reads names and no content. A file appears whole, by its renaming, and goes when all of it has its
//! fate. When the budget is used up, the oldest go. Everything here waits for the disk: see [`super::disk`].

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError, remove_file, rename};
use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::load::Load;
use super::packet::{Packet, samples};
use super::record;
use crate::domain::time::Timestamp;

/// How the names of files end.
const END: &str = ".samples";

/// The file of whose lock one publisher owns all the others.
const LOCK: &str = "lock";

/// The file with what the publisher has seen last.
const MEMORY: &str = "last";

/// What is being written, and is nothing until it has its name.
const UNFINISHED: &str = "unfinished";

/// What a file takes on disk is a multiple of this.
const BLOCK_BYTES: u64 = 4_096;

/// The largest file that is read: a request with its values as text is far from it.
const FILE_BYTES_MAX: u64 = 16 * 1_024 * 1_024;

/// Where in the order of what waits a file stands: by its newest time, then by when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    newest: i64,
    number: u64,
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug)]
struct Kept {
    samples: u64,
    bytes: u64,
}

/// The files of one publisher.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    budget: u64,
    #[expect(dead_code, reason = "an open file is what holds the lock")]
    lock: File,
    waiting: BTreeMap<Place, Kept>,
    /// Read, and on their way.
    lent: BTreeMap<Place, Kept>,
    /// Those that could not be read. They are tried again when the directory is opened again.
    aside: BTreeMap<Place, Kept>,
    next: u64,
    losses: Losses,
}

/// What was lost since it was last told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// How many samples for want of room.
    pub crowded_out: u64,
    /// How many samples because their file cannot be believed.
    pub damaged: u64,
    /// What was wrong with each of those files.
    pub strange: Vec<String>,
}

impl Spool {
    /// Opens a directory, which is made for us alone where it is missing; nothing while another has it.
    pub fn open(directory: &Path, budget: u64) -> Result<Option<Self>> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let lock = ours().create(true).truncate(false).open(directory.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let (directory, losses) = (directory.to_owned(), Losses::default());
        let (waiting, lent, aside) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut spool = Self { directory, budget, lock, waiting, lent, aside, next: 0, losses };
        for entry in spool.directory.read_dir()? {
            let entry = entry?;
            let Some((place, samples)) = entry.file_name().to_str().and_then(parsed) else { continue };
            spool.next = spool.next.max(place.number.saturating_add(1));
            spool.waiting.insert(place, Kept { samples, bytes: on_disk(entry.metadata()?.len()) });
        }
        spool.make_room(0)?;
        Ok(Some(spool))
    }

    /// How many samples are on disk.
    pub fn samples(&self) -> u64 {
        self.all().map(|kept| kept.samples).sum()
    }

    fn all(&self) -> impl Iterator<Item = &Kept> {
        self.waiting.values().chain(self.lent.values()).chain(self.aside.values())
    }

    /// What was lost since this was asked.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// Whether something waits that is not on its way.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Puts a request on disk. When this returns without an error it survives the process, and the machine.
    pub fn put(&mut self, packets: &[Packet]) -> Result<()> {
        let text = record::write(packets)?;
        let bytes = on_disk(text.len() as u64);
        self.make_room(bytes)?;
        let newest = packets.iter().map(|packet| packet.at.timestamp()).max().unwrap_or_default();
        let (place, samples) = (Place { newest, number: self.next }, samples(packets));
        let path = self.path(place, samples);
        if let Err(error) = self.write(&path, &text) {
            // What has its name would be sent twice.
            remove_file(path).or_else(absent)?;
            return Err(error);
        }
        self.next += 1;
        self.waiting.insert(place, Kept { samples, bytes });
        Ok(())
    }

    /// Puts down what the publisher has seen last, in the place of what it had put down before.
    pub fn remember(&self, text: &str) -> Result<()> {
        self.write(&self.directory.join(MEMORY), text)
    }

    /// What was put down last; nothing where nothing was.
    pub fn remembered(&self) -> Result<Option<String>> {
        match File::open(self.directory.join(MEMORY)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            file => {
                let mut text = String::new();
                file?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
                Ok(Some(text))
            }
        }
    }

    /// Writes a file whole, or not at all.
    fn write(&self, path: &Path, text: &str) -> Result<()> {
        let unfinished = self.directory.join(UNFINISHED);
        let written = ours().create(true).truncate(true).open(&unfinished).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        if let Err(error) = written.and_then(|()| rename(&unfinished, path)) {
            // What a full disk took of it would keep the disk full.
            remove_file(unfinished).or_else(absent)?;
            return Err(error);
        }
        self.sync()
    }

    /// Reads one request, of the newest files; nothing where nothing waits.
    pub fn take(&mut self, now: Timestamp) -> Result<Option<Load>> {
        let mut load = Load::default();
        while let Some((place, kept)) = self.waiting.last_key_value().map(|(place, kept)| (*place, *kept)) {
            match self.read(place, kept) {
                Ok(Ok(packets)) => {
                    if !load.take(place, packets, now) {
                        break;
                    }
                    self.waiting.remove(&place);
                    self.lent.insert(place, kept);
                }
                Ok(Err(why)) => self.give_up(place, kept, &why),
                Err(error) if is_ours(&error) && load.places().is_empty() => return Err(error),
                Err(error) if is_ours(&error) => break,
                Err(error) => self.set_aside(place, kept, &error),
            }
        }
        Ok((!load.places().is_empty()).then_some(load))
    }

    /// Forgets a file that cannot be believed.
    fn give_up(&mut self, place: Place, kept: Kept, why: &str) {
        let path = self.path(place, kept.samples);
        let left = remove_file(&path).or_else(absent).err().map(|error| format!(", and it cannot be removed: {error}"));
        let left = left.unwrap_or_default();
        self.losses.strange.push(format!("{} samples of {} are lost: {why}{left}", kept.samples, path.display()));
        self.waiting.remove(&place);
        self.losses.damaged += kept.samples;
    }

    /// Steps over a file that cannot be read, so that it keeps no other.
    fn set_aside(&mut self, place: Place, kept: Kept, error: &Error) {
        let path = self.path(place, kept.samples);
        let told = format!("{} samples of {} wait for the next start: {error}", kept.samples, path.display());
        self.losses.strange.push(told);
        self.waiting.remove(&place);
        self.aside.insert(place, kept);
    }

    /// What was given waits again.
    pub fn take_back(&mut self, load: &Load) {
        for place in load.places() {
            if let Some(kept) = self.lent.remove(place) {
                self.waiting.insert(*place, kept);
            }
        }
    }

    /// Removes the files of what has its fate.
    pub fn settle(&mut self, load: &Load) -> Result<()> {
        let mut removed = Ok(());
        for place in load.places() {
            if let Some(kept) = self.lent.remove(place) {
                removed = remove_file(self.path(*place, kept.samples)).or_else(absent).and(removed);
            }
        }
        removed.and_then(|()| self.sync())
    }

    /// The packets of a file, or what is wrong with its content.
    fn read(&self, place: Place, kept: Kept) -> Result<std::result::Result<Vec<Packet>, String>> {
        let file = match File::open(self.path(place, kept.samples)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Err("it was removed".to_owned())),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|error| error.to_string());
        Ok(text.and_then(|text| record::read(&text)).and_then(|packets| match samples(&packets) {
            held if held == kept.samples => Ok(packets),
            held => Err(format!("it holds {held}")),
        }))
    }

    /// Drops the oldest until there is room for so many bytes more.
    fn make_room(&mut self, bytes: u64) -> Result<()> {
        let mut used = self.all().map(|kept| kept.bytes).sum::<u64>();
        while used + bytes > self.budget {
            let oldest = self.waiting.first_key_value().or_else(|| self.aside.first_key_value());
            let Some((place, kept)) = oldest.map(|(place, kept)| (*place, *kept)) else {
                return Err(ErrorKind::QuotaExceeded.into());
            };
            remove_file(self.path(place, kept.samples)).or_else(absent)?;
            self.waiting.remove(&place).or_else(|| self.aside.remove(&place));
            self.losses.crowded_out += kept.samples;
            used -= kept.bytes;
        }
        Ok(())
    }

    /// Makes names that came and went survive the machine.
    fn sync(&self) -> Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn path(&self, Place { newest, number }: Place, samples: u64) -> PathBuf {
        self.directory.join(format!("{newest}-{number:010}-{samples}{END}"))
    }
}

/// A file that only we may read.
fn ours() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Whether it is the process that can open nothing, and not the file that cannot be read.
fn is_ours(error: &Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM))
}

/// What somebody else has removed is removed.
fn absent(error: Error) -> Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES)
}

/// What the name of a file says.
fn parsed(name: &str) -> Option<(Place, u64)> {
    let mut parts = name.strip_suffix(END)?.split('-');
    let (newest, number, samples) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
    parts.next().is_none().then_some((Place { newest, number }, samples.parse().ok()?))
}

#[cfg(test)]
mod tests;
