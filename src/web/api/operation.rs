//! What is said of a row of the table: what it is for, what it takes, what it gives. The document for programs is made of this
//! and of the row itself, so that neither can be without the other.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

/// The schema of something.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What is said of a row.
pub struct Operation {
    /// By which name programs call it.
    pub id: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What may stand behind the `?`.
    pub query: Option<Shape>,
    /// What is brought, and an example of it.
    pub takes: Option<(Shape, Value)>,
    /// What comes back when it is done, by status, in words.
    pub gives: Vec<(u16, &'static str, Shape)>,
    /// What may go wrong besides what may with every row of its sort.
    pub troubles: &'static [u16],
}

impl Operation {
    /// One that is read, or done, and gives a `T`.
    pub fn of<T: JsonSchema>(id: &'static str, about: &'static str) -> Self {
        let gives = vec![(200, "It is so.", shape::<T> as Shape)];
        Self { id, about, query: None, takes: None, gives, troubles: &[] }
    }

    /// With what may stand behind the `?`.
    #[must_use]
    pub fn asks<T: JsonSchema>(mut self) -> Self {
        self.query = Some(T::json_schema);
        self
    }

    /// With what is brought, as in the example.
    #[must_use]
    pub fn takes<T: JsonSchema>(mut self, example: Value) -> Self {
        self.takes = Some((shape::<T>, example));
        self
    }

    /// It may be answered before it is recorded, or before it has ended.
    #[must_use]
    pub fn or_accepted<T: JsonSchema>(mut self, words: &'static str) -> Self {
        self.gives.push((202, words, shape::<T>));
        self
    }

    /// With what may go wrong besides.
    #[must_use]
    pub fn or(mut self, troubles: &'static [u16]) -> Self {
        self.troubles = troubles;
        self
    }
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
