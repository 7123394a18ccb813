//! `status`, `init` and `completions` with the built binary.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::commands::configuration;
use crate::operating::command;
use crate::servers::receiver::Target;
use crate::servers::roundsman::{Daemon, command as binary, output};

const FILES: &str = "often: { every: 1s, probes: [api, well], alert: { after: 1, severity: P1 } }\n";

#[test]
fn how_things_stand_is_one_sentence_and_a_table_with_the_worst_first() {
    let (target, other) = (Target::start(), Target::start());
    let probes = format!("api: {{ http: \"{}\" }}\nwell: {{ http: \"{}\" }}\n", target.url, other.url);
    let directory = configuration(&[
        ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN:-127.0.0.1:0}\" }\n"),
        ("probes/p.yaml", &probes),
        ("schedules/s.yaml", FILES),
    ]);
    let daemon = Daemon::run(directory.path(), &[]);
    let until = |arguments: &[&str], wanted: &str| loop {
        let (code, said, complaint) = command(&directory, &daemon, arguments);
        assert!(code <= 1, "{complaint}");
        if said.contains(wanted) {
            assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
            assert!(!said.contains('\u{1b}'), "{said}");
            break (code, said);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let (code, said) = until(&["status"], "All is well: 2 probes");
    assert_eq!((code, said.matches("● passed").count()), (0, 2), "{said}");
    let mut watching = binary(
        &[
            "status",
            "--watch",
            "--url",
            &format!("http://{}", daemon.address),
            "--config",
            directory.path().to_str().expect("UTF-8"),
        ],
        &[],
    )
    .stdout(Stdio::piped())
    .spawn()
    .expect("the binary starts");
    let seen = std::io::BufReader::new(watching.stdout.take().expect("its output"));
    let mut seen = std::io::BufRead::lines(seen).map_while(Result::ok);
    assert!(seen.by_ref().any(|line| line.contains("All is well: 2 probes")));
    target.set(false);
    let (code, said) = until(&["status"], "1 incident is open: api is failing");
    assert_eq!(code, 1);
    let first = said.lines().position(|line| line.contains("✕ failed")).expect("a row");
    assert!(said.lines().position(|line| line.contains("● passed")).is_some_and(|row| first < row), "{said}");
    let changes: Vec<_> =
        seen.by_ref().take_while(|line| !line.contains("✕ failed  api on often, was passed")).collect();
    assert!(changes.iter().all(|line| line.contains("UTC  ")), "{changes:?}");
    watching.kill().expect("it is our child");
    watching.wait().expect("it is our child");
    let (code, said, _) = command(&directory, &daemon, &["status", "--format", "json"]);
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &shown["status"]["tally"]["failed"], &shown["probes"][0]["name"]), (1, &1.into(), &"api".into()));

    target.set(true);
    until(&["status"], "All is well: 2 probes");
    let (code, said, _) = command(&directory, &daemon, &["incidents", "--all"]);
    assert!(code == 0 && said.starts_with("no incident is open\nP1  api is failing"), "{said}");
    daemon.kill();
    let nobody = output(&["status", "--url", "http://127.0.0.1:9"], &[]);
    assert_eq!(nobody.status.code(), Some(3));
}

