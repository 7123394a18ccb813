//! The bill of AWS: [`demand`] says what a month takes, [`prices`] what it costs, [`lines`] puts both together in
//! [`dollars`].

pub mod demand;
pub mod dollars;
pub mod lines;
pub mod prices;
