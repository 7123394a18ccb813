//! Mail, by SMTP (RFC 5321) over TLS: by STARTTLS (RFC 3207) or from the first byte (RFC 8314). There is no form in the clear,
//! since a mail says what is wrong with a system, and a login would be read by whoever stands between.

mod letter;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, select};
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters, TlsParametersBuilder};
use lettre::transport::smtp::{AsyncSmtpTransport, Error};
use lettre::{AsyncTransport as _, Tokio1Executor};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::OnceCell;

use self::letter::letter;
use super::message::piece;
use super::post::{check_no_run, check_secret, fill_with, quote};
use crate::domain::template::Template;
use crate::ports::{Building, ChannelKind, Clock, Notification, Notifier, NotifyError, Receipt, Secrets};
use crate::settings::{Node, OneOrMany, Problems, Spanned, read};

/// The row of the table of channels.
pub const CHANNEL: ChannelKind = ChannelKind {
    name: "email",
    about: "Mail by SMTP over TLS, as text and HTML",
    main: "to",
    schema: EmailSettings::json_schema,
    build,
};

/// How long one mail may take as a whole. The deliverer gives an attempt 15 s, so our own reason is heard first.
const MAIL_MAX: Duration = Duration::from_secs(10);

/// What people write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailSettings {
    /// The server that takes the mail, by its name: its certificate must be for it.
    #[schemars(with = "String")]
    pub server: Spanned<String>,
    /// Its port. Default: 587, or 465 with `security: tls`.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is secured: `starttls` begins in the clear and goes over to TLS before anything is said; `tls` is TLS from
    /// the first byte. Default: `starttls`.
    #[serde(default)]
    pub security: Security,
    /// Certificates to trust besides the machine's, as PEM text: `"${file:ca.pem}"`. Default: none.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub ca: Option<Spanned<String>>,
    /// Who logs in (PLAIN or LOGIN). Default: nobody, for a server that asks nobody.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub user: Option<Spanned<Template>>,
    /// The password of `user`, a secret: write `"${secret:name}"`. Default: none.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub password: Option<Spanned<Template>>,
    /// Whom the mail is from: `Roundsman <roundsman@example.com>`.
    #[schemars(with = "String")]
    pub from: Spanned<String>,
    /// Whom it is to: one address or a list.
    #[schemars(with = "Addresses")]
    pub to: OneOrMany<Spanned<String>>,
}

/// One address, or several: only its schema is used, since [`OneOrMany`] reads it.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Addresses {
    /// One address.
    One(String),
    /// Several addresses.
    Many(Vec<String>),
}

/// How a connection is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// It begins in the clear and goes over to TLS before anything is said, or ends.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<Arc<dyn Notifier>> {
    let settings: EmailSettings = read(node, problems)?;
    let before = problems.len();
    let is_name = url::Host::parse(&settings.server.value).is_ok();
    if !is_name {
        let message = format!("`{}` is not the name of a server", settings.server.value);
        problems.error(settings.server.span.clone(), message).help =
            Some("write it like `smtp.example.com`; the port stands in `port`".to_owned());
    }
    let from = mailbox(&settings.from, problems);
    if settings.to.is_empty() {
        problems.error(node.span.clone(), "this mail is to nobody").help =
            Some("write `to: oncall@example.com`".to_owned());
    }
    let to: Option<Vec<_>> = settings.to.iter().map(|to| mailbox(to, problems)).collect();
    let own = settings.ca.as_ref().map(|ca| certificates(ca, problems));
    let login = match (settings.user, settings.password) {
        (Some(user), Some(password)) => {
            check_no_run(&user, problems);
            check_secret(&password, "a password", "password", problems);
            Some((user.value, password.value))
        }
        (None, None) => None,
        (Some(alone), None) | (None, Some(alone)) => {
            problems.error(alone.span.clone(), "`user` and `password` stand together").help =
                Some("write both, or neither for a server that asks nobody".to_owned());
            None
        }
    };
    if problems.len() > before {
        return None;
    }
    let default_port = if settings.security == Security::Tls { 465 } else { 587 };
    Some(Arc::new(Email {
        server: settings.server.value,
        port: settings.port.unwrap_or(default_port),
        security: settings.security,
        own: own.flatten().unwrap_or_default(),
        login,
        from: from?,
        to: to?,
        tls: OnceCell::new(),
        secrets: Arc::clone(&building.secrets),
        clock: Arc::clone(&building.clock),
    }))
}

