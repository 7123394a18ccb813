//! One hostile target, and a probe of it.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::{FutureExt as _, LocalBoxFuture};
use roundsman::domain::expression::Expression;
use roundsman::domain::outcome::{Failure, FailureKind};
use roundsman::engine::facts::Facts;
use roundsman::ports::Prober;
use roundsman::probers::KINDS;

use crate::probing::{Run, build, now};
use crate::servers::hostile::{Hostile, Move};

/// A step that keeps its deadline names the part it was in; one that does not is ended from outside after this.
pub const OVERTIME: Duration = Duration::from_millis(250);

/// A byte so often that each wait is short and all of them together are longer than any budget.
pub const NOW_AND_THEN: Duration = Duration::from_millis(40);

/// A peer, as long as it is there.
pub struct Peer {
    address: String,
    _guard: Box<dyn Any>,
}

impl Peer {
    /// One that is gone when its guard is dropped.
    pub fn new(address: impl Display, guard: impl Any) -> Self {
        Self { address: address.to_string(), _guard: Box::new(guard) }
    }
}

/// A row of the table.
pub struct Row {
    /// What the peer does.
    pub peer: &'static str,
    starts: Box<dyn Fn() -> LocalBoxFuture<'static, Peer>>,
    /// The kind of the step.
    pub kind: &'static str,
    /// Its settings, with `PEER` where the peer's address stands, or `PORT`.
    settings: String,
    /// What is expected of what is seen, where the answer itself is well-formed.
    expect: Option<&'static str>,
    /// The budget of the step.
    pub budget: Duration,
    /// How the step ends: well, or with this failure.
    ends: Result<(), FailureKind>,
    /// What the failure says, at least.
    says: &'static str,
    /// Whether the failure says when the certificate ends.
    tells_end: bool,
    /// One of so many probes is made, where each costs us both much work.
    pub share: usize,
}

impl Row {
    /// A peer that is started so, and what is said of it. Who is not silent ends long before the budget does.
    pub fn against<F: Future<Output = Peer> + 'static>(
        peer: &'static str,
        starts: impl Fn() -> F + 'static,
        failure: FailureKind,
    ) -> Self {
        Self {
            peer,
            starts: Box::new(move || starts().boxed_local()),
            kind: "http",
            settings: "url: \"http://PEER/\"".to_owned(),
            expect: None,
            budget: Duration::from_secs(10),
            ends: Err(failure),
            says: "",
            tells_end: false,
            share: 1,
        }
    }

    /// A peer that plays this on every connection.
    pub fn new(peer: &'static str, script: Vec<Move>, failure: FailureKind) -> Self {
        let starts = move || {
            let script = script.clone();
            async {
                let peer = Hostile::playing(script).await;
                Peer::new(peer.address, peer)
            }
        };
        Self::against(peer, starts, failure)
    }

    /// One that reads the request, sends this and closes.
    pub fn sends(peer: &'static str, answer: impl AsRef<[u8]>, failure: FailureKind) -> Self {
        Self::new(peer, vec![Move::ReadHead, Move::Send(answer.as_ref().to_vec())], failure)
    }

    /// A good answer with this body, of which that is expected.
    pub fn serves(peer: &'static str, body: impl AsRef<[u8]>, expect: &'static str) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        Self::sends(peer, [head.as_bytes(), body].concat(), FailureKind::Expect).expecting(expect)
    }

    /// Probed by this kind with these settings.
    pub fn probed_by(self, kind: &'static str, settings: impl Into<String>) -> Self {
        Self { kind, settings: settings.into(), ..self }
    }

    /// Of which that is expected.
    pub fn expecting(self, expect: &'static str) -> Self {
        Self { expect: Some(expect), ..self }
    }

    /// Probed over TLS, by the kind `tls` or by `http`.
    pub fn over_tls(self, kind: &'static str) -> Self {
        self.probed_by(kind, if kind == "tls" { "address: \"PEER\"" } else { "url: \"https://PEER/\"" })
    }

    /// With a short budget, because it ends with that.
    pub fn within(self, milliseconds: u64) -> Self {
        Self { budget: Duration::from_millis(milliseconds), ..self }
    }

    /// With these words.
    pub fn saying(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    /// And with the end of the certificate.
    pub fn telling_its_end(self) -> Self {
        Self { tells_end: true, ..self }
    }

    /// Strange, and yet right.
    pub fn well(self) -> Self {
        Self { ends: Ok(()), ..self }
    }

    /// So much work for both sides that it is probed less often.
    pub fn at_length(self) -> Self {
        Self { share: 10, budget: Duration::from_secs(60), ..self }
    }

    /// Starts the peer, with the prober that meets it.
    pub async fn start(&self) -> (Peer, Arc<dyn Prober>) {
        let peer = (self.starts)().await;
        let port = peer.address.rsplit(':').next().unwrap();
        let settings = self.settings.replace("PEER", &peer.address).replace("PORT", port);
        let built = build(self.kind, &settings).unwrap_or_else(|problems| panic!("{}: {problems}", self.peer));
        (peer, built.prober)
    }

    /// Probes the peer once, and says how it ended and after what time. The capture `turn` is another one each time.
    pub async fn probe(&self, prober: &dyn Prober) -> (Result<(), Failure>, Duration) {
        static TURN: AtomicUsize = AtomicUsize::new(0);
        let turn = TURN.fetch_add(1, Ordering::Relaxed).to_string();
        let run = Run::within(u64::try_from(self.budget.as_millis()).unwrap()).captured("turn", &turn);
        let began = now();
        let seen = run.perform(prober).await.0;
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
        let tells_end = ended.as_ref().is_err_and(|failure| failure.certificate_expires.is_some());
        if kind == self.ends && told.contains(self.says) && (tells_end || !self.tells_end) {
            return Ok(());
        }
        let Self { peer, kind: of, ends, says, tells_end: must_tell, .. } = self;
        let end = if *must_tell { " with the certificate's end" } else { "" };
        Err(format!("{peer} ({of}): expected {ends:?} {says:?}{end}, was {kind:?} {told:?} ({tells_end})"))
    }
}
