//! Replies of RESP2 and RESP3 (the protocol's own specification, "Redis serialization protocol"), as JSON.
//!
//! Lists stand in lists, so there is a stack of those that are open, and nothing recurses. What a reply announces is
//! believed only as far as that many bytes may still come: nothing is set aside for it.

use serde_json::{Map, Number, Value};

use crate::domain::outcome::{Failure, FailureKind};
use crate::probers::connection::{Connection, invalid, quoted, text_or_hex};

/// Lists may stand this deep in each other.
const DEPTH_MAX: usize = 32;
/// So many values may be in one reply.
const VALUES_MAX: usize = 10_000;
/// No value takes fewer bytes: its sign and the end of its line.
const VALUE_BYTES_MIN: usize = 3;

/// What a server replied.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// What was asked for.
    Value(Value),
    /// That it is not to be had, in the server's words.
    Error(String),
}

/// What begins with a line.
enum Begun {
    /// A value that is whole.
    Whole(Value),
    /// An error.
    Error(String),
    /// So many values follow.
    Group(Group, usize),
}

/// What values are together.
#[derive(Clone, Copy, PartialEq)]
enum Group {
    List,
    /// Keys and values in turn.
    Map,
    /// Told besides, about the value that follows.
    Attribute,
    /// Told besides, about anything: it is no reply.
    Push,
}

struct Open {
    group: Group,
    count: usize,
    values: Vec<Value>,
}

/// Reads one reply to its end.
pub async fn read_reply(connection: &mut Connection) -> Result<Reply, Failure> {
    let mut open: Vec<Open> = Vec::new();
    let mut values = 0;
    loop {
        values += 1;
        if values > VALUES_MAX {
            return Err(too_many());
        }
        let mut whole = match begin(connection).await? {
            Begun::Whole(value) => value,
            Begun::Error(error) if open.is_empty() => return Ok(Reply::Error(error)),
            // Within a list one error says nothing about the others.
            Begun::Error(error) => serde_json::json!({ "error": error }),
            Begun::Group(group, count) => {
                if group == Group::Push && !open.is_empty() {
                    return Err(invalid("the reply has a push within a list"));
                }
                if count.saturating_mul(VALUE_BYTES_MIN) > connection.bytes_ahead() {
                    return Err(connection.too_large());
                }
                if count > VALUES_MAX {
                    return Err(too_many());
                }
                if open.len() >= DEPTH_MAX {
                    return Err(invalid(format!("the reply has lists more than {DEPTH_MAX} deep in each other")));
                }
                open.push(Open { group, count, values: Vec::new() });
                match closed(&mut open) {
                    Some(empty) => empty,
                    None => continue,
                }
            }
        };
        loop {
            let Some(inner) = open.last_mut() else { return Ok(Reply::Value(whole)) };
            inner.values.push(whole);
            match closed(&mut open) {
                Some(outer) => whole = outer,
                None => break,
            }
        }
    }
}

/// The innermost group as a value, once it is complete. What is only told besides is none.
fn closed(open: &mut Vec<Open>) -> Option<Value> {
    let Open { group, values, .. } = open.pop_if(|innermost| innermost.values.len() == innermost.count)?;
    match group {
        Group::List => Some(Value::Array(values)),
        Group::Map => {
            let mut map = Map::new();
            let mut values = values.into_iter();
            while let (Some(key), Some(value)) = (values.next(), values.next()) {
                let key = if let Value::String(text) = key { text } else { key.to_string() };
                map.insert(key, value);
            }
            Some(Value::Object(map))
        }
        Group::Attribute | Group::Push => None,
    }
}

async fn begin(connection: &mut Connection) -> Result<Begun, Failure> {
    let line = connection.line().await?;
    let Some((sign, rest)) = line.split_first() else { return Err(unknown(&line)) };
    let text = || String::from_utf8_lossy(rest).into_owned();
    Ok(match sign {
        b'+' => Begun::Whole(text_or_hex(rest)),
        b'-' => Begun::Error(text()),
        b':' => Begun::Whole(whole_number(rest).ok_or_else(|| unknown(&line))?.into()),
        b'_' if rest.is_empty() => Begun::Whole(Value::Null),
        b'#' if rest == b"t" => Begun::Whole(true.into()),
        b'#' if rest == b"f" => Begun::Whole(false.into()),
        b',' => Begun::Whole(decimal(&text()).ok_or_else(|| unknown(&line))?),
        // Beyond 64 bits there is no number in JSON that keeps every digit.
        b'(' if is_digits(rest) => Begun::Whole(text().into()),
        b'$' | b'*' if rest == b"-1" => Begun::Whole(Value::Null),
        b'$' | b'!' | b'=' => {
            let length = length(rest).ok_or_else(|| unknown(&line))?;
            let bytes = bulk(connection, length).await?;
            match sign {
                b'!' => Begun::Error(String::from_utf8_lossy(&bytes).into_owned()),
                // `txt:` or `mkd:` stands before the text.
                b'=' => Begun::Whole(text_or_hex(bytes.get(4..).ok_or_else(|| unknown(&line))?)),
                _ => Begun::Whole(text_or_hex(&bytes)),
            }
        }
        b'*' | b'~' | b'>' | b'%' | b'|' => {
            let count = length(rest).ok_or_else(|| unknown(&line))?;
            match sign {
                b'%' => Begun::Group(Group::Map, count.saturating_mul(2)),
                b'|' => Begun::Group(Group::Attribute, count.saturating_mul(2)),
                b'>' => Begun::Group(Group::Push, count),
                _ => Begun::Group(Group::List, count),
            }
        }
        _ => return Err(unknown(&line)),
    })
}

