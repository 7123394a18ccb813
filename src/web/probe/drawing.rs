//! What became of the runs of a probe over a stretch of time, drawn: how long half of them took, and 95 and 99 of 100, a strip of
//! verdicts below, and where versions changed and incidents were open. A part in which nothing was seen has no line.
//!
//! Lines are stretched to the width of the page, and text is not: the outer drawing places by per cent, the inner ones have
//! units of their own.

use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};

use super::parts::{Quantile, gap, together};
use super::window::Window;
use crate::domain::history::{Stretch, Verdicts};
use crate::domain::incident::{Incident, Version};
use crate::domain::time::{Timestamp, between, later};
use crate::web::chart::tally_of;
use crate::web::units::latency;

/// The units of the inner drawings: both are as wide, the lines so high, the strip so high.
const WIDTH: f64 = 1_000.0;
const LINES: f64 = 120.0;
const STRIP: f64 = 26.0;

/// Where the parts of the outer drawing stand, in pixels from above.
const LINES_AT: u32 = 16;
const STRIP_AT: u32 = 146;
const TIMES_AT: u32 = 188;
const HEIGHT: u32 = 194;

/// How many times as high as nearly all parts the highest may be, before it is cut so that the others are seen.
const ABOVE_MOST: f64 = 6.0;

/// A stretch beyond this has days on its axis, and no times.
const DAYS_FROM: Duration = Duration::from_hours(48);

/// How many marks of one sort are drawn.
pub const MARKS_MAX: usize = 20;

/// What is drawn.
pub struct Drawn<'a> {
    /// The stretch of time.
    pub window: &'a Window,
    /// Its parts, oldest first.
    pub parts: &'a [Stretch],
    /// How often there is a run.
    pub period: Duration,
    /// Changes of version.
    pub changes: &'a [Version],
    /// Incidents that were open within it.
    pub incidents: &'a [Incident],
    /// The instant of the page.
    pub now: Timestamp,
}

