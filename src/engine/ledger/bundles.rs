//! What bad runs left, with the incidents of which they speak.

use std::sync::Arc;

use super::Ledger;
use crate::domain::exchange::Bundle;
use crate::domain::judge::Aspect;
use crate::domain::outcome::Run;
use crate::ports::{Commit, KeptBundle};

impl Ledger {
    /// Keeps what a run left, with the incident that it speaks of.
    pub(super) fn keep(&self, bundle: Option<Arc<Bundle>>, run: &Run, commit: &mut Commit) {
        let Some(bundle) = bundle else { return };
        let of_aspect = |aspect: &Aspect| {
            let open = self.open.get(&(run.probe.clone(), *aspect));
            open.filter(|_| aspect.bad(&run.verdict) == Some(true)).map(|incident| incident.id.clone())
        };
        commit.bundles.push(KeptBundle {
            run: run.id.clone(),
            probe: run.probe.clone(),
            started_at: run.started_at,
            incident: Aspect::ALL.iter().find_map(of_aspect),
            bundle,
        });
    }
}
