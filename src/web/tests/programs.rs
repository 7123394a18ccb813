//! What programs read: the document against the rows and against what is answered, parts, tags and problems.

use std::collections::BTreeMap;
use std::path::Path;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::answers::{Served, served_with, status};
use super::fixture::{
    INCIDENT, NOW, Past, Reader, broken, database_degraded, degraded_answer, incident, plan, run, story,
};
use crate::domain::history::Stretch;
use crate::domain::incident::{Incident, IncidentId};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::{Run, RunId, Verdict};
use crate::domain::time::{Timestamp, earlier};
use crate::engine::plan::Tokens;
use crate::engine::testing::at;
use crate::ports::{KeptBundle, Token};
use crate::web::api::document::DOCUMENT;
use crate::web::api::routes::{BASE, rows};

/// The run that left what it exchanged.
const RUN: &str = "01KB2H8Q4V000000000000RUN7";

fn runs() -> Vec<Run> {
    let started = |n: u64| earlier(at(NOW), Duration::from_secs(14 + n * 30));
    let verdict = |n: u64| if n < 7 { Verdict::Failed(vec![database_degraded()]) } else { Verdict::Passed };
    let one = |n: u64| {
        let id = if n == 0 { RUN.to_owned() } else { format!("01KB2H8Q4V00000000000RUN{n:02}") };
        Run { id: RunId(Arc::from(id)), ..run("reachability", "api-health", started(n), 92 + n, verdict(n)) }
    };
    (0..9).map(one).collect()
}

fn past() -> Past {
    let mut stretches: Vec<_> = (1..4_u64)
        .rev()
        .map(|hours| Stretch::empty(earlier(at("2026-11-24T09:00:00Z"), Duration::from_hours(hours))))
        .collect();
    for (n, stretch) in stretches.iter_mut().enumerate() {
        (0..120_u64).for_each(|run| {
            stretch.count(if run < n as u64 { "failed" } else { "passed" }, Duration::from_millis(90 + run));
        });
    }
    let pair = (ScheduleName::parse("reachability").unwrap(), ProbeName::parse("api-health").unwrap());
    let over = |n: u32| {
        let opened_at: Timestamp = earlier(at("2026-11-23T09:00:00Z"), Duration::from_secs(u64::from(n / 3) * 60));
        Incident {
            id: IncidentId(Arc::from(format!("01KB{n:022}"))),
            opened_at,
            resolved_at: Some(at("2026-11-23T10:00:00Z")),
            ..incident()
        }
    };
    let bundle = KeptBundle {
        run: RunId(Arc::from(RUN)),
        probe: pair.1.clone(),
        started_at: runs()[0].started_at,
        incident: Some(IncidentId(Arc::from(INCIDENT))),
        bundle: Arc::new(degraded_answer("HTTP/1.1 200 OK")),
    };
    Past {
        stretches: Arc::new(Mutex::new([(pair, stretches)].into())),
        runs: runs(),
        bundle: Some(bundle),
        incidents: (0..4).map(over).collect(),
        ..Past::default()
    }
}

