//! What happened to an incident, in words for people. Much of it was said by a target, so nothing of it may do more than be
//! read: no control characters, no line breaks of its own, and an end.

use std::fmt::Write as _;

use crate::domain::figures::Figures;
use crate::domain::grouping::{Group, Member};
use crate::domain::incident::{Event, Incident};
use crate::domain::judge::Aspect;
use crate::domain::outcome::Failure;
use crate::domain::text::harmless;
use crate::domain::time::{between, clock, words};
use crate::ports::Notification;

/// The longest subject, in characters: SNS takes fewer than 100.
pub const SUBJECT_MAX: usize = 99;

/// How many failures are told; the rest is counted.
const FAILURES_MAX: usize = 10;

/// The longest line of a list of incidents, in characters: each is told by its own page too.
const LINE_MAX: usize = 140;

/// How many changes are told. An incident that was stored by another version may hold more than are kept today.
const CHANGES_MAX: usize = 10;

/// What stands above what changed.
pub const CHANGES_HEADING: &str = "What changed shortly before:";

/// A longer URL is no link: Slack takes 3,000 characters.
const LINK_MAX: usize = 2_000;

/// The longest piece that somebody else wrote, in characters.
const PIECE_MAX: usize = 1_000;

/// The longest text, in bytes; SNS takes 256 KiB with the attributes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What a notification is about, in a word or two: its probe, or how many incidents.
pub fn about(notification: &Notification) -> String {
    let several = notification.several().map(|group| format!("{} incidents", group.size));
    several.unwrap_or_else(|| notification.incident.probe.to_string())
}

/// One line of ASCII, for the subject of a mail.
pub fn subject(notification: &Notification) -> String {
    let whole =
        format!("{} {}: {}", notification.incident.severity, notification.event.as_str(), notification.summary());
    let plain: String = whole.chars().map(ascii).collect();
    if plain.chars().count() <= SUBJECT_MAX {
        return plain;
    }
    let mut short: String = plain.chars().take(SUBJECT_MAX - 3).collect();
    short.push_str("...");
    short
}

fn ascii(c: char) -> char {
    match c {
        ' '..='~' => c,
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        '–' | '—' => '-',
        c if c.is_whitespace() => ' ',
        _ => '?',
    }
}

/// What happened, in pieces that each channel puts where it wants them. All of it may be shown: on one line each, bounded,
/// without anything that steers.
pub struct Story {
    /// One line: what happened to what.
    pub headline: String,
    /// What stands above the failures.
    pub heading: &'static str,
    /// What failed; at most ten, and of several incidents those that are listed.
    pub failures: Vec<Told>,
    /// How many more failed.
    pub more: usize,
    /// What changed shortly before; at most ten.
    pub changes: Vec<String>,
    /// Everything else by name, none of it empty.
    pub facts: Vec<(&'static str, String)>,
}

/// One failure.
pub struct Told {
    /// What was seen, in words.
    pub what: String,
    /// What was expected.
    pub expected: Option<String>,
    /// What came.
    pub came: Option<String>,
}

impl Story {
    /// The story of a notification.
    pub fn of(notification: &Notification) -> Self {
        let incident = &notification.incident;
        if let Some(group) = notification.several() {
            return Self::of_several(notification, group);
        }
        let is_over = matches!(notification.said(), Event::Resolved | Event::PostMortem);
        let failures = if is_over { &incident.first_failures } else { &incident.latest_failures };
        let heading = match (incident.aspect, is_over) {
            (Aspect::Failing | Aspect::Blind, false) => "What failed:",
            (Aspect::Failing | Aspect::Blind, true) => "What had failed:",
            (Aspect::Degraded, false) => "What should be and is not:",
            (Aspect::Degraded, true) => "What should have been and was not:",
        };
        let facts = facts(notification, incident);
        Self {
            headline: piece(&notification.summary()),
            heading,
            failures: failures.iter().take(FAILURES_MAX).map(tell).collect(),
            more: failures.len().saturating_sub(FAILURES_MAX),
            changes: incident.changes.iter().take(CHANGES_MAX).map(|change| piece(change)).collect(),
            facts: facts.into_iter().map(|(name, value)| (name, piece(&value))).collect(),
        }
    }

