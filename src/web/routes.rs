//! Which path gives what. Every answer carries the same headers, refusals too; only what hyper itself refuses (a
//! malformed or too large head) has no body and no headers of ours.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use maud::Markup;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use super::access::{Asked, Caller, Refusal};
use super::api::answers::Trouble;
use super::api::settled::Question;
use super::frame::Place;
use super::kept::Kept;
use super::limits::{Counted, Limits, Peer};
use super::ping::Door;
use super::reckoning::Reckoning;
use super::server::Web;
use super::table::{API, Row, Scope, Table};
use super::view::View;
use super::visit::Visit;
use super::{
    about, access, acts, api, audit, chart, deliveries, events, files, front, incident, incidents, objectives, ping,
    post_mortem, probe, public, schedules, silence, status, war_room,
};
use crate::domain::incident::IncidentId;
use crate::domain::text::harmless;
use crate::domain::time::{Monotonic, earlier, rfc3339};
use crate::engine::changes::Generations;
use crate::engine::desk::DeskError;
use crate::engine::plan::Plan;
use crate::engine::unrecorded;
use crate::ports::{IncidentStory, Overview, StoreError};

/// What goes with every answer. No script and no style but our own file, none within a page, no frame, no form that leads elsewhere; nothing is kept
/// anywhere. Where a form stands is told to ourselves, since a browser that must not tell it does not say either from where one
/// was sent.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// How long an overview serves: many open pages read the store once.
const OVERVIEW_FRESH: Duration = Duration::from_secs(1);

/// How long a page waits for the store.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// The media type of the texts of an incident. They are Markdown, which browsers would save and not show.
const TEXT: &str = "text/plain; charset=utf-8";

/// The media type of `OpenMetrics` text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the routes share.
pub struct Room {
    /// What the pages are made of.
    pub web: Web,
    local: SocketAddr,
    /// The last overview and when it was read; whoever holds the lock reads for all who wait.
    overview: Mutex<Option<Known>>,
    /// The status pages that were drawn a moment ago.
    pub fronts: Kept<front::Drawn>,
    /// The same of what everybody may see, by path.
    pub publics: Kept<Option<String>>,
    /// The days of rows that were shown lately.
    pub days: front::Days,
    /// Where jobs ping.
    pub door: Door,
    /// What PagerDuty said lately.
    pub heard: api::pagerduty::Lately,
    /// What goes on whoever waits for it.
    pub deeds: TaskTracker,
    /// How often each peer may do what.
    limits: Limits,
    /// Who may ask what.
    table: Table,
    /// What the plan takes.
    pub reckoning: Reckoning,
}

/// How things stood, when that was read, and what had changed by then.
struct Known {
    read_at: Monotonic,
    seen: Generations,
    overview: Arc<Overview>,
}

