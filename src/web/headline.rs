//! The one sentence that says how things are, and the line below it.

use super::board::{Board, Standing};
use super::marks::Tone;
use super::units::{count, counted, list};
use super::view::View;
use crate::domain::incident::Incident;
use crate::domain::time::{between, words};
use crate::ports::Overview;

/// What stands on top.
pub struct Headline {
    /// Its accent.
    pub tone: Tone,
    /// The part that carries the accent.
    pub accent: String,
    /// The rest of the sentence.
    pub rest: String,
    /// The line below it.
    pub lede: String,
    /// The tab's title.
    pub title: String,
}

impl Headline {
    /// What to say of all this; what is wrong comes first.
    pub fn new(view: &View<'_>, overview: &Overview, board: &Board<'_>) -> Self {
        if !overview.open.is_empty() {
            return Self::of_incidents(view, &overview.open, board);
        }
        let total = board.total();
        if let Some((standing, tone, ..)) = TROUBLES.iter().find(|trouble| board.count(trouble.0) > 0) {
            let number = board.count(*standing);
            let accent = format!("{} of {} {}", count(number), counted(total, "probe"), verb(*standing, number));
            let others = troubles(board).skip(1).fold(String::new(), |others, text| others + ", " + &text);
            let lede = format!("No incident is open. {}", last_run(view, board));
            return Self { tone: *tone, title: accent.clone(), accent, rest: format!("{others}."), lede };
        }
        let waiting = board.count(Standing::Waiting);
        if waiting == total {
            let next = board.tiers.iter().filter_map(|tier| tier.next).min();
            let next = next.map(|at| format!(" The next slot is {}.", view.ahead(at))).unwrap_or_default();
            let (accent, lede) = match total {
                0 => ("No probe is scheduled.", "Name some in a file of schedules/.".to_owned()),
                _ => ("No probe has run yet.", format!("{} planned.{next}", counted(total, "probe"))),
            };
            let accent = accent.to_owned();
            return Self { tone: Tone::Unknown, title: accent.clone(), accent, rest: String::new(), lede };
        }
        let idle = [waiting, board.count(Standing::Skipped), board.count(Standing::Paused)];
        if idle.iter().sum::<u64>() == total {
            let accent = if idle[2] == total { "Every probe is paused." } else { "No probe has looked." }.to_owned();
            let lede = calm(view, overview, idle);
            return Self { tone: Tone::Unknown, title: accent.clone(), accent, rest: String::new(), lede };
        }
        let age = board.latest.map(|at| format!(", last run {}", view.ago(at))).unwrap_or_default();
        // Only what has looked is vouched for: the sentence is also read alone.
        let looked = match idle.iter().sum::<u64>() {
            0 => counted(total, "probe"),
            idle => format!("{} of {}", count(total - idle), counted(total, "probe")),
        };
        Self {
            tone: Tone::Well,
            accent: String::new(),
            rest: format!("All is well: {looked}{age}."),
            lede: calm(view, overview, idle),
            title: "All is well".to_owned(),
        }
    }

    fn of_incidents(view: &View<'_>, open: &[Incident], board: &Board<'_>) -> Self {
        let (accent, rest) = match open {
            [only] => {
                let what = only.what();
                let (since, long) = (view.instant(only.since), words(between(only.since, view.now)));
                ("1 incident is open".to_owned(), format!(": {what} since {since} ({long})."))
            }
            many => {
                let names = list(many.iter().map(|incident| incident.probe.as_str()));
                (format!("{} incidents are open", count(many.len() as u64)), format!(": {names}."))
            }
        };
        let now = troubles(board).collect::<Vec<_>>().join(", ");
        let now = if now.is_empty() { "none is failing now" } else { now.as_str() };
        let lede = format!("Of {} {now}. {}", counted(board.total(), "probe"), last_run(view, board));
        Self { tone: Tone::Bad, title: accent.clone(), accent, rest, lede }
    }
}

/// What can be wrong with a probe, the gravest first, with the accent and the words for one and for several.
const TROUBLES: [(Standing, Tone, &str, &str); 4] = [
    (Standing::Failed, Tone::Bad, "is failing", "are failing"),
    (Standing::Inconclusive, Tone::Warn, "cannot be seen", "cannot be seen"),
    (Standing::Overdue, Tone::Warn, "is overdue", "are overdue"),
    (Standing::Degraded, Tone::Warn, "is degraded", "are degraded"),
];

fn verb(standing: Standing, number: u64) -> &'static str {
    let trouble = TROUBLES.iter().find(|trouble| trouble.0 == standing);
    trouble.map_or("", |(_, _, one, many)| if number == 1 { one } else { many })
}

/// `1 is failing`, `2 are degraded`: each trouble that some probe has.
fn troubles<'a>(board: &'a Board<'_>) -> impl Iterator<Item = String> + 'a {
    let numbers = TROUBLES.iter().map(|trouble| (trouble.0, board.count(trouble.0)));
    numbers.filter(|(_, number)| *number > 0).map(|(standing, n)| format!("{} {}", count(n), verb(standing, n)))
}

fn last_run(view: &View<'_>, board: &Board<'_>) -> String {
    board.latest.map(|at| format!("The last run was {}.", view.ago(at))).unwrap_or_default()
}

/// What was last, and how many probes look at nothing: because they wait, are skipped, or are paused.
fn calm(view: &View<'_>, overview: &Overview, [waiting, skipped, paused]: [u64; 3]) -> String {
    let past = overview.resolved.first().and_then(|incident| Some((incident, incident.resolved_at?)));
    let past = match past {
        Some((incident, at)) => {
            format!("The last incident, of {}, was over at {} ({}).", incident.probe, view.instant(at), view.ago(at))
        }
        None => "No incident is on record.".to_owned(),
    };
    let waiting = match waiting {
        0 => String::new(),
        1 => " 1 probe has not run yet.".to_owned(),
        more => format!(" {} have not run yet.", counted(more, "probe")),
    };
    let skipped = match skipped {
        0 => String::new(),
        1 => " 1 was skipped.".to_owned(),
        more => format!(" {} were skipped.", count(more)),
    };
    let paused = match paused {
        0 => String::new(),
        1 => " 1 is paused.".to_owned(),
        more => format!(" {} are paused.", count(more)),
    };
    past + &waiting + &skipped + &paused
}
