//! What is private by what it is: the values of headers, fields and parameters whose names say so, tokens that can be told
//! by their form, and passwords in URLs. Whoever shows an exchange takes these out besides the secrets that are known.

use super::redaction::MARK;

/// What a name has somewhere in it when its value is private; compared in lower case, without `-` and `_`.
const WORDS: [&str; 14] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "accesskey",
    "privatekey",
    "sessionid",
    "signature",
    "credential",
    "jwt",
];

/// Names of fields and parameters that are private as they are. They are too short to be looked for within others, and stand
/// at the beginning of a line of plain text too.
const NAMES: [&str; 5] = ["session", "sid", "pwd", "pin", "otp"];

/// Schemes of `Authorization`: the word stays, since it says much and tells nothing.
const SCHEMES: [&str; 6] = ["bearer", "basic", "digest", "negotiate", "token", "aws4-hmac-sha256"];

/// How a signed token begins that is base64 of JSON, and how many parts it has (RFC 7519).
const SIGNED_TOKEN: (&str, usize) = ("eyJ", 3);

/// Whether the value of a header, field or parameter of this name is private.
pub fn is_private(name: &str) -> bool {
    NAMES.contains(&bare(name).as_str()) || has_private_word(name)
}

fn has_private_word(name: &str) -> bool {
    let bare = bare(name);
    WORDS.iter().any(|word| bare.contains(word))
}

fn bare(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect()
}

/// The text without what is private by what it is. Each value that was taken out is given to `found`, because a target may
/// say it again where nothing tells what it is.
pub fn conceal(text: &str, mut found: impl FnMut(&str)) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut within = None;
    for line in text.split_inclusive('\n') {
        let (content, end) = line.strip_suffix('\n').map_or((line, ""), |content| (content, "\n"));
        conceal_line(content, &mut within, &mut shown, &mut found);
        shown.push_str(end);
    }
    shown
}

fn conceal_line<'a>(line: &'a str, within: &mut Option<Within<'a>>, shown: &mut String, found: &mut impl FnMut(&str)) {
    let mut at = hide_within(line, within, shown, found);
    while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
        let word = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
        if word == 0 {
            let step = rest.chars().next().map_or(1, char::len_utf8);
            let user = rest.strip_prefix("://").and_then(user_of_url);
            if let Some(user) = user {
                shown.push_str("://");
                hide(user, shown, found);
                at += 3 + user.len();
            } else {
                shown.push_str(&rest[..step]);
                at += step;
            }
            continue;
        }
        let name = &rest[..word];
        if let Some((before, quote)) = opening_bracket(name, &rest[word..]) {
            shown.push_str(&rest[..word + before]);
            at += word + before;
            *within = Some(Within { quote, depth: 0 });
            at += hide_within(&line[at..], within, shown, found);
            continue;
        }
        let value = if is_private(name) { value_of(&line[..at], name, &rest[word..]) } else { None };
        if let Some(Value { before, text, pairs }) = value {
            shown.push_str(&rest[..word + before]);
            if pairs {
                hide_pairs(name, text, shown, found);
            } else {
                hide_after_scheme(text, shown, found);
            }
            at += word + before + text.len();
        } else if let Some(token) = signed_token(rest) {
            hide(token, shown, found);
            at += token.len();
        } else {
            shown.push_str(name);
            at += word;
        }
    }
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// A private value: how far behind its name it begins, and whether it is made of `name=value` pairs.
struct Value<'a> {
    before: usize,
    text: &'a str,
    pairs: bool,
}

/// The value of a name, where what follows the name says that it has one.
fn value_of<'a>(before: &str, name: &str, rest: &'a str) -> Option<Value<'a>> {
    let quote = before.chars().next_back().filter(|c| matches!(c, '"' | '\''));
    let is_header = has_private_word(name) && (before.trim_matches([' ', '>', '<']).is_empty() || quote.is_some());
    if let Some(text) = rest.strip_prefix(':').filter(|_| is_header) {
        // Within quotes, as in a command for a shell, the header ends with them.
        let text = text.trim_start();
        let end = quote.and_then(|quote| text.find(quote)).unwrap_or_else(|| text.trim_end().len());
        let pairs = name.to_ascii_lowercase().ends_with("cookie");
        return Some(Value { before: rest.len() - rest[1..].trim_start().len(), text: &text[..end], pairs });
    }
    // Two of them compare, in expressions, and give nothing.
    if let Some(text) = rest.strip_prefix('=').filter(|text| !text.starts_with('=')) {
        let end = text.find(|c: char| matches!(c, '&' | ';' | ',' | '"' | '\'' | '<' | '>' | ')') || c.is_whitespace());
        return Some(Value { before: 1, text: &text[..end.unwrap_or(text.len())], pairs: false });
    }
    field(rest)
}

