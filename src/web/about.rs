//! Roundsman itself: what runs, by which files, on what store; where its metrics go and what they cost; and whether it goes on.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::fold::{cell, table, text};
use super::frame::{Frame, Place, REFRESH_SECONDS, page};
use super::marks::{Tone, mark};
use super::process::Process;
use super::reckoning::Reckoned;
use super::routes::Room;
use super::units::{bytes, count, counted, list};
use super::view::{LINE_MAX, View};
use super::visit::Visit;
use crate::domain::history::StoreSize;
use crate::domain::time::{between, words};
use crate::engine::desk::{Condition, DeskError};
use crate::engine::fanout::Published;
use crate::engine::loadings::{Lines, Loading};

/// Within what time a loop turns that goes on, idle or not.
const TURN_MAX: Duration = Duration::from_secs(60);

/// How long the page waits for what the plan takes.
const RECKONING_PATIENCE: Duration = Duration::from_secs(2);

/// How many lines of a reload are shown.
const LINES_MAX: usize = 50;

/// What was found.
pub struct Found {
    /// How the files were loaded.
    pub loading: Loading,
    /// How much the store holds.
    pub size: StoreSize,
    /// How the process stands.
    pub condition: Condition,
    /// What the plan takes.
    pub reckoned: Arc<Result<Reckoned, String>>,
    /// What it takes of the machine.
    pub process: Process,
}

/// The page.
pub async fn about_page(State(room): State<Arc<Room>>, visit: Visit) -> Response {
    room.shown(&visit, Place::About, found(&room), about).await
}

async fn found(room: &Room) -> Result<Found, DeskError> {
    let size = room.patiently(room.web.history.size()).await?;
    let (plan, clock) = (room.plan(), &room.web.clock);
    let reckoned = tokio::select! {
        reckoned = room.reckoning.of(&plan, &room.web.reckon, clock.now()) => reckoned,
        () = clock.sleep_until(clock.monotonic() + RECKONING_PATIENCE) => {
            Arc::new(Err("it is still being reckoned, look again in a moment".to_owned()))
        }
    };
    Ok(Found {
        loading: room.web.loadings.known(),
        size,
        condition: room.web.desk.condition()?,
        reckoned,
        process: Process::look(),
    })
}

/// The page of what was found.
pub fn about(view: &View<'_>, found: &Found) -> Markup {
    let (tone, accent, rest) = headline(view, found);
    let main = html! {
        h1 { span .(tone.class()) { (accent) } (rest) }
        p .lede { "Version " (env!("CARGO_PKG_VERSION")) ", at " (view.text(&view.plan.location, 60)) "." }
        (configuration(view, &found.loading))
        (publishers(view, &found.condition.publishers))
        div .two {
            div {
                (loops(view, found))
                @if view.plan.web.can_be_operated() {
                    section .card .pad {
                        h2 { "Changes" }
                        p .dim { "What people did, who, and how it was before: for those who may change something themselves." }
                        p { a .btn href="audit" { "Who changed what" } }
                    }
                }
            }
            div {
                (store(view, found.size))
                (bill(view, &found.reckoned))
            }
        }
    };
    let refresh = Some(REFRESH_SECONDS);
    page(view, &Frame { place: Place::About, title: "About", tone, refresh, main })
}

/// What is wrong with it comes first.
fn headline(view: &View<'_>, found: &Found) -> (Tone, String, String) {
    let since = found.loading.began_at.map(|at| format!("Roundsman has run for {}.", words(between(at, view.now))));
    let since = since.unwrap_or_else(|| "Roundsman runs.".to_owned());
    if let Some(part) = stuck(found).first() {
        return (Tone::Bad, format!("{part} does not go on."), String::new());
    }
    if view.trouble.is_some() {
        return (Tone::Bad, "The store takes nothing.".to_owned(), String::new());
    }
    if let Some((at, _)) = &found.loading.refused {
        return (
            Tone::Warn,
            "The configuration was refused".to_owned(),
            format!(" {}; what ran goes on.", view.ago(*at)),
        );
    }
    let silent: Vec<_> =
        found.condition.publishers.iter().filter(|(_, of)| of.trouble.is_some()).map(|(name, _)| *name).collect();
    if !silent.is_empty() {
        return (Tone::Warn, format!("Metrics do not reach {}.", list(silent)), format!(" {since}"));
    }
    (Tone::Well, String::new(), since)
}

