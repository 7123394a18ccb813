//! Who may ask what, as the book says it, against the table of the routes.

use roundsman::web::routes::rows;
use roundsman::web::table::Scope;

use super::pages::named;

/// What the row of somebody says in the table of a page.
fn row<'a>(page: &'a str, who: &str) -> &'a str {
    let begin = format!("| {who}");
    let line = page.lines().find(|line| line.starts_with(&begin));
    line.unwrap_or_else(|| panic!("docs/security.md says nothing of: {who}"))
}

/// What stands in code in a text.
fn codes(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// How the book writes a path of the table.
fn written(path: &str) -> String {
    path.split_once('{').map_or_else(|| path.to_owned(), |(begin, _)| format!("{begin}…"))
}

#[test]
fn whatever_is_open_to_more_than_readers_is_in_the_book_and_nothing_else() {
    let page = named("docs/security.md").text;
    for (scope, who) in [
        (Scope::Open, "anybody"),
        (Scope::Ping, "who has the token of a heartbeat"),
        (Scope::Signed, "PagerDuty, by what it signs"),
        (Scope::Operate, "who has the operate token"),
    ] {
        let told = codes(row(&page, who));
        let rows: Vec<_> = rows();
        // What is changed is told in words.
        let is_told = |scope_of: Scope, method: &str| scope_of == scope && (scope != Scope::Operate || method == "GET");
        let of: Vec<_> = rows.iter().filter(|row| is_told(row.entry.scope, row.method.as_str())).collect();
        assert!(!of.is_empty(), "{who}");
        for row in &of {
            assert!(told.contains(&&*written(row.path)), "{} is missing: {who} may {told:?}", row.path);
        }
        for path in told.iter().filter(|text| text.starts_with('/')) {
            assert!(of.iter().any(|row| written(row.path) == *path), "{path} is not for them: {who}");
        }
    }
}
