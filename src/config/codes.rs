//! The codes of second factors: each given once, waited for if need be, and taken out of every text for a while.

use secrecy::SecretString;

use crate::domain::recent::Recent;
use crate::domain::time::{Monotonic, words};
use crate::domain::totp::{Given, Key};
use crate::ports::Clock;

/// Only the last codes are taken out of texts, this many or twice as many: a code has six digits, and with all that were ever
/// given most numbers of six digits would go.
const KEPT: usize = 32;

/// Those of the process: a plan that is loaded anew makes its codes of the same secrets. After a restart nobody knows what the
/// process before gave, so a code may be shown twice within its 30 seconds, and is then refused by whoever asked for it.
static GIVEN: Given = Given::new();

/// Makes codes.
#[derive(Debug)]
pub struct Codes {
    recent: Recent,
}

impl Default for Codes {
    fn default() -> Self {
        Self { recent: Recent::new(KEPT) }
    }
}

impl Codes {
    /// The next code that was not given, or why there is none; never says the secret.
    pub async fn next(&self, secret: &str, clock: &dyn Clock, deadline: Monotonic) -> Result<SecretString, String> {
        let key = Key::parse(secret).map_err(str::to_owned)?;
        let now = clock.now();
        let window = GIVEN.take(&key, now, deadline.since(clock.monotonic())).map_err(|wait| {
            format!("its code was given already, and the next one comes in {}, after the time of the step", words(wait))
        })?;
        let wait = window.begins_in(now);
        if !wait.is_zero() {
            clock.sleep_until(clock.monotonic() + wait).await;
        }
        let code = key.code(window);
        self.recent.learn(&code);
        Ok(SecretString::from(code))
    }

    /// The text without the last of them.
    pub fn redact(&self, text: &str) -> String {
        self.recent.redact(text)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::engine::testing::TestClock;

    #[tokio::test(start_paused = true)]
    async fn the_next_code_is_waited_for_and_no_text_has_it() {
        let (clock, codes) = (TestClock::starting("2026-11-24T10:00:10Z"), Codes::default());
        let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
        let within = |seconds| clock.monotonic() + Duration::from_secs(seconds);
        let first = codes.next(secret, &*clock, within(5)).await.unwrap();
        let why = codes.next(secret, &*clock, within(5)).await.unwrap_err();
        assert_eq!(why, "its code was given already, and the next one comes in 20 s, after the time of the step");
        let second = codes.next(secret, &*clock, within(25)).await.unwrap();
        assert_eq!(clock.monotonic().0.as_secs(), 20);
        assert_ne!(first.expose_secret(), second.expose_secret());
        // A plan that is loaded anew knows what was given.
        let why = Codes::default().next(secret, &*clock, within(5)).await.unwrap_err();
        assert!(why.starts_with("its code was given already"), "{why}");
        let text = codes.redact(&format!("{} and {}", first.expose_secret(), second.expose_secret()));
        assert_eq!(text, "••• and •••");
        assert_eq!(
            codes.next("no base32!", &*clock, within(5)).await.unwrap_err(),
            "it is not base32: letters, and digits from 2 to 7"
        );
    }
}
