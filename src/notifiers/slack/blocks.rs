//! What Slack shows: blocks within its limits (<https://docs.slack.dev/reference/block-kit/blocks>), and beside them a text
//! for notifications and for whoever shows no blocks. What a target wrote stands in plain text, where nothing is a mention,
//! a link or a style; what Slack reads all the same (`&`, `<`, `>`) is escaped.

use serde_json::{Value, json};

use crate::domain::incident::Event;
use crate::notifiers::message::{CHANGES_HEADING, Story, about, fit, links};
use crate::ports::Notification;

/// The longest header, in characters.
const HEADER_MAX: usize = 150;

/// The longest text of a section, in characters.
const SECTION_MAX: usize = 3_000;

/// The longest headline in characters, so that the whole stays below what Slack keeps of a message (some 13,000).
const HEADLINE_MAX: usize = 1_000;

/// The longest list of changes in characters, for the same reason.
const CHANGES_MAX: usize = 2_000;

/// How many incidents are listed, so that how many there are besides is in the section too.
const LISTED_MAX: usize = 18;

/// A section has at most this many fields.
const FIELDS_MAX: usize = 10;

/// The longest field, in characters: Slack takes 2,000, but not ten of them in a message that is to be kept.
const FIELD_MAX: usize = 250;

/// The longest text beside the blocks, in characters.
const TEXT_MAX: usize = 1_000;

/// The facts that stand in the header or as links.
const ELSEWHERE: [&str; 2] = ["severity", "page"];

/// The message: blocks and a text, or the text alone where the blocks were refused.
pub fn message(notification: &Notification) -> Value {
    let story = Story::of(notification).shortened(LISTED_MAX);
    let text = format!("{}: {}", heading(notification), story.headline);
    let mut message = json!({
        "text": escaped(&text, TEXT_MAX),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
    });
    if !notification.plain {
        message["blocks"] = blocks(notification, &story).into();
    }
    message
}

fn heading(notification: &Notification) -> String {
    format!("{} {}: {}", notification.incident.severity, notification.event.as_str(), about(notification))
}

fn blocks(notification: &Notification, story: &Story) -> Vec<Value> {
    let mark = match notification.event {
        Event::Opened | Event::Reminder | Event::Escalated => "🔴",
        Event::Resolved if notification.is_of_all() => "🟢",
        Event::Acknowledged | Event::Resolved => "🟡",
        Event::PostMortem => "📝",
    };
    let mut blocks = vec![
        json!({ "type": "header", "text": plain(&format!("{mark} {}", heading(notification)), HEADER_MAX) }),
        section(&story.headline, HEADLINE_MAX),
    ];
    if !story.failures.is_empty() {
        blocks.push(section(&format!("{}\n{}", story.heading, story.failures().trim_end()), SECTION_MAX));
    }
    if !story.changes.is_empty() {
        blocks.push(section(&format!("{CHANGES_HEADING}\n{}", story.changes().trim_end()), CHANGES_MAX));
    }
    let facts = story.facts.iter().filter(|(name, _)| !ELSEWHERE.contains(name));
    let fields = facts.take(FIELDS_MAX).map(|(name, value)| plain(&format!("{name}: {value}"), FIELD_MAX));
    blocks.push(json!({ "type": "section", "fields": fields.collect::<Vec<_>>() }));
    let links: Vec<_> = links(notification).iter().map(|(name, url)| link(name, url)).collect();
    if !links.is_empty() {
        let text = json!({ "type": "mrkdwn", "text": links.join("  ·  "), "verbatim": true });
        blocks.push(json!({ "type": "section", "text": text }));
    }
    blocks
}

fn section(text: &str, max: usize) -> Value {
    json!({ "type": "section", "text": plain(text, max) })
}

/// Without `emoji` a `:word:` stays what it is.
fn plain(text: &str, max: usize) -> Value {
    json!({ "type": "plain_text", "text": escaped(text, max), "emoji": false })
}

/// A URL of ours as Slack writes links; the bar would end it.
fn link(name: &str, url: &str) -> String {
    format!("<{}|{name}>", escaped(&url.replace('|', "%7C"), SECTION_MAX))
}

/// <https://docs.slack.dev/messaging/formatting-message-text#escaping>
fn escaped(text: &str, max: usize) -> String {
    fit(text, max, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifiers::message::tests::{flooding, hostile, of_each_event, of_several, opened, resolved};

    #[test]
    fn a_message_says_what_since_when_and_where_to_look() {
        for (event, notification) in of_each_event() {
            insta::assert_snapshot!(event, format!("{:#}", message(&notification)));
        }
        for (what, notification) in of_several() {
            insta::assert_snapshot!(what, format!("{:#}", message(&notification)));
        }
        for (name, notification) in crate::notifiers::message::tests::degraded() {
            insta::assert_snapshot!(name, format!("{:#}", message(&notification)));
        }
        insta::assert_snapshot!("late", format!("{:#}", message(&Notification { late: true, ..resolved() })));
        insta::assert_snapshot!("plain", format!("{:#}", message(&Notification { plain: true, ..opened() })));
        insta::assert_snapshot!("hostile", format!("{:#}", message(&hostile())));
    }

    #[test]
    fn nothing_that_a_target_writes_is_more_than_text() {
        for notification in [hostile(), Notification { plain: true, ..hostile() }, flooding()] {
            let message = message(&notification);
            assert_eq!(message["mrkdwn"], false, "a style in the text beside the blocks");
            let mut texts = vec![message["text"].as_str().unwrap()];
            let mut links = 0;
            for block in message["blocks"].as_array().into_iter().flatten() {
                for part in block["fields"].as_array().into_iter().flatten().chain([&block["text"]]) {
                    match (part["type"].as_str(), part["text"].as_str()) {
                        (Some("plain_text"), Some(text)) => texts.push(text),
                        (Some("mrkdwn"), Some(text)) => links += text.matches('<').count(),
                        _ => {}
                    }
                }
            }
            assert!(texts.iter().all(|text| !text.contains(['<', '>'])), "{texts:#?}");
            assert!(links <= 1, "the incident's page alone");
        }
    }

    #[test]
    fn no_target_makes_it_longer_than_slack_takes() {
        let message = message(&flooding());
        let blocks = message["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50);
        for text in blocks.iter().filter_map(|block| block["text"]["text"].as_str()) {
            assert!(text.chars().count() <= SECTION_MAX);
        }
        assert!(blocks[0]["text"]["text"].as_str().unwrap().chars().count() <= HEADER_MAX);
        assert!(message.to_string().chars().count() <= 13_000, "{}", message.to_string().chars().count());
    }
}
