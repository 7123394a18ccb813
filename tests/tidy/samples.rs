//! The rules held to samples, so that none of them can pass by seeing nothing.

use super::*;
use crate::source::code;

#[test]
fn the_rule_of_arrows_sees_every_way_to_write_one() {
    let web = |text: &str| wrong_arrows(&source("src/web/view.rs", text), false).join("\n");
    assert_eq!(
        web("//! A view.\n\nuse crate::store::open;"),
        "src/web/view.rs:3: `web` is on floor 3 and must not know `store` on floor 3"
    );
    for (wrong, line) in [
        ("use crate::{domain::time::{self, at},\n    store::open};", 2),
        ("use crate::app;", 1),
        ("fn f() {\n    g(crate::config::load::load());\n}", 2),
        ("use super::super::probers::KINDS;", 1),
        ("macro_rules! m { () => { $crate::notifiers::x() } }", 1),
        ("use crate::\n    clock::System;", 1),
        ("use crate::nowhere;", 1),
        ("#[cfg(test)]\nmod tests {\n    use crate::ticks::Ticks;\n}", 3),
    ] {
        assert!(web(wrong).starts_with(&format!("src/web/view.rs:{line}: ")), "{wrong}: {}", web(wrong));
    }
    for right in [
        "use crate::{domain::time, engine::facts::Facts, net, ports::Store, settings::Node};",
        "use crate::web::marks;\nuse super::marks::store;\nuse self::store::x;",
        "//! [`crate::store`]\n/* crate::store::open */ // crate::app::main\nconst S: &str = \"crate::store::open\";",
        "pub(crate) fn f() {}\nmod tests { use super::super::frame; }",
        "use std::{net::IpAddr, path::Path};\nuse other::app::main;",
    ] {
        assert_eq!(web(right), "", "{right}");
    }
    for (path, text, target) in [
        ("src/engine/runner.rs", "use crate::net::dial;", "net"),
        ("src/net/tls.rs", "use crate::engine::plan;", "engine"),
        ("src/ports.rs", "use crate::{engine, settings::Node};", "engine"),
        ("src/settings/mod.rs", "use super::ports::Kind;", "ports"),
        ("src/domain/time.rs", "use crate::ports::Clock;", "ports"),
        ("src/probers/http/url.rs", "use super::super::super::net::x;\nuse super::super::super::web::x;", "web"),
    ] {
        let breaches = wrong_arrows(&source(path, text), false);
        assert!(breaches.len() == 1 && breaches[0].contains(&format!("`{target}`")), "{path}: {breaches:?}");
    }
    let real = "use crate::domain::time;\n#[cfg(test)]\nmod tests {\n    use crate::clock::SystemClock;\n}\n";
    for (text, tests_only, wrong) in [
        (real.to_owned(), false, 0),
        (real.replace("#[cfg(test)]\n", ""), false, 1),
        (format!("{real}use crate::clock::SystemClock;"), false, 1),
        ("use crate::clock::SystemClock;\nuse crate::store::open;".to_owned(), true, 1),
    ] {
        assert_eq!(wrong_arrows(&source("src/net/dial.rs", &text), tests_only).len(), wrong, "{text}");
    }
    assert!(wrong_arrows(&source("src/cellar/mod.rs", "//! New."), false)[0].contains("has no floor"));
}

#[test]
fn the_rule_of_the_domain_sees_what_waits_and_touches() {
    let domain = |text: &str| impure_domain(&source("src/domain/x.rs", text));
    for wrong in [
        "use tokio::time;",
        "use std::{fmt, fs};",
        "use std::net::{IpAddr, TcpStream};",
        "fn f() { std::env::var(\"X\"); }",
        "pub async fn f() {}",
    ] {
        assert_eq!(domain(wrong).len(), 1, "{wrong}");
        assert_eq!(domain(&format!("#[cfg(test)]\nmod tests {{\n{wrong}\n}}")).len(), 0, "{wrong}");
    }
    assert_eq!(
        domain("use std::net::IpAddr; // not std::fs::read\nuse std::fmt; fn an_async_fn() {}"),
        Vec::<String>::new()
    );
    assert_eq!(impure_domain(&source("src/net/x.rs", "use tokio::net::TcpStream;")), Vec::<String>::new());
}

#[test]
fn the_rule_of_headings_wants_words() {
    for wrong in ["use std::fmt;", "", "//!\n//! Late.", "// A comment.", "/// Of the next item."] {
        assert!(without_heading(&source("src/x.rs", wrong)).is_some(), "{wrong}");
    }
    assert_eq!(without_heading(&source("src/x.rs", "//! What it is.")), None);
}

#[test]
fn the_rule_of_clocks_sees_calls_and_names_of_functions() {
    let text = "let a = Instant::now();\nlet b = std::time::SystemTime::now;\nlet c = chrono::Utc::now();\nlet d = a.elapsed();";
    let mut lines = clock_reads(&source("src/x.rs", text));
    lines.sort_unstable();
    assert_eq!(lines, [1, 2, 3, 4]);
    let innocent = "let a = clock.now(); // Instant::now()\nlet b = \"Utc::now\";\nlet c = MyInstant::now();";
    assert_eq!(clock_reads(&source("src/x.rs", innocent)), Vec::<usize>::new());
}

