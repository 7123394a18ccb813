//! Logs on standard error. `ROUNDSMAN_LOG` takes a filter such as `debug` or `roundsman=debug,hyper=info`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// What is logged when nobody says otherwise; the AWS SDK and the HTTP stack are heard only when they warn.
const FILTER: &str = "warn,roundsman=info";

/// Starts the logs. Called once; a second call changes nothing.
pub fn start() {
    let filter = EnvFilter::builder().with_env_var("ROUNDSMAN_LOG").try_from_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(FILTER));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}
