//! Kind `redis`: does the cache answer, and what? Speaks RESP, so Valkey, KeyDB and Sentinel answer too.
//!
//! A reply is an observation; an error reply is a failure told in the server's words. [`reply`] reads what comes.

mod reply;

use std::fmt::Write as _;
use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use self::reply::{Reply, read_reply};
use super::connection::{Connection, Said};
use super::names::{CONNECTING, FIRST_BYTE_MS, TLS_MS, TRANSFER_MS};
use super::place::{Place, Target};
use super::securing::{Asked, Securing, YesNoOrTrust};
use super::tls::TLS_NAMES;
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::template::Template;
use crate::domain::text::shell_word;
use crate::net::excerpt::excerpt;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::{Part, Stopwatch};
use crate::ports::{Building, BuiltProber, Implied, Kind, Prober, StepContext};
use crate::settings::{Node, OneOrMany, Problem, Problems, Spanned, read};

/// The port of Redis.
const PORT: u16 = 6379;
/// At most so many bytes are heard.
const BYTES_MAX: usize = 1024 * 1024;

/// Commands that are not followed by one reply, which is all that is read.
const WITHOUT_ONE_REPLY: &[&str] = &["MONITOR", "PSUBSCRIBE", "PSYNC", "SSUBSCRIBE", "SUBSCRIBE", "SYNC"];

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "redis",
    about: "sends a command to Redis or what speaks its protocol",
    main: "address",
    schema: RedisSettings::json_schema,
    names: || {
        let names = Names::new().with_all(CONNECTING).with(TLS_MS).with(FIRST_BYTE_MS).with(TRANSFER_MS);
        names.with_all(TLS_NAMES).with(REPLY)
    },
    build,
};

const REPLY: Name =
    Name::known("reply", Shape::Any, "what was replied: a text, a number, a list, an object, `null`, true or false");

/// A command to a Redis server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RedisSettings {
    /// Where to: `host:port`, with an IPv6 address in brackets.
    #[schemars(with = "Template")]
    address: Spanned<Template>,
    /// The command as a list of its words, numbers in quotes: `[LLEN, orders]`, `[GET, "probe-{{run.id}}"]`. A captured
    /// value stays one word, whatever is in it. It may be any command, also one that writes. Default: `PING`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Template>>")]
    command: OneOrMany<Spanned<Template>>,
    /// The user that `AUTH` names, for servers with access lists; a user needs a password. Default: the server's own.
    #[schemars(with = "Option<Template>")]
    user: Option<Spanned<Template>>,
    /// The password that `AUTH` says: write `"${secret:name}"`. Default: none.
    password: Option<Template>,
    /// The number that `SELECT` says before the command. Default: 0.
    database: Option<u32>,
    /// Whether TLS is spoken: `true`, or whom to trust: `{ ca: "${file:ca.pem}", server_name: cache.example.com }`.
    /// Default: `false`.
    #[schemars(with = "Option<YesNoOrTrust>")]
    tls: Option<Node>,
}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: RedisSettings = read(node, problems)?;
    let known = problems.len();
    let target = Target::read_with(&settings.address, PORT, problems);
    check(&settings.command, problems);
    if let (Some(user), None) = (&settings.user, &settings.password) {
        let problem = Problem::error(user.span.clone(), "a user without a password proves nothing");
        problems.push(problem.with_help("write `password: \"${secret:name}\"` beside it"));
    }
    let asked = settings.tls.as_ref().and_then(|node| Asked::read(node, false, problems));
    if problems.len() > known {
        return None;
    }
    let command = match settings.command.0 {
        words if words.is_empty() => vec![Template::literal("PING")],
        words => words.into_iter().map(|word| word.value).collect(),
    };
    let is_ping = matches!(&command[..], [word] if is_word(word, "PING"));
    let prober = RedisProber {
        target: target?,
        command,
        user: settings.user.map(|user| user.value),
        password: settings.password,
        database: settings.database,
        securing: match asked {
            Some(Asked::Require(securing) | Asked::Prefer(securing)) => Some(securing),
            Some(Asked::Off) | None => None,
        },
        resolver: Resolver::system(),
    };
    let answered = Implied { unless_mentioned: "reply", expect: "reply == \"PONG\"" };
    Some(BuiltProber { prober: Arc::new(prober), implied: if is_ping { vec![answered] } else { Vec::new() } })
}

