//! Proof that a text is of somebody who knows a secret.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::text::hex;

/// The HMAC-SHA-256 (RFC 2104) of a text under a secret, as hexadecimal digits.
pub fn hex_mac(secret: &str, text: &[u8]) -> String {
    // HMAC takes keys of every length, so the other arm is never gone; an empty proof is one that nobody takes.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(text);
    hex(&mac.finalize().into_bytes())
}
