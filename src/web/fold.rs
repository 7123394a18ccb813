//! Tables that fold: on a phone each row is a small list in which every cell says what it is.

use maud::{Markup, html};

/// A table with these heads, and rows of [`cell`]s that name them.
pub fn table(about: &str, heads: &[&str], rows: &[Markup]) -> Markup {
    html! {
        table .fold .card aria-label=(about) {
            thead { tr { @for head in heads { th scope="col" { (head) } } } }
            tbody { @for row in rows { tr { (row) } } }
        }
    }
}

/// A cell below the head of that name.
pub fn cell(head: &str, content: &Markup) -> Markup {
    html! { td data-th=(head) { (content) } }
}

/// The same for a plain text, which was made harmless before.
pub fn text(head: &str, content: &str) -> Markup {
    html! { td data-th=(head) { (content) } }
}
