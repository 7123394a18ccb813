//! Floor 3: the pages, which show the store and the plan, with the forms by which people do something about what they show; what
//! programs read and change; and the door at which jobs elsewhere ping.
//!
//! | file | says |
//! |---|---|
//! | [`server`] | how connections are served, and how long one lasts |
//! | [`places`] | who holds a connection, and who makes room for whom |
//! | [`table`] | what may be asked, and who may: one row for each method of each path |
//! | [`routes`] | which row gives what |
//! | `access` | who may read, and who may change something: host, token, proxy |
//! | `limits` | how often |
//! | [`api`] | what programs read, and what people do about incidents, silences and messages |
//! | `ping` | what a job elsewhere says of itself, by its own token |
//! | `events` | that something has changed, to pages that are open |
//! | `front`, `filter` | the status page as it is asked for, drawn once for all who ask |
//! | `public`, `badge` | what everybody may see |
//! | `board` | what the status page says, before it is drawn |
//! | `headline` | the one sentence on top |
//! | `status` with `card`, `rows`, `days`, `quiet`; `incident`, `probe` | the pages that people see first |
//! | `incidents`, `schedules`, `deliveries`, `objectives`, `about`, `audit` | one page each |
//! | `around`, `told`, `silence` | what else stands on the page of an incident: its neighbours, its messages, its silences |
//! | `policy`, [`reckoning`], `process` | when a schedule runs and who hears of it, what a plan takes, what the process takes |
//! | `evidence`, `runbook` | what a bad run left, and what to do about it |
//! | `war_room`, `post_mortem` | the two texts of an incident, made of `paper` and `markdown` |
//! | `frame`, `files`, `kept`, `fold`, `marks`, `chart`, `reasons`, `view`, `visit`, `units` | what pages are made of |
//!
//! Pages work without a script: the policy forbids every one but `/live.js`, which only spares the reader the reload. They stay current by `<meta http-equiv="refresh">`,
//! which browsers treat as a reload: the place in the page is kept. `?still` leaves it out.

pub mod api;
pub mod places;
pub mod reckoning;
pub mod routes;
pub mod server;
pub mod table;

mod about;
mod access;
mod acts;
mod around;
mod audit;
mod badge;
mod board;
mod card;
mod chart;
mod days;
mod deliveries;
mod events;
mod evidence;
mod files;
mod filter;
mod fold;
mod frame;
mod front;
mod headline;
mod incident;
mod incidents;
mod kept;
mod limits;
mod markdown;
mod marks;
mod objectives;
mod paper;
mod ping;
mod policy;
mod post_mortem;
mod probe;
mod process;
mod public;
mod quiet;
mod reasons;
mod rows;
mod runbook;
mod schedules;
mod silence;
mod status;
mod told;
mod units;
mod view;
mod visit;
mod war_room;

#[cfg(test)]
mod tests;

pub use server::{Web, serve};
