//! The call of cel's parser, and its errors in our words.

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::{Env, ParseError};

use super::ExpressionError;
use super::tokens::{TokenKind, Tokens};

/// The tree of a source that was guarded. The environment is one without macros: they are checked and evaluated as what
/// was written, not as what they expand to.
pub(super) fn parse(source: &str, tokens: &Tokens<'_>) -> Result<(IdedExpr, SourceInfo), ExpressionError> {
    let parsed = Env::default().parser().parse_with_source_info(source);
    parsed.map_err(|errors| parse_error(source, tokens, errors.errors.first()))
}

/// cel's errors speak of its grammar; ours speak of the word at the place.
fn parse_error(source: &str, tokens: &Tokens<'_>, error: Option<&ParseError>) -> ExpressionError {
    let Some(error) = error else {
        return ExpressionError::new("this is not an expression", 0..source.len());
    };
    let (line, column) = (usize::try_from(error.pos.0).unwrap_or(1), usize::try_from(error.pos.1).unwrap_or(1));
    let before: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &source[before..];
    let byte = before + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(index, _)| index);
    let index = tokens.at(byte);
    let Some(token) = tokens.get(index).filter(|token| byte < token.span.end) else {
        return ExpressionError::new("this expression ends too early", source.len()..source.len())
            .help("something is missing after its last sign");
    };
    let (word, span) = (tokens.text(index), token.span.clone());
    let message = if error.msg.starts_with("reserved identifier") {
        format!("`{word}` is a reserved word")
    } else if error.msg.contains("int literal") || error.msg.contains("double literal") {
        format!("`{word}` is too large a number")
    } else if token.kind == TokenKind::Text {
        format!("`{word}` is not a valid string")
    } else {
        format!("`{word}` cannot stand here")
    };
    let error = ExpressionError::new(message, span);
    match word {
        "and" => error.help("write `&&` for and"),
        "or" => error.help("write `||` for or"),
        "not" => error.help("write `!` for not"),
        _ if token.kind == TokenKind::Word && index > 0 && tokens.text(index - 1) == "." => {
            error.help(format!("write `[\"{word}\"]` for a field of this name"))
        }
        _ if token.kind == TokenKind::Text && word.contains('\\') => {
            error.help("write `\\\\` for a backslash, or a raw string: `r\"…\"`")
        }
        _ if tokens.text(index.saturating_sub(1)) == "not" => error.help("write `!` for not"),
        _ => error,
    }
}