#[test]
fn the_rule_of_lints_sees_every_form_of_allow() {
    for wrong in ["#[allow(dead_code)]", "#![allow(clippy::all)]", "    #[cfg_attr(test, allow(unused))]"] {
        assert_eq!(allowed_lints(&source("src/x.rs", wrong)).len(), 1, "{wrong}");
    }
    for right in ["#[expect(dead_code, reason = \"allow(x)\")]", "// #[allow(dead_code)]", "let x = allow(1);"] {
        assert_eq!(allowed_lints(&source("src/x.rs", right)), Vec::<String>::new(), "{right}");
    }
}

#[test]
fn the_rule_of_kinds_reads_names_rows_and_keys() {
    let text = "//! `name: \"no\"`\npub const KIND: Kind = Kind {\n    name: \"tcp\",\n};\nconst KIND: Kind = Kind { name: NAME };";
    assert_eq!(kinds(&source("src/x.rs", text), "KIND"), [(2, Some("tcp".to_owned())), (5, None)]);
    assert_eq!(
        rows(&source("src/mod.rs", "const KINDS: &[Kind] = &[tcp::KIND, http::settings::KIND, dns::OTHER];"), "KIND"),
        2
    );
    for yaml in ["tcp: x", "probe:\n  tcp:\n    address: x", "p: { tcp: \"a:1\" }", "p: {tcp: x}", "- tcp: x # y"] {
        assert!(has_key(yaml, "tcp"), "{yaml}");
    }
    for yaml in ["# tcp: x", "a: b # tcp: x", "url: tcp://x", "udp-tcp: x", "tcpx: 1", "a: tcp"] {
        assert!(!has_key(yaml, "tcp"), "{yaml}");
    }
}

#[test]
fn the_rule_of_fuzzers_sees_what_their_lock_lacks_and_what_is_of_another_version() {
    let manifest = "[package]\nname = \"x\"\n\n[dependencies]\n# The card.\na = \"1\" # a = b\nb = { version = \"2\" }\n\n[features]\nc = []\n";
    let package = |name: &str, version: &str| format!("\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
    let both = package("a", "1.0.0") + &package("b", "2.0.0") + &package("d", "1.0.0") + &package("d", "2.0.0");
    let (ours, own) = (both.clone() + &package("e", "1.0.0"), package("fuzzer", "0.4.0"));
    assert_eq!(strays(manifest, &ours, &(both.clone() + &own)), Vec::<String>::new());
    assert_eq!(strays(manifest, &ours, &(package("a", "1.0.0") + &own)), ["tests/fuzz/Cargo.lock: does not know b"]);
    assert_eq!(
        strays(manifest, &ours, &(both + &package("d", "2.0.1"))),
        ["tests/fuzz/Cargo.lock: d 2.0.1 is not what ships"]
    );
}

#[test]
fn the_rule_of_length_counts_code_alone() {
    let text = "//! A file.\n\n/// A thing.\nfn f() {\n    // why\n    g(\"\n\n\");\n}\n\n#[cfg(test)]\nmod tests {\n    fn x() {}\n}\nfn h() {}\n";
    assert_eq!(code_lines(&source("src/x.rs", text)), 5);
    let long = "fn f() {}\n".repeat(CODE_LINES_MAX + 1);
    assert!(code_lines(&source("src/x.rs", &long)) > CODE_LINES_MAX);
    let house = [
        source(
            "src/a/mod.rs",
            "#[cfg(test)]\n#[expect(x, reason = \"y\")]\npub(crate) mod testing;\nmod b;\n#[cfg(test)]\nmod tests;",
        ),
        source("src/a/testing.rs", ""),
        source("src/a/tests/deep.rs", ""),
        source("src/a/b.rs", "#[cfg(test)]\nuse x;\nmod c;\n#[cfg(test)]\nmod tests;"),
        source("src/a/b/c.rs", ""),
        source("src/a/b/tests.rs", ""),
        source("src/tests.rs", ""),
    ];
    let tests: Vec<String> = test_only(&house).into_iter().collect();
    assert_eq!(tests, ["src/a/b/tests.rs", "src/a/testing.rs", "src/a/tests/deep.rs"]);
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, seen) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("f(\"x \\\" // y\") // z", "f(\"_________\")     "),
        ("r#\"a \" b\"# c", "r#\"_____\"# c"),
        ("fn f<'a>(x: &'a str) { '\"'; '\\''; b'/' }", "fn f<'a>(x: &'a str) { '_'; '__'; b'_' }"),
        ("let r = \"ü\";", "let r = \"__\";"),
        ("var\"x\"", "var\"_\""),
    ] {
        assert_eq!(code(text), seen, "{text}");
        assert_eq!(code(text).len(), text.len(), "{text}");
    }
}
