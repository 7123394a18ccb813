//! The settings of a restore drill.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::settings::check_table;
use super::item::{Item, read_item};
use super::rehearsal::{Drill, Rehearsal};
use super::table::PREFIX;
use crate::probers::aws::Caller;
use crate::settings::{Node, Problems, Spanned};

/// A table that is restored under another name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreSettings {
    /// The table. It is only read; what is restored is called `roundsman-drill-` and the id of the run.
    #[schemars(with = "String")]
    table: Spanned<String>,
    /// From what. Default: `point_in_time`.
    #[serde(default)]
    from: From,
    /// The primary key of an item that is known to be there: one attribute or two, each a text or a number.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    key: Node,
    /// The attributes that the restored item must have, with their values. Default: the item must be as it is in the table
    /// itself now, which is right for one that nobody changes.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    fields: Option<Node>,
}

/// What a drill restores from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// The latest instant that point-in-time recovery can restore.
    #[default]
    PointInTime,
    /// The newest on-demand backup of the last 30 days.
    LatestBackup,
}

/// Reads the settings; every mistake is a problem.
pub fn read_drill(settings: &RestoreSettings, caller: Caller, problems: &mut Problems) -> Option<Rehearsal> {
    let known = problems.len();
    check_table(&settings.table, problems);
    if settings.table.value.starts_with(PREFIX) {
        let message = format!("`{}` is what a drill makes, and none is made of it", settings.table.value);
        problems.error(settings.table.span.clone(), message).help = Some("name the table itself".to_owned());
    }
    let key = read_key(&settings.key, problems);
    let fields = settings.fields.as_ref().map(|fields| read_item(fields, problems));
    let is_empty = fields.as_ref().is_some_and(Item::is_empty) && problems.len() == known;
    if let Some(written) = settings.fields.as_ref().filter(|_| is_empty) {
        problems.error(written.span.clone(), "no field is named, so whatever comes back would do").help =
            Some("name some, or leave `fields` out to compare the whole item".to_owned());
    }
    let drill = Drill { table: settings.table.value.clone(), from: settings.from, key, fields, caller };
    (problems.len() == known).then(|| Rehearsal { drill: Arc::new(drill) })
}

fn read_key(node: &Node, problems: &mut Problems) -> Item {
    let known = problems.len();
    let key = read_item(node, problems);
    if problems.len() == known && !(1..=2).contains(&key.len()) {
        let message = format!("a primary key has one attribute or two, not {}", key.len());
        problems.error(node.span.clone(), message).help = Some("write it like `{ id: probe }`".to_owned());
    }
    for entry in node.entries() {
        let is_scalar = |value: &serde_json::Value| value.get("S").or_else(|| value.get("N")).is_some();
        if key.get(&entry.key.text).is_some_and(|value| !is_scalar(value)) {
            let message = format!("`{}` of a primary key is a text or a number", entry.key.text);
            problems.error(entry.value.span.clone(), message);
        }
    }
    key
}
