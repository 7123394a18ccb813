//! The pages as text: their headings, their links, their blocks of code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One page.
pub struct Page {
    /// Its path from the root of the repository.
    pub path: String,
    pub text: String,
}

/// A fenced block.
pub struct Block {
    /// `docs/page.md:12`.
    pub place: String,
    /// What stands behind its fence, e.g. `yaml probes/shop.yaml`.
    pub info: String,
    pub text: String,
}

/// A heading.
pub struct Heading {
    pub line: usize,
    pub level: usize,
    /// What a link to it says behind its `#`.
    pub anchor: String,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every page: the README, how to report what is unsafe, and the book.
pub fn pages() -> Vec<Page> {
    let mut paths = vec![root().join("README.md"), root().join("SECURITY.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the book") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.iter().map(|path| page(path)).collect()
}

/// One page by its path from the root.
pub fn named(path: &str) -> Page {
    page(&root().join(path))
}

fn page(path: &Path) -> Page {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let path = path.strip_prefix(root()).expect("a path of the repository").to_string_lossy().into_owned();
    Page { path, text }
}

impl Page {
    /// The lines outside blocks, with their numbers.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        let mut within = false;
        let mut lines = Vec::new();
        for (index, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                within = !within;
            } else if !within {
                lines.push((index + 1, line));
            }
        }
        assert!(!within, "{}: a block has no end", self.path);
        lines
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, Block)> = None;
        for (index, line) in self.text.lines().enumerate() {
            let bare = line.trim_start();
            match (&mut open, bare.strip_prefix("```")) {
                (None, Some(info)) => {
                    let place = format!("{}:{}", self.path, index + 1);
                    let block = Block { place, info: info.trim().to_owned(), text: String::new() };
                    open = Some((line.len() - bare.len(), block));
                }
                (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
                (Some((indent, block)), None) => {
                    block.text += line.get(*indent..).unwrap_or_default();
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        blocks
    }

    pub fn headings(&self) -> Vec<Heading> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut headings = Vec::new();
        for (line, text) in self.prose() {
            let level = text.bytes().take_while(|byte| *byte == b'#').count();
            let Some(title) = text.get(level..).and_then(|rest| rest.strip_prefix(' ')).filter(|_| level > 0) else {
                continue;
            };
            let slug = slug(title);
            let again = seen.entry(slug.clone()).or_default();
            let anchor = if *again == 0 { slug } else { format!("{slug}-{again}") };
            *again += 1;
            headings.push(Heading { line, level, anchor });
        }
        headings
    }

    /// The targets of links and pictures, with their lines.
    pub fn links(&self) -> Vec<(usize, String)> {
        let link = regex::Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
        let code = regex::Regex::new("`[^`]*`").expect("a pattern");
        let of_line = |(line, text): (usize, &str)| {
            // In code nothing is a link; a link whose text is code keeps its target.
            let text = code.replace_all(text, "code").into_owned();
            link.captures_iter(&text).map(|found| (line, found[1].to_owned())).collect::<Vec<_>>()
        };
        self.prose().into_iter().flat_map(of_line).collect()
    }

    /// The path from the root of what a link of this page leads to, and the anchor in it.
    pub fn target(&self, link: &str) -> (String, Option<String>) {
        let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
        if path.is_empty() {
            return (self.path.clone(), anchor.map(ToOwned::to_owned));
        }
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in path.split('/') {
            match part {
                "." | "" => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        (parts.join("/"), anchor.map(ToOwned::to_owned))
    }

    /// The link from this page to another.
    pub fn link_to(&self, path: &str) -> String {
        let mut from: Vec<&str> = self.path.split('/').collect();
        from.pop();
        let to: Vec<&str> = path.split('/').collect();
        let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
        let up = std::iter::repeat_n("..", from.len() - common);
        up.chain(to[common..].iter().copied()).collect::<Vec<_>>().join("/")
    }
}

/// The anchor of a heading, as GitHub makes it.
fn slug(title: &str) -> String {
    let kept = |letter: char| letter.is_alphanumeric() || "-_ ".contains(letter);
    title
        .to_lowercase()
        .chars()
        .filter(|letter| kept(*letter))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[test]
fn a_page_is_read_as_its_readers_see_it() {
    let text = "# A `b` & c\n\n## Again\n[x](y.md#z)\n```sh\n# no heading\n[no](link)\n```\n## Again\n`[no](link)` [`yes`](/to)\n";
    let page = Page { path: "docs/a/b.md".to_owned(), text: text.to_owned() };
    let anchors: Vec<_> = page.headings().into_iter().map(|heading| (heading.level, heading.anchor)).collect();
    assert_eq!(anchors, [(1, "a-b--c".to_owned()), (2, "again".to_owned()), (2, "again-1".to_owned())]);
    assert_eq!(page.links(), [(4, "y.md#z".to_owned()), (10, "/to".to_owned())]);
    assert_eq!(page.blocks()[0].text, "# no heading\n[no](link)\n");
    assert_eq!(page.target("../c.md#d"), ("docs/c.md".to_owned(), Some("d".to_owned())));
    assert_eq!(page.link_to("docs/c/d.md"), "../c/d.md");
    assert_eq!(page.link_to("README.md"), "../../README.md");
}
