//! The least policy of IAM: what the plan asks of AWS, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::domain::aws_call::AwsCall;
use crate::domain::names::glob;
use crate::engine::plan::Plan;

/// How many characters a managed policy has at most, white space apart.
pub const CHARACTERS_MAX: usize = 6_144;

/// How much of that one statement may take, so that what is long can be divided.
const STATEMENT_MAX: usize = 5_000;

/// Publishing metrics knows no resource: what holds it to ours is the namespace.
const PUT_METRICS: &str = "cloudwatch:PutMetricData";

/// Something that is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// The actions.
    pub actions: BTreeSet<String>,
    /// What they are allowed on.
    pub resources: BTreeSet<String>,
    /// In which namespaces of CloudWatch, where that is what holds them.
    pub namespaces: BTreeSet<String>,
}

impl Statement {
    fn to_json(&self) -> Value {
        let mut statement = json!({ "Effect": "Allow", "Action": self.actions, "Resource": self.resources });
        if !self.namespaces.is_empty() {
            statement["Condition"] = json!({ "StringEquals": { "cloudwatch:namespace": self.namespaces } });
        }
        statement
    }

    fn length(&self) -> usize {
        self.to_json().to_string().len()
    }
}

/// Everything that the plan may ask of AWS: its steps, also those that run on request, its channels, publishers and secrets.
pub fn calls(plan: &Plan) -> BTreeSet<AwsCall> {
    let steps = plan.probes.values().flat_map(|probe| probe.steps.iter().chain(&probe.cleanup));
    let of_steps = steps.flat_map(|step| step.action.calls());
    let of_channels = plan.channels.values().flat_map(|channel| channel.calls());
    let of_publishers = plan.publishers.values().flat_map(|publisher| publisher.calls());
    let of_secrets = plan.secrets_used.iter().flat_map(|name| plan.secrets.calls(name));
    of_steps.chain(of_channels).chain(of_publishers).chain(of_secrets).collect()
}

/// The statements: actions that are allowed on the same things stand together, and things on which the same is allowed.
pub fn statements(plan: &Plan) -> Vec<Statement> {
    let namespaces: BTreeSet<_> =
        plan.publishers.values().filter_map(|publisher| publisher.place()).map(|place| place.namespace).collect();
    merged(&calls(plan), &namespaces)
}

fn merged(calls: &BTreeSet<AwsCall>, namespaces: &BTreeSet<String>) -> Vec<Statement> {
    let mut by_resource: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let (metrics, rest): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.action == PUT_METRICS);
    for call in rest {
        by_resource.entry(&call.resource).or_default().insert(&call.action);
    }
    let mut by_actions: BTreeMap<BTreeSet<&str>, BTreeSet<&str>> = BTreeMap::new();
    for (resource, actions) in &by_resource {
        // What is allowed on more need not be allowed on a part of it.
        let is_covered = |action: &&str| {
            by_resource.iter().any(|(wider, also)| wider != resource && also.contains(action) && glob(wider, resource))
        };
        let actions: BTreeSet<&str> = actions.iter().copied().filter(|action| !is_covered(action)).collect();
        if !actions.is_empty() {
            by_actions.entry(actions).or_default().insert(resource);
        }
    }
    let owned = |set: BTreeSet<&str>| set.into_iter().map(str::to_owned).collect();
    let mut statements: Vec<_> = by_actions
        .into_iter()
        .map(|(actions, resources)| Statement {
            actions: owned(actions),
            resources: owned(resources),
            namespaces: BTreeSet::new(),
        })
        .collect();
    if !metrics.is_empty() {
        statements.push(Statement {
            actions: [PUT_METRICS.to_owned()].into(),
            resources: ["*".to_owned()].into(),
            namespaces: namespaces.clone(),
        });
    }
    statements
}

/// One document of all.
pub fn document(statements: &[Statement]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements.iter().map(Statement::to_json).collect::<Vec<_>>() })
}

/// Documents that each fit into a managed policy; what is too long is divided.
pub fn documents(statements: &[Statement]) -> Vec<Value> {
    let mut documents: Vec<Vec<Statement>> = Vec::new();
    for statement in statements.iter().flat_map(divided) {
        let fits = |document: &Vec<Statement>| {
            let with = [document.as_slice(), std::slice::from_ref(&statement)].concat();
            self::document(&with).to_string().len() <= CHARACTERS_MAX
        };
        match documents.last_mut().filter(|document| fits(document)) {
            Some(document) => document.push(statement),
            None => documents.push(vec![statement]),
        }
    }
    documents.iter().map(|statements| document(statements)).collect()
}

/// A statement whose resources are too many for one.
fn divided(whole: &Statement) -> Vec<Statement> {
    let mut parts = vec![Statement { resources: BTreeSet::new(), ..whole.clone() }];
    for resource in &whole.resources {
        let is_full = parts
            .last()
            .is_some_and(|part| !part.resources.is_empty() && part.length() + resource.len() + 3 > STATEMENT_MAX);
        if is_full {
            parts.push(Statement { resources: BTreeSet::new(), ..whole.clone() });
        }
        if let Some(part) = parts.last_mut() {
            part.resources.insert(resource.clone());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(of: &[(&str, &str)]) -> BTreeSet<AwsCall> {
        of.iter().map(|(action, resource)| AwsCall::once(*action, *resource)).collect()
    }

    #[test]
    fn statements_say_each_thing_once() {
        let asked = calls(&[
            ("dynamodb:DescribeTable", "arn:aws:dynamodb:us-east-1:*:table/Users"),
            ("dynamodb:DescribeTable", "arn:aws:dynamodb:us-east-1:*:table/Items"),
            ("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:*:table/Users"),
            ("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:*:table/Items"),
            ("dynamodb:ListTables", "*"),
            ("ec2:DescribeVpcs", "*"),
            ("ec2:DescribeVpcs", "arn:aws:ec2:us-east-1:*:vpc/vpc-1"),
            ("dynamodb:GetItem", "arn:aws:dynamodb:*:*:table/Users"),
            ("cloudwatch:PutMetricData", "*"),
        ]);
        let statements = merged(&asked, &["Roundsman".to_owned()].into());
        insta::assert_snapshot!(format!("{:#}", document(&statements)));
    }

    #[test]
    fn a_long_policy_is_several_that_allow_the_same() {
        let arns: Vec<String> =
            (0..300).map(|n| format!("arn:aws:dynamodb:us-east-1:*:table/table-of-shop-{n:03}")).collect();
        let asked: Vec<_> = arns.iter().map(|arn| ("dynamodb:DescribeTable", arn.as_str())).collect();
        let statements = merged(&calls(&asked), &BTreeSet::new());
        assert_eq!(statements.len(), 1);
        let documents = documents(&statements);
        assert!(documents.len() > 1);
        let mut allowed = Vec::new();
        for document in documents {
            assert!(document.to_string().len() <= CHARACTERS_MAX);
            for statement in document["Statement"].as_array().unwrap() {
                assert_eq!(statement["Action"], json!(["dynamodb:DescribeTable"]));
                let resources = statement["Resource"].as_array().unwrap().iter();
                allowed.extend(resources.map(|resource| resource.as_str().unwrap().to_owned()));
            }
        }
        assert_eq!(allowed, arns);
    }
}
