//! The status page: how things are, what is wrong, then every tier with its probes. However many there are, the page has a bounded
//! size: each part of it has so many bytes, the worst comes first, and what has no room is a link away.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use maud::{Markup, html};

use super::board::{Board, Row, Standing, Tier};
use super::card::card;
use super::days::Day;
use super::filter::Filter;
use super::frame::{Frame, Place, REFRESH_SECONDS, page};
use super::headline::Headline;
use super::marks::{Tone, mark};
use super::units::{count, counted, latency, list};
use super::view::{LINE_MAX, View};
use super::{policy, quiet, rows};
use crate::domain::incident::Incident;
use crate::domain::judge::Aspect;
use crate::domain::outcome::SlotOutcome;
use crate::domain::time::{between, milliseconds, words};
use crate::ports::{Overview, Pair};

/// How many rows are drawn in full, on the whole page.
const FULL_MAX: usize = 40;

/// How many of a schedule are; one with more probes is folded.
const FULL_OF_TIER: usize = 20;

/// How many of a schedule are that is folded, unless more of them are bad.
const FULL_OF_FOLDED: usize = 6;

/// How many rows a part of one schedule has, where that is asked for.
const PART: usize = 40;

/// How many bytes each part of the page may have. Together with what stands around them that is less than 150,000.
const INCIDENTS_ROOM: usize = 18_000;
const LABELS_ROOM: usize = 5_000;
const ROWS_ROOM: usize = 76_000;
const LINKS_ROOM: usize = 22_000;
const NOTES_ROOM: usize = 4_000;
const RESOLVED_ROOM: usize = 8_000;

/// How many links stand below a schedule, at most.
const LINKS_MAX: usize = 120;

/// A label of which more values are known is none to choose by.
const VALUES_MAX: usize = 12;

/// The past of the rows that are drawn in full.
pub type Past = BTreeMap<Pair, Arc<[Day]>>;

/// Bytes that are left.
struct Budget(usize);

impl Budget {
    /// Takes the room for something, if there is enough.
    fn takes(&mut self, markup: &Markup) -> bool {
        let left = self.0.checked_sub(markup.0.len());
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    /// Those that have room, and how many have not.
    fn those<T>(&mut self, all: impl IntoIterator<Item = T>, draw: impl Fn(T) -> Markup) -> (Vec<Markup>, u64) {
        let (mut drawn, mut left_out) = (Vec::new(), 0);
        for one in all {
            let markup = draw(one);
            if left_out == 0 && self.takes(&markup) { drawn.push(markup) } else { left_out += 1 }
        }
        (drawn, left_out)
    }
}

/// What is shown of everything.
pub struct Chosen<'a> {
    board: Board<'a>,
    filter: Filter,
    parts: Vec<Part>,
}

/// What is shown of a tier: which of its rows are asked for, and which of those are drawn in full.
struct Part {
    tier: usize,
    rows: Vec<usize>,
    full: Range<usize>,
}

impl<'a> Chosen<'a> {
    /// The rows that are asked for, the bad ones first.
    pub fn new(view: &View<'a>, overview: &'a Overview, filter: Filter) -> Self {
        let board = Board::new(view, overview);
        let asked = |tier: &Tier<'_>| filter.tier.as_ref().is_none_or(|name| name == tier.schedule.name.as_str());
        let taken = |tier: &Tier<'_>| {
            let rows = tier.rows.iter().enumerate().filter(|(_, row)| filter.takes(row));
            rows.map(|(index, _)| index).collect::<Vec<_>>()
        };
        let parts = board.tiers.iter().enumerate().filter(|(_, tier)| asked(tier));
        let mut parts: Vec<_> = parts.map(|(tier, drawn)| Part { tier, rows: taken(drawn), full: 0..0 }).collect();
        // A schedule of which nothing is asked for says nothing.
        parts.retain(|part| !filter.is_set() || !part.rows.is_empty());
        if filter.tier.is_some() {
            for part in &mut parts {
                let from = ((filter.page - 1).min(part.rows.len().saturating_sub(1) / PART)) * PART;
                part.full = from..(from + PART).min(part.rows.len());
            }
        } else {
            share(&board, &mut parts);
        }
        Self { board, filter, parts }
    }

    /// Of what the past is shown.
    pub fn pairs(&self) -> BTreeSet<Pair> {
        let full = |part: &Part| {
            let tier = &self.board.tiers[part.tier];
            let rows = part.rows[part.full.clone()].iter().map(|row| &tier.rows[*row]);
            rows.map(|row| (tier.schedule.name.clone(), row.probe.name.clone())).collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(full).collect()
    }

    fn rows(&self, part: &Part) -> impl Iterator<Item = &Row<'a>> {
        let tier = &self.board.tiers[part.tier];
        part.rows.iter().map(move |row| &tier.rows[*row])
    }
}

