//! How runs are shown: to people with a small waterfall for each step, to programs as JSON.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::validate::counted;
use crate::domain::exchange::StepRecord;
use crate::domain::outcome::{Case, Failure, Phases, Run, StepOutcome, Verdict};
use crate::domain::text::harmless;
use crate::domain::time::milliseconds;
use crate::web::api::runs::RunBody;

/// How many characters the waterfall of a run is wide.
const WATERFALL_WIDTH: usize = 40;

/// How wide a report is, in characters.
pub const WIDTH: usize = 100;

/// How many lines of one failure are shown.
pub const LINES_MAX: usize = 12;

/// The letter of each phase in a waterfall, and its word. Letters, because colour alone must not carry meaning.
const PHASES: [(&str, char, &str); 5] = [
    ("dns_ms", 'd', "dns"),
    ("connect_ms", 'c', "connect"),
    ("tls_ms", 't', "tls"),
    ("first_byte_ms", 'w', "first byte"),
    ("transfer_ms", 'x', "transfer"),
];

/// One run as text for people. What a target said is made harmless first.
pub fn text(run: &Run) -> String {
    let mut text = String::new();
    let style = style(&run.verdict);
    let (glyph, word) = (run.verdict.glyph(), run.verdict.word());
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(text, "{style}{glyph}{style:#} {} {word} in {}", run.probe, length(milliseconds(run.duration)));
    match &run.verdict {
        Verdict::Inconclusive(cause) => push(&mut text, "    ", &cause.to_string()),
        verdict => verdict.failures().iter().for_each(|failure| explain(&mut text, failure)),
    }
    // What could not be put away is a warning, and stands aside where the run has failed; it is told all the same.
    if matches!(run.verdict, Verdict::Failed(_)) {
        let cleanup = run.steps.iter().filter(|step| step.cleanup).filter_map(|step| step.verdict.as_ref());
        cleanup.flat_map(Verdict::failures).for_each(|failure| explain(&mut text, failure));
    }
    let end = run.steps.iter().map(|step| step.offset_ms + step.phases.total_ms).fold(0.0, f64::max);
    let names = run.steps.iter().map(|step| step.name.as_str().chars().count()).max().unwrap_or(0);
    for step in &run.steps {
        let (line, parts) = line(step, names, end);
        let fits = line.chars().count() + parts.chars().count() + 6 <= WIDTH;
        let between = if fits { "  ".to_owned() } else { format!("\n    {:names$}   ", "") };
        let whole = if parts.is_empty() { line } else { format!("{line}{between}{parts}") };
        let _ = writeln!(text, "    {whole}");
        cases(&mut text, step);
    }
    text
}

/// The test cases that failed, each with its time, and the count of the others.
fn cases(text: &mut String, step: &StepOutcome) {
    let failed = |case: &&Case| matches!(case.verdict, Some(Verdict::Failed(_)));
    for case in step.cases.iter().filter(failed) {
        push(text, "      ", &format!("✕ {} in {}", case.name, length(case.took_ms)));
    }
    let passed = step.cases.iter().filter(|case| matches!(case.verdict, Some(Verdict::Passed))).count();
    let skipped = step.cases.iter().filter(|case| case.verdict.is_none()).count();
    let others = [(passed, "passed"), (skipped, "skipped")].into_iter().filter(|(count, _)| *count > 0);
    let others = others.map(|(count, word)| format!("{} {word}", counted(count, "test case")));
    let others = others.collect::<Vec<_>>().join(", ");
    if !others.is_empty() {
        push(text, "      ", &others);
    }
}

/// The colour of a verdict.
pub fn style(verdict: &Verdict) -> Style {
    let colour = match verdict {
        Verdict::Passed => AnsiColor::Green,
        Verdict::Degraded(_) => AnsiColor::Yellow,
        Verdict::Failed(_) => AnsiColor::Red,
        Verdict::Inconclusive(_) => AnsiColor::Blue,
    };
    Style::new().fg_color(Some(colour.into()))
}

fn explain(text: &mut String, failure: &Failure) {
    let Some(explanation) = &failure.explanation else {
        return push(text, "    ", &failure.to_string());
    };
    let step = failure.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
    push(text, "    ", &format!("{step}{}", explanation.expression));
    if let Some(reason) = &explanation.reason {
        push(text, "      ", reason);
    }
    for part in &explanation.parts {
        push(text, "      ", &part.to_string());
    }
}

fn push(text: &mut String, indent: &str, lines: &str) {
    for line in lines.lines().take(LINES_MAX) {
        let _ = writeln!(text, "{indent}{}", harmless(line));
    }
}

