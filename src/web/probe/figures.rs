//! Stretches of time in numbers: how many runs, which share was well, how long they took. Every chart has them beside it.

use maud::{Markup, html};

use super::parts::{Quantile, together};
use super::window::{Asked, Over, Shown, Window};
use crate::domain::history::{Stretch, Verdicts};
use crate::domain::time::Timestamp;
use crate::web::units::{count, latency, percent};

/// A row: what it is called, where it leads, and what it says.
struct Row {
    name: String,
    href: String,
    is_shown: bool,
    stretch: Stretch,
}

/// Hour, day, week and month, each a link to its chart.
pub fn over_all(asked: &Asked, shown: Shown, stretches: &[(Over, Stretch)]) -> Markup {
    let row = |(over, stretch): &(Over, Stretch)| Row {
        name: over.word().to_owned(),
        href: asked.showing(Shown::Over(*over)).href(),
        is_shown: shown == Shown::Over(*over),
        stretch: stretch.clone(),
    };
    table("over the last", stretches.iter().map(row))
}

/// The zones of a window, each a link to what is in it.
pub fn by_zone(asked: &Asked, window: &Window, parts: &[Stretch]) -> Markup {
    let form = if window.zone.as_secs() >= 86_400 {
        "%Y-%m-%d"
    } else if window.length().as_secs() >= 86_400 {
        "%b %-d %H:%M"
    } else {
        "%H:%M"
    };
    let row = |(from, until): (Timestamp, Timestamp)| Row {
        name: from.format(form).to_string(),
        href: asked.showing(Shown::Between(from, until)).href(),
        is_shown: false,
        stretch: together(parts, from, until),
    };
    table("from, UTC", window.zones().map(row))
}

fn table(of: &str, rows: impl Iterator<Item = Row>) -> Markup {
    html! {
        table .figures {
            thead {
                tr {
                    th scope="col" { (of) }
                    th scope="col" { "runs" }
                    th scope="col" { "well" }
                    @for quantile in Quantile::ALL { th scope="col" { (quantile.word()) } }
                }
            }
            tbody { @for row in rows { (drawn(&row)) } }
        }
    }
}

fn drawn(row: &Row) -> Markup {
    let Verdicts { failed, degraded, inconclusive, .. } = row.stretch.verdicts;
    let bad = [(failed, "bad", "failed"), (degraded, "warn", "degraded"), (inconclusive, "unk", "inconclusive")];
    html! {
        tr {
            th scope="row" { a href=(row.href) aria-current=[row.is_shown.then_some("true")] { (row.name) } }
            td data-of="runs" {
                (count(row.stretch.verdicts.all()))
                @for (number, class, word) in bad { @if number > 0 { " " span .of .(class) { (count(number)) " " (word) } } }
            }
            td data-of="well" { (row.stretch.verdicts.availability().map_or_else(|| "–".to_owned(), percent)) }
            @for quantile in Quantile::ALL {
                td data-of=(quantile.word()) {
                    @match quantile.known(&row.stretch) {
                        Some(known) => { (latency(known)) }
                        None if row.stretch.durations.runs() > 0 => { span .few { "too few" } }
                        None => { "–" }
                    }
                }
            }
        }
    }
}