/// `": "value"` behind the name of a field of JSON, whose quotes may be escaped, since JSON can be a string within JSON. A
/// number and a truth are left: they hide nothing, and are what people ask for.
fn field(rest: &str) -> Option<Value<'_>> {
    let quote = opening_quote(rest)?;
    let colon = rest[quote.len()..].trim_start().strip_prefix(':')?;
    let value = colon.trim_start();
    let text = value.strip_prefix(quote)?;
    Some(Value { before: rest.len() - text.len(), text: &text[..end_of_string(text, quote)], pairs: false })
}

/// Where a string ends that is within such quotes.
fn end_of_string(text: &str, quote: &str) -> usize {
    let mut from = 0;
    loop {
        let Some(next) = text[from..].find(quote).map(|next| from + next) else { break text.len() };
        let escapes = text[..next].bytes().rev().take_while(|byte| *byte == b'\\').count();
        // Each string within a string doubles the backslashes before a quote that does not end it.
        if escapes.is_multiple_of(2 * quote.len()) {
            break next;
        }
        from = next + quote.len();
    }
}

/// A list or an object behind a private name, which may go on over lines.
struct Within<'a> {
    quote: &'a str,
    /// How many brackets are open.
    depth: usize,
}

/// How far behind the name of a field of JSON the bracket of its value is, and the quotes there, where all that is in it is
/// private. An object behind one of the short names is more often a part of a system than what opens it.
fn opening_bracket<'a>(name: &str, rest: &'a str) -> Option<(usize, &'a str)> {
    let quote = opening_quote(rest).filter(|_| is_private(name))?;
    let value = rest[quote.len()..].trim_start().strip_prefix(':')?.trim_start();
    let is_private = value.starts_with('[') || value.starts_with('{') && has_private_word(name);
    is_private.then(|| (rest.len() - value.len(), quote))
}

/// Hides the strings of a list or an object up to its end, without the names in it. Gives how much of the line that is.
fn hide_within(line: &str, within: &mut Option<Within<'_>>, shown: &mut String, found: &mut impl FnMut(&str)) -> usize {
    let mut rest = line;
    while let Some(Within { quote, depth }) = within {
        if let Some(text) = rest.strip_prefix(*quote) {
            let (text, after) = text.split_at(end_of_string(text, quote));
            let (end, after) = after.split_at(quote.len().min(after.len()));
            shown.push_str(quote);
            if after.trim_start().starts_with(':') {
                shown.push_str(text);
            } else {
                hide(text, shown, found);
            }
            shown.push_str(end);
            rest = after;
            continue;
        }
        let Some(c) = rest.chars().next() else { break };
        shown.push(c);
        rest = &rest[c.len_utf8()..];
        match c {
            '[' | '{' => *depth += 1,
            ']' | '}' => *depth = depth.saturating_sub(1),
            _ => {}
        }
        if *depth == 0 {
            *within = None;
        }
    }
    line.len() - rest.len()
}

/// A quote with the backslashes before it.
fn opening_quote(rest: &str) -> Option<&str> {
    let at = rest.find(|c| c != '\\')?;
    matches!(rest.as_bytes().get(at), Some(b'"' | b'\'')).then(|| &rest[..=at])
}

/// `user:password` where a URL has it.
fn user_of_url(rest: &str) -> Option<&str> {
    let authority = rest.split(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace()).next()?;
    authority.rsplit_once('@').map(|(user, _)| user).filter(|user| !user.is_empty())
}

fn signed_token(rest: &str) -> Option<&str> {
    let (begins, parts) = SIGNED_TOKEN;
    let end = rest.find(|c| !in_name(c) && c != '.').unwrap_or(rest.len());
    let token = rest[..end].trim_end_matches('.');
    (token.starts_with(begins) && token.split('.').filter(|part| !part.is_empty()).count() == parts).then_some(token)
}

fn hide(value: &str, shown: &mut String, found: &mut impl FnMut(&str)) {
    if !value.is_empty() {
        shown.push_str(MARK);
        found(value);
    }
}

fn hide_after_scheme(value: &str, shown: &mut String, found: &mut impl FnMut(&str)) {
    let (scheme, rest) = value.split_once(' ').unwrap_or_default();
    if SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) {
        shown.push_str(scheme);
        shown.push(' ');
        hide(rest, shown, found);
    } else {
        hide(value, shown, found);
    }
}

