//! What a daemon says of itself at `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The page.
pub fn metrics(address: SocketAddr) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let get = async { reqwest::get(format!("http://{address}/metrics")).await?.text().await };
    runtime.block_on(get).expect("the page of metrics")
}

/// The value of a line.
pub fn value(line: &str) -> f64 {
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

/// How many runs were at most how late, by the bound.
#[derive(Clone, Debug, Default)]
pub struct Lateness(BTreeMap<Duration, f64>);

impl Lateness {
    /// Since the daemon began.
    pub fn of(page: &str) -> Self {
        let buckets = page.lines().filter(|line| line.starts_with("roundsman_run_lateness_seconds_bucket{"));
        let mut sums = BTreeMap::new();
        for line in buckets {
            let bound = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
            let bound = bound.and_then(|bound| bound.parse::<f64>().ok()).unwrap_or(f64::INFINITY);
            let bound = Duration::try_from_secs_f64(bound).unwrap_or(Duration::MAX);
            *sums.entry(bound).or_insert(0.0) += value(line);
        }
        Self(sums)
    }

    /// Of the runs since an earlier look.
    pub fn since(mut self, earlier: &Self) -> Self {
        for (bound, runs) in &mut self.0 {
            *runs -= earlier.0.get(bound).copied().unwrap_or(0.0);
        }
        self
    }

    /// The bound of the bucket in which the quantile lies.
    pub fn quantile(&self, quantile: f64) -> String {
        let all = self.0.values().last().copied().unwrap_or(0.0);
        let found = self.0.iter().find(|(_, count)| **count >= all * quantile);
        found
            .map_or("unknown".to_owned(), |(bound, _)| format!("at most {} ms ({all} runs)", bound.as_secs_f64() * 1e3))
    }
}
