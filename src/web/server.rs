//! How connections are served: how long a head may take and how large it may be. A peer that sends slowly, or never stops asking,
//! costs itself only; who has a place is for [`super::places`] to say.
//!
//! An answer that lasts takes the [`super::places::Connection`] from the extensions of its request and asks it for a place of its
//! own. It holds what it is given as long as it writes, and ends when that says so.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::limits::Peer;
use super::places::{Place, Places, Written};
use super::reckoning::Reckon;
use super::routes;
use crate::engine::desk::Desk;
use crate::engine::loadings::Loadings;
use crate::engine::plan::Plan;
use crate::engine::unrecorded::Unrecorded;
use crate::ports::{Clock, Exposition, HistoryReader, Pings, StatusReader};

/// How long the head of a request may take. It also ends connections on which nothing is asked.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head of a request, in bytes.
const HEAD_MAX: usize = 16 * 1024;

/// How long answers may still take once their connection is to end.
const GRACE: Duration = Duration::from_secs(2);

/// How long to wait after the system refused a connection, most likely for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// What the pages are made of.
#[derive(Clone)]
pub struct Web {
    /// Reads the store.
    pub reader: Arc<dyn StatusReader>,
    /// Reads what was.
    pub history: Arc<dyn HistoryReader>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// What runs now; a reload sends another.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// The text of `/metrics`, where a publisher has one.
    pub page: Arc<dyn Fn() -> Option<Arc<dyn Exposition>> + Send + Sync>,
    /// Whether the state is loaded. Until then there are no pages but one that says so.
    pub ready: watch::Receiver<bool>,
    /// Takes what jobs elsewhere say of themselves.
    pub pings: Arc<dyn Pings>,
    /// Takes what people do.
    pub desk: Arc<Desk>,
    /// Knows whether the store takes what happens.
    pub unrecorded: Arc<Unrecorded>,
    /// Knows how the files were loaded.
    pub loadings: Arc<Loadings>,
    /// Says what a plan takes.
    pub reckon: Reckon,
}

/// Answers until it is told to stop; then ends what is under way within two seconds.
pub async fn serve(listener: TcpListener, web: Web, stop: CancellationToken) {
    let local: SocketAddr = match listener.local_addr() {
        Ok(local) => local,
        Err(error) => {
            tracing::error!(%error, "the page's listener has no address: there is no page");
            return;
        }
    };
    let (clock, plan) = (Arc::clone(&web.clock), web.plan.clone());
    let places = Places::new(Arc::clone(&clock), stop.clone());
    let router = routes::router(web, local);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => note(ended),
            () = places.changed.notified() => {}
            accepted = listener.accept(), if places.has_room() => match accepted {
                Ok((stream, peer)) => {
                    let peer = peer.ip();
                    let is_of_many = plan.borrow().web.proxy.as_ref().is_some_and(|proxy| proxy.is_at(peer));
                    if let Some(place) = places.take(peer, is_of_many) {
                        let router = router.clone();
                        connections.spawn(converse(stream, Peer(peer), place, router, Arc::clone(&clock), stop.clone()));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the page was not accepted");
                    clock.sleep_until(clock.monotonic() + ACCEPT_REST).await;
                }
            },
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "our own fault: an answer of the page ended early");
    }
}

/// One connection, from its first request to its last.
async fn converse(
    stream: TcpStream,
    peer: Peer,
    place: Place,
    router: Router,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let (router, connection) = (TowerToHyperService::new(router), place.connection.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let answering = connection.answering();
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(connection.clone());
        let answer = router.call(request);
        async move { Ok::<_, Infallible>(answer.await?.map(|body| Written { body, answering })) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // What goes wrong on a connection is its peer's affair.
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = place.cut.cancelled() => return,
            () = stop.cancelled() => break,
            () = clock.sleep_until(place.until()) => if clock.monotonic() >= place.until() { break },
        }
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = clock.sleep_until(clock.monotonic() + GRACE) => {}
    }
}
