//! The forms by which somebody silences and has messages tried again, over real connections; and that no page leads nowhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::answers::{Served, serving, status};
use super::desk::{Held, Manned, manned};
use super::fixture::{Fixed, INCIDENT, NOW, Past, Reader, broken, incident, plan, story};
use super::lists::{undelivered, worst};
use crate::domain::quiet::{Matchers, Silence, SilenceId};
use crate::engine::plan::Tokens;
use crate::engine::testing::at;
use crate::ports::{Redrive, Token};

/// `anybody:correct-horse`.
const PASSWORD: &str = "Authorization: Basic YW55Ym9keTpjb3JyZWN0LWhvcnNl";

/// What a browser says with a form of ours.
const OURS: &str = "Sec-Fetch-Site: same-origin";

fn silence(id: &str) -> Silence {
    Silence {
        id: SilenceId(Arc::from(id)),
        matchers: Matchers { probes: vec!["api-*".to_owned()], ..Matchers::default() },
        by: "ann".to_owned(),
        reason: "deploy".to_owned(),
        from: at("2026-11-24T09:10:00Z"),
        until: at("2026-11-24T10:10:00Z"),
    }
}

/// A page with a desk behind it, whose token is `correct-horse`.
async fn operated() -> (Served, Manned) {
    let mut plan = plan();
    plan.web.tokens = Tokens { operate: Some(Token::Secret("page".parse().unwrap())), read: None };
    plan.secrets = Arc::new(Fixed(Some("correct-horse")));
    let manned = manned(Held { undelivered: undelivered(3, 2), ..Held::default() }, worst());
    let mut overview = broken();
    overview.silences = vec![silence("S9")];
    manned.silences.lock().unwrap().insert(SilenceId(Arc::from("S9")), silence("S9"));
    let reader = Reader { overview: overview.clone(), story: Some(story(incident())) };
    let (desk, incidents) = (Arc::clone(&manned.desk), overview.resolved);
    let runs = overview.last.into_values().collect();
    let served = serving(plan, |web| {
        web.reader = Arc::new(reader);
        web.history = Arc::new(Past { runs, incidents, ..Past::default() });
        web.desk = desk;
        web.loadings.begin(std::path::Path::new("/etc/shop"), at("2026-11-24T08:00:00Z"));
    });
    (served.await, manned)
}

async fn post(served: &Served, path: &str, headers: &[&str], body: &str) -> String {
    let length = format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let form = ["Host: localhost", "Content-Type: application/x-www-form-urlencoded"];
    let headers: Vec<_> = form.iter().chain(headers).copied().chain([length.as_str()]).collect();
    served.ask(&format!("POST {path}"), &headers).await
}

