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
    let whole = match &notification.incident {
        // The mark is the first that is read.
        incident if incident.drill => notification.summary(),
        incident => format!("{} {}: {}", incident.severity, notification.event.as_str(), notification.summary()),
    };
    let plain: String = whole.chars().map(ascii).collect();
    // What looks encoded (RFC 2047) would be decoded by whoever reads it, to line ends and all.
    let plain = plain.replace("=?", "= ?");
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
            (Aspect::Degraded, false) => "What should be and is not:",
            (Aspect::Degraded, true) => "What should have been and was not:",
            (Aspect::Burning, false) => "What is not kept at this rate:",
            (Aspect::Burning, true) => "What was not kept at that rate:",
            (_, false) => "What failed:",
            (_, true) => "What had failed:",
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
pub(crate) mod tests;
