//! The dumps of the shop's database, as a nightly job leaves them: a file, and its checksum beside it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest as _, Sha256};

use crate::domain::text::hex;
use crate::domain::time::Timestamp;
use crate::engine::runner::new_id;

/// A directory of dumps, which is gone when this is dropped.
pub struct Dumps(PathBuf);

impl Dumps {
    /// The dump of last night.
    pub fn make(now: Timestamp) -> io::Result<Self> {
        let dumps = Self(std::env::temp_dir().join(format!("roundsman-demo-{}", new_id(now))));
        fs::create_dir(&dumps.0)?;
        let name = format!("shop-{}.dump", now.format("%Y-%m-%d"));
        let users: Vec<String> = (0..1_204).map(|user| format!("{user}\tuser-{user}\n")).collect();
        let dump = format!("COPY users (id, name) FROM stdin;\n{}\\.\n", users.concat());
        let digest = hex(&Sha256::digest(&dump));
        fs::write(dumps.0.join(&name), dump)?;
        fs::write(dumps.0.join(format!("{name}.sha256")), format!("{digest}  {name}\n"))?;
        Ok(dumps)
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dumps {
    fn drop(&mut self) {
        // What cannot be removed is a demo's, in a place that is emptied anyway.
        let _ = fs::remove_dir_all(&self.0);
    }
}
