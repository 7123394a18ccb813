//! Why an assertion came out as it did: the parts that decided, each with its value.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evaluate::Walk;
use super::syntax::{Node, NodeKind, Operator, Quantifier};
use super::value::Value;
use crate::domain::redaction::MARK;

/// Why an assertion came out as it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The whole expression.
    pub expression: String,
    /// The pieces of it that decided, without literals and without repeats.
    pub parts: Vec<Part>,
    /// Why there is no answer at all; none where the answer is simply false.
    pub reason: Option<String>,
}

/// A piece of an expression and the value that it had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ExplanationPart")]
pub struct Part {
    /// The piece, as it is written.
    pub expression: String,
    /// Its value as compact JSON, at most 200 characters long, with control characters escaped; [`MARK`] alone, without
    /// quotes, where it is private and was taken out.
    pub value: String,
}

impl Explanation {
    /// The same without any value.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        self.parts.iter_mut().for_each(|part| MARK.clone_into(&mut part.value));
        self
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value == MARK {
            return write!(f, "`{}` is private, so its value is not shown", self.expression);
        }
        write!(f, "`{}` was `{}`", self.expression, self.value)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{reason}")?,
            None if self.parts.is_empty() => return write!(f, "`{}` is false", self.expression),
            None => {}
        }
        for (index, part) in self.parts.iter().enumerate() {
            let separator = match (index, &self.reason) {
                (0, None) => "",
                (0, Some(_)) => "; ",
                _ => ", ",
            };
            write!(f, "{separator}{part}")?;
        }
        Ok(())
    }
}

/// Why a walk ended without a value.
#[derive(Debug)]
pub(super) struct Fault {
    reason: String,
    parts: Vec<Part>,
}

impl Fault {
    pub(super) fn new(reason: String) -> Self {
        Self { reason, parts: Vec::new() }
    }

    pub(super) fn explain(self, expression: &str) -> Explanation {
        Explanation { expression: expression.to_owned(), parts: self.parts, reason: Some(self.reason) }
    }
}

fn add(parts: &mut Vec<Part>, expression: &str, value: &Value<'_>) {
    if parts.iter().all(|part| part.expression != expression) {
        parts.push(Part { expression: expression.to_owned(), value: value.show() });
    }
}

impl<'a> Walk<'a> {
    /// A fault about one node, and its value.
    pub(super) fn fault(&self, node: &Node, value: &Value<'_>, reason: &str) -> Fault {
        self.fault_about(node, &[(node, value)], reason)
    }

    /// A fault about one node, and the values of others.
    pub(super) fn fault_about(&self, node: &Node, values: &[(&Node, &Value<'_>)], reason: &str) -> Fault {
        let mut parts = Vec::new();
        for (node, value) in values.iter().filter(|(node, _)| !node.is_constant()) {
            add(&mut parts, self.text(node), value);
        }
        Fault { reason: format!("`{}` {reason}", self.text(node)), parts }
    }

    /// A fault of a function, about its first argument.
    pub(super) fn fault_of(&self, arguments: &[Node], values: &[Value<'_>], reason: &str) -> Fault {
        let pairs: Vec<_> = arguments.iter().zip(values).collect();
        match arguments {
            [first, ..] => self.fault_about(first, &pairs, reason),
            [] => Fault::new(reason.to_owned()),
        }
    }

    /// A fault about two operands that do not go together.
    pub(super) fn unfit(&self, sides: [(&Node, &Value<'_>); 2], rule: &str, operator: Operator) -> Fault {
        let [(left, a), (right, b)] = sides;
        let mut fault = self.fault_about(left, &sides, "");
        let (left, right, symbol) = (self.text(left), self.text(right), operator.symbol());
        fault.reason = if a.kind() == b.kind() {
            format!("`{left} {symbol} {right}` has no value: {} and {} {rule}", a.kind(), b.kind())
        } else {
            format!("`{left}` is {}, `{right}` is {}", a.kind(), b.kind())
        };
        fault
    }

    /// A fault about a number that is too large.
    pub(super) fn overflow(&self, node: &Node) -> Fault {
        Fault::new(format!("`{}` is too large a number", self.text(node)))
    }

    /// Why the expression is what it is, by walking once more through what decided.
    pub(super) fn explanation(mut self, root: &'a Node, outcome: bool) -> Explanation {
        let mut parts = Vec::new();
        // It was evaluated without a fault a moment ago, so a fault can only mean that nothing is left to say.
        let _ = self.decided(root, outcome, &mut parts);
        Explanation { expression: self.compiled.source.clone(), parts, reason: None }
    }

    /// Adds what made this node `outcome`.
    fn decided(&mut self, node: &'a Node, outcome: bool, parts: &mut Vec<Part>) -> Result<(), Fault> {
        match &node.kind {
            NodeKind::Not(operand) => self.decided(operand, !outcome, parts),
            NodeKind::And(terms) | NodeKind::Or(terms) => {
                // One term decided where the chain stopped early; otherwise all of them did.
                let stops_at = matches!(node.kind, NodeKind::Or(_));
                for term in terms {
                    if outcome != stops_at {
                        self.decided(term, outcome, parts)?;
                    } else if self.again().truth(term)? == stops_at {
                        return self.decided(term, outcome, parts);
                    }
                }
                Ok(())
            }
            NodeKind::Choice(choice) => {
                let [condition, yes, no] = choice.as_ref();
                let truth = self.again().truth(condition)?;
                self.decided(condition, truth, parts)?;
                self.decided(if truth { yes } else { no }, outcome, parts)
            }
            NodeKind::Binary(_, left, right) => {
                self.shown(left, parts)?;
                self.shown(right, parts)
            }
            NodeKind::Call(_, arguments) => arguments.iter().try_for_each(|argument| self.shown(argument, parts)),
            NodeKind::Matches(operand, _) => self.shown(operand, parts),
            NodeKind::Each(each) => {
                self.shown(&each.range, parts)?;
                if each.quantifier == Quantifier::All
                    && let Some(element) = self.again().counterexample(each)
                {
                    add(parts, &each.variable, &element);
                }
                Ok(())
            }
            _ => self.shown(node, parts),
        }
    }

    fn shown(&mut self, node: &'a Node, parts: &mut Vec<Part>) -> Result<(), Fault> {
        if !node.is_constant() {
            let value = self.again().value(node)?;
            add(parts, self.text(node), &value);
        }
        Ok(())
    }
}
