//! One hostile target, and a probe of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roundsman::domain::expression::Expression;
use roundsman::domain::outcome::{Failure, FailureKind};
use roundsman::engine::facts::Facts;
use roundsman::ports::Prober;
use roundsman::probers::KINDS;

use crate::probing::{Run, build, now};
use crate::servers::hostile::{Hostile, Move};

/// A step that keeps its deadline names the part it was in; one that does not is ended from outside after this.
pub const OVERTIME: Duration = Duration::from_millis(250);

/// A row of the table.
pub struct Row {
    /// What the peer does.
    pub peer: &'static str,
    /// Its moves on every connection.
    pub script: Vec<Move>,
    /// The kind of the step.
    pub kind: &'static str,
    /// Its settings, with `PEER` where the peer's address stands.
    pub settings: &'static str,
    /// What is expected of the body, where the answer itself is well-formed.
    pub expect: Option<&'static str>,
    /// The budget of the step.
    pub budget: Duration,
    /// How the step ends: well, or with this failure.
    pub ends: Result<(), FailureKind>,
    /// What the failure says, at least.
    pub says: &'static str,
}

impl Row {
    /// A peer and what is said of it. Who is not silent ends long before the budget does.
    pub fn new(peer: &'static str, script: Vec<Move>, failure: FailureKind) -> Self {
        Self {
            peer,
            script,
            kind: "http",
            settings: "url: \"http://PEER/\"",
            expect: None,
            budget: Duration::from_secs(10),
            ends: Err(failure),
            says: "",
        }
    }

    /// One that reads the request, sends this and closes.
    pub fn sends(peer: &'static str, answer: impl AsRef<[u8]>, failure: FailureKind) -> Self {
        Self::new(peer, vec![Move::ReadHead, Move::Send(answer.as_ref().to_vec())], failure)
    }

    /// A good answer with this body, of which that is expected.
    pub fn serves(peer: &'static str, body: impl AsRef<[u8]>, expect: &'static str) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let row = Self::sends(peer, [head.as_bytes(), body].concat(), FailureKind::Expect);
        Self { expect: Some(expect), ..row }
    }

    /// Probed over TLS, by the kind `tls` or by `http`.
    pub fn over_tls(self, kind: &'static str) -> Self {
        let settings = if kind == "tls" { "address: \"PEER\"" } else { "url: \"https://PEER/\"" };
        Self { kind, settings, ..self }
    }

    /// With a short budget, because it ends with that.
    pub fn within(self, milliseconds: u64) -> Self {
        Self { budget: Duration::from_millis(milliseconds), ..self }
    }

    /// With these words.
    pub fn saying(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    /// Strange, and yet right.
    pub fn well(self) -> Self {
        Self { ends: Ok(()), ..self }
    }

    /// Starts the peer, with the prober that meets it.
    pub async fn start(&self) -> (Hostile, Arc<dyn Prober>) {
        let peer = Hostile::playing(self.script.clone()).await;
        let settings = self.settings.replace("PEER", &peer.address.to_string());
        let built = build(self.kind, &settings).unwrap_or_else(|problems| panic!("{problems}"));
        (peer, built.prober)
    }

    /// Probes the peer once, and says how it ended and after what time.
    pub async fn probe(&self, prober: &dyn Prober) -> (Result<(), Failure>, Duration) {
        let began = now();
        let seen = Run::within(u64::try_from(self.budget.as_millis()).unwrap()).perform(prober).await.0;
        let ended = seen.and_then(|seen| {
            let Some(expect) = self.expect else { return Ok(()) };
            let kind = KINDS.iter().find(|kind| kind.name == self.kind).unwrap();
            let (captures, each) = (BTreeMap::new(), serde_json::Value::Null);
            let expression = Expression::compile(expect, &(kind.names)()).unwrap();
            expression.assert(&Facts::of(&seen, &captures, &each)).map_err(Failure::of_assertion)
        });
        (ended, now().since(began))
    }

    /// Whether it ended as the table says.
    pub fn judge(&self, ended: &Result<(), Failure>) -> Result<(), String> {
        let kind = ended.as_ref().map(|&()| ()).map_err(|failure| failure.kind);
        let told = ended.as_ref().err().map(ToString::to_string).unwrap_or_default();
        if kind == self.ends && told.contains(self.says) {
            return Ok(());
        }
        Err(format!("{} ({}): expected {:?} {:?}, was {kind:?} {told:?}", self.peer, self.kind, self.ends, self.says))
    }
}
