//! Facts by their names. Most of what a step sees is asked for by no assertion, so a fact may be worked out when it is
//! first read.

use std::borrow::Cow;
use std::fmt;
use std::ops::Index;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

/// Facts by their names, in the order in which they were put down. A few dozen at most: they are looked for one after
/// another.
#[derive(Clone, Debug, Default)]
pub struct FactMap(Vec<(Cow<'static, str>, Fact)>);

#[derive(Clone)]
enum Fact {
    Known(Value),
    Late(OnceLock<Value>, Arc<dyn Fn() -> Value + Send + Sync>),
}

impl FactMap {
    /// Puts a fact down, in the place of one with the same name.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.put(name.into(), Fact::Known(value.into()));
    }

    /// The same for a fact that costs something to put into words: it is worked out once, when it is first read.
    pub fn insert_late(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Fn() -> Value + Send + Sync + 'static,
    ) {
        self.put(name.into(), Fact::Late(OnceLock::new(), Arc::new(value)));
    }

    fn put(&mut self, name: Cow<'static, str>, fact: Fact) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = fact,
            None => self.0.push((name, fact)),
        }
    }

    /// The fact of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, fact)| fact.value())
    }

    /// Whether there is a fact of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// All facts, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, fact)| (&**name, fact.value()))
    }
}

impl Fact {
    fn value(&self) -> &Value {
        match self {
            Self::Known(value) => value,
            Self::Late(value, work_out) => value.get_or_init(|| work_out()),
        }
    }
}

impl fmt::Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

/// Null where there is no such fact, as with a JSON object.
impl Index<&str> for FactMap {
    type Output = Value;

    fn index(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&Value::Null)
    }
}

impl<N: Into<Cow<'static, str>>, V: Into<Value>> Extend<(N, V)> for FactMap {
    fn extend<T: IntoIterator<Item = (N, V)>>(&mut self, facts: T) {
        facts.into_iter().for_each(|(name, value)| self.insert(name, value));
    }
}

impl<N: Into<Cow<'static, str>>, V: Into<Value>> FromIterator<(N, V)> for FactMap {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(facts: T) -> Self {
        let mut map = Self::default();
        map.extend(facts);
        map
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_late_fact_is_worked_out_when_it_is_read_and_once() {
        let worked_out = Arc::new(AtomicU32::new(0));
        let mut facts = FactMap::default();
        let count = Arc::clone(&worked_out);
        facts.insert_late("headers", move || count.fetch_add(1, Ordering::Relaxed).into());
        assert!(facts.contains_key("headers"));
        assert_eq!(worked_out.load(Ordering::Relaxed), 0);
        assert_eq!([facts.get("headers"), facts.get("headers")], [Some(&0.into()); 2]);
        assert_eq!(worked_out.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_last_word_on_a_name_stands_in_the_place_of_the_first() {
        let mut facts: FactMap = [("status", 200), ("requests", 1)].into_iter().collect();
        facts.insert_late("status", || 204.into());
        assert_eq!(facts.iter().collect::<Vec<_>>(), [("status", &204.into()), ("requests", &1.into())]);
        assert_eq!((facts.get("json"), facts.contains_key("json")), (None, false));
        assert_eq!(facts["json"], Value::Null);
    }
}
