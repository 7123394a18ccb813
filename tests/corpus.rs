//! Replays the corpus of the fuzzers: `tests/fuzz/corpus/<target>/` holds inputs that were written by hand, and every one that
//! a fuzzer found to break a promise.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[path = "fuzz/targets/mod.rs"]
mod targets;

use targets::{TARGETS, Taken};

#[test]
fn every_input_of_the_corpus_keeps_the_promises_of_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (name, target) in TARGETS {
        let mut taken = BTreeSet::new();
        for entry in fs::read_dir(root.join(name)).unwrap_or_else(|error| panic!("the corpus of {name}: {error}")) {
            let path = entry.unwrap().path();
            let data = fs::read(&path).unwrap();
            let replayed = std::panic::catch_unwind(|| target(&data));
            taken.insert(replayed.unwrap_or_else(|_| panic!("{} breaks a promise, as is told above", path.display())));
        }
        // What is always refused, or never, is looked at from one side only.
        assert_eq!(taken, BTreeSet::from([Taken::Yes, Taken::No]), "the corpus of {name}");
    }
}

#[test]
fn every_folder_of_the_corpus_has_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let folders: BTreeSet<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(folders, TARGETS.iter().map(|(name, _)| (*name).into()).collect());
}
