//! Plain GETs for a kind that reads several documents in one step: with one trust, one deadline, and the run's cookies and
//! connections. No document is read with what another one was asked with.

use std::sync::Arc;

use http::Method;
use url::Url;

use super::connection::Version;
use super::prober::HttpProber;
use super::redirect::REDIRECTS_MAX;
use super::request::Draft;
use super::settings::BODY_BYTES_MAX;
use super::url::{HTTP, UrlDraft};
use super::way::Way;
use crate::domain::outcome::{Failure, Observation};
use crate::domain::template::Template;
use crate::net::resolver::Resolver;
use crate::ports::{Building, Prober as _, StepContext};
use crate::probers::tls::trust;
use crate::settings::{Problems, Spanned};

/// Gets documents.
pub struct Getter(HttpProber);

impl Getter {
    /// The host of the first document, where it is written.
    pub fn host(&self) -> Option<String> {
        self.0.host()
    }

    /// Reads the settings `url`, which is the first document, and `ca`.
    pub fn read(
        url: &Spanned<Template>,
        ca: Option<&Spanned<String>>,
        building: &Building,
        problems: &mut Problems,
    ) -> Option<Self> {
        let known = problems.len();
        let (url, trust) = (UrlDraft::read(url, &HTTP, problems), trust(ca, problems));
        // Such documents are read as anybody reads them, so a password has no other place here.
        for problem in problems.iter_mut().skip(known).filter(|problem| problem.hidden) {
            problem.help = Some("remove them: it is read as anybody reads it".to_owned());
        }
        let way = Way {
            trust: trust?,
            identity: None,
            version: Version::default(),
            resolver: Resolver::system(),
            body_bytes_max: BODY_BYTES_MAX,
            clock: Arc::clone(&building.clock),
        };
        Some(Self(plain(url?, way)))
    }

    /// The first document.
    pub async fn first(&self, cx: &StepContext<'_>) -> Result<Observation, Failure> {
        self.0.probe(cx).await
    }

    /// Another one, of at most so many bytes.
    pub async fn get(&self, cx: &StepContext<'_>, url: Url, body_bytes_max: u64) -> Result<Observation, Failure> {
        let way = Way { body_bytes_max: body_bytes_max.min(BODY_BYTES_MAX), ..self.0.way.clone() };
        plain(UrlDraft::Known(url), way).probe(cx).await
    }
}

fn plain(url: UrlDraft, way: Way) -> HttpProber {
    let draft = Draft { method: Method::GET, url, headers: Vec::new(), credentials: None, content: None };
    HttpProber { draft, redirects_max: Some(REDIRECTS_MAX), identity: None, way }
}
