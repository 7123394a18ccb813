//! Checks of calls: functions, and the macros that walk a list or look before they reach.

use std::ops::Range;

use cel::common::ast::{CallExpr, Expr};
use regex::RegexBuilder;

use super::ExpressionError;
use super::check::{Checked, Checker, Known};
use super::functions::{FUNCTIONS, Function};
use super::names::{Shape, ValueKind, suggest};
use super::syntax::{Each, Literal, Node, NodeKind, Quantifier};

/// How many lists may be walked inside each other.
const NESTING_MAX: usize = 2;
/// How large a pattern may be once it is compiled.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// The macros: syntax rather than functions, since they bind a variable or look before they reach.
const MACROS: [&str; 6] = ["has", "all", "exists", "exists_one", "map", "filter"];

impl<'n> Checker<'n, '_> {
    pub(super) fn function(&mut self, name: &str, call: &CallExpr, bracket: Range<usize>, depth: usize) -> Checked<'n> {
        let word = self.tokens.before(bracket.start).and_then(|index| self.tokens.get(index));
        let word = word.map_or(bracket.clone(), |token| token.span.clone());
        if MACROS.contains(&name) || name == "existsOne" {
            return self.expand(name, call, &bracket, word, depth);
        }
        let Some(signature) = FUNCTIONS.iter().find(|signature| signature.name == name) else {
            let error = ExpressionError::new(format!("there is no function `{name}`"), word);
            let known = FUNCTIONS.iter().map(|signature| signature.name).chain(MACROS);
            return Err(match suggest(name, known, "the functions are") {
                Some(help) => error.help(help),
                None => error,
            });
        };
        match &call.target {
            None if !signature.global => {
                return Err(ExpressionError::new(format!("`{name}` is called on a value"), word)
                    .help(format!("write `x.{name}(…)`")));
            }
            Some(_) if !signature.method => {
                return Err(ExpressionError::new(format!("`{name}` is not called on a value"), word)
                    .help(format!("write `{name}(x)`")));
            }
            _ => {}
        }
        let arguments = call.target.as_deref().into_iter().chain(&call.args);
        let arguments = arguments.map(|argument| self.node(argument, depth + 1)).collect::<Result<Vec<_>, _>>()?;
        if arguments.len() != signature.takes.len() {
            let before = usize::from(call.target.is_some());
            let (wanted, given) = (signature.takes.len() - before, arguments.len() - before);
            return Err(arity(name, wanted, given, self.tokens.balanced(bracket)));
        }
        for ((node, known), wanted) in arguments.iter().zip(signature.takes) {
            if let Some(wanted) = wanted {
                self.want(node, *known, *wanted, &format!("what `{name}` takes"))?;
            }
        }
        let mut arguments: Vec<Node> = arguments.into_iter().map(|(node, _)| node).collect();
        let span = self.around(&(word.start..bracket.end), &arguments.iter().collect::<Vec<_>>());
        let kind = if signature.function == Function::Matches {
            let (Some(pattern), Some(text)) = (arguments.pop(), arguments.pop()) else {
                return Err(arity(name, 1, 0, span));
            };
            NodeKind::Matches(Box::new(text), compiled(&pattern)?)
        } else {
            NodeKind::Call(signature.function, arguments)
        };
        Ok((Node { kind, span }, Known::kind(signature.gives)))
    }

    fn expand(
        &mut self,
        name: &str,
        call: &CallExpr,
        bracket: &Range<usize>,
        word: Range<usize>,
        depth: usize,
    ) -> Checked<'n> {
        let (quantifier, wanted) = match (name, call.target.is_some()) {
            ("has", false) => return self.has(call, bracket, &word, depth),
            ("has", true) => {
                return Err(ExpressionError::new("`has` is not called on a value", word).help("write `has(json.a)`"));
            }
            (_, false) => {
                return Err(ExpressionError::new(format!("`{name}` is called on a list"), word)
                    .help(format!("write `x.{name}(i, …)`")));
            }
            ("all", _) => (Quantifier::All, 2),
            ("exists", _) => (Quantifier::Exists, 2),
            ("map", _) => (Quantifier::Map, call.args.len().clamp(2, 3)),
            ("filter", _) => (Quantifier::Filter, 2),
            _ => (Quantifier::ExistsOne, 2),
        };
        let (Some(target), [variable, rest @ ..]) = (&call.target, call.args.as_slice()) else {
            return Err(arity(name, wanted, call.args.len(), self.tokens.balanced(bracket.clone())));
        };
        if call.args.len() != wanted {
            return Err(arity(name, wanted, call.args.len(), self.tokens.balanced(bracket.clone())));
        }
        let (range, known) = self.node(target, depth + 1)?;
        if let Some(kind) = known.kind.filter(|kind| !matches!(kind, ValueKind::List | ValueKind::Map)) {
            let message = format!("`{}` is {kind}, neither a list nor an object", self.text(&range));
            return Err(ExpressionError::new(message, range.span));
        }
        let Expr::Ident(variable_name) = &variable.expr else {
            return Err(ExpressionError::new(format!("`{name}` needs a name first"), self.anchor(variable))
                .help(format!("write `x.{name}(i, …)`")));
        };
        if self.locals.len() >= NESTING_MAX {
            return Err(ExpressionError::new(
                format!("more than {NESTING_MAX} lists are walked inside each other"),
                word,
            ));
        }
        let element = match (known.kind, known.shape) {
            (_, Shape::List(shape)) => Known::shape(shape),
            (Some(ValueKind::Map), _) => Known::kind(ValueKind::Text),
            _ => Known::ANY,
        };
        self.locals.push((variable_name.clone(), element));
        let bodies = rest.iter().map(|body| self.node(body, depth + 1)).collect::<Result<Vec<_>, _>>();
        self.locals.pop();
        let mut bodies = bodies?;
        for (index, (body, known)) in bodies.iter().enumerate() {
            if quantifier != Quantifier::Map || (bodies.len() == 2 && index == 0) {
                self.want(body, *known, ValueKind::Bool, &format!("the condition of `{name}`"))?;
            }
        }
        let Some((body, _)) = bodies.pop() else {
            return Err(arity(name, wanted, call.args.len(), bracket.clone()));
        };
        let filter = bodies.pop().map(|(filter, _)| filter);
        let span = self.around(bracket, &[&range]);
        let truth = matches!(quantifier, Quantifier::All | Quantifier::Exists | Quantifier::ExistsOne);
        let known = Known::kind(if truth { ValueKind::Bool } else { ValueKind::List });
        let each = Each { quantifier, variable: variable_name.clone(), range, filter, body };
        Ok((Node { kind: NodeKind::Each(Box::new(each)), span }, known))
    }

    fn has(&mut self, call: &CallExpr, bracket: &Range<usize>, word: &Range<usize>, depth: usize) -> Checked<'n> {
        let span = self.tokens.balanced(word.start..bracket.end);
        let [path] = call.args.as_slice() else {
            return Err(arity("has", 1, call.args.len(), span));
        };
        let (path, _) = self.node(path, depth + 1)?;
        if !matches!(path.kind, NodeKind::Select(..) | NodeKind::Index(..)) {
            return Err(ExpressionError::new("`has` needs a path", path.span).help("write `has(json.a)`"));
        }
        Ok((Node { kind: NodeKind::Has(Box::new(path)), span }, Known::kind(ValueKind::Bool)))
    }
}

fn arity(name: &str, wanted: usize, given: usize, span: Range<usize>) -> ExpressionError {
    let plural = if wanted == 1 { "argument" } else { "arguments" };
    ExpressionError::new(format!("`{name}` takes {wanted} {plural}, not {given}"), span)
}

fn compiled(pattern: &Node) -> Result<regex::Regex, ExpressionError> {
    let NodeKind::Literal(Literal::Text(text)) = &pattern.kind else {
        return Err(ExpressionError::new(
            "the pattern of `matches` must be written out as a string",
            pattern.span.clone(),
        ));
    };
    let built =
        RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).nest_limit(50).build();
    built.map_err(|error| {
        let why = match &error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            other => {
                let text = other.to_string();
                text.rsplit("error: ").next().unwrap_or_default().trim().to_owned()
            }
        };
        ExpressionError::new(format!("this pattern is not a regular expression: {why}"), pattern.span.clone())
    })
}
