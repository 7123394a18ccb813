//! Which scripts and styles a document names, as a browser finds them before it executes anything.

use super::RESOURCES_MAX;
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{StartTag, Token, Tokenizer};
use url::Url;

/// What a document names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A script.
    Script,
    /// A style sheet.
    Style,
}

/// Elements within which nothing is loaded by a browser that runs scripts.
const INERT: [&[u8]; 2] = [b"noscript", b"template"];

/// The scripts and styles of a document, each once, in their order. What leads nowhere that can be asked (`data:`, text
/// that is no URL) is left out.
pub fn named(html: &[u8], document: &Url) -> Vec<(Url, Part)> {
    let mut emitter = DefaultEmitter::default();
    // Otherwise the text of a script would be read as elements.
    emitter.naively_switch_states(true);
    let mut base = None;
    let mut found: Vec<(Url, Part)> = Vec::new();
    let mut inert = 0_usize;
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let tag = match token {
            Ok(Token::StartTag(tag)) => tag,
            Ok(Token::EndTag(tag)) if INERT.contains(&tag.name.as_slice()) => {
                inert = inert.saturating_sub(1);
                continue;
            }
            _ => continue,
        };
        if INERT.contains(&tag.name.as_slice()) {
            inert += 1;
        }
        if inert > 0 {
            continue;
        }
        // The first one counts (WHATWG HTML, section 2.4.3).
        if tag.name.as_slice() == b"base" && base.is_none() {
            base = attribute(&tag, "href").and_then(|href| document.join(href.trim()).ok());
        }
        let Some((address, part)) = resource(&tag) else { continue };
        let Ok(mut url) = base.as_ref().unwrap_or(document).join(address.trim()) else { continue };
        url.set_fragment(None);
        if matches!(url.scheme(), "http" | "https") && !found.iter().any(|(known, _)| *known == url) {
            found.push((url, part));
            // One more than are read tells that there are too many; to look for more would be the page's to prolong.
            if found.len() > RESOURCES_MAX {
                break;
            }
        }
    }
    found
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    let value = tag.attributes.get(name.as_bytes())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The address of what an element loads.
fn resource(tag: &StartTag<()>) -> Option<(String, Part)> {
    match tag.name.as_slice() {
        // A script for browsers without modules is loaded by no other.
        b"script" if !tag.attributes.contains_key(&b"nomodule"[..]) => {
            let is_code = attribute(tag, "type").is_none_or(|kind| is_script(&kind));
            attribute(tag, "src").filter(|_| is_code).map(|source| (source, Part::Script))
        }
        b"link" => {
            let rel = attribute(tag, "rel")?.to_ascii_lowercase();
            let says = |word: &str| rel.split_ascii_whitespace().any(|known| known == word);
            let loaded_as = attribute(tag, "as").unwrap_or_default().to_ascii_lowercase();
            let part = if says("stylesheet") && !says("alternate") || says("preload") && loaded_as == "style" {
                Part::Style
            } else if says("modulepreload") || says("preload") && loaded_as == "script" {
                Part::Script
            } else {
                return None;
            };
            attribute(tag, "href").map(|address| (address, part))
        }
        _ => None,
    }
}

/// Whether a browser executes what has this type: a data block may have an address and is not loaded.
fn is_script(kind: &str) -> bool {
    let kind = kind.trim().to_ascii_lowercase();
    kind.is_empty() || kind == "module" || kind.ends_with("/javascript") || kind.ends_with("/ecmascript")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(html: &str) -> Vec<(String, Part)> {
        let document = Url::parse("https://shop.example.com/a/page?x=1").unwrap();
        named(html.as_bytes(), &document).into_iter().map(|(url, part)| (url.into(), part)).collect()
    }

    #[test]
    fn scripts_and_styles_are_found_where_a_browser_finds_them() {
        let found = addresses(
            r#"<!doctype html><LINK REL="StyleSheet" href=/a.css><link rel="preload stylesheet" as=style href="/a.css#x">
               <script src="b.js?v=1&amp;w=2"></script><script type=module src=//cdn.example.com/c.js></script>
               <link rel=modulepreload href=../d.js><link rel=preload as=script href=e.js>"#,
        );
        let expected = [
            ("https://shop.example.com/a.css", Part::Style),
            ("https://shop.example.com/a/b.js?v=1&w=2", Part::Script),
            ("https://cdn.example.com/c.js", Part::Script),
            ("https://shop.example.com/d.js", Part::Script),
            ("https://shop.example.com/a/e.js", Part::Script),
        ];
        assert_eq!(found, expected.map(|(url, part)| (url.to_owned(), part)));
    }

    #[test]
    fn what_a_browser_does_not_load_is_not_found() {
        for html in [
            "<!-- <script src=a.js></script> -->",
            "<script>document.write('<script src=a.js></scr' + 'ipt>')</script>",
            "<style>/* <link rel=stylesheet href=a.css> */</style>",
            "<textarea><script src=a.js></script></textarea>",
            "<noscript><link rel=stylesheet href=a.css></noscript>",
            "<template><script src=a.js></script></template>",
            "<script nomodule src=a.js></script>",
            "<script type=application/json src=a.json></script>",
            "<script src='data:text/javascript,1'></script>",
            "<link rel='alternate stylesheet' href=a.css>",
            "<link rel=icon href=a.png><link rel=preload as=font href=a.woff2><img src=a.png>",
            "<script src='http://[bad/'></script>",
        ] {
            assert_eq!(addresses(html), [], "{html}");
        }
    }

    #[test]
    fn a_base_moves_what_is_behind_it() {
        let found = addresses("<script src=a.js></script><base href=/x/><base href=/y/><script src=a.js></script>");
        let found: Vec<_> = found.into_iter().map(|(url, _)| url).collect();
        assert_eq!(found, ["https://shop.example.com/a/a.js", "https://shop.example.com/x/a.js"]);
    }
}
