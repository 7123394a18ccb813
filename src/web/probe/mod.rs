//! The page of a probe and the page of a run.
//!
//! | file | says |
//! |---|---|
//! | [`asked`] | what is read of the store for a request |
//! | [`page`] | the page of a probe |
//! | [`run`] | the page of a run |
//! | `window`, `parts`, `drawing`, `figures` | a stretch of time: which, in what parts, drawn, in numbers |
//! | `standing` | the one sentence, and why it may be quiet |
//! | `list`, `fall`, `certificates`, `definition` | runs in lines; where the time of one went; what TLS showed; what is written |

pub mod asked;
pub mod page;
pub mod parts;
pub mod run;

mod certificates;
mod definition;
mod drawing;
mod fall;
mod figures;
mod list;
mod standing;
mod window;
