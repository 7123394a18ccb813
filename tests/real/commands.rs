//! The commands as a user meets them: output, exit codes, and what is said when something is wrong.

use std::fs;
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::servers::nginx::{Nginx, Site};
use crate::servers::roundsman::{Daemon, output};

/// A configuration of these files.
pub fn configuration(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    directory
}

fn path(directory: &TempDir) -> &str {
    directory.path().to_str().expect("a path in UTF-8")
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).expect("text")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

const SMALL: &[(&str, &str)] = &[
    ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN:-127.0.0.1:0}\" }\n"),
    ("probes/p.yaml", "here: { tcp: \"127.0.0.1:9\" }\n"),
    ("schedules/s.yaml", "often: { every: 1s, probes: [here] }\n"),
];

#[test]
fn nine_mistakes_are_named_at_their_places_in_one_pass() {
    let directory = configuration(&[
        (
            "roundsman.yaml",
            "retention: 30\nchannels:\n  ops: { webhok: \"http://127.0.0.1/\" }\nroutes:\n  - { to: [opps] }\n",
        ),
        (
            "probes/p.yaml",
            "home: { http: \"https://shop.example.com\", expct: status == 200 }\n\
             api: { http: \"https://api.example.com\", expect: stauts == 200 }\n\
             cert: { tls: \"shop.example.com\" }\n\
             later: { http: \"https://api.example.com/{{token}}\" }\n",
        ),
        ("schedules/s.yaml", "tier: { every: 7s, probes: [home, hoem] }\n"),
    ]);
    let validated = output(&["validate", "--config", path(&directory)], &[]);
    assert_eq!(code(&validated), Some(2));
    insta::assert_snapshot!(text(&validated.stdout));

    let json = output(&["validate", "--format", "json", "--config", path(&directory)], &[]);
    let problems: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(problems.iter().filter(|problem| problem["level"] == "error").count(), 9);
    assert!(problems.iter().all(|problem| problem["line"].is_u64() && problem["column"].is_u64()));

    let ran = output(&["run", "--config", path(&directory)], &[]);
    assert_eq!(code(&ran), Some(2));
    assert!(!directory.path().join("state").exists(), "nothing was started");
}

#[test]
fn the_repository_itself_is_valid() {
    let validated = output(&["validate", "--config", env!("CARGO_MANIFEST_DIR")], &[]);
    assert_eq!(text(&validated.stdout), "valid: 61 probes, 3 schedules\n");
    assert_eq!(code(&validated), Some(0));
}

#[test]
fn what_runs_on_request_is_run_when_it_is_named() {
    let probes = "here: { tcp: \"127.0.0.1:9\" }\nasked: { tcp: \"127.0.0.1:9\", on_request: true }\n";
    let directory = configuration(&[("probes/p.yaml", probes), SMALL[2]]);
    let ran = |what: &[&str]| {
        let once = output(&[&["once", "--format", "json", "--config", path(&directory)], what].concat(), &[]);
        let runs: Vec<serde_json::Value> = serde_json::from_slice(&once.stdout).unwrap_or_default();
        let names = runs.iter().map(|run| run["probe"].as_str().expect("a name").to_owned());
        (names.collect::<Vec<_>>(), code(&once))
    };
    assert_eq!(ran(&[]), (vec!["here".to_owned()], Some(1)));
    assert_eq!(ran(&["asked"]), (vec!["asked".to_owned()], Some(1)));
    assert_eq!(ran(&["*e*"]), (vec!["here".to_owned()], Some(1)));
    assert_eq!(ran(&["ask*"]), (Vec::new(), Some(2)), "a pattern does not name it");
}

#[test]
fn editors_get_the_schemas_that_the_files_name() {
    for file in ["roundsman", "probes", "schedules"] {
        let printed = text(&output(&["schema", file], &[]).stdout);
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{file}.json"));
        let kept = fs::read_to_string(&kept).unwrap_or_default();
        assert!(printed == kept, "docs/schema/{file}.json is old: roundsman schema {file} > docs/schema/{file}.json");
    }
}

