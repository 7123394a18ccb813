//! How drills of probes are shown: to people what passes and what would notice it, to programs every mutant.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::weighing::{Drilled, DrilledStep, Finding, Noticed, Outcome};
use crate::app::validate::counted;
use crate::domain::mutant::Place;
use crate::domain::text::harmless;

/// Every probe, and a sentence about them all.
pub fn text(drilled: &[Drilled]) -> String {
    let mut text = String::new();
    let width = drilled.iter().map(|drilled| drilled.probe.as_str().chars().count()).max().unwrap_or(0);
    for Drilled { probe, outcome } in drilled {
        let (glyph, colour, told) = match outcome {
            Outcome::Drilled(steps) => {
                let unexplained = steps.iter().any(|step| step.unexplained().next().is_some());
                let (glyph, colour) = if unexplained { ("▲", AnsiColor::Yellow) } else { ("●", AnsiColor::Green) };
                (glyph, colour, Counts::of(steps).to_string())
            }
            Outcome::Failing(why) => ("✕", AnsiColor::Red, format!("cannot be drilled, it fails now: {why}")),
            Outcome::Unsteady(why) => {
                ("✕", AnsiColor::Red, format!("cannot be drilled, what it saw fails when it is played again: {why}"))
            }
            Outcome::Skipped => {
                ("◌", AnsiColor::Blue, "was not drilled: every step was skipped, so nothing was looked at".to_owned())
            }
            Outcome::Blind(why) => ("◌", AnsiColor::Blue, format!("was not drilled: {why}")),
        };
        let style = Style::new().fg_color(Some(colour.into()));
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "{style}{glyph}{style:#} {:width$}  {}", probe.as_str(), harmless(&told));
        if let Outcome::Drilled(steps) = outcome {
            of_probe(&mut text, steps);
        }
    }
    let _ = writeln!(text, "{}", sentence(drilled));
    text
}

fn of_probe(text: &mut String, steps: &[DrilledStep]) {
    if !heeds_answers(steps) {
        let _ = writeln!(text, "    it can only fail to reach its target: nothing that the target says makes it fail");
    }
    for step in steps {
        let of = if steps.len() > 1 { format!("{}: ", step.name) } else { String::new() };
        let mut places: BTreeMap<&Place, Vec<String>> = BTreeMap::new();
        for finding in step.unexplained() {
            places.entry(&finding.place).or_default().push(finding.change.to_string());
        }
        for (place, changes) in places {
            let line = format!("{of}nothing notices {place}: {}", changes.join(", "));
            let _ = writeln!(text, "    {}", harmless(&line));
            if let Some(suggestion) = step.suggestions.get(place) {
                let line = format!("add {}: {}", suggestion.key, suggestion.expression);
                let _ = writeln!(text, "      {}", harmless(&line));
            }
        }
        for idle in &step.idle {
            let at = idle.written_at.as_deref().map(|at| format!(" ({at})")).unwrap_or_default();
            let line = format!("{of}`{}` explains nothing: there is nothing there that passes{at}", idle.pattern);
            let _ = writeln!(text, "    {}", harmless(&line));
        }
    }
}

/// Whether anything that the target says can make a probe fail.
fn heeds_answers(steps: &[DrilledStep]) -> bool {
    steps.iter().filter(|step| !step.cleanup).any(DrilledStep::heeds_answers)
}

#[derive(Default)]
struct Counts {
    all: usize,
    noticed: usize,
    explained: usize,
}

impl Counts {
    fn of(steps: &[DrilledStep]) -> Self {
        let mut counts = Self::default();
        counts.add(steps);
        counts
    }

    fn add(&mut self, steps: &[DrilledStep]) {
        for finding in steps.iter().flat_map(|step| &step.findings) {
            self.all += 1;
            self.noticed += usize::from(finding.noticed.is_some());
            self.explained += usize::from(finding.explained.is_some());
        }
    }

    fn survived(&self) -> usize {
        self.all - self.noticed - self.explained
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} noticed", self.noticed, counted(self.all, "mutant"))?;
        if self.explained > 0 {
            write!(f, ", {} explained", self.explained)?;
        }
        Ok(())
    }
}

/// `3 probes: 120 of 130 mutants noticed, 8 explained, 2 that nothing notices`.
fn sentence(drilled: &[Drilled]) -> String {
    let mut counts = Counts::default();
    let mut others = 0;
    for Drilled { outcome, .. } in drilled {
        match outcome {
            Outcome::Drilled(steps) => counts.add(steps),
            _ => others += 1,
        }
    }
    let survived = match counts.survived() {
        0 => String::new(),
        survived => format!(", {survived} that nothing notices"),
    };
    let others = if others > 0 { format!("; {others} not drilled") } else { String::new() };
    format!("{}: {counts}{survived}{others}", counted(drilled.len(), "probe"))
}

/// The same for programs, with every mutant.
pub fn json(drilled: &[Drilled]) -> Value {
    let noticed = |noticed: &Noticed| {
        let Noticed { kind, expression, warns } = noticed;
        json!({ "kind": kind, "expression": expression, "warns": warns })
    };
    let finding = |finding: &Finding| {
        json!({
            "place": finding.place.to_string(), "change": finding.change.to_string(),
            "noticed_by": finding.noticed.as_ref().map(noticed), "explained": finding.explained,
        })
    };
    let step = |step: &DrilledStep| {
        let suggestions = step.suggestions.iter().map(|(place, suggestion)| {
            json!({ "place": place.to_string(), "key": suggestion.key, "expression": suggestion.expression })
        });
        json!({
            "step": step.name, "kind": step.kind, "cleanup": step.cleanup,
            "mutants": step.findings.iter().map(finding).collect::<Vec<_>>(),
            "volatile": step.volatile.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "idle": step.idle.iter().map(|idle| &idle.pattern).collect::<Vec<_>>(),
            "suggestions": suggestions.collect::<Vec<_>>(),
        })
    };
    let probe = |Drilled { probe, outcome }: &Drilled| match outcome {
        Outcome::Drilled(steps) => {
            let counts = Counts::of(steps);
            json!({
                "probe": probe, "outcome": "drilled", "mutants": counts.all, "noticed": counts.noticed,
                "explained": counts.explained, "survived": counts.survived(), "heeds_answers": heeds_answers(steps),
                "steps": steps.iter().map(step).collect::<Vec<_>>(),
            })
        }
        Outcome::Failing(why) => json!({ "probe": probe, "outcome": "failing", "why": why }),
        Outcome::Unsteady(why) => json!({ "probe": probe, "outcome": "unsteady", "why": why }),
        Outcome::Skipped => json!({ "probe": probe, "outcome": "skipped" }),
        Outcome::Blind(why) => json!({ "probe": probe, "outcome": "blind", "why": why }),
    };
    drilled.iter().map(probe).collect()
}
