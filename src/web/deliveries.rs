//! The messages: what waits for which channel, what was given up, what was taken lately, and how the last drills came out.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::access::Caller;
use super::acts::{answered, tokenless};
use super::api::answers::Trouble;
use super::api::deliveries::redriven;
use super::fold::{cell, table, text};
use super::frame::{Frame, Place, REFRESH_SECONDS, page};
use super::marks::{Tone, mark};
use super::routes::Room;
use super::units::{count, counted};
use super::view::{LINE_MAX, View};
use super::visit::Visit;
use crate::domain::time::{between, words};
use crate::engine::desk::DeskError;
use crate::ports::{Delivered, KnownDrill, Redrive, Undelivered, UndeliveredRow, Untaken};

/// How many messages of each sort are spelled out.
const ROWS_MAX: usize = 100;

/// How many channels are.
const CHANNELS_MAX: usize = 100;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What waits, and what was given up.
    pub undelivered: Undelivered,
    /// What was taken lately, by the channels, the latest first.
    pub delivered: Vec<Delivered>,
    /// The last drill of each channel.
    pub drills: Vec<KnownDrill>,
}

/// The page.
pub async fn deliveries_page(State(room): State<Arc<Room>>, visit: Visit) -> Response {
    room.shown(&visit, Place::Deliveries, found(&room), deliveries).await
}

async fn found(room: &Room) -> Result<Found, DeskError> {
    let desk = &room.web.desk;
    let channels = room.plan().channels.keys().take(CHANNELS_MAX).cloned().collect();
    Ok(Found {
        undelivered: room.done(desk.undelivered()).await?,
        delivered: room.done(desk.delivered(channels)).await?,
        drills: room.done(desk.last_drills()).await?,
    })
}

/// What the page says of itself that says why nothing was tried again.
const TITLE: &str = "Try again";

/// Has one tried again, with what belongs to it.
pub async fn redrive(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Response {
    answered(
        &room,
        TITLE,
        Place::Redrive,
        "../../deliveries",
        again(&room, &caller, Redrive::One(id), "../../deliveries").await,
    )
}

/// Has all tried again.
pub async fn redrive_all(State(room): State<Arc<Room>>, Extension(caller): Extension<Caller>) -> Response {
    answered(
        &room,
        TITLE,
        Place::RedriveAll,
        "../deliveries",
        again(&room, &caller, Redrive::All, "../deliveries").await,
    )
}

async fn again(room: &Room, caller: &Caller, what: Redrive, back: &'static str) -> Result<Response, Trouble> {
    redriven(room, caller, what).await?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, back)]).into_response())
}

/// The page of what was found.
pub fn deliveries(view: &View<'_>, found: &Found) -> Markup {
    let Found { undelivered, delivered, drills } = found;
    let (waits, given_up): (Vec<_>, Vec<_>) = undelivered.rows.iter().partition(|row| row.given_up_at.is_none());
    let (tone, accent, rest) = headline(view, found);
    let (all, can) = (undelivered.total(), view.plan.web.can_be_operated());
    let main = html! {
        h1 { span .(tone.class()) { (accent) } (rest) }
        (lede(view))
        @if can && !undelivered.rows.is_empty() {
            form .plain method="post" action="deliveries/redrive" { button .btn type="submit" { "Try all again now" } }
        }
        @if !can && !undelivered.rows.is_empty() {
            p .dim { (tokenless()) }
        }
        (section(view, "Given up", &given_up, all.given_up, can))
        (section(view, "Waiting", &waits, all.waiting, can))
        @if !view.plan.channels.is_empty() {
            section { h2 { "Channels" } (channels(view, found)) }
        }
        @if !delivered.is_empty() {
            section { h2 { "Taken lately" small { "of each channel the last" } } (taken(view, delivered)) }
        }
        @if !drills.is_empty() {
            section { h2 { "Last drills" } (drilled(view, drills)) }
        }
    };
    let refresh = Some(REFRESH_SECONDS);
    page(view, &Frame { place: Place::Deliveries, title: "Deliveries", tone, refresh, main })
}

