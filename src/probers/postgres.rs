//! Kind `postgres`: does the database answer a question, and what?
//!
//! The client is our own, over a bounded connection: values come as the text that the server writes, whatever their type,
//! no catalog is asked behind the query's back, and nothing outlives the step. [`session`] speaks, [`messages`] are what it
//! hears, [`rows`] what comes of them.
//!
//! Nothing is written: there is one statement, in a transaction that is read-only and rolled back.

mod messages;
mod rows;
mod session;

use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, select};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use self::rows::Rows;
use self::session::{Login, Session};
use super::connection::{Connection, Said};
use super::names::{CONNECTING, FIRST_BYTE_MS, TLS_MS, TRANSFER_MS};
use super::place::{Place, Target};
use super::securing::{Asked, PreferOrTrust, Securing};
use super::starttls::{StartTls, offers_postgres};
use super::tls::TLS_NAMES;
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::outcome::{Failure, FailureKind, Observation, Phases};
use crate::domain::template::Template;
use crate::domain::text::shell_word;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::{Part, Stopwatch};
use crate::ports::{Building, BuiltProber, Kind, Prober, StepContext};
use crate::settings::{Node, Problems, Spanned, read};

/// The port of PostgreSQL.
const PORT: u16 = 5432;
/// How long the farewell to the server may take.
const FAREWELL: Duration = Duration::from_millis(200);
/// At most so many bytes are heard, the rows and all that is said around them.
const BYTES_MAX: usize = 256 * 1024;
/// A query may be this long, in bytes.
const QUERY_BYTES_MAX: usize = 64 * 1024;
/// A query may have so many parameters.
const PARAMETERS_MAX: usize = 100;

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "postgres",
    about: "asks a PostgreSQL database a question, read-only",
    main: "address",
    schema: PostgresSettings::json_schema,
    names: || {
        let names = Names::new().with_all(CONNECTING).with(TLS_MS).with(FIRST_BYTE_MS).with(TRANSFER_MS);
        names.with_all(TLS_NAMES).with_all(NAMES)
    },
    build,
};

const NAMES: &[Name] = &[
    Name::known("rows", Shape::List(&Shape::Map(&Shape::Any)), "what the query gave: for each row its columns by name"),
    Name::known("row_count", Shape::Number, "how many rows there are"),
    Name::known("server_version", Shape::Text, "what the server says it is, e.g. `15.4`"),
];

/// A question to a PostgreSQL database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PostgresSettings {
    /// Where to: `host:port`, with an IPv6 address in brackets.
    #[schemars(with = "Template")]
    address: Spanned<Template>,
    /// The user. Default: `postgres`.
    user: Option<Template>,
    /// The password: write `"${secret:name}"`. SCRAM-SHA-256, MD5 and a password in the clear are known. Default: none.
    password: Option<Template>,
    /// The database. Default: named like the user.
    database: Option<Template>,
    /// One statement, which only reads. What a run fills in cannot stand in it: write `$1`, `$2`, … Default: `select 1`.
    #[schemars(with = "Option<Template>")]
    query: Option<Spanned<Template>>,
    /// What `$1`, `$2`, … are: `["{{order}}"]`, at most 100. They go beside the query as text, never into it; the database
    /// reads each as the type that the query gives it. Default: none.
    #[schemars(with = "Option<Vec<Template>>")]
    parameters: Option<Spanned<Vec<Template>>>,
    /// Whether TLS is spoken: `true`; `false`; `prefer`, where the server offers it; or whom to trust, which means `true`:
    /// `{ ca: "${file:ca.pem}", server_name: db.example.com }`. Default: `prefer`.
    #[schemars(with = "Option<PreferOrTrust>")]
    tls: Option<Node>,
}

