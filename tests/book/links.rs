//! Links lead somewhere, and the book leads from its first page to its last.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::pages::{Page, named, pages, root};

/// The pages of the book in their order, as its table of contents lists them.
pub fn order() -> Vec<String> {
    let contents = named("docs/README.md");
    let mut order = vec![contents.path.clone()];
    for (_, link) in contents.links() {
        let (path, _) = contents.target(&link);
        if path.starts_with("docs/")
            && Path::new(&path).extension().is_some_and(|ending| ending == "md")
            && !order.contains(&path)
        {
            order.push(path);
        }
    }
    order
}

/// The name of a page: its first heading.
pub fn title(page: &Page) -> String {
    let first = page.prose().into_iter().find_map(|(_, line)| line.strip_prefix("# ").map(ToOwned::to_owned));
    first.unwrap_or_else(|| panic!("{} has no heading", page.path))
}

#[test]
fn every_link_leads_to_what_is_there() {
    let pages = pages();
    let anchors: BTreeMap<_, BTreeSet<_>> = pages
        .iter()
        .map(|page| (page.path.as_str(), page.headings().into_iter().map(|heading| heading.anchor).collect()))
        .collect();
    let mut wrong = Vec::new();
    for page in &pages {
        for (line, link) in page.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = page.target(&link);
            let there = root().join(&path).exists();
            let known =
                anchor.is_none_or(|anchor| anchors.get(path.as_str()).is_some_and(|known| known.contains(&anchor)));
            if !there || !known {
                wrong.push(format!("{}:{line}: {link} leads nowhere", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_is_in_the_table_of_contents_once() {
    let order: BTreeSet<_> = order().into_iter().collect();
    let there: BTreeSet<_> =
        pages().into_iter().map(|page| page.path).filter(|path| path.starts_with("docs/")).collect();
    assert_eq!(order, there, "docs/README.md lists every page of docs/");
}

#[test]
fn every_page_has_one_first_heading() {
    for page in pages() {
        let firsts = page.headings().iter().filter(|heading| heading.level == 1).count();
        assert_eq!(firsts, 1, "{}", page.path);
    }
}