fn is_word(template: &Template, word: &str) -> bool {
    template.as_literal().is_some_and(|text| text.eq_ignore_ascii_case(word))
}

/// What can be known to be wrong with a command.
fn check(command: &[Spanned<Template>], problems: &mut Problems) {
    let Some(first) = command.first() else { return };
    let Some(name) = first.value.as_literal() else { return };
    let fail = |message: String, help: String| Problem::error(first.span.clone(), message).with_help(help);
    if name.trim().is_empty() {
        problems.push(fail("the command has no name".to_owned(), "write a list like `[GET, some-key]`".to_owned()));
    } else if name.contains(char::is_whitespace) {
        let words = name.split_whitespace().collect::<Vec<_>>().join(", ");
        // Whoever writes a command in one text may have written a password into it.
        let hidden = name.to_ascii_uppercase().trim_start().starts_with("AUTH");
        let help = if hidden {
            "write `password: \"${secret:name}\"`".to_owned()
        } else {
            format!("write `command: [{words}]`")
        };
        problems.push(Problem { hidden, ..fail("a command is a list of its words".to_owned(), help) });
    } else if is_word(&first.value, "AUTH") {
        // It is the last word that must not be shown again.
        let password = command.last().unwrap_or(first).span.clone();
        let problem = Problem::error(password, "who asks is said by `user` and `password`, not by a command");
        problems.push(Problem { hidden: true, ..problem.with_help("write `password: \"${secret:name}\"`") });
    } else if WITHOUT_ONE_REPLY.iter().any(|command| is_word(&first.value, command)) {
        let message = format!("`{name}` is not followed by one reply, which is all that is read");
        problems.push(fail(message, "probe what it leads to by another command, e.g. `[PUBSUB, CHANNELS]`".to_owned()));
    }
}

struct RedisProber {
    target: Target,
    command: Vec<Template>,
    user: Option<Template>,
    password: Option<Template>,
    database: Option<u32>,
    securing: Option<Securing>,
    resolver: Resolver,
}

/// What is said in this run.
struct Script {
    /// What proves who asks: a password, or a user and a password.
    credentials: Vec<String>,
    command: Vec<String>,
}

impl Prober for RedisProber {
    fn host(&self) -> Option<String> {
        self.target.host()
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let place = self.target.place(cx).await?;
            let script = self.script(cx).await?;
            let mut watch = Stopwatch::start(cx.clock, cx.deadline);
            let opened = Connection::open(&place, &self.resolver, BYTES_MAX, &mut watch).await;
            let mut connection = opened.map_err(|failure| failure.after(watch.phases()))?;
            let reply = self.talk(&mut connection, &place, &script, &mut watch).await;
            connection.record(self.said(&place, &script), &watch, cx);
            let reply = reply.map_err(|failure| connection.failed(failure, &watch))?;
            let mut observation = connection.observation(cx.clock.now());
            observation.facts.insert("reply", reply);
            observation.phases = watch.phases();
            Ok(observation)
        })
    }
}

impl RedisProber {
    async fn script(&self, cx: &StepContext<'_>) -> Result<Script, Failure> {
        let as_it_is = |value: &str| Some(value.to_owned());
        let mut script = Script { credentials: Vec::new(), command: Vec::new() };
        for word in self.user.iter().chain(&self.password) {
            script.credentials.push(cx.fill(word, as_it_is).await?);
        }
        for word in &self.command {
            script.command.push(cx.fill(word, as_it_is).await?);
        }
        Ok(script)
    }

