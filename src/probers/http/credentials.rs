//! Who the request says it is from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;

use super::headers;
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
#[derive(Debug)]
pub enum Credentials {
    /// A token.
    Bearer(Template),
    /// A user and a password (RFC 7617).
    Basic(Basic),
}

impl Credentials {
    /// The header's value for this run.
    pub async fn fill(&self, cx: &StepContext<'_>) -> Result<HeaderValue, Failure> {
        let text = match self {
            Self::Bearer(token) => format!("Bearer {}", cx.fill(token, headers::fit).await?),
            Self::Basic(Basic { user, password }) => {
                let user = cx.fill(user, |value| (!value.contains(':')).then(|| value.to_owned())).await?;
                let password = cx.fill(password, |value| Some(value.to_owned())).await?;
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
            }
        };
        let mut value = headers::value(&text)?;
        value.set_sensitive(true);
        Ok(value)
    }
}
