//! What every command ends with: an exit code, or the reason why there is no answer.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use crate::domain::text::is_hidden;

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 0: all is well.
    Well,
    /// 1: something that was asked about is not.
    Unwell,
    /// 2: the command line or the configuration is wrong.
    Usage,
    /// 3: our own fault.
    Fault,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        Self::from(match answer {
            Answer::Well => 0,
            Answer::Unwell => 1,
            Answer::Usage => 2,
            Answer::Fault => 3,
        })
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The command line or the configuration is wrong.
    #[error("{0}")]
    Usage(String),
    /// What was asked about is not as it would have to be.
    #[error("{0}")]
    Unwell(String),
    /// Our own fault: the machine did not give what we need.
    #[error("{0}")]
    Fault(String),
    /// Standard output took no more.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl Stop {
    /// Says it on standard error, and gives the exit code.
    pub fn tell(&self) -> Answer {
        say(&format!("error: {self}"));
        match self {
            Self::Usage(_) => Answer::Usage,
            Self::Unwell(_) => Answer::Unwell,
            Self::Fault(_) | Self::Output(_) => Answer::Fault,
        }
    }
}

/// A document on one line, as programs read it.
pub fn json(body: &impl Serialize) -> Result<String, Stop> {
    serde_json::to_string(body).map(escaped).map_err(|error| Stop::Fault(error.to_string()))
}

/// The same on many lines.
pub fn indented(body: &Value) -> String {
    escaped(format!("{body:#}"))
}

/// JSON in which what steers a terminal is escaped, which is the same text to whoever reads JSON (RFC 8259, section 7): people
/// look at it too. Its own lines end where no string is.
fn escaped(json: String) -> String {
    let steers = |c: char| c != '\n' && is_hidden(c);
    if !json.chars().any(steers) {
        return json;
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) {
            // Writing to a String cannot fail.
            let _ = c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(text, "\\u{unit:04x}"));
        } else {
            text.push(c);
        }
    }
    text
}

/// Standard output. A reader who has left, such as `head`, is no error and changes no answer: what a command found is so,
/// whoever heard of it.
#[derive(Default)]
pub struct Output {
    has_left: bool,
}

impl Output {
    /// Writes a line, or several; colours go where there is no terminal.
    pub fn line(&mut self, text: impl std::fmt::Display) -> io::Result<()> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Writes over what was written before, from the top of the terminal on. Only for a terminal.
    pub fn over(&mut self, lines: &[String]) -> io::Result<()> {
        // These say where to write and colour nothing, so they go out also where nobody wants colours.
        let mut out = io::stdout();
        out.write_all(b"\x1b[H")?;
        for line in lines {
            self.bytes(line.as_bytes())?;
            out.write_all(b"\x1b[K\n")?;
        }
        out.write_all(b"\x1b[J").and_then(|()| out.flush())
    }

    /// Whether whoever reads is still there.
    pub fn is_read(&self) -> bool {
        !self.has_left
    }

    /// Writes a document as it is.
    pub fn bytes(&mut self, document: &[u8]) -> io::Result<()> {
        if self.has_left {
            return Ok(());
        }
        let mut out = anstream::stdout().lock();
        match out.write_all(document).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.has_left = true;
                Ok(())
            }
            result => result,
        }
    }
}

/// Writes a line for people to standard error; when nobody can read it there is nobody to tell that either.
pub fn say(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_steers_no_terminal_and_says_the_same() {
        let body = serde_json::json!({ "a": "\u{9b}2J\u{2028}\u{7f}\u{e0041}ü\n", "b\u{202e}": 1 });
        for text in [json(&body).unwrap(), indented(&body)] {
            assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)), "{text:?}");
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), body);
        }
        assert_eq!(json(&serde_json::json!(["\u{9b}\u{e0041}ü"])).unwrap(), r#"["\u009b\udb40\udc41ü"]"#);
    }
}
