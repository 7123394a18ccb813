//! `/api/v1`: what programs read, and what people do about incidents, silences and messages.
//!
//! | file | says |
//! |---|---|
//! | [`routes`] | which path gives what, and what is said of it: the router, the guard and the document have this one table |
//! | [`operation`], [`document`] | what is said of a row; `OpenAPI` 3.1, made of the rows |
//! | [`answers`], [`settled`] | how bodies are read, and how everything is answered: JSON, without secrets, with a tag; problems as RFC 9457 has them |
//! | [`queries`] | what stands behind the `?`, and long lists in parts |
//! | [`bodies`] | the shapes of what is read and answered, for whoever asks too |
//! | [`status`], [`probes`], [`recorded`], [`series`], [`schedules`] | what is read of how things stand and stood |
//! | `incidents`, `silences`, `pauses`, `deliveries`, `drill`, [`trigger`], `reload` | what is asked of each |
//! | `audit` | what somebody changed |
//! | [`objectives`] | how they stand |
//! | [`runs`] | the shape of a run |
//! | [`pagerduty`] | what PagerDuty says of its own accord |
//!
//! Whoever changes something is answered after the commit; where the store rests it holds all the same, and the answer is 202.

pub mod answers;
pub mod bodies;
pub mod document;
pub mod objectives;
pub mod operation;
pub mod pagerduty;
pub mod probes;
pub mod queries;
pub mod recorded;
pub mod routes;
pub mod runs;
pub mod schedules;
pub mod series;
pub mod settled;
pub mod status;

mod audit;
pub mod deliveries;
mod drill;
pub mod incidents;
mod pauses;
mod reload;
pub mod silences;
pub mod trigger;
