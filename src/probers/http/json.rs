//! A JSON body: the tree of the file becomes JSON text once, and each value that is put in later is escaped for the string
//! it stands in. `"{{x}}"` stays a string, whatever was captured.

use serde_json::Value as Json;

use crate::domain::template::{Piece, Template, canonical, pieces};
use crate::settings::{Node, Problems, Value, read};

/// The JSON text of a node as one template; every mistake in it is a problem.
pub fn template(node: &Node, problems: &mut Problems) -> Option<Template> {
    let mut text = Vec::new();
    let known = problems.len();
    write(node, &mut text, problems);
    // The text was put together from templates, so it reads back.
    (problems.len() == known).then(|| Template::parse(&canonical(&text)).ok()).flatten()
}

/// The tree is at most [`crate::settings::tree::DEPTH_MAX`] deep, so the recursion is bounded.
fn write(node: &Node, text: &mut Vec<Piece>, problems: &mut Problems) {
    let mut say = |more: String| text.push(Piece::Literal(more));
    match &node.value {
        Value::Null => say("null".to_owned()),
        Value::Bool(value) => say(value.to_string()),
        Value::Int(value) => say(value.to_string()),
        Value::Float(value) => match number(node, *value) {
            Some(digits) => say(digits),
            None => {
                let message = format!("`{}` cannot be written in JSON", node.span.text());
                problems.error(node.span.clone(), message).help = Some("put it in quotes if it is text".to_owned());
            }
        },
        Value::Text(_) => {
            let Some(template) = read::<Template>(node, problems) else { return };
            say("\"".to_owned());
            for piece in pieces(&template.to_string()).unwrap_or_default() {
                text.push(if let Piece::Literal(literal) = piece { Piece::Literal(escape(&literal)) } else { piece });
            }
            text.push(Piece::Literal("\"".to_owned()));
        }
        Value::List(items) => {
            say("[".to_owned());
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(Piece::Literal(",".to_owned()));
                }
                write(item, text, problems);
            }
            text.push(Piece::Literal("]".to_owned()));
        }
        Value::Map(entries) => {
            say("{".to_owned());
            for (index, entry) in entries.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                text.push(Piece::Literal(format!("{comma}{}:", Json::from(entry.key.text.as_str()))));
                write(&entry.value, text, problems);
            }
            text.push(Piece::Literal("}".to_owned()));
        }
        // Its mistake has been reported.
        Value::Broken => {}
    }
}

/// The digits as they were written, where they are JSON's: a double would lose those of a long number.
fn number(node: &Node, value: f64) -> Option<String> {
    let written = node.span.text();
    if serde_json::from_str::<serde_json::Number>(written).is_ok() {
        return Some(written.to_owned());
    }
    serde_json::Number::from_f64(value).map(|number| number.to_string())
}

/// What stands between the quotes of a JSON string.
pub fn escape(text: &str) -> String {
    let quoted = Json::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::names::{CaptureName, SecretName};
    use crate::domain::template::Fill;
    use crate::settings::{Source, parse};

    struct Captured(BTreeMap<&'static str, String>);

    impl Fill for Captured {
        fn capture(&self, name: &CaptureName) -> Option<&str> {
            self.0.get(name.as_str()).map(String::as_str)
        }
        fn run_id(&self) -> &'static str {
            "R1"
        }
        fn secret(&self, _: &SecretName) -> Option<&str> {
            None
        }
    }

    fn filled(yaml: &str, x: &str) -> String {
        let mut problems = Problems::new();
        let node = parse(Source::new("probes/a.yaml", yaml), &mut problems).unwrap();
        let template = template(&node, &mut problems).unwrap();
        let values = Captured([("x", x.to_owned())].into());
        template.fill(&values, |value| Some(escape(value))).unwrap()
    }

    #[test]
    fn the_tree_becomes_json_and_its_texts_are_filled() {
        let yaml = "{ a: \"{{x}}\", b: [1, 1.50, true, null, 123456789012345678901234567890], \"c\\\"d\": \"n {{run.id}}\\n\" }";
        assert_eq!(
            filled(yaml, "12"),
            r#"{"a":"12","b":[1,1.50,true,null,123456789012345678901234567890],"c\"d":"n R1\n"}"#
        );
    }

    #[test]
    fn what_json_cannot_say_is_a_problem() {
        let mut problems = Problems::new();
        let node = parse(Source::new("probes/a.yaml", "{ a: .nan }"), &mut problems).unwrap();
        assert!(template(&node, &mut problems).is_none());
        assert!(problems.render(false).contains("`.nan` cannot be written in JSON"), "{}", problems.render(false));
    }

    proptest! {
        #[test]
        fn a_value_stays_within_its_string(value in any::<String>()) {
            let json: Json = serde_json::from_str(&filled("{ a: \"<{{x}}>\" }", &value)).unwrap();
            prop_assert_eq!(json, serde_json::json!({ "a": format!("<{value}>") }));
        }
    }
}
