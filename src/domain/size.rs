//! Amounts of bytes, and how people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An amount of bytes as people write it: `64MiB`, `500 kB`, `1GiB`; always with its unit, except for 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

/// Why a text is not an amount of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// A bare number: bytes here, kilobytes there.
    #[error("`{0}` has no unit: write `{0}B` for bytes, or kB, MB, GB, KiB, MiB, GiB")]
    NoUnit(String),
    /// Anything else.
    #[error("`{0}` is not an amount of bytes: write it like `64MiB`, `500kB` or `1GiB`")]
    Form(String),
}

/// The units, the largest first, those of two powers before those of ten.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for Size {
    type Err = SizeError;
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let form = || SizeError::Form(text.to_owned());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| form())?;
        match unit.trim_start() {
            "" if number == 0 => Ok(Self(0)),
            "" => Err(SizeError::NoUnit(text.to_owned())),
            unit => {
                let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(form)?;
                number.checked_mul(*bytes).map(Self).ok_or_else(form)
            }
        }
    }
}

impl TryFrom<String> for Size {
    type Error = SizeError;
    fn try_from(text: String) -> Result<Self, SizeError> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl fmt::Display for Size {
    /// In the largest unit that divides it, so that it is read as it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes));
        match whole {
            Some((unit, bytes)) => write!(f, "{} {unit}", self.0 / bytes),
            None => f.write_str("0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes, shown) in [
            ("64MiB", 67_108_864, "64 MiB"),
            (" 500 kB ", 500_000, "500 kB"),
            ("1GiB", 1_073_741_824, "1 GiB"),
            ("1024B", 1_024, "1 KiB"),
            ("0", 0, "0"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown), "{text}");
            assert_eq!(shown.parse(), Ok(size));
        }
        for (text, why) in [
            ("64", "`64` has no unit: write `64B` for bytes, or kB, MB, GB, KiB, MiB, GiB"),
            ("", "`` is not an amount of bytes: write it like `64MiB`, `500kB` or `1GiB`"),
            ("-1MB", "`-1MB` is not an amount of bytes: write it like `64MiB`, `500kB` or `1GiB`"),
            ("1.5GB", "`1.5GB` is not an amount of bytes: write it like `64MiB`, `500kB` or `1GiB`"),
            (
                "99999999999999GiB",
                "`99999999999999GiB` is not an amount of bytes: write it like `64MiB`, `500kB` or `1GiB`",
            ),
        ] {
            assert_eq!(text.parse::<Size>().unwrap_err().to_string(), why);
        }
    }
}
