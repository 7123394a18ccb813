//! The channels that an alert names itself.

use super::*;
use crate::domain::judge::Aspect;

#[test]
fn an_alert_names_channels_for_what_fails_and_its_other_rules_name_their_own() {
    let root = "channels: { scale: { webhook: https://a.example }, team: { webhook: https://b.example } }\n\
                routes: [{ to: team }]\n";
    let probes = "throttled: { http: https://c.example, alert: { to: scale, degraded: {} } }\n\
                  slow: { http: https://d.example, alert: { to: [team, scale], inconclusive: { to: team } } }\n";
    let schedules = "often: { every: 1m, probes: [throttled, slow] }\n";
    let plan = plan(&[("roundsman.yaml", root), ("probes/a.yaml", probes), ("schedules/a.yaml", schedules)]);
    let of = |probe: &str| {
        let alert = plan.probes[&ProbeName::parse(probe).unwrap()].alert.clone().unwrap();
        let names = |rule: &Rule| rule.to.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        alert.rules().map(|(aspect, rule)| (aspect, names(rule))).collect::<Vec<_>>()
    };
    let rule = |aspect, to: &str| (aspect, to.to_owned());
    assert_eq!(
        of("throttled"),
        [rule(Aspect::Failing, "scale"), rule(Aspect::Degraded, ""), rule(Aspect::Blind, "")],
        "nothing is scaled because nobody could look"
    );
    assert_eq!(of("slow"), [rule(Aspect::Failing, "team scale"), rule(Aspect::Blind, "team")]);
}

#[test]
fn what_an_alert_names_needs_no_route_and_is_in_use() {
    let root = |routes: &str| {
        format!(
            "channels: {{ scale: {{ webhook: https://a.example }}, team: {{ webhook: https://b.example }} }}\n{routes}"
        )
    };
    let said = |routes: &str, alert: &str| {
        let schedules = format!("often: {{ every: 1m, probes: [home], alert: {alert} }}\n");
        let probes = "home: { http: https://c.example }\n";
        let files = [("roundsman.yaml", &*root(routes)), ("probes/a.yaml", probes), ("schedules/a.yaml", &schedules)];
        let problems = loaded(&files).problems;
        problems.sorted().into_iter().map(|problem| problem.headline(false)).collect::<Vec<_>>()
    };
    let everywhere = "{ severity: P1, to: [scale, team], inconclusive: { to: team } }";
    assert_eq!(said("", everywhere), [] as [&str; 0]);
    assert_eq!(
        said("routes: [{ severity: P2, to: team }]\n", "{ severity: P1, to: scale }"),
        ["schedules/a.yaml:1:1: warning: no route takes the alerts of `often`, whose severity is P1"],
        "what cannot be seen goes by the routes"
    );
}
