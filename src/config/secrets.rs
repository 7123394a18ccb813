//! Secrets from the environment and from files: read each time they are used, so that a rotated one is in force at once,
//! and taken out of every text from then on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};

use super::codes::Codes;
use super::raw::RawSecret;
use super::resolve::Environment;
use crate::domain::names::SecretName;
use crate::domain::redaction::Redactor;
use crate::domain::time::Monotonic;
use crate::ports::{Clock, SecretError, Secrets};

/// The largest file that is a secret.
const FILE_MAX: u64 = 64 * 1024;

/// The declared secrets.
pub struct DeclaredSecrets {
    declared: BTreeMap<SecretName, RawSecret>,
    directory: PathBuf,
    environment: Arc<Environment>,
    redactor: Redactor,
    codes: Codes,
}

impl DeclaredSecrets {
    /// Reads nothing yet.
    pub fn new(declared: BTreeMap<SecretName, RawSecret>, directory: PathBuf, environment: Arc<Environment>) -> Self {
        Self { declared, directory, environment, redactor: Redactor::default(), codes: Codes::default() }
    }

    async fn read(&self, name: &SecretName) -> Result<String, String> {
        match self.declared.get(name) {
            None => Err("it is not declared".to_owned()),
            Some(RawSecret::Env(variable)) => (self.environment)(variable)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| format!("the environment variable {variable} is not set, or empty")),
            Some(RawSecret::File(file)) => {
                let path = self.directory.join(file);
                let said = |error: std::io::Error| format!("the file {}: {error}", path.display());
                let metadata = tokio::fs::metadata(&path).await.map_err(said)?;
                if !metadata.is_file() || metadata.len() > FILE_MAX {
                    return Err(format!("the file {} is not a plain file of at most 64 KiB", path.display()));
                }
                let text = tokio::fs::read_to_string(&path).await.map_err(said)?;
                let text =
                    text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
                if text.is_empty() { Err(format!("the file {} is empty", path.display())) } else { Ok(text.to_owned()) }
            }
        }
    }
}

impl Secrets for DeclaredSecrets {
    fn resolve<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        Box::pin(async move {
            let value = self.read(name).await.map_err(|reason| SecretError { name: name.clone(), reason })?;
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
            code.map_err(|reason| SecretError { name: name.clone(), reason })
        })
    }

    fn redact(&self, text: &str) -> String {
        self.codes.redact(&self.redactor.redact(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn secrets_are_read_late_and_redacted_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("pager"), "first-key\n").unwrap();
        let name = |text| SecretName::parse(text).unwrap();
        let declared = BTreeMap::from([
            (name("pager"), RawSecret::File("pager".to_owned())),
            (name("slack"), RawSecret::Env("SLACK".to_owned())),
            (name("gone"), RawSecret::File("gone".to_owned())),
        ]);
        let environment: Arc<Environment> = Arc::new(|variable| (variable == "OTHER").then(|| "x".to_owned()));
        let secrets = DeclaredSecrets::new(declared, directory.path().to_owned(), environment);
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
