//! A runbook on the page of an incident. It is a file of ours, and drawn like one of anybody: HTML in it is shown and never
//! written, a link leads to what a browser may open, and a picture is its text.

use maud::{Markup, PreEscaped, html};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::view::{LINE_MAX, VALUE_MAX, View};
use crate::domain::incident::{Finding, Incident};
use crate::domain::text::harmless;
use crate::ports::IncidentStory;

/// The place of the runbook on the page.
const PLACE: &str = "runbook";

/// The runbook as a button: to where it is, or to its place on the page. A path of which no text is known is only text.
pub fn button(view: &View<'_>, incident: &Incident) -> Option<Markup> {
    if let Some(url) = web_url(incident) {
        return Some(html! { a .btn href=(view.text(url, VALUE_MAX)) rel="noreferrer" { "Runbook" } });
    }
    let path = incident.runbook.as_deref()?;
    Some(if view.plan.runbooks.contains_key(path) {
        html! { a .btn href={ "#" (PLACE) } { "Runbook" } }
    } else {
        html! { "Runbook: " code { (view.text(path, LINE_MAX)) } }
    })
}

/// The runbook as a link in a row, where it has a page of its own.
pub fn link(view: &View<'_>, incident: &Incident) -> Option<Markup> {
    let url = web_url(incident)?;
    Some(html! { a href=(view.text(url, VALUE_MAX)) rel="noreferrer" { "runbook" } })
}

/// The runbook of a probe, as it is said in its definition: a link, or its text behind a click, or only where it is.
pub fn of_probe(view: &View<'_>, runbook: &str) -> Markup {
    html! {
        @if is_url(runbook) { a href=(view.text(runbook, VALUE_MAX)) rel="noreferrer" { (view.text(runbook, LINE_MAX)) } }
        @else { (view.text(runbook, LINE_MAX)) }
        @if let Some(text) = view.plan.runbooks.get(runbook) {
            details { summary { "Runbook" } div .book { (drawn(&view.plan.secrets.redact(text))) } }
        }
    }
}

/// The texts of the runbooks that are files: that of the probe, then those of the probes whose diagnosis was bad.
pub fn texts(view: &View<'_>, story: &IncidentStory) -> Markup {
    let of_finding = |finding: &Finding| view.plan.probes.get(&finding.probe)?.runbook.as_deref();
    let bad = story.diagnoses.iter().map(|diagnosis| &diagnosis.finding).filter(|finding| finding.verdict != "passed");
    let mut paths: Vec<&str> = Vec::new();
    for path in story.incident.runbook.as_deref().into_iter().chain(bad.filter_map(of_finding)) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let texts = paths.into_iter().filter_map(|path| Some((path, view.plan.runbooks.get(path)?)));
    html! {
        @for (index, (path, text)) in texts.enumerate() {
            section id=[(index == 0).then_some(PLACE)] .card .pad {
                h2 { "Runbook" small { (view.text(path, LINE_MAX)) } }
                div .book { (drawn(&view.plan.secrets.redact(text))) }
            }
        }
    }
}

fn web_url(incident: &Incident) -> Option<&str> {
    incident.runbook.as_deref().filter(|runbook| is_url(runbook))
}

fn is_url(runbook: &str) -> bool {
    runbook.starts_with("https://") || runbook.starts_with("http://")
}

fn drawn(text: &str) -> Markup {
    let mut links = Vec::new();
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).filter_map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) | Event::Text(text) => {
            // A block of code comes with its line breaks.
            Some(Event::Text(text.split('\n').map(harmless).collect::<Vec<_>>().join("\n").into()))
        }
        Event::Code(text) => Some(Event::Code(harmless(&text).into_owned().into())),
        // Lines of a block of HTML are text of the page like any other.
        Event::Start(Tag::HtmlBlock) => Some(Event::Start(Tag::Paragraph)),
        Event::End(TagEnd::HtmlBlock) => Some(Event::End(TagEnd::Paragraph)),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Start(Tag::Link { ref dest_url, .. }) => {
            let is_safe = ["https://", "http://", "mailto:"].iter().any(|scheme| dest_url.starts_with(scheme));
            links.push(is_safe);
            is_safe.then_some(event)
        }
        Event::End(TagEnd::Link) => links.pop().unwrap_or(false).then_some(event),
        // The page has the first two levels for itself.
        Event::Start(Tag::Heading { level, .. }) => {
            let level = beneath(level);
            Some(Event::Start(Tag::Heading { level, id: None, classes: Vec::new(), attrs: Vec::new() }))
        }
        Event::End(TagEnd::Heading(level)) => Some(Event::End(TagEnd::Heading(beneath(level)))),
        // What a language calls itself would be a class.
        Event::Start(Tag::CodeBlock(_)) => Some(Event::Start(Tag::CodeBlock(pulldown_cmark::CodeBlockKind::Indented))),
        event => Some(event),
    });
    let mut page = String::with_capacity(text.len() * 3 / 2);
    pulldown_cmark::html::push_html(&mut page, events);
    PreEscaped(page)
}

fn beneath(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        _ => HeadingLevel::H5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runbook_is_drawn_with_its_lists_its_code_and_its_links() {
        let text = "# It is slow\n\n1. Look at `Duration`.\n2. [Scale](https://aws.example/x?a=1&b=2).\n\n```bash\naws dynamodb <x>\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n";
        insta::assert_snapshot!(drawn(text).0);
    }

    #[test]
    fn nothing_in_it_is_html_and_no_link_runs_anything() {
        for text in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div onclick=\"x\">\n\n# h\n\n</div>",
            "[a](javascript:alert(1))",
            "[a](data:text/html,x) <javascript:alert(1)>",
            "![a](https://evil.example/x.png)",
            "[a]: javascript:alert(1)\n\n[a]",
            "```\"><script>\nx\n```",
            "# h {#id onclick=x}",
            "a\u{202e}\u{1b}[2J",
        ] {
            let page = drawn(text).0;
            for wrong in
                ["<script", "<img", "<div", "href=\"javascript", "href=\"data", "\u{202e}", "\u{1b}", "id=", "class="]
            {
                assert!(!page.contains(wrong), "{text:?} became {page}");
            }
        }
        assert_eq!(drawn("[a](javascript:x)").0, "<p>a</p>\n");
    }
}
