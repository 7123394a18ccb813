//! The walk over the tree: strict where CEL forgives.
//!
//! Left to right, and every error in what was evaluated ends the walk: CEL's own `error || true` is true, which would let
//! an assertion about a field that is not there pass.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::Value as Json;

use super::explain::Fault;
use super::names::ValueKind;
use super::syntax::{Each, Literal, Node, NodeKind, Operator, Quantifier};
use super::value::Value;
use super::{Compiled, Scope};

/// How many nodes one assertion may evaluate. A step also pays for each pair of elements and each KiB of text.
const STEPS_MAX: usize = 100_000;

/// One evaluation of one expression.
pub(super) struct Walk<'a> {
    pub(super) compiled: &'a Compiled,
    scope: &'a dyn Scope,
    /// The values of the names in scope, looked up at their first use.
    cells: &'a [OnceCell<Result<Cow<'a, Json>, String>>],
    locals: Vec<Value<'a>>,
    steps: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        compiled: &'a Compiled,
        scope: &'a dyn Scope,
        cells: &'a [OnceCell<Result<Cow<'a, Json>, String>>],
    ) -> Self {
        Self { compiled, scope, cells, locals: Vec::new(), steps: 0 }
    }

    /// Begins anew, with the values that were looked up already.
    pub(super) fn again(&self) -> Self {
        Self::new(self.compiled, self.scope, self.cells)
    }

    pub(super) fn text(&self, node: &Node) -> &'a str {
        self.compiled.source.get(node.span.clone()).unwrap_or_default()
    }

    pub(super) fn value(&mut self, node: &'a Node) -> Result<Value<'a>, Fault> {
        self.spend(1)?;
        match &node.kind {
            NodeKind::Literal(literal) => Ok(match literal {
                Literal::Null => Value::Null,
                Literal::Bool(truth) => Value::Bool(*truth),
                Literal::Int(number) => Value::Int(*number),
                Literal::Double(number) => Value::Double(*number),
                Literal::Text(text) => Value::Text(text.as_str().into()),
            }),
            NodeKind::Root(root) => self.root(*root),
            NodeKind::Local(local) => Ok(self.locals.get(*local).cloned().unwrap_or(Value::Null)),
            NodeKind::Select(operand, field) => {
                let value = self.value(operand)?;
                value.field(field).ok_or_else(|| self.missing(node, operand, &value, field))
            }
            NodeKind::Index(operand, index) => {
                let value = self.value(operand)?;
                let key = self.value(index)?;
                self.indexed(node, operand, &value, index, &key)
            }
            NodeKind::Has(path) => Ok(Value::Bool(self.reach(path)?.is_some())),
            NodeKind::Not(operand) => Ok(Value::Bool(!self.truth(operand)?)),
            NodeKind::Negate(operand) => self.negated(node, operand),
            NodeKind::Binary(operator, left, right) => self.binary(node, *operator, left, right),
            NodeKind::And(terms) => {
                for term in terms {
                    if !self.truth(term)? {
                        return Ok(Value::Bool(false));
                    }
                }
                Ok(Value::Bool(true))
            }
            NodeKind::Or(terms) => {
                for term in terms {
                    if self.truth(term)? {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            NodeKind::Choice(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let chosen = if self.truth(condition)? { yes } else { no };
                self.value(chosen)
            }
            NodeKind::List(elements) => {
                let values = elements.iter().map(|element| self.value(element)).collect::<Result<Vec<_>, _>>()?;
                Ok(Value::List(values.into()))
            }
            NodeKind::Map(entries) => self.object(entries),
            NodeKind::Call(function, arguments) => {
                let values = arguments.iter().map(|argument| self.value(argument)).collect::<Result<Vec<_>, _>>()?;
                self.spend_texts(values.iter())?;
                function.apply(&values, self.scope.now()).map_err(|reason| self.fault_of(arguments, &values, &reason))
            }
            NodeKind::Matches(operand, regex) => match self.value(operand)? {
                Value::Text(text) => {
                    self.spend(text.len() / 1024)?;
                    Ok(Value::Bool(regex.is_match(&text)))
                }
                other => Err(self.fault(operand, &other, &format!("is {}: `matches` cannot take it", other.kind()))),
            },
            NodeKind::Each(each) => self.each(each),
        }
    }

    /// The value of what must be true or false.
    pub(super) fn truth(&mut self, node: &'a Node) -> Result<bool, Fault> {
        match self.value(node)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(self.fault(node, &other, &format!("is {}, neither true nor false", other.kind()))),
        }
    }

    fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS_MAX {
            return Err(Fault::new(format!("needs more than {STEPS_MAX} steps")));
        }
        Ok(())
    }

    fn spend_texts<'v>(&mut self, values: impl IntoIterator<Item = &'v Value<'a>>) -> Result<(), Fault>
    where
        'a: 'v,
    {
        let length = |value: &Value<'_>| if let Value::Text(text) = value { text.len() } else { 0 };
        let bytes: usize = values.into_iter().map(length).sum();
        self.spend(bytes / 1024)
    }

    fn root(&self, root: usize) -> Result<Value<'a>, Fault> {
        let (Some(cell), Some(name)) = (self.cells.get(root), self.compiled.roots.get(root)) else {
            return Ok(Value::Null);
        };
        match cell.get_or_init(|| self.scope.lookup(name)) {
            Ok(json) => Ok(Value::from(json.as_ref())),
            Err(reason) => Err(Fault::new(reason.clone())),
        }
    }

    fn indexed(
        &self,
        node: &Node,
        operand: &Node,
        value: &Value<'a>,
        index: &Node,
        key: &Value<'a>,
    ) -> Result<Value<'a>, Fault> {
        match (value.kind(), key) {
            (ValueKind::List, Value::Int(_) | Value::Double(_)) => {
                let place = key.whole().and_then(|whole| usize::try_from(whole).ok());
                place
                    .and_then(|place| value.element(place))
                    .ok_or_else(|| self.fault_about(node, &[(operand, value)], "is not there"))
            }
            (_, Value::Text(field)) => value.field(field).ok_or_else(|| self.missing(node, operand, value, field)),
            (ValueKind::List | ValueKind::Map, _) => {
                let wanted = if value.kind() == ValueKind::List { "a number" } else { "a string" };
                let reason = format!("is {}: {} is reached by {wanted}", key.kind(), value.kind());
                Err(self.fault(index, key, &reason))
            }
            _ => Err(self.fault(operand, value, &format!("is {}: nothing is below it", value.kind()))),
        }
    }

    /// Why a field has no value.
    fn missing(&self, node: &Node, operand: &Node, value: &Value<'a>, field: &str) -> Fault {
        if value.kind() != ValueKind::Map {
            return self.fault(operand, value, &format!("is {}: it has no `{field}`", value.kind()));
        }
        let alike = value.key_like(field).map_or_else(String::new, |key| format!(", but `{key}` is"));
        self.fault_about(node, &[(operand, value)], &format!("is not there{alike}"))
    }

    /// The value at a path, or none where any part of it is not there: only `has` may ask so.
    fn reach(&mut self, path: &'a Node) -> Result<Option<Value<'a>>, Fault> {
        self.spend(1)?;
        match &path.kind {
            NodeKind::Select(operand, field) => Ok(self.reach(operand)?.and_then(|value| value.field(field))),
            NodeKind::Index(operand, index) => {
                let Some(value) = self.reach(operand)? else { return Ok(None) };
                Ok(match self.value(index)? {
                    Value::Text(field) => value.field(&field),
                    place => place.whole().and_then(|w| usize::try_from(w).ok()).and_then(|at| value.element(at)),
                })
            }
            _ => self.value(path).map(Some),
        }
    }

    fn negated(&mut self, node: &Node, operand: &'a Node) -> Result<Value<'a>, Fault> {
        match self.value(operand)? {
            Value::Int(number) => number.checked_neg().map(Value::Int).ok_or_else(|| self.overflow(node)),
            Value::Double(number) => Ok(Value::Double(-number)),
            other => Err(self.fault(operand, &other, &format!("is {}: `-` needs a number", other.kind()))),
        }
    }

    fn object(&mut self, entries: &'a [(Node, Node)]) -> Result<Value<'a>, Fault> {
        let mut fields: Vec<(String, Value<'a>)> = Vec::new();
        for (key, value) in entries {
            match self.value(key)? {
                Value::Text(field) if fields.iter().all(|(known, _)| *known != field) => {
                    let value = self.value(value)?;
                    fields.push((field.into_owned(), value));
                }
                Value::Text(_) => return Err(Fault::new(format!("`{}` is a key twice", self.text(key)))),
                other => return Err(self.fault(key, &other, &format!("is {}: a key is a string", other.kind()))),
            }
        }
        Ok(Value::Map(fields.into()))
    }

    fn binary(
        &mut self,
        node: &'a Node,
        operator: Operator,
        left: &'a Node,
        right: &'a Node,
    ) -> Result<Value<'a>, Fault> {
        let a = self.value(left)?;
        let b = self.value(right)?;
        let sides = [(left, &a), (right, &b)];
        match operator {
            Operator::Equal => self.equal(node, left, &a, right, &b).map(Value::Bool),
            Operator::NotEqual => self.equal(node, left, &a, right, &b).map(|equal| Value::Bool(!equal)),
            Operator::In => self.contained(node, left, &a, right, &b).map(Value::Bool),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                self.spend_texts([&a, &b])?;
                let Some(ordering) = a.compare(&b) else {
                    return Err(self.unfit(sides, "are not a pair of numbers or of strings", operator));
                };
                Ok(Value::Bool(match operator {
                    Operator::Less => ordering == Ordering::Less,
                    Operator::LessOrEqual => ordering != Ordering::Greater,
                    Operator::Greater => ordering == Ordering::Greater,
                    _ => ordering != Ordering::Less,
                }))
            }
            Operator::Add if a.kind() == ValueKind::Text && b.kind() == ValueKind::Text => {
                let (Value::Text(a), Value::Text(b)) = (a, b) else { return Ok(Value::Null) };
                self.spend((a.len() + b.len()) / 1024)?;
                Ok(Value::Text(format!("{a}{b}").into()))
            }
            Operator::Add if a.kind() == ValueKind::List && b.kind() == ValueKind::List => {
                self.spend(a.length().unwrap_or(0) + b.length().unwrap_or(0))?;
                let all: Vec<_> = elements(&a).chain(elements(&b)).collect();
                Ok(Value::List(all.into()))
            }
            _ => self.arithmetic(node, operator, sides),
        }
    }

    /// Whole numbers stay whole as long as the result is; a quotient that is not becomes a decimal, since
    /// `json.failed / json.total < 0.1` would otherwise always be true.
    fn arithmetic(&self, node: &Node, operator: Operator, sides: [(&Node, &Value<'a>); 2]) -> Result<Value<'a>, Fault> {
        let [(_, a), (right, b)] = sides;
        let (Some(x), Some(y)) = (a.number(), b.number()) else {
            return Err(self.unfit(sides, "are not a pair of numbers", operator));
        };
        if matches!(operator, Operator::Divide | Operator::Remainder) && y == 0.0 {
            return Err(self.fault(right, b, &format!("is zero: `{}` divides by it", self.text(node))));
        }
        if operator == Operator::Remainder {
            let (Some(a), Some(b)) = (a.whole(), b.whole()) else {
                return Err(self.unfit(sides, "are not a pair of whole numbers", operator));
            };
            return a.checked_rem(b).map(Value::Int).ok_or_else(|| self.overflow(node));
        }
        if let (Value::Int(a), Value::Int(b)) = (a, b) {
            let whole = match operator {
                Operator::Add => a.checked_add(*b),
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                _ if a.checked_rem(*b) == Some(0) => a.checked_div(*b),
                _ => return Ok(Value::Double(x / y)),
            };
            return whole.map(Value::Int).ok_or_else(|| self.overflow(node));
        }
        let decimal = match operator {
            Operator::Add => x + y,
            Operator::Subtract => x - y,
            Operator::Multiply => x * y,
            _ => x / y,
        };
        if decimal.is_finite() { Ok(Value::Double(decimal)) } else { Err(self.overflow(node)) }
    }

    fn equal(&mut self, node: &Node, left: &Node, a: &Value<'a>, right: &Node, b: &Value<'a>) -> Result<bool, Fault> {
        match a.equals(b, &mut || self.spend(1))? {
            Ok(equal) => Ok(equal),
            Err(kinds) if kinds == (a.kind(), b.kind()) => {
                Err(self.unfit([(left, a), (right, b)], "cannot be compared", Operator::Equal))
            }
            Err((a_kind, b_kind)) => {
                let reason = format!("compares {a_kind} with {b_kind}");
                Err(self.fault_about(node, &[(left, a), (right, b)], &reason))
            }
        }
    }

    /// `in` is `==` with one element after the other, so it is as strict.
    fn contained(
        &mut self,
        node: &Node,
        left: &Node,
        a: &Value<'a>,
        right: &Node,
        b: &Value<'a>,
    ) -> Result<bool, Fault> {
        match (b.kind(), a) {
            (ValueKind::List, _) => {
                for element in elements(b) {
                    match a.equals(&element, &mut || self.spend(1))? {
                        Ok(true) => return Ok(true),
                        Ok(false) => {}
                        Err((a_kind, b_kind)) => {
                            let reason = format!("compares {a_kind} with {b_kind}");
                            return Err(self.fault_about(node, &[(left, a), (right, b)], &reason));
                        }
                    }
                }
                Ok(false)
            }
            (ValueKind::Map, Value::Text(key)) => Ok(b.field(key).is_some()),
            (ValueKind::Map, _) => Err(self.fault(left, a, &format!("is {}: a key is a string", a.kind()))),
            _ => Err(self.fault(right, b, &format!("is {}: `in` needs a list or an object", b.kind()))),
        }
    }

    fn each(&mut self, each: &'a Each) -> Result<Value<'a>, Fault> {
        let range = self.range(each)?;
        let mut made = Vec::new();
        let mut found = 0_usize;
        for element in range {
            self.locals.push(element.clone());
            let result = self.one(each, element, &mut made);
            self.locals.pop();
            match (each.quantifier, result?) {
                (Quantifier::All, false) => return Ok(Value::Bool(false)),
                (Quantifier::Exists, true) => return Ok(Value::Bool(true)),
                (_, hit) => found += usize::from(hit),
            }
        }
        Ok(match each.quantifier {
            Quantifier::All => Value::Bool(true),
            Quantifier::Exists => Value::Bool(false),
            Quantifier::ExistsOne => Value::Bool(found == 1),
            Quantifier::Map | Quantifier::Filter => Value::List(Rc::from(made)),
        })
    }

    /// One element, which is on the stack of variables already; what `map` and `filter` make of it is added to `made`.
    fn one(&mut self, each: &'a Each, element: Value<'a>, made: &mut Vec<Value<'a>>) -> Result<bool, Fault> {
        if let Some(filter) = &each.filter
            && !self.truth(filter)?
        {
            return Ok(false);
        }
        if each.quantifier == Quantifier::Map {
            made.push(self.value(&each.body)?);
            return Ok(true);
        }
        let truth = self.truth(&each.body)?;
        if truth && each.quantifier == Quantifier::Filter {
            made.push(element);
        }
        Ok(truth)
    }

    fn range(&mut self, each: &'a Each) -> Result<Vec<Value<'a>>, Fault> {
        let range = self.value(&each.range)?;
        self.spend(range.length().unwrap_or(0))?;
        match range.kind() {
            ValueKind::List => Ok(elements(&range).collect()),
            ValueKind::Map => Ok(range.keys()),
            kind => Err(self.fault(&each.range, &range, &format!("is {kind}, neither a list nor an object"))),
        }
    }

    /// The first element for which `all` is false.
    pub(super) fn counterexample(&mut self, each: &'a Each) -> Option<Value<'a>> {
        for element in self.range(each).ok()? {
            self.locals.push(element.clone());
            let truth = self.truth(&each.body);
            self.locals.pop();
            if !truth.ok()? {
                return Some(element);
            }
        }
        None
    }
}

fn elements<'a>(list: &Value<'a>) -> impl Iterator<Item = Value<'a>> {
    (0..list.length().unwrap_or(0)).filter_map(|index| list.element(index))
}