#[test]
fn the_repository_fits_the_schemas_that_editors_use() {
    let said = crate::servers::python::run(
        "import glob, json, jsonschema, os, sys, yaml\n\
         os.chdir(sys.argv[1])\n\
         for schema, pattern in ('roundsman', 'roundsman.yaml'), ('probes', 'probes/*'), ('schedules', 'schedules/*'):\n\
         \x20   path = f'docs/schema/{schema}.json'\n\
         \x20   validator = jsonschema.Draft7Validator(json.load(open(path)))\n\
         \x20   for file in glob.glob(pattern):\n\
         \x20       text = open(file).read()\n\
         \x20       named = text.splitlines()[0].removeprefix('# yaml-language-server: $schema=')\n\
         \x20       if os.path.normpath(os.path.join(os.path.dirname(file), named)) != path:\n\
         \x20           print(file, 'does not name', path)\n\
         \x20       for error in validator.iter_errors(yaml.safe_load(text)):\n\
         \x20           print(file, list(error.absolute_path), error.message)\n\
         \x20       wrong = {'nothing': {'that': 'exists'}} if schema == 'roundsman' else {'x': {'nothing': 'that exists'}}\n\
         \x20       assert list(validator.iter_errors(wrong)), schema\n",
        &[env!("CARGO_MANIFEST_DIR")],
    );
    assert_eq!(said, "");
}

#[test]
fn a_port_in_use_is_named() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = holder.local_addr().expect("an address").to_string();
    let directory = configuration(SMALL);
    let ran = output(&["run", "--config", path(&directory)], &[("ROUNDSMAN_LISTEN", &address)]);
    assert_eq!(code(&ran), Some(3));
    let port = holder.local_addr().expect("an address").port();
    let expected = format!(
        "error: the page cannot listen at {address}: port {port} is in use; `web.listen` in roundsman.yaml chooses another\n"
    );
    assert_eq!(text(&ran.stderr), expected);
    assert!(!directory.path().join("state").exists(), "nothing was started");
}

#[test]
fn a_store_has_one_owner() {
    let directory = configuration(SMALL);
    let first = Daemon::run(directory.path(), &[]);
    let second = output(&["run", "--config", path(&directory)], &[]);
    assert_eq!(code(&second), Some(3));
    let said = text(&second.stderr);
    assert!(said.contains(&format!("belongs to another process (pid {})", first.id())), "{said}");
}

#[test]
fn a_store_that_cannot_be_is_exit_3_with_path_and_reason() {
    let directory = configuration(SMALL);
    fs::write(directory.path().join("state"), "a file where the directory should be").expect("a file");
    let ran = output(&["run", "--config", path(&directory)], &[]);
    assert_eq!(code(&ran), Some(3));
    let said = text(&ran.stderr);
    assert!(said.contains("state/roundsman.db cannot be opened: "), "{said}");
}

#[test]
fn a_secret_that_is_not_there_is_named_before_anything_starts() {
    let directory = configuration(&[
        ("roundsman.yaml", "secrets: { key: { env: NOT_SET_ANYWHERE } }\n"),
        ("probes/p.yaml", "api: { http: { url: \"http://127.0.0.1:9/\", bearer: \"${secret:key}\" } }\n"),
        ("schedules/s.yaml", "often: { every: 1s, probes: [api] }\n"),
    ]);
    assert_eq!(code(&output(&["validate", "--config", path(&directory)], &[])), Some(0), "it is declared");
    let ran = output(&["run", "--config", path(&directory)], &[]);
    assert_eq!(code(&ran), Some(2));
    assert_eq!(
        text(&ran.stderr),
        "error: the secret `key` cannot be read: the environment variable NOT_SET_ANYWHERE is not set, or empty\n"
    );
}

#[test]
fn health_asks_the_daemon_and_time_ends_it() {
    let directory = configuration(SMALL);
    let mut daemon = Daemon::start(&["run", "--for", "3s", "--config", path(&directory)], &[]);
    let url = format!("http://{}", daemon.address);
    assert_eq!(code(&output(&["health", "--url", &url], &[])), Some(0));
    assert_eq!(daemon.ended().code(), Some(0));
    let asked = output(&["health", "--url", &url], &[]);
    assert_eq!(code(&asked), Some(1));
    assert!(text(&asked.stderr).contains("does not answer"), "{}", text(&asked.stderr));
}

