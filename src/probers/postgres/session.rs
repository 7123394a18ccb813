//! A conversation with a PostgreSQL server ("Message Flow" of its documentation): who asks proves itself, then there is one
//! statement in a read-only transaction.

use std::io;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend::{self, BindError};

use super::messages::{Body, Message, refusal};
use super::rows::{Collector, ROWS_MAX, Rows, too_many};
use crate::domain::outcome::{Failure, FailureKind};
use crate::net::stopwatch::{Part, Stopwatch};
use crate::probers::connection::{Connection, invalid};

/// The server ends the statement by itself so long after we have stopped waiting.
const STATEMENT_OVERTIME: Duration = Duration::from_millis(100);
/// The format of values: text.
const TEXT: i16 = 0;

/// Who asks.
pub struct Login {
    /// The user.
    pub user: String,
    /// What proves it.
    pub password: Option<String>,
    /// Where.
    pub database: Option<String>,
}

/// A conversation.
pub struct Session<'c> {
    connection: &'c mut Connection,
    server_version: Option<String>,
}

impl<'c> Session<'c> {
    /// Begins over a connection, on which nothing was said but what leads to TLS.
    pub fn over(connection: &'c mut Connection) -> Self {
        Self { connection, server_version: None }
    }

    /// What the server says it is.
    pub fn server_version(self) -> Option<String> {
        self.server_version
    }

    /// Says who asks, and proves it. A password goes in the clear only where that may be.
    pub async fn start(&mut self, login: &Login, may_tell_password: bool) -> Result<(), Failure> {
        let mut parameters =
            vec![("user", login.user.as_str()), ("application_name", "roundsman"), ("client_encoding", "UTF8")];
        parameters.extend(login.database.as_deref().map(|database| ("database", database)));
        self.say(|buffer| frontend::startup_message(parameters, buffer)).await?;
        let mut scram = None;
        loop {
            let mut message = Message::next(self.connection).await?;
            match message.tag {
                b'R' => self.prove(login, may_tell_password, message.body, &mut scram).await?,
                b'S' => {
                    if message.body.text()? == "server_version" {
                        self.server_version = Some(message.body.text()?);
                    }
                }
                b'K' | b'v' => {}
                b'Z' => return Ok(()),
                b'E' => return Err(refusal(message.body, "the connection")),
                tag => return Err(out_of_turn(tag)),
            }
        }
    }