#[test]
fn a_first_configuration_validates_runs_and_is_never_written_over() {
    let target = Target::start();
    for url in [Some(target.url.as_str()), None] {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("new");
        let config = config.to_str().expect("a path in UTF-8");
        let arguments: Vec<_> = ["init", "--config", config].into_iter().chain(url).collect();
        let made = output(&arguments, &[]);
        let said = String::from_utf8_lossy(&made.stdout);
        assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
        assert!(
            said.contains("\nvalid: 1 probe, 1 schedule\n")
                && said.ends_with(&format!("    roundsman run --config {config}\n")),
            "{said}"
        );
        let validated = output(&["validate", "--config", config], &[]);
        assert_eq!(validated.status.code(), Some(0), "{}", String::from_utf8_lossy(&validated.stdout));
        let before = fs::read(format!("{config}/roundsman.yaml")).expect("a file");
        let again = output(&arguments, &[]);
        assert_eq!(again.status.code(), Some(2));
        let complaint = String::from_utf8_lossy(&again.stderr).into_owned();
        assert_eq!(complaint, format!("error: {config}/roundsman.yaml is there already: nothing was written\n"));
        assert_eq!(fs::read(format!("{config}/roundsman.yaml")).expect("a file"), before);
        if url.is_some() {
            let ran = output(&["once", "--config", config], &[]);
            assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stdout));
            let daemon = Daemon::run(config.as_ref(), &[]);
            let status = output(&["status", "--url", &format!("http://{}", daemon.address), "--config", config], &[]);
            assert_eq!(status.status.code(), Some(0), "{}", String::from_utf8_lossy(&status.stderr));
        }
        // What is commented out is right too.
        let probe = if url.is_some() { "127.0.0.1" } else { "example" };
        let probe = format!("{config}/probes/{probe}.yaml");
        let uncommented = |line: &str| match line.split_once("# ") {
            Some((indent, rest)) if indent.trim().is_empty() && !rest.starts_with(char::is_uppercase) => {
                format!("{indent}{rest}\n")
            }
            _ => format!("{line}\n"),
        };
        let text: String = fs::read_to_string(&probe).expect("a file").lines().map(uncommented).collect();
        fs::write(&probe, text).expect("a file");
        let root = String::from_utf8(before).expect("text").replace("# secrets:", "secrets:").replace("\n#   ", "\n  ");
        let root = root.replace("\n# channels:", "\nchannels:").replace("\n# routes:", "\nroutes:");
        fs::write(format!("{config}/roundsman.yaml"), root).expect("a file");
        fs::write(format!("{config}/slack-webhook"), "https://hooks.slack.com/services/T/B/x").expect("a file");
        let validated = output(&["validate", "--config", config], &[]);
        let said = String::from_utf8_lossy(&validated.stdout);
        assert_eq!(
            said.lines().last(),
            Some(if url.is_some() { "valid: 1 probe, 1 schedule" } else { "valid: 3 probes, 1 schedule, 2 warnings" }),
            "{said}"
        );
    }
    let directory = configuration(&[("schedules/tiers.yaml", "mine: { every: 1m, probes: [] }\n")]);
    let config = directory.path().to_str().expect("a path in UTF-8");
    let made = output(&["init", "--config", config, "https://shop.example.com"], &[]);
    assert_eq!(made.status.code(), Some(2));
    let is_there = |name: &str| directory.path().join(name).exists();
    assert!(!is_there("roundsman.yaml"), "all or nothing");
    // What is beside it has a mistake, and nothing of the try is in the way of the next.
    fs::rename(directory.path().join("schedules/tiers.yaml"), directory.path().join("schedules/mine.yaml"))
        .expect("a file");
    fs::write(directory.path().join("schedules/mine.yaml"), "mine: { evry: 1m, probes: [] }\n").expect("a file");
    for _ in 0..2 {
        let made = output(&["init", "--config", config, "https://shop.example.com"], &[]);
        let complaint = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.code() == Some(2) && complaint.contains("`evry`"), "{complaint}");
        assert!(complaint.ends_with("does not fit what is there beside it: nothing was\n"), "{complaint}");
    }
    let left = ["roundsman.yaml", "probes", "schedules/tiers.yaml", "schedules/mine.yaml"].map(is_there);
    assert_eq!(left, [false, false, false, true]);
    // The disk is full when the first file is there and empty.
    let new = directory.path().join("deep/new");
    let program = env!("CARGO_BIN_EXE_roundsman");
    let script = format!("trap '' XFSZ; ulimit -f 0; exec {program} init --config {}", new.display());
    let made = Command::new("bash").args(["-c", &script]).output().expect("bash");
    let complaint = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.code() == Some(3) && complaint.contains("roundsman.yaml cannot be written"), "{complaint}");
    assert!(!is_there("deep"), "{complaint}");
    let refused = output(&["init", "--config", config, "http://169.254.169.254/"], &[]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_shell_completes_commands() {
    let script = |shell: &str| {
        let printed = output(&["completions", shell], &[]);
        assert_eq!(printed.status.code(), Some(0));
        String::from_utf8(printed.stdout).expect("text")
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = script(shell);
        assert!(
            ["status", "incidents", "silence", "--watch"].iter().all(|word| script.contains(word)) || shell == "fish",
            "{script}"
        );
    }
    let asked =
        "COMP_WORDS=(roundsman sta); COMP_CWORD=1; _roundsman roundsman sta roundsman; echo \"${COMPREPLY[@]}\"";
    let completed = Command::new("bash").args(["-c", &format!("{}\n{asked}", script("bash"))]).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&completed.stdout), "status\n");
}
