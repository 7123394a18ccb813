//! What everybody may see, where `web.public` says so: chosen probes by their titles, how they stand, ninety days, and since when
//! what is wrong. Nothing of why, no name that was not chosen, no way further in.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::access::Caller;
use super::badge;
use super::board::{Board, Standing};
use super::days::{BACK, Day, bars, together};
use super::files::tagged;
use super::frame::{icon, metas};
use super::limits::Counted;
use super::marks::{Tone, mark};
use super::routes::Room;
use super::status::Past;
use super::units::{count, counted, percent};
use super::view::{LINE_MAX, View};
use super::visit::Visit;
use crate::domain::incident::Incident;
use crate::domain::judge::Aspect;
use crate::domain::names::ProbeName;
use crate::domain::quiet::Reason;
use crate::domain::time::{between, earlier, words};
use crate::engine::plan::{Plan, PublicPlan};
use crate::ports::{Overview, Pair};

/// How long what was drawn serves everybody.
pub const FRESH: Duration = Duration::from_secs(10);

/// How much is kept: the page and badges. A page elsewhere has a few of them.
pub const KEPT_MAX: usize = 65;

/// Caches of others may keep it for a while.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=30");

/// Below it are the badges; no other page is.
const BADGES: &str = "/badge/";

/// How far back the availability of a badge goes.
const BADGE_BACK: Duration = Duration::from_hours(30 * 24);

/// How a probe stands, as far as everybody may know.
struct Shown<'a> {
    title: &'a str,
    standing: Option<Standing>,
    incident: Option<&'a Incident>,
    days: Vec<Day>,
}

impl Shown<'_> {
    /// An incident that is open counts until it is over, though the last look may have passed.
    fn tone(&self) -> Tone {
        let of_incident = self.incident.map(|incident| match incident.aspect {
            Aspect::Degraded => Tone::Warn,
            _ => Tone::Bad,
        });
        match (said(self.standing).0, of_incident) {
            (Tone::Bad, _) | (_, Some(Tone::Bad)) => Tone::Bad,
            (_, Some(tone)) | (tone, None) => tone,
        }
    }
}

/// Whether that is the path of the public page.
pub fn is_public(plan: &Plan, path: &str) -> bool {
    plan.web.public.as_ref().is_some_and(|public| public.path == path)
}

/// The page.
pub async fn public_page(State(room): State<Arc<Room>>, caller: Extension<Caller>, headers: HeaderMap) -> Response {
    let (plan, visit) = (room.plan(), Visit::default());
    let Some(public) = &plan.web.public else { return nothing() };
    if let Err(many) = room.counted(caller.address, Counted::Public, &public.path) {
        return many;
    }
    let draw = async {
        if !room.is_ready() {
            return None;
        }
        let (overview, past) = known(&room, public).await?;
        let view = room.view(&plan, &visit);
        Some(drawn(&view, public, &shown(&view, public, &overview, &past)).0)
    };
    let page = room.publics.get(&*room.web.clock, public.path.clone(), draw).await;
    page.map_or_else(speechless, |page| tagged(&headers, "text/html; charset=utf-8", CACHING, page))
}

/// The badge of a probe of the public page; of any other it is as if there were none.
pub async fn badge(
    State(room): State<Arc<Room>>,
    Path(file): Path<String>,
    caller: Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    if let Err(many) = room.counted(caller.address, Counted::Public, BADGES) {
        return many;
    }
    let (plan, visit) = (room.plan(), Visit::default());
    let found = plan
        .web
        .public
        .as_ref()
        .zip(file.strip_suffix(".svg"))
        .and_then(|(public, name)| Some((public, public.probes.iter().find(|(probe, _)| probe.as_str() == name)?)));
    let Some((public, one)) = found else { return nothing() };
    let name = format!("{BADGES}{}", one.0);
    let one = PublicPlan { probes: vec![one.clone()], ..public.clone() };
    let draw = async {
        if !room.is_ready() {
            return None;
        }
        let (overview, past) = known(&room, &one).await?;
        let view = room.view(&plan, &visit);
        let shown = shown(&view, &one, &overview, &past);
        let Shown { title, standing, days, .. } = shown.first()?;
        let available = together(days, earlier(view.now, BADGE_BACK)).availability();
        let (tone, word) = said(*standing);
        Some(badge::badge(&view.text(title, 60), word, tone, available.map(percent).as_deref()).0)
    };
    let badge = room.publics.get(&*room.web.clock, name, draw).await;
    badge.map_or_else(speechless, |badge| tagged(&headers, "image/svg+xml", CACHING, badge))
}

fn speechless() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "nothing can be said at the moment\n").into_response()
}

fn nothing() -> Response {
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "there is nothing of that name\n")
        .into_response()
}

/// Where the probes stand on their schedules.
fn pairs(plan: &Plan, public: &PublicPlan) -> BTreeSet<Pair> {
    let of = |probe: &ProbeName| {
        let on = plan.schedules.values().filter(|schedule| schedule.probes.contains(probe));
        on.map(|schedule| (schedule.name.clone(), probe.clone())).collect::<Vec<_>>()
    };
    public.probes.iter().flat_map(|(probe, _)| of(probe)).collect()
}

