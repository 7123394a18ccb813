//! What every page has around it: head, name of the site, time, and what draws it.

use maud::{DOCTYPE, Markup, html};

use super::marks::Tone;
use super::view::{LINE_MAX, VALUE_MAX, View};
use crate::engine::unrecorded::Trouble;

/// After how many seconds a page reads itself anew.
pub const REFRESH_SECONDS: u32 = 10;

/// Where a page stands, so that its links are relative and a proxy may put the whole under a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/`.
    Status,
    /// `/incidents`.
    Incidents,
    /// `/incidents/<id>`.
    Incident,
    /// `/incidents/<id>/<what is done>`.
    Act,
    /// `/incidents/<id>/silences/<silence>/end`.
    Ending,
    /// `/probes/<name>`.
    Probe,
    /// `/runs/<id>`.
    Run,
    /// `/objectives`.
    Objectives,
    /// `/schedules`.
    Schedules,
    /// `/deliveries`.
    Deliveries,
    /// `/deliveries/redrive`.
    RedriveAll,
    /// `/deliveries/<id>/redrive`.
    Redrive,
    /// `/about`.
    About,
    /// `/audit`.
    Audit,
}

/// What leads everywhere: where to, by which path, and its name.
const NAVIGATION: [(Place, &str, &str); 6] = [
    (Place::Status, "", "Status"),
    (Place::Incidents, "incidents", "Incidents"),
    (Place::Objectives, "objectives", "Objectives"),
    (Place::Schedules, "schedules", "Schedules"),
    (Place::Deliveries, "deliveries", "Deliveries"),
    (Place::About, "about", "About"),
];

impl Place {
    /// How the root is reached from there.
    fn root(self) -> &'static str {
        match self {
            Self::Status
            | Self::Incidents
            | Self::Objectives
            | Self::Schedules
            | Self::Deliveries
            | Self::About
            | Self::Audit => "./",
            Self::Incident | Self::Probe | Self::Run | Self::RedriveAll => "../",
            Self::Act | Self::Redrive => "../../",
            Self::Ending => "../../../../",
        }
    }

    /// The page of the navigation to which it belongs.
    fn part(self) -> Self {
        match self {
            Self::Incident | Self::Act | Self::Ending => Self::Incidents,
            Self::Redrive | Self::RedriveAll => Self::Deliveries,
            Self::Audit => Self::About,
            Self::Probe | Self::Run => Self::Status,
            top => top,
        }
    }

    /// Whether what it shows changes with runs, with incidents, with messages.
    fn shows(self) -> [bool; 3] {
        match self {
            Self::Objectives | Self::Schedules => [true, false, false],
            Self::Incidents => [false, true, false],
            Self::Deliveries => [false, false, true],
            Self::Status => [true, true, false],
            _ => [true; 3],
        }
    }

    /// What the link to another page of the navigation says of this one.
    fn current(self, other: Self) -> Option<&'static str> {
        match other {
            other if other == self => Some("page"),
            other if other == self.part() => Some("true"),
            _ => None,
        }
    }
}

/// A page.
pub struct Frame<'a> {
    /// Where it stands.
    pub place: Place,
    /// What stands in the tab, before the site.
    pub title: &'a str,
    /// The accent of the tab's icon.
    pub tone: Tone,
    /// After how many seconds it reads itself anew; never when that makes no sense.
    pub refresh: Option<u32>,
    /// What it says.
    pub main: Markup,
}

/// What stands in the head of every page.
pub fn metas() -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width,initial-scale=1";
        meta name="color-scheme" content="light dark";
    }
}

/// Draws the page.
pub fn page(view: &View<'_>, frame: &Frame<'_>) -> Markup {
    let root = frame.place.root();
    let site = view.text(&view.plan.site, 120);
    let refresh = frame.refresh.filter(|_| !view.visit.is_still());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (metas())
                @if let Some(seconds) = refresh {
                    noscript { meta http-equiv="refresh" content=(seconds); }
                    script src={ (root) "live.js" } data-root=(root) defer {}
                }
                title { (frame.title) " · " (site) }
                link rel="icon" href=(icon(frame.tone));
                link rel="stylesheet" href={ (root) "style.css" };
            }
            body {
                a .skip href="#main" { "To the content" }
                header {
                    b { a href=(root) { (site) } }
                    nav aria-label="pages" {
                        @for (place, path, name) in NAVIGATION {
                            a href={ (root) (path) } aria-current=[frame.place.current(place)] { (name) }
                        }
                    }
                    span .r {
                        (view.text(&view.plan.location, 60)) " · " (view.now.format("%H:%M:%S UTC"))
                        @if let Some(user) = &view.visit.user { " · " (view.text(user, 60)) }
                    }
                }
                main #main data-seen=[refresh.map(|_| seen(view, frame.place))] data-every=[refresh] {
                    @if let Some(trouble) = &view.trouble { (unrecorded(view, trouble)) }
                    @if let Some(lost) = &view.lost { (damaged(view, lost)) }
                    (frame.main)
                }
                footer {
                    "Roundsman " (env!("CARGO_PKG_VERSION"))
                    @if let Some(seconds) = refresh {
                        " · " span #live role="status" { "read anew every " (seconds) " s" } " · " a href={ "?" (view.visit.query(true)) } { "hold still" }
                    } @else if frame.refresh.is_some() {
                        " · as of " (view.instant(view.now)) " · " a href={ "?" (view.visit.query(false)) } { "keep current" }
                    }
                }
            }
        }
    }
}

/// The numbers at which a page was drawn, of what it shows: where the server tells another, it is not what it would be now.
fn seen(view: &View<'_>, place: Place) -> String {
    let [runs, incidents, deliveries] = place.shows();
    let numbers = [
        ("runs", runs.then_some(view.seen.runs)),
        ("incidents", incidents.then_some(view.seen.incidents)),
        ("deliveries", deliveries.then_some(view.seen.deliveries)),
    ];
    let numbers = numbers.iter().filter_map(|(topic, number)| Some(format!("\"{topic}\":{}", (*number)?)));
    format!("{{{}}}", numbers.collect::<Vec<_>>().join(","))
}

/// Word of a store that fails, which is no trouble of any target's.
fn unrecorded(view: &View<'_>, trouble: &Trouble) -> Markup {
    html! {
        p .lede role="status" {
            b .bad { "Nothing is recorded since " (view.instant(trouble.since)) "." }
            " Probing goes on, and alerts leave marked as unrecorded: " (view.text(&trouble.why, LINE_MAX)) "."
        }
    }
}

/// Word of a store that could not be read when the process started.
fn damaged(view: &View<'_>, lost: &str) -> Markup {
    html! {
        p .lede role="status" { b .bad { "The store was damaged." } " " (view.text(lost, VALUE_MAX)) }
    }
}

/// The tab's icon shows how things stand, by shape and by colour.
pub fn icon(tone: Tone) -> String {
    let shape = match tone {
        Tone::Well => "%3Ccircle cx='6' cy='6' r='5' fill='%231f8a5f'/%3E",
        Tone::Warn => "%3Cpath d='M6 .8 11.6 11H.4z' fill='%23d08700'/%3E",
        Tone::Bad => "%3Cpath d='M2 2l8 8M10 2l-8 8' stroke='%23e0453b' stroke-width='3' stroke-linecap='round'/%3E",
        Tone::Unknown => "%3Ccircle cx='6' cy='6' r='4' fill='none' stroke='%237f8894' stroke-width='2'/%3E",
    };
    format!("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 12 12'%3E{shape}%3C/svg%3E")
}