impl Drawn<'_> {
    /// Whether some part has more than one run, so that quantiles differ.
    pub fn has_quantiles(&self) -> bool {
        self.parts.iter().any(|part| part.durations.runs() > 1)
    }

    /// Whether some part was slower than the axis is high.
    pub fn is_cut(&self) -> bool {
        let top = top(self.parts);
        self.parts.iter().any(|part| is_above(part, top))
    }

    /// The chart, with a link to each zone of it.
    pub fn chart(&self, link: impl Fn(Timestamp, Timestamp) -> String) -> Markup {
        let top = top(self.parts);
        html! {
            div .chart {
                svg .plot width="100%" height=(HEIGHT) role="img" aria-label=(self.label()) {
                    (self.axes(top))
                    (self.lines(top))
                    (self.strip())
                    @for change in self.changes.iter().take(MARKS_MAX) { (self.mark_change(change)) }
                    @for incident in self.incidents.iter().take(MARKS_MAX) { (self.mark_incident(incident)) }
                }
                // The same links stand in the table: who hears the page, or goes by keys, meets them once.
                svg .zones width="100%" height=(HEIGHT) aria-hidden="true" {
                    @for (from, until) in self.window.zones() {
                        @let (x, width) = self.span(from, until);
                        a href=(link(from, until)) tabindex="-1" {
                            title { (from.format("%Y-%m-%d %H:%M:%S UTC")) ": " (said(&together(self.parts, from, until))) }
                            rect x=(percent(x)) width=(percent(width)) y="0" height=(HEIGHT) {}
                        }
                    }
                }
            }
        }
    }

    fn label(&self) -> String {
        let whole = together(self.parts, self.window.from, self.window.until);
        let from = self.window.from.format("%Y-%m-%d %H:%M");
        format!("from {from} to {} UTC: {}", self.window.until.format("%Y-%m-%d %H:%M"), said(&whole))
    }

    /// Where something stands that goes on from one instant until another, and how wide it is, as shares of the whole.
    fn span(&self, from: Timestamp, until: Timestamp) -> (f64, f64) {
        let x = self.window.place(from);
        (x, self.window.place(until) - x)
    }

    fn axes(&self, top: f64) -> Markup {
        let level = |share: f64| f64::from(LINES_AT) + LINES * (1.0 - share);
        let quarters = [(0.0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1.0, "end")];
        let form = if self.window.length() >= DAYS_FROM {
            "%b %-d"
        } else if self.window.length() <= Duration::from_mins(10) {
            "%H:%M:%S"
        } else {
            "%H:%M"
        };
        html! {
            @for share in [1.0, 0.5, 0.0] {
                line .grid x1="0" x2="100%" y1=(level(share)) y2=(level(share)) {}
                @if top > 0.0 && share > 0.0 { text x="0" y=(level(share) - 4.0) { (latency(top * share)) } }
            }
            @for (quarter, (share, anchor)) in quarters.into_iter().enumerate() {
                @let at = later(self.window.from, self.window.length().mul_f64(share));
                text .wide[quarter % 2 == 1] x=(percent(share)) y=(TIMES_AT) text-anchor=(anchor) { (at.format(form)) }
            }
        }
    }

    fn lines(&self, top: f64) -> Markup {
        let apart = gap(self.window, self.period);
        // Parts without a run in which we could look break the line, as time does that has no part.
        let mut stretches: Vec<Vec<&Stretch>> = Vec::new();
        let mut last: Option<Timestamp> = None;
        for part in self.parts.iter().filter(|part| part.durations.runs() > 0) {
            match stretches.last_mut() {
                Some(stretch) if last.is_some_and(|last| between(last, part.from) <= apart) => stretch.push(part),
                _ => stretches.push(vec![part]),
            }
            last = Some(part.from);
        }
        let y = |value: f64| LINES * (1.0 - (value / top.max(f64::MIN_POSITIVE)).min(1.0));
        let point = |part: &Stretch, quantile: Quantile| (self.x(part), y(quantile.of(part).unwrap_or_default()));
        let drawn = |quantile: Quantile| {
            let (mut path, mut dots) = (String::new(), String::new());
            for stretch in &stretches {
                let points: Vec<_> = stretch.iter().map(|part| point(part, quantile)).collect();
                match points.as_slice() {
                    // The dot of a lone part is a stroke without length and with round ends.
                    [(x, y)] => {
                        let _ = write!(dots, "M{x:.0} {y:.1}h0");
                    }
                    _ => path.push_str(&polyline('M', points.into_iter())),
                }
            }
            (path, dots)
        };
        let band = stretches.iter().filter(|stretch| stretch.len() > 1).fold(String::new(), |band, stretch| {
            let above = polyline('M', stretch.iter().map(|part| point(part, Quantile::P95)));
            let below = polyline('L', stretch.iter().rev().map(|part| point(part, Quantile::P50)));
            band + &above + &below + "z"
        });
        let cut = self.parts.iter().filter(|part| is_above(part, top));
        let cut = cut.fold(String::new(), |mut path, part| {
            let _ = write!(path, "M{:.0} 0v8", self.x(part));
            path
        });
        let quantiles = if self.has_quantiles() { &Quantile::ALL[..] } else { &Quantile::ALL[..1] };
        html! {
            svg x="0" y=(LINES_AT) width="100%" height=(LINES) viewBox={ "0 0 " (WIDTH) " " (LINES) } preserveAspectRatio="none" {
                @if self.has_quantiles() && !band.is_empty() { path .band d=(band) {} }
                @for quantile in quantiles.iter().rev() {
                    @let (path, dots) = drawn(*quantile);
                    @if !path.is_empty() { path .(quantile.word()) d=(path) {} }
                    @if !dots.is_empty() { path .(quantile.word()) .dot d=(dots) {} }
                }
                @if !cut.is_empty() { path .cut d=(cut) {} }
            }
        }
    }

    /// Where a part stands: its middle, as far as that is within the window.
    fn x(&self, part: &Stretch) -> f64 {
        self.window.place(later(part.from, self.window.part / 2)) * WIDTH
    }

    /// What passed stands low, what was degraded higher, and what failed hangs from above, the lower the more of it: never by colour
    /// alone. What we could not look at is a low mark.
    fn strip(&self) -> Markup {
        let mut bars = [("ok", String::new()), ("warn", String::new()), ("bad", String::new()), ("unk", String::new())];
        for part in self.parts {
            let (x, width) = self.span(part.from, later(part.from, self.window.part));
            let (x, width) = (x * WIDTH, (width * WIDTH).max(1.5));
            let width = if width > 4.0 { width - 1.0 } else { width };
            let mut bar = |which: usize, y: f64, height: f64| {
                // Writing to a String cannot fail.
                let _ = write!(bars[which].1, "M{x:.1} {y:.1}h{width:.1}v{height:.1}h-{width:.1}z");
            };
            let Verdicts { passed, degraded, failed, inconclusive } = part.verdicts;
            if degraded > 0 {
                bar(1, STRIP - 15.0, 15.0);
            } else if passed > 0 {
                bar(0, STRIP - 10.0, 10.0);
            }
            if failed > 0 {
                let share = failed as f64 / (passed + degraded + failed) as f64;
                bar(2, 0.0, 8.0 + (STRIP - 8.0) * share);
            }
            if inconclusive > 0 {
                bar(3, STRIP - 4.0, 4.0);
            }
        }
        html! {
            svg .verdicts x="0" y=(STRIP_AT) width="100%" height=(STRIP) viewBox={ "0 0 " (WIDTH) " " (STRIP) } preserveAspectRatio="none" {
                path .base d={ "M0 " (STRIP - 1.0) "h" (WIDTH) "v1H0z" } {}
                @for (class, path) in &bars { @if !path.is_empty() { path .(class) d=(path) {} } }
            }
        }
    }

    fn mark_change(&self, change: &Version) -> Markup {
        let x = percent(self.window.place(change.since));
        html! {
            line .change x1=(x) x2=(x) y1="4" y2=(STRIP_AT) {}
            text .change x=(x) y="11" text-anchor="middle" { "▾" }
        }
    }

    fn mark_incident(&self, incident: &Incident) -> Markup {
        let (x, width) = self.span(incident.since, incident.resolved_at.unwrap_or(self.now));
        html! { rect .incident x=(percent(x)) width=(percent(width.max(0.003))) y=(LINES_AT) height=(LINES) {} }
    }
}