fn mailbox(written: &Spanned<String>, problems: &mut Problems) -> Option<Mailbox> {
    let mailbox = written.value.parse();
    if mailbox.is_err() {
        problems.error(written.span.clone(), format!("`{}` is not an address of mail", written.value)).help =
            Some("write it like `oncall@example.com` or `On call <oncall@example.com>`".to_owned());
    }
    mailbox.ok()
}

fn certificates(ca: &Spanned<String>, problems: &mut Problems) -> Option<Vec<Certificate>> {
    if ca.value.trim().is_empty() {
        return Some(Vec::new());
    }
    let why = match (crate::net::tls::Trust::with_pem(&ca.value), Certificate::from_pem(ca.value.as_bytes())) {
        (Ok(_), Ok(certificate)) => return Some(vec![certificate]),
        (Err(why), _) => why,
        (_, Err(error)) => error.to_string(),
    };
    problems.error(ca.span.clone(), format!("`ca` cannot be used: {why}")).help =
        Some("`ca` takes PEM text, from `-----BEGIN CERTIFICATE-----` on: write `\"${file:ca.pem}\"`".to_owned());
    None
}

/// One server and whom to write to.
struct Email {
    server: String,
    port: u16,
    security: Security,
    own: Vec<Certificate>,
    login: Option<(Template, Template)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    /// Made at the first mail, since it reads the machine's certificates.
    tls: OnceCell<TlsParameters>,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
}

impl Email {
    async fn tell(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let letter = letter(notification, &self.from, &self.to);
        let letter = letter.map_err(|error| NotifyError::Rejected(format!("the mail cannot be written: {error}")))?;
        let tls = self.tls.get_or_try_init(|| async { self.parameters() }).await;
        let tls = tls.map_err(|error| NotifyError::Unauthorized(format!("TLS cannot be set up: {error}")))?.clone();
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.server)
            .port(self.port)
            .timeout(Some(MAIL_MAX))
            .tls(if self.security == Security::Tls { Tls::Wrapper(tls) } else { Tls::Required(tls) });
        if let Some((user, password)) = &self.login {
            transport = transport.credentials(Credentials::new(self.fill(user).await?, self.fill(password).await?));
        }
        let transport: AsyncSmtpTransport<Tokio1Executor> = transport.build();
        let sending = std::pin::pin!(transport.send(letter));
        let patience = self.clock.sleep_until(self.clock.monotonic() + MAIL_MAX);
        match select(sending, patience).await {
            Either::Left((Ok(answer), _)) => {
                let said: Vec<_> = answer.message().collect();
                Ok(Receipt { id: Some(piece(&self.secrets.redact(&said.join(" ")))) })
            }
            Either::Left((Err(error), _)) => Err(self.meaning(&error)),
            Either::Right(_) => {
                Err(NotifyError::Transient { message: "no answer in time".to_owned(), retry_after: None })
            }
        }
    }

    /// A machine without certificates (a bare container) has the built-in ones, as everywhere.
    fn parameters(&self) -> Result<TlsParameters, Error> {
        let is_bare = rustls_native_certs::load_native_certs().certs.is_empty();
        let store = if is_bare { CertificateStore::WebpkiRoots } else { CertificateStore::Default };
        let trusting = TlsParameters::builder(self.server.clone()).certificate_store(store);
        self.own.iter().cloned().fold(trusting, TlsParametersBuilder::add_root_certificate).build()
    }

    async fn fill(&self, template: &Template) -> Result<String, NotifyError> {
        fill_with(&*self.secrets, template, &std::collections::BTreeMap::new(), str::to_owned).await
    }

    /// RFC 5321, section 4.2.1, and RFC 4954, section 6: 4xx passes, who may not log in needs a person, and what is left speaks
    /// of this mail.
    fn meaning(&self, error: &Error) -> NotifyError {
        let message = format!("the mail was not taken{}", quote(&self.secrets.redact(&error.to_string())));
        let code = error.status().map(u16::from);
        match code {
            Some(530 | 534 | 535 | 538) => NotifyError::Unauthorized(message),
            _ if error.is_permanent() => NotifyError::Rejected(message),
            // No STARTTLS, no way to log in: a server that we shall not talk to, whatever is written.
            _ if error.is_client() => NotifyError::Unauthorized(message),
            _ => NotifyError::Transient { message, retry_after: None },
        }
    }
}

impl Notifier for Email {
    fn notify<'a>(&'a self, notification: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(self.tell(notification))
    }
}
