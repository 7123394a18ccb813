//! The command.

use std::fs;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::fleet::{Fleet, Size};
use super::past::Past;
use crate::app::answer::{Answer, Output, Stop, say};
use crate::domain::time::Timestamp;
use crate::ports::{Clock, StoreError};
use crate::store::Bulk;

/// What is made.
#[derive(Clone, Debug, Args)]
pub struct GenerateArguments {
    /// The directory, which must not be there yet, or be empty.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// How many probes.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub probes: u32,
    /// How many days they have run.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub days: u32,
    /// How many runs that makes, nearly: as often as they run.
    #[arg(long, default_value_t = 10_000_000)]
    pub runs: u64,
    /// The same seed makes the same past.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What the probes look at when the daemon is started on it.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/")]
    pub target: String,
    /// When the past ends; by default now.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
}

/// Makes it.
pub fn generate(arguments: &GenerateArguments, clock: &dyn Clock) -> Result<Answer, Stop> {
    let GenerateArguments { directory, probes, days, runs, seed, target, until } = arguments;
    let fault = |error: StoreError| Stop::Fault(error.to_string());
    let is_taken = fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
    if is_taken {
        return Err(Stop::Usage(format!("{} is not empty: name a new directory", directory.display())));
    }
    let mut random = StdRng::seed_from_u64(*seed);
    let size = Size { probes: *probes, days: *days, runs: *runs };
    let fleet = Fleet::of(size, &mut random).map_err(Stop::Usage)?;
    for (name, text) in fleet.files(target, *days) {
        let path = directory.join(name);
        let written = fs::create_dir_all(path.parent().unwrap_or(directory)).and_then(|()| fs::write(&path, text));
        written.map_err(|error| Stop::Fault(format!("{} cannot be written: {error}", path.display())))?;
    }
    let began = clock.monotonic();
    let mut store = Bulk::make(&directory.join("state/roundsman.db")).map_err(fault)?;
    let (mut made, mut told) = (0_u64, 0);
    for commit in Past::of(&fleet, until.unwrap_or_else(|| clock.now()), *days, random) {
        store.put(&commit).map_err(fault)?;
        made += commit.runs.len() as u64;
        let tenth = made * 10 / runs.max(&1);
        if tenth > told && std::io::stderr().is_terminal() {
            say(&format!("{made} of about {runs} runs are made"));
            told = tenth;
        }
    }
    store.end().map_err(fault)?;
    let took = clock.monotonic().since(began).as_secs_f64();
    let mut output = Output::default();
    output.line(format!(
        "{made} runs of {probes} probes over {days} days in {}, made in {took:.0} s",
        directory.display()
    ))?;
    Ok(Answer::Well)
}
