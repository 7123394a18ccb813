//! Hands one target to libFuzzer: the one that `FUZZ_TARGET` names. See `run` beside this file.

#![no_main]

use std::sync::OnceLock;

#[path = "targets/mod.rs"]
mod targets;

use targets::{TARGETS, Target};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static TARGET: OnceLock<Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("FUZZ_TARGET is one of {:?}", TARGETS.iter().map(|known| known.0))).1
    });
    target(data);
});
