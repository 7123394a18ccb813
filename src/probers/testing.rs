//! What the tests of the kinds share.

use std::sync::Arc;

use crate::clock::SystemClock;
use crate::engine::pulses::Pulses;
use crate::engine::testing::NoSecrets;
use crate::ports::{Building, BuiltProber, Kind};
use crate::settings::{Problems, Source, parse};

/// What a kind makes of its settings, or every problem as people see it.
pub fn build(kind: &Kind, yaml: &str, cleanup: bool) -> Result<BuiltProber, String> {
    let mut problems = Problems::new();
    let node = parse(Source::new("probes/a.yaml", yaml), &mut problems).unwrap();
    let building = building(cleanup);
    let built = (kind.build)(&node, &building, &mut problems);
    built.filter(|_| problems.is_empty()).ok_or_else(|| problems.render(false))
}

/// What every kind is built with.
pub fn building(cleanup: bool) -> Building {
    Building {
        secrets: Arc::new(NoSecrets),
        http: reqwest::Client::new(),
        clock: Arc::new(SystemClock::start()),
        cleanup,
        site: "test".to_owned(),
        location: Arc::from("here"),
        directory: Arc::from(std::env::temp_dir()),
        pings: Arc::new(Pulses::default()),
    }
}
