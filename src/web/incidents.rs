//! All incidents: the open ones, then those that are over, part by part, and how long it takes until they are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::fold::{cell, table, text};
use super::frame::{Frame, Place, REFRESH_SECONDS, page};
use super::incident::what;
use super::marks::{Tone, mark};
use super::reasons;
use super::routes::Room;
use super::units::{count, counted};
use super::view::{LINE_MAX, View};
use super::visit::Visit;
use crate::domain::figures::Means;
use crate::domain::history::{IncidentsAsked, IncidentsFound};
use crate::domain::incident::{Hearers, Incident, IncidentId, Severity};
use crate::domain::names::ProbeName;
use crate::domain::time::{between, earlier, words};
use crate::engine::desk::DeskError;

/// How many that are over stand on one page.
const PART: usize = 50;

/// How many open ones it spells out.
const OPEN_MAX: usize = 100;

/// What the means are of …
const LATELY: Duration = Duration::from_secs(30 * 86_400);

/// … and of how many incidents at most.
const LATELY_MAX: usize = 500;

/// The longest name that is looked for.
const NAME_MAX: usize = 200;

/// Which are wanted, as the query says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this probe only, as it was written.
    pub probe: String,
    /// Those that matter so much only.
    pub severity: Option<Severity>,
    /// Those that come after this one.
    pub after: Option<IncidentId>,
}

impl Wanted {
    /// What a query says; what it says besides, and what says nothing, is passed over.
    pub fn of(visit: &Visit) -> Self {
        let mut wanted = Self::default();
        for (name, value) in visit.asked() {
            let value = value.trim();
            match &*name {
                "probe" => wanted.probe = value.chars().take(NAME_MAX).collect(),
                "severity" => wanted.severity = value.parse().ok(),
                "before" if value.len() <= super::incident::ID_LENGTH_MAX && !value.is_empty() => {
                    wanted.after = Some(IncidentId(Arc::from(value)));
                }
                _ => {}
            }
        }
        wanted
    }

    fn is_any(&self) -> bool {
        self.probe.is_empty() && self.severity.is_none()
    }

    fn has(&self, incident: &Incident) -> bool {
        (self.probe.is_empty() || incident.probe.as_str() == self.probe)
            && self.severity.is_none_or(|severity| incident.severity == severity)
    }

    /// The query that wants the same from one incident on.
    fn before(&self, id: &IncidentId) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if !self.probe.is_empty() {
            query.append_pair("probe", &self.probe);
        }
        if let Some(severity) = self.severity {
            query.append_pair("severity", severity.as_str());
        }
        query.append_pair("before", &id.0);
        query.finish()
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What was wanted.
    pub wanted: Wanted,
    /// The open ones, the gravest first.
    pub open: Vec<Incident>,
    /// Who has heard of those.
    pub hearers: BTreeMap<IncidentId, Hearers>,
    /// A part of all, those that opened last first.
    pub part: IncidentsFound,
    /// How long it took lately …
    pub means: Means,
    /// … and whether there were more than that is of.
    pub is_cut: bool,
}

/// The page.
pub async fn incidents_page(State(room): State<Arc<Room>>, visit: Visit) -> Response {
    room.shown(&visit, Place::Incidents, found(&room, Wanted::of(&visit)), incidents).await
}

async fn found(room: &Room, wanted: Wanted) -> Result<Found, DeskError> {
    let overview = room.overview().await?;
    let (mut open, hearers) = (overview.open.clone(), overview.hearers.clone());
    open.retain(|incident| wanted.has(incident));
    let from = Some(earlier(room.web.clock.now(), LATELY));
    let history = &room.web.history;
    let lately = IncidentsAsked { from, most: LATELY_MAX, ..IncidentsAsked::default() };
    let lately = room.patiently(history.incidents(lately)).await?;
    let (means, is_cut) = (Means::of(&lately.incidents), lately.more);
    let probe = ProbeName::parse(&wanted.probe);
    if probe.is_err() && !wanted.probe.is_empty() {
        // What no probe can be called has no incident.
        return Ok(Found { wanted, open, hearers, means, is_cut, ..Found::default() });
    }
    let (severity, after) = (wanted.severity, wanted.after.clone());
    let asked = IncidentsAsked { probe: probe.ok(), severity, after, most: PART, ..IncidentsAsked::default() };
    let part = room.patiently(history.incidents(asked)).await?;
    Ok(Found { wanted, open, hearers, part, means, is_cut })
}

