//! A bench on which a prober of kind `http` meets a peer that answers with the bytes at hand. Built once in a thread, since
//! a fuzzer meets it some thousand times a second.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, select};
use roundsman::clock::SystemClock;
use roundsman::domain::names::{CaptureName, SecretName};
use roundsman::domain::outcome::{Failure, FailureKind, Observation, RunId};
use roundsman::engine::pulses::Pulses;
use roundsman::ports::{Building, Clock, Prober, Recorder, SecretError, Secrets, Session, StepContext};
use roundsman::probers::KINDS;
use roundsman::settings::{Problems, Source, parse};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// How long a step may take. A peer that has said all it has to say closes, so nothing ever waits for this.
const BUDGET: Duration = Duration::from_secs(4);

/// What was sent to the peer, and what the prober made of its answer.
pub struct Met {
    /// The request, as it came.
    pub request: Vec<u8>,
    /// The observation, or how the step failed.
    pub seen: Result<Observation, Failure>,
}

struct Bench {
    runtime: Runtime,
    listener: TcpListener,
    clock: Arc<SystemClock>,
    http: reqwest::Client,
    probers: RefCell<HashMap<String, Arc<dyn Prober>>>,
}

struct NoSecrets;

impl Secrets for NoSecrets {
    fn resolve<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        let error = SecretError { name: name.clone(), reason: "there are none here".to_owned(), passes: false };
        Box::pin(std::future::ready(Err(error)))
    }
    fn redact(&self, text: &str) -> String {
        text.to_owned()
    }
}

thread_local! {
    static BENCH: Bench = Bench::new();
}

/// Performs the step of these settings, in which `HOST` stands for the peer, with `x` captured before. The peer gives what
/// `answer` makes of the request, `step` bytes at a time, and closes.
pub fn meet(settings: &str, x: &str, step: usize, answer: impl Fn(&[u8]) -> Vec<u8>) -> Met {
    BENCH.with(|bench| bench.meet(settings, x, step, answer))
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        Self {
            runtime,
            listener,
            clock: Arc::new(SystemClock::start()),
            http: reqwest::Client::new(),
            probers: RefCell::default(),
        }
    }

    fn meet(&self, settings: &str, x: &str, step: usize, answer: impl Fn(&[u8]) -> Vec<u8>) -> Met {
        let prober = self.prober(settings);
        let captures = BTreeMap::from([(CaptureName::parse("x").unwrap(), x.to_owned())]);
        let (session, recorder, run) = (Session::default(), Recorder::default(), RunId(Arc::from("01RUN")));
        let cx = StepContext {
            clock: self.clock.as_ref(),
            deadline: self.clock.monotonic() + BUDGET,
            run: &run,
            captures: &captures,
            secrets: &NoSecrets,
            session: &session,
            recorder: &recorder,
        };
        let mut request = Vec::new();
        let seen = self.runtime.block_on(async {
            let peer = pin!(serve(&self.listener, step, &answer, &mut request));
            match select(prober.probe(&cx), peer).await {
                Either::Left((seen, _)) => seen,
                Either::Right((never, _)) => match never {},
            }
        });
        let late = seen.as_ref().is_err_and(|failure| failure.kind.as_str().starts_with("timeout"));
        assert!(!late, "the peer closed, and the prober waited on: {seen:?}");
        // What was exchanged is text for people, whatever the bytes were.
        recorder.exchanges();
        Met { request, seen }
    }

    fn prober(&self, settings: &str) -> Arc<dyn Prober> {
        if let Some(prober) = self.probers.borrow().get(settings) {
            return Arc::clone(prober);
        }
        let kind = KINDS.iter().find(|kind| kind.name == "http").unwrap();
        let clock: Arc<dyn Clock> = self.clock.clone();
        let building = Building {
            secrets: Arc::new(NoSecrets),
            http: self.http.clone(),
            clock,
            cleanup: false,
            site: "test".to_owned(),
            location: Arc::from("here"),
            directory: Arc::from(std::path::Path::new(".")),
            pings: Arc::new(Pulses::default()),
        };
        let host = self.listener.local_addr().unwrap().to_string();
        let mut problems = Problems::new();
        let source = Source::new("probes/a.yaml", settings.replace("HOST", &host));
        let node = parse(source, &mut problems).unwrap();
        let built = (kind.build)(&node, &building, &mut problems);
        let prober = built.unwrap_or_else(|| panic!("{}", problems.render(false))).prober;
        self.probers.borrow_mut().insert(settings.to_owned(), Arc::clone(&prober));
        prober
    }
}

/// Answers until it is dropped: the prober may have left a connection before it was accepted, and may make a second one.
async fn serve(
    listener: &TcpListener,
    step: usize,
    answer: &impl Fn(&[u8]) -> Vec<u8>,
    request: &mut Vec<u8>,
) -> std::convert::Infallible {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let Some(read) = read(&mut stream).await else { continue };
        let answer = answer(&read);
        *request = read;
        for piece in answer.chunks(step.max(1)) {
            if stream.write_all(piece).await.is_err() {
                break;
            }
            // Each piece is a read of its own.
            tokio::task::yield_now().await;
        }
        let _ = stream.shutdown().await;
        // A connection that is dropped with something unread is reset, which is another answer.
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
    }
}

/// One request, head and body; none where the connection was left before it was whole.
async fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(bytes);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// A failure of the target, which may be anything but a fault of ours.
pub fn is_a_targets(failure: &Failure) {
    assert!(!failure.kind.is_ours() || failure.kind == FailureKind::LocalResources, "our own fault: {failure}");
}
