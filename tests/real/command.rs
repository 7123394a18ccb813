//! Kind `command` with real programs: what they say, how they end, and that nothing of them is left.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Pid;
use roundsman::clock::SystemClock;
use roundsman::domain::outcome::{FailureKind, Observation, Verdict};
use roundsman::ports::Clock as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::commands::configuration;
use crate::probing::{Run, probe};
use crate::servers::python;
use crate::servers::roundsman::{Daemon, output};

/// A shell script as settings.
fn script(text: &str) -> String {
    json!({ "run": ["sh", "-c", text] }).to_string()
}

async fn run(text: &str) -> Observation {
    probe("command", &script(text)).await.unwrap()
}

/// The processes of a group that live, and those of them that nobody has buried.
fn group(id: Pid) -> (usize, usize) {
    let (mut living, mut unburied) = (0, 0);
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name stands in brackets and may hold anything.
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        if fields.get(2).is_some_and(|group| *group == id.to_string()) {
            let ours = fields[1] == std::process::id().to_string();
            living += usize::from(fields[0] != "Z");
            unburied += usize::from(fields[0] == "Z" && ours);
        }
    }
    (living, unburied)
}

/// The group whose leader wrote its number there.
async fn leader(file: &Path) -> Pid {
    for _ in 0..600 {
        if let Some(id) = fs::read_to_string(file).ok().and_then(|id| id.trim().parse().ok()) {
            return Pid::from_raw(id);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the program did not start");
}

/// Waits until nobody of the group is left; the kernel takes a moment to end many.
async fn gone(id: Pid) {
    for _ in 0..200 {
        if group(id) == (0, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("of the group {id} are left (living, unburied): {:?}", group(id));
}

#[tokio::test]
async fn what_a_program_says_is_seen() {
    let seen = run("echo '{\"score\": 93}'; printf 'first\\nlast\\n' >&2; exit 3").await;
    assert_eq!(seen.facts["exit"], 3);
    assert_eq!(seen.facts.get("signal"), None);
    assert_eq!((&seen.facts["stdout"], &seen.facts["stderr"]), (&json!("{\"score\": 93}\n"), &json!("first\nlast\n")));
    assert_eq!(seen.facts["truncated"], false);
    assert_eq!(seen.body.as_deref(), Some(&b"{\"score\": 93}\n"[..]));
    assert_eq!(seen.aside.iter().map(ToString::to_string).collect::<Vec<_>>(), ["`stderr` was `\"first\\nlast\"`"]);
    assert!(seen.phases.total_ms > 0.0);

    let killed = run("kill -SEGV $$").await;
    assert_eq!((&killed.facts["exit"], &killed.facts["signal"]), (&json!(139), &json!("SIGSEGV")));
    assert_eq!(killed.aside[0].to_string(), "`signal` was `\"SIGSEGV\"`");
    let bytes = run("printf '\\377'").await;
    assert_eq!(bytes.facts["stdout"], "\u{fffd}");
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_little_else() {
    let settings = json!({ "run": ["env"], "env": { "TOKEN": "${secret:shop}", "RUN": "{{run.id}}-{{item}}" } });
    let seen = Run::new().captured("item", "7").step("command", &settings.to_string()).await.unwrap();
    let text = seen.facts["stdout"].as_str().unwrap();
    let mut names: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    names.retain(|name| !["PATH", "HOME", "LANG", "TMPDIR"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["RUN", "TOKEN"], "{text}");
    assert!(text.contains("TOKEN=hunter2\n") && text.contains("RUN=01RUN-7\n"), "{text}");
}

#[tokio::test]
async fn a_program_reads_its_input_or_leaves_it() {
    let long = "x".repeat(1 << 20);
    let counted = probe("command", &json!({ "run": ["wc", "-c"], "input": long }).to_string()).await.unwrap();
    assert_eq!(counted.facts["stdout"], "1048576\n");
    let left = probe("command", &json!({ "run": "true", "input": long }).to_string()).await.unwrap();
    assert_eq!(left.facts["exit"], 0);
    let nothing = probe("command", &json!({ "run": ["wc", "-c"] }).to_string()).await.unwrap();
    assert_eq!(nothing.facts["stdout"], "0\n");
}

#[tokio::test]
async fn what_was_captured_is_one_argument_and_no_option() {
    let settings = json!({ "run": ["printf", "%s|", "{{value}}", "b"] }).to_string();
    let seen = Run::new().captured("value", "a $(id); 'x'\n").step("command", &settings).await.unwrap();
    assert_eq!(seen.facts["stdout"], "a $(id); 'x'\n|b|");
    let refused = Run::new().captured("value", "--help").step("command", &settings).await.unwrap_err();
    assert_eq!(refused.to_string(), "capture: what was filled into `{{value}}` makes an option of it");
    let refused = Run::new().captured("value", "a\0b").step("command", &settings).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Capture);
}

#[tokio::test]
async fn what_our_machine_lacks_is_no_failure_of_the_target() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    fs::write(directory.path().join("plain"), "text").unwrap();
    for (settings, message) in [
        (json!({ "run": ["no-such-program", "-q"] }), "the program `no-such-program` is not there".to_owned()),
        (json!({ "run": ["./plain"], "directory": path }), "the program `./plain` may not be run by us".to_owned()),
        (
            json!({ "run": ["true"], "directory": format!("{path}/none") }),
            format!("the working directory {path}/none is not there"),
        ),
        (
            json!({ "run": ["true", "x".repeat(200 << 10)] }),
            "the arguments of `true` are longer than the system takes".to_owned(),
        ),
    ] {
        let failure = probe("command", &settings.to_string()).await.unwrap_err();
        assert_eq!((failure.kind, failure.message), (FailureKind::LocalSetup, message));
        assert!(failure.kind.is_ours());
    }
}

/// Children that heed no SIGTERM, one of them forked twice, and all of them holding the pipes.
const STUBBORN: &str = "trap '' TERM HUP INT; (sh -c 'trap \"\" TERM HUP; sleep 1000' &); \
                        echo so far so good >&2; echo $$ > \"$0\"; sleep 1000";

#[tokio::test]
async fn a_hung_program_is_killed_with_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("leader");
    let settings = json!({ "run": ["sh", "-c", STUBBORN, file] }).to_string();
    let clock = SystemClock::start();
    let begun = clock.monotonic();
    let failure = Run::within(1_500).step("command", &settings).await.unwrap_err();
    let took = clock.monotonic().since(begun);
    assert_eq!(failure.to_string(), "timeout.total: it did not end within 1.5 s and was killed: so far so good");
    assert!(took >= Duration::from_millis(1_500) && took < Duration::from_secs(5), "{took:?}");
    assert!(failure.phases.is_some_and(|phases| phases.total_ms >= 1_500.0));
    gone(leader(&file).await).await;
}

#[tokio::test]
async fn a_run_that_is_dropped_leaves_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("leader");
    let settings = json!({ "run": ["sh", "-c", STUBBORN, file] }).to_string();
    let run = Run::within(60_000);
    let id = tokio::select! {
        ended = run.step("command", &settings) => panic!("it ended: {ended:?}"),
        id = leader(&file) => id,
    };
    gone(id).await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_killed_and_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("leader");
    let text = "sleep 1000 & (sleep 1000 &); echo $$ > \"$0\"; echo done";
    let clock = SystemClock::start();
    let begun = clock.monotonic();
    let settings = json!({ "run": ["sh", "-c", text, file] }).to_string();
    let seen = Run::within(60_000).step("command", &settings).await.unwrap();
    assert_eq!((&seen.facts["exit"], &seen.facts["stdout"]), (&json!(0), &json!("done\n")));
    // One that left the group holds the pipe open, and is not waited for.
    let away = Run::within(60_000).step("command", &script("setsid sleep 20 & echo done")).await.unwrap();
    assert_eq!(away.facts["stdout"], "done\n");
    let took = clock.monotonic().since(begun);
    assert!(took < Duration::from_secs(15), "{took:?}");
    gone(leader(&file).await).await;
}

#[tokio::test]
async fn a_tree_of_processes_dies_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("leader");
    // As a fork bomb would, but with an end: 1 + 4 + 16 + 64 shells, and a sleep below each leaf.
    let text = "grow() { [ $1 = 0 ] && exec sleep 1000; for i in 1 2 3 4; do grow $(($1 - 1)) & done; wait; }; \
                echo $$ > \"$0\"; grow 3";
    let settings = json!({ "run": ["sh", "-c", text, file] }).to_string();
    let failure = Run::within(2_000).step("command", &settings).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimeoutTotal);
    gone(leader(&file).await).await;
}

