//! What a target and people say, in the message of every channel: it is text there, and neither a link nor a mention, neither a
//! header nor an element, and it begins no line of its own.

use std::fs;
use std::sync::Arc;

use roundsman::domain::incident::{Acknowledgement, Event, Incident};
use roundsman::domain::outcome::{Failure, FailureKind};
use roundsman::notifiers::sns::Sns;
use roundsman::ports::{Notification, Notifier};
use serde_json::{Value, json};

use crate::notification::{channel, opened};
use crate::payloads;
use crate::servers::certificates::Authority;
use crate::servers::moto::Moto;
use crate::servers::python;
use crate::servers::receiver::Receiver;
use crate::servers::smtp::Mail;
use crate::shown::{MARKER, wrong};

const SECRETS: &[(&str, &str)] = &[
    ("key", "0123456789abcdef0123456789abcdef"),
    ("token", "xoxb-C4N4RY-token"),
    ("hook", "T0/B0/C4N4RYhook"),
    ("password", "C4N4RY open-sesame"),
];

/// What is posted to receivers over HTTP, by the path where it arrives.
const POSTED: [(&str, &str, &str); 9] = [
    ("/", "webhook", "url: \"AT\""),
    ("/v2/enqueue", "pagerduty", "{ routing_key: \"${secret:key}\", url: \"ATv2/enqueue\" }"),
    ("/services/", "slack", "webhook: \"ATservices/${secret:hook}\""),
    ("/api/chat.postMessage", "slack", "{ token: \"${secret:token}\", channel: \"#ops\", api: \"ATapi\" }"),
    ("/discord", "webhook", "{ url: \"ATdiscord\", preset: discord }"),
    ("/ntfy", "webhook", "{ url: \"ATntfy\", preset: ntfy }"),
    ("/opsgenie", "webhook", "{ url: \"ATopsgenie\", preset: opsgenie }"),
    ("/teams", "webhook", "{ url: \"ATteams\", preset: teams }"),
    ("/telegram", "webhook", "{ url: \"ATtelegram\", preset: telegram, with: { chat: \"-1\" } }"),
];

/// Reads mails as a reader of mail does: their headers, and their parts decoded.
const READ_MAILS: &str = "
import email, email.policy, json, sys
mails = []
for raw in json.load(open(sys.argv[1])):
    mail = email.message_from_string(raw, policy=email.policy.default)
    parts = [part for part in mail.walk() if not part.is_multipart()]
    mails.append({
        'names': [name.lower() for name in mail.keys()],
        'values': [str(value) for value in mail.values()],
        'parts': [{'type': part.get_content_type(), 'text': part.get_content()} for part in parts],
        'defects': [str(defect) for part in mail.walk() for defect in part.defects],
    })
json.dump(mails, sys.stdout)
";

/// That something has opened, or that somebody has it, with a text wherever somebody else's may stand.
fn saying(text: &str, event: Event) -> Notification {
    let plain = opened("I1", "2026-11-24T10:00:00Z".parse().expect("an instant"));
    let failures = Arc::from([
        Failure::new(FailureKind::Expect, text).with(text, text),
        Failure::new(FailureKind::AnswerRefused, text),
        Failure::new(FailureKind::TlsWrongName, text).with("a.example", text),
    ]);
    let incident = Incident {
        first_failures: Arc::clone(&failures),
        latest_failures: failures,
        labels: [("note".to_owned(), text.to_owned())].into(),
        changes: vec![text.to_owned()],
        acknowledged: Some(Acknowledgement { at: plain.at, by: text.to_owned(), note: Some(text.to_owned()) }),
        ..plain.incident.clone()
    };
    let url = Some("https://rounds.example/incidents/I1".to_owned());
    Notification { event, incident, site: text.to_owned(), url, ..plain }
}

/// All texts within JSON, with what is called so.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Object(all) => {
            all.iter().flat_map(|(name, value)| [vec![name.clone()], texts(value)].concat()).collect()
        }
        _ => Vec::new(),
    }
}

