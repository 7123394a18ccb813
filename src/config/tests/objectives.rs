//! What a schedule promises of its probes, and what is said of what can never be told.

use super::*;
use crate::domain::objective::{BurnAlert, Goal, Percentile};

const PROBES: &str = "
shopper-journey:
  steps:
    - { name: login, http: https://shop.example.com/login }
    - { name: add-to-wardrobe, http: https://shop.example.com/wardrobe }
home: { http: https://shop.example.com/ }
";

/// What is said of these objectives of a schedule of both probes.
fn said(cadence: &str, root: &str, objectives: &str) -> String {
    let schedules = format!("tier: {{ {cadence}, probes: [shopper-journey, home], objectives: [{objectives}] }}");
    let files = [("roundsman.yaml", root), ("probes/a.yaml", PROBES), ("schedules/a.yaml", &schedules)];
    loaded(&files).problems.render(false)
}

#[test]
fn objectives_are_of_each_probe_and_those_of_a_step_where_that_is() {
    let schedules = "
journeys:
  every: 5m
  probes: [shopper-journey, home]
  objectives:
    - { success: 99.95%, over: 30d, alert: { severity: P2 } }
    - { p99: 500ms, over: 7d, step: add-to-wardrobe }
hourly:
  cron: \"0 * * * *\"
  probes: home
  objectives: { errors: 1%, over: 90d, alert: { slow: P3, failures: 5 } }
";
    let root = "channels: { team: { webhook: https://team.example.com } }\nroutes: [{ to: team }]\n";
    let plan = plan(&[("roundsman.yaml", root), ("probes/a.yaml", PROBES), ("schedules/a.yaml", schedules)]);
    let of = |schedule: &str, probe: &str| {
        let schedule = &plan.schedules[&ScheduleName::parse(schedule).unwrap()];
        plan.objectives(schedule, &ProbeName::parse(probe).unwrap()).cloned().collect::<Vec<_>>()
    };
    let words = |schedule, probe| of(schedule, probe).iter().map(ToString::to_string).collect::<Vec<_>>();
    let both = ["success 99.95 % over 30 d", "p99 500 ms of add-to-wardrobe over 7 d"];
    assert_eq!(words("journeys", "shopper-journey"), both);
    assert_eq!(words("journeys", "home"), both[..1]);
    let [success, p99] = &of("journeys", "shopper-journey")[..] else { panic!("two") };
    assert_eq!((success.expected, p99.expected), (8_640, 2_016));
    assert_eq!(success.alert, Some(BurnAlert { severity: Severity::P2, slow: Severity::P4, failures: 3 }));
    assert_eq!((p99.goal, &p99.alert), (Goal::Within(Percentile::P99, Duration::from_millis(500)), &None));
    let hourly = &of("hourly", "home")[0];
    assert_eq!(hourly.expected, 2_160, "counted over a month, and three times as many");
    assert_eq!(hourly.alert, Some(BurnAlert { severity: Severity::P3, slow: Severity::P3, failures: 5 }));
    let known = plan.known();
    assert!(known.objectives.contains(&("journeys".parse().unwrap(), both[0].into())));
}

#[test]
fn what_can_never_be_told_is_said_before_a_month_has_passed() {
    let said_of = said("cron: \"0 * * * *\"", "{}", "{ success: 99.95%, over: 30d }");
    assert!(
        said_of
            .contains("warning: `success 99.95 %` takes 5,990 runs until it can be told, and `tier` has 720 in 30 d"),
        "{said_of}"
    );
    assert_eq!(said("every: 5m", "{}", "{ success: 99.95%, over: 30d }"), "");
    assert_eq!(said("every: 1m", "{}", "{ p99: 500ms, over: 5h }"), "", "300 runs are one more than it takes");
    assert!(said("every: 1m", "{}", "{ p99: 500ms, over: 4h }").contains("takes 299 runs"));
    let said_of = said("every: 30s", "retention: 7d", "{ success: 99%, over: 30d }");
    assert!(
        said_of.contains("looks back on 30 d, and runs are kept for 7 d: after a restart it knows no more"),
        "{said_of}"
    );
}

#[test]
fn a_budget_that_burns_must_reach_somebody() {
    let root = "channels: { team: { webhook: https://team.example.com } }\nroutes: [{ severity: [P3], to: team }]\n";
    let said_of = said("every: 30s", root, "{ success: 99%, over: 30d, alert: {} }");
    assert!(said_of.contains("no route takes the alerts of `tier`, whose severity is P4"), "{said_of}");
    assert!(!said_of.contains("whose severity is P3"), "{said_of}");
}

#[test]
fn a_window_that_is_over_stays_as_long_as_an_objective_looks_back_on_it() {
    let root = "maintenance: { move: { from: 2026-11-01 02:00, until: 2026-11-01 04:00 } }";
    assert_eq!(said("every: 5m", root, "{ success: 99.95%, over: 30d }"), "");
    assert!(said("every: 30s", root, "{ success: 99.9%, over: 7d }").contains("warning: the window is over"));
}
