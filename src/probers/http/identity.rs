//! The certificate that we show to a server that asks for one.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::template::Template;
use crate::net::tls::{Identity, IdentityError};
use crate::ports::StepContext;
use crate::settings::{Problem, Problems, Spanned};

/// A client certificate with its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCert {
    /// PEM text of the certificate, with those that lead to its issuer behind it: `"${file:client.pem}"`.
    #[schemars(with = "Template")]
    cert: Spanned<Template>,
    /// PEM text of its key: `"${secret:client-key}"`.
    #[schemars(with = "Template")]
    key: Spanned<Template>,
}

/// An identity as it was written.
pub enum IdentityDraft {
    /// Known when the prober is built.
    Known(Identity),
    /// Known when the step runs: a secret is read late.
    Later {
        /// The certificate.
        cert: Template,
        /// The key.
        key: Template,
    },
}

impl IdentityDraft {
    /// Reads the setting; what can be known to be wrong is a problem.
    pub fn read(written: &ClientCert, problems: &mut Problems) -> Option<Self> {
        let ClientCert { cert, key } = written;
        let (Some(cert_text), Some(key_text)) = (cert.value.as_literal(), key.value.as_literal()) else {
            return Some(Self::Later { cert: cert.value.clone(), key: key.value.clone() });
        };
        let error = match Identity::from_pem(cert_text, key_text) {
            Ok(identity) => return Some(Self::Known(identity)),
            Err(error) => error,
        };
        let (at, help) = match error {
            IdentityError::Certificate(_) => {
                (cert, "`cert` takes PEM text, from `-----BEGIN CERTIFICATE-----` on: write `\"${file:client.pem}\"`")
            }
            IdentityError::Key(_) | IdentityError::Mismatch => {
                (key, "`key` takes the PEM text of the certificate's own key: write `\"${secret:client-key}\"`")
            }
        };
        let problem = Problem::error(at.span.clone(), format!("the client certificate is of no use: {error}"));
        // Somebody may have written the key itself.
        problems.push(Problem { hidden: true, ..problem.with_help(help) });
        None
    }

    /// Who we are in this run. Without it we cannot look.
    pub async fn fill(&self, cx: &StepContext<'_>) -> Result<Identity, Failure> {
        match self {
            Self::Known(identity) => Ok(identity.clone()),
            Self::Later { cert, key } => {
                let cert = cx.fill(cert, |value| Some(value.to_owned())).await?;
                let key = cx.fill(key, |value| Some(value.to_owned())).await?;
                Identity::from_pem(&cert, &key).map_err(|error| {
                    let message = format!("the client certificate is of no use: {error}");
                    Failure::new(FailureKind::LocalSecret, message)
                })
            }
        }
    }
}