#[tokio::test]
async fn a_silence_begins_and_ends_by_the_forms_of_our_own_pages_only() {
    let (served, manned) = operated().await;
    let page = served.get(&format!("/incidents/{INCIDENT}")).await;
    assert!(
        page.contains(&format!(r#"href="{INCIDENT}/silence""#))
            && page.contains(&format!(r#"action="{INCIDENT}/silences/S9/end""#)),
        "{page}"
    );
    let path = format!("/incidents/{INCIDENT}/silence");
    let form = served.get(&path).await;
    assert!(status(&form) == 200 && form.contains(r#"name="probes" value="api-health""#), "{form}");

    let body = "by=ann&reason=deploy&for=30m&until=&probes=api-health&schedules=&labels=&severities=";
    for (headers, expected) in [
        (&[PASSWORD, "Sec-Fetch-Site: cross-site"][..], 403),
        (&[PASSWORD, "Origin: https://evil.example"], 403),
        (&[PASSWORD], 403),
        (&[OURS], 401),
        (&[OURS, "Authorization: Basic YW55Ym9keTp3cm9uZw=="], 401),
    ] {
        let answer = post(&served, &path, headers, body).await;
        assert_eq!(status(&answer), expected, "{headers:?}: {answer}");
        let end = post(&served, &format!("/incidents/{INCIDENT}/silences/S9/end"), headers, "").await;
        assert_eq!(status(&end), expected, "{headers:?}: {end}");
    }
    assert_eq!(manned.silences.lock().unwrap().len(), 1, "nothing was done");

    let answer = post(&served, &path, &[PASSWORD, OURS], body).await;
    assert!(status(&answer) == 303 && answer.contains(&format!("location: ../{INCIDENT}\r\n")), "{answer}");
    let begun = manned.silences.lock().unwrap()[&SilenceId(Arc::from("S2"))].clone();
    assert_eq!((begun.by.as_str(), begun.reason.as_str()), ("ann", "deploy"));
    // The clock of these tests goes on.
    assert!((1_800..1_860).contains(&(begun.until - at(NOW)).num_seconds()), "{begun:?}");
    assert!(begun.from == at(NOW) && begun.matchers.probes == ["api-health"], "{begun:?}");

    let end = post(&served, &format!("/incidents/{INCIDENT}/silences/S2/end"), &[PASSWORD, OURS], "").await;
    assert!(status(&end) == 303 && end.contains(&format!("location: ../../../{INCIDENT}\r\n")), "{end}");
}

#[tokio::test]
async fn what_is_wrong_with_a_silence_is_said_on_a_page_that_leads_back() {
    let (served, manned) = operated().await;
    let path = format!("/incidents/{INCIDENT}/silence");
    for (body, expected, sentence) in [
        ("by=ann&reason=x&for=1h&probes=*", 422, "a silence says what it is about, and not everything"),
        ("by=ann&reason=&for=1h&probes=a", 422, "a silence has an author and a reason"),
        ("by=ann&reason=x&for=&until=&probes=a", 422, "a silence ends: say for how long, or until when"),
        ("by=ann&reason=x&for=&until=2026-11-24T09:00&probes=a", 422, "a silence ends after it begins"),
        ("by=ann&reason=x&for=90d&probes=a", 422, "a silence lasts for at most 30 d"),
        ("by=ann&reason=x&for=1h&labels=%3Cb%3E", 422, "`&lt;b&gt;` is not a label"),
        ("by=ann&what=x", 400, "the form has no such field"),
    ] {
        let answer = post(&served, &path, &[PASSWORD, OURS], body).await;
        assert_eq!(status(&answer), expected, "{body}: {answer}");
        assert!(
            answer.contains(sentence) && answer.contains(r#"<a class="btn" href="?">Back</a>"#),
            "{body}: {answer}"
        );
    }
    let answer = post(&served, &format!("/incidents/{INCIDENT}/silences/none/end"), &[PASSWORD, OURS], "").await;
    assert!(status(&answer) == 404 && answer.contains(r#"href="../../../../style.css""#), "{answer}");
    assert_eq!(manned.silences.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn one_message_is_tried_again_or_all_are() {
    let (served, manned) = operated().await;
    for path in ["/deliveries/redrive", "/deliveries/M1/redrive"] {
        assert_eq!(status(&post(&served, path, &[PASSWORD], "").await), 403, "{path}");
        assert_eq!(status(&post(&served, path, &[OURS], "").await), 401, "{path}");
    }
    assert_eq!(*manned.outbox.redriven.lock().unwrap(), []);
    let one = post(&served, "/deliveries/M1/redrive", &[PASSWORD, OURS], "").await;
    assert!(status(&one) == 303 && one.contains("location: ../../deliveries\r\n"), "{one}");
    let all = post(&served, "/deliveries/redrive", &[PASSWORD, OURS], "").await;
    assert!(status(&all) == 303 && all.contains("location: ../deliveries\r\n"), "{all}");
    let none = post(&served, "/deliveries/other/redrive", &[PASSWORD, OURS], "").await;
    assert!(status(&none) == 404 && none.contains("there is no such message"), "{none}");
    let asked = [Redrive::One("M1".to_owned()), Redrive::All, Redrive::One("other".to_owned())];
    assert_eq!(*manned.outbox.redriven.lock().unwrap(), asked);
    let put_down: Vec<_> =
        manned.audits.lock().unwrap().iter().map(|record| (record.of.clone(), record.after.clone())).collect();
    assert_eq!(
        put_down,
        [("M1", "1 due"), ("all messages", "5 due")].map(|(of, after)| (of.to_owned(), after.to_owned()))
    );
}

/// What a page leads to, from where it stands.
fn links(path: &str, page: &str) -> BTreeSet<String> {
    let base = url::Url::parse("http://localhost").unwrap().join(path).unwrap();
    let of =
        |attribute: &str| page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>();
    let all = of(" href=\"").into_iter().chain(of(" action=\""));
    let own = all
        .filter_map(|link| base.join(&link.replace("&amp;", "&")).ok())
        .filter(|url| url.host_str() == Some("localhost"));
    own.map(|url| url.path().to_owned() + &url.query().map(|query| format!("?{query}")).unwrap_or_default()).collect()
}

#[tokio::test]
async fn no_page_leads_nowhere() {
    let (served, _manned) = operated().await;
    let pages = ["/", "/incidents", "/schedules", "/deliveries", "/objectives", "/about"].map(str::to_owned);
    let (mut asked, mut waiting) = (BTreeSet::new(), Vec::from(pages));
    let mut windows = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let is_form = path.ends_with("/redrive") || path.ends_with("/end");
        // Others are kept in the store; here one incident is known, and none of its runs.
        let is_other = path.starts_with("/incidents/") && !path.contains(INCIDENT)
            || path.starts_with("/runs/01KB2H8Q4V000000000000RUN");
        // A chart leads into itself without end: of each page one window is enough.
        let (page, question) = path.split_once('?').unwrap_or((&path, ""));
        let is_known_window = question.contains("from=") && !windows.insert(page.to_owned());
        if is_form || is_other || is_known_window || !asked.insert(path.clone()) {
            continue;
        }
        let answer = served.ask(&format!("GET {path}"), &["Host: localhost", PASSWORD]).await;
        assert_eq!(status(&answer), 200, "{path}: {answer}");
        if answer.contains("content-type: text/html") {
            waiting.extend(links(&path, &answer));
        }
    }
    for path in ["/style.css", "/audit", &format!("/incidents/{INCIDENT}/silence"), "/deliveries?still"] {
        assert!(asked.contains(path), "{path} is not among {asked:?}");
    }
}
