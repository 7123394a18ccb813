//! Fills `${…}` into parsed values: a tree goes in and a tree comes out, in which no reference is left but to secrets,
//! and what was put in is escaped, so that nobody reads it for holes again.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::filled::Filled;
use crate::domain::names::{CaptureName, SecretName};
use crate::domain::template::{Piece, canonical, pieces};
use crate::settings::{Holes, Node, Problem, Problems, Scalar, Span, Value, suggest};

/// The largest file that `${file:…}` takes in.
const FILE_MAX: u64 = 64 * 1024;

/// The environment, handed in so that tests have their own.
pub type Environment = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What references may name.
pub struct References<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// Where relative paths begin.
    pub directory: PathBuf,
    /// The values of `vars:`, resolved.
    pub vars: BTreeMap<String, Vec<Piece>>,
    /// The declared secrets.
    pub secrets: BTreeSet<String>,
    /// Inside an expansion: `key`, `value` and the fields.
    pub each: Option<BTreeMap<String, String>>,
    /// What was filled in from outside.
    pub filled: Filled,
    /// Whether nobody knows what is declared, since the file that says it could not be read.
    pub root_lost: bool,
    /// Set when a value is lost for that reason, without a problem of its own.
    pub lost: Cell<bool>,
}

impl References<'_> {
    /// Resolves the values of `vars:`, each of which may name others.
    pub fn take_vars(&mut self, vars: &Node, problems: &mut Problems) {
        let written: BTreeMap<&str, &Node> =
            vars.entries().iter().map(|entry| (entry.key.text.as_str(), &entry.value)).collect();
        for name in written.keys() {
            self.take_var(name, &written, &mut Vec::new(), problems);
        }
    }

    fn take_var<'n>(
        &mut self,
        name: &'n str,
        written: &BTreeMap<&'n str, &'n Node>,
        way: &mut Vec<&'n str>,
        problems: &mut Problems,
    ) {
        let Some(node) = written.get(name).filter(|_| !self.vars.contains_key(name)) else { return };
        if way.contains(&name) {
            way.push(name);
            problems.error(node.span.clone(), format!("the variable goes in a circle: {}", way.join(" → ")));
            self.vars.insert(name.to_owned(), Vec::new());
            return;
        }
        way.push(name);
        let text = match &node.value {
            Value::Text(scalar) => scalar.text.clone(),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => node.span.text().to_owned(),
            Value::Broken => String::new(),
            Value::Null | Value::List(_) | Value::Map(_) => {
                problems
                    .error(node.span.clone(), format!("the variable `{name}` must be a text, a number or a boolean"));
                String::new()
            }
        };
        if let Ok(found) = pieces(&text) {
            for piece in &found {
                if let Piece::Reference { source, name: other, .. } = piece
                    && source == "var"
                    && let Some((other, _)) = written.get_key_value(other.as_str())
                {
                    self.take_var(other, written, way, problems);
                }
            }
        }
        let resolved = self.pieces(node, &text, problems);
        self.vars.entry(name.to_owned()).or_insert(resolved);
        way.pop();
    }

    /// The tree with every reference filled in.
    pub fn resolve(&self, node: &Node, problems: &mut Problems) -> Node {
        let value = match &node.value {
            Value::Text(scalar) if scalar.text.contains("${") || scalar.text.contains("{{") => {
                self.text(node, scalar, problems)
            }
            Value::List(items) => Value::List(items.iter().map(|item| self.resolve(item, problems)).collect()),
            Value::Map(entries) => {
                let mut entries = entries.clone();
                for entry in &mut entries {
                    entry.value = self.resolve(&entry.value, problems);
                }
                Value::Map(entries)
            }
            value => value.clone(),
        };
        Node { span: node.span.clone(), value }
    }

    fn text(&self, node: &Node, scalar: &Scalar, problems: &mut Problems) -> Value {
        let before = problems.len();
        let resolved = self.pieces(node, &scalar.text, problems);
        if self.lost.take() || problems.len() > before {
            return Value::Broken;
        }
        let canonical = canonical(&resolved);
        let literal = resolved.iter().try_fold(String::new(), |text, piece| match piece {
            Piece::Literal(more) => Some(text + more),
            _ => None,
        });
        let (text, holes) = match literal {
            Some(text) => (text, Holes::Filled(canonical)),
            None => (scalar.text.clone(), Holes::Left(canonical)),
        };
        Value::Text(Scalar { text, plain: scalar.plain, holes })
    }

    fn pieces(&self, node: &Node, text: &str, problems: &mut Problems) -> Vec<Piece> {
        let found = match pieces(text) {
            Ok(found) => found,
            Err(error) => {
                problems.error(part(node, error.span), error.message);
                return Vec::new();
            }
        };
        let mut resolved = Vec::new();
        for piece in found {
            match piece {
                Piece::Reference { source, name, default, span } => match self.reference(&source, &name) {
                    Ok(Some(value)) => {
                        self.note(node, &source, &name, &value);
                        resolved.extend(value);
                    }
                    Ok(None) => match default {
                        Some(default) => resolved.push(Piece::Literal(default)),
                        None => problems.push(missing(part(node, span), &source, &name)),
                    },
                    Err(problem) => problems.push(Problem { at: Some(part(node, span)), ..*problem }),
                },
                Piece::Secret(ref name) | Piece::Totp(ref name) => {
                    if !self.secrets.contains(name.as_str()) && !self.root_lost {
                        problems.push(self.undeclared(node, name));
                    }
                    resolved.push(piece);
                }
                other => resolved.push(other),
            }
        }
        resolved
    }

    fn note(&self, node: &Node, source: &str, name: &str, value: &[Piece]) {
        for piece in value {
            match piece {
                Piece::Literal(text) if matches!(source, "env" | "file") => {
                    self.filled.note(&node.span, format!("${{{source}:{name}}}"), text);
                }
                Piece::Literal(text) => self.filled.pass_on(&node.span, text),
                _ => {}
            }
        }
    }

    fn undeclared(&self, node: &Node, name: &SecretName) -> Problem {
        let problem = Problem::error(node.span.clone(), format!("the secret `{name}` is not declared"));
        let declared = self.secrets.iter().map(String::as_str);
        let help = suggest(name.as_str(), declared);
        problem.with_help(
            help.unwrap_or_else(|| format!("declare it in roundsman.yaml: `secrets: {{ {name}: {{ env: NAME }} }}`")),
        )
    }

    /// What a reference stands for; `None` where there is nothing, so that a default may stand.
    fn reference(&self, source: &str, name: &str) -> Result<Option<Vec<Piece>>, Box<Problem>> {
        let literal = |text: String| Some(vec![Piece::Literal(text)]);
        let wrong = |message: String| Box::new(Problem::placeless(crate::settings::Level::Error, message));
        match source {
            "env" => Ok((self.environment)(name).filter(|value| !value.is_empty()).and_then(literal)),
            "var" => match self.vars.get(name) {
                Some(value) => Ok(Some(value.clone())),
                None if self.root_lost => {
                    self.lost.set(true);
                    Ok(Some(Vec::new()))
                }
                None => {
                    let problem = wrong(format!("there is no variable `{name}`"));
                    let help = suggest(name, self.vars.keys().map(String::as_str));
                    Err(Box::new(
                        problem
                            .with_help(help.unwrap_or_else(|| "declare it under `vars:` in roundsman.yaml".to_owned())),
                    ))
                }
            },
            "file" => self.file(name).map(literal).map_err(|why| {
                Box::new(wrong(why).with_help("a relative path begins at the directory of the configuration"))
            }),
            "each" => match &self.each {
                None => Err(wrong(format!("`${{each:{name}}}` stands only in a probe that has `each:`"))),
                Some(each) => match each.get(name) {
                    Some(value) => Ok(literal(value.clone())),
                    None => {
                        let known = each.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
                        Err(wrong(format!("`each` has no `{name}` here, it has {known}")))
                    }
                },
            },
            other => {
                let problem = wrong(format!("`${{{other}:…}}` is not known"));
                let help = suggest(other, ["env", "file", "var", "secret", "totp", "each"]);
                Err(Box::new(problem.with_help(help.unwrap_or_else(|| {
                    "write `${env:NAME}`, `${file:path}`, `${var:name}`, `${secret:name}` or `${each:value}`".to_owned()
                }))))
            }
        }
    }

    fn file(&self, name: &str) -> Result<String, String> {
        let path = self.directory.join(name);
        let shown = Path::new(name).display();
        let size = std::fs::metadata(&path).map_err(|error| format!("the file {shown} cannot be read: {error}"))?;
        if !size.is_file() || size.len() > FILE_MAX {
            return Err(format!("the file {shown} is not a plain file of at most {} KiB", FILE_MAX / 1024));
        }
        let text =
            std::fs::read_to_string(&path).map_err(|error| format!("the file {shown} cannot be read: {error}"))?;
        Ok(text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text)).to_owned())
    }
}

