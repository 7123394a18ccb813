//! The dashboard: alarms, how things are, each tier with its times and steps, error budgets, what the estate does, and what
//! others have to show. Where that is more than CloudWatch takes, it is shown in less detail.

use serde_json::{Value, json};

use super::alarms::Alarm;
use super::grid::{Grid, METRICS_MAX, WIDGETS_MAX, WIDTH, Widget};
use super::operations::operations;
use super::place::{Dimensions, Place, shared};
use super::widget::{Graph, LINES_MAX, Line};
use crate::app::answer::Stop;
use crate::domain::blueprint::Estate;
use crate::domain::names::ProbeName;
use crate::domain::objective::{Goal, Objective, Percentile};
use crate::domain::schedule::Schedule;
use crate::domain::text::thousands;
use crate::engine::plan::Plan;

/// The percentiles that are drawn.
const PERCENTILES: [Percentile; 3] = [Percentile::P50, Percentile::P95, Percentile::P99];

/// A tier of more probes has them in common graphs.
const PROBES_APART_MAX: usize = 12;

/// How many are shown of all where all are too many.
const WORST: u32 = 20;

/// How many alarms one row holds.
const ALARMS_MAX: usize = 100;

/// In how much detail tiers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// A graph for the times of each probe of a tier that is not too large.
    Each,
    /// The probes of a tier in common graphs.
    Tiers,
    /// Of all probes the worst.
    Worst,
}

/// The body of a dashboard.
pub fn dashboard(plan: &Plan, place: &Place, estate: &Estate, alarms: &[Alarm]) -> Result<Value, Stop> {
    let mut extent = (0, 0);
    for detail in [Detail::Each, Detail::Tiers, Detail::Worst] {
        let grid = laid_out(plan, place, estate, alarms, detail);
        if grid.fits() {
            return Ok(json!({ "start": "-PT3H", "periodOverride": "inherit", "widgets": grid.into_widgets() }));
        }
        extent = grid.extent();
    }
    let ((widgets, metrics), most) = (extent, format!("{WIDGETS_MAX} and {}", thousands(METRICS_MAX as u64)));
    let found = format!("{widgets} widgets with {} metrics", thousands(metrics as u64));
    Err(Stop::Unwell(format!(
        "the dashboard would have {found}, and CloudWatch takes {most}: name less under `estate`"
    )))
}

/// The name of the dashboard: what is written, or the site's as far as such a name can say it.
pub fn name(plan: &Plan) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    plan.blueprint.dashboard.name.clone().unwrap_or_else(|| plan.site.chars().map(fit).take(255).collect())
}

fn laid_out(plan: &Plan, place: &Place, estate: &Estate, alarms: &[Alarm], detail: Detail) -> Grid {
    let mut grid = Grid::default();
    grid.heading(&format!(
        "# {}: printed by `roundsman aws`, and printed anew where the configuration changes",
        plan.site
    ));
    alarm_row(&mut grid, place, alarms);
    overview(&mut grid, place);
    if detail == Detail::Worst {
        worst(&mut grid, place);
    } else {
        for schedule in plan.schedules.values().filter(|schedule| !schedule.probes.is_empty()) {
            tier(&mut grid, plan, place, schedule, detail);
        }
    }
    if detail != Detail::Worst {
        budgets(&mut grid, plan, place);
    }
    operations(&mut grid, estate, &place.region);
    included(&mut grid, plan, place);
    grid
}

/// Whether anything alarms, and whether we live.
fn alarm_row(grid: &mut Grid, place: &Place, alarms: &[Alarm]) {
    if let Some(arns) = place.alarm_arns.as_ref().filter(|_| !alarms.is_empty()) {
        for part in alarms.chunks(ALARMS_MAX) {
            let arns: Vec<String> = part.iter().map(|alarm| format!("{arns}{}", alarm.name)).collect();
            let height = 2 + arns.len().div_ceil(6) as u64;
            let properties = json!({ "title": "Alarms", "alarms": arns });
            grid.add(Widget { kind: "alarm".to_owned(), width: WIDTH, height, properties });
        }
        grid.end_row();
    }
}