    /// Answers one question of the authentication; `scram` is the proof that is under way.
    async fn prove(
        &mut self,
        login: &Login,
        may_tell_password: bool,
        mut question: Body,
        scram: &mut Option<ScramSha256>,
    ) -> Result<(), Failure> {
        let password = || {
            let why = "the server asks for a password, and none is configured";
            login.password.as_deref().ok_or_else(|| Failure::new(FailureKind::AuthRefused, why))
        };
        let under_way = "the server answers a proof that was not begun";
        match question.long()? {
            // Who did not prove in turn that it knows the password is not whom we meant to ask.
            0 if scram.is_some() => Err(invalid("the server does not prove that it knows the password")),
            0 => Ok(()),
            3 if !may_tell_password => {
                let why = "the server asks for the password in the clear, and speaks no TLS";
                Err(Failure::new(FailureKind::TlsNotOffered, why))
            }
            3 => {
                let password = password()?;
                self.say(|buffer| frontend::password_message(password.as_bytes(), buffer)).await
            }
            5 => {
                let password = password()?;
                let salt = question.long()?.to_be_bytes();
                let hash = md5_hash(login.user.as_bytes(), password.as_bytes(), salt);
                self.say(|buffer| frontend::password_message(hash.as_bytes(), buffer)).await
            }
            10 => {
                let offered = question.rest();
                if !offered.split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) {
                    return Err(unknown_proof());
                }
                let proof = ScramSha256::new(password()?.as_bytes(), ChannelBinding::unsupported());
                self.say(|buffer| frontend::sasl_initial_response(SCRAM_SHA_256, proof.message(), buffer)).await?;
                *scram = Some(proof);
                Ok(())
            }
            11 => {
                let mut proof = scram.take().ok_or_else(|| invalid(under_way))?;
                proof.update(&question.rest()).map_err(|error| broken_proof(&error))?;
                self.say(|buffer| frontend::sasl_response(proof.message(), buffer)).await?;
                *scram = Some(proof);
                Ok(())
            }
            12 => {
                let mut proof = scram.take().ok_or_else(|| invalid(under_way))?;
                proof.finish(&question.rest()).map_err(|error| broken_proof(&error))
            }
            _ => Err(unknown_proof()),
        }
    }

    /// Begins the transaction. It is begun by a statement and not by a parameter of the session, which poolers refuse.
    pub async fn begin(&mut self, time_left: Duration) -> Result<(), Failure> {
        let limit_ms = (time_left + STATEMENT_OVERTIME).as_millis().min(86_400_000);
        self.command(&format!("begin read only; set local statement_timeout = {limit_ms}"), "a read-only transaction")
            .await
    }

    /// Asks the question, and hears all of the answer.
    pub async fn query(
        &mut self,
        query: &str,
        parameters: &[String],
        watch: &mut Stopwatch<'_>,
    ) -> Result<Rows, Failure> {
        let question = written(|buffer| {
            // The extended protocol takes exactly one statement, so none can end the transaction before another.
            frontend::parse("", query, [], buffer)?;
            let text = |value: &String, buffer: &mut BytesMut| {
                buffer.put_slice(value.as_bytes());
                Ok(IsNull::No)
            };
            frontend::bind("", "", [TEXT], parameters, text, [TEXT], buffer).map_err(|error| match error {
                BindError::Conversion(error) => io::Error::other(error),
                BindError::Serialization(error) => error,
            })?;
            frontend::describe(b'P', "", buffer)?;
            // One row more than is kept tells that there are more.
            frontend::execute("", i32::try_from(ROWS_MAX + 1).unwrap_or(i32::MAX), buffer)?;
            frontend::sync(buffer);
            Ok(())
        })?;
        self.connection.begin();
        self.connection.ask(&question, watch).await?;
        watch.time(Part::Transfer, self.rows()).await
    }

    async fn rows(&mut self) -> Result<Rows, Failure> {
        let mut collector = Collector::default();
        let mut refused = None;
        loop {
            let message = Message::next(self.connection).await?;
            match message.tag {
                b'T' => collector.describe(message.body)?,
                b'D' => collector.add(message.body)?,
                b's' => return Err(too_many()),
                b'E' => refused = Some(refusal(message.body, "the query")),
                // Parsed, bound, no columns, complete, empty, a changed parameter.
                b'1' | b'2' | b'n' | b'C' | b'I' | b'S' => {}
                b'Z' => return refused.map_or_else(|| Ok(collector.rows()), Err),
                b'G' | b'H' | b'W' => {
                    return Err(Failure::new(FailureKind::AnswerRefused, "the query copies, and only rows are read"));
                }
                tag => return Err(out_of_turn(tag)),
            }
        }
    }

    /// Rolls back and says farewell. A pooler gives the server's connection to others only after it has heard both.
    pub async fn end(&mut self) -> Result<(), Failure> {
        self.command("rollback", "the rollback").await?;
        self.connection.say(&[b'X', 0, 0, 0, 4]).await
    }

    /// A statement of our own, which gives no rows.
    async fn command(&mut self, statement: &str, what: &str) -> Result<(), Failure> {
        self.say(|buffer| frontend::query(statement, buffer)).await?;
        let mut refused = None;
        loop {
            let message = Message::next(self.connection).await?;
            match message.tag {
                b'C' | b'S' => {}
                b'E' => refused = Some(refusal(message.body, what)),
                b'Z' => return refused.map_or(Ok(()), Err),
                tag => return Err(out_of_turn(tag)),
            }
        }
    }

    async fn say(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), Failure> {
        let words = written(write)?;
        self.connection.say(&words).await
    }
}

/// A message as bytes. What cannot be written was filled in by a run: a NUL within a text.
fn written(write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<BytesMut, Failure> {
    let mut buffer = BytesMut::new();
    write(&mut buffer).map_err(|error| Failure::new(FailureKind::Capture, format!("it cannot be sent: {error}")))?;
    Ok(buffer)
}

fn out_of_turn(tag: u8) -> Failure {
    invalid(format!("the server says `{}` out of turn", char::from(tag)))
}

fn unknown_proof() -> Failure {
    let why = "the server asks for a proof that is not known here: SCRAM-SHA-256, MD5 and a password are";
    Failure::new(FailureKind::AuthRefused, why)
}

fn broken_proof(error: &io::Error) -> Failure {
    invalid(format!("the server's part of the proof is wrong: {error}"))
}
