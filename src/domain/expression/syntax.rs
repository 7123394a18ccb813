//! The tree that is evaluated: cel's tree, checked, with names resolved, regexes compiled and spans made whole.

use std::ops::Range;

use regex::Regex;

use super::functions::Function;

/// A node and the piece of the source that it stands for.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    pub(super) span: Range<usize>,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    Literal(Literal),
    /// A name in scope, by its place among the names that the expression mentions.
    Root(usize),
    /// The variable of a comprehension, by its place on the stack of variables.
    Local(usize),
    Select(Box<Node>, String),
    Index(Box<Node>, Box<Node>),
    Has(Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    /// All terms of a chain: cel gives a balanced tree, whose shape means nothing.
    And(Vec<Node>),
    Or(Vec<Node>),
    Choice(Box<[Node; 3]>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Regex),
    Each(Box<Each>),
}

/// A comprehension.
#[derive(Debug)]
pub(super) struct Each {
    pub(super) quantifier: Quantifier,
    pub(super) variable: String,
    pub(super) range: Node,
    /// The condition of `map` with three arguments.
    pub(super) filter: Option<Node>,
    pub(super) body: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Operator {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }
}

impl Node {
    /// The nodes directly below.
    pub(super) fn children(&self) -> Vec<&Node> {
        match &self.kind {
            NodeKind::Literal(_) | NodeKind::Root(_) | NodeKind::Local(_) => Vec::new(),
            NodeKind::Select(one, _)
            | NodeKind::Has(one)
            | NodeKind::Not(one)
            | NodeKind::Negate(one)
            | NodeKind::Matches(one, _) => vec![one],
            NodeKind::Index(left, right) | NodeKind::Binary(_, left, right) => vec![left, right],
            NodeKind::And(many) | NodeKind::Or(many) | NodeKind::List(many) | NodeKind::Call(_, many) => {
                many.iter().collect()
            }
            NodeKind::Choice(three) => three.iter().collect(),
            NodeKind::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            NodeKind::Each(each) => {
                [Some(&each.range), each.filter.as_ref(), Some(&each.body)].into_iter().flatten().collect()
            }
        }
    }

    /// Whether the value is the same whatever was observed.
    pub(super) fn is_constant(&self) -> bool {
        !matches!(self.kind, NodeKind::Root(_) | NodeKind::Local(_))
            && self.children().into_iter().all(Self::is_constant)
    }

    /// The path that this node spells as far as it is written out: `json.a` of `json.a[i].b`. None below a call.
    fn path(&self, roots: &[String]) -> Option<(String, bool)> {
        let (operand, field) = match &self.kind {
            NodeKind::Root(root) => return roots.get(*root).map(|name| (name.clone(), true)),
            NodeKind::Select(operand, field) => (operand, Some(field)),
            NodeKind::Index(operand, index) => match &index.kind {
                NodeKind::Literal(Literal::Text(field)) => (operand, Some(field)),
                _ => (operand, None),
            },
            _ => return None,
        };
        let (path, complete) = operand.path(roots)?;
        Some(match field.filter(|_| complete) {
            Some(field) => (format!("{path}.{field}"), true),
            None => (path, false),
        })
    }

    /// Adds every text that stands here or below, patterns too.
    pub(super) fn collect_texts<'n>(&'n self, texts: &mut Vec<&'n str>) {
        match &self.kind {
            NodeKind::Literal(Literal::Text(text)) => texts.push(text),
            NodeKind::Matches(_, pattern) => texts.push(pattern.as_str()),
            _ => {}
        }
        self.children().into_iter().for_each(|child| child.collect_texts(texts));
    }

    /// Adds the longest path of every name that is mentioned here or below.
    pub(super) fn collect_paths(&self, roots: &[String], paths: &mut Vec<String>) {
        let mut below = self;
        if let Some((path, _)) = self.path(roots) {
            if !paths.contains(&path) {
                paths.push(path);
            }
            // The operands are said by the path already, but an index in between is an expression of its own.
            while let NodeKind::Select(operand, _) | NodeKind::Index(operand, _) = &below.kind {
                if let NodeKind::Index(_, index) = &below.kind {
                    index.collect_paths(roots, paths);
                }
                below = operand;
            }
            return;
        }
        for child in self.children() {
            child.collect_paths(roots, paths);
        }
    }
}
