//! The pages of probes and runs, asked for over real connections.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use url::Url;

use super::answers::{Served, served_with, status};
use super::fixture::{Past, Reader, broken, degraded_answer, incident, plan, story, well};
use super::hostile::payloads::{hides, texts};
use super::hostile::{breaks, leads_to_a_script, skeleton};
use super::past::{id, past};
use crate::domain::expression::{Explanation, Part};
use crate::domain::history::Stretch;
use crate::domain::incident::Incident;
use crate::domain::judge::Aspect;
use crate::domain::outcome::{Cause, Extra, Failure, FailureKind, Verdict};
use crate::domain::pause::{Pause, PauseId, Scope};
use crate::domain::quiet::{Matchers, Silence, SilenceId};
use crate::engine::plan::{Place, Plan};
use crate::engine::testing::{at, policy};
use crate::ports::Overview;
use crate::settings::{Source, Span};

/// `api-health` as it is written.
const WRITTEN: &str = "# Is the shop well?\napi-health:\n  http:\n    url: ${var:api}/health\n    headers: { authorization: \"Bearer ${secret:partner}\" }\n  expect: json.services.database == \"ok\"\n";

/// The shop's plan with where its first probe is written.
fn written() -> Plan {
    let mut plan = plan();
    let source = Source::new("probes/reachability.yaml", format!("home: {{ http: / }}\n\n{WRITTEN}"));
    let (whole, name) = (source.text.find('#').unwrap(), source.text.find("api-health").unwrap());
    let place = Place {
        name: Span::new(&source, name..name + 10),
        whole: Span::new(&source, whole..source.text.trim_end().len()),
    };
    plan.places.insert("api-health".parse().unwrap(), place);
    let reachability = plan.schedules.get_mut("reachability").and_then(Arc::get_mut).unwrap();
    reachability.alert = Some(policy("2 of 3", crate::domain::incident::Severity::P1));
    let suite = plan.probes.get_mut("suite-playwright").and_then(Arc::get_mut).unwrap();
    suite.steps[0].kind = "command";
    suite.runbook = Some("https://wiki.example/runbooks/suite".to_owned());
    plan
}

/// What was and how it stands fit each other: the last run is one of those that were. As from the store it comes without its
/// steps there.
async fn served(plan: Plan, mut overview: Overview, mut past: Past) -> Served {
    for run in past.runs.iter().rev() {
        let pair = run.schedule.clone().map(|schedule| (schedule, run.probe.clone()));
        overview.last.extend(pair.map(|pair| (pair, run.clone())));
    }
    for (n, run) in overview.last.values_mut().enumerate() {
        if !past.runs.iter().any(|known| known.id == run.id) {
            run.id = id(900 + n);
            past.runs.push(run.clone());
        }
        run.steps.clear();
    }
    let reader = Reader { overview, story: Some(story(incident())) };
    served_with(plan, Arc::new(reader), past, false).await
}

async fn shop() -> Served {
    served(written(), broken(), past()).await
}

/// What stands on a page, without its head and what only a pointer sees, a line for each block.
fn words(answer: &str) -> String {
    const WITHIN_A_LINE: [&str; 5] = ["b", "code", "i", "svg", "path"];
    const APART: [&str; 5] = ["td", "th", "a", "span", "small"];
    let main = answer.split("<main").nth(1).and_then(|rest| rest.split("</main>").next()).unwrap_or(answer);
    let mut text = String::new();
    let mut skipped = false;
    for piece in main.split('<').skip(1) {
        let (tag, rest) = piece.split_once('>').unwrap_or((piece, ""));
        skipped |= tag.starts_with("svg class=\"zones\"");
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default();
        if !skipped {
            match name {
                name if APART.contains(&name) => text.push(' '),
                name if WITHIN_A_LINE.contains(&name) => {}
                _ => text.push('\n'),
            }
            text.push_str(rest);
        }
        skipped &= tag != "/svg";
    }
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let text = lines.join("\n").replace(" .", ".").replace(" ,", ",").replace(" :", ":");
    text.replace("&quot;", "\"").replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
}

