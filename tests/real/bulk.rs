//! Files that are too much: each is refused with a sentence, soon, and in little memory.

use std::fmt::Write as _;
use std::process::Command;

use super::commands::configuration;

/// What the process may allocate, in KiB, threads and all; beyond it an allocation fails and ends it with a signal.
const DATA_KIB_MAX: u32 = 64 * 1024;

/// Far beyond what it takes, in seconds, for a slow machine and an unoptimised build.
const PATIENCE_S: &str = "30";

/// What `validate` says of a file in `probes/`.
fn said(probes: &str) -> String {
    let directory =
        configuration(&[("probes/a.yaml", probes), ("schedules/a.yaml", "often: { every: 30s, probes: [\"*\"] }\n")]);
    let limited = format!("ulimit -d {DATA_KIB_MAX}; exec timeout {PATIENCE_S} \"$0\" validate --config \"$1\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_roundsman")]).arg(directory.path());
    let output = command.output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{}\n{errors}", text.chars().take(2_000).collect::<String>());
    assert!(text.len() < 64 * 1024, "{} bytes are said", text.len());
    text.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn what_is_too_much_is_refused_soon_and_in_little_memory() {
    let mut laughs = "a: &a [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
    for (name, of) in ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"]) {
        let of = vec![format!("*{of}"); 10].join(", ");
        writeln!(laughs, "{name}: &{name} [{of}]").unwrap();
    }
    let many_aliases = format!("a: &a x\nb: [{}]\n", "*a,".repeat(1_000_000));
    let long_text = format!("a: {{ http: \"https://a.example/{}\" }}\n", "x".repeat(1_100_000));
    let long_name = format!("{}: {{ http: https://a.example }}\n", "n".repeat(1_000_000));
    let many_values = format!("a: [{}]\n", "1,".repeat(1_500_000));
    let mut many_probes = String::new();
    (0..100_000).for_each(|n| writeln!(many_probes, "p{n}: {{ http: https://a.example }}").unwrap());
    let long_comment = "# nothing\n".repeat(1_100_000);
    for (what, probes, sentence) in [
        ("a billion laughs", laughs, "aliases"),
        ("a million aliases", many_aliases, "aliases"),
        ("ten thousand lists in each other", format!("a: {}", "[".repeat(10_000)), "deep"),
        ("ten thousand mappings in each other", format!("a: {}", "{a: ".repeat(10_000)), "deep"),
        ("a text of more than a mebibyte", long_text, "1 MiB"),
        ("a name of a million letters", long_name, "1024 characters"),
        ("a million and a half values", many_values, "250000 keys and values"),
        ("a hundred thousand probes", many_probes, "250000 keys and values"),
        ("a file of more than ten mebibytes", long_comment, "10 MiB"),
    ] {
        let said = said(&probes);
        assert!(said.starts_with("probes/a.yaml:") && said.contains(": error: "), "{what}: {said}");
        assert!(said.len() < 1_000 && said.contains(sentence), "{what}: {said}");
    }
}
