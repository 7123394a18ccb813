//! Kind `cloudwatch`: what CloudWatch has of a metric, or makes of several.
//!
//! [`settings`] become a [`query`]: metrics ([`metric`]), the math over them ([`math`]), and the window. What comes is a [`series`] of
//! values, of which [`prober`] makes facts.

mod math;
mod metric;
mod prober;
mod query;
mod series;
mod settings;

pub use settings::KIND;
