//! `health`: asks the daemon's `/healthz`, for `HEALTHCHECK`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::answer::{Answer, Stop, say};
use crate::config::load::{Surroundings, load};
use crate::net::client::innermost;

/// How long the daemon may take; its answer needs nothing but itself.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Asks; not well is exit 1 with the reason on standard error.
pub async fn health(directory: PathBuf, surroundings: Surroundings, url: Option<String>) -> Result<Answer, Stop> {
    let url = match url {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            format!("{}/healthz", url.trim_end_matches('/'))
        }
        Some(url) => return Err(Stop::Usage(format!("`{url}` is not a URL: write it like `http://127.0.0.1:8080`"))),
        None if !directory.is_dir() => {
            return Err(Stop::Usage(format!("there is no directory {}: name it with `--config`", directory.display())));
        }
        None => {
            // What the daemon runs on may be older and whole when the files have a mistake, so only this key counts.
            let listen = load(&directory, &surroundings).listen;
            let listen = listen.filter(|listen| listen.port() != 0).ok_or_else(|| {
                Stop::Usage("the configuration does not say where the daemon listens: name it with `--url`".to_owned())
            })?;
            format!("http://{}/healthz", reachable(listen))
        }
    };
    match surroundings.http.get(&url).timeout(ANSWER_MAX).send().await {
        Ok(answer) if answer.status().is_success() => Ok(Answer::Well),
        Ok(answer) => {
            say(&format!("{url} answered {}", answer.status()));
            Ok(Answer::Unwell)
        }
        Err(error) => {
            say(&format!("{url} does not answer: {}", innermost(&error)));
            Ok(Answer::Unwell)
        }
    }
}

/// Where a listener on every address is reached from its own machine.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        for (listen, asked) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:80", "[::1]:80"), ("10.1.2.3:9", "10.1.2.3:9")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