fn build(node: &Node, _: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: PostgresSettings = read(node, problems)?;
    let known = problems.len();
    let target = Target::read_with(&settings.address, PORT, problems);
    let query = match &settings.query {
        Some(query) => statement(query, problems),
        None => Some("select 1".to_owned()),
    };
    let asked = match &settings.tls {
        Some(node) => Asked::read(node, true, problems),
        None => Some(Asked::Prefer(Securing::default())),
    };
    if let Some(many) = settings.parameters.as_ref().filter(|parameters| parameters.value.len() > PARAMETERS_MAX) {
        problems.error(many.span.clone(), format!("a query has at most {PARAMETERS_MAX} parameters"));
    }
    if problems.len() > known {
        return None;
    }
    let prober = PostgresProber {
        target: target?,
        user: settings.user.unwrap_or_else(|| Template::literal("postgres")),
        password: settings.password,
        database: settings.database,
        query: query?,
        parameters: settings.parameters.map(|parameters| parameters.value).unwrap_or_default(),
        asked: asked?,
        resolver: Resolver::system(),
    };
    Some(BuiltProber { prober: Arc::new(prober), implied: Vec::new() })
}

/// The query, which has no holes: what a target said must not become a part of a statement.
fn statement(written: &Spanned<Template>, problems: &mut Problems) -> Option<String> {
    let at = written.span.clone();
    let Some(query) = written.value.as_literal() else {
        problems.error(at, "what is filled in when a step runs cannot stand in a query").help =
            Some("write `$1` in the query, and what it is under `parameters: [\"{{name}}\"]`".to_owned());
        return None;
    };
    if query.trim().is_empty() {
        problems.error(at, "the query is empty").help = Some("write `select 1`, or remove the key".to_owned());
    } else if query.len() > QUERY_BYTES_MAX {
        problems.error(at, format!("a query has at most {} KiB", QUERY_BYTES_MAX / 1024));
    } else if query.contains('\0') {
        problems.error(at, "a query cannot hold the character NUL");
    } else {
        return Some(query.to_owned());
    }
    None
}

struct PostgresProber {
    target: Target,
    user: Template,
    password: Option<Template>,
    database: Option<Template>,
    query: String,
    parameters: Vec<Template>,
    asked: Asked,
    resolver: Resolver,
}

/// What a run fills in.
struct Filled {
    login: Login,
    parameters: Vec<String>,
}

/// What a run saw.
struct Seen {
    rows: Rows,
    server_version: Option<String>,
    phases: Phases,
}

impl Prober for PostgresProber {
    fn host(&self) -> Option<String> {
        self.target.host()
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let place = self.target.place(cx).await?;
            let filled = self.fill(cx).await?;
            let mut watch = Stopwatch::start(cx.clock, cx.deadline);
            let opened = Connection::open(&place, &self.resolver, BYTES_MAX, &mut watch).await;
            let mut connection = opened.map_err(|failure| failure.after(watch.phases()))?;
            let seen = self.talk(&mut connection, &place, &filled, &mut watch, cx).await;
            connection.record(self.said(&place, &filled, seen.as_ref()), &watch, cx);
            let seen = seen.map_err(|failure| connection.failed(failure, &watch))?;
            let mut observation = connection.observation(cx.clock.now());
            observation.phases = seen.phases;
            let facts = &mut observation.facts;
            facts.insert("row_count", seen.rows.0.len());
            facts.insert("rows", Value::Array(seen.rows.0));
            if let Some(version) = seen.server_version {
                facts.insert("server_version", version);
            }
            Ok(observation)
        })
    }
}

impl PostgresProber {
    async fn fill(&self, cx: &StepContext<'_>) -> Result<Filled, Failure> {
        // A NUL ends a text in this protocol.
        let fit = |value: &str| (!value.contains('\0')).then(|| value.to_owned());
        let user = cx.fill(&self.user, fit).await?;
        let password = match &self.password {
            Some(password) => Some(cx.fill(password, fit).await?),
            None => None,
        };
        let database = match &self.database {
            Some(database) => Some(cx.fill(database, fit).await?),
            None => None,
        };
        let mut parameters = Vec::new();
        for parameter in &self.parameters {
            parameters.push(cx.fill(parameter, fit).await?);
        }
        Ok(Filled { login: Login { user, password, database }, parameters })
    }

