//! An amount of money.

use std::fmt;

use serde::Serialize;

use crate::domain::text::thousands;

/// The largest amount that is read: more than anybody's bill, and exact to the cent in a double.
const DOLLARS_MAX: f64 = 1e12;

/// US dollars, in which AWS prices everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Dollars(pub f64);

/// Why a text is not an amount of dollars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DollarsError {
    /// No amount of anything.
    #[error("`{0}` is not an amount of money: write it like `50 USD`")]
    Form(String),
    /// An amount of nobody knows what.
    #[error("`{0}` has no currency: write `{0} USD`")]
    NoCurrency(String),
    /// Money that AWS has no prices in.
    #[error("AWS's prices are in USD, not in {0}: write it like `50 USD`")]
    Currency(String),
    /// More than there is.
    #[error("`{0}` is more than a bill can be")]
    TooMuch(String),
}

impl std::str::FromStr for Dollars {
    type Err = DollarsError;
    fn from_str(text: &str) -> Result<Self, DollarsError> {
        let text = text.trim();
        let form = || DollarsError::Form(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, currency) = text.split_at(digits);
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(form());
        }
        let number: f64 = number.parse().map_err(|_| form())?;
        match currency.trim_start() {
            "USD" if number > DOLLARS_MAX => Err(DollarsError::TooMuch(text.to_owned())),
            "USD" => Ok(Self(number)),
            "" => Err(DollarsError::NoCurrency(text.to_owned())),
            other if other.len() == 3 && other.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                Err(DollarsError::Currency(other.to_owned()))
            }
            _ => Err(form()),
        }
    }
}

impl Dollars {
    /// The amount with all the digits that a price has: `$0.30`, `$0.0012`, `$0.00000005`.
    pub fn price(self) -> String {
        let text = format!("{:.9}", self.0);
        let end = text.trim_end_matches('0').len().max(text.find('.').unwrap_or(0) + 3);
        format!("${}", &text[..end])
    }

    /// Rounded up to a cent: what a budget must be at least for the amount to be within it.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        Self((self.0 * 100.0 - 1e-6).ceil().max(0.0) / 100.0)
    }
}

/// `$1,234.50`; of less than half a cent that it is some.
impl fmt::Display for Dollars {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sum of prices is far below 2^64 cents"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0.0 && self.0 < 0.005 {
            return f.pad("<$0.01");
        }
        let cents = (self.0.max(0.0) * 100.0).round() as u64;
        f.pad(&format!("${}.{:02}", thousands(cents / 100), cents % 100))
    }
}

impl std::iter::Sum for Dollars {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.map(|amount| amount.0).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_its_currency() {
        for (text, amount) in [("50 USD", 50.0), ("0.5USD", 0.5), (" 1000  USD ", 1_000.0), ("0 USD", 0.0)] {
            assert_eq!(text.parse(), Ok(Dollars(amount)), "{text}");
        }
        for (text, why) in [
            ("50", "`50` has no currency: write `50 USD`"),
            ("50 EUR", "AWS's prices are in USD, not in EUR: write it like `50 USD`"),
            ("$50", "`$50` is not an amount of money: write it like `50 USD`"),
            ("-5 USD", "`-5 USD` is not an amount of money: write it like `50 USD`"),
            ("1,000 USD", "`1,000 USD` is not an amount of money: write it like `50 USD`"),
            ("1.2.3 USD", "`1.2.3 USD` is not an amount of money: write it like `50 USD`"),
            (".5 USD", "`.5 USD` is not an amount of money: write it like `50 USD`"),
            ("50 usd", "`50 usd` is not an amount of money: write it like `50 USD`"),
            ("", "`` is not an amount of money: write it like `50 USD`"),
            ("9999999999999 USD", "`9999999999999 USD` is more than a bill can be"),
        ] {
            assert_eq!(text.parse::<Dollars>().unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn amounts_are_rounded_and_prices_are_not() {
        let shown = [0.0, 0.000_4, 0.005, 13.8, 1_234.567].map(|amount| Dollars(amount).to_string());
        assert_eq!(shown, ["$0.00", "<$0.01", "$0.01", "$13.80", "$1,234.57"]);
        let prices = [0.3, 0.0012, 0.01, 3.0, 0.000_000_125].map(|price| Dollars(price).price());
        assert_eq!(prices, ["$0.30", "$0.0012", "$0.01", "$3.00", "$0.000000125"]);
        let rounded = [1.201, 1.2, 0.0].map(|amount| Dollars(amount).rounded_up().to_string());
        assert_eq!(rounded, [1.21, 1.2, 0.0].map(|amount| Dollars(amount).to_string()));
    }
}
