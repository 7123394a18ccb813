//! `run`: the daemon. Everything that can be refused is refused before anything is started; then it goes on until it is
//! told to stop, and puts everything away.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Stop};
use super::edits::Edits;
use super::plan::reckoned::reckoned;
use super::signals::{Signals, Told};
use super::threads::{ProbeThreads, end_process};
use super::wiring;
use crate::config::load::{Loaded, Surroundings, load, missing_secrets};
use crate::config::web::guessable_tokens;
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::time::{Length, earlier};
use crate::engine::desk::{Desk, Inside};
use crate::engine::fanout::Fanout;
use crate::engine::loadings::Loadings;
use crate::engine::plan::Plan;
use crate::engine::reloads::{self, Reloaded, Reloads};
use crate::engine::start::{Engine, Rooms};
use crate::engine::unrecorded::Unrecorded;
use crate::engine::watchdog::{Patience, Watchdog};
use crate::ports::{Clock, PublisherFactory, Store, StoreError};
use crate::settings::{Level, Problem, Problems};
use crate::store::{self, Sqlite};
use crate::ticks::CronTicks;
use crate::web::{self, Web};

/// How long the store has to end, after what the engine takes; containers kill after ten seconds in all.
const STORE_END_MAX: Duration = Duration::from_millis(400);

/// How often what is older than the retention is erased.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);

/// For how long is kept how runs ended by the hour and the day, at least: as far as the bars of the status page go back.
const PAST_MIN: Duration = Duration::from_hours(90 * 24);

/// How often runs are counted by the hour and the day: until then they are read one by one.
const ROLL_UP_EVERY: Duration = Duration::from_secs(60);

/// How long it rests between two slices.
const ROLL_UP_REST: Duration = Duration::from_millis(20);

/// How the names of stores begin of which nothing stays.
const KEPT_BY_NOBODY: &str = "demo-";

/// What stays when the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// Everything, in the store that the configuration names.
    Everything,
    /// Nothing: the store begins empty, beside the configuration's own, which is left alone.
    Nothing,
}

impl Keeping {
    /// A plan with the store that it really has.
    fn placed(self, mut plan: Plan) -> Plan {
        if self == Self::Nothing {
            plan.store = plan.store.with_file_name(format!("{KEPT_BY_NOBODY}{}.db", std::process::id()));
        }
        plan
    }
}

/// The daemon before it runs.
pub struct Daemon {
    /// Where the configuration is.
    pub directory: PathBuf,
    /// What loading it needs.
    pub surroundings: Surroundings,
    /// What stays when it ends.
    pub keeping: Keeping,
    /// How long it goes on, if not for ever.
    pub limit: Option<Length>,
    /// Is told where the page is, once there is one.
    pub page: watch::Sender<Option<SocketAddr>>,
    /// What becomes of its configuration.
    pub loadings: Arc<Loadings>,
}

impl Daemon {
    /// Goes on until it is told to stop, or until its time is over. Either is exit 0.
    pub async fn run(self) -> Result<Answer, Stop> {
        let mut signals = Signals::take()?;
        let first = async {
            // Seen before they are read, so that what is written meanwhile is seen as a change.
            let edits = Edits::of(&self.directory).await;
            Ok::<_, Stop>((Arc::new(self.first_plan().await?), edits))
        };
        let (plan, edits) = tokio::select! {
            first = first => first?,
            () = signals.end() => return Ok(Answer::Well),
        };
        self.loadings.begin(&self.directory, self.surroundings.clock.now());
        let listener = bind(&plan).await?;
        let path = plan.store.clone();
        if let (Keeping::Nothing, Some(directory)) = (self.keeping, path.parent()) {
            store::erase_left(directory, KEPT_BY_NOBODY);
        }
        let store = store::open(&path).map_err(|error| Stop::Fault(error.to_string()))?;
        let clock = Arc::clone(&self.surroundings.clock);
        let answer = self.serve(plan, listener, Arc::clone(&store), (signals, edits)).await;
        let until = clock.monotonic() + STORE_END_MAX;
        tokio::select! {
            () = store.close() => {}
            () = clock.sleep_until(until) => tracing::warn!("the store did not close in time; its log is read at the next start"),
        }
        if self.keeping == Keeping::Nothing {
            store::erase(&path);
        }
        answer
    }

