//! Secrets from the environment, from files and from AWS Secrets Manager. The first two are read each time they are used, so
//! that a rotated one is in force at once; what the third has is in the [`super::vault`]. Each is taken out of every text from
//! then on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};

use super::codes::Codes;
use super::raw::RawSecret;
use super::resolve::Environment;
use super::vault::{self, Place, Reason, Vault};
use crate::domain::aws_call::AwsCall;
use crate::domain::names::SecretName;
use crate::domain::redaction::Redactor;
use crate::domain::time::Monotonic;
use crate::net::aws::{check_region, is_region};
use crate::ports::{Clock, SecretError, Secrets};
use crate::settings::{Problems, Span, Spanned};

/// The largest file that is a secret.
const FILE_MAX: u64 = 64 * 1024;

/// The longest name of a secret of Secrets Manager, and more than the longest ARN of one, in characters.
const ID_MAX: usize = 512;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(String),
    /// In Secrets Manager, or there under a key.
    Managed(Place, Option<String>),
}

/// Where the declared secrets are; those with mistakes are left out.
pub fn sources(
    written: &BTreeMap<SecretName, Spanned<RawSecret>>,
    problems: &mut Problems,
) -> BTreeMap<SecretName, Source> {
    let mut sources = BTreeMap::new();
    for (name, raw) in written {
        if let Some(source) = source(name, raw, problems) {
            sources.insert(name.clone(), source);
        }
    }
    sources
}

fn source(name: &SecretName, raw: &Spanned<RawSecret>, problems: &mut Problems) -> Option<Source> {
    let RawSecret { env, file, aws_secrets_manager, key, region } = &raw.value;
    let managed = match (env, file, aws_secrets_manager) {
        (Some(variable), None, None) => Err(Source::Env(variable.clone())),
        (None, Some(path), None) => Err(Source::File(path.clone())),
        (None, None, Some(id)) => Ok(id),
        // A key that was misspelt has been told, and was meant to say it.
        (None, None, None) if is_told(&raw.span, problems) => return None,
        _ => {
            let message = format!("the secret `{name}` is in exactly one of `env`, `file` and `aws_secrets_manager`");
            problems.error(raw.span.clone(), message);
            return None;
        }
    };
    let id = match managed {
        Ok(id) => id,
        Err(source) => {
            for strange in key.iter().chain(region) {
                problems
                    .error(strange.span.clone(), "only what is in `aws_secrets_manager` has a `key` and a `region`");
            }
            return Some(source);
        }
    };
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@!-:".contains(c);
    if id.value.is_empty() || id.value.len() > ID_MAX || !id.value.chars().all(is_allowed) {
        problems
            .error(id.span.clone(), format!("`{}` is not the name of a secret in Secrets Manager", id.value))
            .help = Some("write its name, like `prod/shop/shopper`, or its ARN".to_owned());
        return None;
    }
    if region.as_ref().is_some_and(|region| !check_region(region, problems)) {
        return None;
    }
    if let Some(key) = key.as_ref().filter(|key| key.value.is_empty()) {
        problems.error(key.span.clone(), "a key is not empty").help =
            Some("leave `key` out where the whole text is the secret".to_owned());
        return None;
    }
    // An ARN says where it is.
    let of_arn = id.value.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2)).filter(|region| is_region(region));
    let region = region.as_ref().map(|region| region.value.as_str()).or(of_arn).map(str::to_owned);
    let place = Place { id: id.value.clone(), region };
    Some(Source::Managed(place, key.as_ref().map(|key| key.value.clone())))
}

/// Whether something within a place is a problem already.
fn is_told(place: &Span, problems: &mut Problems) -> bool {
    let is_within = |at: &Span| {
        Arc::ptr_eq(&at.source, &place.source)
            && place.bytes.contains(&at.bytes.start)
            && at.bytes.end <= place.bytes.end
    };
    problems.iter_mut().any(|problem| problem.at.as_ref().is_some_and(is_within))
}

/// The declared secrets.
pub struct DeclaredSecrets {
    declared: BTreeMap<SecretName, Source>,
    directory: PathBuf,
    environment: Arc<Environment>,
    vault: Vault,
    redactor: Redactor,
    codes: Codes,
}

impl DeclaredSecrets {
    /// Reads nothing yet.
    pub fn new(
        declared: BTreeMap<SecretName, Source>,
        directory: PathBuf,
        environment: Arc<Environment>,
        vault: Vault,
    ) -> Self {
        Self { declared, directory, environment, vault, redactor: Redactor::default(), codes: Codes::default() }
    }

