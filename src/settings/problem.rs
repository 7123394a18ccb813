//! Problems: each is one mistake in the files, shown with its place, its line and what to write instead.
//!
//! Whatever a file contains ends up on a terminal here, so control characters are replaced, long lines are cut around the
//! mark, and every span is fitted to its text before it is drawn: showing a problem never fails.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level as DrawnLevel, Renderer, Snippet};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::domain::text::harmless;
use crate::settings::tree::{Source, Span};

/// How many characters a drawn line may take.
const WIDTH: usize = 120;
/// How many bytes of a line are kept before and after the mark; the drawing shortens them further.
const AROUND_MARK_BYTES: usize = 240;
/// Two places of one file are drawn in one excerpt when at most this many lines lie between them.
const EXCERPT_LINES_MAX: usize = 1_000;
/// What is drawn where something may be secret.
const MASK: &str = "•••";
/// How many known words are listed when none resembles what was written.
const KNOWN_LISTED_MAX: usize = 12;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// There is no plan as long as this stands.
    Error,
    /// Worth a look; the plan stands.
    Warning,
}

/// One mistake in the files.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// How bad it is.
    pub level: Level,
    /// What is wrong: lower case, no full stop, readable without the source line.
    pub message: String,
    /// Where it is; none for what concerns no file.
    pub at: Option<Span>,
    /// A few words beside the caret.
    pub label: Option<String>,
    /// Other places that matter, each with its label, such as "first defined here".
    pub also: Vec<(Span, String)>,
    /// What to write instead.
    pub help: Option<String>,
    /// What stands there may be secret, and is not drawn.
    pub hidden: bool,
}

impl Problem {
    /// An error at a place.
    pub fn error(at: Span, message: impl Into<String>) -> Self {
        Self { at: Some(at), ..Self::placeless(Level::Error, message) }
    }

    /// A warning at a place.
    pub fn warning(at: Span, message: impl Into<String>) -> Self {
        Self { at: Some(at), ..Self::placeless(Level::Warning, message) }
    }