/// How all probes together do.
fn overview(grid: &mut Grid, place: &Place) {
    let all = |name: &str, stat: &str| place.search(name, stat, 60);
    let passed = Line::formula(format!("AVG({})", all("SuccessPercent", "Average"))).label("passed");
    let failed = Line::formula(format!("SUM({})", all("Failed", "Sum"))).label("failed");
    let slowest = Line::formula(format!("MAX({})", all("Duration", "p99"))).label("the slowest p99");
    let beats = Line::metric(&place.metrics.namespace, "Heartbeat", &place.of_heartbeat()).stat("Sum");
    let graph = |title: &str, line: Line| Graph::new(title, &place.region, vec![line]).wide(6).high(5);
    grid.add(graph("All probes: runs that pass", passed).scale("%", Some(100)).widget());
    grid.add(graph("All probes: failed runs a minute", failed).scale("runs", None).widget());
    grid.add(graph("All probes: p99 of the slowest", slowest).scale("ms", None).widget());
    let heartbeat = graph("Roundsman's heartbeat", beats.label(place.location.as_str())).scale("beats", None);
    grid.add(heartbeat.mark("it lives", 1.0).widget());
    grid.end_row();
}

/// The worst of all probes.
fn worst(grid: &mut Grid, place: &Place) {
    grid.heading(&format!("## The {WORST} worst of all probes"));
    let sorted = |name: &str, stat: &str, by: &str| {
        vec![Line::formula(format!("SORT({}, {by}, {WORST})", place.search(name, stat, 300)))]
    };
    let graph = |title: &str, lines: Vec<Line>| Graph::new(title, &place.region, lines).wide(12).period(300);
    let passed = sorted("SuccessPercent", "Average", "AVG, ASC");
    grid.add(graph("Runs that pass", passed).scale("%", Some(100)).widget());
    for percentile in PERCENTILES {
        let lines = sorted("Duration", percentile.as_str(), "MAX, DESC");
        grid.add(graph(percentile.as_str(), lines).scale("ms", None).widget());
    }
    grid.end_row();
}

/// A tier: whether its probes pass, how long they take, and their steps where those are published.
fn tier(grid: &mut Grid, plan: &Plan, place: &Place, schedule: &Schedule, detail: Detail) {
    // The stars of a cron line are no emphasis.
    grid.heading(&format!("## {}: `{}`", schedule.name, schedule.cadence));
    let (namespace, region) = (&place.metrics.namespace, &place.region);
    let lines = |name: &str, stat: &str, probes: &[ProbeName]| -> Vec<Line> {
        let line =
            |probe: &ProbeName| Line::metric(namespace, name, &Place::of_probe(probe)).stat(stat).label(probe.as_str());
        probes.iter().map(line).collect()
    };
    // A point for each run at most, as far as CloudWatch can tell runs apart.
    let period = schedule.cadence.even_period().map_or(60, |period| period.as_secs().next_multiple_of(60));
    for probes in schedule.probes.chunks(LINES_MAX) {
        let passed = Graph::new("Runs that pass", region, lines("SuccessPercent", "Average", probes));
        grid.add(passed.wide(12).period(period).scale("%", Some(100)).widget());
        let failed = Graph::new("Failed runs", region, lines("Failed", "Sum", probes));
        grid.add(failed.wide(12).period(period).scale("runs", None).widget());
    }
    grid.end_row();
    let times = |title: &str, lines: Vec<Line>| Graph::new(title, region, lines).period(period).scale("ms", None);
    if place.metrics.by_schedule {
        let whole = percentiles(namespace, &Place::of_schedule(&schedule.name));
        grid.add(times(&format!("{} as a whole", schedule.name), whole).wide(WIDTH).widget());
        grid.end_row();
    }
    if detail == Detail::Each && schedule.probes.len() <= PROBES_APART_MAX {
        for probe in &schedule.probes {
            grid.add(times(probe.as_str(), percentiles(namespace, &Place::of_probe(probe))).wide(6).widget());
        }
    } else {
        for probes in schedule.probes.chunks(LINES_MAX) {
            for percentile in PERCENTILES {
                let of_all = lines("Duration", percentile.as_str(), probes);
                grid.add(times(percentile.as_str(), of_all).widget());
            }
        }
    }
    grid.end_row();
    if place.metrics.by_step {
        for probe in schedule.probes.iter().filter_map(|name| plan.probes.get(name)) {
            let steps = probe.steps.iter().map(|step| {
                let dimensions = Place::of_step(&probe.name, &step.name);
                Line::metric(namespace, "Duration", &dimensions).stat("p99").label(step.name.as_str())
            });
            if probe.steps.len() > 1 {
                let title = format!("Steps of {}: p99", probe.name);
                grid.add(times(&title, steps.take(LINES_MAX).collect()).wide(12).widget());
            }
        }
        grid.end_row();
    }
}