    async fn read(&self, name: &SecretName) -> Result<String, Reason> {
        match self.declared.get(name) {
            None => Err(Reason::lasting("it is not declared")),
            Some(Source::Env(variable)) => (self.environment)(variable)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| Reason::lasting(format!("the environment variable {variable} is not set, or empty"))),
            Some(Source::File(file)) => self.read_file(file).await.map_err(Reason::lasting),
            Some(Source::Managed(place, key)) => {
                let text = self.vault.read(place).await?;
                vault::pick(&place.id, &text, key.as_deref())
            }
        }
    }

    async fn read_file(&self, file: &str) -> Result<String, String> {
        let path = self.directory.join(file);
        let said = |error: std::io::Error| format!("the file {}: {error}", path.display());
        let metadata = tokio::fs::metadata(&path).await.map_err(said)?;
        if !metadata.is_file() || metadata.len() > FILE_MAX {
            return Err(format!("the file {} is not a plain file of at most 64 KiB", path.display()));
        }
        let text = tokio::fs::read_to_string(&path).await.map_err(said)?;
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() { Err(format!("the file {} is empty", path.display())) } else { Ok(text.to_owned()) }
    }
}

impl Secrets for DeclaredSecrets {
    fn resolve<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        Box::pin(async move {
            let value = self.read(name).await;
            let value =
                value.map_err(|Reason { text, passes }| SecretError { name: name.clone(), reason: text, passes })?;
            self.redactor.learn(&value);
            Ok(SecretString::from(value))
        })
    }

    fn code<'a>(
        &'a self,
        name: &'a SecretName,
        clock: &'a dyn Clock,
        deadline: Monotonic,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        Box::pin(async move {
            let secret = self.resolve(name).await?;
            let code = self.codes.next(secret.expose_secret(), clock, deadline).await;
            code.map_err(|reason| SecretError { name: name.clone(), reason, passes: true })
        })
    }

    fn redact(&self, text: &str) -> String {
        self.codes.redact(&self.redactor.redact(text))
    }

    fn renew<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Some(Source::Managed(place, _)) = self.declared.get(name) {
                self.vault.renew(place).await;
            }
        })
    }

    fn calls(&self, name: &SecretName) -> Vec<AwsCall> {
        match self.declared.get(name) {
            Some(Source::Managed(place, _)) => place.calls(),
            _ => Vec::new(),
        }
    }

    fn kept(&self, name: &SecretName) -> Option<Duration> {
        matches!(self.declared.get(name), Some(Source::Managed(..))).then_some(vault::FRESH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::net::client;

    /// Nothing here asks for the time.
    struct NoClock;

    impl Clock for NoClock {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }
        fn monotonic(&self) -> Monotonic {
            Monotonic::default()
        }
        fn sleep_until(&self, _: Monotonic) -> BoxFuture<'_, ()> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn secrets_are_read_late_and_redacted_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("pager"), "first-key\n").unwrap();
        let name = |text| SecretName::parse(text).unwrap();
        let declared = BTreeMap::from([
            (name("pager"), Source::File("pager".to_owned())),
            (name("slack"), Source::Env("SLACK".to_owned())),
            (name("gone"), Source::File("gone".to_owned())),
        ]);
        let environment: Arc<Environment> = Arc::new(|variable| (variable == "OTHER").then(|| "x".to_owned()));
        let vault = Vault::new(client::shared().unwrap(), Arc::new(NoClock));
        let secrets = DeclaredSecrets::new(declared, directory.path().to_owned(), environment, vault);
        assert_eq!(secrets.redact("first-key"), "first-key", "it was never read");
        assert_eq!(secrets.resolve(&name("pager")).await.unwrap().expose_secret(), "first-key");
        std::fs::write(directory.path().join("pager"), "second-key").unwrap();
        assert_eq!(secrets.resolve(&name("pager")).await.unwrap().expose_secret(), "second-key");
        assert_eq!(secrets.redact("first-key, second-key"), "•••, •••");
        assert_eq!(
            secrets.resolve(&name("slack")).await.unwrap_err().to_string(),
            "the secret `slack` cannot be read: the environment variable SLACK is not set, or empty"
        );
        assert!(secrets.resolve(&name("gone")).await.unwrap_err().to_string().contains("No such file"));
    }
}
