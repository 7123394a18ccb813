//! The dashboard and the alert rules that come with Roundsman, and what the book shows of Prometheus: `promtool` takes them, and
//! they ask for metrics and labels that there are.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use regex::Regex;
use roundsman::domain::outcome::FailureKind;
use serde_json::Value;

use crate::blocks::{self, Class};
use crate::metrics::{labels, names};
use crate::pages::root;
use crate::programs::yaml;

/// What the rules are tested with: those of minutes and those of days.
const TESTS: [&str; 2] = ["dashboards/prometheus-rules.test.yaml", "dashboards/prometheus-rules.days.test.yaml"];

/// Counters that rise all the time, that are there from the beginning, or of which only means are taken.
const ALWAYS_THERE: &[&str] = &["roundsman_heartbeats_total", "roundsman_drills_total", "_sum", "_count", "_bucket"];

/// Labels that Prometheus itself gives, or that belong to a form of expression.
const FOREIGN: &[&str] = &["instance", "job", "le"];

/// What Grafana puts in by itself.
const OF_GRAFANA: &[&str] = &["__range", "__rate_interval"];

fn promtool(arguments: &[&str], directory: &Path) {
    let ended = Command::new("promtool").args(arguments).current_dir(directory).output();
    let ended = ended.unwrap_or_else(|error| panic!("this test needs promtool ({error}): apt-get install prometheus"));
    let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "promtool {}\n{said}", arguments.join(" "));
}

/// What an expression asks for that there is not.
fn unknown(expression: &str) -> Vec<String> {
    let known = labels();
    let mut wrong = Vec::new();
    let metric = Regex::new(r"\b((?:probe|roundsman)_[a-z_]+)(?:\{([^}]*)\})?").expect("a pattern");
    let matcher = Regex::new(r#"([a-z_]+)\s*(?:=~|!~|!=|=)\s*""#).expect("a pattern");
    let mut of_expression: BTreeSet<String> = FOREIGN.iter().map(|label| (*label).to_owned()).collect();
    let mut asks = false;
    for found in metric.captures_iter(expression) {
        asks = true;
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| found[1].strip_suffix(suffix))
            .filter(|name| known.contains_key(*name));
        let name = name.unwrap_or(&found[1]);
        let Some(of_metric) = known.get(name) else {
            wrong.push(format!("there is no metric `{name}`"));
            continue;
        };
        let asked = found.get(2).map_or("", |within| within.as_str());
        let asked = matcher.captures_iter(asked).map(|label| label[1].to_owned());
        wrong.extend(
            asked.filter(|label| !of_metric.contains(label)).map(|label| format!("`{name}` has no label `{label}`")),
        );
        of_expression.extend(of_metric.iter().cloned());
    }
    let by = Regex::new(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)").expect("a pattern");
    for group in by.captures_iter(expression) {
        let group = group[1].split(',').map(|label| label.trim().to_owned());
        wrong.extend(
            group.filter(|label| !of_expression.contains(label)).map(|label| format!("nothing has a label `{label}`")),
        );
    }
    if !asks {
        wrong.push("it asks for none of our metrics".to_owned());
    }
    wrong.into_iter().map(|wrong| format!("{wrong}: {expression}")).collect()
}

/// The labels that an expression leaves, where it says so at its outside.
fn left(expression: &str) -> BTreeSet<String> {
    let by = Regex::new(r"\bby \(([^)]*)\)").expect("a pattern");
    let known = labels();
    let of_metrics = known
        .iter()
        .filter(|(name, _)| expression.contains(name.as_str()))
        .flat_map(|(_, labels)| labels.iter().cloned());
    match by.captures(expression) {
        Some(group) => group[1].split(',').map(|label| label.trim().to_owned()).collect(),
        None => of_metrics.collect(),
    }
}

/// The counters of which an expression misses the first event: `increase` says 0 of it, where they begin with it.
fn missed(expression: &str) -> Vec<String> {
    let increase = Regex::new(r"increase\(([^\[]+)\[([^\]]+)\]\)").expect("a pattern");
    let counters = increase.captures_iter(expression).filter(|found| {
        let (counter, range) = (&found[1], &found[2]);
        let name = counter.split('{').next().unwrap_or_default();
        let whole = format!("({counter} unless {counter} offset {range}) or increase({counter}[{range}])");
        let is_whole = expression.split_whitespace().collect::<Vec<_>>().join(" ").contains(&whole);
        !is_whole && !ALWAYS_THERE.iter().any(|known| name.ends_with(known))
    });
    counters.map(|found| found[0].to_owned()).collect()
}

fn rules() -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("dashboards/prometheus-rules.yaml")).expect("rules");
    let documents = yaml(&text);
    let groups = documents[0]["groups"].as_array().expect("groups").clone();
    groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect()
}

#[test]
fn promtool_takes_the_rules_and_their_tests() {
    promtool(&["check", "rules", "dashboards/prometheus-rules.yaml"], &root());
    promtool(&[&["test", "rules"], &TESTS[..]].concat(), &root());
}

