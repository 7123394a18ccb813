//! The pages in a browser: each that links lead to, each button and form, wide and on a phone, light and dark, with and without a
//! script; and an open page, which stays current by itself. The pictures of the documentation are taken on the way:
//!
//! ```sh
//! PICTURES=docs/pictures cargo test --test real browser::
//! ```

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use reqwest::Method;
use roundsman::domain::pulse::TokenDigest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::commands::configuration;
use crate::operating::ask;
use crate::servers::python::interpreter;
use crate::servers::receiver::{Receiver, Target};
use crate::servers::roundsman::{Daemon, output};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What of the repository is public in the test.
const PUBLIC: &str = "public: { title: Styling Adventures, probes: [\"api-*\", \"shop*\"] }";

/// In so many ways people come.
const WAYS: usize = 8;

/// How long something may take that must come, in seconds.
const PATIENCE_S: usize = 180;

fn script(name: &str, arguments: &[&str]) -> Command {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let mut command = Command::new(interpreter());
    command.arg("-B").arg(directory.join(name)).arg("/usr/bin/chromium").args(arguments);
    command
}

/// Runs a script of `tests/browser` with Chromium, and prints what it printed.
fn browse(name: &str, arguments: &[&str]) {
    let output = script(name, arguments).output().expect("python starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}

fn url(daemon: &Daemon) -> String {
    format!("http://{}/", daemon.address)
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

/// What the API says.
fn read(daemon: &Daemon, path: &str) -> Value {
    ask(daemon, &Method::GET, path, &[("authorization", &bearer())], None).1
}

fn until(what: &str, daemon: &Daemon, holds: impl Fn() -> bool) {
    for _ in 0..PATIENCE_S {
        if holds() {
            return;
        }
        sleep(Duration::from_secs(1));
    }
    panic!("not in time: {what}\n{}", daemon.said());
}

fn has_open_incidents(daemon: &Daemon, number: usize) -> bool {
    read(daemon, "/api/v1/incidents")["open"].as_array().is_some_and(|open| open.len() >= number)
}

/// Where the pages are: some of it may be changed by whoever has the token, and some of it be seen by everybody.
fn web(public: &str) -> String {
    let digest = TokenDigest::of(TOKEN);
    format!(
        "web:\n  listen: \"${{env:ROUNDSMAN_LISTEN:-127.0.0.1:0}}\"\n  tokens: {{ operate: \"sha256:{digest}\" }}\n  \
         public: {{ title: What everybody sees, probes: {public} }}\n"
    )
}

/// The repository's configuration, where somebody may change something and everybody see something.
fn shop() -> TempDir {
    // Its pages show where it is.
    let to = tempfile::Builder::new().prefix("styling-adventures-").tempdir().expect("a directory");
    let from = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["probes", "schedules", "runbooks"] {
        fs::create_dir(to.path().join(folder)).expect("a folder");
        for entry in fs::read_dir(from.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            fs::copy(&path, to.path().join(folder).join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
    let root = fs::read_to_string(from.join("roundsman.yaml")).expect("a configuration");
    let opened = root
        .replace("\nweb:\n", &format!("\nweb:\n  tokens: {{ operate: \"${{secret:page}}\" }}\n  {PUBLIC}\n"))
        .replace("\nsecrets:\n", "\nsecrets:\n  page: { file: page }\n");
    assert!(opened.contains(PUBLIC) && opened.contains("file: page"), "roundsman.yaml is written otherwise");
    fs::write(to.path().join("roundsman.yaml"), opened).expect("a file");
    fs::write(to.path().join("page"), TOKEN).expect("a file");
    to
}

/// The demo on it, in which something is wrong.
fn broken_shop() -> (TempDir, Daemon) {
    let directory = shop();
    let (config, state) = (directory.path().to_str().expect("UTF-8").to_owned(), directory.path().join("state"));
    let arguments = ["demo", "--break", "database", "--config", &config];
    let demo = Daemon::start(&arguments, &[("STATE_DIRECTORY", state.to_str().expect("UTF-8"))]);
    // The shop breaks after twenty seconds, and the page comes with the second run that fails.
    until("an incident", &demo, || has_open_incidents(&demo, 1));
    (directory, demo)
}

/// A site with a probe for each way of coming, another that is public, and more on a schedule than one part of a page holds;
/// half of its messages nobody takes, and each is told by itself.
fn watching(target: &Target, receiver: &Receiver) -> TempDir {
    let mut probes = format!("api: {{ http: \"{}\", labels: {{ title: The shop }} }}\n", target.url);
    for way in 0..WAYS {
        let _ = writeln!(probes, "way-{way}: {{ http: \"{}\", labels: {{ way: \"{way}\" }} }}", target.url);
    }
    for number in 0..100 {
        let _ = writeln!(probes, "slow-{number:03}: {{ tcp: \"127.0.0.1:9\" }}");
    }
    let root = format!(
        "{}group: {{ by: way, wait: 0s, limit: 1000 }}\n\
         channels: {{ team: {{ webhook: \"{}\" }}, nowhere: {{ webhook: \"http://127.0.0.1:9/\" }} }}\n\
         routes: [{{ to: [team, nowhere] }}]\n",
        web("[api]"),
        receiver.url
    );
    configuration(&[
        ("roundsman.yaml", &root),
        ("probes/p.yaml", &probes),
        (
            "schedules/s.yaml",
            "often: { every: 1s, probes: [api, \"way-*\"], alert: { after: 1, severity: P1 } }\n\
             slow: { every: 24h, probes: [\"slow-*\"] }\n",
        ),
    ])
}

/// Takes the pictures of a site, of which the documentation has each.
fn picture(daemon: &Daemon, site: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = tempfile::tempdir().expect("a directory");
    let directory = std::env::var_os("PICTURES").map_or_else(|| home.path().to_owned(), |wanted| root.join(wanted));
    fs::create_dir_all(&directory).expect("a directory");
    browse("pictures.py", &[&url(daemon), TOKEN, directory.to_str().expect("UTF-8"), site]);
    for taken in fs::read_dir(directory).expect("a directory") {
        let name = taken.expect("a picture").file_name();
        let is_known = root.join("docs/pictures").join(&name).exists();
        assert!(is_known, "docs/pictures has no {}: PICTURES=docs/pictures takes it", name.display());
    }
}

/// Looks at every page of a site.
fn visit(daemon: &Daemon, more: &[&str]) {
    browse("visit.py", &[&[&*url(daemon), TOKEN, "public"], more].concat());
}

#[test]
fn every_page_is_whole_for_everybody() {
    let (_directory, demo) = broken_shop();
    let id = acknowledge(&demo, "api-health");
    picture(&demo, "shop");
    // By then it may be over, and what can be done about it no link away.
    let forms = ["acknowledge", "note", "silence"].map(|form| format!("incidents/{id}/{form}"));
    visit(&demo, &["--every", &forms[0], &forms[1], &forms[2]]);
}

#[test]
fn pages_of_hundreds_of_probes_are_whole_too() {
    let (home, target) = (tempfile::tempdir().expect("a directory"), Target::start());
    let directory = hundreds(home.path(), &target.url);
    let daemon = Daemon::run(&directory, &[]);
    until("runs", &daemon, || has_run(&daemon));
    picture(&daemon, "hundreds");
    visit(&daemon, &[]);
}

#[test]
fn pages_of_long_names_and_of_nothing_are_whole_too() {
    let (target, receiver) = (Target::start(), Receiver::start());
    target.set(false);
    let directory = long_names(&target, &receiver);
    let daemon = Daemon::run(directory.path(), &[]);
    until("incidents", &daemon, || has_open_incidents(&daemon, 2));
    picture(&daemon, "long");
    visit(&daemon, &[]);
    let directory = nothing();
    let daemon = Daemon::run(directory.path(), &[]);
    picture(&daemon, "empty");
    visit(&daemon, &[]);
}

#[test]
fn every_button_does_what_it_says_in_every_way() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = watching(&target, &receiver);
    let daemon = Daemon::run(directory.path(), &[]);
    target.set(false);
    until("an incident for each way", &daemon, || has_open_incidents(&daemon, WAYS + 1));
    browse("press.py", &[&url(&daemon), TOKEN]);
}

#[test]
fn an_open_page_stays_current_and_says_when_it_is_not() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let directory = watching(&target, &receiver);
    let mut daemon = Some(Daemon::run(directory.path(), &[]));
    let address = daemon.as_ref().expect("it runs").address;
    let mut child = script("live.py", &[&format!("http://{address}/"), TOKEN])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut answer = child.stdin.take().expect("its input");
    let mut said = String::new();
    for line in BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok) {
        match line.as_str() {
            "the target fails" => target.set(false),
            "the target is well" => target.set(true),
            "it is acknowledged" => drop(acknowledge(daemon.as_ref().expect("it runs"), "api")),
            "the daemon stops" => assert!(daemon.take().expect("it runs").terminate().0.success()),
            "the daemon starts" => {
                daemon = Some(Daemon::run(directory.path(), &[("ROUNDSMAN_LISTEN", &address.to_string())]));
            }
            _ => {
                said = said + &line + "\n";
                continue;
            }
        }
        writeln!(answer, "done").expect("it listens");
    }
    assert!(child.wait().expect("it is our child").success(), "{said}");
}

/// Bob has it: the incident.
fn acknowledge(daemon: &Daemon, probe: &str) -> String {
    let open = read(daemon, "/api/v1/incidents");
    let of_probe = |incident: &&Value| incident["probe"] == probe;
    let id = open["open"].as_array().into_iter().flatten().find(of_probe).expect("an incident")["id"].clone();
    let id = id.as_str().expect("an id").to_owned();
    let path = format!("/api/v1/incidents/{id}/acknowledge");
    let headers = [("authorization", &*bearer()), ("content-type", "application/json")];
    let (status, said) = ask(daemon, &Method::POST, &path, &headers, Some(json!({ "by": "bob" }).to_string()));
    assert_eq!(status, 200, "{said}");
    id
}

/// Hundreds of probes with a week behind them.
fn hundreds(home: &Path, target: &str) -> PathBuf {
    let directory = home.join("hundreds");
    let size = ["--probes=300", "--days=7", "--runs=200000", "--target", target];
    let made = output(&[&["generate", directory.to_str().expect("UTF-8")], &size[..]].concat(), &[]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let file = directory.join("roundsman.yaml");
    let root = fs::read_to_string(&file).expect("a configuration");
    let digest = TokenDigest::of(TOKEN);
    let opened = root.replace(
        "web: { ",
        &format!(
            "web: {{ tokens: {{ operate: \"sha256:{digest}\" }}, public: {{ title: Generated, probes: [\"*\"] }}, "
        ),
    );
    fs::write(file, opened).expect("a file");
    directory
}

/// Whether its past is there.
fn has_run(daemon: &Daemon) -> bool {
    read(daemon, "/api/v1/status")["tally"]["passed"].as_u64().is_some_and(|passed| passed > 50)
}

/// Names, labels and failures as long as they may be, and no place where they could be broken well.
fn long_names(target: &Target, receiver: &Receiver) -> TempDir {
    let long = |text: &str, length: usize| text.repeat(length.div_ceil(text.len()))[..length].to_owned();
    let name = long("donaudampfschifffahrtselektrizitaeten", 120);
    let label = long("Hauptbetriebswerkbauunterbeamtengesellschaft", 120);
    let probes = format!(
        "{name}: {{ http: \"{0}\", labels: {{ {1}: {label}, team: \"{2}\" }} }}\n\
         way: {{ http: \"{0}?{3}\", expect: 'body.contains(\"{4}\")', labels: {{ title: \"{label}\" }} }}\n",
        target.url,
        long("label_of_a_great_length_", 60),
        long("a team of many words ", 100),
        long("query=of&great=length&", 600),
        long("what is expected at great length ", 400)
    );
    let site = long("Unternehmensberatungsgesellschaft", 100);
    let root = format!(
        "site: {site}\n{}\
         channels: {{ {}: {{ webhook: \"{}\" }}, nowhere: {{ webhook: \"http://127.0.0.1:9/{}\" }} }}\n\
         routes: [{{ to: [{}, nowhere] }}]\n",
        web("[\"*\"]"),
        long("channel-of-a-great-length-", 100),
        receiver.url,
        long("a/great/length/", 300),
        long("channel-of-a-great-length-", 100),
    );
    let schedule = long("schedule-of-a-great-length-", 100);
    configuration(&[
        ("roundsman.yaml", &root),
        ("probes/p.yaml", &probes),
        (
            "schedules/s.yaml",
            &format!("{schedule}: {{ every: 1s, probes: [\"*\"], alert: {{ after: 1, severity: P1 }} }}\n"),
        ),
    ])
}

/// A site that has only begun.
fn nothing() -> TempDir {
    configuration(&[
        ("roundsman.yaml", &web("[first]")),
        ("probes/p.yaml", "first: { tcp: \"127.0.0.1:9\" }\n"),
        ("schedules/s.yaml", "daily: { every: 24h, probes: [first] }\n"),
    ])
}
