//! The files and the parts of files that the book shows are loaded as `validate` does. What a block does not say itself is
//! said here, so that a page may show the part that it is about.
//!
//! A whole file is `yaml roundsman.yaml`, `yaml probes/NAME.yaml` or `yaml schedules/NAME.yaml`; a part is `yaml schedule`,
//! `yaml objective` or `yaml channel`, the inside of one. Beside it stand the probes, channels and schedules below, unless the
//! block has its own of the same name, and every secret and variable that it uses. A block that is a mistake says so, and what
//! `validate` answers stands in the block behind it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use regex::Regex;
use roundsman::app::wiring::KINDS;
use roundsman::clock::SystemClock;
use roundsman::config::load::{Surroundings, load};
use roundsman::net::client;

use crate::blocks::{Class, class};
use crate::pages::{Block, pages};

/// The probes that pages speak of.
const PROBES: &[(&str, &str)] = &[
    ("api-health", "{ http: https://api.example.com/health, labels: { service: api } }"),
    ("cache", "{ redis: \"cache.internal:6379\" }"),
    ("database", "{ tcp: \"db.internal:5432\" }"),
    ("orders", "{ each: { new: /new, old: /old }, http: \"https://orders.example.com${each:value}\" }"),
    (
        "pages",
        "{ each: { home: /, cart: /cart }, http: \"https://shop.example.com${each:value}\", labels: { tier: suite } }",
    ),
    ("shop-home", "{ http: https://shop.example.com/ }"),
    (
        "shopper-journey",
        "{ steps: [{ name: log-in, http: https://shop.example.com/a }, { name: add-to-wardrobe, http: https://shop.example.com/b }] }",
    ),
];

/// The channels that pages speak of.
const CHANNELS: &[(&str, &str)] = &[
    ("desk", "{ webhook: https://desk.example.com/ }"),
    ("oncall", "{ pagerduty: \"${secret:oncall_key}\" }"),
    ("ops", "{ sns: \"arn:aws:sns:us-east-1:123456789012:ops\" }"),
    ("scale", "{ webhook: https://scale.example.com/users }"),
    ("team", "{ slack: \"${secret:team_hook}\" }"),
];

/// The schedules that pages speak of, each of which runs everything.
const SCHEDULES: &[(&str, &str)] =
    &[("reachability", "every: 30s"), ("journeys", "every: 5m"), ("hourly", "cron: \"0 * * * *\"")];

/// What runs whatever a block leaves on no schedule, seldom enough for any budget.
const REST: &str = "rest: { every: 24h, probes: [\"*\"] }\n";

/// The root file of a block that is none.
const ROUTED: &str = "channels:\n  team: { slack: \"${secret:team_hook}\" }\nsecrets:\n  team_hook: { env: SHOWN }\nroutes: [{ to: [team] }]\n";

/// A configuration around a block.
struct Files {
    root: String,
    probes: String,
    schedules: String,
}

impl Files {
    fn around(block: &Block) -> Self {
        let (_, file) = block.info.split_once(' ').unwrap_or_default();
        let file = file.strip_suffix(" mistake").unwrap_or(file);
        let text = &block.text;
        let inside = |before: &str, indent: usize| format!("{before}\n{}", indented(text, indent));
        let own = |known: &'static [(&'static str, &'static str)], names: &BTreeSet<String>| -> String {
            known
                .iter()
                .filter(|(name, _)| !names.contains(*name))
                .map(|(name, body)| format!("{name}: {body}\n"))
                .collect::<Vec<_>>()
                .concat()
        };
        let (mut root, mut probes, mut schedules) = (String::new(), own(PROBES, &BTreeSet::new()), String::new());
        match file {
            "roundsman.yaml" => root.clone_from(text),
            "channel" => root = inside("channels:\n  shown:", 4),
            "schedule" => schedules = inside("shown:\n  every: 30s\n  probes: [api-health]", 2),
            "objective" => {
                schedules = inside(
                    "shown:\n  every: 30s\n  probes: [api-health]\n  objectives:\n    - success: 99%\n      over: 30d",
                    6,
                );
            }
            _ if file.starts_with("schedules/") => schedules.clone_from(text),
            _ => probes = format!("{text}\n{}", own(PROBES, &keys(text))),
        }
        if root.is_empty() {
            ROUTED.clone_into(&mut root);
        }
        let missing = |name: &str| text.contains(name) && !keys(&schedules).contains(name);
        let spoken_of = SCHEDULES
            .iter()
            .filter(|(name, _)| missing(name))
            .map(|(name, cadence)| format!("\n{name}: {{ {cadence}, probes: [\"*\"] }}"))
            .collect::<Vec<_>>();
        schedules.extend([spoken_of.concat().as_str(), "\n", REST]);
        complete(&mut root, &[text, &probes]);
        Self { root, probes, schedules }
    }

    /// What loading says, and whether there is a plan. Where a block has no routes one leads to each of its channels.
    fn load(&mut self, block: &Block) -> (String, bool) {
        let first = self.load_once(block);
        let unreached = found(r"no route leads to the channel `([^`]+)`", &first.0);
        if self.root.contains("routes:") || unreached.is_empty() {
            return first;
        }
        self.root.extend([format!("\nroutes: [{{ to: [{}] }}]\n", unreached.join(", "))]);
        self.load_once(block)
    }

    fn load_once(&self, block: &Block) -> (String, bool) {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).and_then(|()| fs::write(path, text)).expect("a file");
        };
        write("roundsman.yaml", &self.root);
        write("probes/shown.yaml", &self.probes);
        write("schedules/shown.yaml", &self.schedules);
        let identity = rcgen::generate_simple_self_signed(["example.com".to_owned()]).expect("a certificate");
        for path in found(r"\$\{file:([^}]+)\}", &block.text) {
            write(&path, &identity.cert.pem());
        }
        for path in found(r"runbook: (runbooks/[a-z-]+\.md)", &block.text) {
            write(&path, "# A runbook\n");
        }
        for path in found(r"(?m)^ +(?:file|directory): ([a-z./-]+)", &block.text) {
            write(&path, "");
        }
        let loaded = load(directory.path(), &surroundings());
        (loaded.problems.render(false), loaded.plan.is_some())
    }
}