/// Shares the room for rows: first the bad ones of each tier, then what is left.
fn share(board: &Board<'_>, parts: &mut [Part]) {
    let mut left = FULL_MAX;
    for part in &mut *parts {
        let rows = &board.tiers[part.tier].rows;
        let bad = part.rows.iter().filter(|row| rows[**row].standing.is_bad()).count();
        part.full = 0..bad.min(FULL_OF_TIER).min(left);
        left -= part.full.end;
    }
    for part in parts {
        let wanted = if part.rows.len() <= FULL_OF_TIER { part.rows.len() } else { FULL_OF_FOLDED };
        let more = wanted.saturating_sub(part.full.end).min(left);
        part.full.end += more;
        left -= more;
    }
}

/// The page.
pub fn status(view: &View<'_>, overview: &Overview, chosen: &Chosen<'_>, past: &Past) -> Markup {
    let Chosen { board, filter, .. } = chosen;
    let headline = Headline::new(view, overview, board);
    let debts = overview.debts.iter().map(|(probe, runs)| format!("{} of {probe}", counted(*runs, "run")));
    let debts: Vec<_> = debts.collect();
    let (open, more_open) = Budget(INCIDENTS_ROOM)
        .those(&overview.open, |incident| card(view, incident, overview.hearers.get(&incident.id), ""));
    let silences = overview.silences.iter().filter(|silence| silence.is_active(view.now));
    let (silences, more_silences) =
        Budget(NOTES_ROOM).those(silences, |silence| html! { p .dim { (quiet::silenced(view, silence)) } });
    let pauses = overview.pauses.iter().filter(|pause| pause.is_active(view.now));
    let (pauses, more_pauses) =
        Budget(NOTES_ROOM).those(pauses, |pause| html! { p .dim { (quiet::paused(view, pause)) } });
    let (resolved, _) = Budget(RESOLVED_ROOM).those(&overview.resolved, |incident| resolved(view, incident));
    let main = html! {
        h1 { span .(headline.tone.class()) { (headline.accent) } (headline.rest) }
        p .lede { (headline.lede) }
        @if !open.is_empty() {
            section .incidents aria-label="open incidents" {
                @for incident in &open { (incident) }
                @if more_open > 0 { p .dim { a href="incidents" { "and " (counted(more_open, "incident")) " more" } } }
            }
        }
        @if board.total() > 0 { (chooser(view, chosen)) }
        (tiers(view, overview, chosen, past))
        @if chosen.parts.is_empty() && board.total() > 0 {
            p .card .pad { "Nothing is like that: " (view.text(&filter.words(), LINE_MAX)) ". " a href="./" { "Show everything" } }
        }
        @if !debts.is_empty() { p .dim { "Still to be cleaned up: " (list(debts.iter().map(String::as_str))) "." } }
        @for silence in &silences { (silence) }
        @for pause in &pauses { (pause) }
        @if more_pauses > 0 { p .dim { "and " (counted(more_pauses, "pause")) " more" } }
        @if more_silences > 0 { p .dim { "and " (counted(more_silences, "silence")) " more" } }
        @if !resolved.is_empty() {
            section {
                div .tier { h2 { "Resolved lately" } }
                ul .past .card { @for incident in &resolved { (incident) } }
            }
        }
    };
    let refresh = Some(REFRESH_SECONDS);
    page(view, &Frame { place: Place::Status, title: &headline.title, tone: headline.tone, refresh, main })
}

