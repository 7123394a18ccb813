//! What is read of the store for the page of a probe or of a run. Every question is bounded: what a page costs does not grow
//! with what the store holds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures::future::{try_join, try_join4};

use super::list::RUNS_MAX;
use super::parts::{of_runs, of_stretches, together};
use super::standing::stands;
use super::window::{Asked, Over, Shown, Source, Window, begin};
use super::{page, run as run_page};
use crate::domain::history::{Grain, IncidentsAsked, RunsAsked, RunsFound, Stretch};
use crate::domain::incident::{Incident, Version};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::objective::Standing as Objectives;
use crate::domain::outcome::{Run, RunId, Verdict};
use crate::domain::schedule::Schedule;
use crate::domain::time::{Timestamp, earlier, later};
use crate::ports::{HistoryReader, KeptBundle, Overview, Pair, StoreError};
use crate::web::frame::Place;
use crate::web::incident::ID_LENGTH_MAX;
use crate::web::routes::{Room, html, unreadable};
use crate::web::visit::Visit;

/// So many runs of one stretch are looked at one by one; where there are more, what is remembered of the hours does.
const SINGLE_RUNS_MAX: usize = 4_000;

/// How many bad runs are looked at for what was expected and what came, and how far back.
const BAD_MAX: usize = 10;
const BAD_WITHIN: Duration = Duration::from_hours(30 * 24);

/// How many incidents are looked at.
const INCIDENTS_MAX: usize = 20;

/// How many are looked at that may lie within the window.
const WITHIN_MAX: usize = 100;

/// An incident opens some runs after it began: those that open so long after the window are looked at as well.
const OPENS_AFTER: Duration = Duration::from_hours(6);

/// Within what time the next run is looked for, one after another until there is one.
const NEXT_WITHIN: [Duration; 5] = [
    Duration::from_mins(2),
    Duration::from_mins(30),
    Duration::from_hours(8),
    Duration::from_hours(5 * 24),
    Duration::from_hours(90 * 24),
];

/// How many runs are read for it at a time, and how often at most.
const NEXT_MAX: (usize, usize) = (200, 10);

/// What was read for the page of a probe.
pub struct Told {
    /// How things stand.
    pub overview: Arc<Overview>,
    /// The schedule of which the figures and the chart are; nothing where it is on none.
    pub schedule: Option<ScheduleName>,
    /// What is shown of what was.
    pub shown: Option<Shown>,
    /// The same as a window.
    pub window: Window,
    /// How often there is a run of it.
    pub period: Duration,
    /// The parts of the window.
    pub parts: Vec<Stretch>,
    /// What became of the stretches that have a name.
    pub figures: Vec<(Over, Stretch)>,
    /// The changes of version within the window.
    pub changes: Vec<Version>,
    /// The runs of the list.
    pub runs: RunsFound,
    /// The last runs that did not pass.
    pub bad: Vec<Run>,
    /// What the last of them left.
    pub kept: Option<KeptBundle>,
    /// The last run of all, with its steps; nothing where none is on record.
    pub last: Option<Run>,
    /// Its incidents, those that opened last first.
    pub incidents: Vec<Incident>,
    /// Those that were open within the window.
    pub within: Vec<Incident>,
    /// How its objectives stand.
    pub objectives: Vec<Objectives>,
}

/// The page of a probe.
pub async fn probe(State(room): State<Arc<Room>>, Path(name): Path<String>, visit: Visit) -> Response {
    let plan = room.plan();
    let view = room.view(&plan, &visit);
    let Ok(name) = ProbeName::parse(&name) else { return html(StatusCode::NOT_FOUND, page::unknown(&view)) };
    let asked = match Asked::read(&visit) {
        Ok(asked) => asked,
        Err(why) => return html(StatusCode::BAD_REQUEST, page::misread(&view, &why)),
    };
    let planned = plan.probes.get(&name);
    let mut schedules: Vec<&Schedule> =
        plan.schedules.values().map(AsRef::as_ref).filter(|one| one.has(&name)).collect();
    schedules.sort_by_cached_key(|schedule| schedule.cadence.next_period(view.now));
    // Runs of a schedule that it was on before are asked for by that name.
    let chosen = match &asked.schedule {
        Some(wanted) => schedules.iter().copied().find(|schedule| schedule.name == *wanted),
        None => schedules.first().copied(),
    };
    let told = match room.patiently(told(&room, &name, &asked, chosen, view.now)).await {
        Ok(told) => told,
        Err(error) => return unreadable(&view, Place::Probe, &error),
    };
    match planned {
        Some(planned) => {
            let stands = stands(&view, &told.overview, planned, &schedules);
            html(StatusCode::OK, page::probe(&view, planned, &asked, &told, &stands))
        }
        None if told.runs.runs.is_empty() && told.incidents.is_empty() => {
            html(StatusCode::NOT_FOUND, page::unknown(&view))
        }
        None => html(StatusCode::OK, page::removed(&view, &name, &asked, &told)),
    }
}

