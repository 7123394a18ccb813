//! What passes, what fails and with which words, and what nothing may do: abort, panic, hide an error.

use std::cell::RefCell;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

static CERT: &[Name] = &[Name::known("days_left", Shape::Number, "days until the certificate expires")];

fn names() -> Names {
    static OBSERVED: &[Name] = &[
        Name::known("status", Shape::Number, "the status code"),
        Name::known("headers", Shape::Map(&Shape::Text), "the headers"),
        Name::known("body", Shape::Text, "the body"),
        Name::known("json", Shape::Any, "the body as JSON"),
        Name::known("total_ms", Shape::Number, "the whole time"),
        Name::known("dns_ms", Shape::Number, "the time of the resolver"),
        Name::known("reused", Shape::Bool, "whether the connection was open already"),
        Name::known("answers", Shape::List(&Shape::Text), "the addresses"),
        Name::known("cert", Shape::table(CERT), "the certificate"),
    ];
    let token = Name::new("token".to_owned(), Shape::Any, "captured by login");
    let login = Name::known("login", Shape::fields([Name::known("total_ms", Shape::Number, "")]), "");
    Names::new()
        .with_all(OBSERVED)
        .with(Name::new("captures", Shape::fields([token]), "what earlier steps captured"))
        .with(Name::known("steps", Shape::fields([login]), "the steps"))
}

/// A scope of fixed values; `json` without a value is a body that is not JSON.
struct Fixed {
    values: Json,
    asked: RefCell<Vec<String>>,
}

impl Scope for Fixed {
    fn now(&self) -> Option<Timestamp> {
        "2026-11-25T12:00:00Z".parse().ok()
    }

    fn lookup(&self, root: &str) -> Result<Cow<'_, Json>, String> {
        self.asked.borrow_mut().push(root.to_owned());
        let missing = || "the body is not JSON: expected value at line 1 column 1".to_owned();
        self.values.get(root).map(Cow::Borrowed).ok_or_else(missing)
    }
}

fn scope(json: &str) -> Fixed {
    let mut values = json!({
        "status": 200,
        "headers": {"content-type": "text/html; charset=utf-8", "x-cache": "HIT"},
        "body": "all systems nominal",
        "total_ms": 230.5,
        "dns_ms": 30.0,
        "reused": false,
        "answers": ["192.0.2.1", "192.0.2.2"],
        "cert": {"days_left": 12.5},
        "captures": {"token": "abc"},
        "steps": {"login": {"total_ms": 99.5}},
    });
    if let Ok(body) = serde_json::from_str(json) {
        values["json"] = body;
    }
    Fixed { values, asked: RefCell::default() }
}

fn compile(source: &str) -> Expression {
    Expression::compile(source, &names()).unwrap_or_else(|error| panic!("{source}: {error:?}"))
}

/// The explanation as one line, or `passes`.
fn outcome(source: &str, json: &str) -> String {
    compile(source).assert(&scope(json)).map_or_else(|why| why.to_string(), |()| "passes".to_owned())
}

