//! Values as they are written: lengths of time, amounts of money, shares, addresses, paths.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::domain::bill::dollars::Dollars;
use crate::domain::grading::Share;
use crate::domain::incident::Severity;
use crate::domain::judge::After;
use crate::domain::probe::CapturePath;
use crate::domain::time::Length;
use crate::settings::from_text;

/// One expression, or several: only its schema is used, since `settings::OneOrMany` reads it.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Expressions {
    /// One CEL expression.
    One(String),
    /// Several CEL expressions.
    Many(Vec<String>),
}

/// One name, or several: only its schema is used, since `settings::OneOrMany` reads it.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// One severity, or several: only its schema is used, since `settings::OneOrMany` reads it.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Severities {
    /// One.
    One(Severity),
    /// Several.
    Many(Vec<Severity>),
}

/// A number of failures, or one among many: only its schema is used, since [`RawAfter`] reads it.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum AfterForms {
    /// In a row.
    Row(u32),
    /// `2 of 3`.
    Among(String),
}

/// A length of time as written.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(inline)]
pub struct RawLength(pub Length);

impl<'de> Deserialize<'de> for RawLength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = RawLength;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time like `30s`")
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<RawLength, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawLength, E> {
                text.parse().map(RawLength).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// An amount of money as written.
#[derive(Clone, Copy, Debug)]
pub struct RawDollars(pub Dollars);

impl<'de> Deserialize<'de> for RawDollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = RawDollars;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of money like `50 USD`")
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<RawDollars, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<RawDollars, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawDollars, E> {
                text.parse().map(RawDollars).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// An address to listen at as written; whether it is one shows later, with what to write.
#[derive(Clone, Debug)]
pub struct RawListen(pub String);

impl<'de> Deserialize<'de> for RawListen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "an address like `127.0.0.1:8080`").map(Self)
    }
}

/// A share like `5%` as written.
#[derive(Clone, Copy, Debug)]
pub struct RawShare(pub Share);

impl<'de> Deserialize<'de> for RawShare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a share like `5%`").map(Self)
    }
}

/// The path of a capture as written.
#[derive(Clone, Debug)]
pub struct RawPath(pub CapturePath);

impl<'de> Deserialize<'de> for RawPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a path like `json.token`").map(Self)
    }
}

/// `2` or `2 of 3` as written.
#[derive(Clone, Copy, Debug)]
pub struct RawAfter(pub After);

impl<'de> Deserialize<'de> for RawAfter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = RawAfter;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of failures like `2`, or `2 of 3`")
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<RawAfter, E> {
                let number = u32::try_from(number).map_err(|_| E::custom(format!("`after` cannot be {number}")))?;
                After::new(number, number).map(RawAfter).map_err(E::custom)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawAfter, E> {
                text.parse().map(RawAfter).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
