//! A test that runs itself again in namespaces of its own, where what it does to the machine disturbs nobody.

use std::process::Command;

/// Set within.
const INSIDE: &str = "ROUNDSMAN_TEST_INSIDE";

/// Whether this is the run outside, which has then made the one within; the test is named with its modules. `script` prepares
/// what is there, and ends by running its arguments.
pub fn ran_within(test: &str, unshare: &[&str], script: &str, environment: &[(&str, &str)]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let output = Command::new("unshare")
        .args(unshare)
        .args(["bash", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env(INSIDE, "1")
        .envs(environment.iter().copied())
        .output()
        .expect("unshare is not installed: apt-get install util-linux iproute2");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success() && said.contains("1 passed"), "{test} failed apart from the others, see above");
    true
}