    async fn talk(
        &self,
        connection: &mut Connection,
        place: &Place,
        filled: &Filled,
        watch: &mut Stopwatch<'_>,
        cx: &StepContext<'_>,
    ) -> Result<Seen, Failure> {
        match &self.asked {
            Asked::Off => {}
            Asked::Require(securing) => {
                StartTls::Postgres.ask(connection, watch).await?;
                connection.secure(securing, &place.host, watch).await?;
            }
            Asked::Prefer(securing) => {
                if watch.bound(|| Part::Tls, offers_postgres(connection)).await? {
                    connection.secure(securing, &place.host, watch).await?;
                }
            }
        }
        let may_tell_password = connection.is_secured() || matches!(self.asked, Asked::Off);
        let mut session = Session::over(connection);
        watch.bound(|| Part::FirstByte, session.start(&filled.login, may_tell_password)).await?;
        let time_left = cx.deadline.since(cx.clock.monotonic());
        watch.bound(|| Part::FirstByte, session.begin(time_left)).await?;
        let rows = session.query(&self.query, &filled.parameters, watch).await;
        // What was asked is answered: whether the farewell is heard changes nothing of it, and its time is nobody's.
        let phases = watch.phases();
        let until = cx.deadline.min(cx.clock.monotonic() + FAREWELL);
        let _ = select(pin!(session.end()), cx.clock.sleep_until(until)).await;
        Ok(Seen { rows: rows?, server_version: session.server_version(), phases })
    }

    fn said(&self, place: &Place, filled: &Filled, seen: Result<&Seen, &Failure>) -> Said {
        let mut words = self.query.clone();
        for (index, parameter) in filled.parameters.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(words, "\n-- ${}: {parameter}", index + 1);
        }
        let answer = match seen {
            Ok(seen) => seen.rows.0.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
            Err(failure) => match failure.kind {
                // The server's own words.
                FailureKind::AuthRefused | FailureKind::AnswerRefused => failure.message.clone(),
                _ => String::new(),
            },
        };
        let Login { user, database, .. } = &filled.login;
        let database = database.as_ref().unwrap_or(user);
        let command = filled.parameters.is_empty().then(|| {
            let mode = match self.asked {
                Asked::Off => "disable",
                Asked::Prefer(_) => "prefer",
                Asked::Require(_) => "require",
            };
            let [user, database, query] = [user, database, &self.query].map(|word| shell_word(word.as_str()));
            let (host, port) = (shell_word(&place.host), place.port);
            format!("PGSSLMODE={mode} psql -h {host} -p {port} -U {user} -d {database} -c {query}")
        });
        Said { words, answer: Some(answer), command }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probers::testing;

    #[test]
    fn a_query_has_no_holes() {
        for (query, told) in [
            ("\"select '{{name}}'\"", "what is filled in when a step runs cannot stand in a query"),
            ("\"select '${secret:name}'\"", "what is filled in when a step runs cannot stand in a query"),
            ("\" \"", "the query is empty"),
            ("\"select '\\0'\"", "the character NUL"),
        ] {
            let yaml = format!("{{ address: \"a:5432\", user: u, query: {query} }}");
            let problems = testing::build(&KIND, &yaml, false).err().unwrap_or_else(|| panic!("{query} was accepted"));
            assert!(problems.contains(told), "{problems}");
        }
        let yaml = "{ address: \"a:5432\", user: u, query: select $1, parameters: [\"{{name}}\"], tls: prefer }";
        assert!(testing::build(&KIND, yaml, false).is_ok());
    }

    #[test]
    fn mistakes_are_told_in_one_pass() {
        let told =
            testing::build(&KIND, "{ address: a, user: u, query: \"\", tls: verify-full }", false).err().unwrap();
        for words in ["`a` has no port", "the query is empty", "`tls` is `true`, `false`, `prefer` or a mapping"] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
}