/// `sid=•••; Path=/`: the names of cookies stay, and of a cookie that is set the attributes, which are what people look for.
fn hide_pairs(header: &str, value: &str, shown: &mut String, found: &mut impl FnMut(&str)) {
    let only_first = header.to_ascii_lowercase().starts_with("set-");
    for (index, pair) in value.split(';').enumerate() {
        if index > 0 {
            shown.push(';');
        }
        match pair.split_once('=') {
            _ if only_first && index > 0 => shown.push_str(pair),
            Some((name, value)) => {
                shown.push_str(name);
                shown.push('=');
                hide(value, shown, found);
            }
            None => hide(pair, shown, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn concealed(text: &str) -> (String, Vec<String>) {
        let mut found = Vec::new();
        let shown = conceal(text, |value| found.push(value.to_owned()));
        (shown, found)
    }

    #[test]
    fn what_names_and_forms_say_is_private_is_taken_out_and_the_rest_stays() {
        for (text, shown) in [
            ("authorization: Bearer abc.def", "authorization: Bearer •••"),
            ("Authorization: Basic dTpw\r", "Authorization: Basic •••"),
            ("> Proxy-Authorization: whatever it is", "> Proxy-Authorization: •••"),
            ("cookie: sid=1a2b; theme=dark", "cookie: sid=•••; theme=•••"),
            ("set-cookie: sid=1a2b; Path=/; HttpOnly", "set-cookie: sid=•••; Path=/; HttpOnly"),
            ("x-api-key: k-1", "x-api-key: •••"),
            (r#"{"access_token": "a\"b", "n": 1}"#, r#"{"access_token": "•••", "n": 1}"#),
            (r#""{\"token\":\"abc\",\"id\":\"7\"}""#, r#""{\"token\":\"•••\",\"id\":\"7\"}""#),
            (r#""{\"token\":\"a\\\"b\",\"id\":\"7\"}""#, r#""{\"token\":\"•••\",\"id\":\"7\"}""#),
            (r#"{"token":"cut in the mid"#, r#"{"token":"•••"#),
            (r#"{"tokens_left": 12, "has_password": true}"#, r#"{"tokens_left": 12, "has_password": true}"#),
            ("GET /a?token=abc&x=1 HTTP/1.1", "GET /a?token=•••&x=1 HTTP/1.1"),
            ("user=probe&password=p%40ss", "user=probe&password=•••"),
            ("curl -H 'Authorization: Bearer abc' -d 'x'", "curl -H 'Authorization: Bearer •••' -d 'x'"),
            ("https://user:pw@a.example/x@y", "https://•••@a.example/x@y"),
            ("see eyJhbGciOiJI.eyJzdWIiOiIx.c2ln, and eyJ", "see •••, and eyJ"),
            ("access-control-expose-headers: set-cookie", "access-control-expose-headers: set-cookie"),
            (r#"{"services":{"auth":"degraded"}}"#, r#"{"services":{"auth":"degraded"}}"#),
            (r#"{"services":{"auth":{"status":"ok"}}}"#, r#"{"services":{"auth":{"status":"ok"}}}"#),
            (r#"{"api_keys":["k]","l"],"a":["b"]}"#, r#"{"api_keys":["•••","•••"],"a":["b"]}"#),
            (r#"{"Set-Cookie": ["sid=1"], "n": 1}"#, r#"{"Set-Cookie": ["•••"], "n": 1}"#),
            (
                r#"{"credentials":{"key":"k","n":1,"of":["x"]},"a":"b"}"#,
                r#"{"credentials":{"key":"•••","n":1,"of":["•••"]},"a":"b"}"#,
            ),
            (
                "{\"tokens\": [\n  \"k\",\n  \"l\"\n],\n\"a\": \"b\"}",
                "{\"tokens\": [\n  \"•••\",\n  \"•••\"\n],\n\"a\": \"b\"}",
            ),
            (r#""{\"tokens\":[\"a\"],\"id\":\"7\"}""#, r#""{\"tokens\":[\"•••\"],\"id\":\"7\"}""#),
            (r#"{"tokens":["cut in the mid"#, r#"{"tokens":["•••"#),
            ("the token is bad: say it again", "the token is bad: say it again"),
            (r#"json.token=="a" && has(headers["set-cookie"])"#, r#"json.token=="a" && has(headers["set-cookie"])"#),
            ("session: begun", "session: begun"),
            (r#"{"session": "begun"}"#, r#"{"session": "•••"}"#),
            ("status: 200\nage: 0\n", "status: 200\nage: 0\n"),
        ] {
            assert_eq!(concealed(text).0.replace('\r', ""), shown.replace('\r', ""), "{text}");
        }
    }

    #[test]
    fn what_was_taken_out_is_told_so_that_it_is_found_elsewhere() {
        let text = "set-cookie: sid=1a2b3c; Path=/\nauthorization: Bearer abcdef\n{\"secret\":\"s3cr3t\"}";
        assert_eq!(concealed(text).1, ["1a2b3c", "abcdef", "s3cr3t"]);
    }

    proptest! {
        #[test]
        fn any_text_can_be_looked_at(text in "(\\PC|[\\\\\"':=&;@/\n]|token|://|eyJ){0,60}") {
            let once = concealed(&text).0;
            prop_assert_eq!(text.lines().count(), once.lines().count());
        }
    }
}