    async fn serve(
        &self,
        plan: Arc<Plan>,
        listener: TcpListener,
        store: Arc<Sqlite>,
        (mut signals, mut edits): (Signals, Edits),
    ) -> Result<Answer, Stop> {
        let fault = |error: &dyn std::fmt::Display| Stop::Fault(error.to_string());
        let threads = ProbeThreads::start()?;
        let ticks = CronTicks::start().await.map_err(|error| fault(&error))?;
        let clock: Arc<dyn Clock> = Arc::clone(&self.surroundings.clock);
        let address = listener.local_addr().map_err(|error| fault(&error))?;
        let (ready, readiness) = watch::channel(false);
        let stop_page = CancellationToken::new();
        let mut tasks = JoinSet::new();

        // The page is there before the state is loaded, and says so until it is.
        let fanout = match self.keeping {
            Keeping::Everything => Fanout::beside(&plan.store),
            Keeping::Nothing => Fanout::default(),
        };
        let plans = watch::Sender::new(Arc::clone(&plan));
        let (page, desk, unrecorded) = (fanout.clone(), Arc::new(Desk::default()), Arc::<Unrecorded>::default());
        if let Some(lost) = store.lost() {
            tracing::error!("the store was damaged: {lost}");
            unrecorded.lose(lost);
        }
        let page = Web {
            reader: Arc::clone(&store) as _,
            history: Arc::clone(&store) as _,
            clock: Arc::clone(&clock),
            plan: plans.subscribe(),
            page: Arc::new(move || page.page()),
            ready: readiness,
            pings: Arc::clone(&self.surroundings.pulses) as _,
            desk: Arc::clone(&desk),
            unrecorded: Arc::clone(&unrecorded),
            loadings: Arc::clone(&self.loadings),
            reckon: Arc::new(reckoned),
        };
        tasks.spawn(web::serve(listener, page, stop_page.clone()));
        let rooms = Rooms {
            clock: Arc::clone(&clock),
            ticks: Box::new(ticks),
            store: Arc::clone(&store) as Arc<dyn Store>,
            reader: Arc::clone(&store) as _,
            plan: plans,
            fanout,
            threads: threads.handles().to_vec(),
            pulses: Arc::clone(&self.surroundings.pulses),
            unrecorded,
        };
        let (reloads, mut asked) = Reloads::new();
        let mut engine = Engine::start(rooms).await.map_err(|error| fault(&error))?;
        desk.open(Inside {
            notices: engine.notices(),
            outbox: Arc::clone(&store) as _,
            replies: Arc::clone(&store) as _,
            wake: engine.wake(),
            drills: engine.drills(),
            reloads,
            standings: engine.standings(),
            changes: engine.vitals().changes.watch(),
            vitals: engine.vitals(),
            permits: engine.permits(),
            fanout: engine.fanout().clone(),
        });
        ready.send_replace(true);
        self.page.send_replace(Some(address));
        tracing::info!(
            probes = plan.scheduled().len(),
            schedules = plan.schedules.len(),
            "making the rounds of {}; the page is at http://{address}",
            plan.site
        );
        let watchdog = Watchdog::start(engine.vitals(), Patience::default(), end_process);
        let watchdog = watchdog.map_err(|error| fault(&error))?;
        check_publishers(&plan, &mut tasks);
        tasks.spawn(roll_up(Arc::clone(&clock), Arc::clone(&store)));
        tasks.spawn(purge(Arc::clone(&clock), Arc::clone(&store), engine.plan()));

        let answer = self.until_told(&mut engine, &*clock, (&mut signals, &mut asked, &mut edits), &mut tasks).await;
        tracing::info!("stopping: runs end with their cleanup, then everything is put away");
        stop_page.cancel();
        // Loops that end do not turn, and whoever told us to stop has patience of its own.
        drop(watchdog);
        tokio::select! {
            () = engine.stop() => {}
            () = signals.end() => {
                tracing::warn!("told to stop a second time: what was still running is a gap");
                return Ok(Answer::Fault);
            }
        }
        tasks.abort_all();
        answer
    }

