//! What the pages say, pinned.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::{INCIDENT, broken, incident, plan, run, story, view, well};
use crate::domain::names::ProbeName;
use crate::domain::outcome::Verdict;
use crate::domain::pause::{Pause, PauseId, Scope};
use crate::domain::quiet::Reason;
use crate::engine::plan::Plan;
use crate::engine::testing::{at, plan_of, schedule_of};
use crate::ports::Overview;
use crate::web::board::Board;
use crate::web::frame::Place;
use crate::web::headline::Headline;
use crate::web::visit::Visit;
use crate::web::{incident as incident_page, status};

/// A page with a line for each element, so that a change is seen where it is.
fn lines(page: &maud::Markup) -> String {
    page.0.replace("><", ">\n<")
}

#[test]
fn the_page_when_all_is_well() {
    let plan = plan();
    insta::assert_snapshot!(lines(&status::status(&view(&plan), &well())));
}

#[test]
fn the_page_with_an_open_incident() {
    let plan = plan();
    insta::assert_snapshot!(lines(&status::status(&view(&plan), &broken())));
}

#[test]
fn what_is_paused_is_said_with_who_and_why_and_is_not_overdue() {
    let (plan, mut overview) = (plan(), well());
    let pause = |what: &str, until: Option<&str>| Pause {
        id: PauseId(Arc::from(what)),
        what: Scope::parse(what).unwrap(),
        by: "ann <b>".to_owned(),
        reason: "a new disk".to_owned(),
        from: at("2026-11-24T08:00:00Z"),
        until: until.map(at),
        ended: None,
    };
    overview.pauses = vec![
        pause("api-health", None),
        pause("schedule:journeys", Some("2026-11-24T12:00:00Z")),
        pause("cache", Some("2026-11-24T09:00:00Z")),
    ];
    let last = overview.last.values_mut().find(|run| run.probe.as_str() == "api-health").unwrap();
    last.slot = at("2026-11-24T08:00:00Z");
    let page = lines(&status::status(&view(&plan), &overview));
    assert!(page.contains("Paused until somebody resumes by ann &lt;b&gt;: api-health – a new disk"), "{page}");
    assert!(
        page.contains(" by ann &lt;b&gt;: schedule:journeys – a new disk") && !page.contains("cache – a new disk"),
        "{page}"
    );
    assert!(page.contains("All is well: ") && page.contains(" 3 are paused.") && !page.contains("overdue"), "{page}");
    overview.pauses =
        vec![pause("a*", None), pause("schedule:*s", None), pause("schedule:r*", None), pause("*o*", None)];
    overview.pauses.push(pause("*s*", None));
    let board = Board::new(&view(&plan), &overview);
    assert_eq!(Headline::new(&view(&plan), &overview, &board).accent, "Every probe is paused.");
}

#[test]
fn the_page_while_starting() {
    let plan = plan();
    insta::assert_snapshot!(lines(&status::starting(&view(&plan), Place::Status)));
}

#[test]
fn the_page_of_an_open_incident() {
    let plan = plan();
    insta::assert_snapshot!(lines(&incident_page::incident(&view(&plan), &story(incident()), &broken())));
}

#[test]
fn the_page_of_a_resolved_incident() {
    let plan = plan();
    let mut over = incident();
    over.resolved_at = Some(at("2026-11-24T09:16:31Z"));
    over.resolved_because = Some("the probe was removed".to_owned());
    over.firing.clear();
    over.quiet = Some(Reason::Needs(ProbeName::parse("database").unwrap()));
    over.runbook = Some("docs/runbooks/api.md".to_owned());
    over.latest_failures = over.first_failures.clone();
    let mut story = story(over);
    story.told.clear();
    story.diagnoses.clear();
    insta::assert_snapshot!(lines(&incident_page::incident(&view(&plan), &story, &Overview::default())));
}

fn sentence(plan: &Plan, overview: &Overview) -> String {
    let view = view(plan);
    let headline = Headline::new(&view, overview, &Board::new(&view, overview));
    format!("{}{} {}", headline.accent, headline.rest, headline.lede)
}

