//! How far first-byte times are off: 2,000 probes a second on one core, which something else keeps busy as well, against
//! nginx on loopback. The truth is what `tcpdump` saw: from the request's packet to the answer's first. Prints the error of
//! what probes say, and of what a clock read after the fact would have said; asserts nothing of them. `RATE`, `SECONDS` and
//! `BUSY` (how many others want the core, 1) change what is measured.
//!
//! Run it as root by `cargo bench --bench wire`; it needs nginx, tcpdump and taskset.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark prints, and ends where something is missing"
)]

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use roundsman::clock::SystemClock;
use roundsman::domain::names::{CaptureName, SecretName};
use roundsman::domain::outcome::{Phases, RunId};
use roundsman::engine::pulses::Pulses;
use roundsman::ports::{Building, Clock, Prober, Recorder, SecretError, Secrets, Session, StepContext};
use roundsman::probers::KINDS;
use roundsman::settings::{Problems, Source, parse};
use secrecy::SecretString;

#[path = "../real/servers/certificates.rs"]
#[expect(dead_code, reason = "the tests need certificates, this benchmark only the type")]
mod certificates;
#[path = "../real/servers/nginx.rs"]
#[expect(dead_code, reason = "the tests need more of it than this benchmark")]
mod nginx;
#[expect(dead_code, reason = "the other benchmarks need more of it")]
mod process;

use self::nginx::{Nginx, Site};
use self::process::number;

/// The core of the probes.
const CORE: &str = "0";

/// How long a probe may take.
const TIMEOUT: Duration = Duration::from_secs(5);

fn main() {
    let (rate, seconds, busy) = (number("RATE", 2_000), number("SECONDS", 12), number("BUSY", 1));
    let site = Site { identity: None, directives: "access_log off; location / { return 200 hello; }" };
    let nginx = Nginx::start(&[site], &[]);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("wire.pcap");
    let capture = Capture::start(nginx.port(0), &file);
    // Only what comes from here on is on that core: nginx and the capture have the others.
    pin(std::process::id());
    let others: Vec<_> = (0..busy).map(|_| busy_loop()).collect();
    let said = probe(nginx.port(0), rate, seconds);
    drop(others);
    capture.end();

    let truth = first_bytes(&std::fs::read(&file).expect("the capture"), nginx.port(0));
    let both: Vec<_> = said.iter().filter_map(|(id, phases)| Some((*truth.get(id)?, *phases))).collect();
    let told = |part: Option<f64>| part.expect("a part of a probe that passed");
    let error = |said: &dyn Fn(&Phases) -> f64| {
        let mut errors: Vec<f64> = both.iter().map(|(truth, phases)| (said(phases) - truth).abs()).collect();
        errors.sort_by(f64::total_cmp);
        let at = |thousandths: usize| errors[(errors.len() - 1) * thousandths / 1_000];
        format!("p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, max {:.3} ms", at(500), at(990), at(999), at(1_000))
    };
    println!("{rate} probes/s for {seconds} s on one core with {busy} others on it; {} seen on the wire", both.len());
    println!("error of first_byte_ms:        {}", error(&|phases| told(phases.first_byte_ms)));
    // The answer is one packet, so its last byte is read with its first: this is when we were let to read a clock.
    let late = |phases: &Phases| told(phases.first_byte_ms) + told(phases.transfer_ms);
    println!("error of a clock in user space: {}", error(&late));
    let within = both.iter().filter(|(truth, phases)| {
        // A tenth of a millisecond is what the two captures of one packet may be apart.
        (told(phases.first_byte_ms) - truth).abs() <= told(phases.first_byte_error_ms) + 0.1
    });
    println!(
        "within the error that the probe itself names: {:.3} %",
        within.count() as f64 / both.len() as f64 * 100.0
    );
}

/// No probe here has a secret.
struct NoSecrets;

impl Secrets for NoSecrets {
    fn resolve<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        Box::pin(std::future::ready(Err(SecretError {
            name: name.clone(),
            reason: "there is none".to_owned(),
            passes: false,
        })))
    }
    fn redact(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// Probes at an even pace, each with a path of its own, by which the wire knows it; gives what each says.
fn probe(port: u16, rate: u64, seconds: u64) -> HashMap<u64, Phases> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let prober = built(&format!("url: \"http://127.0.0.1:{port}/{{{{n}}}}\""), &clock);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (mut under_way, mut said) = (FuturesUnordered::new(), HashMap::new());
        let (began, mut next) = (clock.monotonic(), 0);
        while next < rate * seconds || !under_way.is_empty() {
            let due = began + Duration::from_micros(next * 1_000_000 / rate);
            tokio::select! {
                Some((id, phases)) = under_way.next(), if !under_way.is_empty() => { said.insert(id, phases); }
                () = clock.sleep_until(due), if next < rate * seconds => {
                    under_way.push(one(&*prober, &*clock, next));
                    next += 1;
                }
            }
        }
        said
    })
}

