//! How a connection that begins in the clear is asked to go over to TLS.

use schemars::JsonSchema;
use serde::Deserialize;

use super::connection::{Connection, invalid, quoted};
use crate::domain::outcome::{Failure, FailureKind};
use crate::net::stopwatch::{Part, Stopwatch};

/// A protocol in which a connection begins in the clear and goes over to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartTls {
    /// Mail, RFC 3207.
    Smtp,
    /// Mailboxes, RFC 9051, section 6.2.1.
    Imap,
    /// PostgreSQL's `SSLRequest`.
    Postgres,
}

impl StartTls {
    /// Asks, and gives what the server said by itself before, where it does. The handshake is the caller's.
    pub async fn ask(self, connection: &mut Connection, watch: &Stopwatch<'_>) -> Result<Option<String>, Failure> {
        let asking = async {
            match self {
                Self::Smtp => smtp(connection).await.map(Some),
                Self::Imap => imap(connection).await.map(Some),
                Self::Postgres if offers_postgres(connection).await? => Ok(None),
                Self::Postgres => Err(not_offered("the server speaks no TLS")),
            }
        };
        watch.bound(|| Part::Tls, asking).await
    }
}

fn not_offered(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::TlsNotOffered, message)
}

async fn smtp(connection: &mut Connection) -> Result<String, Failure> {
    let banner = smtp_reply(connection).await?;
    if !banner.is(b"220") {
        return Err(banner.refused("the connection"));
    }
    connection.say(b"EHLO roundsman\r\n").await?;
    let abilities = smtp_reply(connection).await?;
    if !abilities.is(b"250") {
        return Err(abilities.refused("the greeting"));
    }
    if !abilities.lines.iter().any(|line| line.get(4..).is_some_and(|word| word.eq_ignore_ascii_case(b"STARTTLS"))) {
        return Err(not_offered("STARTTLS is not among what the server says it can"));
    }
    connection.say(b"STARTTLS\r\n").await?;
    let agreed = smtp_reply(connection).await?;
    if !agreed.is(b"220") {
        return Err(not_offered(format!("the server refused STARTTLS: {}", agreed.last())));
    }
    Ok(String::from_utf8_lossy(banner.lines.first().map_or(b"", |line| line.as_ref())).into_owned())
}

/// An answer of SMTP: lines with the same code, of which the last has a space behind it.
struct SmtpReply {
    lines: Vec<bytes::Bytes>,
}

impl SmtpReply {
    fn is(&self, code: &[u8]) -> bool {
        self.lines.last().is_some_and(|line| line.starts_with(code))
    }

    fn last(&self) -> String {
        quoted(self.lines.last().map_or(b"", |line| line.as_ref()))
    }

    fn refused(&self, what: &str) -> Failure {
        Failure::new(FailureKind::AnswerRefused, format!("the server refused {what}: {}", self.last()))
    }
}

async fn smtp_reply(connection: &mut Connection) -> Result<SmtpReply, Failure> {
    let mut lines = Vec::new();
    loop {
        let line = connection.line().await?;
        let has_code = line.get(..3).is_some_and(|code| code.iter().all(u8::is_ascii_digit));
        let goes_on = match line.get(3) {
            Some(b'-') if has_code => true,
            Some(b' ') | None if has_code => false,
            _ => return Err(invalid(format!("what came is not SMTP: {}", quoted(&line)))),
        };
        lines.push(line);
        if !goes_on {
            return Ok(SmtpReply { lines });
        }
    }
}

async fn imap(connection: &mut Connection) -> Result<String, Failure> {
    let banner = connection.line().await?;
    if banner.starts_with(b"* BYE") {
        let message = format!("the server refused the connection: {}", quoted(&banner));
        return Err(Failure::new(FailureKind::AnswerRefused, message));
    }
    if !(banner.starts_with(b"* OK") || banner.starts_with(b"* PREAUTH")) {
        return Err(invalid(format!("what came is not IMAP: {}", quoted(&banner))));
    }
    connection.say(b"a STARTTLS\r\n").await?;
    loop {
        let line = connection.line().await?;
        match line.get(..4) {
            // What is not tagged is told besides.
            Some([b'*', b' ', ..]) => {}
            Some(b"a OK") => return Ok(String::from_utf8_lossy(&banner).into_owned()),
            Some(b"a NO" | b"a BA") => {
                return Err(not_offered(format!("the server refused STARTTLS: {}", quoted(&line))));
            }
            _ => return Err(invalid(format!("what came is not IMAP: {}", quoted(&line)))),
        }
    }
}

