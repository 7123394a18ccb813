//! Every mistake that people make in the files, each with the exact text that it is answered with.
//!
//! `tests/bad/probes/<what>.yaml` is laid beside a small valid rest as a file of `probes/`, and what loading says is compared
//! with `<what>.txt`; `schedules/` and `root/` (the file `roundsman.yaml`) go the same way, and `whole/<what>/` is a
//! configuration by itself. To accept the texts as they now are: `BLESS=1 cargo test --test bad`, then read the difference.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use roundsman::app::wiring::KINDS;
use roundsman::clock::SystemClock;
use roundsman::config::load::{Loaded, Surroundings, load};
use roundsman::net::client;
use roundsman::settings::Level;

/// The value of a secret, which no text may hold.
const CANARY: &str = "canary-7f3a-never-print-me";

/// What stands in the bad files as a password that somebody wrote down; no text may repeat it.
const PASSWORD: &str = "opensesame";

/// What is wrong there is wrong with no place in a file.
const PLACELESS: &[&str] = &["whole/folder-misspelt", "whole/no-files", "whole/no-probe", "whole/no-schedules"];

const ROOT: &str = "\
secrets: { shopper: { env: CANARY } }
channels: { pager: { webhook: \"http://127.0.0.1:4281/\" } }
routes: [{ to: [pager] }]
vars: { api: \"http://127.0.0.1:4280\", place: \"${env:CANARY}\" }
";

const PROBES: &str = "\
home: { http: https://shop.example.com/, labels: { tier: suite } }
api-health: { http: https://api.example.com/health }
asked: { http: https://asked.example.com/, on_request: true }
";

const SCHEDULES: &str = "often: { every: 30s, probes: [\"*\"] }\n";

/// One bad file, or one bad directory.
struct Case {
    /// Its path without the extension, under `tests/bad`.
    name: String,
    path: PathBuf,
}

#[test]
fn every_mistake_is_answered_with_its_text() {
    let surroundings = surroundings();
    let cases = cases();
    assert!(cases.len() >= 200, "only {} cases were found", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|case| check(case, &surroundings).err()).collect();
    assert!(wrong.is_empty(), "{} of {} are wrong:\n\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

#[test]
fn what_is_not_a_file_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    valid(directory.path());
    let fifo = directory.path().join("probes/pipe.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::create_dir(directory.path().join("schedules/folder.yaml")).unwrap();
    fs::remove_file(directory.path().join("roundsman.yaml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", directory.path().join("roundsman.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere", directory.path().join("probes/link.yaml")).unwrap();
    let (tell, told) = mpsc::channel();
    let path = directory.path().to_owned();
    std::thread::spawn(move || tell.send(load(&path, &surroundings()).problems.render(false)));
    // Far beyond what it takes, for a slow machine; a pipe would be waited for without end.
    let text = told.recv_timeout(Duration::from_secs(30)).expect("it waits for a pipe");
    assert_eq!(
        text,
        "probes/link.yaml:1:1: error: the file cannot be read: No such file or directory (os error 2)\n\n\
         probes/pipe.yaml:1:1: error: this is not a plain file\n\n\
         roundsman.yaml:1:1: error: this is not a plain file\n\n\
         schedules/folder.yaml:1:1: error: this is not a plain file\n"
    );
}

#[test]
fn a_root_file_that_leads_nowhere_is_not_an_absent_one() {
    let directory = tempfile::tempdir().unwrap();
    valid(directory.path());
    fs::remove_file(directory.path().join("roundsman.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere", directory.path().join("roundsman.yaml")).unwrap();
    let loaded = load(directory.path(), &surroundings());
    assert!(loaded.plan.is_none());
    assert!(loaded.problems.render(false).starts_with("roundsman.yaml:1:1: error: the file cannot be read"));
}

#[test]
fn the_rest_beside_the_mistakes_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    valid(directory.path());
    let loaded = load(directory.path(), &surroundings());
    assert_eq!(loaded.problems.render(false), "");
    assert!(loaded.plan.is_some());
}

#[test]
fn the_files_of_the_repository_are_valid() {
    let directory = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["probes", "schedules", "runbooks"] {
        fs::create_dir(directory.path().join(folder)).unwrap();
        copy(&root.join(folder), &directory.path().join(folder));
    }
    fs::copy(root.join("roundsman.yaml"), directory.path().join("roundsman.yaml")).unwrap();
    let loaded = load(directory.path(), &surroundings());
    assert_eq!(loaded.problems.render(false), "");
    assert!(loaded.plan.is_some());
}

fn check(case: &Case, surroundings: &Surroundings) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    lay(case, directory.path());
    let loaded = load(directory.path(), surroundings);
    let text = loaded.problems.render(false).replace(&directory.path().display().to_string(), "DIR");
    let beside = case.path.with_extension("txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&beside, &text).unwrap();
    }
    let said = |what: &str| Err(format!("tests/bad/{}: {what}\n{text}", case.name));
    sound(case, &loaded, &text).or_else(|what| said(&what))?;
    let expected = fs::read_to_string(&beside).unwrap_or_default();
    if expected == text { Ok(()) } else { said(&format!("expected\n{expected}\nand it says")) }
}

/// What holds for every text.
fn sound(case: &Case, loaded: &Loaded, text: &str) -> Result<(), String> {
    let errors: Vec<_> =
        loaded.problems.sorted().into_iter().filter(|problem| problem.level == Level::Error).cloned().collect();
    if errors.is_empty() || loaded.plan.is_some() {
        return Err("there is a plan".to_owned());
    }
    if PLACELESS.contains(&case.name.as_str()) == errors.iter().all(|problem| problem.at.is_some()) {
        return Err("an error has no place".to_owned());
    }
    let json = loaded.problems.to_json().to_string();
    if [CANARY, PASSWORD].iter().any(|secret| text.contains(secret) || json.contains(secret)) {
        return Err("a secret is shown".to_owned());
    }
    match text.chars().find(|c| c.is_control() && *c != '\n') {
        Some(control) => Err(format!("{control:?} is shown as it is")),
        None => Ok(()),
    }
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut cases = Vec::new();
    for folder in ["probes", "schedules", "root", "whole"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let has_case = ["yaml", ""].iter().any(|extension| path.with_extension(extension).exists());
            assert!(has_case, "{} stands beside nothing", path.display());
            if path.is_dir() || path.extension().is_some_and(|extension| extension == "yaml") {
                let name = format!("{folder}/{}", path.file_stem().unwrap().to_string_lossy());
                cases.push(Case { name, path });
            }
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// Puts a case where the configuration expects it.
fn lay(case: &Case, directory: &Path) {
    let (folder, name) = case.name.split_once('/').unwrap();
    if folder == "whole" {
        return copy(&case.path, directory);
    }
    valid(directory);
    let place = if folder == "root" { "roundsman.yaml".to_owned() } else { format!("{folder}/{name}.yaml") };
    fs::copy(&case.path, directory.join(place)).unwrap();
}

fn valid(directory: &Path) {
    for folder in ["probes", "schedules"] {
        fs::create_dir(directory.join(folder)).unwrap();
    }
    fs::write(directory.join("roundsman.yaml"), ROOT).unwrap();
    fs::write(directory.join("probes/good.yaml"), PROBES).unwrap();
    fs::write(directory.join("schedules/good.yaml"), SCHEDULES).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir(&place).unwrap();
            copy(&path, &place);
        } else {
            fs::copy(&path, &place).unwrap();
        }
    }
}

fn surroundings() -> Surroundings {
    let environment = |name: &str| match name {
        "CANARY" => Some(CANARY.to_owned()),
        "WORD" => Some("fast".to_owned()),
        _ => None,
    };
    Surroundings {
        kinds: KINDS,
        environment: Arc::new(environment),
        clock: Arc::new(SystemClock::start()),
        http: client::shared().unwrap(),
        pulses: Arc::default(),
        billed: roundsman::app::aws::billed::billed,
    }
}