fn missing(at: Span, source: &str, name: &str) -> Problem {
    let what = if source == "env" { "the environment variable" } else { "the value" };
    let problem = Problem::error(at, format!("{what} `{name}` is not set, or empty"));
    // A shell takes the dash alone; no name of a variable has one.
    match name.split_once('-') {
        Some((name, default)) if source == "env" => {
            problem.with_help(format!("a default stands behind `:-`: `${{env:{name}:-{default}}}`"))
        }
        _ => problem.with_help(format!("set it, or give a default: `${{{source}:{name}:-default}}`")),
    }
}

/// The place of a part of a text, where text and source agree byte for byte.
pub fn part(node: &Node, bytes: std::ops::Range<usize>) -> Span {
    let Value::Text(scalar) = &node.value else { return node.span.clone() };
    let written = node.span.text();
    if scalar.plain && !written.contains(['\n', '\r']) && written.len() == scalar.text.len() {
        return node.span.part(bytes);
    }
    // Between quotes without an escape, the text begins one byte later.
    let inside = written.get(1..written.len().saturating_sub(1));
    if inside == Some(scalar.text.as_str()) {
        return node.span.part(bytes.start + 1..bytes.end + 1);
    }
    // Else the part is looked for: it is the n-th of its like, in the text as in the file.
    let like = scalar.text.get(bytes.clone()).filter(|part| !part.is_empty() && !part.contains('\n'));
    let found =
        like.filter(|part| scalar.text.matches(part).count() == written.matches(part).count()).and_then(|part| {
            let before = scalar.text[..bytes.start].matches(part).count();
            written.match_indices(part).nth(before).map(|(start, part)| start..start + part.len())
        });
    found.map_or_else(|| node.span.clone(), |found| node.span.part(found))
}