#[test]
fn one_sentence_says_how_things_are() {
    let plan = plan();
    let mut overview = well();
    assert_eq!(
        sentence(&plan, &overview),
        "All is well: 9 probes, last run 11 s ago. No incident is on record. 1 probe has not run yet."
    );
    let name = |schedule: &str, probe: &str| (schedule.parse().unwrap(), probe.parse().unwrap());
    overview.last.get_mut(&name("reachability", "auth")).unwrap().slot = at("2026-11-24T09:10:00Z");
    assert_eq!(sentence(&plan, &overview), "1 of 9 probes is overdue. No incident is open. The last run was 11 s ago.");
    let failed = run("reachability", "cache", at("2026-11-24T09:17:39Z"), 10, Verdict::Failed(Vec::new()));
    overview.last.insert(name("reachability", "cache"), failed);
    assert_eq!(
        sentence(&plan, &overview),
        "1 of 9 probes is failing, 1 is overdue. No incident is open. The last run was 6 s ago."
    );
    overview.open = vec![incident()];
    assert_eq!(
        sentence(&plan, &overview),
        "1 incident is open: api-health is failing since 09:14:01 UTC (3 min 43 s). \
         Of 9 probes 1 is failing, 1 is overdue. The last run was 6 s ago."
    );
    overview.open = vec![incident(); 5];
    assert!(
        sentence(&plan, &overview)
            .starts_with("5 incidents are open: api-health, api-health, api-health and 2 more. Of 9 probes"),
    );
    assert_eq!(
        sentence(&plan, &Overview::default()),
        "No probe has run yet. 9 probes planned. The next slot is in 15 s."
    );
    assert_eq!(
        sentence(&plan_of(Vec::new()), &Overview::default()),
        "No probe is scheduled. Name some in a file of schedules/."
    );
}

#[test]
fn what_was_skipped_is_not_called_well() {
    let plan = plan();
    let mut overview = well();
    let skip = || Verdict::Inconclusive(crate::domain::outcome::Cause::Skipped);
    overview.last.values_mut().take(2).for_each(|run| run.verdict = skip());
    assert_eq!(
        sentence(&plan, &overview),
        "All is well: 9 probes, last run 11 s ago. No incident is on record. 1 probe has not run yet. 2 were skipped."
    );
    overview.last.values_mut().for_each(|run| run.verdict = skip());
    assert_eq!(
        sentence(&plan, &overview),
        "No probe has looked. No incident is on record. 1 probe has not run yet. 8 were skipped."
    );
    let view = view(&plan);
    let tone = Headline::new(&view, &overview, &Board::new(&view, &overview)).tone;
    assert_eq!(tone.class(), crate::web::marks::Tone::Unknown.class());
}

#[test]
fn a_tier_shows_its_worst_rows_and_how_many_more() {
    let plan = plan_of(vec![schedule_of("large", "30s", 10_000)]);
    let mut overview = Overview::default();
    for (name, verdict) in [("probe-9998", Verdict::Failed(Vec::new())), ("probe-17", Verdict::Passed)] {
        let run = run("large", name, at("2026-11-24T09:17:20Z"), 10, verdict);
        overview.last.insert(("large".parse().unwrap(), name.parse().unwrap()), run);
    }
    let page = status::status(&view(&plan), &overview).0;
    assert_eq!(page.matches("<li>").count(), 200);
    assert!(page.contains("and 9,800 probes more, the worst of them not run yet"));
    assert!(page.find("probe-9998").unwrap() < page.find("probe-0<").unwrap());
    assert!(!page.contains("probe-17<"));
}

#[test]
fn long_texts_and_secrets_are_kept_short() {
    let plan = plan();
    let mut said = incident();
    said.first_failures[0].message = format!("the password is hunter2 {}", "x".repeat(9_000));
    let page = incident_page::incident(&view(&plan), &story(said), &broken()).0;
    assert!(!page.contains("hunter2") && page.contains("the password is •••"));
    assert!(page.contains("… (5020 more characters)"), "{page}");
}

#[test]
fn a_probe_of_two_tiers_counts_once_as_it_stands_worst() {
    let mut second = schedule_of("second", "1m", 1);
    second.timeout = Duration::from_secs(10);
    let plan = plan_of(vec![schedule_of("first", "30s", 1), second]);
    let mut overview = Overview::default();
    for (schedule, verdict) in [("first", Verdict::Passed), ("second", Verdict::Failed(Vec::new()))] {
        let run = run(schedule, "probe-0", at("2026-11-24T09:17:20Z"), 10, verdict);
        overview.last.insert((schedule.parse().unwrap(), "probe-0".parse().unwrap()), run);
    }
    assert_eq!(sentence(&plan, &overview), "1 of 1 probe is failing. No incident is open. The last run was 25 s ago.");
}

#[test]
fn a_page_that_holds_still_says_of_when_it_is() {
    let plan = plan();
    let mut view = view(&plan);
    assert!(status::status(&view, &well()).0.contains(r#"<meta http-equiv="refresh" content="10">"#));
    view.visit.uri = "/?still".parse().unwrap();
    let page = status::status(&view, &well()).0;
    assert!(!page.contains("http-equiv") && page.contains("as of 09:17:45 UTC"));
    let mut over = incident();
    over.resolved_at = Some(at("2026-11-24T09:16:31Z"));
    view.visit = Visit::default();
    assert!(
        !incident_page::incident(&view, &story(over), &broken()).0.contains("http-equiv"),
        "nothing changes any more"
    );
    assert_eq!(Arc::from(INCIDENT), incident().id.0);
}
