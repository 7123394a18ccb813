//! The built binary, started as a user would start it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long a line may take that must come.
const LINE_MAX: Duration = Duration::from_secs(60);

/// A command of the binary in an environment of its own: nothing of this machine's AWS or Roundsman settings leaks in.
pub fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundsman"));
    let ours = [
        "AWS_",
        "ROUNDSMAN_",
        "API_",
        "SHOP",
        "DNS_",
        "PAGER_",
        "STATE_",
        "LOCATION",
        "RDAP_",
        "http_proxy",
        "HTTP_PROXY",
    ];
    for (name, _) in std::env::vars().filter(|(name, _)| ours.iter().any(|prefix| name.starts_with(prefix))) {
        command.env_remove(name);
    }
    // Instance metadata is no address of this machine.
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn output(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(arguments, environment).output().expect("the binary starts")
}

#[derive(Default)]
struct Lines {
    seen: Mutex<(Vec<String>, bool)>,
    news: Condvar,
}

/// A daemon that runs until it is dropped.
pub struct Daemon {
    child: Child,
    lines: Arc<Lines>,
    /// Where its page is.
    pub address: SocketAddr,
}

impl Daemon {
    /// Starts `run` on a configuration and waits until it makes its rounds.
    pub fn run(config: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start(&["run", "--config", config.to_str().expect("a path in UTF-8")], environment)
    }

    /// Starts a command that ends in the daemon. The page listens at a port of its own.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let environment: BTreeMap<_, _> =
            [("ROUNDSMAN_LISTEN", "127.0.0.1:0")].into_iter().chain(environment.iter().copied()).collect();
        let environment: Vec<_> = environment.into_iter().collect();
        let mut child = command(arguments, &environment)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let lines = Arc::new(Lines::default());
        let output: Box<dyn Read + Send> = Box::new(child.stdout.take().expect("standard output is piped"));
        let errors: Box<dyn Read + Send> = Box::new(child.stderr.take().expect("standard error is piped"));
        collect(output, Arc::clone(&lines), false);
        collect(errors, Arc::clone(&lines), true);
        let mut daemon = Self { child, lines, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let line = daemon.wait_for("the page is at http://");
        let address = line.split("the page is at http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        daemon.address = address.expect("an address").parse().expect("an address");
        daemon
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that contains a text, from the first line on.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_for_count(text, 1)
    }

    /// Waits until so many lines contain a text, and gives the last of them.
    pub fn wait_for_count(&self, text: &str, count: usize) -> String {
        let found = |lines: &[String]| lines.iter().filter(|line| line.contains(text)).nth(count - 1).cloned();
        let seen = self.lines.seen.lock().expect("no reader panics");
        let (seen, _) = self
            .lines
            .news
            .wait_timeout_while(seen, LINE_MAX, |(lines, ended)| found(lines).is_none() && !*ended)
            .expect("no reader panics");
        found(&seen.0).unwrap_or_else(|| panic!("no line says {text:?}:\n{}", seen.0.join("\n")))
    }

    /// All that it has said.
    pub fn said(&self) -> String {
        self.lines.seen.lock().expect("no reader panics").0.join("\n")
    }

    /// Sends a signal by its name, e.g. `HUP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
    }

    /// Ends it as a container does, and gives how it ended and all that it said.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        let status = self.child.wait().expect("it is our child");
        let seen = self.lines.seen.lock().expect("no reader panics");
        let (seen, _) =
            self.lines.news.wait_timeout_while(seen, LINE_MAX, |(_, ended)| !*ended).expect("no reader panics");
        (status, seen.0.join("\n"))
    }

    /// Waits until it ends by itself.
    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait().expect("it is our child")
    }

    /// Pulls the plug: `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: Box<dyn Read + Send>, lines: Arc<Lines>, last: bool) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.seen.lock().expect("no reader panics").0.push(line);
            lines.news.notify_all();
        }
        if last {
            lines.seen.lock().expect("no reader panics").1 = true;
            lines.news.notify_all();
        }
    });
}
