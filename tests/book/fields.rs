//! Tables of fields, from the schema that `roundsman schema` prints: every field with its type, its default and its meaning.
//!
//! A mapping that has a table of its own is linked; any other is unfolded below the field that holds it. So every field of the
//! files stands in the book, and a new one makes the book old.

use roundsman::app::wiring::KINDS;
use roundsman::config::schema::{File, schema};
use serde_json::Value;

use crate::pages::{Page, pages};
use crate::parts::parts;

/// How deep mappings lie in each other at most.
const DEPTH_MAX: usize = 6;

/// The three schemas, and where in the book which mapping has its table.
pub struct Tables {
    files: Vec<(&'static str, Value)>,
    places: Vec<Place>,
}

/// Where a mapping has its table.
struct Place {
    properties: Value,
    /// The path of the page.
    page: String,
    anchor: Option<String>,
}

/// What a field may hold, with all references followed.
struct Form<'a> {
    schema: &'a Value,
}

impl Tables {
    pub fn of(pages: &[Page]) -> Self {
        let files = [("roundsman", File::Root), ("probes", File::Probes), ("schedules", File::Schedules)];
        let files = files.map(|(name, file)| (name, schema(file, &KINDS))).into();
        let mut tables = Self { files, places: Vec::new() };
        for page in pages {
            for part in parts(page).iter().filter(|part| part.name == "fields") {
                let (_, found) = tables.at(&part.of).unwrap_or_else(|why| panic!("{}:{}: {why}", page.path, part.line));
                let properties = found["properties"].clone();
                let heading =
                    page.headings().into_iter().rfind(|heading| heading.line < part.line && heading.level > 1);
                let anchor = heading.map(|heading| heading.anchor);
                tables.places.push(Place { properties, page: page.path.clone(), anchor });
            }
        }
        tables
    }

    /// The file, and the mapping in it, that are written as `probes http.oauth2`.
    fn at(&self, of: &str) -> Result<(&Value, &Value), String> {
        let (name, path) = of.split_once(' ').unwrap_or((of, ""));
        let file = self.files.iter().find(|(known, _)| *known == name).map(|(_, file)| file);
        let file = file.ok_or_else(|| format!("there is no schema `{name}`"))?;
        let start = if name == "roundsman" { file } else { &file["additionalProperties"] };
        let mut at = mapping(file, start).map(|(_, found)| found).ok_or("the schema has no fields")?;
        for key in path.split('.').filter(|key| !key.is_empty()) {
            let next = mapping(file, &at["properties"][key]);
            at = next.map(|(_, found)| found).ok_or_else(|| format!("`{of}` has no fields at `{key}`"))?;
        }
        Ok((file, at))
    }

    /// The table of a mapping, for a page.
    pub fn table(&self, page: &Page, of: &str) -> String {
        let (file, mapping) = self.at(of).unwrap_or_else(|why| panic!("{}: {why}", page.path));
        let main = main_field(of);
        let mut rows = String::from("| field | type | default | meaning |\n|---|---|---|---|\n");
        self.rows(page, file, mapping, "", main, 0, &mut rows);
        rows
    }

