//! Credentials are learned when they are given, so that they can be taken out of whatever is said with them.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use crate::domain::recent::Recent;

/// The last credentials are taken out of texts, so many values of them or twice as many: those of a role are renewed every hour,
/// and nobody repeats what has ended long ago.
pub const KEPT: usize = 32;

/// A source of credentials whose secrets become known.
#[derive(Debug)]
pub struct Known {
    source: SharedCredentialsProvider,
    known: Arc<Recent>,
}

impl Known {
    /// What is given is known from then on.
    pub fn new(source: SharedCredentialsProvider, known: Arc<Recent>) -> Self {
        Self { source, known }
    }
}

impl ProvideCredentials for Known {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let given = self.source.provide_credentials().await?;
            self.known.learn(given.secret_access_key());
            given.session_token().into_iter().for_each(|token| self.known.learn(token));
            Ok(given)
        })
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.source.fallback_on_interrupt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_given_is_known() {
        let given = Credentials::new("AKIDTEST", "hunter2hunter2", Some("session-token".to_owned()), None, "test");
        let redactor = Arc::new(Recent::new(KEPT));
        let source = Known::new(SharedCredentialsProvider::new(given), Arc::clone(&redactor));
        source.provide_credentials().await.unwrap();
        assert_eq!(redactor.redact("AKIDTEST: hunter2hunter2 session-token"), "AKIDTEST: ••• •••");
        assert!(!format!("{source:?}").contains("hunter2"));
    }
}
