//! Journeys that bring the steps of other probes, and what is expected of them as a whole.

use super::*;
use crate::domain::debt::Owing;
use crate::engine::plan::PlannedStep;

const PROBES: &str = r#"
front: { http: "https://shop.example.com/" }
login:
  steps:
    - { name: log-in, http: "https://shop.example.com/login", capture: { token: json.token } }
  cleanup:
    - { name: log-out, http: { url: "https://shop.example.com/logout", bearer: "{{token}}" } }
address:
  steps:
    - use: login
    - { name: add, http: "https://shop.example.com/address", capture: { place: status } }
  cleanup:
    - { name: remove, http: "https://shop.example.com/address", when: has(captures.place) }
order:
  steps:
    - use: front
    - use: address
    - { name: add-to-cart, http: { url: "https://shop.example.com/cart", bearer: "{{token}}" } }
    - { name: pay, http: "https://shop.example.com/pay", when: captures.place == "7" }
  expect: [EXPECT]
  cleanup:
    - { name: remove, http: "https://shop.example.com/cart/{{run.id}}" }
"#;

fn files(expect: &str) -> String {
    PROBES.replace("EXPECT", expect)
}

fn names(steps: &[PlannedStep]) -> Vec<&str> {
    steps.iter().map(|step| step.name.as_str()).collect()
}

#[test]
fn what_is_used_brings_its_steps_and_its_cleanup_follows_ours() {
    let plan = plan(&[
        ("probes/p.yaml", &files("'total_ms < 1000'")),
        ("schedules/s.yaml", "often: { every: 30s, probes: order }"),
    ]);
    let order = probe(&plan, "order");
    assert_eq!(names(&order.steps), ["front", "log-in", "add", "add-to-cart", "pay"]);
    // `remove` is a name of ours, so the other has its probe's before it.
    assert_eq!(names(&order.cleanup), ["remove", "address-remove", "log-out"], "the last that was used first");
    let needed = ["token", "place"].map(|name| CaptureName::parse(name).unwrap());
    assert_eq!(order.owing, Owing::Named(needed.into()));
    assert_eq!(probe(&plan, "login").owing, Owing::Named([CaptureName::parse("token").unwrap()].into()));
    assert!(plan.written["probe order"].contains("/login"), "who changes the login changes the order");
}

#[tokio::test(start_paused = true)]
async fn a_journey_is_weighed_as_a_whole() {
    for (expect, verdict) in [
        ("steps.front.status == 200 && steps[\"log-in\"].total_ms <= 1", "passed"),
        ("steps.add.json.sent == false && captures.place == \"200\"", "passed"),
        ("!has(steps.pay) && cleanup_debt == 0 && total_ms < 1000", "passed"),
        ("steps.pay.status == 200", "failed"),
        ("steps.front.json.missing == 1 || true", "failed"),
        ("steps.add.status == 201", "failed"),
    ] {
        let schedule = ("schedules/s.yaml", "often: { every: 30s, probes: order }");
        let plan = plan(&[("probes/p.yaml", &files(&format!("'{expect}'"))), schedule]);
        let run = run(plan, "order").await;
        assert_eq!(run.verdict.word(), verdict, "{expect}: {:?}", run.verdict);
        assert!(run.verdict.failures().iter().all(|failure| failure.step.is_none()), "it is of no step");
        let performed = run.steps.iter().filter(|step| step.verdict.is_some()).count();
        assert_eq!(performed, 7, "all but `pay`, and the cleanup whatever is expected");
    }
}

#[test]
fn a_journey_has_a_bounded_number_of_steps() {
    let steps = |letter: char| -> String {
        let steps: Vec<_> =
            (0..60).map(|n| format!("{{ name: {letter}{n}, http: \"https://shop.example.com/\" }}")).collect();
        steps.join(", ")
    };
    let (one, other) = (steps('a'), steps('b'));
    let text = format!(
        "one: {{ steps: [ {one} ] }}\nother: {{ steps: [ {other} ] }}\nboth: {{ steps: [ {{ use: one }}, {{ use: other }} ] }}\n"
    );
    let problems = loaded(&[("probes/p.yaml", &text)]).problems.render(false);
    assert!(problems.contains("with `other` these are more than 100 steps"), "{problems}");
}