async fn served() -> Served {
    let reader = Reader { overview: broken(), story: Some(story(incident())) };
    served_with(plan(), Arc::new(reader), past(), true).await
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A path of the document with names that are there.
fn filled(path: &str) -> String {
    let id = if path.starts_with("/runs") { RUN } else { INCIDENT };
    format!("{BASE}{}", path.replace("{name}", "api-health").replace("{id}", id))
}

#[test]
fn each_row_of_programs_is_in_the_document_and_nothing_else_is() {
    let rows = rows();
    let mut of_rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let told = row.told.as_ref().unwrap_or_else(|| panic!("nothing is told of {} {}", row.method, row.path));
            (
                row.path.strip_prefix(BASE).unwrap().to_owned(),
                row.method.as_str().to_ascii_lowercase(),
                told.id.to_owned(),
            )
        })
        .collect();
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    let mut of_document: Vec<_> = paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, told)| {
                (path.clone(), method.clone(), told["operationId"].as_str().unwrap().to_owned())
            })
        })
        .collect();
    of_rows.sort();
    of_document.sort();
    assert_eq!(of_rows, of_document);
    let ids: std::collections::BTreeSet<_> = of_rows.iter().map(|(_, _, id)| id).collect();
    assert_eq!(ids.len(), of_rows.len(), "each has a name of its own");
    // What is named is there.
    let text = DOCUMENT.to_string();
    for name in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(DOCUMENT.pointer(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn the_examples_of_the_document_are_what_is_answered() {
    let served = served().await;
    let mut examples: BTreeMap<String, Value> = BTreeMap::new();
    for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
        let Some(told) = methods.get("get").filter(|_| path != "/openapi.json") else { continue };
        let question = if path == "/incidents" {
            "?resolved=1&limit=1"
        } else if path.ends_with("/runs") {
            "?limit=1"
        } else {
            ""
        };
        let answer = served.get(&format!("{}{question}", filled(path))).await;
        match status(&answer) {
            200 => drop(examples.insert(told["operationId"].as_str().unwrap().to_owned(), body(&answer))),
            // Nobody stands behind the desk of this shop, and no token lets change anything.
            403 | 503 => {}
            other => panic!("{path}: {other}: {answer}"),
        }
    }
    let now = format!("{:#}\n", json!(examples));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/api/examples.json");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept == now, "src/web/api/examples.json is old: BLESS=1 writes it anew");
}

#[tokio::test]
async fn probes_come_in_parts_and_are_chosen_by_label_standing_and_text() {
    let served = served().await;
    let names = |answer: &str| -> Vec<String> {
        let probes = body(answer)["probes"].as_array().unwrap().clone();
        probes.iter().map(|probe| probe["name"].as_str().unwrap().to_owned()).collect()
    };
    let whole = names(&served.get("/api/v1/probes").await);
    let (mut path, mut told) = ("/api/v1/probes?limit=4".to_owned(), Vec::new());
    loop {
        let answer = served.get(&path).await;
        told.extend(names(&answer));
        // The link is relative to what was asked.
        let Some(link) = header(&answer, "link") else { break };
        let query = link.trim_start_matches('<').split('>').next().unwrap();
        assert_eq!(query, format!("?limit=4&cursor={}", body(&answer)["next"].as_str().unwrap()));
        path = format!("/api/v1/probes{query}");
    }
    assert_eq!((told.len(), &told), (9, &whole));
    for (query, expected) in [
        ("label=service=auth", vec!["auth"]),
        ("label=service&text=A", vec!["api-health", "auth", "cache", "database"]),
        ("standing=failed", vec!["api-health"]),
        ("standing=degraded&label=service%3Dauth", vec![]),
        ("text=JOURNEY", vec!["shopper-journey"]),
        ("standing=failed&standing=passed", vec!["-"]),
        ("verdict=failed", vec!["-"]),
        ("standing=red", vec!["-"]),
        ("limit=0", vec!["-"]),
        ("limit=501", vec!["-"]),
        ("cursor=%2F", vec!["-"]),
    ] {
        let answer = served.get(&format!("/api/v1/probes?{query}")).await;
        if expected == ["-"] {
            assert_eq!(status(&answer), 400, "{query}: {answer}");
        } else {
            assert_eq!(names(&answer), expected, "{query}");
        }
    }
}

#[tokio::test]
async fn runs_and_incidents_come_in_parts_the_latest_first() {
    let served = served().await;
    for (first, list, count) in [
        ("/api/v1/probes/api-health/runs?limit=2", "runs", 9),
        ("/api/v1/probes/api-health/runs?bad=1&limit=3&from=2026-11-24T09:00:00Z", "runs", 7),
        ("/api/v1/incidents?resolved=1&limit=1", "resolved", 4),
    ] {
        let (mut path, mut ids) = (first.to_owned(), Vec::new());
        loop {
            let answer = body(&served.get(&path).await);
            ids.extend(answer[list].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
            let Some(next) = answer["next"].as_str() else { break };
            path = format!("{first}&cursor={next}");
        }
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!((ids.len(), distinct.len()), (count, count), "{first}: {ids:?}");
    }
    let other = served.get("/api/v1/probes/auth/runs").await;
    assert_eq!((status(&other), body(&other)), (200, json!({ "runs": [] })));
    let series = body(&served.get("/api/v1/probes/api-health/series?over=7d&schedule=reachability").await);
    assert_eq!((&series["whole"]["failed"], series["points"].as_array().unwrap().len()), (&json!(3), 3));
    for path in [
        "probes/api-health/series?schedule=hourly",
        "probes/none/series",
        "probes/none/runs",
        "probes/none",
        "runs/none",
    ] {
        assert_eq!(status(&served.get(&format!("/api/v1/{path}")).await), 404, "{path}");
    }
}

#[tokio::test]
async fn what_is_known_is_not_told_again() {
    let served = served().await;
    for path in ["/api/v1/openapi.json", "/api/v1/probes", "/api/v1/runs/01KB2H8Q4V000000000000RUN7"] {
        let first = served.get(path).await;
        let tag = header(&first, "etag").unwrap().to_owned();
        for (known, expected) in [(tag.as_str(), 304), ("\"x\"", 200), (&format!("\"x\", {tag}"), 304), ("*", 304)] {
            let again =
                served.ask(&format!("GET {path}"), &["Host: localhost", &format!("If-None-Match: {known}")]).await;
            assert_eq!((status(&again), header(&again, "etag")), (expected, Some(tag.as_str())), "{again}");
            assert_eq!(again.ends_with("\r\n\r\n"), expected == 304);
        }
        let head = served.ask(&format!("HEAD {path}"), &["Host: localhost"]).await;
        assert_eq!((status(&head), header(&head, "etag")), (200, Some(tag.as_str())), "{head}");
    }
}

#[tokio::test]
async fn what_goes_wrong_has_one_form_whoever_found_it() {
    let mut plan = plan();
    plan.web.tokens = Tokens::one(Token::Secret("page".parse().unwrap()));
    plan.secrets = Arc::new(super::fixture::Fixed(Some("correct-horse")));
    let reader = Reader { overview: broken(), story: Some(story(incident())) };
    let served = served_with(plan, Arc::new(reader), past(), true).await;
    let (ours, json, form) =
        ("Authorization: Bearer correct-horse", "Content-Type: application/json", "Content-Type: text/plain");
    let (empty, short) = ("Content-Length: 0", "Content-Length: 1\r\n\r\n{");
    for (line, headers, expected) in [
        ("GET /api/v1/nothing", vec![ours], 404),
        ("GET /api/v2", vec![ours], 404),
        ("GET /api/v1", vec![ours], 404),
        ("GET /api/v1/probes/%ff", vec![ours], 400),
        ("GET /api/v1/probes?limit=x", vec![ours], 400),
        ("GET /api/v1/probes", vec![], 401),
        ("PUT /api/v1/probes", vec![ours, empty], 405),
        ("POST /api/v1/probes", vec![ours, empty], 405),
        ("POST /api/v1/silences", vec![ours, form, empty], 415),
        ("POST /api/v1/silences", vec![ours, json, short], 400),
        ("POST /api/v1/silences", vec![ours, json, "Content-Length: 70000\r\n\r\n", &"x".repeat(70_000)], 413),
        ("POST /api/v1/silences", vec![ours, "Origin: https://evil.example", empty], 403),
        ("DELETE /api/v1/silences/x", vec![ours], 503),
    ] {
        let headers: Vec<_> = ["Host: localhost"].into_iter().chain(headers).collect();
        let answer = served.ask(line, &headers).await;
        assert_eq!(status(&answer), expected, "{line}: {answer}");
        assert_eq!(header(&answer, "content-type"), Some("application/problem+json"), "{line}: {answer}");
        let problem = body(&answer);
        let path = line.split(' ').nth(1).unwrap().split('?').next().unwrap();
        assert_eq!(
            (&problem["type"], &problem["status"], &problem["instance"]),
            (&json!("about:blank"), &json!(expected), &json!(path))
        );
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 8), "{problem}");
    }
    let put = served.ask("PUT /api/v1/silences", &["Host: localhost", ours, empty]).await;
    assert_eq!(header(&put, "allow"), Some("GET, POST, HEAD"));
}
