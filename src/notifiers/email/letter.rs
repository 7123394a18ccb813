//! The mail itself: text and HTML, with headers by which programs file it and readers see one thread for each incident.

use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use maud::{DOCTYPE, html};

use crate::notifiers::message::{CHANGES_HEADING, Story, Told, links, piece, subject, text};
use crate::ports::Notification;

/// The mail, or why an address or a header stands in its way.
pub fn letter(notification: &Notification, from: &Mailbox, to: &[Mailbox]) -> Result<Message, lettre::error::Error> {
    let incident = &notification.incident;
    let domain = from.email.domain();
    // No mail has this name, and all of an incident, or of what began together, refer to it: whichever is read first, they stand together.
    let thread = format!("<{}@{domain}>", notification.alert());
    let mut letter = Message::builder()
        .from(from.clone())
        .subject(subject(notification))
        .date(notification.at.into())
        .message_id(Some(format!("<{}@{domain}>", notification.key())))
        .in_reply_to(thread.clone())
        .references(thread);
    for to in to {
        letter = letter.to(to.clone());
    }
    // RFC 3834: nobody's holiday answers to this.
    for (name, value) in [
        (HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated"),
        (HeaderName::new_from_ascii_str("X-Roundsman-Incident"), &*incident.id.0),
        (HeaderName::new_from_ascii_str("X-Roundsman-Event"), notification.event.as_str()),
        (HeaderName::new_from_ascii_str("X-Roundsman-Severity"), incident.severity.as_str()),
    ] {
        letter = letter.raw_header(HeaderValue::new(name, value.to_owned()));
    }
    if notification.plain {
        return letter.header(ContentType::TEXT_PLAIN).body(piece(&notification.summary()));
    }
    letter.multipart(MultiPart::alternative_plain_html(text(notification), page(notification)))
}

/// Readers of mail know neither scripts nor sheets, and take no pictures from elsewhere: plain marks and a table.
fn page(notification: &Notification) -> String {
    let story = Story::of(notification);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (subject(notification)) } }
            body style="font-family: sans-serif; line-height: 1.4" {
                p { strong { (story.headline) } }
                @if !story.failures.is_empty() {
                    p { (story.heading) }
                    ul {
                        @for Told { what, expected, came } in &story.failures {
                            li {
                                (what)
                                @if let Some(expected) = expected { br; "expected: " code { (expected) } }
                                @if let Some(came) = came { br; "came: " code { (came) } }
                            }
                        }
                        @if story.more > 0 { li { "and " (story.more) " more" } }
                    }
                }
                @if !story.changes.is_empty() {
                    p { (CHANGES_HEADING) }
                    ul { @for change in &story.changes { li { (change) } } }
                }
                table {
                    @for (name, value) in &story.facts {
                        tr { th align="left" { (name) } td { (value) } }
                    }
                }
                @let links = links(notification);
                @if !links.is_empty() {
                    p { @for (name, url) in &links { a href=(url) { (name) } " " } }
                }
            }
        }
    };
    page.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifiers::message::tests::{flooding, hostile, of_each_event, of_several, opened, resolved};

    /// The mail with its parts in the clear; what separates them is chance.
    fn shown(notification: &Notification) -> String {
        let from = "Roundsman <roundsman@shop.example>".parse().unwrap();
        let to = ["oncall@shop.example".parse().unwrap(), "Ops <ops@shop.example>".parse().unwrap()];
        let letter = letter(notification, &from, &to).unwrap();
        let mail = String::from_utf8(letter.formatted()).unwrap();
        let head = mail.split_once("\r\n\r\n").unwrap().0.split("Content-Type").next().unwrap().replace('\r', "");
        let body = if notification.plain { piece(&notification.summary()) } else { page(notification) };
        format!("{head}---\n{body}")
    }

    #[test]
    fn a_mail_says_what_since_when_and_where_to_look() {
        for (event, notification) in of_each_event() {
            insta::assert_snapshot!(event, shown(&notification));
        }
        for (what, notification) in of_several() {
            insta::assert_snapshot!(what, shown(&notification));
        }
        for (name, notification) in crate::notifiers::message::tests::degraded() {
            insta::assert_snapshot!(name, shown(&notification));
        }
        insta::assert_snapshot!("late", shown(&Notification { late: true, ..resolved() }));
        insta::assert_snapshot!("plain", shown(&Notification { plain: true, ..opened() }));
        insta::assert_snapshot!("hostile", shown(&hostile()));
    }

    #[test]
    fn a_target_can_write_no_header_no_mark_and_no_end() {
        let from = "roundsman@shop.example".parse().unwrap();
        let letter = letter(&flooding(), &from, &["oncall@shop.example".parse().unwrap()]).unwrap();
        let mail = String::from_utf8(letter.formatted()).unwrap();
        let head = mail.split_once("\r\n\r\n").unwrap().0;
        assert_eq!(head.lines().filter(|line| line.starts_with("Subject:")).count(), 1, "{head}");
        assert!(mail.lines().all(|line| line.len() <= 998), "RFC 5322, section 2.1.1");
        let page = page(&flooding());
        assert!(
            !page.contains("<!channel>") && !page.contains("<https") && !page.contains("javascript:alert(1)\""),
            "{page}"
        );
    }
}
