//! The document by which programs know this interface (`OpenAPI` 3.1), made of the rows that the router serves: their paths,
//! what the guard asks of them, and what is said of each. Its shapes are those that are written and read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::http::{Method, StatusCode};
use schemars::generate::SchemaSettings;
use schemars::{SchemaGenerator, generate::Contract};
use serde_json::{Map, Value, json};

use super::answers::{PROBLEM, Problem};
use super::operation::Operation;
use super::routes::{BASE, rows};
use crate::web::table::{Row, Scope};

/// The document of what is served.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&rows()));

/// What each read answers in the tests' shop, by operation.
const EXAMPLES: &str = include_str!("examples.json");

/// The document of rows.
pub fn document(rows: &[Row]) -> Value {
    let mut generator = generator(Contract::Serialize, false);
    let examples: BTreeMap<String, Value> = serde_json::from_str(EXAMPLES).unwrap_or_default();
    let mut paths = Map::new();
    for row in rows {
        let (Some(path), Some(told)) = (row.path.strip_prefix(BASE), &row.told) else { continue };
        let of_path = paths.entry(path).or_insert_with(|| json!({}));
        of_path[row.method.as_str().to_ascii_lowercase()] = operation(row, told, examples.get(told.id), &mut generator);
    }
    let problem = generator.subschema_for::<Problem>().to_value();
    let refusals = REFUSALS.iter().map(|(status, about)| (status.to_string(), refusal(*status, about, &problem)));
    let responses: Map<String, Value> = refusals.collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Roundsman",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "What Roundsman knows, and what people do about it. Instants are RFC 3339 in UTC, lengths of time are \
                milliseconds where a name ends in `_ms`. Long lists come in parts: `next` is the `cursor` of the next one. What was \
                read bears an `ETag`, and `If-None-Match` answers 304 where nothing is new. What went wrong is told as RFC 9457 has it.",
        },
        "servers": [{ "url": BASE }],
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true), "responses": responses, "securitySchemes": schemes() },
    })
}

/// Names are put where a document of this sort has them; what is brought is told whole at its place, since it may be left
/// shorter than it is shown.
fn generator(contract: Contract, inline: bool) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        settings.contract = contract;
        settings.inline_subschemas = inline;
    });
    settings.into_generator()
}

fn schemes() -> Value {
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "A token of `web.token`, or of `web.tokens`: `read` lets read, `operate` change something too." },
        "basic": { "type": "http", "scheme": "basic", "description": "The token as the password, whoever the user is: for browsers, and for reading only." },
        "signature": { "type": "apiKey", "in": "header", "name": "x-pagerduty-signature", "description": "PagerDuty's signature, by the `webhook_secret` of the channel." },
    })
}

/// Who may, as the guard has it. On loopback, where no token is set, whoever is on the machine reads.
fn security(row: &Row) -> Value {
    match row.entry.scope {
        Scope::Read => json!([{ "bearer": [] }, { "basic": [] }, {}]),
        Scope::Operate if row.method == Method::GET => json!([{ "bearer": [] }, { "basic": [] }]),
        Scope::Operate => json!([{ "bearer": [] }]),
        Scope::Signed => json!([{ "signature": [] }]),
        Scope::Open | Scope::Ping => json!([]),
    }
}

