//! The codes of a second factor: RFC 6238 with SHA-1, 30 seconds and six digits, which is what every authenticator app and Cognito
//! have.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::time::Timestamp;

/// For how many seconds a code is good.
const STEP_SECONDS: i64 = 30;

/// A code has six digits.
const MODULUS: u32 = 1_000_000;

/// The shortest secret, in bytes: RFC 4226, section 4, wants 16, and authenticators have made do with ten.
const BYTES_MIN: usize = 10;

/// More codes are not promised ahead. Who finds more has had his clock set back.
const AHEAD_MAX: i64 = 20;

/// The secret that codes are made of.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

/// By what a secret is known that is not kept.
type Fingerprint = [u8; 32];

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// A stretch of 30 seconds, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window(i64);

impl Window {
    /// The one of an instant.
    pub fn of(at: Timestamp) -> Self {
        Self(at.timestamp().div_euclid(STEP_SECONDS))
    }

    /// How long it is until it begins; zero once it has.
    pub fn begins_in(self, now: Timestamp) -> Duration {
        let begins = self.0.saturating_mul(STEP_SECONDS).saturating_mul(1_000);
        let left = u64::try_from(begins.saturating_sub(now.timestamp_millis())).unwrap_or(0);
        Duration::from_millis(left)
    }
}

impl Key {
    /// Reads base32 as it is handed out: in either case, in groups or not, with its padding or without. The error never says
    /// any of it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
        for digit in text.trim_end_matches('=').bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a',
                b'2'..=b'7' => digit - b'2' + 26,
                _ => return Err("it is not base32: letters, and digits from 2 to 7"),
            };
            bits = (bits << 5) | u32::from(value);
            count += 5;
            if count >= 8 {
                count -= 8;
                let [.., byte] = (bits >> count).to_be_bytes();
                bytes.push(byte);
            }
        }
        if bytes.len() < BYTES_MIN {
            Err("it is too short to be the secret of a second factor")
        } else {
            Ok(Self(bytes))
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        Sha256::digest(&self.0).into()
    }

    /// The code of a window.
    pub fn code(&self, window: Window) -> String {
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&self.0) else { return String::new() };
        mac.update(&window.0.to_be_bytes());
        let digest = mac.finalize().into_bytes();
        // RFC 4226, section 5.3: the last four bits say which four bytes are the number.
        let at = usize::from(digest[digest.len() - 1] & 0x0f);
        let number = digest[at..].iter().take(4).fold(0, |number, byte| (number << 8) | u32::from(*byte));
        format!("{:06}", (number & 0x7fff_ffff) % MODULUS)
    }
}

/// Which codes were given: RFC 6238, section 5.2, wants a code to be taken once, and whoever shows it twice is refused.
#[derive(Debug, Default)]
pub struct Given(Mutex<BTreeMap<Fingerprint, Window>>);

impl Given {
    /// Nothing was given.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The first window whose code was not given, which is then this caller's alone; or how long it would have to wait for it,
    /// where that is longer than it can.
    pub fn take(&self, key: &Key, now: Timestamp, wait_max: Duration) -> Result<Window, Duration> {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = Window::of(now);
        let key = key.fingerprint();
        let last = given.get(&key).filter(|last| last.0 <= current.0 + AHEAD_MAX);
        let next = last.map_or(current, |last| current.max(Window(last.0 + 1)));
        let wait = next.begins_in(now);
        if wait > wait_max {
            return Err(wait);
        }
        given.insert(key, next);
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B; its codes have eight digits, of which ours are the last six.
        let key = Key::parse("GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ").unwrap();
        assert_eq!(key.0, b"12345678901234567890");
        for (seconds, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(key.code(Window::of(at(seconds))), code[2..], "{seconds}");
        }
        assert_eq!(Key::parse("gezdgnbvgy3tqojqgezdgnbvgy3tqojq====").unwrap(), key);
    }

    #[test]
    fn what_is_no_secret_says_so_and_not_what_it_is() {
        assert_eq!(Key::parse("GEZDGNBV0"), Err("it is not base32: letters, and digits from 2 to 7"));
        assert_eq!(Key::parse("GEZDGNBV"), Err("it is too short to be the secret of a second factor"));
        assert_eq!(format!("{:?}", Key::parse("GEZDGNBVGY3TQOJQGEZDGNBV").unwrap()), "Key");
    }

    #[test]
    fn no_code_is_given_twice() {
        let (given, key) = (Given::new(), Key::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap());
        let second = Duration::from_secs(1);
        assert_eq!(given.take(&key, at(60), second), Ok(Window(2)));
        assert_eq!(given.take(&key, at(61), 10 * second), Err(29 * second), "nothing is promised to who cannot wait");
        assert_eq!(given.take(&key, at(61), 60 * second), Ok(Window(3)));
        assert_eq!(given.take(&key, at(62), 60 * second), Ok(Window(4)), "the one that another waits for is his");
        assert_eq!(given.take(&key, at(300), second), Ok(Window(10)));
        assert_eq!(Window(3).begins_in(at(61)), 29 * second);
        let other = Key::parse("GEZDGNBVGY3TQOJQGEZDGNBV").unwrap();
        assert_eq!(given.take(&other, at(300), second), Ok(Window(10)), "each has its own");
        // A clock that was set back by an hour must not wait for an hour.
        assert_eq!(given.take(&key, at(300 - 3_600), second), Ok(Window(-110)));
    }
}