#[test]
fn what_is_ours_is_what_the_rule_of_being_blind_asks_for() {
    let rules = rules();
    let rule = rules.iter().find(|rule| rule["alert"] == "RoundsmanCannotSee").expect("the rule");
    let expression = rule["expr"].as_str().expect("an expression");
    let kinds = Regex::new(r#"kind=~"([^"]*)""#).expect("a pattern").captures(expression).expect("kinds");
    let kinds = Regex::new(&format!("^(?:{})$", kinds[1].replace(r"\\", r"\"))).expect("a pattern");
    for kind in FailureKind::ALL {
        assert_eq!(kinds.is_match(kind.as_str()), kind.is_ours(), "{}", kind.as_str());
    }
}

#[test]
fn every_rule_is_tested_in_both_ways() {
    let tests = TESTS.map(|file| std::fs::read_to_string(root().join(file)).expect("tests of rules"));
    let cases = tests.iter().flat_map(|text| {
        let tests = yaml(text)[0]["tests"].as_array().expect("tests").clone();
        tests.into_iter().flat_map(|test| test["alert_rule_test"].as_array().cloned().unwrap_or_default())
    });
    let (mut fires, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for case in cases {
        let name = case["alertname"].as_str().expect("a name").to_owned();
        if case["exp_alerts"].is_array() {
            fires.insert(name)
        } else {
            quiet.insert(name)
        };
    }
    let there: BTreeSet<_> = rules().iter().map(|rule| rule["alert"].as_str().expect("a name").to_owned()).collect();
    assert_eq!((&fires, &quiet), (&there, &there));
}

#[test]
fn rules_ask_for_what_there_is() {
    let template = Regex::new(r"\$labels\.([a-z_]+)").expect("a pattern");
    let mut wrong = Vec::new();
    for rule in rules() {
        let expression = rule["expr"].as_str().expect("an expression");
        wrong.extend(unknown(expression));
        wrong.extend(missed(expression).into_iter().map(|counter| format!("the first event is missed: {counter}")));
        let left = left(expression);
        for text in rule["annotations"].as_object().into_iter().flatten().filter_map(|(_, text)| text.as_str()) {
            let used = template.captures_iter(text).map(|found| found[1].to_owned());
            wrong.extend(
                used.filter(|label| !left.contains(label)).map(|label| format!("{}: `{label}` is gone", rule["alert"])),
            );
        }
        assert!(["info", "warning", "critical"].iter().any(|word| rule["labels"]["severity"] == *word), "{rule}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let text = std::fs::read_to_string(root().join("dashboards/grafana.json")).expect("a dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let variables: BTreeSet<_> = dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
        .iter()
        .filter_map(|variable| variable["name"].as_str())
        .collect();
    let used = Regex::new(r"\$\{?([a-z_]+)").expect("a pattern");
    let unknown_variables: Vec<_> = used
        .captures_iter(&text)
        .map(|found| found[1].to_owned())
        .filter(|name| !variables.contains(name.as_str()) && !OF_GRAFANA.contains(&name.as_str()) && name != "__all")
        .collect();
    assert_eq!(unknown_variables, Vec::<String>::new(), "variables that nobody declares");

    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids.len(), panels.len(), "two panels have one id");
    let legend = Regex::new(r"\{\{([a-z_]+)\}\}").expect("a pattern");
    let mut wrong = Vec::new();
    let mut asked = String::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().expect("a title");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            wrong.extend(unknown(expression).into_iter().map(|wrong| format!("{title}: {wrong}")));
            let missed = missed(expression).into_iter();
            wrong.extend(missed.map(|counter| format!("{title}: the first event is missed: {counter}")));
            let left = left(expression);
            let said = target["legendFormat"].as_str().unwrap_or_default();
            let named = legend.captures_iter(said).map(|found| found[1].to_owned());
            wrong
                .extend(named.filter(|label| !left.contains(label)).map(|label| format!("{title}: `{label}` is gone")));
            asked += expression;
            asked.push('\n');
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unseen: Vec<_> = names().into_iter().filter(|name| !asked.contains(name.as_str())).collect();
    assert_eq!(unseen, Vec::<String>::new(), "metrics that no panel shows");
    no_overlap(panels);
}

/// No two panels lie on each other, and none leaves the grid.
fn no_overlap(panels: &[Value]) {
    let mut taken = BTreeSet::new();
    for panel in panels {
        let side = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(side("x") + side("w") <= 24, "{} leaves the grid", panel["title"]);
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(taken.insert((x, y)), "{} lies on another panel", panel["title"]);
            }
        }
    }
}

#[test]
fn promtool_takes_what_the_book_shows() {
    for block in blocks::of(Class::Prometheus) {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, text) = match block.info.as_str() {
            "yaml prometheus.yml" => ("prometheus.yml", block.text.clone()),
            _ => (
                "rules.yaml",
                format!(
                    "groups:\n  - name: shown\n    rules:\n{}",
                    block.text.lines().map(|line| format!("      {line}\n")).collect::<Vec<_>>().concat()
                ),
            ),
        };
        std::fs::write(directory.path().join(file), text).expect("a file");
        let check: &[&str] =
            if file == "rules.yaml" { &["check", "rules", file] } else { &["check", "config", "--syntax-only", file] };
        promtool(check, directory.path());
        if file == "rules.yaml" {
            let wrong: Vec<_> =
                block.text.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).flat_map(unknown).collect();
            assert!(wrong.is_empty(), "{}: {}", block.place, wrong.join("\n"));
        }
    }
}
