//! The forms in which the query protocol and its dialect of EC2 write what is asked: a field below another behind a dot, a
//! list counted from 1.

use serde_json::{Map, Value};
use url::form_urlencoded::Serializer;

use super::call::text;

/// The form of an action. A list is `Name.member.1`, as nearly every service has it; where one calls its members otherwise, the
/// field is written with its dots, `Filters.Filter.1.Name`.
pub fn query(action: &str, version: &str, input: &Map<String, Value>) -> String {
    form(action, version, input, ".member")
}

/// The same for EC2, where a list is `Name.1`.
pub fn ec2(action: &str, version: &str, input: &Map<String, Value>) -> String {
    form(action, version, input, "")
}

fn form(action: &str, version: &str, input: &Map<String, Value>, list: &str) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("Action", action).append_pair("Version", version);
    for (name, value) in input {
        write(name, value, list, &mut form);
    }
    form.finish()
}

/// The tree is as deep as it was written, which is bounded.
fn write(name: &str, value: &Value, list: &str, form: &mut Serializer<'_, String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                write(&format!("{name}.{field}"), value, list, form);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                write(&format!("{name}{list}.{}", index + 1), value, list, form);
            }
        }
        value => {
            if let Some(text) = text(value) {
                form.append_pair(name, &text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn trees_become_names_with_dots() {
        let input =
            map(json!({ "Filter": [{ "Name": "vpc-id", "Value": ["a", "b"] }], "DryRun": false, "Next": null }));
        assert_eq!(
            ec2("DescribeVpcs", "2016-11-15", &input),
            "Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name=vpc-id&Filter.1.Value.1=a&Filter.1.Value.2=b&DryRun=false"
        );
        let input =
            map(json!({ "AutoScalingGroupNames": ["x y"], "Filters.Filter.1.Name": "engine", "MaxRecords": 20 }));
        assert_eq!(
            query("Describe", "1", &input),
            "Action=Describe&Version=1&AutoScalingGroupNames.member.1=x+y&Filters.Filter.1.Name=engine&MaxRecords=20"
        );
    }
}
