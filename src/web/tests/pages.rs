//! What the pages say, pinned.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::{INCIDENT, broken, incident, plan, run, story, view, well};
use crate::domain::history::{Grain, Verdicts};
use crate::domain::incident::Incident;
use crate::domain::judge::Aspect;
use crate::domain::names::ProbeName;
use crate::domain::outcome::Verdict;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::pause::{Pause, PauseId, Scope};
use crate::domain::quiet::{Matchers, Reason, Silence, SilenceId};
use crate::engine::plan::Plan;
use crate::engine::testing::{at, plan_of, schedule_of};
use crate::ports::{Overview, RunSummary};
use crate::web::board::Board;
use crate::web::days::Day;
use crate::web::filter::Filter;
use crate::web::frame::Place;
use crate::web::headline::Headline;
use crate::web::status::Chosen;
use crate::web::view::View;
use crate::web::visit::Visit;
use crate::web::{incident as incident_page, status};

/// A page with a line for each element, so that a change is seen where it is.
fn lines(page: &maud::Markup) -> String {
    page.0.replace("><", ">\n<")
}

#[test]
fn the_page_when_all_is_well() {
    let plan = plan();
    insta::assert_snapshot!(lines(&drawn(&view(&plan), &well())));
}

#[test]
fn the_page_with_an_open_incident() {
    let plan = plan();
    insta::assert_snapshot!(lines(&drawn(&view(&plan), &broken())));
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
    let page = lines(&drawn(&view(&plan), &overview));
    assert!(page.contains("Paused</b> until somebody resumes it by ann &lt;b&gt;: api-health – a new disk"), "{page}");
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
    over.latest_failures = Arc::clone(&over.first_failures);
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
        "All is well: 8 of 9 probes, last run 11 s ago. No incident is on record. 1 probe has not run yet."
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
        "All is well: 6 of 9 probes, last run 11 s ago. No incident is on record. 1 probe has not run yet. 2 were skipped."
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

/// The status page of what its query asks for, with a past of every row.
fn drawn(view: &View<'_>, overview: &Overview) -> maud::Markup {
    let chosen = Chosen::new(view, overview, Filter::of(&view.visit));
    let day = |age: i64| {
        (Grain::Day.begin(view.now) - chrono::TimeDelta::days(age), Verdicts { passed: 2_880, ..Verdicts::default() })
    };
    let mut days: Vec<_> = (0..90).rev().map(day).collect();
    days[40].1.failed = 400;
    days[85].1.failed = 1;
    let days: Arc<[Day]> = days.into();
    let past = chosen.pairs().into_iter().map(|pair| (pair, Arc::clone(&days))).collect();
    status::status(view, overview, &chosen, &past)
}

/// Two thousand probes in three tiers with an hour of runs, some of them bad, all with labels.
fn many() -> (Plan, Overview) {
    let mut plan = plan_of(vec![
        schedule_of("often", "30s", 2_000),
        schedule_of("seldom", "5m", 300),
        schedule_of("hourly", "1h", 12),
    ]);
    for (n, probe) in plan.probes.values_mut().enumerate() {
        let probe = Arc::get_mut(probe).unwrap();
        probe.labels.insert("team".to_owned(), format!("team-{}", n % 9));
        probe.labels.insert("service".to_owned(), format!("service-{n}"));
    }
    let mut overview = Overview::default();
    for schedule in plan.schedules.values() {
        for (n, probe) in schedule.probes.iter().enumerate() {
            let bad = || Verdict::Failed(vec![crate::web::tests::fixture::database_degraded(); 3]);
            let verdict = if n % 50 == 7 { bad() } else { Verdict::Passed };
            let started_at = at("2026-11-24T09:17:20Z");
            let summary = |age: i64| RunSummary {
                started_at: started_at - chrono::TimeDelta::seconds(30 * age),
                duration_ms: (n as f64 * 7.0 + age as f64 * 13.0) % 97.0 + 20.0,
                verdict: "passed",
            };
            let pair = (schedule.name.clone(), probe.clone());
            overview.runs.insert(pair.clone(), (0..119).rev().map(summary).collect());
            overview.last.insert(pair, run(schedule.name.as_str(), probe.as_str(), started_at, 42, verdict));
        }
    }
    overview.open = vec![incident(); 60];
    (plan, overview)
}

#[test]
fn the_page_of_two_thousand_probes_is_small_and_shows_what_is_bad() {
    let (plan, overview) = many();
    let mut view = view(&plan);
    for query in
        ["/", "/?show=bad", "/?label=team=team-3", "/?tier=often&page=2", "/?tier=often&page=999", "/?q=probe-1"]
    {
        view.visit.uri = query.parse().unwrap();
        let page = drawn(&view, &overview).0;
        assert!(page.len() <= 150_000, "{query}: {} bytes", page.len());
        assert!(page.len() >= 20_000, "{query}: {} bytes", page.len());
    }
    view.visit.uri = "/".parse().unwrap();
    let page = drawn(&view, &overview).0;
    let first = page.split("often").nth(1).unwrap();
    assert!(first.find("failed</span>").unwrap() < first.find("passed</span>").unwrap_or(usize::MAX));
    assert!(page.contains("1,980 more, the worst of them failed") && page.contains("./?tier=often"), "{page}");
    view.visit.uri = "/?tier=often&page=2".parse().unwrap();
    let page = drawn(&view, &overview).0;
    assert!(page.contains("part 2 of 50") && !page.contains(">seldom<"), "{page}");
    assert_eq!(page.matches("class=\"days\"").count(), 40);
}

#[test]
fn however_long_the_texts_are_the_page_keeps_its_size() {
    let (mut plan, mut overview) = many();
    let long = "x".repeat(5_000);
    for probe in plan.probes.values_mut() {
        Arc::get_mut(probe).unwrap().labels.insert("service".to_owned(), long.clone());
    }
    for run in overview.last.values_mut() {
        run.verdict = Verdict::Failed(vec![Failure::new(FailureKind::ConnectRefused, &*long).with(&long, &long); 9]);
    }
    for open in &mut overview.open {
        open.latest_failures = vec![Failure::new(FailureKind::ConnectRefused, &*long); 9].into();
    }
    overview.resolved = overview
        .open
        .iter()
        .cloned()
        .map(|open| Incident {
            resolved_at: Some(at("2026-11-24T09:16:31Z")),
            resolved_because: Some(long.clone()),
            ..open
        })
        .collect();
    let page = drawn(&view(&plan), &overview).0;
    assert!(page.len() <= 150_000, "{} bytes", page.len());
    assert!(page.contains("more, the worst of them failed"));
}

#[test]
fn rows_are_chosen_by_label_text_and_standing() {
    let plan = plan();
    let mut view = view(&plan);
    let overview = broken();
    for (query, shown, hidden) in [
        ("/?label=service=auth", "probes/auth", "probes/cache"),
        ("/?q=DATA", "probes/database", "probes/cache"),
        ("/?show=failed", "probes/api-health", "probes/password-reset"),
        ("/?tier=journeys", "probes/shopper-journey", "probes/auth"),
    ] {
        view.visit.uri = query.parse().unwrap();
        let page = drawn(&view, &overview).0;
        assert!(page.contains(shown) && !page.contains(hidden), "{query}: {page}");
    }
    view.visit.uri = "/?label=service=nothing".parse().unwrap();
    assert!(drawn(&view, &overview).0.contains("Nothing is like that: label service=nothing."));
    view.visit.uri = "/?tier=none".parse().unwrap();
    assert!(drawn(&view, &overview).0.contains("Nothing is like that: schedule none."));
}

#[test]
fn a_row_says_who_wants_it_quiet() {
    let plan = plan();
    let mut overview = well();
    overview.pauses = vec![Pause {
        id: PauseId(Arc::from("p")),
        what: Scope::parse("cache").unwrap(),
        by: "ann".to_owned(),
        reason: "a new disk".to_owned(),
        from: at("2026-11-24T09:00:00Z"),
        until: None,
        ended: None,
    }];
    overview.silences = vec![Silence {
        id: SilenceId(Arc::from("s")),
        matchers: Matchers { probes: vec!["au*".to_owned()], ..Matchers::default() },
        by: "bob".to_owned(),
        reason: "a deployment".to_owned(),
        from: at("2026-11-24T09:00:00Z"),
        until: at("2026-11-24T10:00:00Z"),
    }];
    let page = drawn(&view(&plan), &overview).0;
    let still = |sentence: &str| format!(r#"<span class="still">{sentence}</span>"#);
    let paused = still("<b>Paused</b> until somebody resumes it by ann: cache – a new disk");
    assert!(page.contains(&paused) && page.contains("</svg>paused</span>"), "{page}");
    let silenced = still("<b>Silenced</b> until 10:00:00 UTC by bob: au* – a deployment");
    assert_eq!(page.matches(&silenced).count(), 1, "{page}");
    assert!(sentence(&plan, &overview).ends_with("1 is paused."));
}

#[test]
fn while_it_is_muted_nobody_is_told_more_of_an_incident() {
    let plan = plan();
    let mut open = incident();
    (open.escalate_at, open.remind_at) = (Some(at("2026-11-24T09:29:00Z")), Some(at("2026-11-24T09:44:00Z")));
    let page = |open: Incident| incident_page::incident(&view(&plan), &story(open), &broken()).0;
    let loud = page(open.clone());
    for sentence in ["others are told at 09:29:00 UTC", "others are told in", "are reminded in"] {
        assert!(loud.contains(sentence), "{sentence}: {loud}");
    }
    open.quiet = Some(Reason::Needs(ProbeName::parse("database").unwrap()));
    let muted = page(open);
    assert!(muted.contains("Muted: needs database") && muted.contains("Nobody has taken it on."), "{muted}");
    assert!(!muted.contains("others are told") && !muted.contains("reminded in"), "{muted}");
}

#[test]
fn an_incident_leads_to_its_probe_and_to_its_runs_where_it_has_any() {
    let plan = plan();
    let page = |open: Incident| incident_page::incident(&view(&plan), &story(open), &broken()).0;
    let of_probe = page(incident());
    for href in [
        "probes/api-health",
        "runs/01KB2H8Q4V000000000000RUN0",
        "runs/01KB2H8Q4V000000000000RUN7",
        "runs/01KB2H8Q4V000000000000RUN3",
    ] {
        assert!(of_probe.contains(&format!(r#"href="../{href}""#)), "{href}: {of_probe}");
    }
    for own in [Incident { aspect: Aspect::StateLost, ..incident() }, Incident { drill: true, ..incident() }] {
        let page = page(own);
        assert!(!page.contains(">The probe</a>") && !page.contains("<dt>run</dt>"), "{page}");
    }
}

#[test]
fn what_diagnosis_found_bad_comes_first() {
    let plan = plan();
    let mut told = story(incident());
    let mut passed = told.diagnoses[0].clone();
    (passed.finding.probe, passed.finding.verdict) = ("table".parse().unwrap(), "passed".to_owned());
    told.diagnoses.insert(0, passed);
    let page = incident_page::incident(&view(&plan), &told, &broken()).0;
    assert!(page.find("<b>database-status</b>").unwrap() < page.find("<b>table</b>").unwrap(), "{page}");
}

#[test]
fn long_texts_and_secrets_are_kept_short() {
    let plan = plan();
    let mut said = incident();
    Arc::make_mut(&mut said.first_failures)[0].message = format!("the password is hunter2 {}", "x".repeat(9_000));
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
    assert!(drawn(&view, &well()).0.contains(r#"<meta http-equiv="refresh" content="10">"#));
    view.visit.uri = "/?still".parse().unwrap();
    let page = drawn(&view, &well()).0;
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