    /// A problem that belongs to no place in a file.
    pub fn placeless(level: Level, message: impl Into<String>) -> Self {
        Self { level, message: message.into(), at: None, label: None, also: Vec::new(), help: None, hidden: false }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a few words beside the caret.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a second place with its label.
    #[must_use]
    pub fn with_also(mut self, at: Span, label: impl Into<String>) -> Self {
        self.also.push((at, label.into()));
        self
    }

    /// The problem as text for people, ending with a line break.
    pub fn render(&self, colour: bool) -> String {
        self.render_beside(&[], colour)
    }

    /// The same where other places may be secret, which may stand on its lines too.
    fn render_beside(&self, hidden: &[&Span], colour: bool) -> String {
        let mut text = self.headline(colour);
        text.push('\n');
        let body = self.without(hidden).body(colour);
        if !body.is_empty() {
            text.push_str(&body);
            text.push('\n');
        }
        text
    }

    /// The problem on one line, for logs: `path:line:column: message (help)`.
    pub fn line(&self) -> String {
        let place = self.at.as_ref().map(|span| format!("{}: ", address(span))).unwrap_or_default();
        let help = self.help.as_ref().map(|help| format!(" ({})", on_one_line(help))).unwrap_or_default();
        format!("{place}{}{help}", on_one_line(&self.message))
    }

    /// The first line: `path:line:column: error: message`, which terminals and editors turn into a link.
    pub fn headline(&self, colour: bool) -> String {
        let (name, shade) = match self.level {
            Level::Error => ("error", AnsiColor::BrightRed),
            Level::Warning => ("warning", AnsiColor::Yellow),
        };
        let place = self.at.as_ref().map(|span| format!("{}: ", address(span))).unwrap_or_default();
        let message = on_one_line(&self.message);
        if !colour {
            return format!("{place}{name}: {message}");
        }
        let bold = Style::new().bold();
        let level = bold.fg_color(Some(shade.into()));
        format!("{bold}{place}{bold:#}{level}{name}{level:#}{bold}: {message}{bold:#}")
    }

    /// The problem in a source that no longer holds what stood in these places, but for its own.
    fn without(&self, hidden: &[&Span]) -> Self {
        let Some(at) = &self.at else { return self.clone() };
        let is_apart = |other: &Span| other.bytes.end <= at.bytes.start || at.bytes.end <= other.bytes.start;
        let others = hidden.iter().filter(|other| other.source.path == at.source.path && is_apart(other));
        let mut others: Vec<Range<usize>> = others.map(|other| at.source.fit(other.bytes.clone())).collect();
        others.sort_by_key(|range| std::cmp::Reverse(range.start));
        others.dedup();
        let mut text = at.source.text.clone();
        for range in &others {
            text.replace_range(range.clone(), MASK);
        }
        let source = Source::new(at.source.path.clone(), text);
        let moved = |offset: usize| {
            others
                .iter()
                .filter(|range| range.end <= offset)
                .fold(offset, |offset, range| offset + MASK.len() - range.len())
        };
        let moved = |span: &Span| Span::new(&source, moved(span.bytes.start)..moved(span.bytes.end));
        let also = self.also.iter().map(|(span, label)| {
            let is_here = span.source.path == at.source.path;
            (if is_here { moved(span) } else { span.clone() }, label.clone())
        });
        Self { at: Some(moved(at)), also: also.collect(), ..self.clone() }
    }

    /// The source lines with their marks, and the help.
    fn body(&self, colour: bool) -> String {
        let drawn = match self.level {
            Level::Error => DrawnLevel::ERROR,
            Level::Warning => DrawnLevel::WARNING,
        };
        let mut group = Group::with_level(drawn);
        let masked = self.at.as_ref().filter(|_| self.hidden).map(masked);
        if let Some(at) = masked.as_ref().or(self.at.as_ref()) {
            let mut near = vec![Mark { span: at, label: self.label.as_deref(), primary: true }];
            let mut far = Vec::new();
            for (span, label) in &self.also {
                let mark = Mark { span, label: Some(label), primary: false };
                let lines_apart = at.line_column().0.abs_diff(span.line_column().0);
                let same_file = at.source.path == span.source.path;
                if same_file && lines_apart <= EXCERPT_LINES_MAX { near.push(mark) } else { far.push(mark) }
            }
            if !at.source.text.is_empty() {
                group = group.element(excerpt(&at.source, &near));
            }
            for mark in far {
                group = group.element(excerpt(&mark.span.source, &[mark]).path(path_of(mark.span)));
            }
        }
        if let Some(help) = &self.help {
            group = group.element(DrawnLevel::HELP.message(on_one_line(help)));
        }
        if group.is_empty() {
            return String::new();
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.term_width(WIDTH).render(&[group])
    }

    fn order(&self) -> (Option<(&std::path::Path, usize)>, &str) {
        (self.at.as_ref().map(|span| (span.source.path.as_path(), span.bytes.start)), &self.message)
    }

    fn written(&self) -> Written<'_> {
        let place = self.at.as_ref().map(Place::of);
        Written {
            file: place.as_ref().map(|place| place.file.clone()),
            line: place.as_ref().map(|place| place.line),
            column: place.as_ref().map(|place| place.column),
            level: self.level,
            message: &self.message,
            help: self.help.as_deref(),
            also: self.also.iter().map(|(span, label)| Place::of(span).labelled(label)).collect(),
        }
    }
}

/// All problems that were found so far.
#[derive(Debug, Clone, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// No problem yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds an error at a place; what is returned takes a help or a label.
    pub fn error(&mut self, at: Span, message: impl Into<String>) -> &mut Problem {
        self.0.push_mut(Problem::error(at, message))
    }

    /// Adds a warning at a place; what is returned takes a help or a label.
    pub fn warning(&mut self, at: Span, message: impl Into<String>) -> &mut Problem {
        self.0.push_mut(Problem::warning(at, message))
    }

    /// The problems, to be worded anew.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Problem> {
        self.0.iter_mut()
    }

    /// Adds the problems of another collection.
    pub fn extend(&mut self, other: Problems) {
        self.0.extend(other.0);
    }

    /// How many problems there are, before what is the same is shown once.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something stands in the way of a plan.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.level == Level::Error)
    }

    /// Without what is only worth a look.
    #[must_use]
    pub fn errors(mut self) -> Self {
        self.0.retain(|problem| problem.level == Level::Error);
        self
    }

    /// The problems by file, line and column, each once: an alias can bring one mistake into several places.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut all: Vec<&Problem> = self.0.iter().collect();
        all.sort_by(|a, b| a.order().cmp(&b.order()));
        all.dedup_by(|a, b| a.order() == b.order() && a.level == b.level);
        all
    }

    /// All problems as text for people, with an empty line between them.
    pub fn render(&self, colour: bool) -> String {
        let all = self.sorted();
        let hidden: Vec<&Span> =
            all.iter().filter(|problem| problem.hidden).filter_map(|problem| problem.at.as_ref()).collect();
        all.iter().map(|problem| problem.render_beside(&hidden, colour)).collect::<Vec<_>>().join("\n")
    }

    /// All problems for programs: `file`, `line`, `column`, `level`, `message`, `help`, `also`.
    pub fn to_json(&self) -> serde_json::Value {
        let all: Vec<Written<'_>> = self.sorted().into_iter().map(Problem::written).collect();
        // Texts and numbers under fixed names always have a JSON form, so the fallback is never taken.
        serde_json::to_value(all).unwrap_or_default()
    }
}