    async fn talk(
        &self,
        connection: &mut Connection,
        place: &Place,
        script: &Script,
        watch: &mut Stopwatch<'_>,
    ) -> Result<Value, Failure> {
        if let Some(securing) = &self.securing {
            connection.secure(securing, &place.host, watch).await?;
        }
        if !script.credentials.is_empty() {
            let words = [&["AUTH".to_owned()], &script.credentials[..]].concat();
            if let Reply::Error(error) = exchange(connection, &words, watch).await? {
                // Whatever it says: who asks was not accepted.
                return Err(refused(FailureKind::AuthRefused, &error));
            }
        }
        if let Some(database) = self.database {
            value(exchange(connection, &["SELECT".to_owned(), database.to_string()], watch).await?)?;
        }
        connection.begin();
        connection.ask(&encoded(&script.command), watch).await?;
        value(watch.time(Part::Transfer, read_reply(connection)).await?)
    }

    fn said(&self, place: &Place, script: &Script) -> Said {
        let words = script.command.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
        let mut command = format!("redis-cli -h {} -p {}", shell_word(&place.host), place.port);
        // Writing to a String cannot fail.
        let _ = match (&self.user, &script.credentials[..]) {
            (Some(_), [user, _]) => write!(command, " --user {} --askpass", shell_word(user)),
            (None, [_]) => write!(command, " --askpass"),
            _ => Ok(()),
        };
        if let Some(database) = self.database {
            let _ = write!(command, " -n {database}");
        }
        if self.securing.is_some() {
            command.push_str(" --tls");
        }
        Said { command: Some(format!("{command} {words}")), words, answer: None }
    }
}

/// Says a command that is not what is measured, and hears its reply.
async fn exchange(connection: &mut Connection, words: &[String], watch: &Stopwatch<'_>) -> Result<Reply, Failure> {
    let exchanged = async {
        connection.say(&encoded(words)).await?;
        read_reply(connection).await
    };
    watch.bound(|| Part::FirstByte, exchanged).await
}

/// A command as it goes over the wire: every word with its length, so that no word can become two.
fn encoded(words: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn value(reply: Reply) -> Result<Value, Failure> {
    match reply {
        Reply::Value(value) => Ok(value),
        Reply::Error(error) => {
            let code = error.split(' ').next().unwrap_or_default();
            let is_about_us = matches!(code, "NOAUTH" | "WRONGPASS" | "NOPERM");
            let kind = if is_about_us { FailureKind::AuthRefused } else { FailureKind::AnswerRefused };
            Err(refused(kind, &error))
        }
    }
}

fn refused(kind: FailureKind, error: &str) -> Failure {
    Failure::new(kind, format!("the server replied `{}`", excerpt(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probers::testing;

    fn build(yaml: &str) -> Result<BuiltProber, String> {
        testing::build(&KIND, yaml, false)
    }

    #[test]
    fn a_ping_is_expected_to_be_answered() {
        for (yaml, implied) in [
            ("{ address: \"a:6379\" }", 1),
            ("{ address: \"a:6379\", command: ping }", 1),
            ("{ address: \"a:6379\", command: [PING, hello] }", 0),
            ("{ address: \"a:6379\", command: [GET, \"{{key}}\"] }", 0),
        ] {
            let built = build(yaml).unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(built.implied.len(), implied, "{yaml}");
        }
    }

    #[test]
    fn mistakes_are_told_in_one_pass() {
        let told = build("{ address: a, command: GET x, user: u, tls: yes please }").err().unwrap();
        for words in ["`a` has no port", "write `command: [GET, x]`", "a user without a password", "`tls` is `true`"] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }

    #[test]
    fn a_password_in_a_command_is_not_shown_again() {
        for command in ["AUTH opensesame", "[AUTH, opensesame]"] {
            let told = build(&format!("{{ address: \"a:1\", command: {command} }}")).err().unwrap();
            assert!(!told.contains("opensesame") && told.contains("write `password"), "{told}");
        }
    }

    #[test]
    fn no_word_becomes_two() {
        let words = ["SET".to_owned(), "a\r\nDEL b".to_owned()];
        assert_eq!(encoded(&words), b"*2\r\n$3\r\nSET\r\n$8\r\na\r\nDEL b\r\n");
    }
}
