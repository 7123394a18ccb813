//! Python of the tests' own environment, for what is read back with the libraries that others use.

use std::path::{Path, PathBuf};
use std::process::Command;

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