#[test]
fn a_reload_is_whole_or_not_at_all() {
    let directory = configuration(SMALL);
    let daemon = Daemon::run(directory.path(), &[]);
    let probes = directory.path().join("probes/p.yaml");
    fs::write(&probes, "here: { tcp: \"127.0.0.1:9\" }\nthere: { tcp: \"127.0.0.1\" }\n").expect("a file");
    daemon.signal("HUP");
    daemon.wait_for("the configuration was refused whole");
    assert!(daemon.said().contains("probes/p.yaml:2:"), "{}", daemon.said());
    fs::write(&probes, "here: { tcp: \"127.0.0.1:9\" }\nthere: { tcp: \"127.0.0.1:10\", schedule: often }\n")
        .expect("a file");
    daemon.signal("HUP");
    daemon.wait_for("the configuration was loaded again: probe there added");
    let (status, _) = daemon.terminate();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn files_that_were_changed_are_loaded_by_themselves() {
    let directory = configuration(SMALL);
    let daemon = Daemon::run(directory.path(), &[]);
    let probes = directory.path().join("probes/p.yaml");
    let two = "here: { tcp: \"127.0.0.1:9\" }\nthere: { tcp: \"127.0.0.1:10\", schedule: often }\n";
    fs::write(&probes, two).expect("a file");
    daemon.wait_for("the configuration was loaded again: probe there added");
    assert!(daemon.said().contains("the configuration's files have changed"), "{}", daemon.said());
    let (status, _) = daemon.terminate();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn once_reports_to_people_to_programs_and_to_readers_of_tests() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let open = listener.local_addr().expect("an address");
    let directory = configuration(&[
        ("probes/p.yaml", &format!("open: {{ tcp: \"{open}\" }}\nshut: {{ tcp: \"127.0.0.1:9\" }}\n")),
        ("schedules/s.yaml", "often: { every: 1s, probes: [open, shut] }\n"),
    ]);
    let both = output(&["once", "--config", path(&directory)], &[]);
    assert_eq!(code(&both), Some(1));
    let said = text(&both.stdout);
    assert!(said.starts_with("● open passed in "), "{said}");
    assert!(said.contains("✕ shut failed in ") && said.contains("connect.refused: "), "{said}");
    assert!(said.contains("2 probes: 1 passed, 1 failed"), "{said}");
    assert_eq!(code(&output(&["once", "open", "--config", path(&directory)], &[])), Some(0));
    assert!(!said.contains("✓"), "what each step did is told to who asks: {said}");

    let json = output(&["once", "--format", "json", "--schedule", "often", "--config", path(&directory)], &[]);
    let runs: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).expect("JSON");
    let verdicts: Vec<_> = runs.iter().map(|run| (run["probe"].as_str(), run["verdict"].as_str())).collect();
    assert_eq!(verdicts, [(Some("open"), Some("passed")), (Some("shut"), Some("failed"))]);

    let unknown = output(&["once", "opne", "--config", path(&directory)], &[]);
    assert_eq!(code(&unknown), Some(2));
    assert_eq!(text(&unknown.stderr), "error: there is no probe `opne`: did you mean `open`?\n");
    assert!(!directory.path().join("state").exists(), "nothing is stored");

    let junit = output(&["once", "--format", "junit", "--config", path(&directory)], &[]);
    let file = directory.path().join("junit.xml");
    fs::write(&file, &junit.stdout).expect("a file");
    let read = crate::servers::python::run(
        "import sys, junitparser\n\
         xml = junitparser.JUnitXml.fromfile(sys.argv[1])\n\
         for suite in xml:\n\
         \x20   for case in suite:\n\
         \x20       print(suite.name, case.name, case.classname, [type(r).__name__ for r in case.result])\n",
        &[file.to_str().expect("a path in UTF-8")],
    );
    assert_eq!(read, "open tcp open []\nshut tcp shut ['Failure']\n");
}

