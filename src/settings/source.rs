//! Files as they were read, and places in them.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::settings::problem::{Problem, Problems};

/// A file may have this many bytes.
pub const FILE_BYTES_MAX: usize = 10 * 1024 * 1024;

/// A file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as it is shown to people, relative to the configuration directory.
    pub path: PathBuf,
    /// Its text, without a byte order mark.
    pub text: String,
}

impl Source {
    /// A source of text that is at hand.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Arc::new(Self { path: path.into(), text })
    }

    /// A source of bytes as they were read; what is not UTF-8, or too much, is a problem.
    pub fn decode(path: impl Into<PathBuf>, bytes: &[u8], problems: &mut Problems) -> Option<Arc<Self>> {
        let path = path.into();
        if bytes.len() > FILE_BYTES_MAX {
            problems.push(file_too_large(&path));
            return None;
        }
        // Without a byte order mark, every second byte of plain letters is zero.
        let utf16 = matches!(
            bytes,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=255, 0, 1..=255, ..] | [1..=255, 0, 1..=255, 0, ..]
        );
        if utf16 {
            let at = Span::new(&Self::new(path, ""), 0..0);
            problems.error(at, "the file is UTF-16").help = Some("save it as UTF-8".to_owned());
            return None;
        }
        // The mark goes before the bytes are checked, so that columns of the first line count from the text.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(Arc::new(Self { path, text: text.to_owned() })),
            Err(error) => {
                let start = error.valid_up_to();
                let byte = bytes.get(start).copied().unwrap_or_default();
                let source = Arc::new(Self { path, text: String::from_utf8_lossy(bytes).into_owned() });
                let end = start + '\u{fffd}'.len_utf8();
                problems.error(Span::new(&source, start..end), format!("the byte 0x{byte:02x} is not UTF-8")).help =
                    Some("save the file as UTF-8".to_owned());
                None
            }
        }
    }

    /// The line (from 1) and the column (from 1, in characters) of a byte offset.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let offset = self.fit(offset..offset).start;
        let before = &self.text[..offset];
        let start = before.rfind(['\n', '\r']).map_or(0, |at| at + 1);
        let breaks = before.bytes().filter(|byte| *byte == b'\n').count()
            + before
                .bytes()
                .enumerate()
                .filter(|(at, byte)| *byte == b'\r' && self.text.as_bytes().get(at + 1) != Some(&b'\n'))
                .count();
        (breaks + 1, self.text[start..offset].chars().count() + 1)
    }

    /// A range that lies within the text and between characters, whatever was asked for.
    pub fn fit(&self, bytes: Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(bytes.start.min(self.text.len()));
        let end = self.text.ceil_char_boundary(bytes.end.min(self.text.len()));
        start..end.max(start)
    }

    /// The line around a byte offset, without its line break.
    pub fn line_at(&self, offset: usize) -> Range<usize> {
        let offset = self.fit(offset..offset).start;
        let start = self.text[..offset].rfind(['\n', '\r']).map_or(0, |at| at + 1);
        let end = self.text[offset..].find(['\n', '\r']).map_or(self.text.len(), |at| offset + at);
        start..end
    }

    /// The line that follows a line.
    pub fn line_after(&self, line: &Range<usize>) -> Range<usize> {
        let rest = &self.text[line.end..];
        let pause = if rest.starts_with("\r\n") { 2 } else { usize::from(!rest.is_empty()) };
        self.line_at(line.end + pause)
    }
}

/// A place in a file.
#[derive(Clone)]
pub struct Span {
    /// The file.
    pub source: Arc<Source>,
    /// The bytes of its text.
    pub bytes: Range<usize>,
}

impl Span {
    /// A place in a file; a range beyond the text is fitted to it.
    pub fn new(source: &Arc<Source>, bytes: Range<usize>) -> Self {
        let bytes = source.fit(bytes);
        Self { source: Arc::clone(source), bytes }
    }

    /// The line (from 1) and the column (from 1, in characters) where it begins.
    pub fn line_column(&self) -> (usize, usize) {
        self.source.line_column(self.bytes.start)
    }

    /// What is written there.
    pub fn text(&self) -> &str {
        &self.source.text[self.source.fit(self.bytes.clone())]
    }

    /// A part of this place, in bytes from its beginning: an error inside a text has a place of its own.
    ///
    /// Only right where text and source agree byte for byte, which `Scalar::plain` without line breaks promises.
    #[must_use]
    pub fn part(&self, bytes: Range<usize>) -> Self {
        let start = self.bytes.start;
        let end = start.saturating_add(bytes.end).min(self.bytes.end);
        Self::new(&self.source, start.saturating_add(bytes.start).min(end)..end)
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.source.path == other.source.path
    }
}

impl Eq for Span {}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}..{}]", self.source.path.display(), self.bytes.start, self.bytes.end)
    }
}

pub(crate) fn file_too_large(path: &Path) -> Problem {
    let limit = FILE_BYTES_MAX / 1024 / 1024;
    Problem::error(Span::new(&Source::new(path, ""), 0..0), format!("the file is larger than {limit} MiB"))
}