    #[expect(clippy::too_many_arguments, reason = "a table is drawn in one go, and nothing of it outlives that")]
    fn rows(
        &self,
        page: &Page,
        file: &Value,
        of: &Value,
        before: &str,
        main: Option<&str>,
        depth: usize,
        rows: &mut String,
    ) {
        assert!(depth < DEPTH_MAX, "{}: {before} has mappings without end", page.path);
        for (name, field) in of["properties"].as_object().into_iter().flatten() {
            if is_kind_of_step(of, name) {
                continue;
            }
            let required = of["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
            let said = field["description"].as_str().unwrap_or_default().replace('\n', " ");
            let (meaning, default) = meaning(&said, field, required);
            assert!(!meaning.is_empty(), "{}: nobody says what `{before}{name}` means", page.path);
            let inner = mapping(file, field);
            let elsewhere = inner.as_ref().and_then(|(_, inner)| self.place(inner, page, of));
            let kind = forms(file, field).iter().map(|form| form.words(file, elsewhere.as_deref())).collect::<Vec<_>>();
            let is_main = if main == Some(name.as_str()) { " (main)" } else { "" };
            let cells = [format!("`{before}{name}`{is_main}"), either(kind), default, meaning];
            rows.extend([format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))]);
            if let (Some((way, inner)), None) = (inner, &elsewhere) {
                self.rows(page, file, inner, &format!("{before}{name}{way}."), None, depth + 1, rows);
            }
        }
    }

    /// The link to the table of a mapping, if it has one other than the table that is written now.
    fn place(&self, mapping: &Value, page: &Page, now: &Value) -> Option<String> {
        if mapping["properties"] == now["properties"] {
            return Some(String::new());
        }
        let place = self.places.iter().find(|place| place.properties == mapping["properties"])?;
        let anchor = place.anchor.as_ref().map(|anchor| format!("#{anchor}")).unwrap_or_default();
        let path = if place.page == page.path { String::new() } else { page.link_to(&place.page) };
        Some(format!("{path}{anchor}"))
    }
}

/// The kinds of a step have their own pages.
fn is_kind_of_step(of: &Value, name: &str) -> bool {
    let of_step = of["properties"].get("expect").is_some() && of["properties"].get("unnoticed").is_some();
    of_step && KINDS.probers.iter().any(|kind| kind.name == name)
}

/// The field that stands for all of a kind.
fn main_field(of: &str) -> Option<&'static str> {
    let kind = |file: &str| of.strip_prefix(file).filter(|rest| !rest.contains('.'));
    let prober =
        kind("probes ").and_then(|name| KINDS.probers.iter().find(|kind| kind.name == name)).map(|kind| kind.main);
    let channel = kind("roundsman channels.");
    prober.or_else(|| KINDS.channels.iter().find(|kind| Some(kind.name) == channel).map(|kind| kind.main))
}

/// What a field means, and what it is where nobody writes it.
fn meaning(said: &str, field: &Value, required: bool) -> (String, String) {
    let (meaning, default) = match said.split_once("Default: ") {
        Some((before, rest)) => {
            let (default, after) = rest.split_once(". ").unwrap_or((rest.strip_suffix('.').unwrap_or(rest), ""));
            (format!("{} {after}", before.trim()).trim().to_owned(), Some(default.to_owned()))
        }
        None => (said.to_owned(), None),
    };
    let by_schema = match &field["default"] {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(format!("`{value}`")),
        _ => None,
    };
    let is_truth = |value: &String| value == "true" || value == "false";
    let default = default.or(by_schema).map(|value| if is_truth(&value) { format!("`{value}`") } else { value });
    let default = if required { "**required**".to_owned() } else { default.unwrap_or_else(|| "none".to_owned()) };
    (meaning, default)
}

/// A schema that a reference, or a wrapper with nothing but a description, stands for.
fn followed<'a>(file: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..DEPTH_MAX {
        if let Some(name) = schema["$ref"].as_str() {
            schema = &file["definitions"][name.trim_start_matches("#/definitions/")];
        } else if let Some([one]) = schema["allOf"].as_array().map(Vec::as_slice) {
            schema = one;
        }
    }
    schema
}

/// What a field may hold: nothing is no form of it.
fn forms<'a>(file: &'a Value, schema: &'a Value) -> Vec<Form<'a>> {
    let schema = followed(file, schema);
    match schema["anyOf"].as_array() {
        Some(any) => any.iter().filter(|one| one["type"] != "null").flat_map(|one| forms(file, one)).collect(),
        None => vec![Form { schema }],
    }
}

/// The mapping with fields of its own that a field holds, and how one gets there: directly, in a list, or by a name.
fn mapping<'a>(file: &'a Value, schema: &'a Value) -> Option<(String, &'a Value)> {
    for form in forms(file, schema) {
        if form.schema["properties"].as_object().is_some_and(|fields| !fields.is_empty()) {
            return Some((String::new(), form.schema));
        }
        for (key, way) in [("items", "[]"), ("additionalProperties", ".NAME")] {
            if let Some((inner, found)) =
                form.schema.get(key).filter(|next| next.is_object()).and_then(|next| mapping(file, next))
            {
                return Some((format!("{way}{inner}"), found));
            }
        }
    }
    None
}

