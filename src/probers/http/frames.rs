//! The frames of HTTP/2 on their way out (RFC 9113, section 4.1), looked through for where a request ends: a body that is
//! larger than the server's window goes in pieces, between which the server sends frames that are no answer.

/// What a client says before its first frame (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length, type, flags and stream.
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

/// How far the frames of a connection have gone out.
#[derive(Debug)]
pub struct Outgoing {
    head: [u8; HEAD_BYTES],
    head_length: usize,
    /// How many bytes are left of the preface, or of what the frame under way holds.
    left: usize,
    /// With the frame under way a request ends.
    ends: bool,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self { head: [0; HEAD_BYTES], head_length: 0, left: PREFACE.len(), ends: false }
    }
}

impl Outgoing {
    /// Takes what went out next, and says whether it held the last byte of a request.
    pub fn take(&mut self, mut bytes: &[u8]) -> bool {
        let mut has_ended = false;
        while !bytes.is_empty() {
            let skipped = self.left.min(bytes.len());
            bytes = bytes.get(skipped..).unwrap_or_default();
            self.left -= skipped;
            if self.left > 0 {
                break;
            }
            has_ended |= skipped > 0 && self.ends;
            while let ([byte, rest @ ..], Some(place)) = (bytes, self.head.get_mut(self.head_length)) {
                *place = *byte;
                self.head_length += 1;
                bytes = rest;
            }
            if self.head_length == HEAD_BYTES {
                self.head_length = 0;
                let [high, middle, low, kind, flags, ..] = self.head;
                self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
                self.ends = match kind {
                    DATA | HEADERS => flags & END_STREAM != 0,
                    // It belongs to the head before it.
                    CONTINUATION => self.ends,
                    _ => false,
                };
                has_ended |= self.left == 0 && self.ends;
            }
        }
        has_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn a_request_ends_with_its_last_frame_however_it_is_cut() {
        let settings = frame(4, END_STREAM, &[0; 6]);
        let parts = [
            (PREFACE.to_vec(), false),
            (settings.clone(), false),
            (frame(HEADERS, END_STREAM, b"get"), true),
            (frame(HEADERS, 4, b"post"), false),
            (frame(DATA, 0, &[b'x'; 40]), false),
            (settings, false),
            (frame(DATA, END_STREAM, b""), true),
            (frame(HEADERS, END_STREAM, b"large"), true),
            (frame(CONTINUATION, 4, b"head"), true),
            (frame(8, 0, &[0; 4]), false),
        ];
        let mut whole = Outgoing::default();
        for (bytes, ends) in &parts {
            assert_eq!(whole.take(bytes), *ends, "{bytes:?}");
        }
        let mut piecewise = Outgoing::default();
        for (bytes, ends) in &parts {
            let seen: Vec<bool> = bytes.iter().map(|byte| piecewise.take(&[*byte])).collect();
            let (last, before) = seen.split_last().unwrap();
            assert_eq!((*last, before.contains(&true)), (*ends, false), "{bytes:?}");
        }
        assert!(!whole.take(&[]));
    }
}