/// Adds to the root file what is spoken of and not there.
fn complete(root: &mut String, texts: &[&str]) {
    let used = |pattern: &str| texts.iter().flat_map(|text| found(pattern, text)).collect::<BTreeSet<_>>();
    let own = |key: &str, root: &str| -> BTreeSet<String> {
        let lines = root.lines().skip_while(|line| !line.starts_with(&format!("{key}:"))).skip(1);
        let inner = lines.take_while(|line| line.starts_with(' ') || line.is_empty());
        found(r"(?m)^  ([\w-]+):", &inner.collect::<Vec<_>>().join("\n")).into_iter().collect()
    };
    let mut add = |key: &str, name: &str, body: &str| {
        if own(key, root).contains(name)
            || Regex::new(&format!(r"(?m)^{key}: .*\b{name}:")).expect("a pattern").is_match(root)
        {
            return;
        }
        let head = Regex::new(&format!(r"(?m)^{key}:[^\n{{]*(\{{ ?)?")).expect("a pattern");
        match head.find(root) {
            Some(there) if there.as_str().contains('{') => root.insert_str(there.end(), &format!("{name}: {body}, ")),
            Some(_) => {
                let line =
                    root.lines().position(|line| line.starts_with(&format!("{key}:"))).expect("it was found") + 1;
                let mut lines: Vec<_> = root.lines().map(ToOwned::to_owned).collect();
                lines.insert(line, format!("  {name}: {body}"));
                *root = lines.join("\n");
            }
            None => root.extend([format!("\n{key}:\n  {name}: {body}\n")]),
        }
    };
    let spoken_of =
        |name: &str| texts.iter().any(|text| Regex::new(&format!(r"\b{name}\b")).expect("a pattern").is_match(text));
    for (name, body) in CHANNELS.iter().filter(|(name, _)| spoken_of(name)) {
        add("channels", name, body);
    }
    for name in used(r"\$\{(?:secret|totp):([\w-]+)\}").iter().map(String::as_str).chain(
        ["oncall_key", "team_hook"].into_iter().filter(|name| spoken_of(name.split('_').next().unwrap_or_default())),
    ) {
        add("secrets", name, "{ env: SHOWN }");
    }
    for name in used(r"\$\{var:([\w-]+)\}") {
        add("vars", &name, "\"http://127.0.0.1:4280\"");
    }
}

fn keys(text: &str) -> BTreeSet<String> {
    found(r"(?m)^([\w-]+):", text).into_iter().collect()
}

fn found(pattern: &str, text: &str) -> Vec<String> {
    Regex::new(pattern).expect("a pattern").captures_iter(text).map(|found| found[1].to_owned()).collect()
}

fn indented(text: &str, by: usize) -> String {
    let least =
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| line.len() - line.trim_start().len()).min();
    let cut = |line: &str| line.get(least.unwrap_or_default()..).unwrap_or_default().to_owned();
    text.lines().map(|line| format!("{:by$}{}\n", "", cut(line))).collect::<Vec<_>>().concat()
}

fn surroundings() -> Surroundings {
    Surroundings {
        kinds: KINDS,
        environment: Arc::new(|name| (name == "SHOWN").then(|| "shown".to_owned())),
        clock: Arc::new(SystemClock::start()),
        http: client::shared().expect("a client"),
        pulses: Arc::default(),
        billed: roundsman::app::aws::billed::billed,
    }
}

#[test]
fn every_file_in_the_book_is_as_validate_wants_it() {
    let mut wrong = Vec::new();
    for page in pages() {
        let blocks = page.blocks();
        for (index, block) in blocks.iter().enumerate().filter(|(_, block)| class(block) == Some(Class::Configuration))
        {
            let (said, has_plan) = Files::around(block).load(block);
            let answer = blocks.get(index + 1).filter(|_| block.info.ends_with(" mistake"));
            let expected =
                answer.map(|answer| answer.text.replace("probes/shop.yaml", "probes/shown.yaml")).unwrap_or_default();
            let as_it_is_called = has_plan != block.info.ends_with(" mistake");
            if !as_it_is_called || said.trim_end() != expected.trim_end() {
                wrong.push(format!("{}: {}\n{said}", block.place, block.info));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
