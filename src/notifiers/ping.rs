//! Tells a receiver of pings, like healthchecks.io, that Roundsman lives. Its URL is all that it asks for, so it is a secret:
//! no error holds it, nor what was answered, which may repeat it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::Url;

use super::post::{Post, check_secret, check_url};
use crate::domain::template::Template;
use crate::ports::{Beat, Building, NotifyError, Pinger};
use crate::settings::{Problems, Spanned};

/// How long a receiver may take: it has nothing to think about.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Builds what pings.
pub fn build(url: Spanned<Template>, building: &Building, problems: &mut Problems) -> Option<Arc<dyn Pinger>> {
    let before = problems.len();
    check_url(&url, "a receiver of pings", "${secret:name}", problems);
    if problems.len() == before {
        check_secret(&url, "the URL of a receiver of pings", "ping", problems);
    }
    (problems.len() == before).then(|| Arc::new(Ping { url: url.value, post: Post::new(building) }) as _)
}

/// One receiver.
struct Ping {
    url: Template,
    post: Post,
}

impl Pinger for Ping {
    fn ping(&self, beat: Beat) -> BoxFuture<'_, Result<(), NotifyError>> {
        Box::pin(async move {
            let url = to(self.post.url(&self.url).await?, beat);
            // GET is what every receiver takes.
            let answer = self.post.send(self.post.get(url).timeout(ANSWER_MAX)).await?;
            match answer.status {
                status if status.is_success() => Ok(()),
                status => Err(NotifyError::Transient { message: format!("it answers {status}"), retry_after: None }),
            }
        })
    }
}

/// As healthchecks.io has it: a beginning goes to `/start` behind the path.
fn to(mut url: Url, beat: Beat) -> Url {
    if beat == Beat::Start
        && let Ok(mut path) = url.path_segments_mut()
    {
        path.pop_if_empty().push("start");
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_goes_behind_the_path() {
        for (url, start) in [
            ("https://hc-ping.com/0f1e", "https://hc-ping.com/0f1e/start"),
            ("https://hc-ping.com/0f1e/", "https://hc-ping.com/0f1e/start"),
            ("https://push.example.com/api/push/k?status=up", "https://push.example.com/api/push/k/start?status=up"),
        ] {
            let url: Url = url.parse().unwrap();
            assert_eq!(to(url.clone(), Beat::Start).as_str(), start);
            assert_eq!(to(url.clone(), Beat::Alive), url);
        }
    }
}
