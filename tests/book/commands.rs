//! The commands of the book: the parser of the command line knows each, and those that make sense beside a demo are run there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::{CommandFactory as _, Parser as _};
use regex::Regex;
use roundsman::app::cli::Cli;

use crate::blocks::{self, Class};
use crate::pages::{Block, pages, root};
use crate::roundsman_process::{Daemon, output};

/// Programs that are not run, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("./tests/run", "it is what runs this"),
    ("aws", "it changes an account"),
    ("cargo", "it builds what this test is built of"),
    ("cd", "it is where the reader stands"),
    ("curl", "it asks a place of the reader's"),
    ("docker", "it needs a daemon of its own"),
    ("ecs", "it changes an account"),
    ("kubectl", "it needs a cluster"),
    ("openssl", "it makes a secret"),
    ("printf", "it only says again what another command said"),
    ("promtool", "the tests of rules run it"),
    ("sudo", "it changes the machine"),
    ("systemctl", "it changes the machine"),
    ("tests/deadman/run", "it brings 500 MB and takes ten minutes"),
];

/// Commands of ours that are parsed and not run, and why.
const NOT_RUN_HERE: &[(&str, &str)] = &[
    ("run", "the daemon ends when somebody ends it: the first hour runs it"),
    ("demo", "it is running"),
    ("aws cloudformation", "the demo has no dead-man's topic to be wrong about: `tests/real` applies what it prints"),
    ("drill --channel ops", "the demo has no topic of SNS"),
    ("drill --probes", "it takes minutes: `tests/real` does it"),
    ("plan --prices ours.yaml", "the reader's own file"),
    ("ack", "what it takes on is the reader's"),
    ("note", "what it writes is the reader's"),
    ("pause", "what nobody looks at is the reader's to say"),
    ("resume", "there is no pause"),
    ("silence 01KB2H8", "the incident is the reader's"),
    ("silence end", "the silence is the reader's"),
    ("trigger", "it is run where there was a round: `tests/real` does it"),
    ("notify", "the channel is the reader's: the first hour sends one"),
];

/// The page that has a test of its own.
const FIRST_HOUR: &str = "docs/first-hour.md:";

/// The token of the demo.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A command of ours in the book.
struct Shown {
    place: String,
    words: Vec<String>,
}

impl Shown {
    fn line(&self) -> String {
        self.words.join(" ")
    }

    /// Whether the reader has something to fill in.
    fn has_holes(&self) -> bool {
        let hole = |word: &String| word.contains('…') || word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
        self.words.iter().any(hole)
    }
}

/// The lines of a block that a shell takes, long ones put together.
pub fn lines(block: &Block) -> Vec<String> {
    let joined = block.text.replace("\\\n", " ");
    let shown = |line: &str| match blocks::class(block) {
        Some(Class::Output) => line.strip_prefix("$ ").map(ToOwned::to_owned),
        _ => Some(line.to_owned()),
    };
    joined
        .lines()
        .filter_map(shown)
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .collect()
}

/// A line as words, its quotes taken off and its comment left out.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            ('#', None) if word.is_none() => break,
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Our commands within a line: behind its beginning, a pipe, a separator or a substitution.
fn ours(line: &str) -> Vec<Vec<String>> {
    let call = Regex::new(r"(?:^|[|;&]|\$\()\s*(?:[A-Z_]+=\S+ )*(?:roundsman|cargo run --)((?: [^|;&)>\n]*)?)")
        .expect("a pattern");
    call.captures_iter(line).map(|found| words(&found[1])).collect()
}

fn shown() -> Vec<Shown> {
    let mut found = Vec::new();
    let blocks = blocks::of(Class::Commands).into_iter().chain(blocks::of(Class::Output));
    for block in blocks {
        for line in lines(&block) {
            let ours = ours(&line);
            // What a variable is set to is a command where it is in `$(…)`.
            let begin = |word: String| word.rsplit_once("=$(").map_or(word.clone(), |(_, begin)| begin.to_owned());
            let first = words(&line).into_iter().map(begin).find(|word| !word.contains('=')).unwrap_or_default();
            let known = NOT_RUN.iter().any(|(program, _)| *program == first);
            let in_first_hour = block.place.starts_with(FIRST_HOUR);
            assert!(
                !ours.is_empty() || known || in_first_hour || first.is_empty(),
                "{}: nobody says why `{first}` is not run",
                block.place
            );
            found.extend(ours.into_iter().map(|words| Shown { place: block.place.clone(), words }));
        }
    }
    found
}

