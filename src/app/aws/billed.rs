//! What AWS bills of what is printed, once it is applied.

use std::collections::BTreeMap;

use super::alarms::alarms;
use super::estate::estate;
use super::place::Place;
use crate::domain::bill::prices::Thing;
use crate::engine::plan::Plan;

/// The dashboard, and the metrics that the alarms look at. Where nothing can be printed there is nothing.
pub fn billed(plan: &Plan) -> BTreeMap<Thing, u64> {
    let Ok(place) = Place::of(plan) else { return BTreeMap::new() };
    let mut things = BTreeMap::from([(Thing::Dashboard, 1)]);
    for alarm in alarms(plan, &place, &estate(plan, &place.region)).made {
        let thing = if alarm.is_high_resolution() { Thing::HighResolutionAlarm } else { Thing::Alarm };
        *things.entry(thing).or_default() += alarm.metrics_count() as u64;
    }
    things
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::aws::testing::{PROBES, SCHEDULES, plan};

    #[test]
    fn an_alarm_is_as_many_as_the_metrics_that_it_looks_at() {
        let of = |root: &str| billed(&plan(root, PROBES, SCHEDULES));
        let bare = of("publish: { cloudwatch: { region: eu-west-1 } }");
        assert_eq!(bare, [(Thing::Alarm, 1), (Thing::Dashboard, 1)].into());
        let formula = of(
            "publish: { cloudwatch: { region: eu-west-1 } }\nestate: { lambda: [checkout] }\nalarms: { estate: {} }",
        );
        assert!(formula[&Thing::Alarm] >= 3, "errors and invocations, beside the heartbeat: {formula:?}");
        assert_eq!(of(""), BTreeMap::new(), "no region is known");
    }
}
