//! `slo`: how objectives stand.

use std::path::PathBuf;

use clap::Args;

use super::answer::{self, Answer, Output, Stop};
use super::cli::Format;
use super::daemon_client::{DaemonArguments, DaemonClient};
use crate::config::load::Surroundings;
use crate::domain::names::glob;
use crate::domain::objective::{Judgement, Standing};
use crate::domain::text::{harmless, percent, thousands, times};
use crate::domain::time::clock;
use crate::web::api::objectives::{ObjectiveBody, Objectives};

/// Which objectives.
#[derive(Clone, Debug, Args)]
pub struct SloArguments {
    /// Names of probes, or globs with `*`; by default every probe that has an objective.
    #[arg(value_name = "PROBE")]
    pub probes: Vec<String>,
    /// How they are shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

/// Shows them. That one of them is missed is exit 1.
pub async fn slo(directory: PathBuf, surroundings: Surroundings, what: SloArguments) -> Result<Answer, Stop> {
    let daemon = DaemonClient::find(&directory, &surroundings, &what.daemon).await?;
    let mut known: Objectives = daemon.get("objectives").await?;
    for pattern in &what.probes {
        if !known.objectives.iter().any(|objective| glob(pattern, objective.probe.as_str())) {
            return Err(Stop::Usage(format!("no probe `{}` has an objective", harmless(pattern))));
        }
    }
    let is_meant = |objective: &ObjectiveBody| {
        what.probes.is_empty() || what.probes.iter().any(|pattern| glob(pattern, objective.probe.as_str()))
    };
    known.objectives.retain(is_meant);
    let mut out = Output::default();
    match what.format {
        Format::Text => out.line(lines(&known).join("\n"))?,
        Format::Json => out.line(answer::json(&known)?)?,
    }
    let is_missed = known.objectives.iter().any(|objective| objective.verdict == Judgement::Missed);
    Ok(if is_missed { Answer::Unwell } else { Answer::Well })
}

fn lines(known: &Objectives) -> Vec<String> {
    if known.objectives.is_empty() {
        return vec![
            if known.at.is_some() { "no schedule has an objective" } else { "nobody has looked yet" }.to_owned(),
        ];
    }
    let mut lines: Vec<String> = Vec::new();
    let mut of = None;
    for objective in &known.objectives {
        let round = (&objective.schedule, &objective.probe);
        if of != Some(round) {
            if of.is_some() {
                lines.push(String::new());
            }
            lines.push(format!("{} on {}", objective.probe, objective.schedule));
            lines.push(row(["objective", "over", "measured", "left", "1h", "6h", "3d", "verdict"]));
        }
        of = Some(round);
        lines.extend(of_one(objective));
    }
    lines.push(String::new());
    if known.objectives.iter().any(|objective| objective.limit_ms.is_some()) {
        lines.push("Of times it is measured which share of the runs was within the limit.".to_owned());
    }
    lines.push("1h, 6h, 3d: how many times too quickly the error budget went.".to_owned());
    lines.extend(known.at.map(|at| format!("Looked at {}.", clock(at))));
    lines
}

/// A line of the table, of 79 characters where nothing in it is too long.
fn row([objective, over, measured, left, hour, six, three, verdict]: [&str; 8]) -> String {
    let line = format!("  {objective:<17} {over:<4} {measured:>9} {left:>6} {hour:>5} {six:>5} {three:>5}  {verdict}");
    line.trim_end().to_owned()
}

fn of_one(objective: &ObjectiveBody) -> Vec<String> {
    let over = window(objective.over_seconds);
    let measured = objective.measured.map_or_else(|| "-".to_owned(), percent);
    let left = format!("{:.0} %", objective.budget_left * 100.0);
    let rate = |stretch: &str| objective.burn.get(stretch).map_or_else(|| "-".to_owned(), |rate| times(*rate));
    let [hour, six, three] = Standing::STRETCHES.map(|stretch| rate(stretch.as_str()));
    let verdict = objective.verdict.as_str();
    let mut lines = vec![row([&objective.goal, &over, &measured, &left, &hour, &six, &three, verdict])];
    lines.extend(objective.step.as_ref().map(|step| format!("    of the step {step}")));
    if objective.verdict == Judgement::NotEnoughEvidence {
        lines.push(format!("    {}", evidence(objective)));
    }
    lines
}

/// Why it cannot be told.
fn evidence(objective: &ObjectiveBody) -> String {
    let ObjectiveBody { runs, bad, runs_needed, bound, is_whole, .. } = objective;
    let (runs_, bad_) = (thousands(*runs), thousands(*bad));
    if !is_whole {
        return format!("the store is still being read: {runs_} runs by now, {bad_} of them bad");
    }
    if runs >= runs_needed {
        return format!("{bad_} of {runs_} runs are bad, which is too many for them and not for the whole window");
    }
    let bound = percent(*bound);
    format!("{runs_} of the {} runs that can tell: {bound} may be bad for all that was seen", thousands(*runs_needed))
}

/// A window as people write it, in one unit.
fn window(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let fitting = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn objective(changes: &Value) -> Value {
        let mut objective = json!({
            "schedule": "journeys", "probe": "shopper-journey", "objective": "success 99.95 % over 30 d",
            "goal": "success 99.95 %", "over_seconds": 2_592_000, "allowed": 0.0005, "runs": 8_640, "bad": 1,
            "measured": 0.999_884, "bound": 0.000_5, "runs_needed": 5_990, "runs_expected": 8_640, "budget_runs": 4.32,
            "budget_left": 0.768, "burn": { "1h": 0.0, "6h": 0.0, "3d": 2.3 }, "verdict": "met", "is_whole": true,
        });
        objective.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        objective
    }

    #[test]
    fn a_table_fits_a_terminal_and_says_what_cannot_be_told() {
        let step = json!({
            "goal": "p99 500 ms", "step": "add-to-wardrobe", "over_seconds": 604_800, "limit_ms": 500.0, "runs": 120,
            "bad": 0, "measured": 1.0, "bound": 0.0247, "runs_needed": 299, "budget_left": 1.0,
            "verdict": "not_enough_evidence",
        });
        let missed = json!({
            "probe": "nightly-export", "goal": "errors 0.1 %", "runs": 8_600, "bad": 130, "measured": 0.015_116,
            "budget_left": -14.05, "burn": { "1h": 1_000.0, "6h": 166.7, "3d": 14.4 }, "verdict": "missed",
        });
        let unseen = json!({
            "probe": "nightly-export", "goal": "p95 1 min 30 s", "over_seconds": 5_400, "limit_ms": 90_000.0, "runs": 0,
            "bad": 0, "measured": null, "bound": 1.0, "runs_needed": 59, "budget_left": 1.0, "burn": {},
            "verdict": "not_enough_evidence",
        });
        let reading = json!({
            "probe": "nightly-export", "goal": "success 99.9999 %", "runs": 1_204, "measured": 0.999_999_9,
            "is_whole": false, "verdict": "not_enough_evidence",
        });
        let objectives = [json!({}), step, missed, unseen, reading].map(|changes| objective(&changes));
        let known = json!({ "at": "2026-11-24T10:00:00Z", "objectives": objectives });
        let known: Objectives = serde_json::from_value(known).unwrap();
        let lines = lines(&known);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_window_has_one_unit() {
        assert_eq!([2_592_000, 5_400, 7_200, 3_661].map(window), ["30d", "90m", "2h", "3661s"]);
    }

    #[test]
    fn nothing_is_said_in_words() {
        let none = |at| lines(&Objectives { at, objectives: Vec::new() });
        assert_eq!(none(Some("2026-11-24T10:00:00Z".parse().unwrap())), ["no schedule has an objective"]);
        assert_eq!(none(None), ["nobody has looked yet"]);
    }
}
