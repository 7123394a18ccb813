//! `demo`: the daemon on a real configuration, with a small shop of its own to watch, and a pager of its own that shows
//! what on-call would get. No account, no network: everything is on loopback.
//!
//! [`shop`] is the shop, over HTTP and HTTPS, with its [`cache`] and its [`database`], and [`storefront`] what of it anybody
//! may see; `news` are pushed over a WebSocket and `orders` answer over gRPC; [`certificate`] makes the certificate that it
//! shows; [`names`] answers for its name; [`cloud`] says how what it stands on is, and has its [`pool`] of users; [`pager`] takes the alerts; [`export`] is a job that pings, and [`dumps`] are what another leaves.
//! What is written for an account stays [`offline`].

pub mod cache;
pub mod certificate;
pub mod cloud;
pub mod database;
pub mod dumps;
pub mod export;
pub mod names;
#[cfg(feature = "websocket")]
pub mod news;
pub mod offline;
#[cfg(feature = "grpc")]
pub mod orders;
pub mod pager;
pub mod pool;
pub mod shop;
pub mod storefront;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::certificate::Certificate;
use self::dumps::Dumps;
use self::export::Export;
use self::pool::Pool;
use self::shop::{Breakage, SHOPPER_PASSWORD, Shop};
use super::answer::{Answer, Output, Stop};
use super::cli::DemoArguments;
use super::daemon::{Daemon, Keeping};
use super::wiring;
use crate::config::load::Surroundings;
use crate::engine::runner::new_id;
use crate::ports::Clock;

/// When the shop breaks, so that a newcomer has seen it well before …
const BREAK_AFTER: Duration = Duration::from_secs(20);

/// … and sees it mended within two minutes.
const MEND_AFTER: Duration = Duration::from_secs(95);

/// The name by which the shop is known to the demo's own name server and certificate.
const SHOP_NAME: &str = "shop.demo";

/// Runs the demo.
pub async fn demo(directory: PathBuf, surroundings: Surroundings, arguments: DemoArguments) -> Result<Answer, Stop> {
    let mut tasks = JoinSet::new();
    let shop = Arc::new(Shop::open(Arc::clone(&surroundings.clock)));
    let places = Places::open(&shop, &mut tasks).await?;
    let export_token = new_id(surroundings.clock.now());
    let environment = places.environment(wiring::environment(), export_token.clone());
    let kinds = offline::kinds(surroundings.kinds);
    let surroundings = Surroundings { kinds, environment, ..surroundings };

    let mut out = Output::default();
    out.line(format_args!("The shop is at http://{}, and the demo's pager at http://{}.", places.api, places.pager))?;
    match arguments.breakage {
        Some(what) => out.line(format_args!(
            "It is {} from second {} to second {}.",
            what.words(),
            BREAK_AFTER.as_secs(),
            MEND_AFTER.as_secs()
        ))?,
        None => out.line("Add `--break database` to see an incident open, explain itself and resolve.")?,
    }
    if let Some(what) = arguments.breakage {
        tasks.spawn(break_and_mend(Arc::clone(&surroundings.clock), shop, what));
    }
    let page = watch::Sender::default();
    let (clock, http) = (Arc::clone(&surroundings.clock), surroundings.http.clone());
    tasks.spawn(Export { clock, http, token: export_token }.run(page.subscribe()));
    let (limit, loadings) = (arguments.limit.length, Arc::default());
    Daemon { directory, surroundings, keeping: Keeping::Nothing, limit, page, loadings }.run().await
}

async fn break_and_mend(clock: Arc<dyn Clock>, shop: Arc<Shop>, what: Breakage) {
    let start = clock.monotonic();
    clock.sleep_until(start + BREAK_AFTER).await;
    tracing::info!("the demo breaks the shop: it is {}", what.words());
    shop.break_with(Some(what));
    clock.sleep_until(start + MEND_AFTER).await;
    tracing::info!("the demo mends the shop");
    shop.break_with(None);
}

/// Where the parts of the demo listen.
struct Places {
    api: SocketAddr,
    tls: SocketAddr,
    plain: SocketAddr,
    names: SocketAddr,
    news: SocketAddr,
    orders: SocketAddr,
    pager: SocketAddr,
    cache: SocketAddr,
    database: SocketAddr,
    cloud: SocketAddr,
    authority: String,
    dumps: Dumps,
}

