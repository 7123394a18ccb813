//! Python of the tests' own environment, for what is read back with the libraries that others use.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The interpreter that `tests/run` sets up.
pub fn interpreter() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.venv/bin/python");
    assert!(path.exists(), "tests/.venv is not there: run the tests by tests/run, which sets it up");
    path
}

/// Runs a script, and gives what it printed.
pub fn run(script: &str, arguments: &[&str]) -> String {
    run_with(script, arguments, &[])
}

/// Runs a script with more environment, and gives what it printed.
pub fn run_with(script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = Command::new(interpreter())
        .args(["-c", script])
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("python starts");
    assert!(output.status.success(), "the script failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A server in Python: a script that prints its ports on a line when it listens. It is gone when this is dropped.
pub struct Server {
    /// Where it listens.
    pub ports: Vec<u16>,
    /// The first of them.
    pub port: u16,
    process: Child,
}

impl Server {
    /// Starts a script.
    pub fn start(script: &str) -> Self {
        Self::start_with(script, &[])
    }

    /// Starts a script with arguments.
    pub fn start_with(script: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(interpreter())
            .args(["-c", script])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().expect("its output"));
        out.read_line(&mut line).expect("a line");
        let ports: Vec<u16> = line.split_whitespace().map(|port| port.parse().expect("a port")).collect();
        assert!(!ports.is_empty(), "the server did not start: is tests/.venv as tests/run makes it?");
        Self { port: ports[0], ports, process }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
