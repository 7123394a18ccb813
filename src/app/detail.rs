//! All that a run did, for `once --verbose`: for each step what was sent and what came, as `curl -v` has it, where the time
//! went on each redirect, the certificates, the assertions with their values, and a command that repeats it.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::report::{LINES_MAX, WIDTH, length, parts, style, waterfall};
use crate::domain::exchange::{Assertion, Bundle, Captured, Exchange, StepRecord};
use crate::domain::outcome::{Failure, Run, Verdict};
use crate::domain::text::harmless;

/// What a step has to say stands this far to the right.
const INDENT: &str = "      ";

/// The end of a line of a command that goes on.
const GOES_ON: &str = " \\";

/// Every step of a run. What a target said is harmless already, and without secrets.
pub fn text(run: &Run) -> String {
    let mut text = String::new();
    let Some(bundle) = &run.bundle else { return text };
    let Bundle { steps, left_out: _ } = &**bundle;
    for step in steps {
        let outcome = run.steps.iter().find(|outcome| outcome.name == step.name);
        let kind = outcome.map(|outcome| outcome.kind.as_str());
        // A probe of one step calls it by its kind.
        let kind = kind.filter(|kind| *kind != step.name.as_str()).map(|kind| format!(" · {kind}"));
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "\n    {}{}", step.name, kind.unwrap_or_default());
        of_step(&mut text, step);
        if let Some(verdict) = outcome.and_then(|outcome| outcome.verdict.as_ref()) {
            failed(&mut text, verdict);
        }
    }
    text.push('\n');
    text
}

fn of_step(text: &mut String, step: &StepRecord) {
    let StepRecord { name: _, exchanges, assertions, captures } = step;
    let end_ms = exchanges.iter().map(|exchange| exchange.phases.total_ms).sum();
    let mut offset_ms = 0.0;
    for exchange in exchanges {
        of_exchange(text, exchange, offset_ms, end_ms);
        offset_ms += exchange.phases.total_ms;
    }
    for assertion in assertions {
        asserted(text, assertion);
    }
    for Captured { name, characters } in captures {
        let plural = if *characters == 1 { "" } else { "s" };
        push(text, Style::new(), "↳ ", &format!("captured {name}, {characters} character{plural}"));
    }
}

fn of_exchange(text: &mut String, exchange: &Exchange, offset_ms: f64, end_ms: f64) {
    let Exchange { remote, sent, received, certificates, command, phases } = exchange;
    let bar = waterfall(offset_ms, phases, end_ms);
    let _ =
        writeln!(text, "{INDENT}  ╎{bar}╎ {:>9}  {}", length(phases.total_ms), remote.as_deref().unwrap_or_default());
    push(text, Style::new(), "  ", &parts(phases));
    for certificate in certificates {
        push(text, Style::new(), "* ", certificate);
    }
    for (mark, lines, colour) in [("> ", sent, AnsiColor::Cyan), ("< ", received, AnsiColor::Magenta)] {
        for line in lines.lines() {
            push(text, Style::new().fg_color(Some(colour.into())), mark, line);
        }
    }
    if let Some(command) = command {
        for (index, line) in folded(command, WIDTH - INDENT.len() - 2).iter().enumerate() {
            let _ = writeln!(text, "{INDENT}{}{}", if index == 0 { "$ " } else { "  " }, harmless(line));
        }
    }
}

/// A glyph, the expression and what decided it, with a word where it only warns.
fn asserted(text: &mut String, assertion: &Assertion) {
    let Assertion { held, warns, explanation } = assertion;
    let (glyph, colour) = match (held, warns) {
        (true, _) => ("✓ ", AnsiColor::Green),
        (false, true) => ("▲ ", AnsiColor::Yellow),
        (false, false) => ("✕ ", AnsiColor::Red),
    };
    let mut line = format!("{}{}", if *warns { "warn: " } else { "" }, explanation.expression);
    for more in explanation.reason.iter().cloned().chain(explanation.parts.iter().map(ToString::to_string)) {
        let _ = write!(line, " · {more}");
    }
    push(text, Style::new().fg_color(Some(colour.into())), glyph, &line);
}

/// What the step failed of, where that is no assertion, which stands there already.
fn failed(text: &mut String, verdict: &Verdict) {
    for failure in verdict.failures().iter().filter(|failure| failure.explanation.is_none()) {
        let told = Failure { step: None, ..failure.clone() }.to_string();
        let mut mark = format!("{} ", verdict.glyph());
        for line in told.lines().take(LINES_MAX) {
            push(text, style(verdict), &mark, line);
            "  ".clone_into(&mut mark);
        }
    }
}

/// A line behind its mark; where it is too long it goes on under itself, so that what has no mark is never a line of its own.
fn push(text: &mut String, style: Style, mark: &str, line: &str) {
    let room = WIDTH - INDENT.len() - 2;
    let characters: Vec<char> = harmless(line).chars().collect();
    let mut pieces = characters.chunks(room).map(|piece| piece.iter().collect::<String>());
    let first = pieces.next().unwrap_or_default();
    let mark = if first.is_empty() { mark.trim_end() } else { mark };
    let _ = writeln!(text, "{INDENT}{style}{mark}{style:#}{first}");
    for piece in pieces {
        let _ = writeln!(text, "{INDENT}  {piece}");
    }
}

/// A command in lines that a shell takes as one. It is folded between words only, and an option stays with its value; what
/// is too long as it is stays so.
fn folded(command: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut pieces: Vec<String> = Vec::new();
    for word in words(command) {
        match pieces.last_mut().filter(|last| last.starts_with('-') && !last.contains(' ') && !word.starts_with('-')) {
            Some(option) => *option = format!("{option} {word}"),
            None => pieces.push(word.to_owned()),
        }
    }
    for word in &pieces {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() + GOES_ON.len() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(line) => {
                line.push_str(GOES_ON);
                lines.push(format!("  {word}"));
            }
            None => lines.push(word.clone()),
        }
    }
    lines
}

/// The words of a command: a space within quotes, or behind a backslash, parts nothing.
fn words(command: &str) -> Vec<&str> {
    let (mut quote, mut is_escaped) = (None, false);
    let parts = move |c: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match (quote, c) {
            _ if was_escaped => {}
            (Some('"') | None, '\\') => is_escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, ' ') => return true,
            _ => {}
        }
        false
    };
    command.split(parts).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::testing::{journey, told};

    #[test]
    fn all_that_a_run_did_is_shown_within_the_width() {
        let plain = anstream::adapter::strip_str(&text(&told())).to_string();
        assert!(plain.lines().all(|line| line.chars().count() <= WIDTH), "{plain}");
        insta::assert_snapshot!(plain);
        assert_eq!(text(&journey()), "", "nothing was kept");
    }

    #[test]
    fn a_command_is_folded_between_its_words() {
        let command = r#"curl -H 'a: b c' -d "x \" y" 'it'\''s one' https://a.example"#;
        assert_eq!(
            words(command),
            ["curl", "-H", "'a: b c'", "-d", r#""x \" y""#, r"'it'\''s one'", "https://a.example"]
        );
        assert_eq!(
            folded(command, 24),
            [r"curl -H 'a: b c' \", r#"  -d "x \" y" \"#, r"  'it'\''s one' \", "  https://a.example"]
        );
    }
}
