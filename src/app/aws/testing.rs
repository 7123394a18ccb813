//! What the tests of these documents share: a configuration in a directory, and the plan that it becomes.

use std::fs;

use crate::app::wiring;
use crate::config::load::{Loaded, load};
use crate::engine::plan::Plan;

/// A configuration as people write it, with everything of it that is printed.
pub const ROOT: &str = r#"
site: shop
location: us-east-1
publish: { cloudwatch: { region: us-east-1 } }
channels:
  ops: { sns: "arn:aws:sns:us-east-1:123456789012:ops" }
  pager: { webhook: "http://127.0.0.1:4281/" }
routes: [{ to: [ops, pager] }]
estate:
  account: "123456789012"
  lambda: [shop-api]
  api_gateway: [{ name: shop, stage: prod }, { id: ab12cd34 }]
  dynamodb: [Users]
  cognito: [{ pool: us-east-1_Shoppers, client: 1abc }]
  s3: [assets]
  cloudfront: [E1EXAMPLE]
dashboard:
  include:
    - { type: metric, properties: { title: Daily active users, metrics: [[Business, DailyActiveUsers]] } }
    - { type: text, width: 24, height: 1, properties: { markdown: "${var:team}" } }
vars: { team: "**The shop's team**" }
alarms:
  dead_man: "arn:aws:sns:us-east-1:123456789012:dead-man"
  policies: true
  objectives: true
  estate: { to: [ops], api_p99: { limit: 300ms }, lambda_errors: { limit: 0.5%, to: [] } }
"#;

/// Its probes.
pub const PROBES: &str = r#"
api: { http: "https://api.example.com/health" }
shared: { http: "https://shared.example.com/" }
items:
  steps:
    - { name: list, http: { url: "https://ab12.execute-api.us-east-1.amazonaws.com/prod/items", sigv4: { service: execute-api } } }
    - { name: get, http: { url: "https://s3.us-east-1.amazonaws.com/images/probe", sigv4: { service: s3 } } }
"#;

/// Its schedules.
pub const SCHEDULES: &str = r#"
often: { every: 30s, probes: [api], alert: { after: 2 of 3 } }
tier:
  every: 5m
  probes: [shared, items]
  alert: { after: 2, degraded: { after: 3 } }
  objectives:
    - { success: 99.95%, over: 30d }
    - { p99: 500ms, over: 7d, step: get }
    - { p95: 1s, over: 7d }
odd: { cron: "0 2 * * 2-4", probes: [shared] }
"#;

/// The plan of a configuration.
pub fn plan(root: &str, probes: &str, schedules: &str) -> Plan {
    let loaded = loaded(root, probes, schedules);
    loaded.plan.unwrap_or_else(|| panic!("{}", loaded.problems.render(false)))
}

/// What comes of loading it.
pub fn loaded(root: &str, probes: &str, schedules: &str) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("roundsman.yaml", root), ("probes/p.yaml", probes), ("schedules/s.yaml", schedules)] {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let surroundings = wiring::surroundings(std::sync::Arc::new(|_| None)).unwrap();
    load(directory.path(), &surroundings)
}

/// The plan of the one above.
pub fn shop() -> Plan {
    plan(ROOT, PROBES, SCHEDULES)
}