async fn said(served: &Served, path: &str) -> String {
    let answer = served.get(path).await;
    assert_eq!(status(&answer), 200, "{path}: {answer}");
    words(&answer)
}

/// The runs of the list.
fn ids(answer: &str) -> Vec<String> {
    let list = answer.split("<ul class=\"runs\">").nth(1).and_then(|rest| rest.split("</ul>").next()).unwrap_or("");
    list.split("href=\"../runs/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_page_of_a_probe_that_fails() {
    insta::assert_snapshot!(said(&shop().await, "/probes/api-health").await);
}

#[tokio::test]
async fn the_same_over_a_month() {
    let served = shop().await;
    let answer = served.get("/probes/api-health?over=30d").await;
    assert!(answer.len() <= 150 * 1_024, "{} bytes", answer.len());
    insta::assert_snapshot!(words(&answer));
}

#[tokio::test]
async fn the_page_of_a_journey_that_needs_what_fails() {
    insta::assert_snapshot!(said(&shop().await, "/probes/shopper-journey").await);
}

#[tokio::test]
async fn the_page_of_a_probe_that_has_not_run() {
    let served = served(written(), Overview::default(), Past::default()).await;
    insta::assert_snapshot!(said(&served, "/probes/backup-users-table").await);
}

#[tokio::test]
async fn the_page_of_a_run_that_failed() {
    insta::assert_snapshot!(said(&shop().await, &format!("/runs/{}", id(0))).await);
}

#[tokio::test]
async fn the_page_of_a_run_whose_exchange_is_gone_and_that_was_a_suite() {
    insta::assert_snapshot!(said(&shop().await, &format!("/runs/{}", id(600))).await);
}

#[tokio::test]
async fn the_page_of_a_journey_that_passed() {
    insta::assert_snapshot!(said(&shop().await, &format!("/runs/{}", id(500))).await);
}

#[tokio::test]
async fn a_run_leads_to_those_beside_it() {
    let served = shop().await;
    let middle = served.get(&format!("/runs/{}", id(50))).await;
    for (rel, beside) in [("prev", id(51)), ("next", id(49))] {
        assert!(middle.contains(&format!(r#"rel="{rel}" href="{beside}""#)), "{middle}");
    }
    let (latest, first) =
        (served.get(&format!("/runs/{}", id(0))).await, served.get(&format!("/runs/{}", id(119))).await);
    assert!(!latest.contains(r#"rel="next""#) && latest.contains(r#"rel="prev""#));
    assert!(first.contains(r#"rel="next""#) && !first.contains(r#"rel="prev""#));
    // After a pause the next one is farther away than a few minutes.
    let mut past = past();
    past.runs.retain(|run| run.id == id(0) || run.id == id(119));
    let gap = self::served(written(), broken(), past).await;
    let before = gap.get(&format!("/runs/{}", id(119))).await;
    assert!(before.contains(&format!(r#"rel="next" href="{}""#, id(0))), "{before}");
}

#[tokio::test]
async fn runs_come_in_parts_and_only_the_bad_ones_on_request() {
    let served = shop().await;
    let (mut path, mut all) = ("/probes/api-health?over=1d".to_owned(), Vec::new());
    loop {
        let answer = served.get(&path).await;
        all.extend(ids(&answer));
        let earlier = answer.split("<a href=\"").find(|link| link.contains("#runs\">Earlier runs"));
        match earlier {
            Some(link) => path = format!("/probes/api-health{}", link.split('#').next().unwrap().replace("&amp;", "&")),
            None => break,
        }
        assert!(all.len() <= 120);
    }
    assert_eq!(all, (0..120).map(|n| id(n).to_string()).collect::<Vec<_>>());
    let bad = ids(&served.get("/probes/api-health?bad").await);
    assert_eq!(bad, (0..8).chain([40]).map(|n| id(n).to_string()).collect::<Vec<_>>());
    let part = served.get("/probes/api-health?from=2026-11-24T09:10:00Z&until=2026-11-24T09:12:00Z").await;
    assert_eq!(ids(&part).len(), 4, "a part of the chart lists its own runs");
}

#[tokio::test]
async fn a_probe_of_two_schedules_shows_either() {
    let mut plan = written();
    let hourly = plan.schedules.get_mut("hourly").and_then(Arc::get_mut).unwrap();
    hourly.probes.push("api-health".parse().unwrap());
    hourly.probes.sort();
    let mut past = past();
    past.runs[3].schedule = Some("hourly".parse().unwrap());
    past.runs[3].verdict = Verdict::Passed;
    let served = served(plan, broken(), past).await;
    let both = said(&served, "/probes/api-health").await;
    assert!(both.starts_with("api-health is failing on reachability, and passes on hourly."), "{both}");
    assert!(both.contains("on reachability\nhour day week month"), "the chart is of the more frequent one: {both}");
    let answer = served.get("/probes/api-health?schedule=hourly&over=1h").await;
    assert!(words(&answer).contains("on hourly\nhour day week month"), "{answer}");
    assert_eq!(ids(&answer), [id(3).to_string()], "and the list is of that one too");
}

#[tokio::test]
async fn what_may_keep_people_from_hearing_of_it_is_said() {
    let mut overview = broken();
    overview.silences = vec![Silence {
        id: SilenceId(Arc::from("S1")),
        matchers: Matchers { probes: vec!["shopper-*".to_owned()], ..Matchers::default() },
        by: "ann".to_owned(),
        reason: "the gift wrap moves".to_owned(),
        from: at("2026-11-24T09:00:00Z"),
        until: at("2026-11-24T10:00:00Z"),
    }];
    overview.pauses = vec![Pause {
        id: PauseId(Arc::from("P1")),
        what: Scope::parse("auth").unwrap(),
        by: "ben".to_owned(),
        reason: "its certificate is made anew".to_owned(),
        from: at("2026-11-24T09:10:00Z"),
        until: None,
        ended: None,
    }];
    let served = served(written(), overview, past()).await;
    let journey = said(&served, "/probes/shopper-journey").await;
    for sentence in [
        "Silenced until 10:00:00 UTC by ann: shopper-* – the gift wrap moves",
        "It needs api-health, of which an incident is open: that may keep it quiet.",
        "Still to be cleaned up: 3 runs.",
    ] {
        assert!(journey.contains(sentence), "{journey}");
    }
    let auth = said(&served, "/probes/auth").await;
    assert!(auth.starts_with("auth is paused since 09:10:00 UTC (7 min 45 s)."), "{auth}");
    assert!(auth.contains("Paused until somebody resumes it by ben: auth – its certificate is made anew"), "{auth}");
    assert!(!auth.contains("Silenced") && !auth.contains("next run"), "no slot of it is run: {auth}");
}

#[tokio::test]
async fn what_is_only_degraded_keeps_nothing_quiet_that_needs_it() {
    let mut overview = broken();
    overview.open[0].aspect = Aspect::Degraded;
    let journey = said(&served(written(), overview, past()).await, "/probes/shopper-journey").await;
    assert!(!journey.contains("It needs api-health"), "{journey}");
}

#[tokio::test]
async fn an_open_incident_is_what_is_wrong_with_a_probe_that_passes() {
    let mut overview = well();
    overview.open = vec![Incident { probe: "auth".parse().unwrap(), ..incident() }];
    let served = served(written(), overview, Past::default()).await;
    let answer = served.get("/probes/auth").await;
    assert!(words(&answer).contains("auth has an open incident, and passes since"), "{answer}");
    assert!(
        answer.contains(r#"<h1><span class="bad">"#) && answer.contains("%23e0453b"),
        "and so is the icon: {answer}"
    );
    let cache = served.get("/probes/cache").await;
    assert!(words(&cache).contains("cache passes since") && cache.contains(r#"<h1><span class="ok">"#), "{cache}");
}

#[tokio::test]
async fn an_incident_is_shaded_where_it_was_and_nowhere_else() {
    let mut past = past();
    let later = |n: i64| {
        let since = at("2026-11-20T00:00:00Z") - TimeDelta::hours(n);
        let over = Some(since + TimeDelta::minutes(10));
        Incident { since, opened_at: since, resolved_at: over, ..incident() }
    };
    // Since the one of the tenth there were more than are listed.
    past.incidents.splice(1..1, (0..30).map(later));
    let served = served(written(), broken(), past).await;
    for (query, shaded) in [
        ("over=1h", 1),
        ("from=2026-11-10T00:00:00Z&until=2026-11-11T00:00:00Z", 1),
        ("from=2026-11-09T00:00:00Z&until=2026-11-10T05:10:00Z", 1),
        ("from=2026-11-11T00:00:00Z&until=2026-11-12T00:00:00Z", 0),
        ("over=30d", 20),
    ] {
        let answer = served.get(&format!("/probes/api-health?{query}")).await;
        assert_eq!(answer.matches(r#"<rect class="incident""#).count(), shaded, "{query}: {answer}");
        assert_eq!(answer.matches(r#"<i class="shade">"#).count(), shaded, "{query}: {answer}");
        assert_eq!(answer.contains("<li>and 12 incidents more</li>"), shaded == 20, "{query}: {answer}");
    }
}

#[tokio::test]
async fn days_are_seen_as_soon_as_there_are_any() {
    let past = Past::default();
    let stretches = Arc::clone(&past.stretches);
    let served = served_with(written(), Arc::new(Reader { overview: well(), story: None }), past, false).await;
    let before = served.get("/?q=auth").await;
    assert!(before.contains("nothing seen"), "{before}");
    let mut today = Stretch::empty(at("2026-11-24T00:00:00Z"));
    today.count("passed", Duration::from_millis(50));
    stretches.lock().unwrap().insert(("reachability".parse().unwrap(), "auth".parse().unwrap()), vec![today]);
    let after = served.get("/?q=aut").await;
    assert!(!after.contains("nothing seen") && after.contains("<span>100 %</span>"), "{after}");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let mut past = past();
    past.runs[119].probe = "old".parse().unwrap();
    past.runs[119].verdict = Verdict::Inconclusive(Cause::ShutDown);
    let served = served(written(), well(), past).await;
    for (path, expected, sentence) in [
        ("/probes/none", 404, "There is no such probe."),
        ("/probes/%3Cb%3E", 404, "There is no such probe."),
        ("/probes/old", 200, "old is not in the configuration."),
        ("/probes/auth?over=2h", 400, "`over` is one of 1h, 1d, 7d and 30d"),
        ("/probes/auth?from=2026-11-24T09:00:00Z", 400, "`from` and `until` go together"),
        ("/probes/auth?schedule=none", 200, "auth passes"),
        ("/runs/none", 404, "runs are kept for 1 d"),
        (&format!("/runs/{}", "a".repeat(100)), 404, "There is no such run."),
    ] {
        let answer = served.get(path).await;
        assert_eq!(status(&answer), expected, "{path}: {answer}");
        assert!(words(&answer).contains(sentence), "{path}: {answer}");
    }
}

#[tokio::test]
async fn every_link_leads_somewhere() {
    let served = shop().await;
    let mut seen = BTreeSet::new();
    let runs = [id(0), id(40), id(500), id(600)].map(|run| format!("/runs/{run}"));
    let probes =
        ["api-health", "api-health?over=30d", "api-health?bad&over=7d", "shopper-journey", "suite-playwright", "cache"];
    for path in runs.into_iter().chain(probes.map(|probe| format!("/probes/{probe}"))) {
        let page = Url::parse(&format!("http://localhost{path}")).unwrap();
        let answer = served.get(&path).await;
        for href in answer.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&")) {
            let link = page.join(&href).unwrap();
            let asked = link[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
            // Others build what the navigation leads to, and have tests of their own.
            let is_ours =
                ["/probes/", "/runs/", "/incidents/", "/style.css"].iter().any(|ours| asked.starts_with(ours));
            if link.host_str() != Some("localhost") || !is_ours || !seen.insert(asked.clone()) {
                continue;
            }
            // Of incidents only one has a story here.
            let expected = if asked.ends_with("01KB2GHAAN0000000000000000") { 404 } else { 200 };
            assert_eq!(status(&served.get(&asked).await), expected, "{path} leads to {asked}");
        }
    }
    assert!(seen.len() > 150, "{}", seen.len());
}

/// Every page of ours with a text in each place where somebody else has the word.
async fn pages(text: &str) -> Vec<String> {
    let mut plan = written();
    let source = Source::new("probes/p.yaml", format!("api-health: {}", text.replace(['\n', '\r'], " ")));
    let whole = Span::new(&source, 0..source.text.len());
    plan.places.insert("api-health".parse().unwrap(), Place { name: whole.clone(), whole });
    let probe = plan.probes.get_mut("api-health").and_then(Arc::get_mut).unwrap();
    probe.labels.insert("service".to_owned(), text.to_owned());
    probe.runbook = Some(text.to_owned());
    probe.each = serde_json::json!({ "key": text });
    let assertion = Failure::of_assertion(Explanation {
        expression: text.to_owned(),
        parts: vec![Part { expression: text.to_owned(), value: text.to_owned() }],
        reason: Some(text.to_owned()),
    });
    let failures = vec![assertion, Failure::new(FailureKind::TlsWrongName, text).with(text, text)];
    let verdict = Verdict::Failed(failures.clone());
    let mut past = past();
    past.runs[0].verdict = verdict.clone();
    past.runs[0].location = Arc::from(text);
    past.runs[0].extra = Some(Extra::Recheck);
    past.runs[0].steps[0].verdict = Some(verdict.clone());
    past.runs[0].steps[0].kind = text.to_owned();
    past.runs[0].steps[0].version = Some(text.to_owned());
    let blind = Cause::Ours(Failure::new(FailureKind::LocalSecret, text));
    past.runs[40].verdict = Verdict::Inconclusive(blind);
    let suite = past.runs.iter_mut().find(|run| run.id == id(600)).unwrap();
    suite.steps[0].cases[1].name = text.to_owned();
    suite.steps[0].cases[1].verdict = Some(verdict.clone());
    past.bundle.as_mut().unwrap().bundle = Arc::new(degraded_answer(text));
    past.changes[1].version = text.to_owned();
    past.changes[1].before = Some(text.to_owned());
    let mut overview = broken();
    overview.open[0].latest_failures = failures.into();
    overview.silences = vec![Silence {
        id: SilenceId(Arc::from("S1")),
        matchers: Matchers { probes: vec!["api-*".to_owned(), text.to_owned()], ..Matchers::default() },
        by: text.to_owned(),
        reason: text.to_owned(),
        from: at("2026-11-24T09:00:00Z"),
        until: at("2026-11-24T10:00:00Z"),
    }];
    let served = served(plan, overview, past).await;
    let mut pages = Vec::new();
    for path in [
        "/probes/api-health".to_owned(),
        format!("/runs/{}", id(0)),
        format!("/runs/{}", id(40)),
        format!("/runs/{}", id(600)),
    ] {
        let answer = served.get(&path).await;
        assert_eq!(status(&answer), 200, "{path}: {answer}");
        pages.push(answer.split_once("\r\n\r\n").unwrap().1.to_owned());
    }
    pages
}

#[tokio::test]
async fn text_of_a_target_adds_no_element_and_no_attribute() {
    let plain = pages("plain").await;
    for payload in texts() {
        for (page, plain) in pages(&payload).await.iter().zip(&plain) {
            assert_eq!(skeleton(page), skeleton(plain), "{payload:?}");
            assert!(!leads_to_a_script(page), "{payload:?}");
            assert_eq!(page.matches('\n').count(), breaks(page), "{payload:?}");
            assert_eq!(page.find(hides), None, "{payload:?}");
        }
    }
}

#[tokio::test]
async fn however_much_a_target_says_a_page_stays_small() {
    for (page, most) in pages(&"x".repeat(20_000)).await.iter().zip([150, 250, 50, 150]) {
        assert!(page.len() <= most * 1_024, "{} bytes: {}", page.len(), page.chars().take(300).collect::<String>());
    }
}