/// The loops that have not turned for too long and wait for nobody.
fn stuck(found: &Found) -> Vec<String> {
    let Condition { at, parts, .. } = &found.condition;
    let stands = parts.iter().filter(|(_, seen)| seen.count > 0 && !seen.waits && at.since(seen.last) > TURN_MAX);
    stands.map(|(part, _)| capital(part.as_str())).collect()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn configuration(view: &View<'_>, loading: &Loading) -> Markup {
    let Loading { directory, began_at, reloaded, refused } = loading;
    html! {
        section .card .pad {
            h2 { "Configuration" }
            @if let Some((at, lines)) = refused {
                p { (mark(Tone::Warn, "refused")) " " (view.instant(*at)) ": what ran before goes on unchanged." }
                ul .mistakes { (drawn(view, lines, "mistake")) }
            }
            dl .wide {
                dt { "where" } dd { code { (shown(view, directory)) } }
                dt { "loaded" } dd { @if let Some(at) = began_at { (view.instant(*at)) } @else { "–" } }
                @if let Some((at, changes)) = reloaded {
                    dt { "loaded again" } dd { (view.instant(*at)) " (" (view.ago(*at)) ")" }
                    dt { "what changed" }
                    dd {
                        @if changes.first.is_empty() { "nothing" }
                        @else { ul { (drawn(view, changes, "change")) } }
                    }
                }
                dt { "what runs" }
                dd {
                    (counted(view.plan.scheduled().len() as u64, "probe")) ", " (counted(view.plan.schedules.len() as u64, "schedule")) ", "
                    (counted(view.plan.channels.len() as u64, "channel"))
                }
            }
        }
    }
}

fn shown(view: &View<'_>, path: &Path) -> String {
    if path.as_os_str().is_empty() { ".".to_owned() } else { view.text(&path.to_string_lossy(), LINE_MAX) }
}

fn drawn(view: &View<'_>, lines: &Lines, noun: &str) -> Markup {
    let shown = lines.first.len().min(LINES_MAX);
    let more = lines.first.len() - shown + lines.more;
    html! {
        @for line in &lines.first[..shown] { li { code { (view.text(line, LINE_MAX * 2)) } } }
        @if more > 0 { li .dim { "and " (counted(more as u64, noun)) " more; the log has all of them" } }
    }
}

fn store(view: &View<'_>, size: StoreSize) -> Markup {
    html! {
        section .card .pad {
            h2 { "Store" }
            dl {
                dt { "file" } dd { code { (shown(view, &view.plan.store)) } }
                dt { "size" } dd { (bytes(size.bytes)) }
                dt { "runs" } dd { "about " (count(size.runs)) }
                dt { "oldest run" } dd { @if let Some(at) = size.oldest { (view.instant(at)) } @else { "none" } }
                dt { "kept for" } dd { (words(view.plan.retention)) }
            }
        }
    }
}

fn publishers(view: &View<'_>, all: &[(&'static str, Published)]) -> Markup {
    let heads = ["publisher", "state", "delivered", "held", "dropped", "last"];
    let rows = all.iter().map(|(name, of)| {
        let account = of.account;
        let (tone, word) = match (&of.trouble, account.dropped) {
            (Some(_), _) => (Tone::Warn, "does not publish"),
            (None, _) if of.delivered_at.is_none() => (Tone::Unknown, "nothing yet"),
            (None, _) => (Tone::Well, "publishes"),
        };
        html! {
            (cell("publisher", &html! { b { (name) } }))
            (cell("state", &html! {
                (mark(tone, word))
                @if let Some(trouble) = &of.trouble { span .dim .block { (view.text(trouble, LINE_MAX)) } }
            }))
            (text("delivered", &count(account.delivered)))
            (text("held", &held(of)))
            (text("dropped", &count(account.dropped)))
            (text("last", &of.delivered_at.map_or_else(|| "–".to_owned(), |at| view.ago(at))))
        }
    });
    let rows: Vec<_> = rows.collect();
    html! {
        section {
            h2 { "Metrics" small { "in samples, since the process began" } }
            @if rows.is_empty() { p .dim { "No metrics are published: write something under " code { "publish:" } "." } }
            @else { (table("publishers", &heads, &rows)) }
        }
    }
}

/// What a publisher has not sent: in memory, and in the spool on disk.
fn held(of: &Published) -> String {
    format!("{} in memory, {} spooled", count(of.queued as u64 + of.account.waiting), count(of.account.spooled))
}

fn bill(view: &View<'_>, reckoned: &Result<Reckoned, String>) -> Markup {
    html! {
        section .card .pad {
            h2 { "Series and bill" small { "foretold, as by " code { "roundsman plan" } } }
            @match reckoned {
                Err(why) => { p .dim { "Not known: " (view.text(why, LINE_MAX)) "." } }
                Ok(Reckoned { series, bill, services, budgets, prices: (region, as_of) }) => {
                    dl {
                        @for (publisher, series) in series { dt { "series in " (publisher) } dd { (count(*series)) } }
                        @for (service, amount) in services { dt { (view.text(service, 60)) } dd { (amount) } }
                        dt { "AWS bills a month" } dd { b { (bill) } }
                        @for (of, budget, amount) in budgets {
                            dt { "budget of " (view.text(of, 60)) }
                            dd { (budget) @if amount > budget { " " (mark(Tone::Bad, "exceeded")) } }
                        }
                    }
                    p .dim { "Prices of " (view.text(region, 60)) ", " (view.text(as_of, 60)) "; what is free is taken to be used up." }
                }
            }
        }
    }
}

/// Whether every part goes on, and what that takes of the machine.
fn loops(view: &View<'_>, found: &Found) -> Markup {
    let Condition { at, parts, .. } = &found.condition;
    let Process { resident, resident_max, threads } = found.process;
    let known = |bytes_: Option<u64>| bytes_.map_or_else(|| "not known".to_owned(), bytes);
    html! {
        section .card .pad {
            h2 { "Process" }
            dl {
                @for (part, seen) in parts {
                    dt { (part.as_str()) }
                    dd {
                        @if seen.count == 0 { (mark(Tone::Unknown, "nothing yet")) }
                        @else if seen.waits { (mark(Tone::Unknown, "waits")) }
                        @else if at.since(seen.last) > TURN_MAX { (mark(Tone::Bad, "stands still")) }
                        @else { (mark(Tone::Well, "goes on")) }
                        @if seen.count > 0 { " " span .dim { (age(at.since(seen.last))) } }
                    }
                }
                dt { "memory" } dd { (known(resident)) @if resident_max.is_some() { ", at most " (known(resident_max)) } }
                dt { "threads" } dd { (threads.map_or_else(|| "not known".to_owned(), count)) }
                dt { "process" } dd { (std::process::id()) }
                @if let Some(at) = found.loading.began_at { dt { "since" } dd { (view.instant(at)) } }
            }
        }
    }
}

fn age(length: Duration) -> String {
    if length.as_secs() == 0 { "just now".to_owned() } else { format!("{} ago", words(length)) }
}
