//! Chains that were verified before. Whether the signatures of the same bytes lead to the same roots, and the same name is
//! among theirs, is arithmetic that comes out the same each time, and the dearest part of a handshake on our side; whether
//! the time is right is asked anew each time. What a server shows otherwise than before is verified as if for the first time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use super::certificates::Chain;
use crate::domain::time::Timestamp;

/// How many chains are remembered; when there are more all are forgotten, and verified once more.
const CHAINS_MAX: usize = 16_384;

/// A chain as it was shown under a name to somebody who trusts certain roots.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shown([u8; 32]);

impl Shown {
    /// What was shown. `trusted` tells roots apart.
    pub fn new(sent: &[CertificateDer<'_>], name: &str, trusted: &str) -> Self {
        let mut hash = Sha256::new();
        for part in sent.iter().map(AsRef::as_ref).chain([name.as_bytes(), trusted.as_bytes()]) {
            // With its length before it, no part can be taken for the beginning of another.
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// The chains, and from when until when all certificates of each are valid.
#[derive(Default)]
pub struct Proven(Mutex<Option<HashMap<Shown, (Timestamp, Timestamp)>>>);

impl Proven {
    /// None yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<Shown, (Timestamp, Timestamp)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was verified before and the time is right for all of it.
    pub fn holds(&self, shown: Shown, now: Timestamp) -> bool {
        self.lock()
            .as_ref()
            .and_then(|chains| chains.get(&shown))
            .is_some_and(|(from, until)| (*from..=*until).contains(&now))
    }

    /// Remembers a chain that was verified just now; one that cannot be read whole is verified each time.
    pub fn remember(&self, shown: Shown, sent: &[CertificateDer<'_>]) {
        let Some(chain) = Chain::read(sent).ok().filter(|chain| chain.others.len() + 1 == sent.len()) else { return };
        let from = chain.others.iter().map(|other| other.not_before).fold(chain.leaf.not_before, Timestamp::max);
        let mut lock = self.lock();
        let chains = lock.get_or_insert_default();
        if chains.len() >= CHAINS_MAX {
            chains.clear();
        }
        chains.insert(shown, (from, chain.expires()));
    }
}
