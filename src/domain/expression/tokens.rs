//! The source as tokens: the guard before the parser, and the spans that the parser does not give.
//!
//! cel's parser recurses once for each bracket and each operator of a chain, and a stack that overflows aborts the process.
//! So nothing goes to the parser before its brackets and operators have been counted here. The same tokens then turn the
//! parser's points (it marks a node by its operator alone) into whole ranges of the source.

use std::ops::Range;

use super::ExpressionError;

/// Twice the depth of a tree that is allowed, since the count below cannot see how operators bind.
const WEIGHT_MAX: usize = 64;
/// Each bracket costs the parser some ten stack frames.
const BRACKETS_MAX: usize = 24;

/// What a token is, as far as the guard and the spans must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Word,
    Number,
    Text,
    Open,
    Close,
    Symbol,
}

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
    /// The index of the other bracket; of itself for all other tokens.
    pub(super) partner: usize,
}

/// All tokens of a source whose brackets match and which is safe to parse.
pub(super) struct Tokens<'s> {
    source: &'s str,
    tokens: Vec<Token>,
}

impl<'s> Tokens<'s> {
    /// Splits the source and guards the parser.
    pub(super) fn new(source: &'s str) -> Result<Self, ExpressionError> {
        let mut tokens = split(source)?;
        pair_brackets(source, &mut tokens)?;
        guard(source, &tokens)?;
        Ok(Self { source, tokens })
    }

    pub(super) fn text(&self, index: usize) -> &'s str {
        self.tokens.get(index).map_or("", |token| &self.source[token.span.clone()])
    }

    pub(super) fn get(&self, index: usize) -> Option<&Token> {
        self.tokens.get(index)
    }

    /// The token that stands at a byte of the source, or the last one before it.
    pub(super) fn at(&self, byte: usize) -> usize {
        self.tokens.partition_point(|token| token.span.start <= byte).saturating_sub(1)
    }

    /// The token just before a byte of the source, and its index.
    pub(super) fn before(&self, byte: usize) -> Option<usize> {
        self.tokens.partition_point(|token| token.span.start < byte).checked_sub(1)
    }

    /// The smallest range that holds `span` and in which every bracket has its partner.
    pub(super) fn balanced(&self, span: Range<usize>) -> Range<usize> {
        let (mut first, mut last) = (self.at(span.start), self.at(span.end.saturating_sub(1)));
        loop {
            let (low, high) =
                self.tokens.get(first..=last).unwrap_or_default().iter().fold((first, last), |range, t| {
                    if matches!(t.kind, TokenKind::Open | TokenKind::Close) {
                        (range.0.min(t.partner), range.1.max(t.partner))
                    } else {
                        range
                    }
                });
            if (low, high) == (first, last) {
                break;
            }
            (first, last) = (low, high);
        }
        match (self.tokens.get(first), self.tokens.get(last)) {
            (Some(low), Some(high)) => low.span.start..high.span.end,
            _ => span,
        }
    }
}

fn split(source: &str) -> Result<Vec<Token>, ExpressionError> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        let after_dot = || tokens.last().is_some_and(|t| &source[t.span.clone()] == ".");
        let (kind, length) = if first.is_ascii_whitespace() {
            at += 1;
            continue;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if let Some(length) = text_length(rest, at)? {
            (TokenKind::Text, length)
        } else if first.is_ascii_alphabetic() || first == '_' {
            (TokenKind::Word, rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len()))
        } else if first.is_ascii_digit() || (first == '.' && !after_dot() && starts_decimal(rest)) {
            (TokenKind::Number, number_length(rest))
        } else if matches!(first, '(' | '[' | '{') {
            (TokenKind::Open, 1)
        } else if matches!(first, ')' | ']' | '}') {
            (TokenKind::Close, 1)
        } else if ["==", "!=", "<=", ">=", "&&", "||"].iter().any(|symbol| rest.starts_with(symbol)) {
            (TokenKind::Symbol, 2)
        } else if matches!(first, '.' | ',' | '+' | '-' | '*' | '/' | '%' | '<' | '>' | '?' | ':' | '!') {
            (TokenKind::Symbol, 1)
        } else {
            let error = ExpressionError::new(
                format!("`{}` has no meaning here", first.escape_debug()),
                at..at + first.len_utf8(),
            );
            return Err(match first {
                '=' => error.help("write `==` to compare"),
                '&' => error.help("write `&&` for and"),
                '|' => error.help("write `||` for or"),
                '`' => error.help("write `[\"…\"]` for a field whose name is not a word"),
                _ => error,
            });
        };
        tokens.push(Token { kind, span: at..at + length, partner: tokens.len() });
        at += length;
    }
    Ok(tokens)
}

