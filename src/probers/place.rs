//! Where a probe connects to, written `host:port`.

use url::{Host, Url};

use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::template::{Piece, Template, pieces};
use crate::ports::StepContext;
use crate::settings::{Problems, Spanned};

/// The port in what is proposed to be written, where the kind has none of its own.
const PORT_OF_EXAMPLES: u16 = 443;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What is wrong with a place, and what to write.
#[derive(Debug, PartialEq, Eq)]
pub struct PlaceError {
    message: String,
    help: String,
    /// What was written holds a password, and is not shown again.
    hidden: bool,
}

impl Place {
    /// Where a URL leads.
    pub fn of(url: &Url) -> Self {
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        };
        Self { host, port: url.port_or_known_default().unwrap_or_default() }
    }

    /// Reads `host:port`, with an IPv6 address in brackets.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        Self::parse_with(text, PORT_OF_EXAMPLES)
    }

    fn parse_with(text: &str, usual_port: u16) -> Result<Self, PlaceError> {
        let fail = |message: String, help: String| PlaceError { message, help, hidden: false };
        if text.contains('@') {
            return Err(PlaceError {
                message: "an address does not hold a user and a password".to_owned(),
                help: "write `host:port`; a kind that takes them has fields for them".to_owned(),
                hidden: true,
            });
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let rest = rest.split('/').next().unwrap_or_default();
            return Err(fail(
                format!("`{scheme}://` has no place in a `host:port`"),
                format!(
                    "write `{}`",
                    if rest.contains(':') { rest.to_owned() } else { format!("{rest}:{usual_port}") }
                ),
            ));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.starts_with('[') && host.ends_with(']') => (host, port),
            None => return Err(fail(format!("`{text}` has no port"), format!("write `{text}:{usual_port}`"))),
            Some(_) => {
                let address = text.trim_matches(['[', ']']);
                let help = format!("an IPv6 address stands in brackets, with its port behind: `[::1]:{usual_port}`");
                return Err(fail(format!("`{address}` has no port that can be told apart"), help));
            }
        };
        let number = port.parse::<u16>().ok().filter(|port| *port > 0);
        let port = number
            .ok_or_else(|| fail(format!("`{port}` is not a port"), "a port is a number from 1 to 65535".to_owned()))?;
        let host = match Host::parse(host) {
            Ok(Host::Domain(name)) => name,
            Ok(Host::Ipv4(address)) => address.to_string(),
            Ok(Host::Ipv6(address)) => address.to_string(),
            Err(error) => {
                let help = "write a name, an IPv4 address, or an IPv6 address in brackets".to_owned();
                return Err(fail(format!("`{host}` is not a host: {error}"), help));
            }
        };
        Ok(Self { host, port })
    }
}

/// A place whose text may have holes.
#[derive(Debug)]
pub enum Target {
    /// Known when the prober is built.
    Known(Place),
    /// Known when the step runs.
    Later(Template),
}

impl Target {
    /// Reads the setting; what can be known to be wrong is a problem.
    pub fn read(written: &Spanned<Template>, problems: &mut Problems) -> Option<Self> {
        Self::read_with(written, PORT_OF_EXAMPLES, problems)
    }

    /// Reads the setting of a kind that has a port of its own, which the help of a mistake then names.
    pub fn read_with(written: &Spanned<Template>, usual_port: u16, problems: &mut Problems) -> Option<Self> {
        let text = with_holes_filled(&written.value);
        let place = match Place::parse_with(&text, usual_port) {
            Ok(place) => place,
            Err(error) => {
                let problem = problems.error(written.span.clone(), error.message);
                problem.help = Some(error.help);
                problem.hidden = error.hidden;
                return None;
            }
        };
        let is_known = written.value.as_literal().is_some();
        Some(if is_known { Self::Known(place) } else { Self::Later(written.value.clone()) })
    }

    /// The host, where it is written.
    pub fn host(&self) -> Option<String> {
        match self {
            Self::Known(place) => Some(place.host.clone()),
            Self::Later(_) => None,
        }
    }

    /// The place for this run.
    pub async fn place(&self, cx: &StepContext<'_>) -> Result<Place, Failure> {
        match self {
            Self::Known(place) => Ok(place.clone()),
            Self::Later(template) => {
                let text = cx.fill(template, |value| Some(value.to_owned())).await?;
                Place::parse(&text).map_err(|error| Failure::new(FailureKind::Capture, error.message))
            }
        }
    }
}

/// The text with a digit in each hole, which is right in a host, a port and a path alike: so the literal parts can be
/// looked at before anything runs.
pub fn with_holes_filled(template: &Template) -> String {
    let fill = |piece: &Piece| if let Piece::Literal(text) = piece { text.clone() } else { "1".to_owned() };
    pieces(&template.to_string()).unwrap_or_default().iter().map(fill).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, host, port) in [
            ("a.example:443", "a.example", 443),
            ("[::1]:80", "::1", 80),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("2130706433:80", "127.0.0.1", 80),
            ("Bücher.example:80", "xn--bcher-kva.example", 80),
        ] {
            assert_eq!(Place::parse(text), Ok(Place { host: host.to_owned(), port }), "{text}");
        }
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, message, help) in [
            ("a.example", "`a.example` has no port", "write `a.example:443`"),
            ("https://a.example/x", "`https://` has no place in a `host:port`", "write `a.example:443`"),
            (
                "::1",
                "`::1` has no port that can be told apart",
                "an IPv6 address stands in brackets, with its port behind: `[::1]:443`",
            ),
            ("a.example:99999", "`99999` is not a port", "a port is a number from 1 to 65535"),
            ("a.example:0", "`0` is not a port", "a port is a number from 1 to 65535"),
            (
                "a b:80",
                "`a b` is not a host: invalid international domain name",
                "write a name, an IPv4 address, or an IPv6 address in brackets",
            ),
            (
                "redis://:opensesame@a.example:6379/0",
                "an address does not hold a user and a password",
                "write `host:port`; a kind that takes them has fields for them",
            ),
            (":80", "`` is not a host: empty host", "write a name, an IPv4 address, or an IPv6 address in brackets"),
        ] {
            let error = Place::parse(text).unwrap_err();
            assert_eq!((error.message.as_str(), error.help.as_str()), (message, help), "{text}");
        }
    }
}
