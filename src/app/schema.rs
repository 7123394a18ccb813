//! `schema`: the JSON Schema of the files, for editors.

use super::answer::{Answer, Output, Stop};
use super::cli::SchemaFile;
use super::wiring::KINDS;
use crate::config::schema::{File, schema};

/// Prints one schema.
pub fn print(file: SchemaFile) -> Result<Answer, Stop> {
    let file = match file {
        SchemaFile::Roundsman => File::Root,
        SchemaFile::Probes => File::Probes,
        SchemaFile::Schedules => File::Schedules,
    };
    Output::default().line(format_args!("{:#}", schema(file, &KINDS)))?;
    Ok(Answer::Well)
}
