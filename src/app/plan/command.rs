//! What is asked for, and the answer.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::document::Document;
use super::table;
use crate::app::answer::{self, Answer, Output, Stop, say};
use crate::app::aws::billed::billed;
use crate::app::cli::Format;
use crate::app::wiring;
use crate::config::load::Surroundings;
use crate::config::prices;
use crate::domain::bill::prices::Prices;
use crate::domain::time::Timestamp;
use crate::engine::forecast::Forecast;
use crate::settings::{Problems, Source};

/// What of the plan.
#[derive(Clone, Debug, Args)]
pub struct PlanArguments {
    /// From which instant on, as in `2026-12-01T02:00:00Z`; by default from now.
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// The prices of AWS, of the form of the built-in ones, for another region or another day.
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// How it is shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Shows it. That it costs more than a budget is exit 1.
pub fn plan(directory: &Path, surroundings: &Surroundings, what: &PlanArguments) -> Result<Answer, Stop> {
    let plan = wiring::plan(directory, surroundings)?;
    let prices = prices_of(what.prices.as_deref())?;
    let forecast = Forecast::of(&plan, what.at.unwrap_or_else(|| surroundings.clock.now())).and(billed(&plan));
    let document = Document::of(&plan, &forecast, &prices);
    let mut out = Output::default();
    match what.format {
        Format::Text => out.line(table::lines(&document).join("\n"))?,
        Format::Json => out.line(answer::json(&document)?)?,
    }
    Ok(if document.bill.exceeds() { Answer::Unwell } else { Answer::Well })
}

/// The table of a file, or the one that is built in.
fn prices_of(file: Option<&Path>) -> Result<Prices, Stop> {
    let mut problems = Problems::new();
    let prices = match file {
        None => prices::built_in(&mut problems),
        Some(path) => {
            let bytes =
                fs::read(path).map_err(|error| Stop::Usage(format!("{} cannot be read: {error}", path.display())))?;
            Source::decode(path, &bytes, &mut problems).and_then(|source| prices::prices(source, &mut problems))
        }
    };
    if !problems.is_empty() {
        say(&problems.render(true));
    }
    prices.ok_or_else(|| Stop::Usage("the prices have mistakes".to_owned()))
}
