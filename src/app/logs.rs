//! Logs on standard error. `ROUNDSMAN_LOG` takes a filter such as `debug` or `roundsman=debug,hyper=info`. Of the AWS SDK
//! nothing below `info` is ever logged.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::answer::say;

/// What is logged when nobody says otherwise; the AWS SDK and the HTTP stack are heard only when they warn.
const FILTER: &str = "warn,roundsman=info";

/// Starts the logs. Called once; a second call changes nothing.
pub fn start() {
    let filter = EnvFilter::builder().with_env_var("ROUNDSMAN_LOG").try_from_env();
    let filter = filter.unwrap_or_else(|error| {
        if let Ok(written) = std::env::var("ROUNDSMAN_LOG") {
            say(&format!("warning: ROUNDSMAN_LOG is no filter ({written:?}), so the default stands: {error}"));
        }
        EnvFilter::new(FILTER)
    });
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        // Nobody may be reading any more; to complain about that on the same stream would panic and end the rounds.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_filter(filter_fn(is_fit));
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
}

/// Whether it may be logged, whatever was asked for: below `info` the AWS SDK writes down requests and answers as they are.
fn is_fit(told: &Metadata<'_>) -> bool {
    *told.level() <= Level::INFO || !told.target().starts_with("aws_")
}