/// What the runs of some time came to, in one line.
pub fn said(stretch: &Stretch) -> String {
    let tally = tally_of(stretch.verdicts);
    let known = Quantile::ALL.into_iter().filter_map(|quantile| {
        let known = quantile.known(stretch)?;
        Some(format!("{} {}", quantile.word(), latency(known)))
    });
    std::iter::once(tally).chain(known).collect::<Vec<_>>().join(", ")
}

fn polyline(first: char, points: impl Iterator<Item = (f64, f64)>) -> String {
    points.enumerate().fold(String::new(), |mut path, (index, (x, y))| {
        let _ = write!(path, "{}{x:.0} {y:.1}", if index == 0 { first } else { 'L' });
        path
    })
}

/// A place or a length in the outer drawing.
fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

fn is_above(part: &Stretch, top: f64) -> bool {
    Quantile::P99.of(part).is_some_and(|slowest| slowest > top)
}

/// The value at the top of the axis, in milliseconds: a round one above what is slowest, unless that is so far above nearly all
/// that these would lie flat.
fn top(parts: &[Stretch]) -> f64 {
    let of = |quantile: Quantile| parts.iter().filter_map(move |part| quantile.of(part));
    let mut usual: Vec<f64> = of(Quantile::P95).collect();
    usual.sort_by(f64::total_cmp);
    let Some(usual) = usual.get(usual.len() * 9 / 10) else { return 0.0 };
    round(of(Quantile::P99).fold(0.0, f64::max).min(usual * ABOVE_MOST).max(0.1))
}