fn table(rows: &[(&str, &str, &str)]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(source, json, expected)| {
            let actual = outcome(source, json);
            (actual != *expected).then(|| format!("{source} on {json}\n  expected {expected}\n  actual   {actual}"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_true_passes() {
    for (source, json) in [
        ("status == 200", ""),
        ("status == 200.0 && status in [200, 204] && 200u == status", ""),
        ("status >= 200 && status < 300", ""),
        ("total_ms < 500 && 500 > total_ms && dns_ms == 30", ""),
        ("total_ms - dns_ms < 201 && total_ms / 2 < 116 && 2 * dns_ms == 60", ""),
        ("json.count / 2.5 == 4 && json.count - 11 == -1 && json.count % 3 == 1 && -json.count < 0", r#"{"count":10}"#),
        ("json.count == 10 && json.count * 1.5 == 15 && json.count + 0.5 > 10", r#"{"count":10.0}"#),
        ("7 / 2 == 3.5 && int(7 / 2) == 3 && 8 / 2 == 4", ""),
        ("json.big > 9223372036854775807 && json.big == 1.8446744073709552e19", r#"{"big":18446744073709551615}"#),
        ("json.a != json.b && json.a > json.b && json.b < json.a", r#"{"a":9007199254740993,"b":9007199254740992.0}"#),
        (r#"headers["content-type"].startsWith("text/") && has(headers["x-cache"]) && "x-cache" in headers"#, ""),
        (
            r#"body.contains("nominal") && body.endsWith("nal") && body.matches("^all \\w+") && matches(body, r"\bsys")"#,
            "",
        ),
        (r#"size(body) == 19 && body.size() == 19 && answers.size() == 2 && " A ".trim().lowerAscii() == "a""#, ""),
        (
            r#"int("12") == 12 && double("1.5") == 1.5 && string(12) == "12" && bool("true") && "a".upperAscii() == "A""#,
            "",
        ),
        ("json.a == null && json.b != null && null != json.b", r#"{"a":null,"b":1}"#),
        (
            "json.items.all(i, i.price > 0) && json.items.exists(i, i.id == 2)",
            r#"{"items":[{"id":1,"price":1},{"id":2,"price":0.5}]}"#,
        ),
        ("json.items.exists_one(i, i > 1) && json.items.filter(i, i > 0) == [1, 2.0]", r#"{"items":[0,1,2]}"#),
        ("json.items.map(i, i * 2) == [0, 2, 4] && json.items.map(i, i > 0, i + 1) == [2, 3]", r#"{"items":[0,1,2]}"#),
        ("json.rows.all(r, r.all(c, c > 0))", r#"{"rows":[[1,2],[3]]}"#),
        (r#"json == {"a": [1, 2]} && json.all(key, key == "a") && json["a"][1] == 2"#, r#"{"a":[1.0,2]}"#),
        ("true || json.missing == 1", "{}"),
        ("!has(json.a) || json.a == 1", "{}"),
        ("has(json.a) ? json.a == 1 : true", "{}"),
        (
            r#"!has(json.a.b.c) && !has(json.n.b) && !has(json.list[7]) && has(json["null"]) && has(json.list[0].x)"#,
            r#"{"n":null,"null":null,"list":[{"x":1}]}"#,
        ),
        ("cert.days_left > 7 && steps.login.total_ms < 100 && captures.token == \"abc\"", ""),
        ("status == 200 // the usual", ""),
        ("!reused", ""),
        (
            "days_until(json.a) == 1 && days_until(json.b) == -0.5 && days_until(json.c) == 0.5 && days_until(json.d) < 0",
            r#"{"a":"2026-11-26T13:00:00+01:00","b":"2026-11-25","c":"Thu, 26 Nov 2026 00:00:00 GMT","d":" 1999-12-31 "}"#,
        ),
    ] {
        assert_eq!(outcome(source, json), "passes", "{source}");
    }
}

#[test]
fn what_is_true_says_by_which_values() {
    for (source, json, parts) in [
        ("status == 200", "", "`status` was `200`"),
        ("status == 200 && json.n > 1", r#"{"n":2}"#, "`status` was `200`, `json.n` was `2`"),
        ("status == 500 || !reused", "", "`reused` was `false`"),
        ("answers.all(a, a.startsWith('192'))", "", r#"`answers` was `["192.0.2.1","192.0.2.2"]`"#),
        ("has(headers['x-cache'])", "", "`has(headers['x-cache'])` was `true`"),
    ] {
        let (held, explanation) = compile(source).examine(&scope(json));
        assert!(held, "{source}");
        assert_eq!(explanation.parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "), parts, "{source}");
    }
    let (held, explanation) = compile("json.gone == 1").examine(&scope("{}"));
    assert!(!held && explanation.reason.is_some());
}

#[test]
fn what_fails_explains_itself() {
    table(&[
        (
            r#"json.services.database == "ok""#,
            r#"{"services":{"database":"degraded"}}"#,
            r#"`json.services.database` was `"degraded"`"#,
        ),
        ("status == 200 && total_ms < 200", "", "`total_ms` was `230.5`"),
        ("status == 201 && total_ms < 200", "", "`status` was `200`"),
        ("status == 201 || total_ms < 200", "", "`status` was `200`, `total_ms` was `230.5`"),
        ("!(status == 200 || reused)", "", "`status` was `200`"),
        ("!(status == 200 && total_ms > 200)", "", "`status` was `200`, `total_ms` was `230.5`"),
        ("status < 200 || status > 299", "", "`status` was `200`"),
        ("( total_ms - dns_ms ) * 2 < 100", "", "`( total_ms - dns_ms ) * 2` was `401.0`"),
        ("size(json.items) == 3", r#"{"items":[1]}"#, "`size(json.items)` was `1`"),
        ("json.items.size() == 3", r#"{"items":[1]}"#, "`json.items.size()` was `1`"),
        ("json.items.exists(i, i > 5)", r#"{"items":[1,2]}"#, "`json.items` was `[1,2]`"),
        (
            "json.items.all(i, i.ok)",
            r#"{"items":[{"ok":true},{"ok":false}]}"#,
            r#"`json.items` was `[{"ok":true},{"ok":false}]`, `i` was `{"ok":false}`"#,
        ),
        ("status in [201, 204]", "", "`status` was `200`"),
        (
            r#"headers["content-type"] == "text/html""#,
            "",
            r#"`headers["content-type"]` was `"text/html; charset=utf-8"`"#,
        ),
        (r#"body.matches("^x") || body.contains("zz")"#, "", r#"`body` was `"all systems nominal"`"#),
        ("json.a[0].b == -1", r#"{"a":[{"b":2}]}"#, "`json.a[0].b` was `2`"),
        ("has(json.a)", "{}", "`has(json.a)` was `false`"),
        ("reused", "", "`reused` was `false`"),
        ("reused ? status == 1 : status == 2", "", "`reused` was `false`, `status` was `200`"),
        ("false", "", "`false` is false"),
        ("json.a == 1", r#"{"a":null}"#, "`json.a` was `null`"),
        (
            "body == \"\u{e9}\" || json.a == 2",
            r#"{"a":"\u0007\u202e"}"#,
            r#"`json.a` is a string, `2` is a number; `json.a` was `"\u0007\u202e"`"#,
        ),
    ]);
}

/// Promise 11. In gatus `[BODY].error_count < 5` passes on `{"status":"down"}`, and `0.99 <= 0` passes.
#[test]
fn assertions_fail_closed() {
    table(&[
        (
            "json.error_count < 5",
            r#"{"status":"down"}"#,
            r#"`json.error_count` is not there; `json` was `{"status":"down"}`"#,
        ),
        ("json.share <= 0", r#"{"share":0.99}"#, "`json.share` was `0.99`"),
        ("json.failed / json.total < 0.1", r#"{"failed":9,"total":10}"#, "`json.failed / json.total` was `0.9`"),
        ("json.s != 5", r#"{"s":"5"}"#, r#"`json.s` is a string, `5` is a number; `json.s` was `"5"`"#),
        (
            "json.s == json.n",
            r#"{"s":"5","n":5}"#,
            r#"`json.s` is a string, `json.n` is a number; `json.s` was `"5"`, `json.n` was `5`"#,
        ),
        ("json.missing == 1 || true", "{}", "`json.missing` is not there; `json` was `{}`"),
        ("!(json.missing == 1)", "{}", "`json.missing` is not there; `json` was `{}`"),
        ("json.a.b.c == 1", r#"{"a":{}}"#, "`json.a.b` is not there; `json.a` was `{}`"),
        ("json.a.b == 1", r#"{"a":3}"#, "`json.a` is a number: it has no `b`; `json.a` was `3`"),
        ("json.a[2] == 1", r#"{"a":[1]}"#, "`json.a[2]` is not there; `json.a` was `[1]`"),
        ("json.a[-1] == 1", r#"{"a":[1]}"#, "`json.a[-1]` is not there; `json.a` was `[1]`"),
        (
            r#"headers["X-Cache"] == "HIT""#,
            "",
            r#"`headers["X-Cache"]` is not there, but `x-cache` is; `headers` was `{"content-type":"text/html; charset=utf-8","x-cache":"HIT"}`"#,
        ),
        ("json.a == 1", "<html>", "the body is not JSON: expected value at line 1 column 1"),
        ("has(json.a) || true", "<html>", "the body is not JSON: expected value at line 1 column 1"),
        ("json.ok", r#"{"ok":"true"}"#, r#"`json.ok` is a string, neither true nor false; `json.ok` was `"true"`"#),
        ("json.ok && true", r#"{"ok":1}"#, "`json.ok` is a number, neither true nor false; `json.ok` was `1`"),
        ("json.a < 5", r#"{"a":null}"#, "`json.a` is null, `5` is a number; `json.a` was `null`"),
        (
            "json.a < json.b",
            r#"{"a":[],"b":[]}"#,
            "`json.a < json.b` has no value: a list and a list are not a pair of numbers or of strings; `json.a` was `[]`, `json.b` was `[]`",
        ),
        (
            r#"!("5" in json.ids)"#,
            r#"{"ids":[5]}"#,
            r#"`"5" in json.ids` compares a string with a number; `json.ids` was `[5]`"#,
        ),
        ("json.l != [1]", r#"{"l":["1"]}"#, r#"`json.l != [1]` compares a string with a number; `json.l` was `["1"]`"#),
        ("json.items.exists(i, i.id == 1) || true", r#"{"items":[{},{"id":1}]}"#, "`i.id` is not there; `i` was `{}`"),
        ("!json.items.exists(i, i != 5)", r#"{"items":["5"]}"#, r#"`i` is a string, `5` is a number; `i` was `"5"`"#),
        (
            "json.a / json.b != 1",
            r#"{"a":0,"b":0}"#,
            "`json.b` is zero: `json.a / json.b` divides by it; `json.b` was `0`",
        ),
        (
            "json.a / json.b != 1",
            r#"{"a":0.0,"b":0.0}"#,
            "`json.b` is zero: `json.a / json.b` divides by it; `json.b` was `0.0`",
        ),
        ("json.a + 1 > 0", r#"{"a":9223372036854775807}"#, "`json.a + 1` is too large a number"),
        ("json.a * 10 > 0", r#"{"a":1e308}"#, "`json.a * 10` is too large a number"),
        (
            "double(json.a) != 1",
            r#"{"a":"NaN"}"#,
            r#"`json.a` is not a number in decimal digits; `json.a` was `"NaN"`"#,
        ),
        ("int(json.a) > 1", r#"{"a":"1e5"}"#, r#"`json.a` is not a whole number of 64 bits; `json.a` was `"1e5"`"#),
        (
            r#"json.a.contains("x")"#,
            r#"{"a":["x"]}"#,
            r#"`json.a` is a list: `contains` cannot take it; `json.a` was `["x"]`"#,
        ),
        (r#"json.a.matches("x")"#, r#"{"a":1}"#, "`json.a` is a number: `matches` cannot take it; `json.a` was `1`"),
        ("json.a.all(i, true)", r#"{"a":1}"#, "`json.a` is a number, neither a list nor an object; `json.a` was `1`"),
        ("json - 1 == 0", r#""1""#, r#"`json` is a string, `1` is a number; `json` was `"1"`"#),
    ]);
}

/// In gatus a path that is missing counts as 0 or as empty text, so that `[BODY].errors < 5` passes on anything.
#[test]
fn a_missing_path_passes_with_no_operator_and_neither_does_what_is_not_json() {
    for assertion in [
        "json.gone == 1",
        "json.gone != 1",
        "1 != json.gone",
        "json.gone < 5",
        "json.gone <= 5",
        "json.gone > -1",
        "json.gone >= 0",
        "5 > json.gone",
        "json.gone == null",
        "json.gone != null",
        "json.gone == \"\"",
        "json.gone != json.gone",
        "json.gone in [0, 1]",
        "!(json.gone in [1])",
        "!(1 in json.gone)",
        "json.gone + 1 == 1",
        "json.gone - 1 < 0",
        "json.gone * 2 == 0",
        "json.gone / 2 == 0",
        "json.gone % 2 == 0",
        "-json.gone == 0",
        "!json.gone",
        "json.gone || true",
        "json.gone && true",
        "!(json.gone && false)",
        "json.gone ? true : true",
        "json.gone[0] == 0",
        "json.gone.deeper != 1",
        "size(json.gone) == 0",
        "json.gone.size() < 1",
        "!json.gone.contains(\"error\")",
        "!json.gone.matches(\"error\")",
        "json.gone.startsWith(\"\")",
        "json.gone.all(i, i > 0)",
        "!json.gone.exists(i, i > 0)",
        "json.gone.filter(i, i > 0) == []",
        "string(json.gone) == \"\"",
        "int(json.gone) == 0",
        "double(json.gone) <= 0.99",
        "json.gone.trim() == \"\"",
    ] {
        let missing = outcome(assertion, r#"{"status":"down"}"#);
        assert_eq!(missing, r#"`json.gone` is not there; `json` was `{"status":"down"}`"#, "{assertion}");
        let not_json = outcome(assertion, "<html>down</html>");
        assert!(not_json.starts_with("the body is not JSON"), "{assertion}: {not_json}");
    }
}

#[test]
fn mistakes_are_found_before_anything_is_observed() {
    let rows: &[(&str, &str, &str, &str)] = &[
        // source, the piece that the span points at, message, help
        ("", "", "this expression is empty", "write what must be true, such as `status == 200`"),
        (
            "  // nothing",
            "  // nothing",
            "this expression is empty",
            "write what must be true, such as `status == 200`",
        ),
        ("statsu == 200", "statsu", "there is no `statsu` here", "did you mean `status`?"),
        ("json.a-b == 1", "b", "there is no `b` here", "for a field with a dash write `[\"a-b\"]`"),
        ("cert.days_lef > 1", "days_lef", "`cert` has no `days_lef`", "did you mean `days_left`?"),
        (r#"cert["days"] > 1"#, r#""days""#, "`cert` has no `days`", "did you mean `days_left`?"),
        ("captures.tokne == \"a\"", "tokne", "`captures` has no `tokne`", "did you mean `token`?"),
        ("status.code == 1", "code", "`status` is a number: it has no `code`", ""),
        ("status", "status", "`status` is a number: an assertion must be true or false", "compare it with something"),
        ("1", "1", "`1` is a number: an assertion must be true or false", "compare it with something"),
        (r#""x""#, r#""x""#, "`\"x\"` is a string: an assertion must be true or false", "compare it with something"),
        (
            r#"status == "200""#,
            r#"status == "200""#,
            "`status` is a number, `\"200\"` is a string",
            "write `200` without quotes",
        ),
        (
            r#"status in [200, "204"]"#,
            r#""204""#,
            "`status` is a number, `\"204\"` is a string",
            "write `204` without quotes",
        ),
        ("body < 5", "body < 5", "`body` is a string, `5` is a number", ""),
        ("status && reused", "status", "`status` is a number: each side of `&&` and `||` must be a boolean", ""),
        ("!status", "status", "`status` is a number: what `!` turns around must be a boolean", ""),
        ("body - 1 > 0", "body", "`body` is a string: each side of `-` must be a number", ""),
        (r#"body.contain("x")"#, "contain", "there is no function `contain`", "did you mean `contains`?"),
        (r#"contains(body, "x")"#, "contains", "`contains` is called on a value", "write `x.contains(…)`"),
        (r#"status.contains("x")"#, "status", "`status` is a number: what `contains` takes must be a string", ""),
        ("body.contains()", "()", "`contains` takes 1 argument, not 0", ""),
        ("json.all(i)", "(i)", "`all` takes 2 arguments, not 1", ""),
        ("json.all(1, true)", "1", "`all` needs a name first", "write `x.all(i, …)`"),
        ("has(json)", "json", "`has` needs a path", "write `has(json.a)`"),
        (r#"body.matches("(a")"#, r#""(a""#, "this pattern is not a regular expression: unclosed group", ""),
        (
            r#"body.matches("\\w{1000}{1000}")"#,
            r#""\\w{1000}{1000}""#,
            "this pattern is not a regular expression: it is too large",
            "",
        ),
        ("body.matches(json.p)", "json.p", "the pattern of `matches` must be written out as a string", ""),
        (
            r#"body.matches("\d")"#,
            r#""\d""#,
            r#"`"\d"` is not a valid string"#,
            "write `\\\\` for a backslash, or a raw string: `r\"…\"`",
        ),
        ("status = 200", "=", "`=` has no meaning here", "write `==` to compare"),
        ("reused and true", "and", "`and` cannot stand here", "write `&&` for and"),
        ("not reused", "reused", "`reused` cannot stand here", "write `!` for not"),
        ("json.in == 1", "in", "`in` cannot stand here", "write `[\"in\"]` for a field of this name"),
        ("status ==", "", "this expression ends too early", "something is missing after its last sign"),
        ("(status == 200", "(", "`(` is never closed", ""),
        ("status == 200)", ")", "`)` closes nothing", ""),
        ("[status == 200)", ")", "`)` closes nothing", ""),
        (r#"body == "x"#, r#""x"#, "this string has no end", "close it with `\"`"),
        ("json.\u{e9} == 1", "\u{e9}", "`\u{e9}` has no meaning here", ""),
        ("json.a == 99999999999999999999", "99999999999999999999", "`99999999999999999999` is too large a number", ""),
        ("package == 1", "package", "`package` is a reserved word", ""),
        ("json.a.all(x, x.all(y, y.all(z, z > 0)))", "all", "more than 2 lists are walked inside each other", ""),
    ];
    for (source, piece, message, help) in rows {
        let error = Expression::compile(source, &names()).expect_err(source);
        let actual = (&source[error.span.clone()], error.message.as_str(), error.help.as_deref().unwrap_or_default());
        assert_eq!(actual, (*piece, *message, *help), "{source}");
    }
}

#[test]
fn hostile_sources_never_abort() {
    let sources: Vec<String> = [
        "(",
        "!",
        "-",
        "[",
        "{",
        "1+",
        "a.b",
        ".b",
        "true?true:",
        "true?",
        "[[",
        "f(",
        "json[",
        "json.all(i,",
        "!(",
        "-(",
        "1<",
        "{\"a\":",
        "json.a.",
        "&&",
        "true&&",
        "true||",
        "json.f().",
        "x?y:z&&",
        "\"",
        "'''",
        "\\",
        "1 in [",
        "()",
        "true ? (",
        "/*",
        "//",
        "0x",
        "1e",
    ]
    .iter()
    .flat_map(|piece| {
        let long = piece.repeat(2048 / piece.len());
        let half = piece.repeat(1000 / piece.len());
        let close: String = half
            .chars()
            .rev()
            .filter_map(|c| match c {
                '(' => Some(')'),
                '[' => Some(']'),
                '{' => Some('}'),
                _ => None,
            })
            .collect();
        [format!("{half}true"), format!("{half}1{close}"), format!("json{half}"), format!("true{half}"), long]
    })
    .collect();
    let finished = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        for source in &sources {
            if let Ok(expression) = Expression::compile(source, &names()) {
                let _ = expression.assert(&scope("{}"));
            }
        }
    });
    assert!(finished.unwrap().join().is_ok());
}

#[test]
fn the_deepest_tree_that_is_allowed_fits_a_small_stack() {
    let finished = std::thread::Builder::new().stack_size(1 << 20).spawn(|| {
        for (before, after) in [
            ("!(", ")"),
            ("-(", ")"),
            ("[", "]"),
            ("true ? ", " : true"),
            ("(1 + ", ")"),
            ("size([", "])"),
            ("json[", "]"),
            ("{\"a\": ", "}"),
        ] {
            for depth in 1..60 {
                let core = if before.starts_with(['!', 't']) { "true" } else { "1" };
                let source = format!("{}{core}{} == 1", before.repeat(depth), after.repeat(depth));
                if let Ok(expression) = Expression::compile(&source, &names()) {
                    let _ = expression.assert(&scope("{}"));
                }
            }
        }
        for depth in [30, 31, 32, 60] {
            let compiled = Expression::compile(&format!("1{} > 0", " + 1".repeat(depth)), &names());
            assert_eq!(compiled.is_ok(), depth < 31, "{depth}");
        }
        let wide = format!("true{}", " && status == 200".repeat(100));
        assert_eq!(outcome(&wide, ""), "passes");
    });
    assert!(finished.unwrap().join().is_ok());
}

#[test]
fn too_long_and_too_deep_are_errors_with_words() {
    let long = Expression::compile(&"x".repeat(2049), &names()).expect_err("too long");
    assert_eq!(long.message, "this expression is 2049 bytes long, more than 2048");
    let deep = Expression::compile(&format!("{}true", "!(".repeat(40)), &names()).expect_err("too deep");
    assert_eq!(deep.message, "this expression has more than 24 brackets inside each other");
    let chain = Expression::compile(&"1+".repeat(50), &names()).expect_err("too deep");
    assert_eq!(chain.message, "this expression ends too early");
    let chain = Expression::compile(&format!("1{} > 0", "+1".repeat(70)), &names()).expect_err("too deep");
    assert_eq!(chain.message, "this expression has too many operators inside each other");
}

#[test]
fn the_cost_is_bounded() {
    let list: Vec<usize> = (0..2000).collect();
    let body = json!({ "a": list, "b": list }).to_string();
    assert_eq!(outcome("json.a.all(x, json.b.exists(y, x + y < 0 || x == y))", &body), "needs more than 100000 steps");
    assert_eq!(outcome("json.a.all(x, x in json.b)", &body), "needs more than 100000 steps");
    assert_eq!(outcome("json.a.all(x, x < 2000)", &body), "passes");
}

#[test]
fn values_are_shortened_and_escaped() {
    let body = json!({ "a": "é".repeat(500) }).to_string();
    let why = compile("json.a == \"\"").assert(&scope(&body)).expect_err("differs");
    assert_eq!(why.parts[0].value.chars().count(), 200);
    assert!(why.parts[0].value.ends_with("é…"));
    let kept: Explanation = serde_json::from_str(&serde_json::to_string(&why).unwrap()).unwrap();
    assert_eq!(kept, why);
}

#[test]
fn only_what_is_used_is_looked_up_and_only_once() {
    let scope = scope("<html>");
    assert_eq!(compile("status == 200 || json.a == 1").assert(&scope), Ok(()));
    assert_eq!(compile("status > 0 && status < 0").test(&scope), Ok(false));
    assert_eq!(*scope.asked.borrow(), ["status", "status"]);
}

#[test]
fn a_condition_is_true_or_false_or_says_why_not() {
    assert_eq!(compile("status == 200").test(&scope("")), Ok(true));
    assert_eq!(compile("status == 201").test(&scope("")), Ok(false));
    let why = compile("json.a").test(&scope("{}")).expect_err("is not there");
    assert_eq!(why.reason.as_deref(), Some("`json.a` is not there"));
}

#[test]
fn paths_are_told_as_far_as_they_are_written_out() {
    let expression = compile(
        r#"has(captures.token) && steps.login.total_ms < 5 && json.a[json.b].c == headers["x-y"] && [1].all(status, status == 1)"#,
    );
    let paths: Vec<&str> = expression.references().collect();
    assert_eq!(paths, ["captures.token", "steps.login.total_ms", "json.a", "json.b", "headers.x-y"]);
    assert!(expression.mentions("json"));
    assert!(!expression.mentions("status"), "a variable of the same name hides it");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_compiles_or_is_an_error(source in "\\PC{0,60}") {
        same_twice(&source);
    }

    #[test]
    fn any_pieces_compile_or_are_an_error(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..14)) {
        same_twice(&pieces.join(" "));
        same_twice(&pieces.concat());
    }
}

const PIECES: &[&str] = &[
    "json",
    "status",
    "body",
    ".a",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ":",
    "?",
    ",",
    "1",
    "-1",
    "1.5",
    "2u",
    "\"a\"",
    "r'b'",
    "b\"c\"",
    "null",
    "true",
    "==",
    "!=",
    "<",
    "in",
    "+",
    "-",
    "/",
    "%",
    "!",
    "&&",
    "||",
    ".all(i,",
    ".map(i,",
    "has(",
    "size(",
    ".matches(",
    "i",
    "\n",
    "//",
    "é",
    "'''",
    "`x`",
    ".",
];

fn same_twice(source: &str) {
    let once = Expression::compile(source, &names());
    assert_eq!(once, Expression::compile(source, &names()));
    match once {
        Ok(expression) => {
            let body = r#"{"a":[1,"x",null,{"a":2.5}]}"#;
            assert_eq!(expression.assert(&scope(body)), expression.assert(&scope(body)));
        }
        Err(error) => assert!(source.get(error.span.clone()).is_some(), "{source:?}: {error:?}"),
    }
}

#[test]
fn a_value_that_was_taken_out_is_said_to_be_private() {
    let part = |value: &str| Part { expression: "json.session".to_owned(), value: value.to_owned() }.to_string();
    assert_eq!(part("\"open\""), "`json.session` was `\"open\"`");
    assert_eq!(part(crate::domain::redaction::MARK), "`json.session` is private, so its value is not shown");
}
