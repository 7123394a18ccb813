//! A stranger's first hour: the page is followed as it is written, block by block.
//!
//! Files are written by the names behind their fences, and commands go to a shell in one directory. What a block of output shows
//! must come of the commands before it, each line of it within a minute and by a line of its own, where `…` stands for anything. Ports are others than in the page, so that whoever
//! has one of them can test too, and what would leave the machine goes to the receiver of the page.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::blocks::{Class, class};
use crate::pages::named;

/// How long a line of output may take.
const LINE_MAX: Duration = Duration::from_secs(60);

/// Beginnings of lines that are left out, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("cargo install", "what it builds is what is tested"),
    ("roundsman demo", "tests/real runs it"),
    ("mkdir -p rounds", "the directory is the test's"),
    ("cd rounds", "the directory is the test's"),
];

/// What runs in the background, and the port at which it listens.
const LISTENERS: &[(&str, &str)] = &[("http.server", "8000"), ("receiver.py", "9000"), ("roundsman run", "8080")];

/// What all programs said so far.
#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    news: Condvar,
}

/// Programs that run until the hour is over.
struct Background(Vec<Child>);

impl Drop for Background {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let group = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
            let _ = child.wait();
        }
    }
}

fn collect(said: &Arc<Said>, output: impl Read + Send + 'static) -> std::thread::JoinHandle<()> {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            said.lines.lock().expect("no reader panics").push(line);
            said.news.notify_all();
        }
    })
}

/// Whether a line is as the page shows it.
fn is_like(line: &str, shown: &str) -> bool {
    let pieces: Vec<&str> = shown.split('…').collect();
    let mut rest = line;
    for (index, piece) in pieces.iter().enumerate() {
        let piece = piece.trim();
        match rest.find(piece) {
            Some(0) => rest = &rest[piece.len()..],
            Some(at) if index > 0 => rest = &rest[at + piece.len()..],
            _ => return false,
        }
    }
    pieces.last().is_none_or(|last| last.is_empty()) && pieces.len() > 1 || rest.is_empty()
}

/// Whether each of the lines that are shown has come, by a line of its own. What more lines are like chooses last.
fn have_come(lines: &[String], shown: &[&str]) -> bool {
    let mut like: Vec<Vec<usize>> = shown
        .iter()
        .map(|shown| lines.iter().enumerate().filter(|(_, line)| is_like(line, shown)).map(|(at, _)| at).collect())
        .collect();
    like.sort_by_key(Vec::len);
    let mut taken = Vec::new();
    like.iter().all(|like| like.iter().find(|at| !taken.contains(*at)).map(|at| taken.push(*at)).is_some())
}

impl Said {
    fn count(&self) -> usize {
        self.lines.lock().expect("no reader panics").len()
    }

    /// Waits until, from a line on, all the lines have come that are shown.
    fn wait_for(&self, from: usize, shown: &str, place: &str) {
        let shown: Vec<_> = shown.lines().filter(|line| !line.is_empty()).collect();
        let lines = self.lines.lock().expect("no reader panics");
        let missing = |lines: &mut Vec<String>| !have_come(&lines[from..], &shown);
        let (lines, timed_out) = self.news.wait_timeout_while(lines, LINE_MAX, missing).expect("no reader panics");
        assert!(!timed_out.timed_out(), "{place}: not all of {shown:#?} came; there is\n{}", lines[from..].join("\n"));
    }
}

