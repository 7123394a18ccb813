//! Who was told of an incident, when, and what came back.

use maud::{Markup, html};

use super::fold::{cell, table, text};
use super::marks::{Tone, mark};
use super::units::{count, counted};
use super::view::{LINE_MAX, View};
use crate::ports::{Fate, IncidentStory, Told};

/// How many messages are spelled out: the last ones.
const ROWS_MAX: usize = 100;

/// The messages, and why there are none.
pub fn told(view: &View<'_>, story: &IncidentStory) -> Markup {
    let incident = &story.incident;
    let left_out = story.told.len().saturating_sub(ROWS_MAX);
    let rows: Vec<_> = story.told.iter().skip(left_out).map(|told| row(view, told)).collect();
    html! {
        @if let Some(reason) = &incident.quiet {
            p {
                @if incident.is_open() { "Muted: " } @else { "Was muted: " }
                (view.text(&reason.to_string(), LINE_MAX)) "."
            }
        }
        @else if rows.is_empty() { p .dim { "Nobody: no route takes it now." } }
        @if left_out > 0 { p .dim { (counted(left_out as u64, "earlier message")) " left out" } }
        @if !rows.is_empty() { (table("who was told", &["channel", "of", "when", "attempts", "what came back"], &rows)) }
        // While it is muted nobody is told more of it.
        @let is_due = incident.is_open() && incident.quiet.is_none();
        @if let Some(at) = incident.escalate_at.filter(|_| is_due) {
            p .dim { "If nobody takes it on, others are told " (view.ahead(at)) ", at " (view.instant(at)) "." }
        }
        @if let Some(at) = incident.remind_at.filter(|_| is_due) {
            p .dim { "Those who were told are reminded " (view.ahead(at)) ", at " (view.instant(at)) "." }
        }
    }
}

fn row(view: &View<'_>, told: &Told) -> Markup {
    let Told { channel, event, committed_at, settled_at, fate, attempts, said, .. } = told;
    let (tone, word) = match fate {
        Fate::Waits => (Tone::Unknown, "waits".to_owned()),
        Fate::Rests(next) => (Tone::Warn, format!("again {}", view.ahead(*next))),
        Fate::Delivered => (Tone::Well, "taken".to_owned()),
        Fate::Merged => (Tone::Unknown, "told by another".to_owned()),
        Fate::GivenUp => (Tone::Bad, "given up".to_owned()),
    };
    html! {
        (cell("channel", &html! { b { (channel) } }))
        (text("of", event.as_str()))
        (text("when", &view.instant(settled_at.unwrap_or(*committed_at))))
        (text("attempts", &count(u64::from(*attempts))))
        (cell("what came back", &html! {
            (mark(tone, &word))
            @if let Some(said) = said { " " span .dim { (view.text(said, LINE_MAX)) } }
        }))
    }
}