async fn told(
    room: &Room,
    name: &ProbeName,
    asked: &Asked,
    schedule: Option<&Schedule>,
    now: Timestamp,
) -> Result<Told, StoreError> {
    let history = &*room.web.history;
    let period = schedule.map_or(Duration::ZERO, |schedule| schedule.cadence.next_period(now));
    let shown = asked.shown.unwrap_or_else(|| Shown::Over(Over::fitting(period)));
    let window = Window::of(shown, now);
    let pair = schedule.map(|schedule| (schedule.name.clone(), name.clone()));
    let overview = room.overview().await?;
    let month_from = Window::of(Shown::Over(Over::Month), now).from;
    // What lies within the month is made of its hours, which are read anyway.
    let is_within = window.source == Source::Stretches(Grain::Hour) && window.from >= month_from;
    let apart = async { if is_within { Ok(None) } else { drawn(history, pair.as_ref(), window).await.map(Some) } };
    let (apart, month, listed, others) = try_join4(
        apart,
        hours(history, pair.as_ref(), month_from, now),
        history.runs(listed(name, asked, now)),
        others(history, name, window, now),
    )
    .await?;
    let (window, parts) = apart.unwrap_or_else(|| (window, of_stretches(&window, &month)));
    let hour = Window::of(Shown::Over(Over::Hour), now);
    let hour =
        if shown == Shown::Over(Over::Hour) { parts.clone() } else { drawn(history, pair.as_ref(), hour).await?.1 };
    let figures = figures(&hour, &month, now);
    let Others { last, bad, kept, incidents, within, changes } = others;
    let standings = room.web.desk.standings();
    let is_of_it = |standing: &&Objectives| standing.probe == *name;
    let objectives = standings.iter().flat_map(|all| all.standings.iter().filter(is_of_it).cloned()).collect();
    Ok(Told {
        overview,
        schedule: schedule.map(|schedule| schedule.name.clone()),
        shown: schedule.map(|_| shown),
        window,
        period,
        parts,
        figures,
        changes,
        runs: listed,
        bad,
        kept,
        last,
        incidents,
        within,
        objectives,
    })
}

/// The parts of a window, from single runs or from what is remembered of them.
async fn drawn(
    history: &dyn HistoryReader,
    pair: Option<&Pair>,
    window: Window,
) -> Result<(Window, Vec<Stretch>), StoreError> {
    let Some(pair) = pair else { return Ok((window, Vec::new())) };
    let grain = match window.source {
        Source::Stretches(grain) => grain,
        Source::Runs => {
            let asked = RunsAsked {
                probe: pair.1.clone(),
                schedule: Some(pair.0.clone()),
                bad: false,
                from: window.from,
                until: window.until,
                after: None,
                most: SINGLE_RUNS_MAX,
            };
            let found = history.runs(asked).await?;
            if !found.more {
                return Ok((window, of_runs(&window, &found.runs)));
            }
            return Box::pin(drawn(history, Some(pair), window.coarser())).await;
        }
    };
    let found = history.history(BTreeSet::from([pair.clone()]), window.from, window.until, grain).await?;
    Ok((window, found.get(pair).map(|stretches| of_stretches(&window, stretches)).unwrap_or_default()))
}

/// The hours since an instant, of which the figures of day, week and month are made.
async fn hours(
    history: &dyn HistoryReader,
    pair: Option<&Pair>,
    from: Timestamp,
    now: Timestamp,
) -> Result<Vec<Stretch>, StoreError> {
    let Some(pair) = pair else { return Ok(Vec::new()) };
    let mut found = history.history(BTreeSet::from([pair.clone()]), from, now, Grain::Hour).await?;
    Ok(found.remove(pair).unwrap_or_default())
}

/// What became of each stretch that has a name. Hours are whole, but for the last.
fn figures(hour: &[Stretch], month: &[Stretch], now: Timestamp) -> Vec<(Over, Stretch)> {
    let figure = |over: Over| {
        let (parts, whole) =
            if over == Over::Hour { (hour, Duration::from_secs(30)) } else { (month, Grain::Hour.length()) };
        (over, together(parts, begin(earlier(now, over.length()), whole), now))
    };
    Over::ALL.map(figure).into()
}