/// Every row: those of the pages and of the doors beside them, then those of programs.
pub fn rows() -> Vec<Row> {
    use Scope::{Open, Operate, Ping, Read};
    let mut rows = vec![
        Row::get(Read, "/", front::status_page),
        Row::get(Read, "/incidents", incidents::incidents_page),
        Row::get(Read, "/incidents/{id}", incident_page),
        Row::get(Read, "/incidents/{id}/acknowledge", acts::acknowledge_form),
        Row::form("/incidents/{id}/acknowledge", acts::acknowledge),
        Row::get(Read, "/incidents/{id}/note", acts::note_form),
        Row::form("/incidents/{id}/note", acts::note),
        Row::get(Read, "/incidents/{id}/silence", silence::form),
        Row::form("/incidents/{id}/silence", silence::begin),
        Row::form("/incidents/{id}/silences/{silence}/end", silence::end),
        Row::get(Read, "/incidents/{id}/war-room", war_room_text),
        Row::get(Read, "/incidents/{id}/post-mortem", post_mortem_text),
        Row::get(Read, "/events", events::events),
        Row::get(Open, "/badge/{file}", public::badge),
        Row::get(Open, "/favicon.ico", files::icon),
        Row::get(Open, "/style.css", files::style),
        Row::get(Open, "/live.js", files::live),
        Row::get(Read, "/probes/{name}", probe::asked::probe),
        Row::get(Read, "/runs/{id}", probe::asked::run),
        Row::get(Read, "/schedules", schedules::schedules_page),
        Row::get(Read, "/deliveries", deliveries::deliveries_page),
        Row::form("/deliveries/redrive", deliveries::redrive_all),
        Row::form("/deliveries/{id}/redrive", deliveries::redrive),
        Row::get(Read, "/objectives", objectives::objectives_page),
        Row::get(Read, "/about", about::about_page),
        Row::get(Operate, "/audit", audit::audit_page),
        Row::get(Open, "/healthz", async || "ok\n"),
        Row::get(Open, "/readyz", readiness),
        Row::get(Read, "/metrics", metrics),
        Row::get(Ping, "/ping/{token}", ping::done),
        Row::post(Ping, "/ping/{token}", ping::done),
        Row::get(Ping, "/ping/{token}/start", ping::started),
        Row::post(Ping, "/ping/{token}/start", ping::started),
        Row::get(Ping, "/ping/{token}/fail", ping::failed),
        Row::post(Ping, "/ping/{token}/fail", ping::failed),
    ];
    rows.extend(api::routes::rows());
    rows
}

/// The routes, for a listener at `local`; what is done to its end whoever waits for it is among the deeds.
pub fn router(web: Web, local: SocketAddr, deeds: TaskTracker) -> Router {
    let (table, routes) = Table::of(rows());
    let room = Arc::new(Room::of(web, local, table, deeds));
    routes.fallback(nothing_there).layer(from_fn_with_state(Arc::clone(&room), guard)).with_state(room)
}

/// What has no row. The path of the public page is the plan's, and changes with it.
async fn nothing_there(room: State<Arc<Room>>, caller: Extension<Caller>, uri: Uri, headers: HeaderMap) -> Response {
    if public::is_public(&room.plan(), uri.path()) {
        return public::public_page(room, caller, headers).await;
    }
    if uri.path().starts_with(API) {
        return Trouble::unknown("there is nothing of that name").into_response();
    }
    (StatusCode::NOT_FOUND, "there is no such page: begin at /\n").into_response()
}

