//! The answer of a target: any bytes, in any pieces.

use super::Taken;
use super::bench::{is_a_targets, meet};

/// The limit of a body here, in bytes.
const CAP: usize = 256;

/// The first byte chooses the method (`H` for HEAD), the second how many bytes come at once, and the rest is the answer.
///
/// Nothing beyond the limit is kept, and what is taken for an answer is what a slow reader who has all bytes makes of them;
/// so a part of an answer is never a success.
pub fn target(data: &[u8]) -> Taken {
    let [method, step, answer @ ..] = data else { return Taken::No };
    let head_only = *method == b'H';
    let method = if head_only { "HEAD" } else { "GET" };
    let settings = format!("{{ url: \"http://HOST/\", method: {method}, max_body: {CAP}, follow_redirects: false }}");
    let step = if *step == b'0' { usize::MAX } else { usize::from(*step) };
    let met = meet(&settings, "", step, |_| answer.to_vec());
    match met.seen {
        Err(failure) => {
            is_a_targets(&failure);
            Taken::No
        }
        Ok(seen) => {
            let body = seen.body.unwrap_or_default();
            assert!(body.len() <= CAP, "{} bytes were kept", body.len());
            // What is decompressed is another target's.
            let read = read(answer, head_only).expect("a part of an answer was taken for one");
            assert!(read.encoded || body == read.body, "{body:?} was read from {answer:?}");
            assert_eq!(seen.facts["status"], read.status, "of {answer:?}");
            Taken::Yes
        }
    }
}

struct Read {
    status: u16,
    body: Vec<u8>,
    encoded: bool,
}

/// An answer by RFC 9112, section 6.3, without any regard to speed; none where it is not whole.
fn read(mut answer: &[u8], head_only: bool) -> Option<Read> {
    // Section 2.2: empty lines before the first are passed over.
    while let Some(rest) = answer.strip_prefix(b"\r\n") {
        answer = rest;
    }
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, rest) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    if (100..200).contains(&status) && status != 101 {
        return read(rest, head_only);
    }
    let fields: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
    let values = |name: &str| {
        let of_name: Vec<&str> = fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect();
        (!of_name.is_empty()).then(|| of_name.join(",").to_ascii_lowercase())
    };
    let encoded = values("content-encoding").is_some();
    let body = if head_only || [101, 204, 304].contains(&status) {
        Vec::new()
    } else if let Some(codings) = values("transfer-encoding") {
        if codings.rsplit(',').next().is_some_and(|last| last.trim() == "chunked") {
            chunks(rest)?
        } else {
            rest.to_vec()
        }
    } else if let Some(length) = values("content-length") {
        rest.get(..length.split(',').next()?.trim().parse().ok()?)?.to_vec()
    } else {
        rest.to_vec()
    };
    Some(Read { status, body, encoded })
}

/// A chunked body (section 7.1), up to the end of its trailers.
fn chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = String::from_utf8_lossy(&rest[..end]);
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            let is_over = rest.starts_with(b"\r\n") || rest.windows(4).any(|four| four == b"\r\n\r\n");
            return is_over.then_some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}
