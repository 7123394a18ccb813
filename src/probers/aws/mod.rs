//! Kind `aws`: any service of AWS, by plain signed calls; and what every kind that asks AWS something has in common with it.
//!
//! The `settings` say what is asked, and hold it to [`reading`]; the `prober` asks it. The [`caller`] makes a call, repeats what is
//! throttled, and tells what it saw; [`mod@instant`] reads times in answers, and `bucket` names of buckets.

mod bucket;
mod caller;
mod instant;
mod prober;
mod reading;
mod settings;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use bucket::check_bucket;
pub use caller::{Caller, Paging, Talk};
pub use instant::instant;
pub use settings::KIND;
