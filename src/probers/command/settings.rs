//! The settings of kind `command`, and the prober that they become.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::draft::Draft;
use super::prober::CommandProber;
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::template::Template;
use crate::ports::{Building, BuiltProber, Implied, Kind};
use crate::settings::{Node, OneOrMany, Problems, Spanned, Value, read};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "command",
    about: "runs a program and reads what it says",
    main: "run",
    schema: CommandSettings::json_schema,
    names: || Names::new().with_all(NAMES),
    build,
};

const NAMES: &[Name] = &[
    Name::known("exit", Shape::Number, "the exit code; 128 and its number where a signal ended the program"),
    Name::known("signal", Shape::Text, "the signal that ended the program, e.g. `SIGKILL`; absent where none did"),
    Name::known("stdout", Shape::Text, "the beginning of what it wrote on standard output"),
    Name::known("stderr", Shape::Text, "the beginning of what it wrote on standard error"),
    Name::known("json", Shape::Any, "its standard output where that is JSON, or the file that `json` names"),
    Name::known("truncated", Shape::Bool, "whether it wrote more than was kept"),
    Name::known("tests", Shape::Number, "with `junit`: how many test cases there are"),
    Name::known("passed", Shape::Number, "with `junit`: how many of them passed"),
    Name::known("failed", Shape::Number, "with `junit`: how many of them failed"),
    Name::known("skipped", Shape::Number, "with `junit`: how many of them were skipped"),
    Name::known("total_ms", Shape::Number, "how long it ran, in milliseconds"),
];

/// How much of each output is kept where nothing is said, in bytes.
const OUTPUT_BYTES_DEFAULT: usize = 1024 * 1024;
/// The most of each output that can be kept, in bytes.
const OUTPUT_BYTES_MAX: usize = 10 * 1024 * 1024;

/// A program.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CommandSettings {
    /// The program and its arguments, as a list; a program without arguments may stand alone. No shell reads it: pipes and
    /// variables need `[sh, -c, "…"]`. Arguments may have holes, `"{{token}}"`; each stays one argument.
    #[schemars(with = "Words")]
    run: Node,
    /// Variables of its environment by name, beside `PATH`, `HOME`, `LANG` and `TMPDIR`. May have holes and secrets: this
    /// is the place for these. Default: none.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Template>")]
    env: BTreeMap<Spanned<String>, Spanned<Template>>,
    /// Where it runs, relative to the configuration; a program like `./check` is looked for there. Default: the directory
    /// of the configuration.
    #[schemars(with = "Option<String>")]
    directory: Option<Spanned<String>>,
    /// What it reads on standard input. May have holes and secrets. Default: nothing.
    #[schemars(with = "Option<Template>")]
    input: Option<Spanned<Template>>,
    /// The report in JUnit's XML that it writes, relative to `directory`: each of its test cases fails the step or passes.
    /// May have holes. Default: none.
    #[schemars(with = "Option<Template>")]
    junit: Option<Spanned<Template>>,
    /// The file of JSON that it writes, relative to `directory`, which `json` then stands for in assertions and captures.
    /// May have holes. Default: none.
    #[schemars(with = "Option<Template>")]
    json: Option<Spanned<Template>>,
    /// How many bytes of standard output, and as many of standard error, are kept; the rest is read and thrown away. At
    /// most 10485760. Default: 1048576 (1 MiB).
    #[schemars(with = "Option<u64>")]
    max_output: Option<Spanned<u64>>,
}

