//! How long the parts of a step took.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long each part of a step took, in milliseconds with their fraction; a part that did not happen is absent. Over
/// redirects the parts are summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phases {
    /// Name to addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_ms: Option<f64>,
    /// TCP handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<f64>,
    /// TLS handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ms: Option<f64>,
    /// From the request's last byte to the answer's first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    /// From the answer's first byte to its last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_ms: Option<f64>,
    /// By how much [`Self::connect_ms`] may be too long: next to nothing where the kernel says how long the handshake
    /// took, all of it where only our own clock does, since nobody knows when we were let to look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_error_ms: Option<f64>,
    /// By how much [`Self::first_byte_ms`] may be wrong: with the kernel's stamp of the byte what sending took, and
    /// without one the time since we last looked and found nothing. The kernel stamps what is read at once as one, by its
    /// last segment: how long before that the first of several came is in neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_error_ms: Option<f64>,
    /// From the beginning to the end, including what is between the parts.
    pub total_ms: f64,
}

impl Phases {
    /// The parts in their order, with the name that expressions use.
    pub fn parts(&self) -> [(&'static str, Option<f64>); 5] {
        [
            ("dns_ms", self.dns_ms),
            ("connect_ms", self.connect_ms),
            ("tls_ms", self.tls_ms),
            ("first_byte_ms", self.first_byte_ms),
            ("transfer_ms", self.transfer_ms),
        ]
    }

    /// How far those parts may be off that the kernel can tell exactly, with the name that expressions use.
    pub fn errors(&self) -> [(&'static str, Option<f64>); 2] {
        [("connect_error_ms", self.connect_error_ms), ("first_byte_error_ms", self.first_byte_error_ms)]
    }

    /// Adds the parts of a further exchange, e.g. after a redirect.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.dns_ms, other.dns_ms),
            (&mut self.connect_ms, other.connect_ms),
            (&mut self.tls_ms, other.tls_ms),
            (&mut self.first_byte_ms, other.first_byte_ms),
            (&mut self.transfer_ms, other.transfer_ms),
            (&mut self.connect_error_ms, other.connect_error_ms),
            (&mut self.first_byte_error_ms, other.first_byte_error_ms),
        ] {
            if let Some(more) = theirs {
                *mine = Some(mine.unwrap_or(0.0) + more);
            }
        }
        self.total_ms += other.total_ms;
    }

    /// What came to it since `earlier`, e.g. with one exchange of several; a part that did not happen again is absent.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        for (mine, before) in [
            (&mut self.dns_ms, earlier.dns_ms),
            (&mut self.connect_ms, earlier.connect_ms),
            (&mut self.tls_ms, earlier.tls_ms),
            (&mut self.first_byte_ms, earlier.first_byte_ms),
            (&mut self.transfer_ms, earlier.transfer_ms),
            (&mut self.connect_error_ms, earlier.connect_error_ms),
            (&mut self.first_byte_error_ms, earlier.first_byte_error_ms),
        ] {
            *mine = if *mine == before { None } else { mine.map(|now| now - before.unwrap_or(0.0)) };
        }
        self.total_ms -= earlier.total_ms;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_of_redirects_are_summed() {
        let mut sum = Phases { connect_ms: Some(1.0), total_ms: 2.0, ..Phases::default() };
        sum.add(&Phases { connect_ms: Some(2.0), tls_ms: Some(3.0), total_ms: 6.0, ..Phases::default() });
        assert_eq!(sum, Phases { connect_ms: Some(3.0), tls_ms: Some(3.0), total_ms: 8.0, ..Phases::default() });
    }

    #[test]
    fn what_one_exchange_took_is_the_difference() {
        let before = Phases { dns_ms: Some(1.0), connect_ms: Some(1.0), total_ms: 2.0, ..Phases::default() };
        let after = Phases { connect_ms: Some(3.0), tls_ms: Some(3.0), total_ms: 8.0, ..before };
        let own = Phases { connect_ms: Some(2.0), tls_ms: Some(3.0), total_ms: 6.0, ..Phases::default() };
        assert_eq!(after.since(&before), own);
    }
}
