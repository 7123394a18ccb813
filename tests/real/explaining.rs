//! An incident that explains itself, with the built binary: what it stands on is looked at, nobody waits for that, and its
//! page, its texts and its figures tell it.

use std::net::TcpListener;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::commands::configuration;
use crate::operating::{ask, command};
use crate::servers::receiver::{Receiver, Target};
use crate::servers::roundsman::Daemon;

/// Looks until something is there; far longer than it takes.
fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    for _ in 0..300 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what} did not come");
}

#[test]
fn an_incident_is_diagnosed_shows_its_runbook_and_leaves_its_figures() {
    let (target, well, receiver) = (Target::start(), Target::start(), Receiver::start());
    // Takes connections and never answers.
    let hung = TcpListener::bind("127.0.0.1:0").expect("a port");
    let probes = format!(
        "api:\n  http: \"{}\"\n  runbook: runbooks/api.md\n  diagnose: [hung, table]\n\
         hung: {{ http: \"http://{}\", timeout: 4s }}\n\
         table:\n  http: {{ url: \"{}\", bearer: \"${{secret:key}}\" }}\n  expect: status < 300\n",
        target.url,
        hung.local_addr().expect("an address"),
        well.url,
    );
    let directory = configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN:-127.0.0.1:0}}\" }}\nsecrets: {{ key: {{ file: key }} }}\n\
                 publish: {{ prometheus: {{}} }}\nchannels: {{ pager: {{ webhook: \"{}\" }} }}\ngroup: {{ wait: 0s }}\n\
                 routes: [{{ to: [pager] }}]\n",
                receiver.url
            ),
        ),
        ("key", "c4n4ry-of-the-table"),
        ("runbooks/api.md", "# When the API fails\n\n1. Look at the `table`.\n\n<script>alert(1)</script>\n"),
        ("probes/p.yaml", &probes),
        ("schedules/s.yaml", "often: { every: 1s, probes: [api], alert: { after: 1, severity: P2 } }\n"),
    ]);
    let daemon = Daemon::run(directory.path(), &[]);
    let read = |path: &str| ask(&daemon, &Method::GET, path, &[], None).1;
    target.set(false);
    let id = receiver.wait_until(|taken| !taken.is_empty())[0].text("incident").to_owned();
    let findings = |story: &Value| -> Vec<String> {
        let findings = story["incident"]["findings"].as_array().expect("findings").iter();
        findings.map(|one| format!("{} {}: {}", one["probe"], one["verdict"], one["text"]).replace('"', "")).collect()
    };
    let story = || read(&format!("/api/v1/incidents/{id}"));
    let first = until("the quick diagnosis", || Some(findings(&story())).filter(|found| !found.is_empty()));
    assert_eq!(first, ["table passed: status was 200"], "the page is out and so is this, while the other hangs");
    let both = until("the diagnosis that hung", || Some(findings(&story())).filter(|found| found.len() == 2));
    assert!(both[1].starts_with("hung failed: timeout.first_byte: "), "{both:?}");

    let page = read(&format!("/incidents/{id}"));
    let page = page.as_str().expect("a page");
    for told in
        ["What diagnosis saw", "<h3>When the API fails</h3>", "&lt;script&gt;alert(1)", "time to detect", "/war-room"]
    {
        assert!(page.contains(told), "{told} in {page}");
    }
    let war_room = read(&format!("/incidents/{id}/war-room"));
    let (code, said, complaint) = command(&directory, &daemon, &["incidents", "api", "--war-room"]);
    let title = "# [api] [P2] api is failing\n";
    assert!(code == 0 && said.starts_with(title) && said.contains("`table` passed at "), "{said}{complaint}");
    assert!(war_room.as_str().is_some_and(|text| text.starts_with(title)), "{war_room}");
    for text in [page, &said, &story().to_string()] {
        assert!(!text.contains("c4n4ry"), "{text}");
    }

    target.set(true);
    let told = receiver.wait_until(|taken| taken.last().is_some_and(|last| last.text("event") == "resolved"));
    assert_eq!(told.len(), 2, "a diagnosis is no message of its own");
    let (code, said, _) = command(&directory, &daemon, &["incidents", &id, "--post-mortem"]);
    assert!(code == 0 && said.starts_with("# Post-mortem: [api] [P2] api was failing\n"), "{said}");
    assert!(said.contains("| time to resolve | ") && said.contains("▢ to fill in"), "{said}");
    until("the figures", || {
        let metrics = read("/metrics");
        let metrics = metrics.as_str()?;
        let count =
            |name: &str| metrics.contains(&format!("roundsman_incident_{name}_seconds_count{{severity=\"P2\"}} 1"));
        (count("detect") && count("resolve")).then_some(())
    });
    let (code, _, complaint) = command(&directory, &daemon, &["incidents", "--war-room"]);
    assert!(code == 2 && complaint.contains("INCIDENT"), "{complaint}");
    daemon.kill();
}
