//! Proof that a text is of somebody who knows a secret.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The HMAC-SHA-256 (RFC 2104) of a text under a secret, as hexadecimal digits.
pub fn hex_mac(secret: &str, text: &[u8]) -> String {
    // HMAC takes keys of every length, so the other arm is never gone; an empty proof is one that nobody takes.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(text);
    let mut digits = String::new();
    for byte in mac.finalize().into_bytes() {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
