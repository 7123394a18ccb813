//! The last hour of a probe, drawn: the line of its latency; the left edge is an hour ago, the right edge is now. And where the
//! time of one exchange went.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};

use super::marks::Tone;
use super::units::{count, counted, latency};
use crate::domain::history::Verdicts;
use crate::domain::outcome::Phases;
use crate::domain::time::{Timestamp, between, earlier};
use crate::ports::RunSummary;

/// What the charts show.
pub const HOUR: Duration = Duration::from_hours(1);

/// The line has at most one point for each unit of its width; of several runs the slowest stands, since spikes matter.
const LINE: (u32, u32) = (90, 56);

/// The verdicts, the gravest first.
const VERDICTS: [&str; 4] = ["failed", "degraded", "inconclusive", "passed"];

/// Where on an axis of so many units an instant stands; `None` outside the hour.
fn place(at: Timestamp, now: Timestamp, units: u32) -> Option<u32> {
    let since = earlier(now, HOUR);
    let share = between(since, at).as_secs_f64() / HOUR.as_secs_f64();
    if at < since || share > 1.0 {
        return None;
    }
    (0..units).rev().find(|unit| f64::from(*unit) <= share * f64::from(units))
}

fn gravity(verdict: &str) -> usize {
    VERDICTS.iter().position(|word| *word == verdict).unwrap_or(VERDICTS.len())
}

/// How many runs ended how: `120 runs, all passed`, `2 failed, 1 degraded of 120 runs`.
pub fn tally_of(verdicts: Verdicts) -> String {
    let Verdicts { failed, degraded, inconclusive, .. } = verdicts;
    let parts = [(failed, "failed"), (degraded, "degraded"), (inconclusive, "inconclusive")].into_iter();
    let parts: Vec<_> = parts.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", count(n))).collect();
    let all = verdicts.all();
    let runs = counted(all, "run");
    match (all, parts.as_slice()) {
        (0, _) => "no run".to_owned(),
        (1, []) => "1 run, passed".to_owned(),
        (_, []) => format!("{runs}, all passed"),
        _ => format!("{} of {runs}", parts.join(", ")),
    }
}

/// The line of latency, from zero, with a tick below it where a run was not passed. It breaks where runs are missing.
pub fn line(hour: &[RunSummary], period: Duration, now: Timestamp) -> Markup {
    let (width, height) = LINE;
    let mut points: BTreeMap<u32, f64> = BTreeMap::new();
    let mut ticks: BTreeMap<u32, usize> = BTreeMap::new();
    for run in hour {
        let Some(x) = place(run.started_at, now, width) else { continue };
        if run.verdict != "inconclusive" {
            let slowest = points.entry(x).or_insert(0.0);
            *slowest = run.duration_ms.max(*slowest);
        }
        if run.verdict != "passed" {
            let gravest = ticks.entry(x).or_insert(VERDICTS.len());
            *gravest = gravity(run.verdict).min(*gravest);
        }
    }
    let (fastest, slowest) = extremes(hour);
    let room = f64::from(height) - 16.0;
    let apart = period.as_secs_f64() / HOUR.as_secs_f64() * f64::from(width);
    let mut stretches: Vec<Vec<(u32, f64)>> = Vec::new();
    for (&x, duration) in &points {
        let y = 4.0 + room * (1.0 - duration / (slowest * 1.15).max(f64::MIN_POSITIVE));
        match stretches.last_mut() {
            Some(stretch) if stretch.last().is_some_and(|(last, _)| f64::from(x - last) <= (apart * 2.5).max(2.0)) => {
                stretch.push((x, y));
            }
            _ => stretches.push(vec![(x, y)]),
        }
    }
    // The dot of a lone run is a stroke without length and with round ends.
    let (mut path, mut dots) = (String::new(), String::new());
    for stretch in &stretches {
        if let [(x, y)] = stretch.as_slice() {
            let _ = write!(dots, "M{x} {y:.0}h0");
            continue;
        }
        for (index, (x, y)) in stretch.iter().enumerate() {
            let _ = write!(path, "{}{x} {y:.0}", if index == 0 { 'M' } else { ' ' });
        }
    }
    let tick = |verdict: usize| {
        ticks.iter().filter(|(_, gravest)| **gravest == verdict).fold(String::new(), |mut path, (x, _)| {
            let _ = write!(path, "M{x} {height}v-8");
            path
        })
    };
    let label = if points.is_empty() {
        "latency, last hour: no run".to_owned()
    } else {
        format!("latency, last hour: {} to {}", latency(fastest), latency(slowest))
    };
    html! {
        svg .line viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" role="img" aria-label=(label) {
            @if !path.is_empty() { path .latency d=(path) {} }
            @if !dots.is_empty() { path .latency .dot d=(dots) {} }
            @for (verdict, word) in VERDICTS.iter().enumerate() {
                @let path = tick(verdict);
                @if !path.is_empty() { path .tick .(Tone::of_verdict(word).class()) d=(path) {} }
            }
        }
    }
}

