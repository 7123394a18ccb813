//! The shop's export, a job that pings as jobs elsewhere do: nightly in a real shop, and every half minute in the demo's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::health::reachable;
use crate::ports::Clock;

/// From one export to the next.
const EVERY: Duration = Duration::from_secs(30);

/// How long one takes.
const TAKES: Duration = Duration::from_secs(2);

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The job.
pub struct Export {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The shared client.
    pub http: reqwest::Client,
    /// What it pings by.
    pub token: String,
}

impl Export {
    /// Exports until it is dropped; begins when there is somebody to ping.
    pub async fn run(self, mut page: watch::Receiver<Option<SocketAddr>>) {
        let Ok(address) = page.wait_for(Option::is_some).await.map(|address| *address) else { return };
        let Some(address) = address.map(reachable) else { return };
        let url = format!("http://{address}/ping/{}", self.token);
        for orders in 1.. {
            self.ping(format!("{url}/start"), String::new()).await;
            self.clock.sleep_until(self.clock.monotonic() + TAKES).await;
            self.ping(url.clone(), format!("{orders} orders")).await;
            self.clock.sleep_until(self.clock.monotonic() + EVERY).await;
        }
    }

    async fn ping(&self, url: String, text: String) {
        let answer = self.http.post(url).body(text).timeout(ANSWER_MAX).send().await;
        if let Err(error) = answer.and_then(reqwest::Response::error_for_status) {
            tracing::warn!("the demo's export could not ping: {}", error.without_url());
        }
    }
}