/// What of a message Slack would take for more than text.
fn active(message: &Value) -> Vec<String> {
    fn is_plain(text: &str) -> bool {
        let is_entity = |rest: &str| ["amp;", "lt;", "gt;"].iter().any(|name| rest.starts_with(name));
        !text.contains(['<', '>']) && text.split('&').skip(1).all(is_entity)
    }
    fn of_objects(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(all) => all.iter().for_each(|value| of_objects(value, found)),
            Value::Object(all) => {
                let text = all.get("text").and_then(Value::as_str).unwrap_or_default();
                match all.get("type").and_then(Value::as_str) {
                    Some("plain_text") if !is_plain(text) || all["emoji"] != false => found.push(text.to_owned()),
                    // Only our own links are read by Slack.
                    Some("mrkdwn") if text != "<https://rounds.example/incidents/I1|Incident page>" => {
                        found.push(text.to_owned());
                    }
                    _ => {}
                }
                all.values().for_each(|value| of_objects(value, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    of_objects(message, &mut found);
    let beside = message["text"].as_str().unwrap_or_default();
    if message["mrkdwn"] != false || message["unfurl_links"] != false || !is_plain(beside) {
        found.push(beside.to_owned());
    }
    found
}

/// Every message that is sent of a text, by the channel.
struct Channels {
    receiver: Receiver,
    mail: Mail,
    moto: Moto,
    queue: String,
    notifiers: Vec<(String, Arc<dyn Notifier>)>,
}

impl Channels {
    async fn open(receiver: Receiver) -> Self {
        let posted = POSTED
            .iter()
            .map(|(path, kind, yaml)| ((*path).to_owned(), channel(kind, &yaml.replace("AT", &receiver.url), SECRETS)));
        let mut notifiers: Vec<_> = posted.collect();
        let authority = Authority::new("ours");
        let mail = Mail::start("tls", &authority.issue(&["localhost"], |_| {}), "roundsman", "C4N4RY open-sesame");
        let yaml = format!(
            "{{ server: localhost, port: {}, security: tls, ca: {}, from: Roundsman <roundsman@shop.example>, \
             user: roundsman, password: \"${{secret:password}}\", to: ops@shop.example }}",
            mail.port,
            json!(authority.pem)
        );
        notifiers.push(("mail".to_owned(), channel("email", &yaml, SECRETS)));
        let moto = Moto::start();
        let (topic, queue) = moto.topic_and_queue("ops").await;
        notifiers.push(("sns".to_owned(), Arc::new(Sns::new(topic.try_into().expect("a topic"), moto.access()))));
        Self { receiver, mail, moto, queue, notifiers }
    }

    async fn send(&self, text: &str) {
        for event in [Event::Opened, Event::Acknowledged] {
            let notification = saying(text, event);
            for (name, notifier) in &self.notifiers {
                notifier.notify(&notification).await.unwrap_or_else(|error| panic!("{name}, {text:?}: {error}"));
            }
        }
    }

    /// The mails that were taken, as whoever reads them sees them.
    fn mails(&self) -> Vec<Value> {
        let raw: Vec<_> = self.mail.taken().iter().map(|mail| mail["mail"].clone()).collect();
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("mails.json");
        fs::write(&file, json!(raw).to_string()).expect("a file");
        let read = python::run(READ_MAILS, &[file.to_str().expect("a path in UTF-8")]);
        serde_json::from_str(&read).expect("JSON")
    }
}

#[test]
fn what_others_say_is_text_in_every_message() {
    // It has a runtime of its own, which is neither begun nor ended within another.
    let receiver = Receiver::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let channels = runtime.block_on(Channels::open(receiver));
    let all: Vec<_> = payloads::texts().iter().map(|text| format!("{MARKER}{text}")).collect();
    runtime.block_on(async {
        channels.send("plain").await;
        for text in &all {
            channels.send(text).await;
        }
    });
    let number = 2 * (all.len() + 1);
    let mut found = Vec::new();
    let seen = |output: &str, text: &str| {
        wrong(output, text).into_iter().map(|what| format!("{output}: {what}\n{text}")).collect::<Vec<_>>()
    };

    for (path, ..) in POSTED {
        let taken = channels.receiver.taken();
        let of_path = |path: &str, taken: &str| taken == path || path.len() > 1 && taken.starts_with(path);
        let messages: Vec<_> = taken.iter().filter(|taken| of_path(path, &taken.path)).collect();
        assert_eq!(messages.len(), number, "{path}: {:?}", messages.first());
        for message in messages {
            assert!(message.status.is_success(), "{path}: {message:?}");
            // Without a preset it is data for a program, which has every text as it came.
            if path == "/" {
                continue;
            }
            for text in texts(&message.body) {
                // Telegram looks for names in every text; behind an `@` of others stands something that is none.
                // Discord reads Markdown, in which a backslash has what follows stand for itself.
                let text = match path {
                    "/telegram" => text.replace("@\u{200b}", "@"),
                    "/discord" => text.replace('\\', ""),
                    _ => text,
                };
                found.extend(seen(path, &text));
            }
            if path == "/services/" || path.starts_with("/api/") {
                found
                    .extend(active(&message.body).into_iter().map(|text| format!("{path}: is more than text: {text}")));
            }
        }
    }

    let mails = channels.mails();
    assert_eq!(mails.len(), number);
    for (index, mail) in mails.iter().enumerate() {
        // The headers and the parts of a mail are ours, whatever is said in them.
        assert_eq!(mail["names"], mails[index % 2]["names"], "{mail:#}");
        assert_eq!(mail["defects"], json!([]), "{mail:#}");
        let types = |mail: &Value| {
            mail["parts"].as_array().map(|parts| parts.iter().map(|part| part["type"].clone()).collect::<Vec<_>>())
        };
        assert_eq!(types(mail), types(&mails[index % 2]), "{mail:#}");
        for text in texts(&mail["values"]) {
            assert!(!text.contains(['\r', '\n']), "{text:?}");
            found.extend(seen("a header", &text));
        }
        for part in mail["parts"].as_array().expect("parts") {
            let output = if part["type"] == "text/html" { "HTML" } else { "a mail" };
            // Its lines end as those of every mail do.
            found.extend(seen(output, &part["text"].as_str().expect("a text").replace("\r\n", "\n")));
        }
    }

    let told = runtime.block_on(channels.moto.messages(&channels.queue));
    assert_eq!(told.len(), number);
    for message in told {
        let envelope: Value = serde_json::from_str(message["Body"].as_str().expect("a body")).expect("JSON");
        for name in ["Subject", "Message", "MessageAttributes"] {
            found.extend(texts(&envelope[name]).iter().flat_map(|text| seen("sns", text)));
        }
        let subject = envelope["Subject"].as_str().expect("a subject");
        assert!(subject.chars().all(|c| matches!(c, ' '..='~')), "{subject:?}");
    }
    assert!(found.is_empty(), "{} are wrong:\n{}", found.len(), found.join("\n\n"));
}

#[test]
fn what_slack_would_read_is_seen() {
    let message = |text: &str| json!({ "text": text, "mrkdwn": false, "unfurl_links": false });
    assert!(active(&message("&lt;!channel&gt; &amp;lt;")).is_empty());
    for text in ["<!channel>", "a & b", "&#60;!channel&#62;"] {
        assert_eq!(active(&message(text)).len(), 1, "{text}");
    }
    let block = |kind: &str, text: &str| json!({ "blocks": [{ "text": { "type": kind, "text": text, "emoji": false } }], "mrkdwn": false, "unfurl_links": false });
    assert_eq!(active(&block("plain_text", "<@U1>")).len() + active(&block("mrkdwn", "*x*")).len(), 2);
}