/// The next greater number that begins with 1, 2 or 5.
fn round(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{at, incident};
    use crate::web::probe::window::{Over, Shown};

    const NOW: &str = "2026-11-24T10:00:00Z";

    /// Parts of the last hour: when, and which verdicts took how many milliseconds.
    fn parts(said: &[(&str, &[(&str, u64)])]) -> Vec<Stretch> {
        let part = |(time, runs): &(&str, &[(&str, u64)])| {
            let mut part = Stretch::empty(at(&format!("2026-11-24T{time}Z")));
            for (verdict, ms) in *runs {
                part.count(verdict, Duration::from_millis(*ms));
            }
            part
        };
        said.iter().map(part).collect()
    }

    fn drawn_with(parts: &[Stretch], changes: &[Version], incidents: &[Incident]) -> String {
        let window = Window::of(Shown::Over(Over::Hour), at(NOW));
        let drawn = Drawn { window: &window, parts, period: Duration::from_secs(30), changes, incidents, now: at(NOW) };
        drawn.chart(|from, _| format!("?from={}", from.format("%H:%M"))).into_string()
    }

    fn drawn(said: &[(&str, &[(&str, u64)])]) -> String {
        drawn_with(&parts(said), &[], &[])
    }

    /// The path of a class.
    fn path<'a>(drawn: &'a str, class: &str) -> Option<&'a str> {
        let start = drawn.split(&format!(r#"<path class="{class}" d=""#)).nth(1)?;
        start.split('"').next()
    }

    #[test]
    fn the_line_breaks_where_runs_are_missing_and_where_we_could_not_look() {
        let well: &[(&str, u64)] = &[("passed", 50)];
        let chart = drawn(&[
            ("09:00:00", well),
            ("09:00:30", well),
            ("09:01:00", well),
            ("09:30:00", well),
            ("09:30:30", well),
            ("09:31:00", &[("inconclusive", 10_000)]),
            ("09:31:30", &[("inconclusive", 10_000)]),
            ("09:32:00", well),
        ]);
        assert_eq!(path(&chart, "p50"), Some("M4 59.8L12 59.8L21 59.8M504 59.8L512 59.8"), "{chart}");
        assert_eq!(path(&chart, "p50 dot"), Some("M538 59.8h0"), "a lone part is a dot");
        assert!(
            !chart.contains("10.0 s") && chart.contains(">100 ms</text>"),
            "it says nothing of the target: {chart}"
        );
        assert!(path(&chart, "unk").is_some_and(|marks| marks.matches('M').count() == 2), "{chart}");
        assert_eq!(path(&chart, "band"), None, "each part is one run");
    }

    #[test]
    fn several_runs_of_a_part_have_quantiles_with_a_band_between_them() {
        let both: &[(&str, u64)] = &[("passed", 20), ("passed", 20), ("passed", 80)];
        let chart = drawn(&[("09:00:00", both), ("09:00:30", both)]);
        let ys = |class: &str| path(&chart, class).map(|path| path.split([' ', 'L']).nth(1).unwrap().to_owned());
        assert_eq!((ys("p50"), ys("p95"), ys("p99")), (Some("96.0".into()), Some("24.2".into()), Some("24.2".into())));
        assert_eq!(path(&chart, "band"), Some("M4 24.2L12 24.2L12 96.0L4 96.0z"), "{chart}");
    }

    #[test]
    fn what_failed_hangs_from_above_by_its_share() {
        let chart = drawn(&[
            ("09:00:00", &[("failed", 10)]),
            ("09:10:00", &[("failed", 10), ("passed", 10), ("passed", 10), ("passed", 10)]),
            ("09:20:00", &[("degraded", 10)]),
            ("09:30:00", &[("passed", 10)]),
        ]);
        assert_eq!(path(&chart, "bad"), Some("M0.0 0.0h7.3v26.0h-7.3zM166.7 0.0h7.3v12.5h-7.3z"), "{chart}");
        assert_eq!(path(&chart, "warn"), Some("M333.3 11.0h7.3v15.0h-7.3z"));
        assert_eq!(path(&chart, "ok"), Some("M166.7 16.0h7.3v10.0h-7.3zM500.0 16.0h7.3v10.0h-7.3z"));
        assert!(chart.contains("2 failed, 1 degraded of 7 runs"), "{chart}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let chart = drawn(&[]);
        assert!(!chart.contains(r#"class="p50""#) && chart.contains("no run"), "{chart}");
        let unseen = drawn(&[("09:00:00", &[("inconclusive", 5)])]);
        assert_eq!((path(&unseen, "p50"), path(&unseen, "p50 dot")), (None, None));
    }

    #[test]
    fn one_part_far_above_the_others_does_not_lay_them_flat() {
        let mut said: Vec<(&str, &[(&str, u64)])> = vec![("09:00:00", &[("passed", 10_000)])];
        let times: Vec<String> = (1..50).map(|minute| format!("09:{minute:02}:00")).collect();
        said.extend(times.iter().map(|time| (time.as_str(), &[("passed", 90)][..])));
        let chart = drawn(&said);
        assert!(chart.contains(">1.0 s</text>") && !chart.contains(">10.0 s<"), "{chart}");
        assert_eq!(path(&chart, "cut"), Some("M4 0v8"), "it is said that it goes on above");
    }

    #[test]
    fn changes_and_incidents_stand_where_they_were() {
        let change = Version {
            probe: "auth".parse().unwrap(),
            step: "http".parse().unwrap(),
            version: "2".to_owned(),
            since: at("2026-11-24T09:15:00Z"),
            before: Some("1".to_owned()),
        };
        let open = incident("I1", "auth", at("2026-11-24T09:30:00Z"));
        let mut before = incident("I2", "auth", at("2026-11-24T06:00:00Z"));
        before.resolved_at = Some(at("2026-11-24T09:06:00Z"));
        let chart = drawn_with(&parts(&[("09:00:00", &[("passed", 10)])]), &[change], &[open, before]);
        assert!(chart.contains(r#"<line class="change" x1="25.00%" x2="25.00%""#), "{chart}");
        assert!(chart.contains(r#"<rect class="incident" x="50.00%" width="50.00%""#), "{chart}");
        assert!(chart.contains(r#"<rect class="incident" x="0.00%" width="10.00%""#), "{chart}");
    }

    #[test]
    fn each_zone_leads_to_what_is_in_it() {
        let chart = drawn(&[("09:05:00", &[("failed", 10)])]);
        assert_eq!(chart.matches("tabindex=\"-1\"").count(), 12);
        assert!(
            chart.contains(r#"href="?from=09:05""#) && chart.contains("2026-11-24 09:05:00 UTC: 1 failed of 1 run")
        );
    }

    #[test]
    fn the_axis_ends_with_a_round_number() {
        for (value, rounded) in
            [(0.4, 0.5), (1.0, 1.0), (1.1, 2.0), (47.0, 50.0), (501.0, 1_000.0), (9_999.0, 10_000.0)]
        {
            assert!((round(value) - rounded).abs() < 1e-9, "{value}: {}", round(value));
        }
    }
}
