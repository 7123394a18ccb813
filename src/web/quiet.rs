//! Why nobody is told of a probe on a schedule, or why it is not run: who wants it, of what, why, and until when. Each is said in
//! one way, wherever it stands.

use maud::{Markup, html};

use super::view::{LINE_MAX, View};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::pause::Pause;
use crate::domain::probe::Labels;
use crate::domain::quiet::{MaintenanceWindow, Matchers, Mode, Silence};
use crate::domain::time::Timestamp;
use crate::ports::Overview;

/// A probe on a schedule, with its labels.
pub type Round<'a> = (&'a ScheduleName, &'a ProbeName, &'a Labels);

/// All that goes for some of these now, each in a sentence.
pub fn reasons(view: &View<'_>, overview: &Overview, rounds: &[Round<'_>]) -> Vec<Markup> {
    let take = |matchers: &Matchers| {
        rounds.iter().any(|(schedule, probe, labels)| matchers.take_round(schedule, probe, labels))
    };
    let pauses = overview.pauses.iter().filter(|pause| {
        let takes = |(schedule, probe, _): &Round<'_>| pause.what.takes(Some(schedule), probe);
        pause.is_active(view.now) && rounds.iter().any(takes)
    });
    let silences = overview.silences.iter().filter(|one| one.is_active(view.now) && take(&one.matchers));
    let windows = view.plan.maintenance.iter().filter(|window| take(&window.matchers));
    let windows = windows.filter_map(|window| Some((window, window.until(view.now)?)));
    let pauses = pauses.map(|pause| paused(view, pause));
    let silences = silences.map(|silence| silenced(view, silence));
    pauses.chain(silences).chain(windows.map(|(window, until)| maintained(view, window, until))).collect()
}

/// A pause.
pub fn paused(view: &View<'_>, pause: &Pause) -> Markup {
    html! {
        b { "Paused" }
        @match pause.until { Some(until) => { " until " (view.instant(until)) } None => { " until somebody resumes it" } }
        " by " (view.text(&pause.by, 60)) ": "
        (view.text(&pause.what.to_string(), LINE_MAX)) " – " (view.text(&pause.reason, LINE_MAX))
    }
}

/// A silence.
pub fn silenced(view: &View<'_>, silence: &Silence) -> Markup {
    html! {
        b { "Silenced" } " until " (view.instant(silence.until)) " by " (view.text(&silence.by, 60)) ": "
        (view.text(&silence.matchers.to_string(), LINE_MAX)) " – " (view.text(&silence.reason, LINE_MAX))
    }
}

/// A window that is open until then.
fn maintained(view: &View<'_>, window: &MaintenanceWindow, until: Timestamp) -> Markup {
    html! {
        b { "In maintenance" } " " (window.name) " until " (view.instant(until))
        @if !window.matchers.is_empty() { ", of " (view.text(&window.matchers.to_string(), LINE_MAX)) }
        @match window.mode {
            Mode::Mark => ": it is told, and marked.",
            Mode::Mute => ": nobody is told until then.",
        }
    }
}
