//! Who changed what. It names people and addresses, so it is for those who may change something themselves.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::fold::{cell, table, text};
use super::frame::{Frame, Place, page};
use super::marks::Tone;
use super::routes::Room;
use super::units::{count, counted};
use super::view::{LINE_MAX, View};
use super::visit::Visit;
use crate::domain::audit::{AUDITS_MAX, AuditRecord};
use crate::engine::desk::DeskError;

/// How many records stand on one page.
const PART: usize = 100;

/// A part of the records, and whether it is the first.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The latest first, with one more than is shown where there are more.
    pub records: Vec<AuditRecord>,
    /// Whether it begins with the last change of all.
    pub is_first: bool,
}

/// The page.
pub async fn audit_page(State(room): State<Arc<Room>>, visit: Visit) -> Response {
    let before = visit.last("before");
    let found = async {
        let is_first = before.is_none();
        let records = room.patiently(room.web.reader.audits(before, PART + 1)).await?;
        Ok::<_, DeskError>(Found { records, is_first })
    };
    room.shown(&visit, Place::Audit, found, audit).await
}

/// The page of what was found.
pub fn audit(view: &View<'_>, found: &Found) -> Markup {
    let shown = &found.records[..found.records.len().min(PART)];
    let rows: Vec<_> = shown.iter().map(|record| row(view, record)).collect();
    let last = shown.last().filter(|_| found.records.len() > PART);
    let main = html! {
        h1 {
            @if !found.is_first { "Earlier changes." }
            @else if let Some(last) = shown.first() { "The last change was " (view.ago(last.at)) "." }
            @else { "Nobody has changed anything." }
        }
        p .lede { "What people did to incidents, silences, messages and probes: the last " (count(AUDITS_MAX as u64)) ", kept as long as runs." }
        @if !rows.is_empty() { (table("changes", &["when", "who", "what", "of", "before", "after"], &rows)) }
        p .pager {
            @if !found.is_first { a .btn href="audit" { "Latest" } " " }
            @if let Some(last) = last { a .btn rel="next" href={ "audit?before=" (last.id) } { "Earlier ones" } }
            a .btn href="about" { "About" }
        }
        @if last.is_some() { p .dim { "Of all that is kept these are " (counted(shown.len() as u64, "change")) "." } }
    };
    page(view, &Frame { place: Place::Audit, title: "Changes", tone: Tone::Unknown, refresh: None, main })
}

fn row(view: &View<'_>, record: &AuditRecord) -> Markup {
    let AuditRecord { at, author, deed, of, before, after, .. } = record;
    let or_dash = |said: &str| if said.is_empty() { "–".to_owned() } else { view.text(said, LINE_MAX) };
    html! {
        (text("when", &view.instant(*at)))
        (cell("who", &html! {
            @if let Some(by) = &author.by { b { (view.text(by, 100)) } " " }
            span .dim .block {
                "by " (view.text(&author.who.to_string(), 100)) @if let Some(from) = author.from { ", from " (from) }
            }
        }))
        (text("what", deed.as_str()))
        (cell("of", &html! { span .dim .block { (view.text(of, LINE_MAX)) } }))
        (text("before", &or_dash(before)))
        (text("after", &or_dash(after)))
    }
}