async fn one(prober: &dyn Prober, clock: &dyn Clock, id: u64) -> (u64, Phases) {
    let captures = BTreeMap::from([(CaptureName::parse("n").expect("a name"), format!("n{id}"))]);
    let (run, session, recorder) = (RunId(Arc::from("bench")), Session::default(), Recorder::default());
    let context = StepContext {
        clock,
        deadline: clock.monotonic() + TIMEOUT,
        run: &run,
        captures: &captures,
        secrets: &NoSecrets,
        session: &session,
        recorder: &recorder,
    };
    let seen = prober.probe(&context).await.unwrap_or_else(|failure| panic!("{failure}"));
    (id, seen.phases)
}

fn built(settings: &str, clock: &Arc<dyn Clock>) -> Arc<dyn Prober> {
    let mut problems = Problems::new();
    let node = parse(Source::new("bench.yaml", settings), &mut problems).expect("settings");
    let building = Building {
        secrets: Arc::new(NoSecrets),
        http: reqwest::Client::new(),
        clock: Arc::clone(clock),
        cleanup: false,
        site: "bench".to_owned(),
        location: Arc::from("here"),
        directory: Arc::from(Path::new(".")),
        pings: Arc::new(Pulses::default()),
    };
    let kind = KINDS.iter().find(|kind| kind.name == "http").expect("the kind");
    let built = (kind.build)(&node, &building, &mut problems);
    built.unwrap_or_else(|| panic!("{}", problems.render(false))).prober
}

/// Who came before stays where it is; whoever is started from here on is on that core too.
fn pin(process: u32) {
    let status = Command::new("taskset").args(["-pc", CORE, &process.to_string()]).stdout(Stdio::null()).status();
    assert!(status.expect("taskset is there").success(), "this benchmark needs taskset: apt-get install util-linux");
}

/// A child that does not outlive the benchmark.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Somebody else on the core.
fn busy_loop() -> Killed {
    Killed(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell"))
}

/// What goes over the wire, written to a file.
struct Capture {
    tcpdump: Killed,
    /// Somebody must hear how it ended, or it ends before the file is whole.
    _said: Lines<BufReader<ChildStderr>>,
}

impl Capture {
    fn start(port: u16, file: &Path) -> Self {
        const PROGRAM: &str = "/usr/bin/tcpdump";
        assert!(Path::new(PROGRAM).exists(), "this benchmark needs tcpdump: apt-get install tcpdump");
        let mut child = Command::new(PROGRAM)
            .args(["-i", "lo", "--time-stamp-precision=nano", "-s", "160", "-B", "65536", "-Z", "root", "-w"])
            .arg(file)
            .arg(format!("tcp port {port}"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump starts");
        let mut said = BufReader::new(child.stderr.take().expect("standard error is piped")).lines();
        let begins = said.find(|line| line.as_ref().is_ok_and(|line| line.contains("listening on")));
        assert!(begins.is_some(), "tcpdump needs root to see the wire");
        Self { tcpdump: Killed(child), _said: said }
    }

    /// What is in the kernel's buffer is written too.
    fn end(mut self) {
        std::thread::sleep(Duration::from_secs(1));
        let status = Command::new("kill").args(["-TERM", &self.tcpdump.0.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
        self.tcpdump.0.wait().expect("it is our child");
    }
}

/// For each request that names its number in its path: milliseconds from its last packet to the answer's first.
///
/// The file is that of pcap (draft-ietf-opsawg-pcap), little-endian with nanoseconds, of Ethernet frames with IPv4.
fn first_bytes(file: &[u8], port: u16) -> HashMap<u64, f64> {
    assert_eq!(file[..4], 0xa1b2_3c4d_u32.to_le_bytes(), "a capture with nanoseconds");
    let mut truth = HashMap::new();
    // By the client's port: the number of the request that waits for its answer, and when it was sent.
    let mut waiting: HashMap<u16, (u64, f64)> = HashMap::new();
    let word = |at: usize| file.get(at..at + 4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()));
    let mut at = 24;
    while let (Some(seconds), Some(nanoseconds), Some(length)) = (word(at), word(at + 4), word(at + 8)) {
        let Some(frame) = file.get(at + 16..at + 16 + length as usize) else { break };
        at += 16 + length as usize;
        let ms = f64::from(seconds % 100_000) * 1e3 + f64::from(nanoseconds) / 1e6;
        let Some((from, to, payload)) = segment(frame).filter(|(.., payload)| !payload.is_empty()) else { continue };
        if to == port {
            if let Some(id) = number_of(payload) {
                waiting.insert(from, (id, ms));
            }
        } else if let Some((id, sent)) = waiting.remove(&to) {
            truth.insert(id, ms - sent);
        }
    }
    truth
}

/// The ports and the payload of a frame of Ethernet with IPv4 and TCP.
fn segment(frame: &[u8]) -> Option<(u16, u16, &[u8])> {
    let ip = frame.get(14..)?;
    let tcp = ip.get(usize::from(ip[0] & 0x0f) * 4..)?;
    let port = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
    let payload = tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)?;
    Some((port(0)?, port(2)?, payload))
}

/// The number in `GET /n123 HTTP/1.1`.
fn number_of(request: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(request.split(|byte| *byte == b' ').nth(1)?).ok()?;
    line.strip_prefix("/n")?.parse().ok()
}