/// The help of every command, as the program prints it.
pub fn help() -> String {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let mut text = String::new();
    describe(&mut cli, "roundsman", &mut text);
    text
}

fn describe(command: &mut clap::Command, called: &str, text: &mut String) {
    let hidden = |command: &clap::Command| command.is_hide_set() || command.get_name() == "help";
    for inner in command.get_subcommands_mut().filter(|inner| !hidden(inner)) {
        let called = format!("{called} {}", inner.get_name());
        let help = inner.render_help().to_string();
        let lines: Vec<_> = help.lines().map(str::trim_end).collect();
        text.extend([format!("### `{called}`\n\n```text\n{}\n```\n\n", lines.join("\n").trim())]);
        describe(inner, &called, text);
    }
}

#[test]
fn the_parser_knows_every_command_of_the_book() {
    let shown = shown();
    assert!(shown.len() > 20, "only {} commands were found", shown.len());
    let mut wrong = Vec::new();
    for command in &shown {
        let filled = command.words.iter().map(|word| word.replace(['[', ']'], ""));
        if let Err(error) = Cli::try_parse_from(std::iter::once("roundsman".to_owned()).chain(filled))
            && error.use_stderr()
        {
            wrong.push(format!("{}: {}\n{error}", command.place, command.line()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_that_prose_speaks_of_is_there() {
    let cli = Cli::command();
    let known: Vec<_> = cli.get_subcommands().map(clap::Command::get_name).collect();
    let said = Regex::new(r"`roundsman ([a-z][a-z-]*)").expect("a pattern");
    for page in pages() {
        for (line, text) in page.prose() {
            for found in said.captures_iter(text) {
                assert!(known.contains(&&found[1]), "{}:{line}: there is no command `{}`", page.path, &found[1]);
            }
        }
    }
}

#[test]
fn every_command_of_the_book_runs_beside_a_demo() {
    let directory = tempfile::tempdir().expect("a directory");
    copy(&root(), directory.path());
    let config = directory.path().to_str().expect("a path in UTF-8");
    let root_file = directory.path().join("roundsman.yaml");
    let text = fs::read_to_string(&root_file).expect("roundsman.yaml");
    let text = text
        .replace("\nweb:\n", "\nweb:\n  token: \"${secret:page}\"\n")
        .replace("\nsecrets:\n", "\nsecrets:\n  page: { file: page-token }\n");
    fs::write(&root_file, text).and_then(|()| fs::write(directory.path().join("page-token"), TOKEN)).expect("files");
    let demo = Daemon::start(&["demo", "--config", config], &[]);
    demo.wait_for("the page is at");
    let url = format!("http://{}", demo.address);
    let environment = [
        ("ROUNDSMAN_URL", url.as_str()),
        ("USER", "reader"),
        ("SHOPPER_PASSWORD", "x"),
        ("EXPORT_TOKEN", "0123456789abcdef"),
        ("PAGERDUTY_API_TOKEN", "x"),
    ];
    let mut outcomes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for command in shown() {
        let line = command.line();
        if command.place.starts_with(FIRST_HOUR) {
            continue;
        }
        let left_out = NOT_RUN_HERE.iter().find(|(words, _)| line.starts_with(words));
        if left_out.is_some() || command.has_holes() {
            outcomes.entry("parsed").or_default().push(line);
            continue;
        }
        let mut arguments: Vec<_> = command.words.iter().map(String::as_str).collect();
        arguments.extend(["--config", config]);
        let ended = output(&arguments, &environment);
        let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert!(matches!(ended.status.code(), Some(0 | 1)), "{}: {line}\n{said}", command.place);
        outcomes.entry("run").or_default().push(line);
    }
    crate::metrics::shown_as_the_book_says(&url, TOKEN);
    for (outcome, lines) in &outcomes {
        println!("{outcome}: {} commands: {}", lines.len(), lines.join("; "));
    }
    assert!(outcomes.get("run").is_some_and(|run| run.len() > 10), "{outcomes:?}");
}

/// The configuration of the repository.
pub fn copy(from: &Path, to: &Path) {
    for folder in ["probes", "schedules", "runbooks"] {
        fs::create_dir_all(to.join(folder)).expect("a folder");
        for entry in fs::read_dir(from.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            fs::copy(&path, to.join(folder).join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
    fs::copy(from.join("roundsman.yaml"), to.join("roundsman.yaml")).expect("a copy");
}
