//! Whom an alert names itself.

use super::*;

/// A tier of one probe whose alert names these channels, before a route to `ops`.
fn naming(to: &[&str]) -> Plan {
    let mut tier = schedule_of("tier", "30s", 1);
    let alert = tier.alert.as_mut().unwrap();
    alert.failing.after = "1".parse().unwrap();
    alert.blind.after = "1".parse().unwrap();
    alert.failing.to = to.iter().map(|channel| ChannelName::parse(channel).unwrap()).collect();
    plan_of(vec![tier])
}

#[test]
fn channels_that_an_alert_names_are_told_in_place_of_those_of_its_route() {
    let mut story = Story::of(naming(&["scale", "team"]));
    story.runs("tier", "probe-0", "x.");
    assert_eq!(
        story.heard(),
        [
            "scale opened P2 #1 probe-0 is failing",
            "team opened P2 #1 probe-0 is failing",
            "scale resolved P2 #2 probe-0 is well again after 1 s",
            "team resolved P2 #2 probe-0 is well again after 1 s",
        ]
    );
}

#[test]
fn what_cannot_be_seen_goes_by_the_routes() {
    let mut story = Story::of(naming(&["scale"]));
    story.runs("tier", "probe-0", "?");
    assert_eq!(story.heard(), ["ops opened P2 #1 Roundsman cannot see probe-0: local.network: no route"]);
}

#[test]
fn channels_that_an_alert_names_need_no_route() {
    let mut plan = naming(&["scale"]);
    plan.routes.clear();
    let mut story = Story::of(plan);
    story.runs("tier", "probe-0", "x");
    assert_eq!(story.heard(), ["scale opened P2 #1 probe-0 is failing"]);
}

#[test]
fn where_one_of_two_schedules_names_nobody_its_route_is_told_as_well() {
    let mut plan = naming(&["scale"]);
    let slow = schedule_of("slow", "1h", 1);
    plan.schedules.insert(slow.name.clone(), Arc::new(slow));
    let story = Story::of(plan);
    let named = |schedules: &[&str]| {
        let firing = schedules.iter().map(|name| (ScheduleName::parse(name).unwrap(), Severity::P2)).collect();
        let (id, run) = (IncidentId(Arc::from("i")), RunId(Arc::from("r")));
        let of = Incident::opened(id, name("probe-0"), Aspect::Failing, Severity::P2, run, story.now());
        let incident = Incident { firing, ..of };
        let recipients = story.ledger.recipients(&incident, story.now()).unwrap();
        recipients.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(named(&["tier"]), ["scale"]);
    assert_eq!(named(&["slow"]), ["ops"]);
    assert_eq!(named(&["slow", "tier"]), ["scale", "ops"]);
}
