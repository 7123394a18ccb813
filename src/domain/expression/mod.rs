//! Expressions: what `expect`, `warn` and `when` say about an observation.
//!
//! The language is CEL, and the crate `cel` is its parser; the evaluation is ours, because an assertion must fail closed
//! and must explain itself, and cel's own does neither: there `error || true` is true, `json.s != 5` on `"5"` is true, JSON
//! integers do not subtract, nothing bounds the cost, and a long operator chain overflows the stack and aborts the process.
//!
//! ```text
//! source ─ tokens (guard: brackets, operators) ─ cel's parser ─ check (names, shapes, functions, regexes) ─ syntax
//!                                          Scope ─ evaluate (strict, counted) ─ true │ explain
//! ```
//!
//! Where we leave CEL:
//!
//! * whole numbers and decimals are one type, compared exactly; `7 / 2` is `3.5` (`int(7 / 2)` is `3`), since a share such
//!   as `json.failed / json.total` would otherwise always be zero;
//! * `==`, `!=` and `in` between different types are errors, but null compares with all;
//! * an error in any operand that was evaluated is the end; `&&`, `||` and `?:` evaluate from left to right and stop early;
//! * `has(a.b.c)` is false when any part of the path is not there, and also takes `has(headers["x-cache"])`;
//! * a result that is no finite number is an error, so nothing is ever `NaN`;
//! * the pattern of `matches` must be a literal, so that it is compiled once, at load;
//! * keys of objects are strings; there are no bytes, timestamps, durations, types or messages: an instant is text, and
//!   `days_until(json.expires)` says how far it is from the observation.

mod calls;
mod check;
mod evaluate;
mod explain;
mod functions;
mod names;
mod parse;
mod syntax;
mod tokens;
mod value;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use explain::{Explanation, Part};
pub use names::{Name, Names, Shape};

use crate::domain::time::Timestamp;
use evaluate::Walk;
use syntax::Node;

/// Where names get their values. It is asked only for the names that are used, so that a body is parsed only where it is.
pub trait Scope {
    /// The value of a name, or why it has none, as a sentence: `the body is not JSON: …`.
    fn lookup(&self, root: &str) -> Result<Cow<'_, serde_json::Value>, String>;
    /// When the observation was made, for `days_until`: the domain reads no clock. None where nobody knows.
    fn now(&self) -> Option<Timestamp> {
        None
    }
}

/// What is wrong with an expression as it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// What is wrong.
    pub message: String,
    /// The offending piece, in bytes of the source.
    pub span: Range<usize>,
    /// What to write instead.
    pub help: Option<String>,
}

impl ExpressionError {
    fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span, help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A compiled expression. A clone shares what was compiled.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    source: String,
    root: Node,
    /// The names in scope that are mentioned.
    roots: Vec<String>,
    paths: Vec<String>,
}

impl Expression {
    /// Checks an expression against the names that it may use, and compiles it.
    pub fn compile(source: &str, names: &Names) -> Result<Self, ExpressionError> {
        let (root, roots) = check::check(source, names)?;
        let mut paths = Vec::new();
        root.collect_paths(&roots, &mut paths);
        Ok(Self(Arc::new(Compiled { source: source.to_owned(), root, roots, paths })))
    }

    /// The expression as it is written.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether this name in scope is used.
    pub fn mentions(&self, root: &str) -> bool {
        self.0.roots.iter().any(|known| known == root)
    }

    /// The dotted paths that are used, each as long as it is written out: `captures.token`, `steps.login.total_ms`.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.0.paths.iter().map(String::as_str)
    }

    /// The texts that stand in it, its patterns among them.
    pub fn texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        self.0.root.collect_texts(&mut texts);
        texts
    }

    /// Whether the expression is exactly true. Anything else explains itself.
    pub fn assert(&self, scope: &dyn Scope) -> Result<(), Explanation> {
        let cells: Vec<_> = self.0.roots.iter().map(|_| OnceCell::new()).collect();
        let mut walk = Walk::new(&self.0, scope, &cells);
        match walk.truth(&self.0.root) {
            Ok(true) => Ok(()),
            Ok(false) => Err(walk.again().explanation(&self.0.root, false)),
            Err(fault) => Err(fault.explain(self.source())),
        }
    }

    /// Whether the expression is exactly true, and either way the parts that decided with their values.
    pub fn examine(&self, scope: &dyn Scope) -> (bool, Explanation) {
        let cells: Vec<_> = self.0.roots.iter().map(|_| OnceCell::new()).collect();
        let mut walk = Walk::new(&self.0, scope, &cells);
        match walk.truth(&self.0.root) {
            Ok(held) => (held, walk.again().explanation(&self.0.root, held)),
            Err(fault) => (false, fault.explain(self.source())),
        }
    }

    /// Whether the expression is true or false, or why it is neither.
    pub fn test(&self, scope: &dyn Scope) -> Result<bool, Explanation> {
        let cells: Vec<_> = self.0.roots.iter().map(|_| OnceCell::new()).collect();
        Walk::new(&self.0, scope, &cells).truth(&self.0.root).map_err(|fault| fault.explain(self.source()))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source()).finish()
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source())
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}
