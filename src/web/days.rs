//! Ninety days of a probe, a bar for each: how available it was. Bars of one accent that stand beside each other are one dashed
//! stroke, so that a row costs little.

use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};

use super::marks::Tone;
use super::units::percent;
use crate::domain::history::{Grain, Stretch, Verdicts};
use crate::domain::time::{Timestamp, between};

/// How many days are shown.
pub const DAYS: u32 = 90;

/// How far back they go.
pub const BACK: Duration = Duration::from_hours(24 * DAYS as u64);

/// A bar is three units wide, and one apart from the next.
const WIDTH: u32 = DAYS * 4;

/// How high the drawing is, in units.
const HEIGHT: u32 = 22;

/// Below this share of runs that did not fail a day was bad.
const BAD_BELOW: f64 = 0.99;

/// How runs of a day ended.
pub type Day = (Timestamp, Verdicts);

/// The accents, with the height of their bars: a chart is never read by colour alone.
const BARS: [(Tone, u32); 4] = [(Tone::Well, 14), (Tone::Warn, 18), (Tone::Bad, 22), (Tone::Unknown, 6)];

/// What is kept of the stretches of a probe.
pub fn days(stretches: &[Stretch]) -> Vec<Day> {
    stretches.iter().map(|stretch| (stretch.from, stretch.verdicts)).collect()
}

/// Together, since an instant.
pub fn together<'a>(days: impl IntoIterator<Item = &'a Day>, since: Timestamp) -> Verdicts {
    days.into_iter().filter(|(from, _)| *from >= since).fold(Verdicts::default(), |mut all, (_, verdicts)| {
        all.add(*verdicts);
        all
    })
}

fn tone(verdicts: Verdicts) -> Tone {
    match verdicts.availability() {
        None => Tone::Unknown,
        Some(available) if available < BAD_BELOW => Tone::Bad,
        Some(_) if verdicts.failed + verdicts.degraded > 0 => Tone::Warn,
        Some(_) => Tone::Well,
    }
}

/// The bars; today stands at the right.
pub fn bars(days: &[Day], now: Timestamp) -> Markup {
    let today = Grain::Day.begin(now);
    let mut tones = [None; DAYS as usize];
    for (from, verdicts) in days.iter().filter(|(from, verdicts)| *from <= today && verdicts.all() > 0) {
        let age = between(*from, today).as_secs() / Grain::Day.length().as_secs();
        let place = usize::try_from(age).ok().and_then(|age| tones.len().checked_sub(age + 1));
        if let Some(tone) = place.and_then(|place| tones.get_mut(place)) {
            *tone = Some(self::tone(*verdicts));
        }
    }
    let path = |tone: Tone, tall: u32| {
        let (mut path, mut x) = (String::new(), 0);
        for stretch in tones.chunk_by(|one, other| one == other) {
            let long = u32::try_from(stretch.len()).unwrap_or(DAYS) * 4;
            if stretch[0] == Some(tone) {
                let _ = write!(path, "M{x} {}h{}", HEIGHT - tall / 2, long - 1);
            }
            x += long;
        }
        path
    };
    let all = together(days, Timestamp::MIN_UTC);
    let said = all.availability().map_or_else(|| "nothing seen".to_owned(), percent);
    html! {
        svg .days viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
            aria-label={ "available, 90 days: " (said) } {
            path .base d={ "M0 21.5h" (WIDTH) } {}
            @for (tone, tall) in BARS {
                @let path = path(tone, tall);
                @if !path.is_empty() { path .(tone.class()) d=(path) {} }
            }
        }
        div .lab { span { "90 days ago" } span { (said) } span { "today" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::at;

    fn day(from: &str, passed: u64, degraded: u64, failed: u64) -> Day {
        (at(from), Verdicts { passed, degraded, failed, inconclusive: 0 })
    }

    #[test]
    fn a_day_has_its_place_and_its_accent() {
        let days = [
            day("2026-08-27T00:00:00Z", 10, 0, 0),
            day("2026-11-22T00:00:00Z", 1_000, 0, 1),
            day("2026-11-23T00:00:00Z", 10, 0, 5),
            day("2026-11-24T00:00:00Z", 10, 1, 0),
            day("2026-08-26T00:00:00Z", 0, 0, 10),
        ];
        let drawn = bars(&days, at("2026-11-24T10:00:00Z")).into_string();
        assert!(drawn.contains(r#"<path class="ok" d="M0 15h3">"#), "{drawn}");
        assert!(drawn.contains(r#"<path class="warn" d="M348 13h3M356 13h3">"#), "{drawn}");
        assert!(drawn.contains(r#"<path class="bad" d="M352 11h3">"#), "{drawn}");
        let well: Vec<_> = (1..=24).map(|n| day(&format!("2026-11-{n:02}T00:00:00Z"), 9, 0, 0)).collect();
        let drawn = bars(&well, at("2026-11-24T10:00:00Z")).into_string();
        assert!(drawn.contains(r#"<path class="ok" d="M264 15h95">"#) && drawn.contains(">100 %<"), "{drawn}");
        assert!(bars(&[], at("2026-11-24T10:00:00Z")).into_string().contains("nothing seen"));
    }
}
