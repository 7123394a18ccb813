//! Every block of code in the book has a class that somebody checks; a fence that no class knows is a failure.

use std::collections::BTreeMap;

use crate::pages::{Block, pages};

/// What a block is, by what stands behind its fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A file of a configuration, or a part of one: it is loaded.
    Configuration,
    /// Lines for a shell: run, or read by the parser of the command line.
    Commands,
    /// What a program says; a line that begins with `$` is a command.
    Output,
    /// A document in JSON: it is parsed.
    Json,
    /// A program in Python: it is compiled, and what it says of itself is tried.
    Python,
    /// A file of Prometheus: `promtool` reads it.
    Prometheus,
    /// A file for whoever runs containers or services: it is parsed and looked through.
    Deployment,
    /// A table of prices: its fields are those of the built-in one.
    Prices,
}

/// The class of a block.
pub fn class(block: &Block) -> Option<Class> {
    let (language, file) = block.info.split_once(' ').unwrap_or((&block.info, ""));
    let file = file.strip_suffix(" mistake").unwrap_or(file);
    Some(match (language, file) {
        ("yaml", "roundsman.yaml" | "schedule" | "objective" | "channel") => Class::Configuration,
        ("yaml", file) if file.starts_with("probes/") || file.starts_with("schedules/") => Class::Configuration,
        ("yaml", "prometheus.yml" | "prometheus-rules.yaml") => Class::Prometheus,
        ("yaml", "compose.yaml" | "kubernetes.yaml")
        | ("json", "task-definition.json")
        | ("ini", "roundsman.service")
        | ("dockerfile", "") => Class::Deployment,
        ("yaml", "prices.yaml") => Class::Prices,
        ("sh", "" | "background") => Class::Commands,
        ("text", "") => Class::Output,
        ("json", "") => Class::Json,
        ("python", "" | "receiver.py") => Class::Python,
        _ => return None,
    })
}

/// The blocks of a class, of all pages.
pub fn of(wanted: Class) -> Vec<Block> {
    let blocks = pages().iter().flat_map(crate::pages::Page::blocks).collect::<Vec<_>>();
    let found: Vec<_> = blocks.into_iter().filter(|block| class(block) == Some(wanted)).collect();
    assert!(!found.is_empty(), "the book has no block of the class {wanted:?}");
    found
}

#[test]
fn every_block_has_a_class() {
    let mut counts: BTreeMap<Class, usize> = BTreeMap::new();
    let mut unknown = Vec::new();
    for block in pages().iter().flat_map(crate::pages::Page::blocks) {
        match class(&block) {
            Some(class) => *counts.entry(class).or_default() += 1,
            None => unknown.push(format!("{}: ```{}", block.place, block.info)),
        }
    }
    println!("blocks of the book by class: {counts:?}");
    assert!(
        unknown.is_empty(),
        "nobody knows what these are, see `class` in tests/book/blocks.rs:\n{}",
        unknown.join("\n")
    );
}
