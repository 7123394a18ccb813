//! Who the request says it is from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;

use super::content::encode;
use super::headers;
use super::oauth2::OAuth2;
use super::sigv4::SigV4;
use crate::domain::outcome::Failure;
use crate::domain::template::Template;
use crate::ports::StepContext;

/// A user and a password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user, without a colon.
    pub user: Template,
    /// The password; write `"${secret:name}"`.
    pub password: Template,
}

/// What becomes the header `Authorization`.
pub enum Credentials {
    /// A token.
    Bearer(Template),
    /// A user and a password (RFC 7617).
    Basic(Basic),
    /// The id and the secret of an OAuth 2 client, each encoded as in a form (RFC 6749, section 2.3.1).
    Client(Basic),
    /// A token that an authorization server gives.
    OAuth2(Box<OAuth2>),
    /// A signature of the whole request.
    SigV4(Box<SigV4>),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(•••)")
    }
}

impl Credentials {
    /// The header's value for this run; none where it depends on more than what was written.
    pub async fn fill(&self, cx: &StepContext<'_>) -> Result<Option<HeaderValue>, Failure> {
        let text = match self {
            Self::OAuth2(_) | Self::SigV4(_) => return Ok(None),
            Self::Bearer(token) => format!("Bearer {}", cx.fill(token, headers::fit).await?),
            Self::Basic(Basic { user, password }) => {
                let user = cx.fill(user, |value| (!value.contains(':')).then(|| value.to_owned())).await?;
                let password = cx.fill(password, |value| Some(value.to_owned())).await?;
                basic(&user, &password)
            }
            Self::Client(Basic { user, password }) => {
                let user = cx.fill(user, |value| Some(value.to_owned())).await?;
                let password = cx.fill(password, |value| Some(value.to_owned())).await?;
                basic(&encode(&user), &encode(&password))
            }
        };
        let mut value = headers::value(&text)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
