//! What a plan will do: when it runs what in a day ([`day`]), and what that takes of publishers and of AWS in a month
//! ([`month`]). Nothing is run and nobody is asked; all is taken to be well, so that runs pass and nobody is told of anything.

pub mod day;
pub mod month;

pub use month::Forecast;