#[tokio::test]
async fn a_flood_of_output_is_cut_and_read_to_its_end() {
    let seen = run("head -c 30000000 /dev/zero | tr '\\0' x; echo the end >&2").await;
    assert_eq!((&seen.facts["exit"], &seen.facts["truncated"]), (&json!(0), &json!(true)));
    assert_eq!(seen.facts["stdout"].as_str().map(str::len), Some(1 << 20));
    assert_eq!(seen.facts["stderr"], "the end\n");
    let small = json!({ "run": ["sh", "-c", "echo 123456789"], "max_output": 4 });
    assert_eq!(probe("command", &small.to_string()).await.unwrap().facts["stdout"], "1234");
    let endless = Run::within(500).step("command", &json!({ "run": "yes" }).to_string()).await.unwrap_err();
    assert_eq!(endless.message, "it did not end within 500 ms and was killed");
}

#[tokio::test]
async fn a_hundred_runs_leave_no_descriptor_open() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = {
        run("true").await;
        open()
    };
    for _ in 0..50 {
        run("echo x").await;
        Run::within(1).step("command", &script("sleep 9")).await.unwrap_err();
    }
    // Other tests of this binary open some as well.
    let after = open();
    assert!(after < before + 60, "{before} descriptors became {after}");
}

const SUITE: &str = "
import pytest