/// `login      ╎ccwwwwwwx          ╎  12.3 ms`, and `connect 0.4 · first byte 11.0`.
fn line(step: &StepOutcome, names: usize, end_ms: f64) -> (String, String) {
    let name = step.name.as_str();
    let Some(verdict) = &step.verdict else { return (format!("{name:names$}  skipped"), String::new()) };
    let status = step.status.map(|status| format!("  {status}")).unwrap_or_default();
    let line = format!(
        "{name:names$} {} ╎{}╎ {:>9}{status}",
        verdict.glyph(),
        waterfall(step.offset_ms, &step.phases, end_ms),
        length(step.phases.total_ms),
    );
    let late = step.late_ms.map(|late| format!("Roundsman late by {}", short(late)));
    let words: Vec<_> = Some(parts(&step.phases)).filter(|parts| !parts.is_empty()).into_iter().chain(late).collect();
    (line, words.join(" · "))
}

/// `connect 0.4 · first byte 11.0`, in milliseconds.
pub fn parts(phases: &Phases) -> String {
    let words = phases.parts().into_iter().zip(PHASES).filter_map(|((_, value), (_, _, word))| {
        let value = value?;
        Some(format!("{word} {}", short(value)))
    });
    words.collect::<Vec<_>>().join(" · ")
}

/// Phases in their place within something longer. What lies between the phases is a dot.
pub fn waterfall(offset_ms: f64, phases: &Phases, end_ms: f64) -> String {
    let scale = if end_ms > 0.0 { WATERFALL_WIDTH as f64 / end_ms } else { 0.0 };
    let column = |ms: f64| to_column(ms * scale);
    let mut cells = vec![' '; WATERFALL_WIDTH];
    let mut paint = |from: f64, to: f64, letter: char| {
        // What took any time at all is seen: at least one cell.
        let first = column(from).min(WATERFALL_WIDTH - 1);
        let last = column(to).clamp(first + 1, WATERFALL_WIDTH);
        cells[first..last].fill(letter);
    };
    paint(offset_ms, offset_ms + phases.total_ms, '.');
    let mut from = offset_ms;
    for ((_, value), (_, letter, _)) in phases.parts().into_iter().zip(PHASES) {
        if let Some(value) = value {
            paint(from, from + value, letter);
            from += value;
        }
    }
    cells.into_iter().collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a column between 0 and the width")]
fn to_column(position: f64) -> usize {
    position.clamp(0.0, WATERFALL_WIDTH as f64).round() as usize
}

/// `0.42 ms`, `12.3 ms`, `1.53 s`.
pub fn length(ms: f64) -> String {
    if ms >= 1_000.0 { format!("{:.2} s", ms / 1e3) } else { format!("{} ms", short(ms)) }
}

fn short(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.1}") }
}

/// How many runs ended how: `3 probes: 2 passed, 1 failed`.
pub fn sentence(runs: &[Run]) -> String {
    let words = ["passed", "degraded", "failed", "inconclusive"];
    let counts = words.iter().filter_map(|word| {
        let count = runs.iter().filter(|run| run.verdict.word() == *word).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    let legend = PHASES.map(|(_, letter, word)| format!("{letter} {word}")).join(", ");
    format!("{}: {}  ({legend})", counted(runs.len(), "probe"), counts.collect::<Vec<_>>().join(", "))
}

/// Runs for programs: a list in which times are RFC 3339 and lengths are milliseconds. Where everything is told, a step has
/// what it exchanged, asserted and captured.
pub fn json(runs: &[Run], tells_all: bool) -> Value {
    let all: Vec<_> = runs.iter().map(RunBody::from).collect();
    // Texts and numbers under fixed names always have a JSON form, so the fallback is never taken.
    let mut all = serde_json::to_value(all).unwrap_or_default();
    for (place, run) in runs.iter().enumerate().filter(|_| tells_all) {
        for record in run.bundle.iter().flat_map(|bundle| &bundle.steps) {
            let Some(step) = run.steps.iter().position(|step| step.name == record.name) else { continue };
            let StepRecord { exchanges, assertions, captures, .. } = record;
            let told = &mut all[place]["steps"][step];
            told["exchanges"] = json!(exchanges);
            told["assertions"] = json!(assertions);
            told["captures"] = json!(captures);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::testing::{journey, suite};

    #[test]
    fn a_report_explains_and_shows_where_the_time_went() {
        let plain = anstream::adapter::strip_str(&format!("{}{}", text(&journey()), text(&suite()))).to_string();
        insta::assert_snapshot!(format!("{plain}{}", sentence(&[journey(), suite()])));
    }

    #[test]
    fn programs_get_milliseconds() {
        insta::assert_snapshot!(format!("{:#}", json(&[journey(), suite()], false)));
    }
}
