//! By a signature a receiver knows that a message is ours and new.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::time::Timestamp;

/// `t=<seconds since 1970>,v1=<hex>`, where the second is the HMAC-SHA-256 (RFC 2104) of `<t>.<body>` under the secret. The
/// time is signed too, so that a receiver can refuse what is old and was recorded by somebody.
pub fn signature(secret: &str, at: Timestamp, body: &str) -> String {
    let seconds = at.timestamp();
    // HMAC takes keys of every length, so the other arm is never gone; an empty signature is one that no receiver takes.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{seconds}.{body}").as_bytes());
    let mut signature = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        // Writing to a String cannot fail.
        let _ = write!(signature, "{byte:02x}");
    }
    signature
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::at;

    #[test]
    fn it_is_the_hmac_of_the_time_and_the_body() {
        // printf '1764000000.{"a":1}' | openssl dgst -sha256 -hmac opensesame
        let signed = signature("opensesame", at("2025-11-24T16:00:00Z"), "{\"a\":1}");
        assert_eq!(signed, "t=1764000000,v1=fdfc2ee0a644c0f26502119e294e0889955c5f9a2e0c00100b2389038c8b3fa8");
        assert_ne!(signed, signature("opensesame", at("2025-11-24T16:00:01Z"), "{\"a\":1}"));
        assert_ne!(signed, signature("opensesame2", at("2025-11-24T16:00:00Z"), "{\"a\":1}"));
    }
}