fn either(mut kinds: Vec<String>) -> String {
    let mut seen = Vec::new();
    kinds.retain(|kind| {
        !seen.contains(kind) && {
            seen.push(kind.clone());
            true
        }
    });
    kinds.join(" or ")
}

impl Form<'_> {
    /// In words.
    fn words(&self, file: &Value, table: Option<&str>) -> String {
        let schema = self.schema;
        let constant = |value: &Value| value.as_str().map_or_else(|| value.to_string(), |text| format!("`{text}`"));
        if let Some(value) = schema.get("const") {
            return constant(value);
        }
        if let Some(values) = schema["enum"].as_array() {
            return values.iter().map(constant).collect::<Vec<_>>().join(", ");
        }
        if let Some(values) =
            schema["oneOf"].as_array().filter(|values| values.iter().all(|value| value.get("const").is_some()))
        {
            return values.iter().map(|value| constant(&value["const"])).collect::<Vec<_>>().join(", ");
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect(),
            _ => return "anything".to_owned(),
        };
        let inner = |key: &str| either(forms(file, &schema[key]).iter().map(|form| form.words(file, table)).collect());
        let linked = |word: &str| match table {
            Some(table) if !table.is_empty() => format!("[{word}]({table})"),
            _ => word.to_owned(),
        };
        match types[..] {
            ["string"] if schema["format"].is_string() && schema["format"] == "length of time" => {
                "length of time".to_owned()
            }
            ["integer"] => "whole number".to_owned(),
            ["number"] => "number".to_owned(),
            ["boolean"] => "`true`, `false`".to_owned(),
            ["array"] if schema["items"].is_object() => format!("list of {}", inner("items")),
            ["array"] => "list".to_owned(),
            ["object"] if schema["properties"].is_object() => linked("mapping"),
            ["object"] if schema["additionalProperties"].is_object() => {
                format!("names to {}", inner("additionalProperties"))
            }
            ["object"] => "mapping".to_owned(),
            // A template takes what is written, and a number is text there.
            _ => "text".to_owned(),
        }
    }
}

#[test]
fn every_kind_and_every_file_has_its_table() {
    let pages = pages();
    let has = |path: &str, of: &str| {
        let page = pages.iter().find(|page| page.path == path).unwrap_or_else(|| panic!("{path} is not there"));
        let there = parts(page).iter().any(|part| part.name == "fields" && part.of == of);
        assert!(there, "{path} has no <!-- fields: {of} -->");
    };
    for kind in KINDS.probers {
        has(&format!("docs/probes/{}.md", kind.name), &format!("probes {}", kind.name));
    }
    for kind in KINDS.channels {
        has(&format!("docs/channels/{}.md", kind.name), &format!("roundsman channels.{}", kind.name));
    }
    let tables = Tables::of(&pages);
    for kind in KINDS.publishers {
        let of = format!("roundsman publish.{}", kind.name);
        // A publisher without settings has no table, but for the first that it gets.
        if tables.at(&of).is_ok() {
            has(&format!("docs/publishers/{}.md", kind.name), &of);
        }
    }
    for (path, of) in [
        ("docs/roundsman.md", "roundsman"),
        ("docs/probes.md", "probes"),
        ("docs/probes.md", "probes steps"),
        ("docs/schedules.md", "schedules"),
    ] {
        has(path, of);
    }
}

#[test]
fn every_key_of_the_root_file_has_a_section() {
    let page = crate::pages::named("docs/roundsman.md");
    let headings: Vec<_> = page.headings().into_iter().map(|heading| heading.anchor).collect();
    let tables = Tables::of(&[]);
    let (_, root) = tables.at("roundsman").expect("the root has fields");
    for key in root["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
        assert!(headings.contains(key), "docs/roundsman.md has no heading `## {key}`");
    }
}
