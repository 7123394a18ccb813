//! Secrets that follow each other, of which only the last are taken out of texts: whoever keeps all that ever were grows for ever.

use std::sync::{PoisonError, RwLock};

use super::redaction::Redactor;

/// The last secrets of a kind.
#[derive(Debug)]
pub struct Recent {
    /// The last of them, and those before.
    known: RwLock<(Redactor, Redactor)>,
    /// So many are kept, or twice as many.
    most: usize,
}

impl Recent {
    /// Knows none yet. So many are kept of those to come, or twice as many.
    pub fn new(most: usize) -> Self {
        Self { known: RwLock::default(), most }
    }

    /// From now on this secret is taken out, until as many others have come.
    pub fn learn(&self, secret: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.0.learn(secret);
        if known.0.known() >= self.most {
            known.1 = std::mem::take(&mut known.0);
        }
    }

    /// The text without the last of them.
    pub fn redact(&self, text: &str) -> String {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.1.redact(&known.0.redact(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_are_kept() {
        let recent = Recent::new(4);
        let secret = |number: usize| format!("secret-number-{number:03}");
        for number in 0..100 {
            recent.learn(&secret(number));
            recent.learn(&secret(number));
        }
        for number in 96..100 {
            assert_eq!(recent.redact(&secret(number)), "•••");
        }
        assert_eq!(recent.redact(&secret(90)), secret(90));
        let known = recent.known.read().unwrap();
        assert!(known.0.known() + known.1.known() <= 8);
    }
}
