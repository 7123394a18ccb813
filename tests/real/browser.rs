//! The pages in a browser: each that links lead to, wide and on a phone, light and dark, with and without a script.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use reqwest::Method;

use crate::operating::ask;
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
    // The shop breaks after twenty seconds, and the page comes with the second run that fails.
    let is_open = || ask(&demo, &Method::GET, "/api/v1/incidents", &[], None).1.to_string().contains("P1");
    assert!(
        (0..180).any(|_| is_open() || {
            sleep(Duration::from_secs(1));
            false
        }),
        "{}",
        demo.said()
    );
    println!("{}", browse("visit.py", &[&format!("http://{}/", demo.address)]));
}
