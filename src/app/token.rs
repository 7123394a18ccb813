//! `token`: makes a token for the page, and its hash. Only the hash need be kept here.

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::answer::{Answer, Output, Stop};
use super::cli::Format;
use crate::config::web::HASH;
use crate::domain::pulse::TokenDigest;
use crate::domain::text::hex;

/// How many random bytes a token has: 160 bits.
const BYTES: usize = 20;

/// How it is shown.
#[derive(Clone, Copy, Debug, Args)]
pub struct TokenArguments {
    /// How it is shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Makes one, and shows it this once.
pub fn token(arguments: TokenArguments) -> Result<Answer, Stop> {
    let token = SecretString::from(hex(&rand::random::<[u8; BYTES]>()));
    let hash = format!("{HASH}{}", TokenDigest::of(token.expose_secret()));
    let token = token.expose_secret();
    let mut out = Output::default();
    match arguments.format {
        Format::Json => out.line(json!({ "token": token, "hash": hash }))?,
        Format::Text => {
            out.line(format_args!("token  {token}"))?;
            out.line(format_args!("hash   {hash}"))?;
            out.line("")?;
            out.line(
                "The token is shown this once: give it to whoever needs it. The hash is what roundsman.yaml keeps:",
            )?;
            out.line(format_args!("  web: {{ token: \"{hash}\" }}"))?;
        }
    }
    Ok(Answer::Well)
}
