//! `roundsman drill --probes` on a real server: what passes is named with what would notice it, and what is explained is not.

use serde_json::Value;

use crate::commands::configuration;
use crate::servers::nginx::{Nginx, Site};
use crate::servers::roundsman::output;

const HEALTH: &str = "{ \"status\": \"healthy\",\n  \"services\": { \"cache\": \"ok\", \"database\": \"ok\" },\n  \"items\": [ { \"id\": 7 }, { \"id\": 8 } ] }\n";

const ROOT: &str = "defaults: { unnoticed: { headers.*: they are nginx's own } }\n";

fn drill(probes: &str, what: &[&str]) -> (String, String, Option<i32>) {
    let directives =
        "location = /now { return 200 \"{ \\\"at\\\": \\\"$msec\\\", \\\"id\\\": \\\"$request_id\\\" }\"; }";
    let nginx = Nginx::start(&[Site { identity: None, directives }], &[("health", HEALTH.as_bytes())]);
    let probes = probes.replace("SHOP", &format!("http://127.0.0.1:{}", nginx.port(0)));
    let directory = configuration(&[
        ("roundsman.yaml", ROOT),
        ("probes/p.yaml", &probes),
        ("schedules/s.yaml", "hourly: { cron: \"0 * * * *\", probes: [\"*\"] }\n"),
    ]);
    let config = ["--config", directory.path().to_str().expect("a path in UTF-8")];
    let drilled = output(&[&["drill", "--probes"], what, &config].concat(), &[]);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (text(drilled.stdout), text(drilled.stderr), drilled.status.code())
}

#[test]
fn what_passes_is_named_with_what_would_notice_it() {
    let probes = "\
reached: { http: SHOP/health, expect: status < 600 }
partly:
  http: SHOP/health
  expect: [json.status == \"healthy\", json.services.cache == \"ok\"]
journey:
  steps:
    - { name: ask, http: SHOP/now, capture: { id: json.id }, expect: 'json.at.matches(\"[0-9]\")' }
    - { name: look, http: SHOP/health, unnoticed: { json.*: partly reads it, body: partly reads it } }
  warn: total_ms < 5000
broken: { http: SHOP/missing }
skipped: { steps: [{ name: never, when: \"false\", http: SHOP/health }] }
";
    let (told, _, code) = drill(probes, &[]);
    insta::assert_snapshot!(told);
    assert_eq!(code, Some(1));
}

#[test]
fn who_adds_what_is_suggested_or_explains_is_done() {
    let probes = "\
well:
  http: SHOP/health
  expect:
    - json.status == \"healthy\"
    - json.services.cache == \"ok\"
    - json.services.database == \"ok\"
    - json.items.all(item, item.id >= 0)
    - size(json.items) > 0
  warn: total_ms < 2000
  unnoticed: { json.items.*.id: it may be any number }
now:
  http: SHOP/now
  expect: ['json.at.matches(\"[0-9]\")', 'json.id.matches(\".+\")']
  warn: total_ms < 2000
  unnoticed: { json.nothing: it is not there }
";
    let (told, said, code) = drill(probes, &["--format", "json"]);
    assert_eq!((said.as_str(), code), ("", Some(0)), "{told}");
    let probes: Vec<Value> = serde_json::from_str(&told).expect("JSON");
    let [now, well] = &probes[..] else { panic!("{told}") };
    assert_eq!((&now["survived"], &well["survived"]), (&0.into(), &0.into()));
    assert_eq!(now["steps"][0]["volatile"], serde_json::json!(["json.at", "json.id"]));
    assert_eq!(now["steps"][0]["idle"], serde_json::json!(["json.nothing"]));
    let mutants = well["steps"][0]["mutants"].as_array().expect("mutants");
    let found = |place: &str, change: &str| {
        mutants.iter().find(|one| one["place"] == place && one["change"] == change).expect("a mutant")
    };
    let noticed = &found("json.services.cache", "another value")["noticed_by"];
    assert_eq!(
        *noticed,
        serde_json::json!({ "kind": "expect", "expression": "json.services.cache == \"ok\"", "warns": false })
    );
    assert_eq!(found("status", "500")["noticed_by"]["expression"], "status >= 200 && status < 300", "it is implied");
    assert_eq!(found("total_ms", "far longer")["noticed_by"]["warns"], true);
    assert_eq!(found("connect.refused", "connect.refused")["noticed_by"]["kind"], "connect.refused");
    assert_eq!(found("headers.server", "removed")["explained"], "they are nginx's own");
}

#[test]
fn what_is_not_there_cannot_be_drilled() {
    let (_, said, code) = drill("well: { http: SHOP/health }\n", &["wel"]);
    assert_eq!((said.as_str(), code), ("error: there is no probe `wel`: did you mean `well`?\n", Some(2)));
}
