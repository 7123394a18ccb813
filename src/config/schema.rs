//! The JSON Schema of the three files, for editors: the shapes of `raw`, with every kind and its settings put in.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::raw::{RawGroup, RawProbe, RawRoot, RawSchedule, RawStep};
use crate::ports::Kinds;

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// `roundsman.yaml`.
    Root,
    /// A file in `probes/`.
    Probes,
    /// A file in `schedules/`.
    Schedules,
}

/// The schema of a file.
pub fn schema(file: File, kinds: &Kinds) -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let mut root = match file {
        File::Root => root(&mut generator, kinds),
        File::Probes => {
            let probe = with_kinds::<RawProbe>(&mut generator, kinds);
            let steps = with_kinds::<RawStep>(&mut generator, kinds);
            let mut schema = named(&probe, "probes", "From the name of a probe to the probe.");
            if let Some(definition) = generator.definitions_mut().get_mut("Step") {
                *definition = steps;
            }
            schema["title"] = json!("probes of Roundsman");
            schema
        }
        File::Schedules => {
            let schedule = plain::<RawSchedule>(&mut generator);
            named(&schedule, "schedules of Roundsman", "From the name of a schedule to the schedule.")
        }
    };
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    let definitions = generator.take_definitions(true);
    if !definitions.is_empty() {
        root["definitions"] = Value::Object(definitions);
    }
    root
}

fn named(of: &Value, title: &str, about: &str) -> Value {
    json!({ "title": title, "description": about, "type": "object", "additionalProperties": of })
}

fn plain<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    T::json_schema(generator).to_value()
}

/// A shape with one property for each kind of probe.
fn with_kinds<T: JsonSchema>(generator: &mut SchemaGenerator, kinds: &Kinds) -> Value {
    let mut schema = plain::<T>(generator);
    for kind in kinds.probers {
        let settings = (kind.schema)(generator);
        let mut of = one_of(kind.about, Some(kind.main), &settings);
        // Where the main field may be more than a text, so may what stands for all.
        let main = &settings.as_value()["properties"][kind.main];
        let definition = main["$ref"].as_str().and_then(|path| path.strip_prefix("#/definitions/"));
        if definition.and_then(|name| generator.definitions().get(name)).is_some_and(|shape| shape["anyOf"].is_array())
        {
            of["anyOf"][0] = main.clone();
        }
        property(&mut schema, kind.name, of);
    }
    schema
}

fn root(generator: &mut SchemaGenerator, kinds: &Kinds) -> Value {
    let mut schema = plain::<RawRoot>(generator);
    let mut channels: Map<String, Value> = kinds
        .channels
        .iter()
        .map(|kind| (kind.name.to_owned(), one_of(kind.about, Some(kind.main), &(kind.schema)(generator))))
        .collect();
    let publishers: Map<String, Value> = kinds
        .publishers
        .iter()
        .map(|kind| (kind.name.to_owned(), one_of(kind.about, None, &(kind.schema)(generator))))
        .collect();
    let one_kind: Vec<_> = channels.keys().map(|kind| json!({ "required": [kind] })).collect();
    let mut group = generator.subschema_for::<RawGroup>().to_value();
    group["description"] =
        json!("What of messages to this channel goes together. Default: what `group` of the whole file says.");
    channels.insert("group".to_owned(), group);
    let channel = json!({ "type": "object", "properties": channels, "additionalProperties": false, "oneOf": one_kind });
    schema["properties"]["channels"]["additionalProperties"] = channel;
    schema["properties"]["publish"] = json!({
        "description": "Where metrics go.", "type": "object", "properties": publishers, "additionalProperties": false
    });
    schema
}

fn property(schema: &mut Value, name: &str, of: Value) {
    schema["properties"][name] = of;
}

/// A kind's settings, or the one text that stands for them.
fn one_of(about: &str, main: Option<&str>, settings: &Schema) -> Value {
    match main {
        Some(main) => {
            let short = json!({ "type": "string", "description": format!("The `{main}`.") });
            json!({ "description": about, "anyOf": [short, settings.as_value()] })
        }
        None => json!({ "description": about, "anyOf": [{ "type": "null" }, settings.as_value()] }),
    }
}