    fn of_several(notification: &Notification, group: &Group) -> Self {
        let line = |member: &Member| {
            let over = if member.over && !notification.late { " (over by now)" } else { "" };
            let line = format!("{} since {}: {}", member.severity, clock(member.since), member.summary);
            Told { what: fit(&piece(&line), LINE_MAX, |_| None) + over, expected: None, came: None }
        };
        let first = group.members.iter().map(|member| member.since).min().unwrap_or(notification.incident.since);
        let late = "the incidents were over before this message could be delivered";
        let facts = [
            ("severity", notification.incident.severity.to_string()),
            ("site", notification.site.clone()),
            ("incidents", group.size.to_string()),
            ("since", clock(first)),
            ("late", if notification.late { late.to_owned() } else { String::new() }),
            ("page", notification.url.clone().unwrap_or_default()),
            ("alert", notification.alert().to_owned()),
        ];
        Self {
            headline: piece(&notification.summary()),
            heading: match notification.said() {
                Event::Resolved => "What had failed, the gravest first:",
                _ => "What failed, the gravest first:",
            },
            failures: group.members.iter().map(line).collect(),
            more: usize::try_from(group.more()).unwrap_or(usize::MAX),
            changes: Vec::new(),
            facts: facts
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name, piece(&value)))
                .collect(),
        }
    }

    /// The same with no more than so many failures.
    #[must_use]
    pub fn shortened(mut self, most: usize) -> Self {
        self.more += self.failures.len().saturating_sub(most);
        self.failures.truncate(most);
        self
    }

    /// The failures as lines, without their heading.
    pub fn failures(&self) -> String {
        let mut text = String::new();
        for Told { what, expected, came } in &self.failures {
            put(&mut text, &format!("- {what}"));
            if let Some(expected) = expected {
                put(&mut text, &format!("  expected: {expected}"));
            }
            if let Some(came) = came {
                put(&mut text, &format!("  came:     {came}"));
            }
        }
        if self.more > 0 {
            put(&mut text, &format!("- and {} more", self.more));
        }
        text
    }

    /// What changed as lines, without their heading.
    pub fn changes(&self) -> String {
        let mut text = String::new();
        for change in &self.changes {
            put(&mut text, &format!("- {change}"));
        }
        text
    }
}

/// The whole story: what happened, what was expected and what came, since when, and where to look.
pub fn text(notification: &Notification) -> String {
    let story = Story::of(notification);
    let mut text = story.headline.clone();
    text.push_str("\n\n");
    if !story.failures.is_empty() {
        put(&mut text, story.heading);
        put(&mut text, &story.failures());
    }
    if !story.changes.is_empty() {
        put(&mut text, CHANGES_HEADING);
        put(&mut text, &story.changes());
    }
    for (name, value) in &story.facts {
        put(&mut text, &format!("{name:<10} {value}"));
    }
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX - '…'.len_utf8()));
        text.push('…');
    }
    text
}

fn tell(failure: &Failure) -> Told {
    Told {
        what: piece(&failure.to_string()),
        expected: failure.expected.as_deref().map(piece),
        came: failure.actual.as_deref().map(piece),
    }
}

fn facts(notification: &Notification, incident: &Incident) -> Vec<(&'static str, String)> {
    let schedules: Vec<_> = incident.schedules.iter().map(ToString::to_string).collect();
    let labels: Vec<_> = incident.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let since = match incident.resolved_at {
        Some(end) => format!("{} to {}", clock(incident.since), clock(end)),
        None => {
            format!("{} ({} ago)", clock(incident.since), words(between(incident.since, notification.at)))
        }
    };
    let findings: Vec<_> = incident.findings.iter().map(ToString::to_string).collect();
    let late = "the incident was over before this message could be delivered";
    let unrecorded = "the store of Roundsman fails: of what is said here nothing may be known after a restart";
    let all = [
        ("severity", Some(incident.severity.to_string())),
        ("site", Some(notification.site.clone())),
        ("probe", Some(incident.probe.to_string())),
        ("schedules", Some(schedules.join(", "))),
        ("since", Some(since)),
        ("taken on", incident.acknowledged.as_ref().map(|taken| format!("{} by {taken}", clock(taken.at)))),
        ("took", incident.resolved_at.map(|_| took(incident))),
        ("late", notification.late.then(|| late.to_owned())),
        ("unrecorded", notification.unrecorded.then(|| unrecorded.to_owned())),
        ("diagnosis", Some(findings.join("; "))),
        ("labels", Some(labels.join(", "))),
        ("runbook", incident.runbook.clone()),
        ("page", notification.url.clone()),
        ("incident", Some(incident.id.to_string())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?))).collect()
}

