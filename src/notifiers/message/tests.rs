//! Messages as people read them, and the incidents of which every channel is shown to tell.

use std::sync::Arc;

use super::*;
use crate::domain::expression::Explanation;
use crate::domain::incident::{Acknowledgement, Finding, Severity};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::FailureKind;
use crate::engine::testing::{at, incident};

/// The demo's incident, as it opened.
pub(crate) fn opened() -> Notification {
    let explanation: Explanation = serde_json::from_value(serde_json::json!({
        "expression": "json.services.database == \"ok\"",
        "parts": [{ "expression": "json.services.database", "value": "\"degraded\"" }],
        "reason": null,
    }))
    .unwrap();
    let failures = Arc::from([
        Failure::of_assertion(explanation),
        Failure::new(FailureKind::TimeoutFirstByte, "nothing came within 800 ms").with("≤ 500 ms", "800 ms"),
    ]);
    let schedule = ScheduleName::parse("reachability").unwrap();
    let incident = Incident {
        opened_at: at("2026-11-24T10:01:01Z"),
        firing: [(schedule.clone(), Severity::P1)].into(),
        schedules: vec![schedule],
        first_failures: Arc::clone(&failures),
        latest_failures: failures,
        labels: [("team".to_owned(), "shop".to_owned())].into(),
        runbook: Some("https://wiki.example/api-health".to_owned()),
        ..incident("01K0000000000000000000000A", "api-health", at("2026-11-24T10:00:01Z"))
    };
    Notification {
        event: Event::Opened,
        incident,
        transition: 1,
        at: at("2026-11-24T10:01:01Z"),
        site: "shop".to_owned(),
        url: Some("https://rounds.example/incidents/01K0000000000000000000000A".to_owned()),
        late: false,
        plain: false,
        group: None,
        unrecorded: false,
    }
}

/// The same with all that a target can write, and much of it.
pub(crate) fn hostile() -> Notification {
    let mut notification = opened();
    let hostile = "a\r\nSubject: b\u{1b}[2J\u{202e}\n\n\u{0}<!channel> @everyone <https://evil.example|x> *b* [c](http://d) {{e}} \"f\" \\ ``` ünï 💥 & "
        .to_owned();
    let failure = Failure::new(FailureKind::Expect, hostile.clone()).with(hostile.clone(), hostile.clone());
    notification.incident.latest_failures = vec![failure; 2].into();
    notification.incident.changes = vec![hostile];
    notification.incident.runbook = Some("javascript:alert(1)".to_owned());
    notification
}

/// … and so much of it that nothing can take it whole.
pub(crate) fn flooding() -> Notification {
    let mut notification = hostile();
    let incident = &mut notification.incident;
    let mut failure = incident.latest_failures[0].clone();
    for text in [Some(&mut failure.message), failure.expected.as_mut(), failure.actual.as_mut()].into_iter().flatten() {
        *text = text.repeat(1_000);
    }
    incident.latest_failures = vec![failure; 500].into();
    incident.changes = vec![incident.changes[0].repeat(1_000); 500];
    incident.labels = (0..500).map(|n| (format!("l{n}"), "&".repeat(1_000))).collect();
    notification
}

/// … and as it was resolved.
pub(crate) fn resolved() -> Notification {
    let mut notification = opened();
    notification.event = Event::Resolved;
    notification.transition = 2;
    notification.at = at("2026-11-24T10:04:31Z");
    notification.incident.resolved_at = Some(notification.at);
    notification
}

/// So many incidents in one message, of which the first 50 are listed: as they opened, and as they were resolved.
pub(crate) fn several(event: Event, size: u64) -> Notification {
    let one = if event == Event::Resolved { resolved() } else { opened() };
    let member = |n: usize| Member {
        probe: ProbeName::parse(&format!("shelf-{n}")).unwrap(),
        severity: if n < 2 { Severity::P1 } else { Severity::P3 },
        summary: format!("shelf-{n} is failing: connect.refused: nobody listens"),
        ..Member::of(&one.incident, false)
    };
    let listed = usize::try_from(size).unwrap().min(crate::domain::grouping::LISTED_MAX);
    let members = (0..listed).map(member).collect();
    let (id, origin) = ("01K0000000000000000000000M".to_owned(), "01K0000000000000000000000G".to_owned());
    Notification { event, group: Some(Group { id, origin: Some(origin), size, left: 0, members }), ..one }
}

/// What is told of several: a storm, one of which some are over by now, its end in part and whole, told late.
pub(crate) fn of_several() -> Vec<(&'static str, Notification)> {
    let mut some_over = several(Event::Opened, 3);
    let mut part = several(Event::Resolved, 3);
    if let (Some(opening), Some(ending)) = (&mut some_over.group, &mut part.group) {
        opening.members[1].over = true;
        ending.left = 9;
    }
    let late = Notification { late: true, ..several(Event::Resolved, 3) };
    vec![
        ("storm", several(Event::Opened, 10_000)),
        ("some_over", some_over),
        ("part", part),
        ("all_over", several(Event::Resolved, 10_000)),
        ("several_late", late),
        ("several_reminder", several(Event::Reminder, 3)),
        ("several_escalated", several(Event::Escalated, 3)),
    ]
}

