//! Names that people give: parsed once, then known to be safe as a label, a file name and a URL segment.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The longest name in characters; CloudWatch dimension values end at 1,024 and PagerDuty keys at 255, so this leaves
/// room for what we put around it.
pub const NAME_LENGTH_MAX: usize = 128;

/// The same rules as [`check`] has, for schemas.
const NAME_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._@-]*$";

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was written.
    #[error("a {0} name must not be empty")]
    Empty(&'static str),
    /// More than [`NAME_LENGTH_MAX`] characters.
    #[error("a {0} name has at most {NAME_LENGTH_MAX} characters, this one has {1}")]
    TooLong(&'static str, usize),
    /// A character that would have to be escaped somewhere.
    #[error("a {0} name has letters, digits, `-`, `_`, `.` and `@` only, not {1:?}")]
    Character(&'static str, char),
    /// A name that begins with punctuation reads like an option or a hidden file.
    #[error("a {0} name begins with a letter or a digit")]
    Beginning(&'static str),
}

fn check(what: &'static str, text: &str) -> Result<(), NameError> {
    let length = text.chars().count();
    if length > NAME_LENGTH_MAX {
        return Err(NameError::TooLong(what, length));
    }
    let Some(first) = text.chars().next() else { return Err(NameError::Empty(what)) };
    if let Some(wrong) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.@".contains(*c))) {
        return Err(NameError::Character(what, wrong));
    }
    if first.is_ascii_alphanumeric() { Ok(()) } else { Err(NameError::Beginning(what)) }
}

macro_rules! name {
    ($type:ident, $what:literal) => {
        #[doc = concat!("The name of a ", $what, ": 1 to 128 of `A-Z a-z 0-9 - _ . @`, beginning with a letter or a digit.")]
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Parses a name.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check($what, text).map(|()| Self(Arc::from(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "minLength": 1, "maxLength": NAME_LENGTH_MAX, "pattern": NAME_PATTERN })
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(ProbeName, "probe");
name!(ScheduleName, "schedule");
name!(StepName, "step");
name!(ChannelName, "channel");
name!(SecretName, "secret");
name!(CaptureName, "capture");
name!(WindowName, "maintenance window");

/// Whether a name fits a glob in which `*` stands for any text.
pub fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, fits) in [
            ("pages@*", "pages@home", true),
            ("*", "x", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*c", "ab", false),
            ("pages@*", "page@home", false),
        ] {
            assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn names_are_safe_everywhere_they_are_shown() {
        for good in ["api-health", "pages@home", "a", "9lives", "v1.2_x"] {
            assert_eq!(ProbeName::parse(good).unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", "a probe name must not be empty"),
            ("a/b", "a probe name has letters, digits, `-`, `_`, `.` and `@` only, not '/'"),
            ("a\u{202e}b", "a probe name has letters, digits, `-`, `_`, `.` and `@` only, not '\\u{202e}'"),
            ("..", "a probe name begins with a letter or a digit"),
        ] {
            assert_eq!(ProbeName::parse(bad).unwrap_err().to_string(), why);
        }
        assert!(ProbeName::parse(&"a".repeat(129)).unwrap_err().to_string().contains("this one has 129"));
    }
}
