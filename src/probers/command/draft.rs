//! A program before its holes are filled.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::process::Program;
use super::report::Awaited;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::template::Template;
use crate::ports::StepContext;
use crate::probers::place::with_holes_filled;

/// What a program sees of our own environment, which may hold secrets: where programs, the home and temporary files are,
/// and which language is spoken.
pub const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// What is to be run.
pub struct Draft {
    /// The program and its arguments; never empty.
    pub words: Vec<Template>,
    /// What is set in the environment.
    pub env: BTreeMap<String, Template>,
    /// Where it runs.
    pub directory: PathBuf,
    /// What it reads.
    pub input: Option<Template>,
    /// How much of each output is kept.
    pub output_bytes_max: usize,
    /// The report of a test runner.
    pub junit: Option<Template>,
    /// The file that `json` stands for.
    pub json: Option<Template>,
}

impl Draft {
    /// The program of this run.
    pub async fn fill(&self, cx: &StepContext<'_>) -> Result<Program, Failure> {
        let mut words = Vec::with_capacity(self.words.len());
        for word in &self.words {
            words.push(argument(cx, word).await?);
        }
        let inherited = INHERITED.into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
        let mut environment: Vec<(OsString, OsString)> = inherited.collect();
        for (name, value) in &self.env {
            environment.push((name.into(), cx.fill(value, without_nul).await?.into()));
        }
        let input = match &self.input {
            Some(input) => Some(cx.fill(input, |value| Some(value.to_owned())).await?),
            None => None,
        };
        let (directory, output_bytes_max) = (self.directory.clone(), self.output_bytes_max);
        Ok(Program { words, environment, directory, input, output_bytes_max })
    }

    /// A file that the program is to write, as it is now.
    pub async fn awaited(&self, cx: &StepContext<'_>, file: Option<&Template>) -> Result<Option<Awaited>, Failure> {
        let Some(file) = file else { return Ok(None) };
        let name = cx.fill(file, without_nul).await?;
        let path = self.directory.join(&name);
        Ok(Some(Awaited::at(name, path).await))
    }
}

/// An argument. A captured value is a target's text: what makes an option of what was none is refused.
async fn argument(cx: &StepContext<'_>, word: &Template) -> Result<String, Failure> {
    let filled = cx.fill(word, without_nul).await?;
    if filled.starts_with('-') && !with_holes_filled(word).starts_with('-') {
        let message = format!("what was filled into `{word}` makes an option of it");
        return Err(Failure::new(FailureKind::Capture, message));
    }
    Ok(filled)
}

/// The system ends every text of a program at a NUL.
fn without_nul(value: &str) -> Option<String> {
    (!value.contains('\0')).then(|| value.to_owned())
}