/// Asks PostgreSQL for TLS, and gives whether it agreed ("Message Formats", `SSLRequest`).
pub async fn offers_postgres(connection: &mut Connection) -> Result<bool, Failure> {
    connection.say(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).await?;
    let answer = connection.exactly(1).await?;
    match (answer.as_ref(), connection.waiting()) {
        (b"S", b"") => Ok(true),
        (b"N", b"") => Ok(false),
        // The answer is one byte: what follows it in the clear is of another protocol, or of somebody between us and the
        // server (CVE-2021-23222).
        (first, rest) => {
            let all = quoted(&[first, rest].concat());
            Err(invalid(format!("the server answered {all} to the question for TLS")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::ports::Clock as _;
    use std::time::Duration;

    async fn ask(protocol: StartTls, said: &str) -> Result<Option<String>, String> {
        let clock = SystemClock::start();
        let watch = Stopwatch::start(&clock, clock.monotonic() + Duration::from_secs(5));
        let mut connection = Connection::saying(said.as_bytes(), 64 * 1024);
        protocol.ask(&mut connection, &watch).await.map_err(|failure| failure.to_string())
    }

    #[tokio::test]
    async fn who_agrees_has_said_its_banner() {
        let smtp = "220 mail.example ESMTP\r\n250-mail.example\r\n250-size 1\r\n250 StartTLS\r\n220 go\r\n";
        assert_eq!(ask(StartTls::Smtp, smtp).await, Ok(Some("220 mail.example ESMTP".to_owned())));
        let imap = "* OK ready\r\n* CAPABILITY IMAP4rev1\r\na OK begin\r\n";
        assert_eq!(ask(StartTls::Imap, imap).await, Ok(Some("* OK ready".to_owned())));
        assert_eq!(ask(StartTls::Postgres, "S").await, Ok(None));
    }

    #[tokio::test]
    async fn who_does_not_agree_is_told_in_its_own_words() {
        for (protocol, said, told) in [
            (StartTls::Smtp, "554 no\r\n", "answer.refused: the server refused the connection: `554 no`"),
            (StartTls::Smtp, "220 a\r\n500 what\r\n", "answer.refused: the server refused the greeting: `500 what`"),
            (
                StartTls::Smtp,
                "220 a\r\n250-a\r\n250 SIZE\r\n",
                "tls.not_offered: STARTTLS is not among what the server says it can",
            ),
            (
                StartTls::Smtp,
                "220 a\r\n250 STARTTLS\r\n454 later\r\n",
                "tls.not_offered: the server refused STARTTLS: `454 later`",
            ),
            (StartTls::Smtp, "SSH-2.0-x\r\n", "protocol.invalid: what came is not SMTP: `SSH-2.0-x`"),
            (StartTls::Imap, "* BYE full\r\n", "answer.refused: the server refused the connection: `* BYE full`"),
            (StartTls::Imap, "* OK\r\na NO never\r\n", "tls.not_offered: the server refused STARTTLS: `a NO never`"),
            (StartTls::Imap, "220 a\r\n", "protocol.invalid: what came is not IMAP: `220 a`"),
            (StartTls::Imap, "* OK\r\nb OK\r\n", "protocol.invalid: what came is not IMAP: `b OK`"),
            (StartTls::Postgres, "N", "tls.not_offered: the server speaks no TLS"),
            (StartTls::Postgres, "E", "protocol.invalid: the server answered `E` to the question for TLS"),
            (
                StartTls::Postgres,
                "SSH-2.0-x",
                "protocol.invalid: the server answered `SSH-2.0-x` to the question for TLS",
            ),
            (StartTls::Postgres, "NO", "protocol.invalid: the server answered `NO` to the question for TLS"),
        ] {
            assert_eq!(ask(protocol, said).await, Err(told.to_owned()), "{said:?}");
        }
    }
}
