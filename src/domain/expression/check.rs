//! From cel's tree to ours, with every mistake that can be seen before anything was observed.

use std::ops::Range;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};

use super::names::{Names, Shape, ValueKind, suggest};
use super::parse::parse;
use super::syntax::{Literal, Node, NodeKind, Operator};
use super::tokens::{Tokens, too_deep};
use super::{ExpressionError, Name};

/// How many bytes an expression may have.
const SOURCE_MAX: usize = 2 * 1024;
/// How deep the parts of an expression may lie in each other.
const DEPTH_MAX: usize = 32;

/// What is known of a value before it is seen.
#[derive(Clone, Copy)]
pub(super) struct Known<'n> {
    pub(super) kind: Option<ValueKind>,
    pub(super) shape: &'n Shape,
}

impl<'n> Known<'n> {
    pub(super) const ANY: Self = Self { kind: None, shape: &Shape::Any };

    pub(super) fn kind(kind: ValueKind) -> Self {
        Self { kind: Some(kind), shape: &Shape::Any }
    }

    pub(super) fn shape(shape: &'n Shape) -> Self {
        Self { kind: shape.kind(), shape }
    }

    fn is_not(self, wanted: ValueKind) -> Option<ValueKind> {
        self.kind.filter(|kind| *kind != wanted)
    }
}

/// A node that was checked, with what is known of its value.
pub(super) type Checked<'n> = Result<(Node, Known<'n>), ExpressionError>;

/// Checks a source; gives its tree and the names in scope that it mentions.
pub(super) fn check(source: &str, names: &Names) -> Result<(Node, Vec<String>), ExpressionError> {
    if source.len() > SOURCE_MAX {
        let message = format!("this expression is {} bytes long, more than {SOURCE_MAX}", source.len());
        return Err(ExpressionError::new(message, 0..source.len()));
    }
    let tokens = Tokens::new(source)?;
    if tokens.get(0).is_none() {
        return Err(ExpressionError::new("this expression is empty", 0..source.len())
            .help("write what must be true, such as `status == 200`"));
    }
    let (tree, info) = parse(source, &tokens)?;
    let mut checker = Checker { source, names, tokens, info, roots: Vec::new(), locals: Vec::new() };
    let (root, known) = checker.node(&tree, 1)?;
    if let Some(kind) = known.is_not(ValueKind::Bool) {
        let message = format!("`{}` is {kind}: an assertion must be true or false", &source[root.span.clone()]);
        return Err(ExpressionError::new(message, root.span).help("compare it with something"));
    }
    Ok((root, checker.roots))
}

