//! Floor 0: nouns and rules. No async, no I/O, no clock reads, nothing of YAML.

pub mod debt;
pub mod exchange;
pub mod expression;
pub mod fact_map;
pub mod figures;
pub mod flapping;
pub mod grouping;
pub mod hours;
pub mod incident;
pub mod judge;
pub mod metric;
pub mod mutant;
pub mod names;
pub mod objective;
pub mod outcome;
pub mod privacy;
pub mod probe;
pub mod pulse;
pub mod quiet;
pub mod redaction;
pub mod route;
pub mod schedule;
pub mod tally;
pub mod template;
pub mod text;
pub mod time;