fn starts_decimal(rest: &str) -> bool {
    rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
}

fn number_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let hexadecimal = rest.starts_with("0x");
    let mut length = 0;
    while let Some(&byte) = bytes.get(length) {
        let sign = matches!(byte, b'+' | b'-') && !hexadecimal && matches!(bytes[length - 1], b'e' | b'E');
        let point = byte == b'.' && bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
        if !(byte.is_ascii_alphanumeric() || (length > 0 && sign) || point) {
            break;
        }
        length += 1;
    }
    length
}

/// The length of the string literal that begins here, or none where no string literal begins.
fn text_length(rest: &str, at: usize) -> Result<Option<usize>, ExpressionError> {
    let prefix = rest.bytes().take_while(|byte| matches!(byte, b'r' | b'R' | b'b' | b'B')).count();
    let Some(quote) = rest[prefix..].chars().next().filter(|c| prefix <= 2 && matches!(c, '"' | '\'')) else {
        return Ok(None);
    };
    let raw = rest[..prefix].contains(['r', 'R']);
    let triple: String = [quote; 3].iter().collect();
    let end = if rest[prefix..].starts_with(&triple) { triple.as_str() } else { &triple[..1] };
    let mut escaped = false;
    for (index, c) in rest.char_indices().skip_while(|(index, _)| *index < prefix + end.len()) {
        if !raw && c == '\\' && !escaped {
            escaped = true;
        } else if !escaped && rest[index..].starts_with(end) {
            return Ok(Some(index + end.len()));
        } else {
            escaped = false;
        }
    }
    Err(ExpressionError::new("this string has no end", at..at + rest.len()).help(format!("close it with `{end}`")))
}

fn pair_brackets(source: &str, tokens: &mut [Token]) -> Result<(), ExpressionError> {
    let mut open: Vec<usize> = Vec::new();
    for index in 0..tokens.len() {
        let (kind, span) = (tokens[index].kind, tokens[index].span.clone());
        if kind == TokenKind::Open {
            open.push(index);
            if open.len() > BRACKETS_MAX {
                return Err(ExpressionError::new(
                    format!("this expression has more than {BRACKETS_MAX} brackets inside each other"),
                    span,
                ));
            }
        } else if kind == TokenKind::Close {
            let close = &source[span.clone()];
            let partner = open
                .pop()
                .filter(|&o| matches!((&source[tokens[o].span.clone()], close), ("(", ")") | ("[", "]") | ("{", "}")));
            let Some(partner) = partner else {
                return Err(ExpressionError::new(format!("`{close}` closes nothing"), span));
            };
            tokens[index].partner = partner;
            tokens[partner].partner = index;
        }
    }
    match open.pop() {
        Some(index) => {
            let span = tokens[index].span.clone();
            Err(ExpressionError::new(format!("`{}` is never closed", &source[span.clone()]), span))
        }
        None => Ok(()),
    }
}

/// An upper bound of the depth of the tree. An operator chain is as deep as it is long; `&&` and `||` are not, since the
/// parser balances them, but a `?:` nests to the right past both.
fn guard(source: &str, tokens: &[Token]) -> Result<(), ExpressionError> {
    #[derive(Default)]
    struct Level {
        chain: usize,
        inside: usize,
        choices: usize,
        deepest: usize,
    }
    impl Level {
        fn end_chain(&mut self) {
            self.deepest = self.deepest.max(self.chain + self.inside);
            (self.chain, self.inside) = (0, 0);
        }
        fn weight(&self) -> usize {
            self.choices + self.deepest.max(self.chain + self.inside)
        }
    }
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    for token in tokens {
        match token.kind {
            TokenKind::Open => {
                level.chain += 1;
                outer.push(std::mem::take(&mut level));
            }
            TokenKind::Close => {
                let weight = level.weight();
                level = outer.pop().unwrap_or_default();
                level.inside = level.inside.max(weight);
            }
            TokenKind::Symbol | TokenKind::Word => match &source[token.span.clone()] {
                "&&" | "||" | "," | ":" => level.end_chain(),
                "?" => {
                    level.end_chain();
                    level.choices += 1;
                }
                "in" => level.chain += 1,
                _ if token.kind == TokenKind::Symbol => level.chain += 1,
                _ => {}
            },
            TokenKind::Number | TokenKind::Text => {}
        }
        if level.weight() > WEIGHT_MAX {
            return Err(too_deep(token.span.clone()));
        }
    }
    Ok(())
}

/// The error of an expression whose tree is too deep.
pub(super) fn too_deep(span: Range<usize>) -> ExpressionError {
    ExpressionError::new("this expression has too many operators inside each other", span)
        .help("split it: every entry of the list is an assertion of its own")
}