fn headline(view: &View<'_>, found: &Found) -> (Tone, String, String) {
    let Untaken { waiting, refused, given_up } = found.undelivered.total();
    let wait = |number: u64| {
        let verb = if number == 1 { "waits" } else { "wait" };
        format!("{} {verb}", counted(number, "message"))
    };
    match (waiting, given_up) {
        (0, 0) if view.plan.channels.is_empty() => {
            (Tone::Unknown, String::new(), "Nobody is told of anything.".to_owned())
        }
        (0, 0) if found.delivered.is_empty() => (Tone::Unknown, String::new(), "No message is on record.".to_owned()),
        (0, 0) => (Tone::Well, String::new(), "Every message was taken.".to_owned()),
        (_, 0) if refused == 0 => (Tone::Well, String::new(), format!("{}, none was refused.", wait(waiting))),
        (_, 0) => (Tone::Warn, wait(waiting), " after an attempt that failed.".to_owned()),
        (0, _) => (Tone::Bad, format!("{} given up.", were(given_up)), String::new()),
        _ => (Tone::Bad, format!("{} given up", were(given_up)), format!(", {}.", wait(waiting))),
    }
}

fn were(number: u64) -> String {
    format!("{} {}", counted(number, "message"), if number == 1 { "was" } else { "were" })
}

fn lede(view: &View<'_>) -> Markup {
    html! {
        p .lede {
            @match view.plan.channels.len() as u64 {
                0 => { "There is no channel: write some under " code { "channels:" } "." }
                1 => "1 channel is told, in the order of what happened.",
                channels => { (counted(channels, "channel")) " are told, each in the order of what happened." }
            }
        }
    }
}

fn section(view: &View<'_>, title: &str, rows: &[&UndeliveredRow], all: u64, can: bool) -> Markup {
    let shown = &rows[..rows.len().min(ROWS_MAX)];
    let more = all.saturating_sub(shown.len() as u64);
    let heads = &["channel", "what", "state", "error", "again"];
    let drawn: Vec<_> = shown.iter().map(|row| undelivered_row(view, row, can)).collect();
    html! {
        @if !shown.is_empty() {
            section {
                h2 { (title) small { (count(all)) } }
                (table(title, &heads[..if can { 5 } else { 4 }], &drawn))
                @if more > 0 { p .dim { "and " (counted(more, "message")) " more" } }
            }
        }
    }
}

fn undelivered_row(view: &View<'_>, row: &UndeliveredRow, can: bool) -> Markup {
    let tone = if row.given_up_at.is_some() {
        Tone::Bad
    } else if row.error.is_some() {
        Tone::Warn
    } else {
        Tone::Unknown
    };
    let word = if row.given_up_at.is_some() {
        "given up"
    } else if row.attempts > 0 {
        "rests"
    } else {
        "waits"
    };
    html! {
        (cell("channel", &html! { b { (row.channel) } }))
        (cell("what", &html! { (row.event.as_str()) " " a href={ "incidents/" (row.incident) } { code { (row.incident) } } }))
        (cell("state", &html! { (mark(tone, word)) span .dim .block { (standing(view, row)) } }))
        (cell("error", &html! { @if let Some(error) = &row.error { (view.text(error, LINE_MAX)) } @else { "–" } }))
        @if can {
            (cell("again", &html! {
                form .plain method="post" action={ "deliveries/" (row.id) "/redrive" } {
                    button .btn type="submit" aria-label={ "Try again: " (row.channel) " " (row.event.as_str()) } { "Try again" }
                }
            }))
        }
    }
}

