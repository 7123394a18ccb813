//! `completions`: what a shell needs to complete commands.

use clap::{CommandFactory as _, ValueEnum};

use super::answer::{Answer, Output, Stop};
use super::cli::Cli;

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// `source <(roundsman completions bash)`.
    Bash,
    /// `roundsman completions zsh > "${fpath[1]}/_roundsman"`.
    Zsh,
    /// `roundsman completions fish | source`.
    Fish,
}

impl From<Shell> for clap_complete::Shell {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => Self::Bash,
            Shell::Zsh => Self::Zsh,
            Shell::Fish => Self::Fish,
        }
    }
}

/// Prints it.
pub fn print(shell: Shell) -> Result<Answer, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::from(shell), &mut Cli::command(), "roundsman", &mut script);
    Output::default().bytes(&script)?;
    Ok(Answer::Well)
}