fn seen(hour: &[RunSummary]) -> impl Iterator<Item = f64> + '_ {
    hour.iter().filter(|run| run.verdict != "inconclusive").map(|run| run.duration_ms)
}

fn extremes(hour: &[RunSummary]) -> (f64, f64) {
    let fastest = seen(hour).fold(f64::INFINITY, f64::min);
    (fastest, seen(hour).fold(0.0, f64::max))
}

/// The latency that 95 of 100 runs of the hour did not exceed; of fewer than twenty it would be the slowest run.
pub fn p95(hour: &[RunSummary]) -> Option<f64> {
    let mut durations: Vec<_> = seen(hour).collect();
    durations.sort_by(f64::total_cmp);
    let rank = (durations.len() * 95).div_ceil(100);
    if durations.len() < 20 { None } else { durations.get(rank - 1).copied() }
}

/// The phases of a waterfall: their word, and the class of their colour in the style sheet.
pub const LEGEND: [(&str, &str); 5] =
    [("resolve", "dns"), ("connect", "connect"), ("TLS", "tls"), ("first byte", "wait"), ("transfer", "transfer")];

/// A waterfall is so wide and high. What took any time at all is seen: at least one unit.
const WATERFALL: (f64, f64) = (800.0, 12.0);

/// One exchange in its place among those of its step: its phases one after the other, and what lies between them thin.
pub fn waterfall(phases: &Phases, begin_ms: f64, end_ms: f64) -> Markup {
    let (width, height) = WATERFALL;
    let place = |ms: f64| (ms / end_ms * width).clamp(0.0, width);
    let bar = |from: f64, length: f64| {
        let x = place(from).min(width - 1.0);
        (format!("{x:.1}"), format!("{:.1}", (place(from + length) - x).max(1.0)))
    };
    let (x, long) = bar(begin_ms, phases.total_ms);
    let mut at = begin_ms;
    let parts = LEGEND.into_iter().zip(phases.parts()).filter_map(|((word, class), (_, ms))| {
        let ms = ms?;
        let bar = bar(at, ms);
        at += ms;
        Some((word, class, ms, bar))
    });
    let parts: Vec<_> = parts.collect();
    let words: Vec<_> = parts.iter().map(|(word, _, ms, _)| format!("{word} {}", latency(*ms))).collect();
    html! {
        svg .fall viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" role="img"
            aria-label={ "after " (latency(begin_ms)) ": " (words.join(", ")) "; together " (latency(phases.total_ms)) } {
            rect .base x=(x) y=(height / 2.0 - 0.5) width=(long) height="1" {}
            @for (_, class, _, (x, long)) in &parts { rect .(class) x=(x) y="0" width=(long) height=(height) {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::at;

    fn run(started_at: &str, duration_ms: f64, verdict: &'static str) -> RunSummary {
        RunSummary { started_at: at(started_at), duration_ms, verdict }
    }

    #[test]
    fn the_line_breaks_where_runs_are_missing() {
        let times = ["09:00:01", "09:00:31", "09:01:01", "09:30:01", "09:30:31", "09:50:01"];
        let hour = times.map(|time| run(&format!("2026-11-24T{time}Z"), 20.0, "passed"));
        let drawn = line(&hour, Duration::from_secs(30), at("2026-11-24T10:00:00Z")).into_string();
        assert!(drawn.contains(r#"<path class="latency" d="M0 9 1 9">"#), "{drawn}");
        assert!(drawn.contains(r#"<path class="latency dot" d="M45 9h0M75 9h0">"#), "what is alone: {drawn}");
    }

    #[test]
    fn percentiles_leave_out_what_we_could_not_see() {
        let mut hour: Vec<_> = (1..=20).map(|n| run("2026-11-24T09:00:01Z", f64::from(n), "passed")).collect();
        hour.push(run("2026-11-24T09:00:01Z", 9_999.0, "inconclusive"));
        assert_eq!(p95(&hour), Some(19.0));
        assert_eq!(p95(&hour[..19]), None);
        assert_eq!(p95(&[]), None);
    }

    #[test]
    fn a_waterfall_shows_every_phase_in_its_place_within_the_step() {
        let phases = Phases { connect_ms: Some(10.0), first_byte_ms: Some(0.01), total_ms: 20.0, ..Phases::default() };
        let drawn = waterfall(&phases, 20.0, 40.0).into_string();
        assert!(drawn.contains(r#"<rect class="base" x="400.0" y="5.5" width="400.0" height="1">"#), "{drawn}");
        assert!(drawn.contains(r#"<rect class="connect" x="400.0" y="0" width="200.0" height="12">"#), "{drawn}");
        assert!(
            drawn.contains(r#"<rect class="wait" x="600.0" y="0" width="1.0" height="12">"#),
            "it is seen: {drawn}"
        );
        assert!(drawn.contains("after 20 ms: connect 10 ms, first byte 0.0 ms; together 20 ms"), "{drawn}");
    }
}
