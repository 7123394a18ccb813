//! By a signature a receiver knows that a message is ours and new.

use crate::domain::time::Timestamp;
use crate::notifiers::mac::hex_mac;

/// `t=<seconds since 1970>,v1=<hex>`, where the second is the HMAC-SHA-256 (RFC 2104) of `<t>.<body>` under the secret. The
/// time is signed too, so that a receiver can refuse what is old and was recorded by somebody.
pub fn signature(secret: &str, at: Timestamp, body: &str) -> String {
    let seconds = at.timestamp();
    format!("t={seconds},v1={}", hex_mac(secret, format!("{seconds}.{body}").as_bytes()))
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
