//! `/api/v1`: what programs read, and what people do about incidents, silences and messages.
//!
//! | file | says |
//! |---|---|
//! | `routes` | which path gives what |
//! | [`answers`] | how bodies are read, and how everything is answered: JSON, without secrets |
//! | [`bodies`] | the shapes of what is read and answered, for whoever asks too |
//! | `incidents`, `silences`, `pauses`, `deliveries`, `drill`, [`trigger`], `reload` | what is asked of each |
//! | `audit` | what somebody changed |
//! | [`objectives`] | how they stand |
//! | [`runs`] | the shape of a run |
//! | [`pagerduty`] | what PagerDuty says of its own accord |
//!
//! Whoever changes something is answered after the commit; where the store rests it holds all the same, and the answer is 202.

pub mod answers;
pub mod bodies;
pub mod objectives;
pub mod pagerduty;
pub mod routes;
pub mod runs;

mod audit;
pub mod deliveries;
mod drill;
pub mod incidents;
mod pauses;
mod reload;
pub mod silences;
pub mod trigger;