def test_adds():
    assert 1 + 1 == 2

class TestCart:
    def test_pays(self):
        total = 41
        assert total == 42

@pytest.mark.skip(reason='later')
def test_later():
    pass

@pytest.fixture
def shop():
    raise RuntimeError('no shop today')

def test_opens(shop):
    pass
";

/// A directory with a suite for pytest, and the settings that run it.
fn pytest(suite: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("test_shop.py"), suite).unwrap();
    let run =
        json!([python::interpreter(), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", "report.xml"]);
    let settings = json!({ "run": run, "directory": directory.path(), "junit": "report.xml" });
    (directory, settings.to_string())
}

/// Each case with its verdict and its first failure.
fn cases(seen: &Observation) -> Vec<String> {
    let tell = |verdict: &Verdict| match verdict.failures().first() {
        Some(failure) => format!("{}: {}", verdict.word(), failure.message),
        None => verdict.word().to_owned(),
    };
    let told = |case: &roundsman::domain::outcome::Case| {
        format!("{} {}", case.name, case.verdict.as_ref().map_or_else(|| "skipped".to_owned(), tell))
    };
    seen.cases.iter().map(told).collect()
}

#[tokio::test]
async fn each_test_of_pytest_has_its_verdict() {
    let (directory, settings) = pytest(SUITE);
    let seen = Run::within(60_000).step("command", &settings).await.unwrap();
    assert_eq!(
        cases(&seen),
        [
            "test_shop.TestCart › test_pays failed: assert 41 == 42",
            "test_shop › test_opens failed: failed on setup with \"RuntimeError: no shop today\"",
            "test_shop › test_adds passed",
            "test_shop › test_later skipped",
        ]
    );
    let counts = ["tests", "passed", "failed", "skipped", "exit"].map(|name| seen.facts[name].clone());
    assert_eq!(counts, [4, 1, 2, 1, 1].map(Value::from));
    assert!(seen.cases.iter().all(|case| case.took_ms >= 0.0));

    // The next run finds the report of this one, and must not believe it.
    fs::write(directory.path().join("test_shop.py"), "import nothing_of_the_kind_as(").unwrap();
    let replaced = json!({ "run": ["true"], "directory": directory.path(), "junit": "report.xml" }).to_string();
    let stale = probe("command", &replaced).await.unwrap_err();
    assert_eq!(
        stale.to_string(),
        "command.report: its report report.xml was not written: what is there is from an earlier run"
    );
    let broken = Run::within(60_000).step("command", &settings).await.unwrap();
    assert!(cases(&broken)[0].starts_with("test_shop failed: "), "{:?}", cases(&broken));
}

#[tokio::test]
async fn each_test_of_robot_framework_has_its_verdict() {
    let directory = tempfile::tempdir().unwrap();
    let suite = "*** Test Cases ***\n\
                 Adds\n    Should Be Equal As Integers    ${1 + 1}    2\n\
                 Pays\n    Should Be Equal    <b>41</b>    42\n\
                 Later\n    Skip    not yet\n";
    fs::write(directory.path().join("shop.robot"), suite).unwrap();
    let run = json!([
        python::interpreter(),
        "-m",
        "robot",
        "--log",
        "NONE",
        "--report",
        "NONE",
        "--output",
        "NONE",
        "--xunit",
        "report.xml",
        "shop.robot"
    ]);
    // A plain `${…}` would be a reference of our own, so the suite is a file.
    let settings = json!({ "run": run, "directory": directory.path(), "junit": "report.xml" }).to_string();
    let seen = Run::within(60_000).step("command", &settings).await.unwrap();
    assert_eq!(
        cases(&seen),
        ["Shop › Pays failed: <b>41</b> != 42", "Shop › Adds passed", "Shop › Later skipped"],
        "{}",
        seen.facts["stderr"]
    );
}

#[tokio::test]
async fn a_report_that_is_none_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let of =
        |text: &str| json!({ "run": ["sh", "-c", text], "directory": directory.path(), "junit": "r.xml" }).to_string();
    for (text, message) in [
        ("echo no browser >&2; exit 4", "its report r.xml was not written; it ended with 4: no browser"),
        ("echo '<html/>' > r.xml", "its report r.xml has the root `html`, not `testsuites` or `testsuite`"),
        ("head -c 9000000 /dev/zero > r.xml", "its report r.xml is larger than 8388608 bytes"),
        ("rm r.xml; mkfifo r.xml", "its report r.xml is not a plain file"),
    ] {
        let failure = probe("command", &of(text)).await.unwrap_err();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::CommandReport, message));
    }
}