/// So many bytes, and the end of a line behind them.
async fn bulk(connection: &mut Connection, length: usize) -> Result<bytes::Bytes, Failure> {
    let mut bytes = connection.exactly(length.saturating_add(2)).await?;
    if !bytes.ends_with(b"\r\n") {
        return Err(invalid(format!("a text of the reply is longer than its {length} bytes")));
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn unknown(line: &[u8]) -> Failure {
    let hint = match line {
        // The beginning of a TLS alert.
        [0x15, 0x03, ..] => ": the server speaks TLS, write `tls: true`",
        _ => "",
    };
    invalid(format!("what came is no reply of Redis: {}{hint}", quoted(line)))
}

fn too_many() -> Failure {
    Failure::new(FailureKind::BodyTooLarge, format!("the reply has more than {VALUES_MAX} values"))
}

fn is_digits(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn whole_number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok().filter(|_| is_digits(text))?.parse().ok()
}

fn length(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok().filter(|_| text.iter().all(u8::is_ascii_digit))?.parse().ok()
}

/// A decimal; infinity and what is no number are texts, since JSON has none.
fn decimal(text: &str) -> Option<Value> {
    let value: f64 = text.parse().ok()?;
    Some(Number::from_f64(value).map_or_else(|| Value::String(text.to_owned()), Value::Number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Bytes enough for every reply of these tests.
    const BYTES_MAX: usize = 64 * 1024;

    async fn reply(bytes: &[u8]) -> Result<Reply, Failure> {
        read_reply(&mut Connection::saying(bytes, BYTES_MAX)).await
    }

    #[tokio::test]
    async fn every_kind_of_value_is_json() {
        for (bytes, value) in [
            ("+OK\r\n", json!("OK")),
            (":-42\r\n", json!(-42)),
            ("$5\r\na\r\nbc\r\n", json!("a\r\nbc")),
            ("$0\r\n\r\n", json!("")),
            ("$-1\r\n", json!(null)),
            ("*-1\r\n", json!(null)),
            ("_\r\n", json!(null)),
            ("*0\r\n", json!([])),
            ("*2\r\n*1\r\n:1\r\n$1\r\na\r\n", json!([[1], "a"])),
            ("*2\r\n+a\r\n-ERR no\r\n", json!(["a", { "error": "ERR no" }])),
            ("#t\r\n", json!(true)),
            (",1.5\r\n", json!(1.5)),
            (",inf\r\n", json!("inf")),
            ("(12345678901234567890123\r\n", json!("12345678901234567890123")),
            ("=6\r\ntxt:ab\r\n", json!("ab")),
            ("%2\r\n+a\r\n:1\r\n:2\r\n*0\r\n", json!({ "a": 1, "2": [] })),
            ("~1\r\n:1\r\n", json!([1])),
            ("|1\r\n+ttl\r\n:5\r\n*1\r\n|1\r\n+a\r\n+b\r\n+c\r\n", json!(["c"])),
            (">2\r\n+invalidate\r\n*0\r\n+PONG\r\n", json!("PONG")),
        ] {
            assert_eq!(reply(bytes.as_bytes()).await.unwrap(), Reply::Value(value), "{bytes:?}");
        }
        assert_eq!(reply(b"$1\r\n\xff\r\n").await.unwrap(), Reply::Value(json!({ "hex": "ff" })));
        assert_eq!(reply(b"-LOADING later\r\n").await.unwrap(), Reply::Error("LOADING later".to_owned()));
        assert_eq!(reply(b"!3\r\nERR\r\n").await.unwrap(), Reply::Error("ERR".to_owned()));
    }

    #[tokio::test]
    async fn what_is_no_reply_or_too_large_is_a_failure() {
        let deep = "*1\r\n".repeat(1_000);
        let many = format!("*9999\r\n{}", "*1\r\n_\r\n".repeat(9_000));
        for (bytes, kind) in [
            ("HTTP/1.1 400 Bad Request\r\n\r\n", FailureKind::ProtocolInvalid),
            ("\r\n", FailureKind::ProtocolInvalid),
            (":\r\n", FailureKind::ProtocolInvalid),
            (":1e5\r\n", FailureKind::ProtocolInvalid),
            ("$-2\r\n", FailureKind::ProtocolInvalid),
            ("$+1\r\na\r\n", FailureKind::ProtocolInvalid),
            ("$1\r\nab\r\n", FailureKind::ProtocolInvalid),
            ("*1\r\n>1\r\n+a\r\n", FailureKind::ProtocolInvalid),
            ("=1\r\na\r\n", FailureKind::ProtocolInvalid),
            (deep.as_str(), FailureKind::ProtocolInvalid),
            ("$1073741824\r\n", FailureKind::BodyTooLarge),
            ("$18446744073709551615\r\n", FailureKind::BodyTooLarge),
            ("*1073741824\r\n", FailureKind::BodyTooLarge),
            ("%18446744073709551615\r\n", FailureKind::BodyTooLarge),
            (many.as_str(), FailureKind::BodyTooLarge),
            ("$5\r\nab", FailureKind::ProtocolClosed),
            ("*2\r\n:1\r\n", FailureKind::ProtocolClosed),
            ("", FailureKind::ProtocolClosed),
        ] {
            assert_eq!(reply(bytes.as_bytes()).await.unwrap_err().kind, kind, "{:?}", bytes.get(..40).unwrap_or(bytes));
        }
        let endless = format!("*1000\r\n{}", "+a\r\n".repeat(BYTES_MAX));
        assert_eq!(reply(endless.as_bytes()).await, Ok(Reply::Value(vec![json!("a"); 1000].into())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'1'), proptest::sample::select(b"+-:$*_#,(!=%~|>0".to_vec()), any::<u8>()], 0..80,
        )) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(reply(&bytes));
        }
    }
}
