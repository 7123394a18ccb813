//! A probe of a plan run once, and what the daemon's pages say of it.

use std::sync::Arc;

use roundsman::clock::SystemClock;
use roundsman::domain::outcome::Run;
use roundsman::engine::plan::Plan;
use roundsman::engine::pulses::Pulses;
use roundsman::engine::runner::{Order, Runner};
use roundsman::net::client;
use roundsman::ports::Clock as _;
use roundsman::{store, web};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Runs a probe of a plan once; `tells_all` as `once --verbose` does.
pub async fn run(plan: &Arc<Plan>, clock: &Arc<SystemClock>, probe: &str, tells_all: bool) -> Run {
    let runner = Runner::new(Arc::clone(clock) as _, CancellationToken::new());
    let runner = if tells_all { runner.telling_all() } else { runner };
    let probe = plan.probes.get(probe).expect("a probe");
    let schedule = plan.schedules.values().next().cloned();
    let (slot, due) = (clock.now(), clock.monotonic());
    runner
        .run(Order { plan: Arc::clone(plan), probe: Arc::clone(probe), schedule, extra: None, slot, due_at: slot, due })
        .await
}

/// A page of the daemon, as a browser gets it.
pub async fn page_of(plan: &Arc<Plan>, clock: &Arc<SystemClock>, store: &Arc<store::Sqlite>, path: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}{path}", listener.local_addr().expect("an address"));
    let (_plans, plan) = tokio::sync::watch::channel(Arc::clone(plan));
    let (_ready, ready) = tokio::sync::watch::channel(true);
    let (reader, history, clock) = (Arc::clone(store) as _, Arc::clone(store) as _, Arc::clone(clock) as _);
    let web = web::Web {
        reader,
        history,
        clock,
        plan,
        page: Arc::new(|| None),
        ready,
        pings: Arc::new(Pulses::default()),
        desk: Arc::default(),
        unrecorded: Arc::default(),
        loadings: Arc::default(),
        reckon: Arc::new(|_, _| Ok(web::reckoning::Reckoned::default())),
    };
    let stop = CancellationToken::new();
    let asking = async {
        let answer = client::shared().expect("a client").get(url).send().await.expect("an answer");
        let page = answer.text().await.expect("a page");
        stop.cancel();
        page
    };
    futures::join!(web::serve(listener, web, stop.clone()), asking).1
}