/// Which runs the list has.
fn listed(name: &ProbeName, asked: &Asked, now: Timestamp) -> RunsAsked {
    let (from, until) = match asked.shown {
        Some(Shown::Between(from, until)) => (from, until),
        // A run may have begun in the moment in which the page is drawn.
        Some(Shown::Over(_)) | None => (Timestamp::UNIX_EPOCH, later(now, Duration::from_mins(1))),
    };
    RunsAsked {
        probe: name.clone(),
        schedule: asked.schedule.clone(),
        bad: asked.bad,
        from,
        until: asked.before.map_or(until, |before| before.min(until)),
        after: None,
        most: RUNS_MAX,
    }
}

struct Others {
    last: Option<Run>,
    bad: Vec<Run>,
    kept: Option<KeptBundle>,
    incidents: Vec<Incident>,
    within: Vec<Incident>,
    changes: Vec<Version>,
}

/// What the page says besides figures and lists.
async fn others(
    history: &dyn HistoryReader,
    name: &ProbeName,
    window: Window,
    now: Timestamp,
) -> Result<Others, StoreError> {
    let runs = |bad: bool, from: Timestamp, most: usize| RunsAsked {
        probe: name.clone(),
        schedule: None,
        bad,
        from,
        until: later(now, Duration::from_mins(1)),
        after: None,
        most,
    };
    let runs = async {
        let last = history.runs(runs(false, Timestamp::UNIX_EPOCH, 1)).await?.runs.pop();
        let bad = history.runs(runs(true, earlier(now, BAD_WITHIN), BAD_MAX)).await?.runs;
        let kept = match bad.iter().find(|run| !matches!(run.verdict, Verdict::Degraded(_))) {
            Some(run) => history.run(&run.id).await?.and_then(|story| story.bundle),
            None => None,
        };
        Ok::<_, StoreError>((last, bad, kept))
    };
    let others = async {
        let asked = IncidentsAsked { probe: Some(name.clone()), most: INCIDENTS_MAX, ..IncidentsAsked::default() };
        let incidents = history.incidents(asked).await?.incidents;
        let asked = IncidentsAsked {
            probe: Some(name.clone()),
            until: Some(later(window.until, OPENS_AFTER)),
            most: WITHIN_MAX,
            ..IncidentsAsked::default()
        };
        let mut within = history.incidents(asked).await?.incidents;
        within.retain(|incident| window.has(incident.since, incident.resolved_at.unwrap_or(now)));
        Ok((incidents, within, history.changes(name, window.from, window.until).await?))
    };
    let ((last, bad, kept), (incidents, within, changes)) = try_join(runs, others).await?;
    Ok(Others { last, bad, kept, incidents, within, changes })
}

/// The page of a run.
pub async fn run(State(room): State<Arc<Room>>, Path(id): Path<String>, visit: Visit) -> Response {
    let plan = room.plan();
    let view = room.view(&plan, &visit);
    let unknown = || html(StatusCode::NOT_FOUND, run_page::unknown(&view));
    if id.len() > ID_LENGTH_MAX {
        return unknown();
    }
    let id = RunId(Arc::from(id));
    let read = async {
        let Some(story) = room.web.history.run(&id).await? else { return Ok(None) };
        let history = &*room.web.history;
        let (before, after) = try_join(last_before(history, &story.run), first_after(history, &story.run)).await?;
        Ok(Some((story, before, after)))
    };
    match room.patiently(read).await {
        Ok(Some((story, before, after))) => {
            html(StatusCode::OK, run_page::run(&view, &story, before.as_ref(), after.as_ref()))
        }
        Ok(None) => unknown(),
        Err(error) => unreadable(&view, Place::Run, &error),
    }
}

fn of_probe(run: &Run, from: Timestamp, until: Timestamp, most: usize) -> RunsAsked {
    RunsAsked { probe: run.probe.clone(), schedule: None, bad: false, from, until, after: None, most }
}

/// The run of the same probe before a run.
async fn last_before(history: &dyn HistoryReader, run: &Run) -> Result<Option<RunId>, StoreError> {
    let found = history.runs(of_probe(run, Timestamp::UNIX_EPOCH, run.started_at, 1)).await?;
    Ok(found.runs.into_iter().next().map(|run| run.id))
}

/// The run of the same probe after a run. Runs are found from the latest on, so it is looked for in a short time first; nothing
/// where too many lie between for that.
async fn first_after(history: &dyn HistoryReader, run: &Run) -> Result<Option<RunId>, StoreError> {
    let (most, times) = NEXT_MAX;
    let from = later(run.started_at, Duration::from_micros(1));
    for within in NEXT_WITHIN {
        let mut until = later(from, within);
        for _ in 0..times {
            let found = history.runs(of_probe(run, from, until, most)).await?;
            match found.runs.last() {
                None => break,
                Some(first) if !found.more => return Ok(Some(first.id.clone())),
                Some(earliest) => until = earliest.started_at,
            }
        }
    }
    Ok(None)
}