impl Places {
    async fn open(shop: &Arc<Shop>, tasks: &mut JoinSet<()>) -> Result<Self, Stop> {
        let fault = |what: &str, error: &dyn std::fmt::Display| Stop::Fault(format!("the demo's {what}: {error}"));
        let (api, api_at) = listen().await.map_err(|error| fault("shop cannot listen", &error))?;
        let (tls, tls_at) = listen().await.map_err(|error| fault("shop cannot listen", &error))?;
        let (plain, plain_at) = listen().await.map_err(|error| fault("shop cannot listen", &error))?;
        let (pager, pager_at) = listen().await.map_err(|error| fault("pager cannot listen", &error))?;
        let (cache, cache_at) = listen().await.map_err(|error| fault("cache cannot listen", &error))?;
        let (database, database_at) = listen().await.map_err(|error| fault("database cannot listen", &error))?;
        let (cloud, cloud_at) = listen().await.map_err(|error| fault("cloud cannot listen", &error))?;
        #[cfg_attr(not(feature = "websocket"), expect(unused_variables, reason = "nobody is there to answer"))]
        let (news, news_at) = listen().await.map_err(|error| fault("news cannot listen", &error))?;
        #[cfg_attr(not(feature = "grpc"), expect(unused_variables, reason = "nobody is there to answer"))]
        let (orders, orders_at) = listen().await.map_err(|error| fault("orders cannot listen", &error))?;
        let names = UdpSocket::bind(("127.0.0.1", 0)).await;
        let names = names.map_err(|error| fault("name server cannot listen", &error))?;
        let names_at = names.local_addr().map_err(|error| fault("name server cannot listen", &error))?;
        let certificate = Certificate::of(&[SHOP_NAME, "localhost", "127.0.0.1"]);
        let certificate = certificate.map_err(|error| fault("certificate cannot be made", &error))?;
        tasks.spawn(shop::serve(api, Arc::clone(shop)));
        tasks.spawn(shop::serve_tls(tls, certificate.acceptor, Arc::clone(shop)));
        let of_cache = Arc::clone(shop);
        tasks.spawn(async move { of_cache.keep_open(cache, cache::serve).await });
        let of_database = Arc::clone(shop);
        tasks.spawn(async move { of_database.keep_open(database, database::serve).await });
        let https = format!("https://localhost:{}", tls_at.port());
        shop.stand_at(&https);
        tasks.spawn(storefront::serve_redirect(plain, https));
        tasks.spawn(names::serve(names, SHOP_NAME, api_at.ip()));
        #[cfg(feature = "websocket")]
        tasks.spawn(news::serve(news));
        #[cfg(feature = "grpc")]
        tasks.spawn(orders::serve(orders));
        tasks.spawn(pager::serve(pager));
        tasks.spawn(cloud::serve(cloud, Arc::clone(shop), Arc::new(Pool::default())));
        let authority = certificate.authority_pem;
        let dumps = Dumps::make(shop.time()).map_err(|error| fault("dumps cannot be written", &error))?;
        Ok(Self {
            api: api_at,
            tls: tls_at,
            plain: plain_at,
            names: names_at,
            cache: cache_at,
            database: database_at,
            cloud: cloud_at,
            news: news_at,
            orders: orders_at,
            pager: pager_at,
            authority,
            dumps,
        })
    }

    /// The environment of the process, and over it what leads the repository's configuration to the demo's shop.
    fn environment(
        &self,
        process: Arc<crate::config::resolve::Environment>,
        export_token: String,
    ) -> Arc<crate::config::resolve::Environment> {
        let ours: BTreeMap<&str, String> = BTreeMap::from([
            ("API_URL", format!("http://{}", self.api)),
            ("SHOP_URL", format!("https://localhost:{}", self.tls.port())),
            ("SHOP_PLAIN_URL", format!("http://{}", self.plain)),
            ("SHOP_TLS", self.tls.to_string()),
            ("SHOP_CA", self.authority.clone()),
            ("SHOP_NAME", SHOP_NAME.to_owned()),
            ("SHOP_DOMAIN", SHOP_NAME.to_owned()),
            ("RDAP_URL", format!("http://{}/rdap", self.api)),
            ("DNS_SERVER", self.names.to_string()),
            ("CACHE", self.cache.to_string()),
            ("DATABASE", self.database.to_string()),
            ("CLOUD_URL", format!("http://{}", self.cloud)),
            ("NEWS_URL", format!("ws://{}/", self.news)),
            ("ORDERS_URL", format!("grpc://{}", self.orders)),
            ("PAGER_URL", format!("http://{}/", self.pager)),
            ("PAGERDUTY_URL", format!("http://{}", self.pager)),
            ("PAGERDUTY_API_TOKEN", pager::TOKEN.to_owned()),
            ("SHOPPER_PASSWORD", SHOPPER_PASSWORD.to_owned()),
            ("DUMPS", self.dumps.path().display().to_string()),
            ("EXPORT_TOKEN", export_token),
        ]);
        Arc::new(move |name: &str| ours.get(name).cloned().or_else(|| process(name)))
    }
}