async fn guard(State(room): State<Arc<Room>>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    let asked = head.uri.path();
    let question = asked.starts_with(API).then(|| Question::of(&head.method, asked, &head.headers));
    let mut response = match room.admit(&head).await {
        Ok(caller) => {
            head.extensions.insert(caller);
            next.run(Request::from_parts(head, body)).await
        }
        Err(refused) => refused,
    };
    if let Some(question) = question {
        response = question.settle(response).await;
    }
    for (name, value) in HEADERS {
        // Only what is the same for everybody says that it may be kept.
        let is_said = name == header::CACHE_CONTROL && response.headers().contains_key(&name);
        if !is_said {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A store that fails is told and is no reason to be taken out of service: probing goes on, and alerts leave.
async fn readiness(State(room): State<Arc<Room>>) -> impl IntoResponse {
    let unrecorded = &room.web.unrecorded;
    match unrecorded.trouble() {
        _ if !room.is_ready() => (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
        None if unrecorded.lost().is_some() => {
            (StatusCode::OK, "ready, degraded: the store was damaged at the start\n".to_owned())
        }
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(unrecorded::Trouble { since, why }) => {
            let since = rfc3339(since);
            (StatusCode::OK, format!("ready, degraded: nothing is recorded since {since}: {}\n", harmless(&why)))
        }
    }
}

async fn metrics(State(room): State<Arc<Room>>) -> Response {
    match (room.web.page)() {
        Some(page) => ([(header::CONTENT_TYPE, OPENMETRICS)], page.text()).into_response(),
        None if !room.is_ready() => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        None => {
            let sentence = "no metrics are published here: write `prometheus:` under `publish:`\n";
            (StatusCode::NOT_FOUND, sentence).into_response()
        }
    }
}

async fn incident_page(State(room): State<Arc<Room>>, Path(id): Path<String>, visit: Visit) -> Response {
    let plan = room.plan();
    let view = room.view(&plan, &visit);
    if id.len() > incident::ID_LENGTH_MAX {
        return html(StatusCode::NOT_FOUND, incident::unknown(&view));
    }
    let id = IncidentId(Arc::from(id));
    let read = async {
        let story = room.patiently(room.web.reader.incident(&id)).await?;
        // What stands around it now says nothing of one that is over.
        let overview = match &story {
            Some(story) if story.incident.is_open() => room.overview().await?,
            _ => Arc::default(),
        };
        Ok::<_, StoreError>(story.map(|story| (story, overview)))
    };
    match read.await {
        Ok(Some((story, overview))) => html(StatusCode::OK, incident::incident(&view, &story, &overview)),
        Ok(None) => html(StatusCode::NOT_FOUND, incident::unknown(&view)),
        Err(error) => unreadable(&view, Place::Incident, &error),
    }
}

async fn war_room_text(room: State<Arc<Room>>, id: Path<String>, visit: Visit) -> Response {
    page_of_text(room, id, visit, war_room::war_room).await
}

async fn post_mortem_text(room: State<Arc<Room>>, id: Path<String>, visit: Visit) -> Response {
    page_of_text(room, id, visit, post_mortem::post_mortem).await
}

/// A text of an incident, to be pasted elsewhere.
async fn page_of_text(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    visit: Visit,
    write: fn(&View<'_>, &IncidentStory) -> String,
) -> Response {
    let plan = room.plan();
    let (id, view) = (IncidentId(Arc::from(id)), room.view(&plan, &visit));
    let answer = |status: StatusCode, text: String| (status, [(header::CONTENT_TYPE, TEXT)], text).into_response();
    let unknown = || answer(StatusCode::NOT_FOUND, "there is no such incident\n".to_owned());
    if id.0.len() > incident::ID_LENGTH_MAX {
        return unknown();
    }
    match room.text_of(&id, &view, write).await {
        Ok(Some(text)) => answer(StatusCode::OK, text),
        Ok(None) => unknown(),
        Err(error) => answer(StatusCode::SERVICE_UNAVAILABLE, format!("the store cannot be read: {error}\n")),
    }
}

/// A page as an answer.
pub fn html(status: StatusCode, page: Markup) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
}

/// The page of a store that cannot be read.
pub fn unreadable(view: &View<'_>, place: Place, error: &dyn std::error::Error) -> Response {
    tracing::warn!(%error, "a page could not read the store");
    html(StatusCode::SERVICE_UNAVAILABLE, status::unreadable(view, place, &error.to_string()))
}

impl Room {
    /// A room in which nothing has been read yet.
    fn of(web: Web, local: SocketAddr, table: Table, deeds: TaskTracker) -> Self {
        Self {
            web,
            local,
            overview: Mutex::new(None),
            fronts: Kept::new(front::KEPT_MAX, OVERVIEW_FRESH, |(status, _)| status.is_success()),
            publics: Kept::new(public::KEPT_MAX, public::FRESH, Option::is_some),
            days: front::Days::default(),
            door: Door::default(),
            heard: api::pagerduty::Lately::default(),
            deeds,
            limits: Limits::default(),
            table,
            reckoning: Reckoning::default(),
        }
    }

    /// Counts what comes from an address, where that is known; `path` is answered where it was too much.
    pub fn counted(&self, address: Option<IpAddr>, what: Counted, path: &str) -> Result<(), Response> {
        let now = self.web.clock.monotonic();
        let counted = address.map_or(Ok(()), |address| self.limits.take(address, what, now));
        counted.map_err(|many| many.answer(path))
    }

    /// What runs now.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.web.plan.borrow())
    }

    /// Whether the state is loaded.
    pub fn is_ready(&self) -> bool {
        *self.web.ready.borrow()
    }

    /// Lets a request in, or answers it. Whoever has the token is never refused for the wrong ones of others: behind a proxy all
    /// have one address, and an incident is when somebody would like nobody to be let in.
    async fn admit(&self, head: &Parts) -> Result<Caller, Response> {
        let (plan, now, uri) = (self.plan(), self.web.clock.monotonic(), &head.uri);
        let path = head.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        let entry = self.table.entry(path, &head.method);
        let mut entry = entry.map_err(|known| Refusal::Method(known).answer(uri.path()))?;
        let reads = head.method == Method::GET || head.method == Method::HEAD;
        if path.is_none() && reads && public::is_public(&plan, uri.path()) {
            entry.scope = Scope::Open;
        }
        let peer = head.extensions.get::<Peer>().map(|peer| peer.0);
        let asked = Asked { entry, method: &head.method, uri, headers: &head.headers, peer };
        let client = asked.client(plan.web.proxy.as_ref());
        let counted = |what| self.counted(client, what, uri.path());
        // Who floods us with them is in the log often enough after a few.
        let refused = |why: &str| {
            self.web.desk.refuse();
            if counted(Counted::Told).is_ok() {
                let from = client.map(|client| client.to_string()).unwrap_or_default();
                tracing::warn!(from, method = %head.method, path, why, "a change was refused");
            }
        };
        let admitted = access::admit(&plan, self.local, &asked).await;
        self.web.desk.tell_refused(now);
        match admitted {
            Err(refusal) => {
                if asked.changes() && refusal.is_denial() {
                    refused(&refusal.words().1);
                }
                let is_guess = refusal.is_of_no_token() && head.headers.contains_key(header::AUTHORIZATION);
                let counted = if is_guess { counted(Counted::WrongToken) } else { Ok(()) };
                Err(counted.err().unwrap_or_else(|| refusal.answer(uri.path())))
            }
            Ok(caller) if asked.changes() => counted(Counted::Change)
                .inspect_err(|_| refused("too much is changed from this address"))
                .map(|()| caller),
            Ok(caller) => Ok(caller),
        }
    }

    /// What pages and texts are made with.
    pub fn view<'a>(&self, plan: &'a Plan, visit: &Visit) -> View<'a> {
        let (trouble, lost) = (self.web.unrecorded.trouble(), self.web.unrecorded.lost());
        let (now, began_at) = (self.web.clock.now(), self.web.loadings.known().began_at);
        View { plan, now, began_at, visit: visit.clone(), seen: self.seen(), trouble, lost }
    }

    /// Whoever has changed something sees it.
    pub async fn look_anew(&self) {
        *self.overview.lock().await = None;
        self.fronts.forget();
    }

    /// How things stand at this moment, but for runs: who acts on it must not act on what was. One reads at a time.
    pub async fn as_it_is(&self) -> Result<Overview, StoreError> {
        let _turn = self.overview.lock().await;
        self.patiently(self.web.reader.overview(self.web.clock.now())).await
    }

    /// What has changed so far.
    fn seen(&self) -> Generations {
        self.web.desk.changes().map(|changes| *changes.borrow()).unwrap_or_default()
    }

    /// A page of what is read for it, or one that says why there is none.
    pub async fn shown<T>(
        &self,
        visit: &Visit,
        place: Place,
        read: impl Future<Output = Result<T, DeskError>>,
        draw: impl FnOnce(&View<'_>, &T) -> Markup,
    ) -> Response {
        let plan = self.plan();
        if !self.is_ready() {
            return html(StatusCode::SERVICE_UNAVAILABLE, status::starting(&self.view(&plan, visit), place));
        }
        match read.await {
            Ok(read) => html(StatusCode::OK, draw(&self.view(&plan, visit), &read)),
            Err(error) => unreadable(&self.view(&plan, visit), place, &error),
        }
    }

    /// How things stand, with the runs of the last hour; as it was a second ago at most.
    pub async fn overview(&self) -> Result<Arc<Overview>, StoreError> {
        self.known().await.map(|(_, overview)| overview)
    }

    /// The same, with what had changed by then.
    pub async fn known(&self) -> Result<(Generations, Arc<Overview>), StoreError> {
        let mut kept = self.overview.lock().await;
        if let Some(Known { read_at, seen, overview }) = kept.as_ref()
            && self.web.clock.monotonic().since(*read_at) < OVERVIEW_FRESH
        {
            return Ok((*seen, Arc::clone(overview)));
        }
        let (seen, since) = (self.seen(), earlier(self.web.clock.now(), chart::HOUR));
        let overview = Arc::new(self.patiently(self.web.reader.overview(since)).await?);
        let read_at = self.web.clock.monotonic();
        *kept = Some(Known { read_at, seen, overview: Arc::clone(&overview) });
        Ok((seen, overview))
    }

    /// A text of an incident; nothing where there is no such incident.
    pub async fn text_of(
        &self,
        id: &IncidentId,
        view: &View<'_>,
        write: fn(&View<'_>, &IncidentStory) -> String,
    ) -> Result<Option<String>, StoreError> {
        let story = self.patiently(self.web.reader.incident(id)).await?;
        Ok(story.map(|story| write(view, &story)))
    }

    /// A page of a store that hangs says so.
    pub async fn patiently<T>(&self, read: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let until = self.web.clock.monotonic() + STORE_PATIENCE;
        tokio::select! {
            read = read => read,
            () = self.web.clock.sleep_until(until) => {
                let patience = crate::domain::time::words(STORE_PATIENCE);
                Err(StoreError::Failed(format!("no answer within {patience}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::engine::plan::PublicPlan;
    use crate::engine::testing::{TestClock, plan_of};
    use crate::ports::StatusReader;
    use futures::future::BoxFuture;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::watch;

    #[derive(Default)]
    struct Counting(AtomicU32);

    impl StatusReader for Counting {
        fn overview(&self, _: Timestamp) -> BoxFuture<'_, Result<Overview, StoreError>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async {
                tokio::task::yield_now().await;
                Ok(Overview::default())
            })
        }
        fn incident(&self, _: &IncidentId) -> BoxFuture<'_, Result<Option<IncidentStory>, StoreError>> {
            unreachable!("no page of an incident is asked for")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_open_pages_read_the_store_once_a_second() {
        let reader = Arc::new(Counting::default());
        let web = Web {
            reader: Arc::clone(&reader) as Arc<dyn StatusReader>,
            history: Arc::new(crate::web::tests::fixture::Past::default()),
            clock: TestClock::starting("2026-11-24T10:00:00Z"),
            plan: watch::channel(Arc::new(plan_of(Vec::new()))).1,
            page: Arc::new(|| None),
            ready: watch::channel(true).1,
            pings: Arc::new(crate::engine::pulses::Pulses::default()),
            desk: Arc::default(),
            unrecorded: Arc::default(),
            loadings: Arc::default(),
            reckon: Arc::new(|_, _| Ok(crate::web::reckoning::Reckoned::default())),
        };
        let local = "127.0.0.1:80".parse().unwrap();
        let room = Room::of(web, local, Table::of(Vec::new()).0, TaskTracker::new());
        let all = futures::future::join_all((0..50).map(|_| room.overview())).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(reader.0.load(Ordering::Relaxed), 1);
        tokio::time::advance(OVERVIEW_FRESH).await;
        room.overview().await.unwrap();
        assert_eq!(reader.0.load(Ordering::Relaxed), 2);
    }

    /// A page of everybody's at such a path would never be shown.
    #[test]
    fn the_public_page_takes_no_path_of_ours() {
        let first = |row: &Row| row.path.split('/').nth(1).unwrap_or_default();
        let mut ours: Vec<_> = rows().iter().map(first).filter(|first| !first.is_empty()).collect();
        ours.sort_unstable();
        ours.dedup();
        assert_eq!(ours, PublicPlan::TAKEN);
    }
}