#[tokio::test]
async fn a_file_of_json_is_in_scope() {
    let directory = tempfile::tempdir().unwrap();
    let text = "echo noise; echo '{\"score\": 0.93}' > lighthouse-01RUN.json";
    let settings =
        json!({ "run": ["sh", "-c", text], "directory": directory.path(), "json": "lighthouse-{{run.id}}.json" });
    let seen = probe("command", &settings.to_string()).await.unwrap();
    assert_eq!(seen.body.as_deref(), Some(&b"{\"score\": 0.93}\n"[..]));
    assert_eq!(seen.facts["stdout"], "noise\n");
}

#[test]
fn test_cases_are_reported_with_their_step() {
    let (directory, settings) = pytest(SUITE);
    let house = configuration(&[
        ("probes/p.yaml", &format!("suite: {{ command: {settings}, timeout: 60s, expect: failed <= 2 }}\n")),
        ("schedules/s.yaml", "hourly: { every: 1h, probes: [suite] }\n"),
    ]);
    let arguments = ["once", "--config", house.path().to_str().unwrap()];
    let once = output(&arguments, &[]);
    let text = String::from_utf8(once.stdout).unwrap();
    assert_eq!(once.status.code(), Some(1), "{text}");
    for line in [
        "    case: test_shop.TestCart › test_pays: assert 41 == 42",
        "    exit == 0\n      `exit` was `1`",
        "      ✕ test_shop.TestCart › test_pays in ",
        "      1 test case passed, 1 test case skipped",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let junit = output(&[&arguments[..], &["--format", "junit"]].concat(), &[]);
    let document = directory.path().join("ours.xml");
    fs::write(&document, junit.stdout).unwrap();
    let read = python::run(
        "import junitparser, sys\n\
         for suite in junitparser.JUnitXml.fromfile(sys.argv[1]):\n\
         \x20   for case in suite: print(case.classname, '|', case.name, *[type(r).__name__ for r in case.result])\n",
        &[document.to_str().unwrap()],
    );
    assert_eq!(
        read,
        "suite | command Failure\n\
         suite.command | test_shop.TestCart › test_pays Failure\n\
         suite.command | test_shop › test_opens Failure\n\
         suite.command | test_shop › test_adds\n\
         suite.command | test_shop › test_later Skipped\n"
    );
}

#[tokio::test]
async fn a_daemon_that_stops_takes_its_programs_along() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("leader");
    let settings = json!({ "run": ["sh", "-c", STUBBORN, file] });
    let house = configuration(&[
        ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN}\" }\n"),
        ("probes/p.yaml", &format!("stubborn: {{ command: {settings}, timeout: 9s }}\n")),
        ("schedules/s.yaml", "often: { every: 10s, probes: [stubborn] }\n"),
    ]);
    let daemon = Daemon::run(house.path(), &[]);
    let id = leader(&file).await;
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    gone(id).await;
}
