//! Settings that are lengths of time.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::domain::time::Length;
use crate::settings::from_text;

/// A length of time as written.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(inline)]
pub struct Written(pub Length);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a length of time like `30s`").map(Self)
    }
}
