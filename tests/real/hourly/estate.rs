//! The estate and its tier.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{backups, logs};
use crate::commands::configuration;
use crate::servers::moto::Moto;
use crate::servers::roundsman::output;

/// The second region, where copies are.
pub const WEST: &str = "us-west-2";

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// An estate with a configuration that watches it.
pub struct Estate {
    /// The AWS of it.
    pub moto: Moto,
    /// The configuration.
    pub directory: TempDir,
    /// What there is of backups, as `tests/moto/estate.py` is told.
    pub known: Value,
}

/// What a round saw that is not well: the probe, and its failures each on a line.
pub type Unwell = BTreeMap<String, Vec<String>>;

impl Estate {
    /// One where all is well.
    pub async fn open() -> Self {
        let moto = Moto::with_estate();
        let directory = configuration(&[
            ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN:-127.0.0.1:0}\" }\n"),
            ("schedules/tiers.yaml", "hourly: { cron: \"0 * * * *\", timeout: 50m, probes: [\"*\"] }\n"),
            ("probes/backups.yaml", backups::PROBES),
        ]);
        let mut estate = Self { moto, directory, known: well() };
        backups::build(&mut estate).await;
        logs::build(&mut estate).await;
        estate.tell().await;
        estate
    }

    /// Tells what there is of backups.
    pub async fn tell(&self) {
        self.moto.estate(&self.known).await;
    }

    /// A call of DynamoDB.
    pub async fn dynamodb(&self, region: &str, action: &str, input: Value) -> Value {
        self.moto.json_in(region, "dynamodb", &format!("DynamoDB_20120810.{action}"), input).await
    }

    /// The path of the configuration.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What leads Roundsman to this estate.
    pub fn environment(&self) -> [(&str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.moto.url),
            ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
            ("AWS_REGION", "us-east-1"),
        ]
    }

    /// One round of the tier.
    pub fn round(&self) -> Unwell {
        unwell(self.path(), &["--schedule", "hourly"], &self.environment())
    }

    /// A file below the configuration.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
}

/// What is not well when probes are run once: those that are named, or all of the configuration.
pub fn unwell(config: &Path, which: &[&str], environment: &[(&str, &str)]) -> Unwell {
    let config = config.to_str().expect("a path in UTF-8");
    let arguments: Vec<_> =
        ["once", "--format", "json", "--config", config].into_iter().chain(which.iter().copied()).collect();
    let once = output(&arguments, environment);
    let runs: Vec<Value> = serde_json::from_slice(&once.stdout)
        .unwrap_or_else(|_| panic!("it runs: {}", String::from_utf8_lossy(&once.stderr)));
    assert!(!runs.is_empty());
    let unwell = runs.iter().filter(|run| run["verdict"] != "passed");
    unwell
        .map(|run| {
            let failures = run["failures"].as_array().into_iter().flatten();
            let lines = failures.map(|failure| {
                let (kind, message) = (failure["kind"].as_str(), failure["message"].as_str());
                format!("{}: {}", kind.expect("a kind"), without_seconds(message.expect("a message")))
            });
            let name = run["probe"].as_str().expect("a name").to_owned();
            (name, std::iter::once(run["verdict"].as_str().expect("a verdict").to_owned()).chain(lines).collect())
        })
        .collect()
}

/// Whoever is not well after a fault, as one text; it must be one probe, and well again after the fault.
#[derive(Default)]
pub struct Told(pub String);

impl Told {
    /// Puts it down.
    pub fn of(&mut self, fault: &str, unwell: &Unwell) {
        let [(probe, lines)] = &unwell.iter().collect::<Vec<_>>()[..] else { panic!("{fault}: {unwell:#?}") };
        writeln!(self.0, "{fault}: {probe} {}", lines.join("\n    ")).expect("a text takes all");
    }
}

/// Ages are told in seconds, which have gone on by the time they are told: of long numbers the last two digits are left out.
fn without_seconds(message: &str) -> String {
    let hide = |part: &str| {
        let is_long = part.len() >= 5 && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_long { format!("{}xx", &part[..part.len() - 2]) } else { part.to_owned() }
    };
    message.split('`').map(hide).collect::<Vec<_>>().join("`")
}

/// Backups of every day at two hours past the one before, half a minute ago so that no second decides.
pub fn daily(count: u64) -> Value {
    (0..count).map(|day| json!({ "age_s": day * DAY + 2 * HOUR + 30, "bytes": 5_000_000 + day, "days": 35 })).collect()
}

fn well() -> Value {
    json!({
        "lag_s": 300,
        "backups": { "us-east-1/Users": daily(40) },
        "points": { "us-west-2/main": daily(40) },
        "mirror": { "backup-bucket/staging-adventures/.mirrored": HOUR, "backup-bucket/staging-adventures/README.md": 90 * DAY },
        "replication": { "backup-bucket/staging-adventures/.mirrored": "COMPLETED" },
        "restore_s": 1,
    })
}