async fn listen() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::drill::probes::drill_all;
    use crate::app::drill::report;
    use crate::app::drill::weighing::{DrilledStep, Outcome};
    use crate::app::threads::ProbeThreads;
    use crate::clock::SystemClock;
    use crate::config::load::load;
    use crate::domain::outcome::{Cause, Verdict};
    use crate::engine::plan::{Plan, PlannedProbe};
    use crate::engine::runner::{Order, Runner};
    use tokio_util::sync::CancellationToken;

    /// The plan of the repository on a shop that is open as long as the tasks, and its places.
    async fn repository(clock: &Arc<dyn Clock>, tasks: &mut JoinSet<()>) -> (Arc<Plan>, Places) {
        let shop = Arc::new(Shop::open(Arc::clone(clock)));
        let places = Places::open(&shop, tasks).await.unwrap();
        let environment = places.environment(Arc::new(|_: &str| None), "a-token-of-the-test".to_owned());
        let surroundings = wiring::surroundings(environment).unwrap();
        let loaded = load(std::path::Path::new(env!("CARGO_MANIFEST_DIR")), &surroundings);
        (Arc::new(loaded.plan.unwrap_or_else(|| panic!("{}", loaded.problems.render(false)))), places)
    }

    #[tokio::test]
    async fn every_probe_of_the_repository_passes_on_the_shop() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let mut tasks = JoinSet::new();
        let (plan, _places) = repository(&clock, &mut tasks).await;
        let runner = Runner::new(Arc::clone(&clock), CancellationToken::new());
        // What asks an account of AWS, which only who has one asks for, is for those who have one.
        let asks = |probe: &PlannedProbe| probe.steps.iter().any(|step| !step.action.calls().is_empty());
        let is_for_demo = |probe: &&Arc<PlannedProbe>| !(probe.waits_to_be_told() || probe.on_request && asks(probe));
        // What uses up a limit comes last.
        let mut probes: Vec<_> = plan.probes.values().filter(is_for_demo).collect();
        probes.sort_by_key(|probe| probe.on_request);
        for probe in probes {
            let (slot, due) = (clock.now(), clock.monotonic());
            let (plan, probe) = (Arc::clone(&plan), Arc::clone(probe));
            let name = probe.name.clone();
            let run = runner.run(Order { plan, probe, schedule: None, extra: None, slot, due_at: slot, due }).await;
            // Nobody asked for pings here.
            let expected =
                if name.as_str() == "way@gateway" { Verdict::Inconclusive(Cause::Skipped) } else { Verdict::Passed };
            assert_eq!(run.verdict, expected, "{name}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whatever_a_drill_of_the_repository_passes_is_explained() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let mut tasks = JoinSet::new();
        let (plan, _places) = repository(&clock, &mut tasks).await;
        let looks = plan.probes.values().filter(|probe| !probe.waits_to_be_told() && !probe.on_request);
        let probing = ProbeThreads::start().unwrap();
        let drilled = drill_all(&plan, looks.cloned().collect(), &clock, probing.handles()).await.unwrap();
        let told = anstream::adapter::strip_str(&report::text(&drilled)).to_string();
        for drilled in &drilled {
            match &drilled.outcome {
                Outcome::Drilled(steps) => {
                    let is_clean = |step: &DrilledStep| step.unexplained().next().is_none() && step.idle.is_empty();
                    assert!(steps.iter().all(is_clean), "{}:\n{told}", drilled.probe);
                }
                outcome => {
                    let is_skipped = matches!(outcome, Outcome::Skipped);
                    assert!(is_skipped && drilled.probe.as_str() == "way@gateway", "{}:\n{told}", drilled.probe);
                }
            }
        }
    }
}