/// Waits until somebody listens, as a reader does who goes to another terminal.
fn listens(port: &str) {
    const PAUSE: Duration = Duration::from_millis(50);
    for _ in 0..LINE_MAX.as_millis() / PAUSE.as_millis() {
        if TcpStream::connect(format!("127.0.0.1:{port}")).is_ok() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("nobody listens at {port}");
}

fn shell(script: &str, directory: &Path) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_roundsman"));
    let path =
        format!("{}:{}", program.parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-euc", script]).current_dir(directory).env("PATH", path).stdin(Stdio::null());
    for name in
        ["ROUNDSMAN_URL", "ROUNDSMAN_TOKEN", "ROUNDSMAN_LISTEN", "SLACK_WEBHOOK", "NTFY_TOPIC", "STATE_DIRECTORY"]
    {
        command.env_remove(name);
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true").stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command
}

#[test]
fn the_first_hour_goes_as_it_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    for folder in ["site", "probes", "schedules"] {
        fs::create_dir(directory.path().join(folder)).expect("a folder");
    }
    let free: Vec<_> =
        ["8000", "8080", "9000"].map(|known| (known, TcpListener::bind("127.0.0.1:0").expect("a port"))).into();
    let ports: Vec<_> =
        free.iter().map(|(known, free)| (*known, free.local_addr().expect("an address").port().to_string())).collect();
    drop(free);
    let here = |text: &str| {
        let text = text.replace("https://ntfy.sh/${", "http://127.0.0.1:9000/${");
        ports.iter().fold(text, |text, (known, port)| text.replace(known, port))
    };
    let said = Arc::new(Said::default());
    let mut background = Background(Vec::new());
    let mut exported = String::new();
    let (mut followed, mut from) = (0, None);
    for block in named("docs/first-hour.md").blocks() {
        let (_, file) = block.info.split_once(' ').unwrap_or_default();
        match class(&block) {
            Some(Class::Configuration | Class::Python) => {
                fs::write(directory.path().join(file), here(&block.text)).expect("a file");
            }
            Some(Class::Commands) => {
                from.get_or_insert_with(|| said.count());
                let left_out = |line: &&str| LEFT_OUT.iter().any(|(beginning, _)| line.starts_with(beginning));
                let lines: Vec<_> = block.text.lines().filter(|line| !left_out(line)).map(here).collect();
                let script = format!("{exported}{}", lines.join("\n"));
                exported
                    .extend(lines.iter().filter(|line| line.starts_with("export ")).map(|line| format!("{line}\n")));
                let mut child = shell(&script, directory.path()).spawn().expect("bash is there");
                let output = collect(&said, child.stdout.take().expect("it is piped"));
                let errors = collect(&said, child.stderr.take().expect("it is piped"));
                if file == "background" {
                    background.0.push(child);
                    let known = LISTENERS.iter().find(|(program, _)| block.text.contains(program));
                    let (_, port) = known.unwrap_or_else(|| panic!("{}: nobody knows where it listens", block.place));
                    listens(&here(port));
                } else {
                    let status = child.wait().expect("it is our child");
                    output.join().expect("a reader");
                    errors.join().expect("a reader");
                    let lines = said.lines.lock().expect("no reader panics");
                    assert!(status.success(), "{}:\n{script}\n{}", block.place, lines.join("\n"));
                }
                followed += 1;
            }
            Some(Class::Output) => {
                let from = from.take().unwrap_or_else(|| panic!("{}: no command gives it", block.place));
                said.wait_for(from, &block.text, &block.place);
            }
            _ => panic!("{}: the first hour has no use for `{}`", block.place, block.info),
        }
    }
    assert!(followed > 8, "only {followed} blocks were followed");
}

#[test]
fn lines_are_like_what_is_shown() {
    for (line, shown) in [
        ("a b c", "a…c"),
        ("a b c", "…b…"),
        ("a b c", "a b c"),
        ("opened    taken after 3 ms", "opened … taken after …"),
    ] {
        assert!(is_like(line, shown), "{line}: {shown}");
    }
    for (line, shown) in [("a b c", "b…"), ("a b c", "a…d…"), ("a b c", "a b"), ("a b c", "a…b")] {
        assert!(!is_like(line, shown), "{line}: {shown}");
    }
}

#[test]
fn what_is_shown_comes_by_lines_of_its_own() {
    let lines = ["a b", "b c"].map(str::to_owned);
    assert!(have_come(&lines, &["…b…", "a…"]) && have_come(&lines, &["b…"]));
    assert!(!have_come(&lines, &["a…", "a…"]) && !have_come(&lines, &["…c", "a…", "…b…"]));
}
