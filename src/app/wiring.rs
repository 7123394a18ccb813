//! Hands the rooms to each other: the tables of kinds to the configuration, the environment to whoever reads it.

use std::path::Path;
use std::sync::Arc;

use super::answer::{Stop, say};
use super::aws::billed::billed;
use crate::clock::SystemClock;
use crate::config::load::{Loaded, Surroundings, load};
use crate::config::resolve::Environment;
use crate::engine::plan::Plan;
use crate::net::client;
use crate::ports::Kinds;
use crate::{notifiers, probers, publishers};

/// The tables.
pub static KINDS: Kinds = Kinds {
    probers: probers::KINDS,
    channels: notifiers::CHANNELS,
    publishers: publishers::PUBLISHERS,
    ping: notifiers::ping::build,
};

/// The environment of the process.
pub fn environment() -> Arc<Environment> {
    Arc::new(|name| std::env::var(name).ok())
}

/// What loading a configuration needs besides its files.
pub fn surroundings(environment: Arc<Environment>) -> Result<Surroundings, Stop> {
    let http = client::shared().map_err(|error| Stop::Fault(error.to_string()))?;
    Ok(Surroundings {
        kinds: KINDS,
        environment,
        clock: Arc::new(SystemClock::start()),
        http,
        pulses: Arc::default(),
        billed,
    })
}

/// Loads a directory; its problems go to standard error, and errors end the command.
pub fn plan(directory: &Path, surroundings: &Surroundings) -> Result<Plan, Stop> {
    settled(load(directory, surroundings))
}

/// The plan of what was loaded; its problems go to standard error, and errors end the command. Colours are drawn always,
/// since anstream takes them out where there is no terminal.
pub fn settled(loaded: Loaded) -> Result<Plan, Stop> {
    if !loaded.problems.is_empty() {
        say(&loaded.problems.render(true));
    }
    loaded.plan.ok_or_else(|| Stop::Usage("the configuration has mistakes, so nothing was started".to_owned()))
}
