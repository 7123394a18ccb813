//! Logs on standard error. `ROUNDSMAN_LOG` takes a filter such as `debug` or `roundsman=debug,hyper=info`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

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
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Nobody may be reading any more; to complain about that on the same stream would panic and end the rounds.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}
