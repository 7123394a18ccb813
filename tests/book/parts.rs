//! The parts of pages that the code writes: between `<!-- NAME: … -->` and `<!-- end -->`.

use crate::fields::Tables;
use crate::links;
use crate::pages::{Page, named, pages, root};
use crate::{bounds, commands};

/// A part of a page that the code writes.
pub struct Part {
    /// The line of its beginning.
    pub line: usize,
    /// What it is: `fields`, `way`, …
    pub name: String,
    /// Of what.
    pub of: String,
}

impl Part {
    /// The part that begins in a line.
    fn begins(line: usize, text: &str) -> Option<Self> {
        let within = text.trim().strip_prefix("<!-- ")?.strip_suffix(" -->")?;
        let (name, of) = within.split_once(": ").unwrap_or((within, ""));
        Some(Self { line, name: name.to_owned(), of: of.to_owned() })
    }
}

/// The parts of a page.
pub fn parts(page: &Page) -> Vec<Part> {
    let begun = page.prose().into_iter().filter_map(|(line, text)| Part::begins(line, text));
    begun.filter(|part| part.name != "end").collect()
}

/// The page as the code has it.
fn written(page: &Page, tables: &Tables, order: &[String]) -> String {
    let mut text = String::new();
    let mut within = None;
    for (index, line) in page.text.lines().enumerate() {
        let part = Part::begins(index + 1, line);
        match (part, &within) {
            (Some(part), None) => {
                assert!(part.name != "end", "{}:{}: nothing ends here", page.path, part.line);
                text += line;
                text += "\n\n";
                text += body(page, &part, tables, order).trim();
                text += "\n\n";
                within = Some(part);
            }
            (Some(part), Some(begun)) => {
                assert_eq!(part.name, "end", "{}: `{}` has no end", page.path, begun.name);
                text += line;
                text.push('\n');
                within = None;
            }
            (None, Some(_)) => {}
            (None, None) => {
                text += line;
                text.push('\n');
            }
        }
    }
    assert!(within.is_none(), "{}: a part has no end", page.path);
    text
}

fn body(page: &Page, part: &Part, tables: &Tables, order: &[String]) -> String {
    match part.name.as_str() {
        "fields" => tables.table(page, &part.of),
        "way" => way(page, order),
        "bounds" => bounds::table(),
        "commands" => commands::help(),
        other => panic!("{}:{}: nobody writes `{other}`", page.path, part.line),
    }
}

/// From a page to the one before it, to the contents and to the one behind it.
fn way(page: &Page, order: &[String]) -> String {
    let at =
        order.iter().position(|path| *path == page.path).unwrap_or_else(|| panic!("{} is in no contents", page.path));
    let before = at.checked_sub(1).and_then(|at| order.get(at)).filter(|_| at > 1);
    let link = |path: &String| format!("[{}]({})", links::title(&named(path)), page.link_to(path));
    let mut parts = Vec::new();
    parts.extend(before.map(|path| format!("Back: {}", link(path))));
    if at > 0 {
        parts.push(format!("[Contents]({})", page.link_to("docs/README.md")));
    }
    parts.extend(order.get(at + 1).map(|path| format!("On: {}", link(path))));
    parts.join(" · ")
}

#[test]
fn what_the_code_writes_stands_in_the_pages() {
    let order = links::order();
    let pages = pages();
    let tables = Tables::of(&pages);
    let mut old = Vec::new();
    for page in &pages {
        let written = written(page, &tables, &order);
        if written == page.text {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(root().join(&page.path), written).expect("a page can be written");
        } else {
            let line = written.lines().zip(page.text.lines()).position(|(new, old)| new != old).unwrap_or_default() + 1;
            old.push(format!("{}:{line}", page.path));
        }
    }
    assert!(old.is_empty(), "old are {}: BLESS=1 cargo test --test book, then read the difference", old.join(", "));
}

#[test]
fn every_page_of_the_book_leads_on() {
    for page in pages().iter().filter(|page| page.path.starts_with("docs/")) {
        let ways = parts(page).iter().filter(|part| part.name == "way").count();
        assert_eq!(ways, 1, "{} has one `<!-- way -->`", page.path);
    }
}
