//! What else fails and what still passes, of what may have the same cause: what looks at the same host, what shares a label,
//! what runs on the same schedule. It narrows down where to look.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::board::{Board, Standing};
use super::marks::mark;
use super::units::{count, counted};
use super::view::{LINE_MAX, View};
use crate::domain::incident::{Incident, IncidentId};
use crate::domain::names::ProbeName;
use crate::engine::plan::PlannedProbe;
use crate::ports::Overview;

/// How many probes that do not pass are spelled out.
const BAD_MAX: usize = 20;

/// How many that pass are named, of each sort.
const NAMED_MAX: usize = 10;

/// How another probe stands near; the nearest is the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Near {
    Host,
    Label(String),
    Schedule(String),
}

impl Near {
    fn words(&self, view: &View<'_>) -> String {
        match self {
            Self::Host => "on the same host".to_owned(),
            Self::Label(label) => format!("with {}", view.text(label, LINE_MAX)),
            Self::Schedule(schedule) => format!("on {schedule}"),
        }
    }
}

struct Other<'a> {
    name: &'a ProbeName,
    near: Option<Near>,
    standing: Standing,
    incident: Option<&'a IncidentId>,
}

/// What stands around an open incident.
pub fn around(view: &View<'_>, incident: &Incident, overview: &Overview) -> Markup {
    let board = Board::new(view, overview);
    let others = others(view, incident, &board);
    let (near, far): (Vec<_>, Vec<_>) = others.iter().partition(|other| other.near.is_some());
    let (well, rest): (Vec<_>, Vec<_>) = near.into_iter().partition(|other| other.standing == Standing::Passed);
    let (unseen, bad): (Vec<_>, Vec<_>) = rest
        .into_iter()
        .partition(|other| matches!(other.standing, Standing::Waiting | Standing::Skipped | Standing::Paused));
    let mut passing: BTreeMap<&Near, Vec<&ProbeName>> = BTreeMap::new();
    for other in &well {
        passing.entry(other.near.as_ref().unwrap_or(&Near::Host)).or_default().push(other.name);
    }
    html! {
        @if !others.is_empty() {
            section .card .pad {
                h2 { "What else" small { "now" } }
                @if bad.is_empty() { p .dim { "Nothing near it fails." } }
                @else {
                    ul .near {
                        @for other in bad.iter().take(BAD_MAX) {
                            li {
                                (mark(other.standing.tone(), other.standing.word())) " "
                                @let to = other.incident.map_or_else(|| format!("../probes/{}", other.name), ToString::to_string);
                                a href=(to) { b { (other.name) } }
                                @if let Some(near) = &other.near { " " span .dim { (near.words(view)) } }
                            }
                        }
                    }
                    @if bad.len() > BAD_MAX { p .dim { "and " (counted((bad.len() - BAD_MAX) as u64, "probe")) " more" } }
                }
                @if !passing.is_empty() {
                    h3 { "still passing" }
                    dl {
                        @for (near, names) in &passing {
                            dt { (near.words(view)) }
                            dd {
                                @for (index, name) in names.iter().take(NAMED_MAX).enumerate() { @if index > 0 { ", " } a href={ "../probes/" (name) } { (name) } }
                                @if names.len() > NAMED_MAX { " and " (count((names.len() - NAMED_MAX) as u64)) " more" }
                            }
                        }
                    }
                }
                @if !unseen.is_empty() {
                    p .dim {
                        (counted(unseen.len() as u64, "probe")) " near it " @if unseen.len() == 1 { "has" } @else { "have" } " not been looked at."
                    }
                }
                @if !far.is_empty() {
                    p .dim {
                        "Elsewhere " (count(far.iter().filter(|other| other.standing == Standing::Passed).count() as u64)) " of "
                        (counted(far.len() as u64, "probe")) " passed."
                    }
                }
            }
        }
    }
}

fn others<'a>(view: &View<'a>, incident: &Incident, board: &Board<'a>) -> Vec<Other<'a>> {
    let hosts = view.plan.probes.get(&incident.probe).map(|probe| hosts(probe)).unwrap_or_default();
    let mut others: BTreeMap<&ProbeName, Other<'a>> = BTreeMap::new();
    for tier in &board.tiers {
        let on_same = incident.schedules.contains(&tier.schedule.name);
        let on_same = on_same.then(|| Near::Schedule(tier.schedule.name.to_string()));
        for row in tier.rows.iter().filter(|row| row.probe.name != incident.probe) {
            let near = if hosts_of(row.probe).any(|host| hosts.contains(&host)) {
                Some(Near::Host)
            } else {
                let shared = incident.labels.iter().find(|(key, value)| row.probe.labels.get(*key) == Some(*value));
                shared.map(|(key, value)| Near::Label(format!("{key}={value}"))).or_else(|| on_same.clone())
            };
            let incident = row.incident.map(|incident| &incident.id);
            let other = others.entry(&row.probe.name);
            let other =
                other.or_insert_with(|| Other { name: &row.probe.name, near: None, standing: row.standing, incident });
            other.standing = other.standing.min(row.standing);
            other.near = [other.near.take(), near].into_iter().flatten().min();
        }
    }
    let mut others: Vec<_> = others.into_values().collect();
    others.sort_by(|one, other| (one.standing, &one.near, one.name).cmp(&(other.standing, &other.near, other.name)));
    others
}

fn hosts(probe: &PlannedProbe) -> BTreeSet<String> {
    hosts_of(probe).collect()
}

fn hosts_of(probe: &PlannedProbe) -> impl Iterator<Item = String> {
    probe.steps.iter().filter_map(|step| step.action.host())
}
