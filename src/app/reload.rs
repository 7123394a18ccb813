//! `reload`: has the running daemon read its files again.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::answer::{self, Answer, Output, Stop};
use super::cli::Format;
use super::daemon_client::{Asking, DaemonClient};
use crate::config::load::Surroundings;
use crate::domain::text::harmless;
use crate::web::api::answers::Problem;
use crate::web::api::bodies::{Nothing, ProblemBody, Reload};

/// How long it may take: thousands of files take seconds, and so do secrets that are kept elsewhere.
const PATIENCE: Duration = Duration::from_secs(60);

/// How it is shown, and which daemon.
#[derive(Clone, Debug, Args)]
pub struct ReloadArguments {
    /// How it is shown and where the daemon is.
    #[command(flatten)]
    pub asking: Asking,
}

/// Has them read, and shows what is otherwise. A mistake in them is exit 2, and nothing has changed.
pub async fn reload(directory: PathBuf, surroundings: Surroundings, what: ReloadArguments) -> Result<Answer, Stop> {
    let daemon = DaemonClient::find(&directory, &surroundings, &what.asking.daemon).await?;
    let told = daemon.post_explained("reload", &Nothing {}, PATIENCE).await?;
    let mut out = Output::default();
    match what.asking.format {
        Format::Text => lines(&told).into_iter().try_for_each(|line| out.line(line))?,
        Format::Json => out.line(told.as_ref().map_or_else(answer::json, answer::json)?)?,
    }
    match told {
        Err(problem) => Err(Stop::Usage(harmless(&problem.detail).into_owned())),
        Ok(_) => Ok(Answer::Well),
    }
}

fn lines(told: &Result<Reload, Problem>) -> Vec<String> {
    let problems = told.as_ref().map_or_else(|refused| &refused.problems, |taken| &taken.problems);
    let mut lines: Vec<_> = problems.iter().flat_map(problem).collect();
    let Ok(Reload { changes, .. }) = told else { return lines };
    lines.push(match changes.len() {
        0 => "the configuration is in force: nothing changed".to_owned(),
        _ => "the configuration is in force:".to_owned(),
    });
    lines.extend(changes.iter().map(|change| format!("    {}", harmless(change))));
    lines
}

/// A problem as `validate` says it, without the excerpt.
fn problem(problem: &ProblemBody) -> Vec<String> {
    let ProblemBody { file, line, column, level, message, help } = problem;
    let place = match (file, line, column) {
        (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: "),
        _ => String::new(),
    };
    let told = harmless(&format!("{place}{level}: {message}")).into_owned();
    let help = help.as_ref().map(|help| format!("    {}", harmless(help)));
    std::iter::once(told).chain(help).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_says_what_is_otherwise_or_what_is_wrong_and_where() {
        let wrong = json!({
            "type": "about:blank", "title": "Unprocessable Content", "status": 422,
            "detail": "the configuration was refused whole: what ran goes on unchanged",
            "problems": [
                { "file": "probes/p.yaml", "line": 1, "column": 8, "level": "error", "message": "there is no kind `htpt`\u{1b}", "help": "did you mean `http`?", "also": [] },
                { "file": null, "line": null, "column": null, "level": "error", "message": "the secret `page` cannot be read", "help": null, "also": [] },
            ],
        });
        let taken = json!({ "changes": ["probe api changed", "probe cache removed"], "problems": [] });
        let same = json!({ "changes": [], "problems": [] });
        let taken = [taken, same].map(|told| Ok(serde_json::from_value(told).unwrap()));
        let told = [Err(serde_json::from_value(wrong).unwrap())].into_iter().chain(taken);
        let told: Vec<_> = told.map(|told| lines(&told).join("\n")).collect();
        insta::assert_snapshot!(told.join("\n\n"));
    }
}
