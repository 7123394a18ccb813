//! Roundsman makes the rounds of a production system: it runs unattended in a container, probes the system on tiered
//! schedules, publishes what it saw as metrics that dashboards read, and wakes the right person when something is wrong.
//!
//! > **Probers observe. Assertions decide. The judge remembers. The dispatcher acts.**
//!
//! # Floors
//!
//! A file imports its own room and lower floors only, so the arrows go downwards; `tests/tidy.rs` reads every `use` line
//! and holds us to it.
//!
//! ```text
//! floor 4  app          commands, wiring: the only place that knows every room
//! floor 3  rooms        clock  ticks  config  probers  publishers  notifiers  store  web   (never import each other)
//! floor 2  engine  net  the machine; and what several rooms need of the network (the two do not know each other)
//! floor 1  ports        the traits at the seams and what crosses them, on one page
//!          settings     what was written and where: every kind reads its own settings with it, so it is no room
//! floor 0  domain       nouns and rules: no async, no I/O, no clock reads, nothing of YAML
//! ```
//!
//! # The way of a result
//!
//! ```text
//! schedules/*.yaml ─► tick (tokio-cron-scheduler) ─► slot (domain/schedule) ─► round            engine/scheduler
//!    └► for each probe, at slot + lead + spread: a permit, then the deadline                     engine/runner
//!         Prober::probe ─► Observation | Failure                                                 probers/<kind>
//!         Expression::assert for each expect and warn; captures feed the next step               domain/expression
//!         cleanup steps, always
//!    └► Run { slot, started_at, verdict, steps, bundle? } ── one bounded channel, in order ──►   engine/dispatcher
//!         judge(rule, aspect, state, run) ─► state', transition?                               domain/judge
//!         why_quiet(…) ─► reason?            muted is recorded with its reason, never forgotten  engine/ledger
//!         Store::commit { runs, bundles, states, incidents, deliveries, … }   one transaction    store
//!         ├► fanout: samples(&run) ─► Publisher                                                  publishers/<x>
//!         ├► deliverer: what is due? ─► Notifier                                                 notifiers/<x>
//!         └► the status page reads the store                                                     web
//! ```
//!
//! Everything before the commit may be lost with the process; nothing after it. A restart needs no code of its own: the
//! deliverer always asks the store, the scheduler always asks the clock and the last slot that is accounted for.
//!
//! The files become a [`config::load::Loaded`] with an [`engine::plan::Plan`] or every problem at once; `validate` stops
//! there, so what passes there is what the daemon runs. `app` hands the three tables of kinds to `config`, which never
//! imports a room.
//!
//! # Where the next thing goes
//!
//! | to add | write | and one row in |
//! |---|---|---|
//! | a probe kind | `src/probers/<kind>.rs` | `probers/mod.rs: KINDS`, an example in `probes/`, a page in `docs/probes/` |
//! | an alert channel | `src/notifiers/<channel>.rs` | `notifiers/mod.rs: CHANNELS`, a page in `docs/channels/` |
//! | a metrics publisher | `src/publishers/<name>.rs` | `publishers/mod.rs: PUBLISHERS`, a page in `docs/publishers/` |
//! | a metric | a [`domain::metric::MetricName`] variant and a line in `samples` | all publishers have it; `docs/operations.md`, `dashboards/` |
//! | a field of the files | its doc comment, which ends in `Default: ….`: editors and the book have it | `BLESS=1 cargo test --test book` |
//! | an alert rule | [`domain::judge`] and a trace in its test | |
//! | a command | `src/app/<verb>.rs` | `app/cli.rs: Command` |
//! | a store | `src/store/<name>.rs` implementing [`ports::Store`] | `store/mod.rs: open` |
//!
//! # Words
//!
//! A *probe* is a named definition in `probes/`; its *steps* each have a *kind*, and a *prober* performs them on a *target*.
//! A *schedule* has a *cadence*; the cadence has *slots*, a slot starts a *round*, and in a round each probe has one *run*.
//! A step sees an *observation*; `expect` and `warn` assert on it, a *capture* keeps a value of it for a later step. A run
//! has a *verdict*: passed, degraded, failed or inconclusive (*we* could not look). Verdicts move alert states; a *transition*
//! opens or resolves an *incident*; each *notification* of it is a *delivery* in the outbox, tried in *attempts* by the
//! *notifier* of a *channel*; those that go together are one message, a *group*. A *publisher* takes *samples*. A *problem* is one mistake in the files; a *failure* is a target's,
//! an error is ours.

pub mod app;
pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod net;
pub mod notifiers;
pub mod ports;
pub mod probers;
pub mod publishers;
pub mod settings;
pub mod store;
pub mod ticks;
pub mod web;