    async fn until_told(
        &self,
        engine: &mut Engine,
        clock: &dyn Clock,
        (signals, asked, edits): (&mut Signals, &mut reloads::Asked, &mut Edits),
        tasks: &mut JoinSet<()>,
    ) -> Result<Answer, Stop> {
        let end = self.limit.map(|limit| clock.monotonic() + limit.0);
        let over = async {
            match end {
                Some(end) => clock.sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let mut over = std::pin::pin!(over);
        loop {
            // Whoever waits for what came of it; a signal waits for nothing.
            let waiting = tokio::select! {
                told = signals.next() => match told {
                    Told::End => return Ok(Answer::Well),
                    Told::Reload => None,
                },
                Some(waiting) = asked.recv() => Some(waiting),
                () = edits.settled(clock), if engine.plan().borrow().heeds_files => {
                    tracing::info!("the configuration's files have changed");
                    None
                }
                () = &mut over => return Ok(Answer::Well),
                task = engine.failed() => {
                    return Err(Stop::Fault(format!("{task} has ended by itself, which is a bug of Roundsman: nothing it says may be believed")));
                }
            };
            let before = Arc::clone(&engine.plan().borrow());
            let next = async {
                edits.take().await;
                self.next_plan(&before).await
            };
            let next = tokio::select! {
                next = next => next,
                () = signals.end() => return Ok(Answer::Well),
            };
            let reloaded = self.reload(&before, next, engine, clock, tasks).await;
            if let Some(waiting) = waiting {
                // Whoever asked may have gone since.
                drop(waiting.send(reloaded));
            }
        }
    }

    /// Takes the files as they are now, if they are whole; else says what is wrong and changes nothing.
    async fn reload(
        &self,
        before: &Plan,
        next: Result<(Plan, Problems), Problems>,
        engine: &mut Engine,
        clock: &dyn Clock,
        tasks: &mut JoinSet<()>,
    ) -> Reloaded {
        let reloaded = match next {
            Ok((plan, warnings)) => {
                let changes = before.changes(&plan);
                check_publishers(&plan, tasks);
                engine.reload(Arc::new(plan)).await;
                for warning in warnings.sorted() {
                    tracing::warn!("{}", warning.line());
                }
                let what = if changes.is_empty() { "nothing changed".to_owned() } else { changes.join(", ") };
                tracing::info!("the configuration was loaded again: {what}");
                self.loadings.take(changes.clone(), clock.now());
                Reloaded::Taken { changes, warnings }
            }
            Err(problems) => {
                for problem in problems.sorted() {
                    tracing::error!("{}", problem.line());
                }
                let lines = problems.sorted().into_iter().map(Problem::line).collect();
                self.loadings.refuse(lines, clock.now());
                tracing::error!("the configuration was refused whole; what ran goes on unchanged");
                Reloaded::Refused(problems)
            }
        };
        let taken = if matches!(reloaded, Reloaded::Taken { .. }) { 1.0 } else { 0.0 };
        let labels = SampleLabels::default();
        engine.fanout().send([Sample { name: MetricName::ReloadSuccess, at: clock.now(), value: taken, labels }]);
        reloaded
    }

    /// The plan that the daemon starts with.
    async fn first_plan(&self) -> Result<Plan, Stop> {
        let plan = self.keeping.placed(wiring::settled(self.load().await?)?);
        let missing = missing_secrets(&plan).await;
        // What a secret holds is seen only now, and a daemon that does not start watches nothing.
        for warning in guessable_tokens(&plan).await {
            tracing::warn!("{warning}");
        }
        if missing.is_empty() { Ok(plan) } else { Err(Stop::Usage(missing.join("\nerror: "))) }
    }

    /// Reads the files on a thread of its own: it takes seconds where they are many, and signals must be heard meanwhile.
    async fn load(&self) -> Result<Loaded, Stop> {
        let (directory, surroundings) = (self.directory.clone(), self.surroundings.clone());
        let loaded = spawn_blocking(move || load(&directory, &surroundings)).await;
        loaded.map_err(|bug| Stop::Fault(format!("the configuration was not read, which is a bug of Roundsman: {bug}")))
    }

    /// The plan of the files as they are now, with what is worth a look in them; or what is wrong.
    async fn next_plan(&self, before: &Plan) -> Result<(Plan, Problems), Problems> {
        let placeless = |sentences: Vec<String>| {
            let mut problems = Problems::new();
            let of = |sentence| Problem::placeless(Level::Error, sentence);
            sentences.into_iter().map(of).for_each(|problem| problems.push(problem));
            problems
        };
        let Loaded { plan, mut problems, .. } = self.load().await.map_err(|stop| placeless(vec![stop.to_string()]))?;
        let Some(plan) = plan.map(|plan| self.keeping.placed(plan)) else { return Err(problems.errors()) };
        let missing = missing_secrets(&plan).await;
        if !missing.is_empty() {
            return Err(placeless(missing));
        }
        let later = |what| format!("another `{what}` is used from the next start on");
        let of_store = (plan.store != before.store).then(|| later("store"));
        let of_listen = (plan.web.listen != before.web.listen).then(|| later("web.listen"));
        for warning in guessable_tokens(&plan).await.into_iter().chain(of_store).chain(of_listen) {
            problems.push(Problem::placeless(Level::Warning, warning));
        }
        Ok((plan, problems))
    }
}

async fn bind(plan: &Plan) -> Result<TcpListener, Stop> {
    let listen = plan.web.listen;
    TcpListener::bind(listen).await.map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("port {} is in use; `web.listen` in roundsman.yaml chooses another", listen.port())
            }
            _ => error.to_string(),
        };
        Stop::Fault(format!("the page cannot listen at {listen}: {reason}"))
    })
}

