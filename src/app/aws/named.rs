//! Names of alarms and of resources in a template: the same for the same thing always, since another name is another alarm.

use sha2::{Digest as _, Sha256};

use super::alarms::About;
use crate::domain::text::harmless;

/// The longest name of an alarm, in characters.
const ALARM_NAME_MAX: usize = 255;

/// How much of a resource's own name stands in its logical id.
const WORDS_MAX: usize = 80;

/// The name of an alarm: the site, what it is about, and of whom. What is too long ends in a hash of all of it.
pub fn alarm(site: &str, about: About, of: &[&str]) -> String {
    let whole = harmless(&[&[site, about.as_str()], of].concat().join("/")).into_owned();
    if whole.chars().count() <= ALARM_NAME_MAX {
        return whole;
    }
    let hash = hash(&whole);
    let kept = whole.chars().take(ALARM_NAME_MAX - hash.len() - 1);
    format!("{}-{hash}", kept.collect::<String>())
}

/// The id of a resource in a template: letters and digits, so what else tells names apart is in the hash.
pub fn logical(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let camel = words.flat_map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters)
    });
    format!("{}{}", camel.take(WORDS_MAX).collect::<String>(), hash(name).to_uppercase())
}

fn hash(text: &str) -> String {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(text.as_bytes()));
    format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_the_same_is_told_apart() {
        assert_eq!(alarm("shop", About::Policy, &["often", "api"]), "shop/policy/often/api");
        assert_ne!(logical("shop/policy/a-b/c"), logical("shop/policy/a/b-c"));
        assert!(logical("shop/policy/a-b/c").starts_with("ShopPolicyABC"));
        let long = "p".repeat(200);
        let (one, other) = (alarm(&long, About::Policy, &[&long, "a"]), alarm(&long, About::Policy, &[&long, "b"]));
        assert_eq!((one.len(), other.len()), (ALARM_NAME_MAX, ALARM_NAME_MAX));
        assert_ne!(one, other);
        assert!(logical(&one).bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