/// What the templates of a tree still need, each with the place where it stands.
pub fn needs(node: &Node) -> (Vec<(CaptureName, Span)>, BTreeSet<SecretName>) {
    let (mut captures, mut secrets) = (Vec::new(), BTreeSet::new());
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        match &node.value {
            Value::Text(Scalar { holes: Holes::Left(canonical), .. }) => {
                for piece in pieces(canonical).unwrap_or_default() {
                    match piece {
                        Piece::Capture(name) => captures.push((name, node.span.clone())),
                        Piece::Secret(name) | Piece::Totp(name) => {
                            secrets.insert(name);
                        }
                        _ => {}
                    }
                }
            }
            Value::List(items) => open.extend(items),
            Value::Map(entries) => open.extend(entries.iter().map(|entry| &entry.value)),
            _ => {}
        }
    }
    (captures, secrets)
}

/// A tree as one line of text: two trees that mean the same have the same text.
pub fn identity(node: &Node) -> String {
    match &node.value {
        Value::Text(Scalar { holes: Holes::Left(canonical) | Holes::Filled(canonical), .. }) => {
            format!("{canonical:?}")
        }
        Value::Text(scalar) => format!("{:?}", scalar.text),
        Value::List(items) => format!("[{}]", items.iter().map(identity).collect::<Vec<_>>().join(",")),
        Value::Map(entries) => {
            let entries = entries.iter().map(|entry| format!("{:?}:{}", entry.key.text, identity(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Broken => "!".to_owned(),
    }
}
