//! The pictures of the documentation: each is shown somewhere, and none is large.

use std::fs;

use crate::pages::{pages, root};

/// How many bytes a picture has at most, and all of them together.
const ONE_MAX: u64 = 120 * 1024;
const ALL_MAX: u64 = 1_500 * 1024;

#[test]
fn every_picture_is_shown_and_none_is_large() {
    let shown: String = pages().iter().map(|page| page.text.as_str()).collect();
    let (mut sum, mut wrong) = (0, Vec::new());
    for picture in fs::read_dir(root().join("docs/pictures")).expect("pictures") {
        let picture = picture.expect("a picture");
        let name = picture.file_name().into_string().expect("a name in UTF-8");
        let size = picture.metadata().expect("a size").len();
        sum += size;
        if !shown.contains(&format!("pictures/{name})")) {
            wrong.push(format!("no page shows {name}"));
        }
        if size > ONE_MAX {
            wrong.push(format!("{name} has {size} bytes"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!((1..=ALL_MAX).contains(&sum), "all pictures have {sum} bytes");
}
