//! Debian's Prometheus as a child process, which reads what we show.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PROGRAM: &str = "/usr/bin/prometheus";

/// How often it is asked for what must come.
const ASKED_MAX: usize = 600;

/// How long to wait between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// A Prometheus that reads `/metrics` of its targets every second.
pub struct Prometheus {
    child: Child,
    port: u16,
    runtime: Runtime,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts one on a free port.
    pub fn start(targets: &[SocketAddr]) -> Self {
        assert!(Path::new(PROGRAM).exists(), "this test needs Prometheus: apt-get install prometheus");
        let directory = tempfile::tempdir().expect("a directory");
        let targets: Vec<_> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let configuration = format!(
            "global: {{ scrape_interval: 1s }}\n\
             scrape_configs:\n  - job_name: roundsman\n    static_configs: [{{ targets: [{}] }}]\n",
            targets.join(", ")
        );
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, configuration).expect("a file");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let child = Command::new(PROGRAM)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .spawn()
            .expect("Prometheus starts");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { child, port, runtime, _directory: directory }
    }

    /// The answer to a query: the labels of each series and its value.
    pub fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let encoded = percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
        let url = format!("http://127.0.0.1:{}/api/v1/query?query={encoded}", self.port);
        let ask = async {
            let client = reqwest::Client::builder().no_proxy().build()?;
            client.get(url).send().await?.json::<Value>().await
        };
        // Until it listens there is no answer, which is the same as none yet.
        let answer = self.runtime.block_on(ask).unwrap_or_default();
        let found = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str().and_then(|text| text.parse().ok());
        found.iter().filter_map(|series| Some((series["metric"].clone(), value(series)?))).collect()
    }

    /// Asks until there is an answer.
    pub fn wait_for(&self, query: &str) -> Vec<(Value, f64)> {
        for _ in 0..ASKED_MAX {
            let found = self.query(query);
            if !found.is_empty() {
                return found;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("Prometheus has no answer to `{query}`; it knows {:?}", self.query("{__name__=~\"probe_.*|up\"}"));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