/// How rows are chosen: a text, how they stand, labels. A form that any browser sends.
fn chooser(view: &View<'_>, chosen: &Chosen<'_>) -> Markup {
    const SHOWN: [(&str, &str); 3] = [("all", "all"), ("bad", "what is not well"), ("paused", "what is paused")];
    let Chosen { board, filter, .. } = chosen;
    let mut labels: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    let probes: BTreeMap<_, _> =
        board.tiers.iter().flat_map(|tier| &tier.rows).map(|row| (&row.probe.name, row.probe)).collect();
    for (key, value) in probes.values().flat_map(|probe| &probe.labels) {
        *labels.entry(key).or_default().entry(value).or_default() += 1;
    }
    let known = labels.into_iter().filter(|(_, values)| values.len() <= VALUES_MAX);
    let known = known.flat_map(|(key, values)| values.into_iter().map(move |(value, probes)| (key, value, probes)));
    let (known, _) = Budget(LABELS_ROOM).those(known, |(key, value, probes)| {
        let is_chosen = filter.labels.iter().any(|(other, own)| (other.as_str(), own.as_str()) == (key, value));
        let said = view.text(&format!("{key}={value}"), 60);
        html! {
            li { a href=(filter.with_label(key, value).link()) aria-current=[is_chosen.then_some("true")] { (said) " " small { (count(probes)) } } }
        }
    });
    let found: BTreeSet<_> =
        chosen.parts.iter().flat_map(|part| chosen.rows(part)).map(|row| &row.probe.name).collect();
    let show = filter.show.as_deref().unwrap_or("all");
    html! {
        form .choose method="get" action="./" role="search" aria-label="which probes" {
            @for (key, value) in &filter.labels { input type="hidden" name="label" value=(view.text(&format!("{key}={value}"), LINE_MAX)); }
            input type="search" id="q" name="q" aria-label="name or label" placeholder="name or label"
                value=[filter.text.as_ref().map(|text| view.text(text, LINE_MAX))] maxlength="100";
            select id="show" name="show" aria-label="how they stand" {
                @for (word, name) in SHOWN { option value=(word) selected[word == show] { (name) } }
                @if !SHOWN.iter().any(|(word, _)| *word == show) { option value=(view.text(show, 60)) selected { (view.text(show, 60)) } }
            }
            button .btn type="submit" { "Show" }
            @if filter.is_set() || filter.tier.is_some() {
                span .dim {
                    (count(found.len() as u64)) " of " (counted(board.total(), "probe"))
                    ": " (view.text(&filter.words(), LINE_MAX))
                    " · " a href="./" { "show everything" }
                }
            }
        }
        @if !known.is_empty() {
            details .labels id="labels" open[!filter.labels.is_empty()] {
                summary { "Labels" }
                ul { @for label in &known { (label) } }
            }
        }
    }
}

fn tiers(view: &View<'_>, overview: &Overview, chosen: &Chosen<'_>, past: &Past) -> Markup {
    let (mut room, mut links) = (Budget(ROWS_ROOM), Budget(LINKS_ROOM));
    let (mut drawn, mut left_out) = (Vec::new(), Vec::new());
    for part in &chosen.parts {
        let tier = &chosen.board.tiers[part.tier];
        let heading = html! {
            div .tier {
                h2 { (tier.schedule.name) small { (policy::cadence(&tier.schedule.cadence)) } }
                span .r { (accounts(view, tier)) }
            }
        };
        if left_out.is_empty() && room.takes(&heading) {
            drawn.push(drawn_tier(view, overview, chosen, part, past, &heading, (&mut room, &mut links)));
        } else {
            left_out.push(tier);
        }
    }
    let (left_out, unnamed) = links.those(left_out, |tier| {
        html! { li { a href=(chosen.filter.at(tier.schedule.name.as_str(), 1).link()) { (tier.schedule.name) } } }
    });
    html! {
        @for tier in &drawn { (tier) }
        @if !left_out.is_empty() {
            section {
                div .tier { h2 { "More schedules" } }
                ul .names .card { @for tier in &left_out { (tier) } @if unnamed > 0 { li { "and " (count(unnamed)) " more" } } }
            }
        }
    }
}