#[test]
fn once_shows_all_that_each_step_did_to_who_asks() {
    let nginx = Nginx::start(&[Site { identity: None, directives: "" }], &[("index.html", b"hello")]);
    let probe = format!(
        "home: {{ http: \"http://127.0.0.1:{}/\", expect: body == \"hello\", warn: total_ms < 0 }}\n",
        nginx.port(0)
    );
    let directory =
        configuration(&[("probes/p.yaml", &probe), ("schedules/s.yaml", "often: { every: 1s, probes: [home] }\n")]);
    let verbose = output(&["once", "--verbose", "--config", path(&directory)], &[]);
    assert_eq!(code(&verbose), Some(0), "to be degraded is no failure");
    let said = text(&verbose.stdout);
    for line in [
        "      ✓ status >= 200 && status < 300 · `status` was `200`\n",
        "      ✓ body == \"hello\" · `body` was `\"hello\"`\n",
        "      ▲ warn: total_ms < 0 · `total_ms` was ",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(said.lines().all(|line| line.chars().count() <= 100), "{said}");

    let json = output(&["once", "-v", "--format", "json", "--config", path(&directory)], &[]);
    let runs: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let held: Vec<_> =
        runs[0]["steps"][0]["assertions"].as_array().expect("a list").iter().map(|a| &a["held"]).collect();
    assert_eq!(held, [true, true, false]);
}

#[tokio::test]
async fn a_bad_run_leaves_what_it_saw_on_the_page_of_its_incident() {
    let nginx = Nginx::start(&[Site { identity: None, directives: "" }], &[("index.html", b"hello")]);
    let probe = format!("home: {{ http: \"http://127.0.0.1:{}/\", expect: status == 201 }}\n", nginx.port(0));
    let directory = configuration(&[
        ("roundsman.yaml", SMALL[0].1),
        ("probes/p.yaml", &probe),
        ("schedules/s.yaml", "often: { every: 1s, probes: [home], alert: { after: 1 } }\n"),
    ]);
    let daemon = Daemon::run(directory.path(), &[]);
    let opened = daemon.wait_for("opened: home is failing");
    let id = opened.split("incident=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an id");
    let client = roundsman::net::client::shared().expect("a client");
    let page = client.get(format!("http://{}/incidents/{id}", daemon.address)).send().await.expect("an answer");
    let page = page.text().await.expect("a page");
    for text in ["The run that opened it", "did not hold", "<code>status == 201</code>"] {
        assert!(page.contains(text), "{text}\n{page}");
    }
}

#[test]
fn once_takes_a_bare_url_without_any_configuration() {
    let nginx = Nginx::start(&[Site { identity: None, directives: "" }], &[("index.html", b"hello")]);
    let url = format!("http://127.0.0.1:{}/", nginx.port(0));
    let empty = tempfile::tempdir().expect("a directory");
    let asked = output(&["once", &url, "--config", path(&empty)], &[]);
    assert_eq!(code(&asked), Some(0), "{}{}", text(&asked.stdout), text(&asked.stderr));
    assert!(text(&asked.stdout).starts_with("● 127.0.0.1-"), "{}", text(&asked.stdout));
    let wrong = output(&["once", "ftp://shop.example.com", "--config", path(&empty)], &[]);
    assert_eq!(code(&wrong), Some(2));
}

/// How a command ends whose reader has left, and what it then says.
fn unread(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = crate::servers::roundsman::command(arguments, &[])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("it is our child");
    (ended.status.code(), text(&ended.stderr))
}

#[test]
fn output_that_nobody_reads_is_no_error() {
    assert_eq!(unread(&["schema", "probes"]), (Some(0), String::new()));
}

#[test]
fn a_reader_that_leaves_changes_no_verdict() {
    let directory = configuration(&[
        ("probes/p.yaml", "shut: { tcp: \"127.0.0.1:9\" }\n"),
        ("schedules/s.yaml", "often: { every: 1s, probes: [shut] }\n"),
    ]);
    for format in ["text", "json", "junit"] {
        let ended = unread(&["once", "--format", format, "--config", path(&directory)]);
        assert_eq!(ended, (Some(1), String::new()), "{format}");
    }
    let wrong = configuration(&[("probes/p.yaml", "shut: { tpc: \"127.0.0.1:9\" }\n")]);
    for format in ["text", "json"] {
        let ended = unread(&["validate", "--format", format, "--config", path(&wrong)]);
        assert_eq!(ended, (Some(2), String::new()), "{format}");
    }
}

#[test]
fn the_rounds_go_on_when_nobody_reads_the_logs() {
    use std::io::{BufRead as _, BufReader};
    let target = crate::servers::receiver::Target::start();
    let receiver = crate::servers::receiver::Receiver::start();
    let directory = configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"127.0.0.1:0\" }}\nchannels: {{ pager: {{ webhook: \"{}\" }} }}\nroutes: [{{ to: [pager] }}]\n",
                receiver.url
            ),
        ),
        ("probes/p.yaml", &format!("api: {{ http: \"{}\" }}\n", target.url)),
        ("schedules/s.yaml", "often: { every: 1s, probes: [api], alert: { after: 1 } }\n"),
    ]);
    let mut child = crate::servers::roundsman::command(&["run", "--config", path(&directory)], &[])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut log = BufReader::new(child.stderr.take().expect("standard error is piped")).lines();
    let first = log.next().expect("a line").expect("a line");
    assert!(first.contains("the page is at "), "{first}");
    drop(log);
    // The alert is logged, and nobody takes the line.
    target.set(false);
    receiver.wait_until(|taken| taken.iter().any(|message| message.text("event") == "opened"));
    target.set(true);
    receiver.wait_until(|taken| taken.iter().any(|message| message.text("event") == "resolved"));
    std::process::Command::new("kill").arg(child.id().to_string()).status().expect("kill is there");
    assert_eq!(child.wait().expect("it is our child").code(), Some(0));
}