/// `since 09:14:31 UTC, 2 attempts, the next not before 09:18:00 UTC`.
fn standing(view: &View<'_>, row: &UndeliveredRow) -> String {
    let attempts = counted(u64::from(row.attempts), "attempt");
    match (row.given_up_at, row.next_attempt_at) {
        (Some(at), _) => {
            let fallback = row.fallback.as_ref().map(|fallback| format!(", its fallback is {fallback}"));
            format!("{} after {attempts}{}", view.instant(at), fallback.unwrap_or_default())
        }
        (None, Some(next)) if row.attempts > 0 => {
            format!("since {}, {attempts}, the next {}", view.instant(row.created_at), view.ahead(next))
        }
        _ => format!("since {}", view.instant(row.created_at)),
    }
}

/// How each channel stands.
fn channels(view: &View<'_>, found: &Found) -> Markup {
    let rows = view.plan.channels.keys().take(CHANNELS_MAX).map(|channel| {
        let last = found.delivered.iter().find(|row| row.channel == *channel);
        let of = found.undelivered.channels.get(channel).copied().unwrap_or_default();
        let (tone, word) = match (of.given_up, of.waiting, last) {
            (1.., ..) => (Tone::Bad, "gave up"),
            (0, 1.., _) if of.refused > 0 => (Tone::Warn, "rests"),
            // What is told with others waits for them, and nothing is wrong.
            (0, 1.., _) => (Tone::Unknown, "waits"),
            (0, 0, Some(_)) => (Tone::Well, "takes"),
            (0, 0, None) => (Tone::Unknown, "not used yet"),
        };
        html! {
            (cell("channel", &html! { b { (channel) } }))
            (cell("state", &mark(tone, word)))
            (text("waiting", &count(of.waiting)))
            (text("given up", &count(of.given_up)))
            (text("last taken", &last.map_or_else(|| "–".to_owned(), |row| format!("{} ({})", view.instant(row.settled_at), view.ago(row.settled_at)))))
        }
    });
    let rows: Vec<_> = rows.collect();
    let more = view.plan.channels.len() - rows.len();
    html! {
        (table("channels", &["channel", "state", "waiting", "given up", "last taken"], &rows))
        @if more > 0 { p .dim { "and " (counted(more as u64, "channel")) " more" } }
    }
}

fn taken(view: &View<'_>, delivered: &[Delivered]) -> Markup {
    let mut latest: Vec<_> = delivered.iter().collect();
    latest.sort_by_key(|row| std::cmp::Reverse(row.settled_at));
    let rows = latest.iter().take(ROWS_MAX).map(|row| {
        let Delivered { channel, incident, drill, event, created_at, settled_at, attempts, receipt } = row;
        html! {
            (cell("channel", &html! { b { (channel) } }))
            (cell("what", &html! {
                (event.as_str()) @if *drill { " of a drill" } " " a href={ "incidents/" (incident) } { code { (incident) } }
            }))
            (text("when", &view.instant(*settled_at)))
            (text("took", &format!("{}, {}", words(between(*created_at, *settled_at)), counted(u64::from(*attempts), "attempt"))))
            (text("receipt", &receipt.as_ref().map_or_else(|| "–".to_owned(), |id| view.text(id, 80))))
        }
    });
    table("messages taken lately", &["channel", "what", "when", "took", "receipt"], &rows.collect::<Vec<_>>())
}

fn drilled(view: &View<'_>, drills: &[KnownDrill]) -> Markup {
    let rows = drills.iter().take(CHANNELS_MAX).map(|drill| {
        let (tone, word) = match drill.passed {
            Some(true) => (Tone::Well, "passed"),
            Some(false) => (Tone::Bad, "broken"),
            None => (Tone::Unknown, "goes on"),
        };
        html! {
            (cell("channel", &html! { b { (drill.channel) } }))
            (cell("state", &mark(tone, word)))
            (text("when", &format!("{} ({})", view.instant(drill.at), view.ago(drill.at))))
            (cell("what", &html! { a href={ "incidents/" (drill.incident) } { (view.text(&drill.said, LINE_MAX)) @if drill.said.is_empty() { code { (drill.incident) } } } }))
        }
    });
    table("last drills", &["channel", "state", "when", "what"], &rows.collect::<Vec<_>>())
}