/// … and where it was not as it should be, as that began and as it was over.
pub(crate) fn degraded() -> [(&'static str, Notification); 2] {
    [("degraded", opened()), ("degraded_no_more", resolved())].map(|(name, mut notification)| {
        (notification.incident.aspect, notification.incident.severity) = (Aspect::Degraded, Severity::P3);
        (name, notification)
    })
}

/// The incident at each event, by the event's word: told again, to others, taken on by somebody, over.
pub(crate) fn of_each_event() -> Vec<(&'static str, Notification)> {
    let of = |event: Event| {
        let is_over = matches!(event, Event::Resolved | Event::PostMortem);
        let mut notification = if is_over { resolved() } else { opened() };
        notification.event = event;
        if matches!(event, Event::Reminder | Event::Escalated | Event::Acknowledged) {
            notification.transition = 2;
            notification.at = at("2026-11-24T10:31:01Z");
        }
        if event == Event::Acknowledged {
            let (at, by) = (at("2026-11-24T10:30:31Z"), "Ada".to_owned());
            notification.incident.acknowledged = Some(Acknowledgement { at, by, note: None });
        }
        if event == Event::PostMortem {
            (notification.transition, notification.at) = (3, at("2026-11-25T10:04:31Z"));
            let probe = ProbeName::parse("database-status").unwrap();
            let text = "json.throttled was 12".to_owned();
            notification.incident.findings = vec![Finding { probe, verdict: "failed".to_owned(), text }];
        }
        (event.as_str(), notification)
    };
    Event::ALL.map(of).into()
}

#[test]
fn people_read_what_happened() {
    for (event, notification) in of_each_event() {
        insta::assert_snapshot!(event, format!("{}\n---\n{}", subject(&notification), text(&notification)));
    }
    for (what, notification) in of_several() {
        insta::assert_snapshot!(what, format!("{}\n---\n{}", subject(&notification), text(&notification)));
    }
    for (name, notification) in degraded() {
        insta::assert_snapshot!(name, format!("{}\n---\n{}", subject(&notification), text(&notification)));
    }
    let late = Notification { late: true, ..resolved() };
    insta::assert_snapshot!("late", format!("{}\n---\n{}", subject(&late), text(&late)));
}

#[test]
fn what_changed_shortly_before_stands_with_what_failed() {
    let mut notification = opened();
    notification.incident.changes = vec!["api-health saw version 1.0.0 become 1.1.0\n at 09:58".to_owned()];
    let text = text(&notification);
    let told = "What changed shortly before:\n- api-health saw version 1.0.0 become 1.1.0";
    assert!(text.contains(told), "{text}");
    assert!(!text.contains("1.1.0\n at"), "a line of its own is none of the target's");
}

#[test]
fn hostile_text_is_only_read() {
    let notification = flooding();
    let subject = subject(&notification);
    assert!(subject.bytes().all(|b| (b' '..=b'~').contains(&b)) && subject.len() <= SUBJECT_MAX, "{subject}");
    let text = text(&notification);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    assert!(!text.contains('\u{202e}'));
    assert!(text.len() <= TEXT_BYTES_MAX);
    assert!(text.contains("- and 490 more"));
    assert!(!text.lines().any(|line| line.starts_with("Subject:")), "a target cannot begin a line of its own");
}

#[test]
fn what_fits_is_whole_and_the_rest_is_marked() {
    let escape = |c| (c == '&').then_some("&amp;");
    for (text, max, fitting) in [
        ("", 0, ""),
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("a&b", 7, "a&amp;b"),
        ("a&b", 6, "a…"),
        ("a&", 6, "a&amp;"),
        ("&&", 5, "…"),
        ("üüü", 2, "ü…"),
    ] {
        assert_eq!(fit(text, max, escape), fitting, "{text} in {max}");
    }
}

#[test]
fn only_what_a_browser_opens_is_a_link() {
    assert_eq!(links(&opened()).iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["Incident page", "Runbook"]);
    let mut notification = opened();
    for (runbook, is_link) in
        [("runbooks/api.md", true), ("javascript:alert(1)", false), ("https://w.example/a b>|", true)]
    {
        notification.incident.runbook = Some(runbook.to_owned());
        let links = links(&notification);
        assert_eq!(links.len(), 1 + usize::from(is_link), "{runbook}");
        assert!(links.iter().all(|(_, url)| !url.contains([' ', '>', '"', '<'])), "{links:?}");
    }
    let in_file = |url: Option<&str>| {
        let (mut notification, url) = (opened(), url.map(str::to_owned));
        notification.incident.runbook = Some("runbooks/api.md".to_owned());
        links(&Notification { url, ..notification }).pop()
    };
    let page = "https://rounds.example/incidents/I1";
    assert_eq!(in_file(Some(page)), Some(("Runbook", format!("{page}#runbook"))), "it is shown on the page");
    assert_eq!(in_file(None), None);
}