async fn known(room: &Room, public: &PublicPlan) -> Option<(Arc<Overview>, Past)> {
    let known = async {
        Ok::<_, crate::ports::StoreError>((room.overview().await?, room.past(pairs(&room.plan(), public)).await?))
    };
    known.await.inspect_err(|error| tracing::warn!(%error, "the public page could not read the store")).ok()
}

fn shown<'a>(view: &View<'a>, public: &'a PublicPlan, overview: &'a Overview, past: &Past) -> Vec<Shown<'a>> {
    let board = Board::new(view, overview);
    let show = |(probe, title): &'a (ProbeName, String)| {
        let rows = board.tiers.iter().flat_map(|tier| tier.rows.iter().map(move |row| (tier, row)));
        let rows: Vec<_> = rows.filter(|(_, row)| row.probe.name == *probe).collect();
        let pairs = rows.iter().map(|(tier, row)| (tier.schedule.name.clone(), row.probe.name.clone()));
        let days = pairs.filter_map(|pair| past.get(&pair)).flat_map(|days| days.iter().copied());
        let mut days: Vec<Day> = days.collect();
        days.sort_by_key(|(from, _)| *from);
        let is_theirs = |incident: &&Incident| {
            incident.probe == *probe && matches!(incident.aspect, Aspect::Failing | Aspect::Degraded)
        };
        Shown {
            title,
            standing: rows.iter().map(|(_, row)| row.standing).min(),
            incident: overview.open.iter().find(is_theirs),
            days: merged(&days),
        }
    };
    public.probes.iter().map(show).collect()
}

/// The days of several schedules together.
fn merged(days: &[Day]) -> Vec<Day> {
    let of_day = |day: &[Day]| (day[0].0, together(day, day[0].0));
    days.chunk_by(|one, other| one.0 == other.0).map(of_day).collect()
}

/// How something stands, in one of four words; why nothing is known is nobody's business.
fn said(standing: Option<Standing>) -> (Tone, &'static str) {
    match standing {
        Some(Standing::Passed) => (Tone::Well, "passed"),
        Some(Standing::Degraded) => (Tone::Warn, "degraded"),
        Some(Standing::Failed) => (Tone::Bad, "failed"),
        _ => (Tone::Unknown, "unknown"),
    }
}

fn drawn(view: &View<'_>, public: &PublicPlan, all: &[Shown<'_>]) -> Markup {
    let number = |wanted: Tone| all.iter().filter(|one| one.tone() == wanted).count() as u64;
    let (failed, degraded, unknown, total) =
        (number(Tone::Bad), number(Tone::Warn), number(Tone::Unknown), all.len() as u64);
    let is = |number: u64| if number == 1 { "is" } else { "are" };
    let (tone, sentence) = match (failed, degraded, unknown) {
        (0, 0, _) if unknown == total => (Tone::Unknown, "Nothing is known yet.".to_owned()),
        (0, 0, 0) => (Tone::Well, "All is well.".to_owned()),
        (0, 0, _) => (Tone::Unknown, format!("Of {} of {} nothing is known.", count(unknown), count(total))),
        (0, ..) => (Tone::Warn, format!("{} of {} {} degraded.", count(degraded), count(total), is(degraded))),
        _ => (Tone::Bad, format!("{} of {} {} failing.", count(failed), count(total), is(failed))),
    };
    let is_said = tone == Tone::Unknown || unknown == 0;
    let root = "../".repeat(public.path.matches('/').count().saturating_sub(1));
    let title = view.text(&public.title, LINE_MAX);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (metas())
                title { (sentence) " · " (title) }
                link rel="icon" href=(icon(tone));
                link rel="stylesheet" href={ (root) "style.css" };
            }
            body {
                header { b { (title) } span .r { (view.now.format("%H:%M UTC")) " · " a href="?" { "look again" } } }
                main #main .public {
                    h1 { span .(tone.class()) { (sentence) } }
                    p .lede { (counted(total, "part")) @if !is_said { ", of " (count(unknown)) " nothing is known" } "." }
                    @for (one, incident) in all.iter().filter_map(|one| Some((one, one.incident?))) {
                        p .card .pad {
                            span .sev { (incident.severity) } " " b { (view.text(one.title, LINE_MAX)) }
                            @if incident.aspect == Aspect::Degraded { " is degraded since " } @else { " is failing since " }
                            (view.instant(incident.since)) " (" (words(between(incident.since, view.now))) ")"
                            @if let Some(Reason::Maintenance { until, .. }) = &incident.quiet {
                                ", during maintenance that is planned until " (view.instant(*until))
                            }
                        }
                    }
                    ul .rows .card {
                        @for one in all {
                            li {
                                span .vv { (mark(said(one.standing).0, said(one.standing).1)) }
                                div .n { b { (view.text(one.title, LINE_MAX)) } }
                                div .hist { (bars(&one.days, view.now)) }
                            }
                        }
                    }
                    p .dim { "A bar is a day; the number is the share of looks at it that did not fail in " (words(BACK)) "." }
                }
            }
        }
    }
}