fn drawn_tier(
    view: &View<'_>,
    overview: &Overview,
    chosen: &Chosen<'_>,
    part: &Part,
    past: &Past,
    heading: &Markup,
    (room, links): (&mut Budget, &mut Budget),
) -> Markup {
    let (tier, filter) = (&chosen.board.tiers[part.tier], &chosen.filter);
    let all: Vec<_> = chosen.rows(part).collect();
    let (full, without_room) = room.those(&all[part.full.clone()], |row| {
        let days = past.get(&(tier.schedule.name.clone(), row.probe.name.clone()));
        rows::row(view, overview, tier, row, days.map_or(&[], |days| &days[..]))
    });
    let end = part.full.start + full.len();
    // A part of a schedule has its rows in full; what lies before and after it are other parts.
    let until = if filter.tier.is_some() { part.full.end } else { all.len() };
    let rest = &all[end..until];
    let (named, unnamed) = links.those(rest.iter().take(LINKS_MAX), |row| rows::link(row));
    let unnamed = unnamed + (rest.len().saturating_sub(LINKS_MAX)) as u64;
    let parts = all.len().div_ceil(PART);
    let at = part.full.start / PART + 1;
    html! {
        section {
            (heading)
            @if all.is_empty() { p .dim { "no probe in this schedule" } }
            @if !full.is_empty() { ul .rows .card { @for row in &full { (row) } } }
            @if let Some(first) = rest.first() {
                details .rest id={ "rest-" (tier.schedule.name) } open[filter.tier.is_some() && without_room > 0] {
                    summary {
                        @if full.is_empty() { (counted(rest.len() as u64, "probe")) } @else { (count(rest.len() as u64)) " more" }
                        ", "
                        @if first.standing == Standing::Passed { "all passed" } @else { "the worst of them " (first.standing.word()) }
                    }
                    ul .names { @for row in &named { (row) } @if unnamed > 0 { li .dim { "and " (count(unnamed)) " more" } } }
                }
            }
            @if filter.tier.is_some() && parts > 1 {
                p .parts {
                    @if at > 1 { a .btn href=(filter.at(tier.schedule.name.as_str(), at - 1).link()) { "Before" } }
                    span .dim { "part " (count(at as u64)) " of " (count(parts as u64)) }
                    @if at < parts { a .btn href=(filter.at(tier.schedule.name.as_str(), at + 1).link()) { "Next" } }
                }
            } @else if !rest.is_empty() {
                p .parts {
                    a .btn href=(filter.at(tier.schedule.name.as_str(), 1).link()) {
                        "All " (counted(all.len() as u64, "probe")) " of " (tier.schedule.name)
                    }
                }
            }
        }
    }
}

/// `next slot in 12 s · at most 4 ms late · 2,880 of 2,881 slots ran, 1 skipped`.
fn accounts(view: &View<'_>, tier: &Tier<'_>) -> String {
    let mut parts: Vec<String> = tier.next.map(|at| format!("next slot {}", view.ahead(at))).into_iter().collect();
    if let Some(lateness) = tier.lateness {
        parts.push(format!("at most {} late", latency(milliseconds(lateness))));
    }
    let all: u64 = tier.slots.values().sum();
    if all > 0 {
        let of = |outcome: SlotOutcome| tier.slots.get(&outcome).copied().unwrap_or(0);
        let mut text = format!("{} of {} ran", count(of(SlotOutcome::Ran)), counted(all, "slot"));
        for outcome in SlotOutcome::ALL.into_iter().filter(|outcome| *outcome != SlotOutcome::Ran && of(*outcome) > 0) {
            text = format!("{text}, {} {}", count(of(outcome)), outcome.as_str());
        }
        parts.push(text);
    }
    parts.join(" · ")
}

/// The page while the state is not loaded yet.
pub fn starting(view: &View<'_>, place: Place) -> Markup {
    let main = html! {
        h1 { span .unk { "Roundsman is starting." } }
        p .lede { "It loads its state; " (counted(view.plan.probes.len() as u64, "probe")) " and "
            (counted(view.plan.schedules.len() as u64, "schedule")) " are planned." }
    };
    page(view, &Frame { place, title: "Starting", tone: Tone::Unknown, refresh: Some(2), main })
}

/// The page when the store cannot be read; `place` is where the reader wanted to go.
pub fn unreadable(view: &View<'_>, place: Place, reason: &str) -> Markup {
    let main = html! {
        h1 { span .bad { "The store cannot be read." } " Probing goes on." }
        p .lede { (view.text(reason, LINE_MAX)) }
    };
    let refresh = Some(REFRESH_SECONDS);
    page(view, &Frame { place, title: "Store unreadable", tone: Tone::Bad, refresh, main })
}

fn resolved(view: &View<'_>, incident: &Incident) -> Markup {
    let Some(over) = incident.resolved_at else { return html! {} };
    html! {
        li {
            (mark(Tone::Well, "resolved"))
            a .n href={ "incidents/" (incident.id) } {
                b { (incident.probe) }
                span {
                    (incident.severity)
                    @match incident.aspect {
                        Aspect::Failing => ", failing for ",
                        Aspect::Degraded => ", degraded for ",
                        Aspect::Blind => ", not seen for ",
                        Aspect::NoNetwork => ", without a network for ",
                        Aspect::Unrecorded => ", not written down for ",
                        Aspect::StateLost => ", state lost, told for ",
                        Aspect::Burning => ", burned its budget for ",
                    }
                    (words(between(incident.since, over)))
                    @if let Some(why) = &incident.resolved_because { " · " (view.text(why, LINE_MAX)) }
                }
            }
            div .num { span { (view.instant(over)) } span { (view.ago(over)) } }
        }
    }
}