/// A program, with its arguments or without: only its schema is used, since [`OneOrMany`] reads it.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Words {
    /// The program alone.
    Program(String),
    /// The program and its arguments.
    All(Vec<Template>),
}

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: CommandSettings = read(node, problems)?;
    let known = problems.len();
    let words = words(&settings.run, problems);
    let env = environment(&settings.env, problems);
    let directory = directory(settings.directory.as_ref(), building, problems);
    let output_bytes_max = output_limit(settings.max_output.as_ref(), problems);
    for file in [&settings.junit, &settings.json].into_iter().flatten() {
        if file.value.as_literal() == Some("") {
            problems.error(file.span.clone(), "the path of a file is empty");
        }
    }
    if problems.len() > known {
        return None;
    }
    let value = |setting: Option<Spanned<Template>>| setting.map(|setting| setting.value);
    let draft = Draft {
        words: words?,
        env,
        directory,
        input: value(settings.input),
        output_bytes_max,
        junit: value(settings.junit),
        json: value(settings.json),
    };
    let well = Implied { unless_mentioned: "exit", expect: "exit == 0" };
    Some(BuiltProber { prober: Arc::new(CommandProber { draft }), implied: vec![well] })
}

fn words(run: &Node, problems: &mut Problems) -> Option<Vec<Template>> {
    let OneOrMany(words) = read::<OneOrMany<Spanned<Template>>>(run, problems)?;
    let Some(program) = words.first() else {
        problems.error(run.span.clone(), "a command needs a program").help =
            Some("write it like `[pytest, -q]`".to_owned());
        return None;
    };
    match program.value.as_literal() {
        None => {
            let message = "which program runs must be known before it does";
            problems.error(program.span.clone(), message).help =
                Some("captures and secrets may stand in its arguments, `env` and `input`".to_owned());
        }
        Some(name) if name.trim().is_empty() => {
            problems.error(program.span.clone(), "the name of the program is empty");
        }
        // No shell cuts a text into words, and no program has such a name.
        Some(name) if !matches!(run.value, Value::List(_)) && name.contains(char::is_whitespace) => {
            let list = name.split_whitespace().collect::<Vec<_>>().join(", ");
            let message = format!("`{name}` is taken as the name of a program: no shell reads it");
            problems.error(program.span.clone(), message).help =
                Some(format!("write a list, `[{list}]`; for a shell's syntax `[sh, -c, \"…\"]`"));
        }
        Some(name) if name.contains('\0') => {
            problems.error(program.span.clone(), "the name of a program holds no NUL");
        }
        Some(_) => {}
    }
    for word in &words[1..] {
        if word.value.secrets().next().is_some() {
            let message = "everybody on the machine can read the arguments of a program: no secret stands there";
            problems.error(word.span.clone(), message).help = Some("give it in `env` or in `input`".to_owned());
        }
    }
    Some(words.into_iter().map(|word| word.value).collect())
}

fn environment(
    written: &BTreeMap<Spanned<String>, Spanned<Template>>,
    problems: &mut Problems,
) -> BTreeMap<String, Template> {
    for name in written.keys() {
        if name.is_empty() || name.contains(['=', '\0']) || name.contains(char::is_whitespace) {
            let message = format!("`{}` is no name of an environment variable", name.value);
            problems.error(name.span.clone(), message).help = Some("write it like `BASE_URL: value`".to_owned());
        }
    }
    written.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect()
}

fn directory(written: Option<&Spanned<String>>, building: &Building, problems: &mut Problems) -> PathBuf {
    let Some(written) = written else { return building.directory.to_path_buf() };
    if written.value.is_empty() {
        problems.error(written.span.clone(), "the path of a directory is empty").help =
            Some("leave `directory` out for the directory of the configuration".to_owned());
    }
    building.directory.join(&written.value)
}

fn output_limit(written: Option<&Spanned<u64>>, problems: &mut Problems) -> usize {
    let Some(written) = written else { return OUTPUT_BYTES_DEFAULT };
    let limit = usize::try_from(written.value).ok().filter(|limit| (1..=OUTPUT_BYTES_MAX).contains(limit));
    limit.unwrap_or_else(|| {
        let message = format!("`max_output` is from 1 to {OUTPUT_BYTES_MAX} bytes (10 MiB), not {}", written.value);
        problems.error(written.span.clone(), message);
        OUTPUT_BYTES_DEFAULT
    })
}
