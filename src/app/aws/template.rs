//! One template of CloudFormation with all of it.

use serde_json::{Map, Value, json};

use super::alarms::{About, Alarm};
use super::named;
use super::policy;
use crate::app::answer::Stop;
use crate::domain::text::thousands;

/// How many resources a template has at most.
const RESOURCES_MAX: usize = 500;

/// How many bytes it has at most where it is read from a bucket; sent by itself it may have 51,200.
const BYTES_MAX: usize = 1_000_000;

/// What a template is made of.
pub struct Parts<'a> {
    /// The watched system.
    pub site: &'a str,
    /// The name of the dashboard.
    pub dashboard_name: &'a str,
    /// The dashboard, in which `${AWS::…}` stands for what only the stack knows.
    pub dashboard: &'a Value,
    /// The alarms.
    pub alarms: &'a [Alarm],
    /// What is to be allowed.
    pub statements: &'a [policy::Statement],
}

/// The template.
pub fn template(parts: &Parts<'_>) -> Result<Value, Stop> {
    let (mut parameters, mut conditions, mut outputs) = (Map::new(), Map::new(), Map::new());
    let mut resources = Map::new();
    resources.insert(
        "Dashboard".to_owned(),
        json!({
            "Type": "AWS::CloudWatch::Dashboard",
            "Properties": {
                "DashboardName": parts.dashboard_name,
                "DashboardBody": substituted(&parts.dashboard.to_string()),
            },
        }),
    );
    for alarm in parts.alarms {
        let id = if alarm.about == About::DeadMan { "DeadMan".to_owned() } else { named::logical(&alarm.name) };
        resources.insert(id, of_alarm(alarm));
    }
    if let Some(dead_man) = parts.alarms.iter().find(|alarm| alarm.about == About::DeadMan) {
        parameters.insert("DeadManTopic".to_owned(), dead_man_topic(dead_man));
    }
    let policies = policy::documents(parts.statements);
    if !policies.is_empty() {
        parameters.insert(
            "Role".to_owned(),
            json!({
                "Type": "String",
                "Default": "",
                "Description": "The name of the role that Roundsman has, which then gets the policy. Empty: it is attached to nobody.",
            }),
        );
        conditions.insert("HasRole".to_owned(), json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "Role" }, ""] }] }));
    }
    for (n, document) in (1..).zip(policies) {
        let id = if n == 1 { "Policy".to_owned() } else { format!("Policy{n}") };
        outputs
            .insert(id.clone(), json!({ "Description": "What Roundsman has to be allowed.", "Value": { "Ref": id } }));
        resources.insert(
            id,
            json!({
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {
                    "Description": format!("What Roundsman of {} asks of AWS", ascii(parts.site)),
                    "PolicyDocument": document,
                    "Roles": { "Fn::If": ["HasRole", [{ "Ref": "Role" }], { "Ref": "AWS::NoValue" }] },
                },
            }),
        );
    }
    let mut template = Map::new();
    template.insert("AWSTemplateFormatVersion".to_owned(), json!("2010-09-09"));
    let description =
        format!("Roundsman of {}: dashboard, alarms and policy, printed by `roundsman aws`", ascii(parts.site));
    template.insert("Description".to_owned(), json!(description));
    for (name, section) in [("Parameters", parameters), ("Conditions", conditions)] {
        if !section.is_empty() {
            template.insert(name.to_owned(), Value::Object(section));
        }
    }
    let count = resources.len();
    template.insert("Resources".to_owned(), Value::Object(resources));
    if !outputs.is_empty() {
        template.insert("Outputs".to_owned(), Value::Object(outputs));
    }
    let template = Value::Object(template);
    let bytes = format!("{template:#}").len();
    if count > RESOURCES_MAX || bytes > BYTES_MAX {
        let found = format!("{} resources and {} bytes", thousands(count as u64), thousands(bytes as u64));
        let most = format!("{RESOURCES_MAX} and {}", thousands(BYTES_MAX as u64));
        let less = "choose fewer under `alarms`";
        return Err(Stop::Unwell(format!("the template would have {found}, and CloudFormation takes {most}: {less}")));
    }
    Ok(template)
}

/// The topic of the alarm that watches Roundsman: the template must not be applied without one.
fn dead_man_topic(alarm: &Alarm) -> Value {
    let mut parameter = json!({
        "Type": "String",
        "AllowedPattern": "arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:.+",
        "ConstraintDescription": "it is the ARN of an SNS topic",
        "Description": "The ARN of the topic that is told when Roundsman gives no sign of life. It must lead to people by a way on which Roundsman does not stand.",
    });
    if let Some(topic) = alarm.actions.first() {
        parameter["Default"] = json!(topic);
    }
    parameter
}

fn of_alarm(alarm: &Alarm) -> Value {
    let mut properties = alarm.to_input();
    if alarm.about == About::DeadMan {
        properties["AlarmActions"] = json!([{ "Ref": "DeadManTopic" }]);
    }
    json!({ "Type": "AWS::CloudWatch::Alarm", "Properties": properties })
}

/// A text in which what only the stack knows is filled in by it, while every other `${` stands for itself.
fn substituted(text: &str) -> Value {
    if !text.contains("${AWS::") {
        return json!(text);
    }
    json!({ "Fn::Sub": text.replace("${", "${!").replace("${!AWS::", "${AWS::") })
}

/// Descriptions are ASCII.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}
