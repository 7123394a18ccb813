//! What everybody may see: one sentence that says no more than is known, and badges.

use std::sync::Arc;

use super::answers::{served_with, status};
use super::fixture::{NOW, Past, Reader, incident, plan, run, well};
use crate::domain::incident::Incident;
use crate::domain::judge::Aspect;
use crate::domain::outcome::{Cause, Verdict};
use crate::domain::time::{Timestamp, earlier};
use crate::engine::plan::PublicPlan;
use crate::engine::testing::at;
use crate::ports::Overview;

const SHOWN: [&str; 3] = ["api-health", "auth", "cache"];

/// How `well` is otherwise, and what the page says then on top and below it.
async fn said(change: impl FnOnce(&mut Overview)) -> (String, String) {
    let (mut plan, mut overview) = (plan(), well());
    let probes = SHOWN.map(|probe| (probe.parse().unwrap(), probe.to_owned())).into();
    plan.web.public = Some(PublicPlan { title: "The shop".to_owned(), path: "/public".to_owned(), probes });
    change(&mut overview);
    let served = served_with(plan, Arc::new(Reader { overview, story: None }), Past::default(), false).await;
    let page = served.get("/public").await;
    assert_eq!(status(&page), 200, "{page}");
    let between = |begin: &str, end: &str| {
        let rest = page.split_once(begin).unwrap().1;
        rest.split_once(end).unwrap().0.to_owned()
    };
    (between("<h1><span class=\"", "</span>").replace("\">", ": "), between("<p class=\"lede\">", "</p>"))
}

fn last(overview: &mut Overview, probe: &str, verdict: Verdict) {
    let key = ("reachability".parse().unwrap(), probe.parse().unwrap());
    overview.last.insert(key, run("reachability", probe, just_now(), 10, verdict));
}

fn just_now() -> Timestamp {
    earlier(at(NOW), std::time::Duration::from_secs(5))
}

fn blind() -> Verdict {
    Verdict::Inconclusive(Cause::Skipped)
}

#[tokio::test]
async fn the_sentence_says_no_more_than_is_known() {
    let texts = |one: &str, two: &str| (one.to_owned(), two.to_owned());
    assert_eq!(said(|_| {}).await, texts("ok: All is well.", "3 parts."));
    assert_eq!(said(|overview| *overview = Overview::default()).await, texts("unk: Nothing is known yet.", "3 parts."));
    let partly = said(|overview| last(overview, "auth", blind())).await;
    assert_eq!(partly, texts("unk: Of 1 of 3 nothing is known.", "3 parts."));
    let failing = said(|overview| {
        last(overview, "auth", blind());
        last(overview, "cache", Verdict::Failed(Vec::new()));
    });
    assert_eq!(failing.await, texts("bad: 1 of 3 is failing.", "3 parts, of 1 nothing is known."));
}

#[tokio::test]
async fn an_incident_counts_until_it_is_over_though_the_last_look_passed() {
    let open = |aspect: Aspect| move |overview: &mut Overview| overview.open = vec![Incident { aspect, ..incident() }];
    assert_eq!(said(open(Aspect::Failing)).await.0, "bad: 1 of 3 is failing.");
    assert_eq!(said(open(Aspect::Degraded)).await.0, "warn: 1 of 3 is degraded.");
    let paused = said(|overview| {
        open(Aspect::Failing)(overview);
        last(overview, "api-health", blind());
    });
    assert_eq!(paused.await.0, "bad: 1 of 3 is failing.");
}