/// The page of what was found.
pub fn incidents(view: &View<'_>, found: &Found) -> Markup {
    let Found { wanted, open, hearers, part, .. } = found;
    let is_first = wanted.after.is_none();
    let over: Vec<_> = part.incidents.iter().filter(|incident| !incident.is_open()).collect();
    let (tone, accent, rest) = headline(wanted, open.len() as u64, over.is_empty());
    let main = html! {
        h1 { span .(tone.class()) { (accent) } (rest) }
        p .lede { (lede(found)) }
        (filter(view, wanted))
        @if is_first && !open.is_empty() {
            section {
                h2 { "Open" }
                (table("open incidents", &["severity", "what", "since", "for", "who"], &rows(view, open.iter().take(OPEN_MAX), hearers)))
                @if open.len() > OPEN_MAX { p .dim { "and " (counted((open.len() - OPEN_MAX) as u64, "incident")) " more" } }
            }
        }
        @if !over.is_empty() {
            section {
                h2 { "Resolved" @if !is_first { small { "earlier ones" } } }
                (table("resolved incidents", &["severity", "what", "since", "for", "who"], &rows(view, over.iter().copied(), &part.hearers)))
            }
        } @else if !is_first {
            p .dim { "None of these is over." }
        }
        p .pager {
            @if !is_first { a .btn href="incidents" { "Latest" } " " }
            @if let Some(last) = part.incidents.last().filter(|_| part.more) {
                a .btn rel="next" href={ "incidents?" (wanted.before(&last.id)) } { "Earlier ones" }
            }
        }
    };
    // What came earlier does not change.
    let refresh = is_first.then_some(REFRESH_SECONDS);
    page(view, &Frame { place: Place::Incidents, title: "Incidents", tone, refresh, main })
}

fn headline(wanted: &Wanted, open: u64, none_over: bool) -> (Tone, String, String) {
    let of = if wanted.is_any() { "" } else { " of these" };
    match open {
        0 if none_over && wanted.after.is_none() => {
            let sentence = if wanted.is_any() { "No incident is on record." } else { "No such incident is on record." };
            (Tone::Well, String::new(), sentence.to_owned())
        }
        0 => (Tone::Well, String::new(), format!("No incident{of} is open.")),
        1 => (Tone::Bad, "1 incident".to_owned(), format!("{of} is open.")),
        many => (Tone::Bad, format!("{} incidents", count(many)), format!("{of} are open.")),
    }
}

/// `In the last 30 days 12 were resolved, in 24 min on the average: noticed after 32 s, taken on 3 min later.`
fn lede(found: &Found) -> String {
    let Means { resolved, resolve, acknowledged, acknowledge, detect } = found.means;
    let Some(resolve) = resolve else {
        return "In the last 30 days no failure of a target was resolved.".to_owned();
    };
    let detected = detect.map(|length| format!(": noticed after {}", words(length))).unwrap_or_default();
    let taken = acknowledge.map(|length| {
        let were = if acknowledged == 1 { "1 was".to_owned() } else { format!("{} were", count(acknowledged)) };
        format!(" Of all {were} taken on, {} after the opening.", words(length))
    });
    let cut = if found.is_cut { format!(" Only the last {LATELY_MAX} are counted.") } else { String::new() };
    format!(
        "In the last 30 days {} resolved, in {} on the average{detected}.{}{cut}",
        if resolved == 1 { "1 was".to_owned() } else { format!("{} were", count(resolved)) },
        words(resolve),
        taken.unwrap_or_default()
    )
}

fn filter(view: &View<'_>, wanted: &Wanted) -> Markup {
    html! {
        form .filter method="get" action="incidents" role="search" {
            span {
                label for="probe" { "Probe" }
                input id="probe" name="probe" value=(view.text(&wanted.probe, NAME_MAX)) maxlength=(NAME_MAX) autocomplete="off";
            }
            span {
                label for="severity" { "Severity" }
                select id="severity" name="severity" {
                    option value="" { "any" }
                    @for severity in Severity::ALL {
                        option value=(severity) selected[wanted.severity == Some(severity)] { (severity) }
                    }
                }
            }
            button .btn type="submit" { "Show" }
            @if !wanted.is_any() { a .btn href="incidents" { "All" } }
        }
    }
}

fn rows<'a>(
    view: &View<'_>,
    incidents: impl Iterator<Item = &'a Incident>,
    hearers: &BTreeMap<IncidentId, Hearers>,
) -> Vec<Markup> {
    incidents.map(|incident| row(view, incident, hearers.get(&incident.id))).collect()
}

fn row(view: &View<'_>, incident: &Incident, hearers: Option<&Hearers>) -> Markup {
    let until = incident.resolved_at.unwrap_or(view.now);
    let tone = if incident.is_open() { Tone::Bad } else { Tone::Well };
    let why = reasons::line(view, &incident.latest_failures);
    html! {
        (cell("severity", &mark(tone, incident.severity.as_str())))
        (cell("what", &html! {
            a .n href={ "incidents/" (incident.id) } { b { (what(incident)) } }
            @if let Some(why) = why.filter(|_| incident.is_open()) { span .dim .reason { (why) } }
            @if let Some(why) = &incident.resolved_because { span .dim .reason { (view.text(why, LINE_MAX)) } }
        }))
        (text("since", &view.instant(incident.since)))
        (text("for", &words(between(incident.since, until))))
        (cell("who", &who(view, incident, hearers)))
    }
}

/// Who has taken it on, else whether anybody knows of it.
fn who(view: &View<'_>, incident: &Incident, hearers: Option<&Hearers>) -> Markup {
    html! {
        @if let Some(taken) = &incident.acknowledged { "taken on by " (view.text(&taken.by, LINE_MAX)) }
        @else if let Some(reason) = &incident.quiet { span .dim { "muted: " (view.text(&reason.to_string(), LINE_MAX)) } }
        @else { span .dim { @if let Some(hearers) = hearers { (hearers) } } }
    }
}