fn percentiles(namespace: &str, dimensions: &Dimensions) -> Vec<Line> {
    let line = |percentile: Percentile| {
        Line::metric(namespace, "Duration", dimensions).stat(percentile.as_str()).label(percentile.as_str())
    };
    PERCENTILES.map(line).into()
}

/// What is left of each error budget.
fn budgets(grid: &mut Grid, plan: &Plan, place: &Place) {
    let mut is_first = true;
    for schedule in plan.schedules.values() {
        for objective in &schedule.objectives {
            let of = |name| plan.probes.get(name).and_then(|probe| Some((name, place.of_objective(probe, objective)?)));
            let has = |name: &&ProbeName| {
                shared(plan, schedule, name).is_ok() && plan.objectives(schedule, name).any(|own| own == objective)
            };
            let probes: Vec<_> = schedule.probes.iter().filter(has).filter_map(of).collect();
            // Each has a metric that is reckoned with beside the number that is shown.
            for part in probes.chunks(LINES_MAX / 2) {
                if std::mem::take(&mut is_first) {
                    grid.heading("## Error budgets: what is left");
                }
                grid.add(budget(place, schedule, objective, part));
            }
        }
    }
    grid.end_row();
}

fn budget(place: &Place, schedule: &Schedule, objective: &Objective, probes: &[(&ProbeName, Dimensions)]) -> Widget {
    let allowed = objective.goal.allowed().fraction() * 100.0;
    let mut lines = Vec::new();
    for (n, (probe, dimensions)) in probes.iter().enumerate() {
        let (metric, stat) = well(&objective.goal);
        lines.push(Line::metric(&place.metrics.namespace, metric, dimensions).stat(stat).id(format!("m{n}")).hidden());
        // Without a run nothing of it is used up, and nothing is shown.
        let left = Line::formula(format!("100 * (1 - (100 - m{n}) / {})", short(allowed)));
        lines.push(left.label(probe.as_str()).id(format!("left{n}")));
    }
    let title = format!("{}: {objective}, % left", schedule.name);
    let hours = objective.over.as_secs().div_ceil(3_600);
    let width = if probes.len() > 4 { WIDTH } else { 12 };
    let height = 3 * (probes.len() as u64).div_ceil(if width == WIDTH { 8 } else { 4 });
    Graph::new(title, &place.region, lines).numbers_over(&format!("PT{hours}H")).wide(width).high(height).widget()
}

/// The metric and the statistic that say which per cent of runs was well by a goal.
pub fn well(goal: &Goal) -> (&'static str, String) {
    match goal {
        Goal::Success(_) | Goal::Errors(_) => ("SuccessPercent", "Average".to_owned()),
        Goal::Within(_, limit) => ("Duration", format!("PR(:{})", short(limit.as_secs_f64() * 1e3))),
    }
}

/// A number without the noise of its representation.
pub fn short(number: f64) -> String {
    ((number * 1e9).round() / 1e9).to_string()
}

/// What others show, below ours. Where a widget names no region it is ours, since CloudWatch wants one.
fn included(grid: &mut Grid, plan: &Plan, place: &Place) {
    for (n, written) in plan.blueprint.dashboard.include.iter().enumerate() {
        if n == 0 {
            grid.heading("## Beside ours");
        }
        let kind = written["type"].as_str().unwrap_or_default().to_owned();
        let mut properties = written["properties"].clone();
        if matches!(kind.as_str(), "metric" | "log") && properties.get("region").is_none() {
            properties["region"] = json!(place.region);
        }
        let size = |name: &str, otherwise| written[name].as_u64().unwrap_or(otherwise);
        grid.add(Widget { kind, width: size("width", 12), height: size("height", 6), properties });
    }
    grid.end_row();
}
