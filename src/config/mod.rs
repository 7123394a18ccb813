//! The configuration room: files in, a plan or every problem out.
//!
//! [`files`] reads the files, and [`load`] goes through them in order; [`raw`] has the shapes as they are written,
//! [`resolve`] fills in references, and [`filled`] keeps problems from repeating what was filled in; `kinds` finds the
//! key that names a kind; `each`, [`probes`], [`steps`], [`schedules`], [`objectives`], [`unnoticed`] and [`destinations`] make the parts of the plan from them, in an order
//! that `uses` finds. `reach` looks whether alerts reach somebody. [`secrets`] reads secrets when they are used, makes the `codes` of second factors,
//! and takes both out of every text; those of AWS are in the [`vault`], which alone does other I/O than reading files. [`schema`] tells editors the shapes.
//! [`web`] says who may see the page. [`prices`] has what AWS bills, and `budget` what it may. `blueprint` has what `roundsman aws` prints.

pub mod alerts;
mod blueprint;
mod budget;
mod codes;
pub mod destinations;
mod diagnosis;
mod drill;
mod each;
pub mod files;
pub mod filled;
pub mod grades;
mod grouping;
mod heartbeat;
mod hours;
mod kinds;
pub mod load;
pub mod objectives;
pub mod prices;
pub mod probes;
mod public;
pub mod raw;
mod reach;
pub mod resolve;
pub mod runbooks;
pub mod schedules;
pub mod schema;
pub mod secrets;
pub mod severities;
pub mod steps;
pub mod unnoticed;
mod uses;
pub mod vault;
pub mod web;
pub mod windows;

#[cfg(test)]
mod tests;