/// The figures of an incident that is over, in words.
fn took(incident: &Incident) -> String {
    let told = Figures::of(incident).told().into_iter().filter_map(|(name, told)| Some(format!("{name} {}", told?)));
    told.collect::<Vec<_>>().join(", ")
}

/// Where to look, for channels that can link: the incident's page, where its post-mortem is to be written the beginning of
/// that, and the runbook. One that is a file is shown on the page.
pub fn links(notification: &Notification) -> Vec<(&'static str, String)> {
    let page = notification.url.as_deref();
    let post_mortem =
        page.filter(|_| notification.event == Event::PostMortem).map(|page| format!("{page}/post-mortem"));
    let runbook = notification.incident.runbook.as_deref().and_then(|runbook| match url::Url::parse(runbook) {
        Ok(_) => Some(runbook.to_owned()),
        Err(_) => page.map(|page| format!("{page}#runbook")),
    });
    let all = [("Incident page", page.map(str::to_owned)), ("Post-mortem", post_mortem), ("Runbook", runbook)];
    let link = |(name, url): (&'static str, Option<String>)| {
        let url = url::Url::parse(&url?).ok()?;
        // As the parser writes it there is neither a space nor a bracket in it that could end it early.
        (matches!(url.scheme(), "http" | "https") && url.as_str().len() <= LINK_MAX).then(|| (name, url.into()))
    };
    all.into_iter().filter_map(link).collect()
}

/// As much of a text as fits into so many characters once each has been escaped; an escape is never cut.
pub fn fit(text: &str, max: usize, escape: impl Fn(char) -> Option<&'static str>) -> String {
    let length = |c| escape(c).map_or(1, |escaped| escaped.chars().count());
    let mut fitting = String::with_capacity(text.len().min(max * 4));
    let (mut used, mut end) = (0, 0);
    for c in text.chars() {
        used += length(c);
        if used > max {
            // The last that fits beside the mark of the cut.
            fitting.truncate(end);
            fitting.push('…');
            return fitting;
        }
        match escape(c) {
            Some(escaped) => fitting.push_str(escaped),
            None => fitting.push(c),
        }
        if used < max {
            end = fitting.len();
        }
    }
    fitting
}

/// What somebody else wrote, on one line and of bounded length.
pub fn piece(written: &str) -> String {
    let mut short: String = written.chars().take(PIECE_MAX).collect();
    if short.len() < written.len() {
        short.push('…');
    }
    harmless(&short).into_owned()
}

fn put(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
pub(crate) mod tests {
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
        let failures = vec![
            Failure::of_assertion(explanation),
            Failure::new(FailureKind::TimeoutFirstByte, "nothing came within 800 ms").with("≤ 500 ms", "800 ms"),
        ];
        let schedule = ScheduleName::parse("reachability").unwrap();
        let incident = Incident {
            opened_at: at("2026-11-24T10:01:01Z"),
            firing: [(schedule.clone(), Severity::P1)].into(),
            schedules: vec![schedule],
            first_failures: failures.clone(),
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
        notification.incident.latest_failures = vec![failure; 2];
        notification.incident.changes = vec![hostile];
        notification.incident.runbook = Some("javascript:alert(1)".to_owned());
        notification
    }

    /// … and so much of it that nothing can take it whole.
    pub(crate) fn flooding() -> Notification {
        let mut notification = hostile();
        let incident = &mut notification.incident;
        let mut failure = incident.latest_failures.remove(0);
        for text in
            [Some(&mut failure.message), failure.expected.as_mut(), failure.actual.as_mut()].into_iter().flatten()
        {
            *text = text.repeat(1_000);
        }
        incident.latest_failures = vec![failure; 500];
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
}
