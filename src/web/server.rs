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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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

/// How long what is written may still take once a connection is to end, and answers where the process is to.
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
    let deeds = TaskTracker::new();
    let router = routes::router(web, local, deeds.clone());
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
    let end = clock.monotonic() + GRACE;
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
    deeds.close();
    tokio::select! {
        () = deeds.wait() => {}
        () = clock.sleep_until(end) => {}
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "our own fault: an answer of the page ended early");
    }
}

/// One connection, from its first request to its last.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
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
    let grace = || clock.sleep_until(clock.monotonic() + GRACE);
    let end = async {
        grace().await;
        // What is being answered is answered, unless the process is to end.
        while let Some(by) = place.answered_by().filter(|by| clock.monotonic() < *by && !stop.is_cancelled()) {
            tokio::select! {
                () = stop.cancelled() => grace().await,
                () = clock.sleep_until(by) => {}
            }
        }
    };
    tokio::select! {
        _ = connection => {}
        () = end => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::TestClock;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    /// A connection whose router answers `/now` at once and `/late` after a while, the peer's end of it, and what stops it.
    fn conversing(late: Duration) -> (DuplexStream, Arc<TestClock>, CancellationToken, JoinSet<()>) {
        let clock = TestClock::starting("2026-11-24T10:00:00Z");
        let (stop, (ours, theirs)) = (CancellationToken::new(), tokio::io::duplex(1_024));
        let place = Places::new(Arc::clone(&clock) as _, stop.clone()).take([192, 0, 2, 1].into(), false).unwrap();
        let answers = Arc::clone(&clock);
        let answer = move || async move {
            answers.sleep_until(answers.monotonic() + late).await;
            "late"
        };
        let router = Router::new().route("/now", get(async || "now")).route("/late", get(answer));
        let peer = Peer([192, 0, 2, 1].into());
        let mut serving = JoinSet::new();
        serving.spawn(converse(ours, peer, place, router, Arc::clone(&clock) as _, stop.clone()));
        (theirs, clock, stop, serving)
    }

    /// Asks again and again on one connection, at last for what is late, and hears how that ends and when.
    async fn asked(stream: &mut DuplexStream, clock: &TestClock) -> (String, u64) {
        let began = clock.monotonic();
        for _ in 0..14 {
            stream.write_all(b"GET /now HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut piece = [0; 1_024];
            let length = stream.read(&mut piece).await.unwrap();
            assert!(piece[..length].ends_with(b"now"));
            clock.sleep_until(clock.monotonic() + Duration::from_secs(4)).await;
        }
        stream.write_all(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut rest = String::new();
        let _ = stream.read_to_string(&mut rest).await;
        (rest, clock.monotonic().since(began).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_being_answered_when_a_connection_has_lived_long_enough_is_answered() {
        let (mut stream, clock, _stop, _serving) = conversing(Duration::from_secs(9));
        let (rest, ended) = asked(&mut stream, &clock).await;
        assert!(rest.ends_with("late"), "{rest}");
        assert_eq!(ended, 65, "and nothing more is asked on it");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_is_not_waited_for() {
        let (mut stream, clock, _stop, _serving) = conversing(Duration::from_hours(1));
        let (rest, ended) = asked(&mut stream, &clock).await;
        assert_eq!((rest.as_str(), ended), ("", 56 + 70));
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_the_process_waits_for_no_answer_though_a_connection_is_to_end_anyway() {
        let (mut stream, clock, stop, _serving) = conversing(Duration::from_hours(1));
        let stopper = async {
            clock.sleep_until(clock.monotonic() + Duration::from_secs(80)).await;
            stop.cancel();
        };
        let ((rest, ended), ()) = tokio::join!(asked(&mut stream, &clock), stopper);
        assert_eq!((rest.as_str(), ended), ("", 80 + GRACE.as_secs()));
    }
}
