//! What is promised of many runs, with the built binary: one process sees them, and the next knows of them, pages for the budget
//! that burns, and says how the objective stands.

use reqwest::Method;
use serde_json::Value;

use crate::commands::configuration;
use crate::operating::{ask, command};
use crate::servers::receiver::{Receiver, Target};
use crate::servers::roundsman::Daemon;

#[test]
fn what_one_process_saw_the_next_one_counts_and_pages_for() {
    let (target, receiver) = (Target::start(), Receiver::start());
    target.set(false);
    let directory = configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN:-127.0.0.1:0}}\" }}\npublish: {{ prometheus: {{}} }}\n\
                 channels: {{ pager: {{ webhook: \"{}\" }} }}\ngroup: {{ wait: 0s }}\nroutes: [{{ to: [pager] }}]\n",
                receiver.url
            ),
        ),
        ("probes/p.yaml", &format!("api: {{ http: \"{}\" }}\n", target.url)),
        (
            "schedules/s.yaml",
            "often:\n  every: 1s\n  probes: [api]\n  objectives:\n    - { success: 99.95%, over: 2h, alert: { severity: P1 } }\n    \
             - { p99: 500ms, over: 1h, step: http }\n",
        ),
    ]);
    let failed = |daemon: &Daemon| {
        let (_, page) = ask(daemon, &Method::GET, "/metrics", &[], None);
        let page = page.as_str().expect("text").to_owned();
        let line = page.lines().find(|line| line.starts_with("roundsman_runs_total{") && line.contains("\"failed\""));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_default()
    };
    let first = Daemon::run(directory.path(), &[]);
    while failed(&first) < 6.0 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let (status, log) = first.terminate();
    assert!(status.success(), "{log}");
    assert!(receiver.taken().is_empty(), "nobody asked to hear of single runs");

    let daemon = Daemon::run(directory.path(), &[]);
    let told = receiver.wait_until(|taken| !taken.is_empty());
    let told = &told[0];
    assert_eq!((told.text("event"), told.text("severity"), told.text("probe")), ("opened", "P1", "api"));
    let summary = told.text("summary");
    let says =
        "api burns its error budget: budget.burning: success 99.95 % over 2 h at 2000.0 times the rate that it bears: ";
    assert!(summary.starts_with(says) && summary.ends_with(" runs were bad within 1 h"), "{summary}");

    let (code, said, complaint) = command(&directory, &daemon, &["slo"]);
    assert_eq!((code, complaint.as_str()), (1, ""), "{said}");
    let row = said.lines().find(|line| line.contains("success 99.95 %")).expect("a row");
    assert!(row.contains("0 %") && row.ends_with("missed"), "{said}");
    assert!(said.contains("of the step http") && said.contains("not enough evidence"), "{said}");
    let (code, said, _) = command(&directory, &daemon, &["slo", "a*", "--format", "json"]);
    let json: Value = serde_json::from_str(&said).expect("JSON");
    let (_, asked) = ask(&daemon, &Method::GET, "/api/v1/objectives", &[], None);
    let success = &asked["objectives"][0];
    assert_eq!((code, success["verdict"].as_str()), (1, Some("missed")));
    assert_eq!(json["objectives"][0]["objective"], success["objective"]);
    assert!(success["bad"].as_u64() >= Some(6) && success["is_whole"] == true, "{success}");
    let (code, _, complaint) = command(&directory, &daemon, &["slo", "nobody"]);
    assert!(code == 2 && complaint.contains("no probe `nobody` has an objective"), "{complaint}");
    let (code, said, _) = command(&directory, &daemon, &["incidents", "api"]);
    assert!(code == 1 && said.contains("burns its error budget"), "{said}");

    let (_, page) = ask(&daemon, &Method::GET, "/metrics", &[], None);
    let page = page.as_str().expect("text");
    let labels = "probe=\"api\",schedule=\"often\",objective=\"success 99.95 % over 2 h\"";
    for line in [
        format!("roundsman_objective_measured_ratio{{{labels}}} 0.0"),
        format!("roundsman_objective_burn_rate{{{labels},stretch=\"1h\"}} 2000.0"),
        format!("roundsman_objective_error_budget_remaining_ratio{{{labels}}} -"),
    ] {
        assert!(page.contains(&line), "{line}\n{page}");
    }
}
