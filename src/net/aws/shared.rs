//! One [`Aws`] for all probers of the process that are in one region: a machine's credentials are the process's own, and
//! looking for them costs seconds where they are not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Access, Aws};

/// By region; those that are configured, so they are few.
static SHARED: Mutex<BTreeMap<Option<String>, Arc<Aws>>> = Mutex::new(BTreeMap::new());

impl Aws {
    /// The one of a region, or of that of the machine.
    pub fn shared(region: Option<&str>) -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Self::new(Access { region: region.map(str::to_owned), ..Access::default() }));
        Arc::clone(shared.entry(region.map(str::to_owned)).or_insert_with(make))
    }
}
