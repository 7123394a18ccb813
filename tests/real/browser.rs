//! The pages in a browser: each that links lead to, wide and on a phone, light and dark, with and without a script.

use std::path::Path;
use std::process::Command;

use crate::servers::python::interpreter;
use crate::servers::roundsman::Daemon;

/// Runs a script of `tests/browser` with Chromium, and gives what it printed.
fn browse(script: &str, arguments: &[&str]) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let output = Command::new(interpreter())
        .arg(directory.join(script))
        .arg("/usr/bin/chromium")
        .args(arguments)
        .output()
        .expect("python starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn every_page_is_whole_for_everybody() {
    let home = tempfile::tempdir().expect("a directory");
    let state = home.path().to_str().expect("a path in UTF-8");
    let arguments = ["demo", "--break", "database", "--config", env!("CARGO_MANIFEST_DIR")];
    let demo = Daemon::start(&arguments, &[("STATE_DIRECTORY", state)]);
    demo.wait_for("pager: P1 opened");
    println!("{}", browse("visit.py", &[&format!("http://{}/", demo.address)]));
}
