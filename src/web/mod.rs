//! Floor 3: the page, which reads the store and the plan and changes nothing; what programs read and change; and the door at
//! which jobs elsewhere ping.
//!
//! | file | says |
//! |---|---|
//! | [`server`] | who may hold a connection, how many, how long |
//! | [`table`] | what may be asked, and who may: one row for each method of each path |
//! | [`routes`] | which row gives what |
//! | `access` | who may read, and who may change something: host, token, methods |
//! | [`api`] | what programs read, and what people do about incidents, silences and messages |
//! | `ping` | what a job elsewhere says of itself, by its own token |
//! | `board` | what the status page says, before it is drawn |
//! | `headline` | the one sentence on top |
//! | `status`, `incident` | the two pages |
//! | `evidence`, `runbook` | what a bad run left, and what to do about it |
//! | `war_room`, `post_mortem` | the two texts of an incident, made of `paper` and `markdown` |
//! | `frame`, `marks`, `chart`, `reasons`, `view`, `units` | what pages are made of |
//!
//! Pages work without a script, so that the policy can forbid every script. They stay current by `<meta http-equiv="refresh">`,
//! which browsers treat as a reload: the place in the page is kept. `?still` leaves it out.

pub mod api;
pub mod reckoning;
pub mod routes;
pub mod server;
pub mod table;

mod access;
mod acts;
mod board;
mod chart;
mod evidence;
mod frame;
mod headline;
mod incident;
mod limits;
mod markdown;
mod marks;
mod paper;
mod ping;
mod post_mortem;
mod reasons;
mod runbook;
mod status;
mod units;
mod view;
mod war_room;

#[cfg(test)]
mod tests;

pub use server::{Web, serve};