/// A problem as programs read it.
#[derive(Serialize)]
struct Written<'a> {
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    level: Level,
    message: &'a str,
    help: Option<&'a str>,
    also: Vec<Also<'a>>,
}

#[derive(Serialize)]
struct Also<'a> {
    file: String,
    line: usize,
    column: usize,
    label: &'a str,
}

struct Place {
    file: String,
    line: usize,
    column: usize,
}

impl Place {
    fn of(span: &Span) -> Self {
        let (line, column) = span.line_column();
        Self { file: span.source.path.display().to_string(), line, column }
    }

    fn labelled(self, label: &str) -> Also<'_> {
        Also { file: self.file, line: self.line, column: self.column, label }
    }
}

/// The known word that was probably meant, if one is near enough.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A word of a megabyte resembles nothing, and measuring the distance would take its square.
    let length = word.chars().count();
    if length > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (length.max(candidate.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The help for an unknown word: the known word that was probably meant, else the known ones.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(word, known.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let known: Vec<&str> = known.into_iter().collect();
    let listed: Vec<String> = known.iter().take(KNOWN_LISTED_MAX).map(|name| format!("`{name}`")).collect();
    match known.len() {
        0 => None,
        1 => Some(format!("only {} is known here", listed.join(""))),
        count if count > KNOWN_LISTED_MAX => {
            Some(format!("known here: {} and {} more", listed.join(", "), count - KNOWN_LISTED_MAX))
        }
        _ => Some(format!("known here: {}", listed.join(", "))),
    }
}

fn address(span: &Span) -> String {
    let (line, column) = span.line_column();
    format!("{}:{line}:{column}", path_of(span))
}

/// Text of a message: nothing in it steers a terminal, and a tab, which moves what stands behind it, is seen.
fn on_one_line(text: &str) -> String {
    harmless(text).replace('\t', "␉")
}

fn path_of(span: &Span) -> String {
    on_one_line(&span.source.path.display().to_string())
}

/// The place in a source that no longer holds what stood there.
fn masked(at: &Span) -> Span {
    let bytes = at.source.fit(at.bytes.clone());
    let mut text = at.source.text.clone();
    text.replace_range(bytes.clone(), MASK);
    Span::new(&Source::new(at.source.path.clone(), text), bytes.start..bytes.start + MASK.len())
}

#[derive(Clone, Copy)]
struct Mark<'a> {
    span: &'a Span,
    label: Option<&'a str>,
    primary: bool,
}

/// The lines from the first to the last mark, made safe to draw, with the marks moved to where their text now stands.
fn excerpt<'a>(source: &Source, marks: &[Mark<'_>]) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let fitted: Vec<Range<usize>> = marks.iter().map(|mark| source.fit(mark.span.bytes.clone())).collect();
    let first = fitted.iter().map(|range| range.start).min().unwrap_or(0);
    let last = fitted.iter().map(|range| range.start).max().unwrap_or(0);
    let mut text = String::new();
    let mut annotations = Vec::new();
    let mut line = source.line_at(first);
    loop {
        let here: Vec<usize> =
            (0..marks.len()).filter(|i| line.contains(&fitted[*i].start) || line.end == fitted[*i].start).collect();
        let window = window(&source.text, &line, here.first().map(|i| &fitted[*i]));
        if window.start > line.start {
            text.push('…');
        }
        let base = text.len();
        let put =
            |offset: usize| base + harmless(&source.text[window.start..offset.clamp(window.start, window.end)]).len();
        for i in here {
            // A mark over several lines is drawn on its first: the place is what counts.
            let range = put(fitted[i].start)..put(fitted[i].end.min(line.end));
            let kind = if marks[i].primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(range);
            annotations.push(match marks[i].label {
                Some(label) => annotation.label(on_one_line(label)),
                None => annotation,
            });
        }
        let _ = write!(text, "{}", harmless(&source.text[window.clone()]));
        if window.end < line.end {
            text.push('…');
        }
        if line.end >= last || line.end >= source.text.len() {
            break;
        }
        text.push('\n');
        line = source.line_after(&line);
    }
    Snippet::source(text).line_start(source.line_column(first).0).annotations(annotations)
}

/// The part of a line that is kept: all of it, unless it is very long.
fn window(text: &str, line: &Range<usize>, mark: Option<&Range<usize>>) -> Range<usize> {
    let at = mark.map_or(line.start, |mark| mark.start.min(line.end));
    let start = text.floor_char_boundary(at.saturating_sub(AROUND_MARK_BYTES)).max(line.start);
    let end = text.floor_char_boundary(at.saturating_add(AROUND_MARK_BYTES)).min(line.end);
    start..end
}