fn operation(row: &Row, told: &Operation, example: Option<&Value>, generator: &mut SchemaGenerator) -> Value {
    let reads = row.method == Method::GET;
    let mut parameters: Vec<Value> = names_in(row.path).map(path_parameter).collect();
    parameters.extend(
        told.query
            .map(|query| query_parameters(&query(&mut self::generator(Contract::Deserialize, true)).to_value()))
            .into_iter()
            .flatten(),
    );
    if reads {
        parameters.push(json!({
            "name": "If-None-Match", "in": "header", "schema": { "type": "string" },
            "description": "The `ETag` of what is known already.",
        }));
    }
    let mut responses = Map::new();
    for (status, words, shape) in &told.gives {
        let mut media = json!({ "schema": shape(generator).to_value() });
        if let Some(example) = example {
            media["example"] = example.clone();
        }
        let mut response = json!({ "description": words, "content": { "application/json": media } });
        if reads {
            response["headers"] = json!({ "ETag": header("What it was, in short.") });
            if parameters.iter().any(|parameter| parameter["name"] == "cursor") {
                response["headers"]["Link"] =
                    header("Where the next part is, as `rel=\"next\"`; absent with the last.");
            }
        }
        responses.insert(status.to_string(), response);
    }
    if reads {
        responses.insert(
            "304".to_owned(),
            json!({ "description": "Nothing is new.", "headers": { "ETag": header("What it still is.") } }),
        );
    }
    for status in troubles(row, told) {
        responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{status}") }));
    }
    let mut said = json!({
        "operationId": told.id,
        "summary": told.about,
        "tags": [row.path.trim_start_matches(BASE).split('/').nth(1).unwrap_or_default()],
        "security": security(row),
        "parameters": parameters,
        "responses": responses,
    });
    if let Some((shape, example)) = &told.takes {
        let schema = shape(&mut self::generator(Contract::Deserialize, true)).to_value();
        said["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema, "example": example } } });
    }
    said
}

/// What may go wrong with a row: what its sort brings with it, and what is said of it besides.
fn troubles(row: &Row, told: &Operation) -> BTreeSet<u16> {
    let mut troubles: BTreeSet<u16> = told.troubles.iter().copied().chain([503]).collect();
    match row.entry.scope {
        Scope::Read => troubles.extend([400, 401, 403, 421, 429]),
        Scope::Operate => troubles.extend([400, 401, 403, 429]),
        Scope::Signed => troubles.extend([401, 408, 413]),
        Scope::Open | Scope::Ping => {}
    }
    if names_in(row.path).next().is_some() {
        troubles.extend([400, 404]);
    }
    if told.query.is_some() {
        troubles.insert(400);
    }
    if told.takes.is_some() {
        troubles.extend([400, 408, 413, 415]);
    }
    troubles
}

/// Why something is not done, by status.
const REFUSALS: [(u16, &str); 13] = [
    (400, "What was asked or brought is not understood: the sentence names the mistake."),
    (401, "A token is needed, or another one."),
    (403, "Nobody may change anything without a token, or from a page of another site."),
    (404, "There is no such thing."),
    (405, "It is asked in another way: `Allow` says in which."),
    (408, "The body did not come in time."),
    (409, "It cannot be done as things stand."),
    (413, "The body is too long."),
    (415, "The body is JSON, and has to say so."),
    (421, "Without a token only the names of this machine are answered to."),
    (422, "It is understood, and cannot be: the sentence says why."),
    (429, "Too much came from that address: `Retry-After` says when to come again."),
    (503, "Not now: Roundsman is starting, or its store does not answer."),
];

fn refusal(status: u16, about: &str, schema: &Value) -> Value {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let mut example = serde_json::to_value(Problem::new(status, about)).unwrap_or_default();
    example["instance"] = json!("/api/v1/incidents");
    let mut response =
        json!({ "description": about, "content": { PROBLEM: { "schema": schema, "example": example } } });
    let header_of = match status {
        StatusCode::UNAUTHORIZED => Some(("WWW-Authenticate", "How the token is given.")),
        StatusCode::METHOD_NOT_ALLOWED => Some(("Allow", "The methods that are answered.")),
        StatusCode::TOO_MANY_REQUESTS => Some(("Retry-After", "In how many seconds to come again.")),
        _ => None,
    };
    if let Some((name, about)) = header_of {
        response["headers"] = json!({ name: header(about) });
    }
    response
}

fn header(about: &str) -> Value {
    json!({ "description": about, "schema": { "type": "string" } })
}

/// The names in braces of a path.
fn names_in(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    let about = if name == "name" { "The name." } else { "The id." };
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string", "minLength": 1 } })
}

/// The fields of a shape as parameters.
fn query_parameters(shape: &Value) -> Vec<Value> {
    let required: Vec<&str> = shape["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = shape["properties"].as_object().into_iter().flatten();
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        json!({ "name": name, "in": "query", "required": required.contains(&name.as_str()), "description": about, "schema": present(schema) })
    };
    fields.map(parameter).collect()
}

/// A parameter that is left out is not there; it is never `null`.
fn present(mut schema: Value) -> Value {
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
        if let [one] = kinds.as_slice() {
            schema["type"] = one.clone();
        }
    }
    if let Some(fields) = schema.as_object_mut() {
        if fields.get("default").is_some_and(Value::is_null) {
            fields.remove("default");
        }
        if let Some(forms) = fields.remove("anyOf").and_then(|forms| forms.as_array().cloned()) {
            let forms: Vec<_> = forms.into_iter().filter(|form| form["type"] != "null").collect();
            match <[Value; 1]>::try_from(forms) {
                Ok([Value::Object(only)]) => fields.extend(only),
                Ok([other]) => return other,
                Err(forms) => {
                    fields.insert("anyOf".to_owned(), forms.into());
                }
            }
        }
    }
    schema
}