/// Says within seconds of the start which publishers will not be able to publish; probing does not wait for it.
fn check_publishers(plan: &Plan, tasks: &mut JoinSet<()>) {
    for (name, factory) in &plan.publishers {
        let (name, factory): (&str, Arc<dyn PublisherFactory>) = (name, Arc::clone(factory));
        tasks.spawn(async move {
            if let Err(error) = factory.check().await {
                tracing::error!(publisher = name, "metrics will wait: {error}");
            }
        });
    }
}

async fn purge(clock: Arc<dyn Clock>, store: Arc<Sqlite>, plan: watch::Receiver<Arc<Plan>>) {
    loop {
        let retention = plan.borrow().retention;
        let now = clock.now();
        let purged = async {
            let rows = store.purge(earlier(now, retention)).await?;
            Ok::<_, StoreError>(rows + store.purge_past(earlier(now, retention.max(PAST_MIN))).await?)
        };
        match purged.await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "erased what is older than {}", Length(retention)),
            Err(error) => tracing::error!("what is older than {} could not be erased: {error}", Length(retention)),
        }
        clock.sleep_until(clock.monotonic() + PURGE_EVERY).await;
    }
}

/// Counts runs by the hour and the day. An old store is counted from its first run on, with room for commits between the slices.
async fn roll_up(clock: Arc<dyn Clock>, store: Arc<Sqlite>) {
    loop {
        let rest = match store.roll_up().await {
            Ok(true) => ROLL_UP_REST,
            Ok(false) => ROLL_UP_EVERY,
            Err(error) => {
                tracing::error!("runs could not be counted by the hour: {error}");
                ROLL_UP_EVERY
            }
        };
        clock.sleep_until(clock.monotonic() + rest).await;
    }
}