#[test]
fn what_is_nearly_a_url_is_helped() {
    let empty = tempfile::tempdir().expect("a directory");
    let asked = output(&["once", "127.0.0.1:8000", "--config", path(&empty)], &[]);
    assert_eq!(code(&asked), Some(2));
    assert_eq!(
        text(&asked.stderr),
        "error: `127.0.0.1:8000` is no name of a probe: for a URL write `http://127.0.0.1:8000`\n"
    );
    let health = output(&["health", "--url", "127.0.0.1:8080"], &[]);
    assert_eq!(code(&health), Some(2));
}

#[test]
fn notify_sends_a_test_message_and_says_what_was_answered() {
    let receiver = crate::servers::receiver::Receiver::start();
    let root = format!(
        "channels:\n  pager: {{ webhook: \"{}\" }}\n  away: {{ webhook: \"http://127.0.0.1:9/\" }}\nroutes: [{{ to: [pager] }}]\n",
        receiver.url
    );
    let directory = configuration(&[
        ("roundsman.yaml", root.as_str()),
        ("probes/p.yaml", "api: { http: \"http://127.0.0.1:9/\" }\n"),
        ("schedules/s.yaml", "often: { every: 30s, probes: [api] }\n"),
    ]);
    let notify = |more: &[&str]| {
        let mut arguments = vec!["--config", path(&directory), "notify"];
        arguments.extend(more);
        output(&arguments, &[])
    };
    let well = notify(&["pager"]);
    assert_eq!(well.status.code(), Some(0), "{}", text(&well.stderr));
    let lines = text(&well.stdout);
    assert!(lines.starts_with("opened    taken after ") && lines.contains("\nresolved  taken after "), "{lines}");
    let taken = receiver.taken();
    assert_eq!(taken.iter().map(|taken| taken.text("event")).collect::<Vec<_>>(), ["opened", "resolved"]);
    assert!(
        taken.iter().all(|taken| taken.text("incident").starts_with("TEST-") && taken.body["labels"]["test"] == "true")
    );
    assert_ne!(taken[0].key, taken[1].key);
    assert!(taken[0].text("summary").contains("this is a test of the channel pager"), "{taken:#?}");

    let unwell = notify(&["away", "--format", "json"]);
    assert_eq!(unwell.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_str(&text(&unwell.stdout)).expect("JSON");
    assert_eq!(
        (&told["attempts"][0]["outcome"], &told["attempts"][1]),
        (&"not taken".into(), &serde_json::Value::Null)
    );

    let usage = notify(&["pagr"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(text(&usage.stderr).ends_with("error: there is no channel `pagr`; did you mean `pager`?\n"));
    assert!(!directory.path().join("state").exists(), "nothing was stored");
}
