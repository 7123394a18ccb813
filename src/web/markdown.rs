//! Text that is written as Markdown. What somebody else wrote stands in a span or a block of code, in which nothing means
//! anything: no link, no mark, no element, and nobody is mentioned.

use super::view::View;

/// Text of somebody else on one line, as a span of code that it cannot end.
pub fn span(view: &View<'_>, text: &str, most: usize) -> String {
    let text = view.text(text, most).replace('\t', " ");
    if text.trim().is_empty() {
        return "nothing".to_owned();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    // CommonMark takes one space away on each side, where there is one on both.
    let space = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Lines of somebody else, as a block of code that they cannot end.
pub fn block(view: &View<'_>, text: &str, most: usize) -> String {
    let lines = view.lines(text, most);
    let fence = "`".repeat(longest_run(&lines).max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", lines.trim_end())
}

/// Words of the configuration on one line, of which no character is a mark.
pub fn plain(view: &View<'_>, text: &str, most: usize) -> String {
    let text = view.text(text, most);
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() && !"-.,:;/'()%".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// What only people know, marked so that nobody overlooks it.
pub fn blank(question: &str) -> String {
    format!("**▢ to fill in:** {question}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::tests::fixture::{plan, view};
    use pulldown_cmark::{Event, Parser, Tag};

    const HOSTILE: [&str; 12] = [
        "`",
        "``` a ``` b ` c",
        " `a` ",
        "![x](http://evil.example/p.png)",
        "<script>alert(1)</script>",
        "[a](javascript:alert(1))",
        "a\n# b\n- [ ] c",
        "a\n```\n<b>",
        "~~~\n****",
        "@everyone #1 &amp; \\",
        "| a | b |\n|---|---|",
        "\u{1b}[2J\u{202e}",
    ];

    /// The elements of a text, without what stands in them.
    fn elements(markdown: &str) -> Vec<String> {
        let shown = |event: Event<'_>| match event {
            Event::Text(_) => None,
            Event::Code(_) => Some("code".to_owned()),
            Event::Start(Tag::CodeBlock(_)) => Some("block".to_owned()),
            other => Some(format!("{other:?}").chars().take(40).collect()),
        };
        Parser::new(markdown).filter_map(shown).collect()
    }

    #[test]
    fn what_somebody_else_wrote_adds_no_element() {
        let plan = plan();
        let view = view(&plan);
        for text in HOSTILE {
            let [one, other] = [text, "plain"].map(|text| elements(&format!("- x: {} y", span(&view, text, 100))));
            assert_eq!(one, other, "{text:?}");
            let [one, other] = [text, "plain"].map(|text| elements(&format!("a\n\n{}\nb", block(&view, text, 100))));
            assert_eq!(one, other, "{text:?}");
            let [one, other] = [text, "a"].map(|text| elements(&format!("# {} x", plain_of(&view, text))));
            assert_eq!(one, other, "{text:?}");
        }
        assert_eq!(span(&view, "the password is hunter2", 100), "`the password is •••`");
        assert_eq!(span(&view, " ", 100), "nothing");
        assert_eq!(plain(&view, "api_v2 *", 100), "api\\_v2 \\*");
    }

    fn plain_of(view: &View<'_>, text: &str) -> String {
        plain(view, text, 100)
    }

    #[test]
    fn what_is_shown_is_what_was_written() {
        let plan = plan();
        let view = view(&plan);
        for text in ["`", "a `` b", "`a`", "x"] {
            let code = |event| if let Event::Code(code) = event { Some(code.into_string()) } else { None };
            assert_eq!(Parser::new(&span(&view, text, 100)).find_map(code).as_deref(), Some(text));
        }
    }
}
