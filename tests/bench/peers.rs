//! What a probe costs in CPU, over HTTP and over HTTPS with a full handshake: by the built daemon with scheduler and store,
//! by Debian's `prometheus-blackbox-exporter`, and by `wrk` with `Connection: close`, in turn, against one nginx on
//! loopback, in several turns: a shared machine is now quicker and now slower, and what is measured is the ratio within a
//! turn. Only what the process itself took counts, so the rest of the machine may be busy. Prints the middle one of the
//! ratios with the least and the most; asserts nothing of them. `PROBES` and `TLS_PROBES` (at `every 1s`), `TURNS` and
//! `SECONDS` change the size.
//!
//! Run it by `cargo bench --bench peers`; it needs Debian's nginx, wrk and prometheus-blackbox-exporter.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark prints, and ends where something is missing"
)]

use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use ::roundsman::clock::SystemClock;
use ::roundsman::ports::Clock as _;

#[path = "../real/servers/certificates.rs"]
#[expect(dead_code, reason = "the tests need more of it than this benchmark")]
mod certificates;
#[path = "../real/servers/nginx.rs"]
#[expect(dead_code, reason = "the tests need more of it than this benchmark")]
mod nginx;
#[expect(dead_code, reason = "the other benchmarks need more of it")]
mod process;
#[path = "../real/servers/roundsman.rs"]
#[expect(dead_code, reason = "the tests need more of it than this benchmark")]
mod roundsman;

use self::certificates::Authority;
use self::nginx::{Nginx, Site};
use self::process::{cpu_seconds, cpu_seconds_of_ended_children, number};
use self::roundsman::Daemon;

/// How long each of them warms up before it is measured.
const WARM_UP: Duration = Duration::from_secs(5);

/// How many probes `wrk` and the exporter have under way at once: enough that neither ever waits.
const CONCURRENCY: u32 = 16;

/// What one of them took for its probes.
#[derive(Clone, Copy, Default)]
struct Cost {
    probes: f64,
    cpu: f64,
    seconds: f64,
}

impl Cost {
    fn microseconds(&self) -> f64 {
        self.cpu / self.probes * 1e6
    }

    fn add(&mut self, other: &Self) {
        self.probes += other.probes;
        self.cpu += other.cpu;
        self.seconds += other.seconds;
    }
}

fn main() {
    let (turns, seconds) = (number("TURNS", 3).max(1), Duration::from_secs(number("SECONDS", 10)));
    let authority = Authority::new("bench");
    let identity = authority.issue(&["localhost", "127.0.0.1"], |_| {});
    // Whoever would resume a session makes a full handshake here like the others.
    let tls = Site {
        identity: Some(&identity),
        directives: "access_log off; ssl_session_cache off; ssl_session_tickets off;",
    };
    let plain = Site { identity: None, directives: "access_log off;" };
    let nginx = Nginx::start(&[plain, tls], &[("index.html", b"hello")]);
    println!("CPU for each probe, against nginx on loopback, {turns} turns of {} s each", seconds.as_secs());
    // As many as two cores take with nginx beside them.
    let (plain, tls) = (number("PROBES", 4_000), number("TLS_PROBES", 1_200));
    for (scheme, site, probes, goal) in [("http", 0, plain, 1.0 / 6.0), ("https", 1, tls, 1.0 / 3.0)] {
        let target = format!("{scheme}://127.0.0.1:{}/", nginx.port(site));
        let [mut ours, mut exporter, mut wrk] = [Cost::default(); 3];
        let mut of_each_turn = [Vec::new(), Vec::new()];
        for _ in 0..turns {
            let own = of_roundsman(&target, &authority.pem, probes, seconds);
            let theirs =
                [of_exporter(&target, &authority.pem, seconds), of_wrk(&target, &["-H", "Connection: close"], seconds)];
            for ((sum, ratios), cost) in [&mut exporter, &mut wrk].into_iter().zip(&mut of_each_turn).zip(&theirs) {
                sum.add(cost);
                ratios.push(own.microseconds() / cost.microseconds());
            }
            ours.add(&own);
        }
        println!("{scheme:<5}  {:<18} {}", "roundsman", told(&ours));
        let peers = [("blackbox_exporter", &exporter, Some(goal)), ("wrk, closing", &wrk, (site == 0).then_some(2.0))];
        for ((who, cost, goal), ratios) in peers.into_iter().zip(&mut of_each_turn) {
            ratios.sort_by(f64::total_cmp);
            let (least, middle, most) = (ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
            println!(
                "{scheme:<5}  {who:<18} {}  roundsman takes {middle:.3} of it ({least:.3} to {most:.3})",
                told(cost)
            );
            if let Some(goal) = goal {
                let met = if middle <= goal { "met" } else { "NOT met" };
                println!("{scheme:<5}  goal: at most {goal:.3} of {who}: {met}");
            }
        }
    }
}

fn told(cost: &Cost) -> String {
    format!("{:8.1} µs  {:8.0} probes/s", cost.microseconds(), cost.probes / cost.seconds)
}

fn of_roundsman(target: &str, authority: &str, probes: u64, seconds: Duration) -> Cost {
    let directory = tempfile::tempdir().expect("a directory");
    let each = (0..probes).fold(String::new(), |mut each, n| {
        let _ = write!(each, "n{n}: x, ");
        each
    });
    for folder in ["probes", "schedules"] {
        fs::create_dir(directory.path().join(folder)).expect("a directory");
    }
    let http = format!("{{ url: \"{target}\", ca: \"${{file:ca.pem}}\" }}");
    let files = [
        ("ca.pem", authority.to_owned()),
        ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN}\" }\npublish: { prometheus: {} }\n".to_owned()),
        ("probes/p.yaml", format!("many: {{ each: {{ {each} }}, http: {http} }}\n")),
        ("schedules/s.yaml", "often: { every: 1s, probes: [\"*\"] }\n".to_owned()),
    ];
    for (name, text) in files {
        fs::write(directory.path().join(name), text).expect("a file");
    }
    let daemon = Daemon::run(directory.path(), &[]);
    sleep(WARM_UP);
    let (from, cpu_before) = (now_us(), cpu_seconds(daemon.id()));
    sleep(seconds);
    let (until, cpu) = (now_us(), cpu_seconds(daemon.id()) - cpu_before);
    let (status, said) = daemon.terminate();
    assert!(status.success(), "{said}");
    let store = rusqlite::Connection::open(directory.path().join("state/roundsman.db")).expect("the store");
    let count = |verdict: &str| {
        let sql = format!("SELECT count(*) FROM runs WHERE started_at BETWEEN ?1 AND ?2 AND {verdict}");
        store.query_row(&sql, (from, until), |row| row.get::<_, f64>(0)).expect("the runs")
    };
    let (passed, others) = (count("verdict = 'passed'"), count("verdict <> 'passed'"));
    assert!(passed > 0.0, "no run passed");
    if others > 0.0 {
        println!("{others} of {} runs did not pass: the machine does not take so many", passed + others);
    }
    Cost { probes: passed, cpu, seconds: seconds.as_secs_f64() }
}

