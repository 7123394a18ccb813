//! Floor 2: the machine. Ticks become slots, slots become rounds, rounds become runs, runs become verdicts; verdicts are
//! remembered, committed and told.
//!
//! | task | owns | hears | tells |
//! |---|---|---|---|
//! | [`scheduler`] | calendar, queue, account of slots | ticks, commands, its runs | ended runs → dispatcher |
//! | [`dispatcher`] | alert states, incidents | ended runs, reloads, what people do, the clock | commits → store, samples → fanout, a wake → deliverer, wishes for runs off the slots → scheduler |
//! | [`deliverer`] | nothing | the wake | asks the store what is due; attempts → notifiers |
//! | [`janitor`] | debts: cleanups that are owed | debts of runs | cleanups, erased debts → store |
//! | [`driller`] | the drill that goes on | who wants one, the clock | its runs → dispatcher; asks the store what became of its messages |
//! | [`fanout`] | a publisher each | samples | publishers |
//! | [`recall`] | nothing | what objectives ask about the past | asks the store; runs that were → dispatcher |
//! | [`heart`] | nothing | how the loops stand | a sample each minute, pings → whoever looks after us |
//!
//! [`forecast`] says what a plan will do without doing it. [`pulses`] has no task: the web brings it the pings of jobs elsewhere, and probers ask it. Nor has the [`desk`], to which
//! the web brings what people do; [`audits`] says what is put down of it. Every loop tells [`vitals`] that it turned, and the thread of [`watchdog`] ends a process in
//! which one stands still. What is only looked at stands in [`permits`] and [`loadings`].
//!
//! Arrows go one way only, but for the wishes, which are never waited for; and every channel is bounded. When the process ends the tasks end in that order, each after
//! it has put away what the one before it still sent.

pub mod audits;
pub mod calendar;
pub mod cases;
pub mod changes;
pub mod deliverer;
pub mod desk;
pub mod dispatcher;
pub mod driller;
pub mod facts;
pub mod fanout;
pub mod forecast;
pub mod heart;
pub mod janitor;
pub mod journal;
pub mod ledger;
pub mod loadings;
pub mod permits;
pub mod plan;
pub mod playback;
pub mod progress;
pub mod pulses;
pub mod recall;
pub mod records;
pub mod reloads;
pub mod rounds;
pub mod runner;
pub mod scheduler;
pub mod slots;
pub mod stalls;
pub mod start;
pub mod threads;
pub mod triggers;
pub mod unrecorded;
pub mod vitals;
pub mod watchdog;
pub mod witness;

#[cfg(test)]
pub(crate) mod testing;
