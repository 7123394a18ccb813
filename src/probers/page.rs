//! Kind `page`: what a browser loads before it shows a page, and how much that weighs.
//!
//! The document is read, then one after another the scripts and styles that it names ([`named()`]): what a script itself loads
//! later is not seen, since nothing is executed.

mod named;

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use self::named::{Part, named};
use super::http::Getter;
use super::names::{CONNECTING, TLS_MS};
use super::tls::TLS_NAMES;
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::template::Template;
use crate::net::excerpt::excerpt;
use crate::net::stopwatch::Stopwatch;
use crate::ports::{Building, BuiltProber, Implied, Kind, Prober, StepContext};
use crate::settings::{Node, Problems, Spanned, read};

/// A page may name this many scripts and styles.
const RESOURCES_MAX: usize = 50;
/// A page may have this many bytes with all that it names, once unpacked.
const BYTES_MAX: u64 = 10 * 1024 * 1024;

const NAMES: &[Name] = &[
    Name::known("status", Shape::Number, "the status code of the document"),
    Name::known("url", Shape::Text, "its URL, behind redirects"),
    Name::known("body", Shape::Text, "its text, where it is UTF-8"),
    Name::known("weight_bytes", Shape::Number, "the bodies of document, scripts and styles, as they were transferred"),
    Name::known("html_bytes", Shape::Number, "the document's share of it"),
    Name::known("script_bytes", Shape::Number, "the scripts' share of it"),
    Name::known("style_bytes", Shape::Number, "the styles' share of it"),
    Name::known("resources", Shape::Number, "how many scripts and styles the document names"),
    Name::known("failed", Shape::List(&Shape::Text), "those that did not load, each with the reason"),
];

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "page",
    about: "loads a page with the scripts and styles that it names, and weighs them",
    main: "url",
    schema: PageSettings::json_schema,
    names: || Names::new().with_all(NAMES).with_all(CONNECTING).with(TLS_MS).with_all(TLS_NAMES),
    build,
};

/// A page of a site.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PageSettings {
    /// Where the document is: `https://` or `http://`, host and path. What is filled in (`{{x}}`, `${secret:x}`) is
    /// percent-encoded, so a URL cannot begin with it.
    #[schemars(with = "Template")]
    url: Spanned<Template>,
    /// PEM text of certificates that are trusted in addition to the machine's: `"${file:ca.pem}"`. An empty text
    /// adds none, so that `SHOP_CA` may be unset in `"${env:SHOP_CA:-}"`. Default: none.
    #[schemars(with = "Option<String>")]
    ca: Option<Spanned<String>>,
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: PageSettings = read(node, problems)?;
    let getter = Getter::read(&settings.url, settings.ca.as_ref(), building, problems)?;
    let implied = vec![
        Implied { unless_mentioned: "status", expect: "status >= 200 && status < 300" },
        Implied { unless_mentioned: "failed", expect: "size(failed) == 0" },
    ];
    Some(BuiltProber { prober: Arc::new(PageProber { getter }), implied })
}

struct PageProber {
    getter: Getter,
}

impl Prober for PageProber {
    fn host(&self) -> Option<String> {
        self.getter.host()
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let watch = Stopwatch::start(cx.clock, cx.deadline);
            let mut document = self.getter.first(cx).await?;
            let weight = self.weigh(cx, &document).await;
            // The parts are those of the document; the whole is the whole.
            document.phases.total_ms = watch.phases().total_ms;
            let failed = |failure: Failure| {
                // The page is the target; what it names may be anybody's.
                Failure { certificate_expires: document.certificate_expires, ..failure.after(document.phases) }
            };
            weight.map_err(failed)?.into_facts(&mut document);
            Ok(document)
        })
    }
}

impl PageProber {
    /// The weight of a document that came well; another one is only what it is.
    async fn weigh(&self, cx: &StepContext<'_>, document: &Observation) -> Result<Weight, Failure> {
        let mut weight = Weight { html: transferred(document), ..Weight::default() };
        let url = document.facts.get("url").and_then(Value::as_str).and_then(|url| Url::parse(url).ok());
        let (Some(url), true) = (url, is_well(document)) else { return Ok(weight) };
        let html = document.body.as_deref().unwrap_or_default();
        let mut left = BYTES_MAX.saturating_sub(html.len() as u64);
        let resources = named(html, &url);
        if resources.len() > RESOURCES_MAX {
            let message = format!("the page names more than {RESOURCES_MAX} scripts and styles");
            return Err(Failure::new(FailureKind::BodyTooLarge, message));
        }
        for (at, part) in resources {
            weight.resources += 1;
            // Browsers do not load it either (W3C, Mixed Content, section 4).
            if url.scheme() == "https" && at.scheme() != "https" {
                weight.failed.push(format!("{}: it is not over https", excerpt(at.as_str())));
                continue;
            }
            let shown = excerpt(at.as_str()).into_owned();
            match self.getter.get(cx, at, left).await {
                Ok(seen) if is_well(&seen) => {
                    left = left.saturating_sub(seen.body.as_deref().unwrap_or_default().len() as u64);
                    *weight.of(part) += transferred(&seen);
                }
                Ok(seen) => weight.failed.push(format!("{shown}: status {}", status(&seen))),
                Err(failure) if failure.kind == FailureKind::BodyTooLarge => {
                    let limit = BYTES_MAX / 1024 / 1024;
                    let message = format!("the page is larger than {limit} MiB with what it names, at {shown}");
                    return Err(Failure::new(FailureKind::BodyTooLarge, message));
                }
                // The time of the whole step has ended, or it is we who cannot look.
                Err(failure) if failure.kind.is_ours() || cx.clock.monotonic() >= cx.deadline => return Err(failure),
                Err(failure) => weight.failed.push(format!("{shown}: {failure}")),
            }
        }
        Ok(weight)
    }
}

/// What was transferred, in bytes.
#[derive(Default)]
struct Weight {
    html: u64,
    script: u64,
    style: u64,
    resources: u64,
    failed: Vec<String>,
}

impl Weight {
    fn of(&mut self, part: Part) -> &mut u64 {
        match part {
            Part::Script => &mut self.script,
            Part::Style => &mut self.style,
        }
    }

    fn into_facts(self, document: &mut Observation) {
        let facts: [(&'static str, Value); 6] = [
            ("weight_bytes", (self.html + self.script + self.style).into()),
            ("html_bytes", self.html.into()),
            ("script_bytes", self.script.into()),
            ("style_bytes", self.style.into()),
            ("resources", self.resources.into()),
            ("failed", self.failed.into()),
        ];
        document.facts.extend(facts);
    }
}

fn status(seen: &Observation) -> u64 {
    seen.facts.get("status").and_then(Value::as_u64).unwrap_or_default()
}

fn is_well(seen: &Observation) -> bool {
    (200..300).contains(&status(seen))
}

/// The bytes of a body on the wire; those that it has where nothing packed them.
fn transferred(seen: &Observation) -> u64 {
    let unpacked = seen.body.as_deref().unwrap_or_default().len() as u64;
    seen.facts.get("wire_bytes").and_then(Value::as_u64).unwrap_or(unpacked)
}