fn of_exporter(target: &str, authority: &str, seconds: Duration) -> Cost {
    let directory = tempfile::tempdir().expect("a directory");
    let (settings, ca) = (directory.path().join("blackbox.yml"), directory.path().join("ca.pem"));
    fs::write(&ca, authority).expect("a file");
    let module = format!(
        "modules: {{ http: {{ prober: http, timeout: 5s, http: {{ preferred_ip_protocol: ip4,
           tls_config: {{ ca_file: \"{}\" }} }} }} }}\n",
        ca.display()
    );
    fs::write(&settings, module).expect("a file");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let exporter = Killed(
        Command::new(installed("/usr/bin/prometheus-blackbox-exporter", "prometheus-blackbox-exporter"))
            .arg(format!("--config.file={}", settings.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .spawn()
            .expect("the exporter starts"),
    );
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        sleep(Duration::from_millis(20));
    }
    let page = format!("http://127.0.0.1:{port}/probe?module=http&target={target}");
    let _ = of_wrk(&page, &[], WARM_UP);
    let before = cpu_seconds(exporter.0.id());
    let driven = of_wrk(&page, &[], seconds);
    let cpu = cpu_seconds(exporter.0.id()) - before;
    let body = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async { reqwest::get(&page).await?.text().await })
        .expect("the page of the probe");
    assert!(body.contains("probe_success 1"), "{body}");
    Cost { cpu, ..driven }
}

/// Without a header that closes, `wrk` keeps its connections: so it drives the exporter.
fn of_wrk(url: &str, headers: &[&str], seconds: Duration) -> Cost {
    let before = cpu_seconds_of_ended_children();
    let output = Command::new(installed("/usr/bin/wrk", "wrk"))
        .args(["-t", "1", "-c", &CONCURRENCY.to_string(), "-d", &format!("{}s", seconds.as_secs())])
        .args(headers)
        .arg(url)
        .output()
        .expect("wrk starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("Non-2xx"), "{said}");
    let line = said.lines().find(|line| line.contains(" requests in ")).unwrap_or_else(|| panic!("{said}"));
    let probes = line.split_whitespace().next().and_then(|count| count.parse().ok()).expect("a number of requests");
    Cost { probes, cpu: cpu_seconds_of_ended_children() - before, seconds: seconds.as_secs_f64() }
}

fn installed<'a>(program: &'a str, package: &str) -> &'a str {
    assert!(Path::new(program).exists(), "this benchmark needs {package}: apt-get install {package}");
    program
}

fn now_us() -> i64 {
    SystemClock::start().now().timestamp_micros()
}

/// A child that does not outlive the benchmark.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
