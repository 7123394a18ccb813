//! Makes one thing of an observation otherwise. In a body everything else stays as it came, byte for byte: an expectation may
//! read it as text, and must not notice what we did to its spaces.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::place::Way;

/// What becomes of a value: another, or none.
pub type Make<'m> = &'m dyn Fn(&Value) -> Option<Value>;

/// Makes every value at a place otherwise. What is not there stays so.
pub fn value(of: &mut Value, way: &[Way], make: Make<'_>) {
    let Some((first, rest)) = way.split_first() else {
        *of = make(of).unwrap_or_default();
        return;
    };
    match (first, of) {
        (Way::Field(name), Value::Object(fields)) => {
            if !rest.is_empty() {
                fields.get_mut(name).into_iter().for_each(|below| value(below, rest, make));
            } else if let Some(made) = fields.get(name).map(make) {
                match made {
                    Some(made) => fields.insert(name.clone(), made),
                    None => fields.shift_remove(name),
                };
            }
        }
        (Way::Each, Value::Array(items)) => items.iter_mut().for_each(|item| value(item, rest, make)),
        _ => {}
    }
}

/// The same in the text of some JSON; nothing where it is none.
pub fn text(of: &str, way: &[Way], make: Make<'_>) -> Option<String> {
    let whole: &RawValue = serde_json::from_str(of).ok()?;
    let mut splices = Vec::new();
    Splicer { start: of.as_ptr().addr(), make }.visit(whole, way, &mut splices);
    splices.sort_by_key(|(range, _)| range.start);
    let (mut made, mut at) = (String::with_capacity(of.len()), 0);
    for (range, put) in splices {
        // Of a name that came twice in one object the ranges may overlap.
        let Some(kept) = of.get(at..range.start) else { continue };
        made.push_str(kept);
        made.push_str(&put);
        at = range.end;
    }
    made.push_str(of.get(at..)?);
    Some(made)
}

/// A piece of the text, and what is put in its place.
type Splice = (Range<usize>, String);

struct Splicer<'m> {
    start: usize,
    make: Make<'m>,
}

impl Splicer<'_> {
    fn range(&self, of: &RawValue) -> Range<usize> {
        let start = of.get().as_ptr().addr() - self.start;
        start..start + of.get().len()
    }

    fn visit(&self, at: &RawValue, way: &[Way], splices: &mut Vec<Splice>) {
        match way.split_first() {
            None => splices.push((self.range(at), self.made(at).unwrap_or_default())),
            Some((Way::Each, rest)) => {
                let items: Vec<&RawValue> = serde_json::from_str(at.get()).unwrap_or_default();
                for item in items {
                    self.visit(item, rest, splices);
                }
            }
            Some((Way::Field(name), rest)) => {
                let fields = serde_json::Deserializer::from_str(at.get()).deserialize_map(Fields).unwrap_or_default();
                for (index, (_, below)) in fields.iter().enumerate().filter(|(_, (known, _))| known == name) {
                    if rest.is_empty() && self.made(below).is_none() {
                        splices.push((self.field(at, &fields, index), String::new()));
                    } else {
                        self.visit(below, rest, splices);
                    }
                }
            }
        }
    }

    /// What becomes of a value. One that is too deep to be read stays as it is.
    fn made(&self, of: &RawValue) -> Option<String> {
        let Ok(value) = serde_json::from_str::<Value>(of.get()) else { return Some(of.get().to_owned()) };
        (self.make)(&value).map(|made| made.to_string())
    }

    /// A field with its name and the comma that goes with it.
    fn field(&self, object: &RawValue, fields: &[(String, &RawValue)], index: usize) -> Range<usize> {
        let own = self.range(fields[index].1);
        if let Some((_, before)) = index.checked_sub(1).and_then(|before| fields.get(before)) {
            return self.range(before).end..own.end;
        }
        let object_range = self.range(object);
        let behind = own.end - object_range.start;
        // Behind a value there is space and a comma, and nothing else.
        let comma = object.get()[behind..].find(',').filter(|_| fields.len() > 1);
        object_range.start + 1..comma.map_or(own.end, |comma| own.end + comma + 1)
    }
}

/// The fields of an object in their order, those that come twice among them.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}
