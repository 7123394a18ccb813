//! `validate`: every problem of the configuration, all at once.

use std::path::Path;

use super::answer::{Answer, Output, Stop};
use super::cli::Format;
use crate::config::load::{Surroundings, load};
use crate::domain::text::thousands;
use crate::engine::plan::Plan;
use crate::settings::Level;

/// Reads a directory as the daemon would, and says what is wrong with it. Nothing is started and no secret is read.
pub fn validate(directory: &Path, surroundings: &Surroundings, format: Format) -> Result<Answer, Stop> {
    let loaded = load(directory, surroundings);
    let mut out = Output::default();
    match format {
        Format::Json => out.line(format_args!("{:#}", loaded.problems.to_json()))?,
        Format::Text => {
            if !loaded.problems.is_empty() {
                out.line(loaded.problems.render(true))?;
            }
            out.line(sentence(&loaded.problems, loaded.plan.as_ref()))?;
        }
    }
    Ok(if loaded.plan.is_some() { Answer::Well } else { Answer::Usage })
}

fn sentence(problems: &crate::settings::Problems, plan: Option<&Plan>) -> String {
    let count = |level| problems.sorted().iter().filter(|problem| problem.level == level).count();
    let warnings = match count(Level::Warning) {
        0 => String::new(),
        warnings => format!(", {}", counted(warnings, "warning")),
    };
    match plan {
        Some(plan) => {
            let (probes, schedules) = (plan.probes.len(), plan.schedules.len());
            format!("valid: {}, {}{warnings}", counted(probes, "probe"), counted(schedules, "schedule"))
        }
        None => format!("{}{warnings}", counted(count(Level::Error), "error")),
    }
}

/// `1 probe`, `2,880 probes`.
pub fn counted(count: impl TryInto<u64>, what: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        count => format!("{} {what}s", thousands(count)),
    }
}
