//! `routes explain`: for a probe, which route takes its alerts at an instant, and why each of the others does not.

use std::path::Path;

use super::answer::{Answer, Output, Stop};
use super::wiring;
use crate::config::load::Surroundings;
use crate::domain::incident::Severity;
use crate::domain::names::ProbeName;
use crate::domain::route::{Route, Subject};
use crate::domain::schedule::Schedule;
use crate::domain::time::{Timestamp, clock};
use crate::engine::plan::{Plan, PlannedProbe};
use crate::settings::suggest;

/// Explains. That nobody would be told is exit 1.
pub fn explain(
    directory: &Path,
    surroundings: &Surroundings,
    probe: &str,
    at: Option<Timestamp>,
) -> Result<Answer, Stop> {
    let plan = wiring::plan(directory, surroundings)?;
    let now = at.unwrap_or_else(|| surroundings.clock.now());
    let Some(probe) = plan.probes.values().find(|known| known.name.as_str() == probe) else {
        let known = suggest(probe, plan.probes.keys().map(ProbeName::as_str).collect::<Vec<_>>());
        let help = known.map(|help| format!("; {help}")).unwrap_or_default();
        return Err(Stop::Usage(format!("there is no probe `{probe}`{help}")));
    };
    let mut out = Output::default();
    let schedules: Vec<_> = plan.schedules.values().filter(|schedule| schedule.has(&probe.name)).collect();
    if schedules.is_empty() {
        out.line(format_args!("{} is on no schedule, so it alerts nobody", probe.name))?;
        return Ok(Answer::Unwell);
    }
    let mut is_told = true;
    for schedule in schedules {
        let (lines, told) = story(&plan, schedule, probe, now);
        is_told &= told;
        for line in lines {
            out.line(line)?;
        }
    }
    Ok(if is_told { Answer::Well } else { Answer::Unwell })
}

/// The lines for a probe on a schedule, the gravest alert first, and whether somebody would be told of each.
fn story(plan: &Plan, schedule: &Schedule, probe: &PlannedProbe, now: Timestamp) -> (Vec<String>, bool) {
    let of = format!("{} on {}", probe.name, schedule.name);
    let Some(alert) = probe.alert_on(schedule) else {
        return (vec![format!("{of} has no alert, so nobody is told")], false);
    };
    let (mut lines, mut told) = (Vec::new(), true);
    for (aspect, rule) in alert.rules().filter(|(_, rule)| !rule.to.is_empty()) {
        let names: Vec<_> = rule.to.iter().map(ToString::to_string).collect();
        lines.push(format!("{of}, when {}: to {}, as its alert says", aspect.as_str(), names.join(", ")));
    }
    for severity in alert.routed_severities().into_iter().rev() {
        let (of_severity, taken) = story_of(plan, schedule, probe, severity, now);
        lines.push(format!("{of}, {severity}, at {}:", clock(now)));
        lines.extend(of_severity);
        told &= taken;
    }
    (lines, told)
}

fn story_of(
    plan: &Plan,
    schedule: &Schedule,
    probe: &PlannedProbe,
    severity: Severity,
    now: Timestamp,
) -> (Vec<String>, bool) {
    let mut lines = Vec::new();
    let schedules = [schedule.name.clone()];
    let subject = Subject { severity, labels: &probe.labels, schedules: &schedules };
    let mut taken = false;
    for (number, route) in (1..).zip(&plan.routes) {
        let why = match route.refuses(&subject, now) {
            Some(mismatch) => format!("no: {mismatch}"),
            None if taken => "no: an earlier route takes it".to_owned(),
            None => {
                taken = true;
                "yes".to_owned()
            }
        };
        lines.push(format!("  route {number}, to {}: {why}", channels(route)));
    }
    if !taken {
        lines.push("  no route takes it, so nobody is told".to_owned());
    }
    let hold = plan.severities.get(&severity).and_then(|severity| severity.hold.as_ref());
    if let Some(until) = hold.and_then(|hours| hours.next_after(now)) {
        lines.push(format!("  and it waits until {}", clock(until)));
    }
    (lines, taken)
}

fn channels(route: &Route) -> String {
    let names: Vec<_> = route.to.iter().map(ToString::to_string).collect();
    let fallback = route.fallback.as_ref().map(|fallback| format!(", else {fallback}"));
    format!("{}{}", names.join(", "), fallback.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hours::Hours;
    use crate::engine::plan::SeverityPlan;
    use crate::engine::testing::{at, plan_of, probe, schedule_of};

    #[test]
    fn each_route_says_why_it_takes_an_alert_or_does_not() {
        let tier = schedule_of("tier", "30s", 1);
        let mut plan = plan_of(vec![tier.clone()]);
        let to = |name: &str| Route { to: vec![name.parse().unwrap()], ..Route::default() };
        let office = Hours::parse("mon-fri 09:00-17:00", chrono_tz::Tz::UTC).unwrap();
        plan.routes = vec![
            Route { severities: [Severity::P1].into(), fallback: "team".parse().ok(), ..to("oncall") },
            Route { when: Some(office.clone()), ..to("desk") },
            to("team"),
            to("ops"),
        ];
        let hold = SeverityPlan { hold: Some(office), ..SeverityPlan::default() };
        plan.severities = [(Severity::P2, hold)].into();
        let (lines, told) = story(&plan, &tier, &probe("probe-0"), at("2026-11-24T18:00:00Z"));
        assert!(told);
        assert_eq!(
            lines,
            [
                "probe-0 on tier, P2, at 2026-11-24 18:00:00 UTC:",
                "  route 1, to oncall, else team: no: the severity is P2",
                "  route 2, to desk: no: it is not mon-fri 09:00-17:00",
                "  route 3, to team: yes",
                "  route 4, to ops: no: an earlier route takes it",
                "  and it waits until 2026-11-25 09:00:00 UTC",
            ]
        );
        plan.routes.truncate(2);
        let (lines, told) = story(&plan, &tier, &probe("probe-0"), at("2026-11-24T18:00:00Z"));
        assert!(!told && lines.contains(&"  no route takes it, so nobody is told".to_owned()));
    }
}