pub(super) struct Checker<'n, 's> {
    source: &'s str,
    names: &'n Names,
    pub(super) tokens: Tokens<'s>,
    info: SourceInfo,
    roots: Vec<String>,
    pub(super) locals: Vec<(String, Known<'n>)>,
}

impl<'n, 's> Checker<'n, 's> {
    pub(super) fn node(&mut self, tree: &IdedExpr, depth: usize) -> Checked<'n> {
        let span = self.anchor(tree);
        if depth > DEPTH_MAX {
            return Err(too_deep(span));
        }
        match &tree.expr {
            Expr::Literal(literal) => self.literal(literal, span),
            Expr::Ident(name) => self.name(name, span),
            Expr::Select(select) => {
                let (operand, known) = self.node(&select.operand, depth + 1)?;
                let word = self.tokens.get(self.tokens.at(span.start) + 1).map_or(span.clone(), |t| t.span.clone());
                let below = self.below(&operand, known, &select.field, word.clone())?;
                let span = self.tokens.balanced(operand.span.start..word.end);
                Ok((Node { kind: NodeKind::Select(Box::new(operand), select.field.clone()), span }, below))
            }
            Expr::List(list) => {
                let elements = list.elements.iter().map(|element| Ok(self.node(element, depth + 1)?.0));
                let elements = elements.collect::<Result<Vec<_>, ExpressionError>>()?;
                let span = self.tokens.balanced(span);
                Ok((Node { kind: NodeKind::List(elements), span }, Known::kind(ValueKind::List)))
            }
            Expr::Map(map) => {
                let mut entries = Vec::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    let (key, known) = self.node(&entry.key, depth + 1)?;
                    self.want(&key, known, ValueKind::Text, "a key")?;
                    entries.push((key, self.node(&entry.value, depth + 1)?.0));
                }
                let span = self.tokens.balanced(span);
                Ok((Node { kind: NodeKind::Map(entries), span }, Known::kind(ValueKind::Map)))
            }
            Expr::Call(call) => self.call(call, span, depth),
            Expr::Struct(_) => Err(ExpressionError::new("there are no messages here", self.tokens.balanced(span))),
            Expr::Comprehension(_) | Expr::Unspecified => Err(ExpressionError::new("this is not an expression", span)),
        }
    }

    /// Where the parser says that a node is: at its operator, for most of them.
    pub(super) fn anchor(&self, tree: &IdedExpr) -> Range<usize> {
        let (start, _) = self.info.offset_for(tree.id).unwrap_or_default();
        let index = self.tokens.at(usize::try_from(start).unwrap_or_default());
        self.tokens.get(index).map_or(0..self.source.len(), |token| token.span.clone())
    }

    /// The balanced range of an operator and its operands.
    pub(super) fn around(&self, operator: &Range<usize>, operands: &[&Node]) -> Range<usize> {
        let start = operands.iter().map(|node| node.span.start).fold(operator.start, usize::min);
        let end = operands.iter().map(|node| node.span.end).fold(operator.end, usize::max);
        self.tokens.balanced(start..end)
    }

    pub(super) fn text(&self, node: &Node) -> &'s str {
        &self.source[node.span.clone()]
    }

    fn literal(&self, literal: &LiteralValue, span: Range<usize>) -> Checked<'n> {
        let (literal, kind) = match literal {
            LiteralValue::Null => (Literal::Null, ValueKind::Null),
            LiteralValue::Boolean(truth) => (Literal::Bool(*truth.inner()), ValueKind::Bool),
            LiteralValue::Int(number) => (Literal::Int(*number.inner()), ValueKind::Number),
            LiteralValue::UInt(number) => {
                let number = *number.inner();
                (i64::try_from(number).map_or(Literal::Double(number as f64), Literal::Int), ValueKind::Number)
            }
            LiteralValue::Double(number) => (Literal::Double(*number.inner()), ValueKind::Number),
            LiteralValue::String(text) => (Literal::Text(text.inner().to_owned()), ValueKind::Text),
            LiteralValue::Bytes(_) => {
                return Err(ExpressionError::new("there are no bytes here: write a string", span));
            }
        };
        // The parser marks a negative number without its sign.
        let negative = matches!(literal, Literal::Int(n) if n < 0) || matches!(literal, Literal::Double(n) if n < 0.0);
        let sign = self.tokens.before(span.start).filter(|index| negative && self.tokens.text(*index) == "-");
        let start = sign.and_then(|index| self.tokens.get(index)).map_or(span.start, |token| token.span.start);
        Ok((Node { kind: NodeKind::Literal(literal), span: start..span.end }, Known::kind(kind)))
    }

    fn name(&mut self, name: &str, span: Range<usize>) -> Checked<'n> {
        if let Some(place) = self.locals.iter().rposition(|(local, _)| local == name) {
            let known = self.locals[place].1;
            return Ok((Node { kind: NodeKind::Local(place), span }, known));
        }
        let Some(Name { shape, .. }) = self.names.get(name) else {
            return Err(self.unknown_name(name, span));
        };
        let root = self.roots.iter().position(|root| root == name).unwrap_or_else(|| {
            self.roots.push(name.to_owned());
            self.roots.len() - 1
        });
        Ok((Node { kind: NodeKind::Root(root), span }, Known::shape(shape)))
    }

    fn unknown_name(&self, name: &str, span: Range<usize>) -> ExpressionError {
        let error = ExpressionError::new(format!("there is no `{name}` here"), span.clone());
        // `json.my-field` is a subtraction: say so where the dash touches both words.
        let dash = span.start.checked_sub(1).filter(|at| {
            self.source[..span.start].ends_with('-')
                && self.source[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        });
        if let Some(at) = dash {
            let word = self.tokens.before(at).map_or("", |index| self.tokens.text(index));
            return error.help(format!("for a field with a dash write `[\"{word}-{name}\"]`"));
        }
        let words = self.names.iter().map(|known| known.name.as_ref());
        let words = words.chain(self.locals.iter().map(|(local, _)| local.as_str()));
        match suggest(name, words, "the names here are") {
            Some(help) => error.help(help),
            None => error,
        }
    }

    /// What is known of a field, or that there is no such field.
    fn below(
        &self,
        operand: &Node,
        known: Known<'n>,
        field: &str,
        span: Range<usize>,
    ) -> Result<Known<'n>, ExpressionError> {
        match (known.shape, known.kind) {
            (Shape::Fields(fields), _) => {
                if let Some(name) = fields.iter().find(|name| name.name == field) {
                    return Ok(Known::shape(&name.shape));
                }
                let error = ExpressionError::new(format!("`{}` has no `{field}`", self.text(operand)), span);
                // `a.b-c` is a subtraction: a name with a dash is asked for in brackets.
                let dashed =
                    fields.iter().find(|name| name.name.strip_prefix(field).is_some_and(|rest| rest.starts_with('-')));
                if let Some(dashed) = dashed {
                    return Err(error.help(format!("write `{}[\"{}\"]`", self.text(operand), dashed.name)));
                }
                Err(match suggest(field, fields.iter().map(|name| name.name.as_ref()), "it has") {
                    Some(help) => error.help(help),
                    None => error,
                })
            }
            (Shape::Map(shape), _) => Ok(Known::shape(shape)),
            (_, None | Some(ValueKind::Map)) => Ok(Known::ANY),
            (_, Some(kind)) => {
                Err(ExpressionError::new(format!("`{}` is {kind}: it has no `{field}`", self.text(operand)), span))
            }
        }
    }

    /// An error where something is known to be of another kind than it must be.
    pub(super) fn want(
        &self,
        node: &Node,
        known: Known<'_>,
        wanted: ValueKind,
        who: &str,
    ) -> Result<(), ExpressionError> {
        match known.is_not(wanted) {
            Some(kind) => Err(ExpressionError::new(
                format!("`{}` is {kind}: {who} must be {wanted}", self.text(node)),
                node.span.clone(),
            )),
            None => Ok(()),
        }
    }

    fn call(&mut self, call: &CallExpr, span: Range<usize>, depth: usize) -> Checked<'n> {
        let operator = match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, yes, no]) => return self.choice([condition, yes, no], &span, depth),
            (operators::LOGICAL_AND | operators::LOGICAL_OR, _) => return self.chain(call, &span, depth),
            (operators::LOGICAL_NOT, [operand]) => {
                let (operand, known) = self.node(operand, depth + 1)?;
                self.want(&operand, known, ValueKind::Bool, "what `!` turns around")?;
                let span = self.around(&span, &[&operand]);
                return Ok((Node { kind: NodeKind::Not(Box::new(operand)), span }, Known::kind(ValueKind::Bool)));
            }
            (operators::NEGATE, [operand]) => {
                let (operand, known) = self.node(operand, depth + 1)?;
                self.want(&operand, known, ValueKind::Number, "what `-` turns around")?;
                let span = self.around(&span, &[&operand]);
                return Ok((Node { kind: NodeKind::Negate(Box::new(operand)), span }, Known::kind(ValueKind::Number)));
            }
            (operators::INDEX, [operand, index]) => return self.index(operand, index, &span, depth),
            (operators::ADD, _) => Operator::Add,
            (operators::SUBSTRACT, _) => Operator::Subtract,
            (operators::MULTIPLY, _) => Operator::Multiply,
            (operators::DIVIDE, _) => Operator::Divide,
            (operators::MODULO, _) => Operator::Remainder,
            (operators::EQUALS, _) => Operator::Equal,
            (operators::NOT_EQUALS, _) => Operator::NotEqual,
            (operators::LESS, _) => Operator::Less,
            (operators::LESS_EQUALS, _) => Operator::LessOrEqual,
            (operators::GREATER, _) => Operator::Greater,
            (operators::GREATER_EQUALS, _) => Operator::GreaterOrEqual,
            (operators::IN, _) => Operator::In,
            (name, _) => return self.function(name, call, span, depth),
        };
        match call.args.as_slice() {
            [left, right] => self.binary(operator, left, right, &span, depth),
            _ => Err(ExpressionError::new("this is not an expression", span)),
        }
    }

    fn choice(&mut self, parts: [&IdedExpr; 3], operator: &Range<usize>, depth: usize) -> Checked<'n> {
        let (condition, known) = self.node(parts[0], depth + 1)?;
        self.want(&condition, known, ValueKind::Bool, "the condition of `?`")?;
        let (yes, known_yes) = self.node(parts[1], depth + 1)?;
        let (no, known_no) = self.node(parts[2], depth + 1)?;
        let known =
            if known_yes.kind == known_no.kind { Known { shape: &Shape::Any, ..known_yes } } else { Known::ANY };
        let span = self.around(operator, &[&condition, &yes, &no]);
        Ok((Node { kind: NodeKind::Choice(Box::new([condition, yes, no])), span }, known))
    }

    /// All terms of an `&&` or `||`, from left to right. The parser balances them, so a chain costs one level.
    fn chain(&mut self, call: &CallExpr, operator: &Range<usize>, depth: usize) -> Checked<'n> {
        let mut terms = Vec::new();
        let mut open: Vec<&IdedExpr> = call.args.iter().rev().collect();
        while let Some(term) = open.pop() {
            match &term.expr {
                Expr::Call(inner) if inner.func_name == call.func_name => open.extend(inner.args.iter().rev()),
                _ => {
                    let (node, known) = self.node(term, depth + 1)?;
                    self.want(&node, known, ValueKind::Bool, "each side of `&&` and `||`")?;
                    terms.push(node);
                }
            }
        }
        let span = self.around(operator, &terms.iter().collect::<Vec<_>>());
        let kind = if call.func_name == operators::LOGICAL_AND { NodeKind::And(terms) } else { NodeKind::Or(terms) };
        Ok((Node { kind, span }, Known::kind(ValueKind::Bool)))
    }

    fn index(&mut self, operand: &IdedExpr, index: &IdedExpr, bracket: &Range<usize>, depth: usize) -> Checked<'n> {
        let (operand, known) = self.node(operand, depth + 1)?;
        let (index, key) = self.node(index, depth + 1)?;
        let below = match (&index.kind, known.kind) {
            (NodeKind::Literal(Literal::Text(field)), _) => self.below(&operand, known, field, index.span.clone())?,
            (_, Some(ValueKind::List)) => {
                self.want(&index, key, ValueKind::Number, "the place in a list")?;
                if let Shape::List(shape) = known.shape { Known::shape(shape) } else { Known::ANY }
            }
            (_, Some(ValueKind::Map)) => {
                self.want(&index, key, ValueKind::Text, "a key")?;
                if let Shape::Map(shape) = known.shape { Known::shape(shape) } else { Known::ANY }
            }
            (_, None) => Known::ANY,
            (_, Some(kind)) => {
                let message = format!("`{}` is {kind}: nothing is below it", self.text(&operand));
                return Err(ExpressionError::new(message, operand.span));
            }
        };
        let span = self.around(bracket, &[&operand]);
        Ok((Node { kind: NodeKind::Index(Box::new(operand), Box::new(index)), span }, below))
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: &IdedExpr,
        right: &IdedExpr,
        sign: &Range<usize>,
        depth: usize,
    ) -> Checked<'n> {
        let (left, a) = self.node(left, depth + 1)?;
        let (right, b) = self.node(right, depth + 1)?;
        let span = self.around(sign, &[&left, &right]);
        let symbol = operator.symbol();
        let known = match operator {
            Operator::Equal | Operator::NotEqual => {
                if let (Some(a), Some(b)) = (a.kind, b.kind)
                    && ![a, b].contains(&ValueKind::Null)
                {
                    self.same_kind((&left, a), (&right, b), &span)?;
                }
                ValueKind::Bool
            }
            Operator::In => {
                if let NodeKind::List(elements) = &right.kind {
                    for element in elements {
                        if let (Some(a), Some(b)) = (a.kind, literal_kind(element))
                            && ![a, b].contains(&ValueKind::Null)
                        {
                            self.same_kind((&left, a), (element, b), &element.span)?;
                        }
                    }
                }
                match b.kind {
                    None | Some(ValueKind::List) => {}
                    Some(ValueKind::Map) => self.want(&left, a, ValueKind::Text, "a key")?,
                    Some(kind) => {
                        let message = format!("`{}` is {kind}: `in` needs a list or an object", self.text(&right));
                        return Err(ExpressionError::new(message, right.span));
                    }
                }
                ValueKind::Bool
            }
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                for (node, known) in [(&left, a), (&right, b)] {
                    if known.kind.is_some_and(|kind| !matches!(kind, ValueKind::Number | ValueKind::Text)) {
                        let who = format!("each side of `{symbol}`");
                        self.want(node, known, ValueKind::Number, &who)?;
                    }
                }
                if let (Some(a), Some(b)) = (a.kind, b.kind) {
                    self.same_kind((&left, a), (&right, b), &span)?;
                }
                ValueKind::Bool
            }
            Operator::Add if a.kind.or(b.kind).is_none() => {
                return Ok((
                    Node { kind: NodeKind::Binary(operator, Box::new(left), Box::new(right)), span },
                    Known::ANY,
                ));
            }
            Operator::Add if matches!(a.kind.or(b.kind), Some(ValueKind::Text | ValueKind::List)) => {
                let kind = a.kind.or(b.kind).unwrap_or(ValueKind::Text);
                for (node, known) in [(&left, a), (&right, b)] {
                    self.want(node, known, kind, "the other side of `+`")?;
                }
                kind
            }
            _ => {
                for (node, known) in [(&left, a), (&right, b)] {
                    self.want(node, known, ValueKind::Number, &format!("each side of `{symbol}`"))?;
                }
                ValueKind::Number
            }
        };
        Ok((Node { kind: NodeKind::Binary(operator, Box::new(left), Box::new(right)), span }, Known::kind(known)))
    }

    fn same_kind(
        &self,
        left: (&Node, ValueKind),
        right: (&Node, ValueKind),
        span: &Range<usize>,
    ) -> Result<(), ExpressionError> {
        if left.1 == right.1 {
            return Ok(());
        }
        let message = format!("`{}` is {}, `{}` is {}", self.text(left.0), left.1, self.text(right.0), right.1);
        let error = ExpressionError::new(message, span.clone());
        // The usual slip is a number in quotes.
        let quoted = [(left, right), (right, left)].into_iter().find_map(|((node, _), (_, other))| match &node.kind {
            NodeKind::Literal(Literal::Text(text)) if other == ValueKind::Number && text.parse::<f64>().is_ok() => {
                Some(text.clone())
            }
            _ => None,
        });
        Err(match quoted {
            Some(number) => error.help(format!("write `{number}` without quotes")),
            None => error,
        })
    }
}

fn literal_kind(node: &Node) -> Option<ValueKind> {
    match &node.kind {
        NodeKind::Literal(Literal::Null) => Some(ValueKind::Null),
        NodeKind::Literal(Literal::Bool(_)) => Some(ValueKind::Bool),
        NodeKind::Literal(Literal::Int(_) | Literal::Double(_)) => Some(ValueKind::Number),
        NodeKind::Literal(Literal::Text(_)) => Some(ValueKind::Text),
        _ => None,
    }
}
