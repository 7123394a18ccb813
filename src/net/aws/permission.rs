//! What a policy must allow for a call: the action as policies name it, and the ARN of what it is asked of, as far as the input
//! says it.

use std::borrow::Cow;

use http::Method;
use serde_json::{Map, Value};

use super::call::{Call, Operation, text};
use super::rest;
use super::services::{COGNITO_IDENTITY, COGNITO_IDP, Protocol, Service, partition};
use crate::domain::aws_call::AwsCall;

/// Stands for what is not known before a run.
const ANY: &str = "*";

/// Actions that policies name otherwise than the service does.
const NAMES: [(&str, &str, &str); 12] = [
    ("s3", "GetBucketCors", "GetBucketCORS"),
    ("s3", "GetBucketEncryption", "GetEncryptionConfiguration"),
    ("s3", "GetBucketLifecycleConfiguration", "GetLifecycleConfiguration"),
    ("s3", "GetBucketNotificationConfiguration", "GetBucketNotification"),
    ("s3", "GetBucketReplication", "GetReplicationConfiguration"),
    ("s3", "GetObjectLockConfiguration", "GetBucketObjectLockConfiguration"),
    ("s3", "GetPublicAccessBlock", "GetBucketPublicAccessBlock"),
    ("s3", "HeadBucket", "ListBucket"),
    ("s3", "HeadObject", "GetObject"),
    ("s3", "ListBuckets", "ListAllMyBuckets"),
    ("s3", "ListMultipartUploads", "ListBucketMultipartUploads"),
    ("s3", "ListObjectVersions", "ListBucketVersions"),
];

/// Where S3 has two names for one.
const LIST_OBJECTS: &str = "ListObjectsV2";

/// A field of the input that names a resource, and the ARN of it. `{p}` is the part of AWS, `{r}` the region, `{}` the name.
struct Resource {
    service: &'static str,
    field: &'static str,
    arn: &'static str,
}

const fn resource(service: &'static str, field: &'static str, arn: &'static str) -> Resource {
    Resource { service, field, arn }
}

/// Resources, for each service the narrowest first.
static RESOURCES: [Resource; 27] = [
    resource("backup", "RecoveryPointArn", "arn:{p}:backup:{r}:*:recovery-point:{}"),
    resource("backup", "BackupVaultName", "arn:{p}:backup:{r}:*:backup-vault:{}"),
    resource("cloudfront", "Id", "arn:{p}:cloudfront::*:distribution/{}"),
    resource("cloudtrail", "Name", "arn:{p}:cloudtrail:{r}:*:trail/{}"),
    resource("cognito-idp", "UserPoolId", "arn:{p}:cognito-idp:{r}:*:userpool/{}"),
    resource("dynamodb", "TableName", "arn:{p}:dynamodb:{r}:*:table/{}"),
    resource("dynamodb", "BackupArn", "arn:{p}:dynamodb:{r}:*:table/*/backup/{}"),
    resource("ecs", "cluster", "arn:{p}:ecs:{r}:*:cluster/{}"),
    resource("eks", "name", "arn:{p}:eks:{r}:*:cluster/{}"),
    resource("iam", "PolicyArn", "arn:{p}:iam::*:policy/{}"),
    resource("iam", "RoleName", "arn:{p}:iam::*:role/{}"),
    resource("iam", "UserName", "arn:{p}:iam::*:user/{}"),
    resource("kinesis", "StreamName", "arn:{p}:kinesis:{r}:*:stream/{}"),
    resource("kms", "KeyId", "arn:{p}:kms:{r}:*:key/{}"),
    resource("lambda", "FunctionName", "arn:{p}:lambda:{r}:*:function:{}"),
    resource("logs", "logGroupIdentifier", "arn:{p}:logs:{r}:*:log-group:{}:*"),
    resource("logs", "logGroupName", "arn:{p}:logs:{r}:*:log-group:{}:*"),
    resource("route53", "Id", "arn:{p}:route53:::hostedzone/{}"),
    resource("route53", "HostedZoneId", "arn:{p}:route53:::hostedzone/{}"),
    resource("secretsmanager", "SecretId", "arn:{p}:secretsmanager:{r}:*:secret:{}-*"),
    resource("sns", "TopicArn", "arn:{p}:sns:{r}:*:{}"),
    resource("sqs", "QueueUrl", "arn:{p}:sqs:{r}:*:{}"),
    resource("sqs", "QueueName", "arn:{p}:sqs:{r}:*:{}"),
    resource("ssm", "Name", "arn:{p}:ssm:{r}:*:parameter/{}"),
    resource("stepfunctions", "stateMachineArn", "arn:{p}:states:{r}:*:stateMachine:{}"),
    resource("synthetics", "Name", "arn:{p}:synthetics:{r}:*:canary:{}"),
    resource("wafv2", "ResourceArn", "{}"),
];

/// Actions that take calls of everybody: what a user of Cognito does for himself says who he is by a token in its input. From
/// the service models of AWS (`smithy.api#noAuth`).
const PUBLIC: [(&Service, &[&str]); 2] = [
    (&COGNITO_IDENTITY, &["GetCredentialsForIdentity", "GetId", "GetOpenIdToken", "UnlinkIdentity"]),
    (
        &COGNITO_IDP,
        &[
            "AssociateSoftwareToken",
            "ChangePassword",
            "ConfirmDevice",
            "ConfirmForgotPassword",
            "ConfirmSignUp",
            "DeleteUser",
            "DeleteUserAttributes",
            "ForgetDevice",
            "ForgotPassword",
            "GetDevice",
            "GetTokensFromRefreshToken",
            "GetUser",
            "GetUserAttributeVerificationCode",
            "GetUserAuthFactors",
            "GlobalSignOut",
            "InitiateAuth",
            "ListDevices",
            "ResendConfirmationCode",
            "RespondToAuthChallenge",
            "RevokeToken",
            "SetUserMFAPreference",
            "SignUp",
            "UpdateUserAttributes",
            "VerifySoftwareToken",
            "VerifyUserAttribute",
        ],
    ),
];

/// Whether a service takes an action of everybody.
pub fn is_public(service: &Service, action: &str) -> bool {
    PUBLIC.iter().any(|(known, actions)| known.name == service.name && actions.contains(&action))
}

/// What a policy must allow so that the call is answered, the call itself first. What else must be allowed is not called, so it
/// is called no times. `region` is where a call goes that names no region.
pub fn permissions(call: &Call, region: Option<&str>) -> Vec<AwsCall> {
    if !call.is_signed {
        return Vec::new();
    }
    let service = call.service;
    let region = call.region.as_deref().or(region);
    let of_region = |call: AwsCall| call.of_region(region.map(str::to_owned));
    if service.host == "apigateway" {
        // Its policies know methods and paths.
        return call.wire("https://a.example").map_or_else(
            |_| Vec::new(),
            |wire| {
                let resource = filled("arn:{p}:apigateway:{r}::{}", region, wire.url.path());
                vec![of_region(AwsCall::once(format!("apigateway:{}", wire.method), resource))]
            },
        );
    }
    let input = match (&call.operation, &call.input) {
        (Operation::Path(method, path), _) => rest::asked_by(service, method, path)
            .map(|action| {
                action.fields(path).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
            })
            .unwrap_or_default(),
        (_, Value::Object(input)) => input.clone(),
        _ => Map::new(),
    };
    let Some(action) = call.name() else { return unnamed(call).into_iter().map(of_region).collect() };
    let named = NAMES.iter().find(|(of, known, _)| *of == service.name && *known == action);
    let named = named.map_or(action, |(_, _, name)| name);
    let named = if service.name == "s3" && action == LIST_OBJECTS { "ListBucket" } else { named };
    let policy = |name: &str| format!("{}:{name}", service.policy);
    if service.protocol == Protocol::RestXml && service.name == "s3" {
        let bucket = input.get("Bucket").and_then(text).unwrap_or(Cow::Borrowed(ANY));
        let of_bucket = filled("arn:{p}:s3:::{}", region, &bucket);
        return match input.get("Key").and_then(text) {
            Some(key) => vec![
                of_region(AwsCall::once(policy(named), format!("{of_bucket}/{key}"))),
                // Without it S3 says of an object that is not there that we may not see it.
                of_region(AwsCall::once(policy("ListBucket"), of_bucket).times(0)),
            ],
            None if action == "ListBuckets" => vec![of_region(AwsCall::once(policy(named), ANY))],
            None => vec![of_region(AwsCall::once(policy(named), of_bucket))],
        };
    }
    let resource = resource_of(service, &input, region);
    vec![of_region(AwsCall::once(policy(named), resource))]
}

fn resource_of(service: &Service, input: &Map<String, Value>, region: Option<&str>) -> String {
    let known = RESOURCES.iter().filter(|known| known.service == service.name);
    let mut found = known.filter_map(|known| Some((known, input.get(known.field).and_then(text)?)));
    let Some((known, name)) = found.next() else { return ANY.to_owned() };
    if name.starts_with("arn:") {
        // The streams of a log group have its ARN with more behind it.
        return if known.arn.ends_with(":*") && !name.ends_with('*') { format!("{name}:*") } else { name.into_owned() };
    }
    let name = match known.field {
        // The last part of a queue's URL is its name.
        "QueueUrl" => name.rsplit('/').next().unwrap_or_default(),
        // What a parameter begins with is in its ARN already.
        "Name" => name.trim_start_matches('/'),
        _ => &name,
    };
    let arn = filled(known.arn, region, name);
    match input.get("IndexName").and_then(text) {
        Some(index) if known.field == "TableName" => format!("{arn}/index/{index}"),
        _ => arn,
    }
}

fn filled(pattern: &str, region: Option<&str>, name: &str) -> String {
    let part = region.map_or("aws", partition);
    pattern.replace("{p}", part).replace("{r}", region.unwrap_or(ANY)).replace("{}", name)
}

/// A method and a path that are no action whose name is known: whatever they may be called.
fn unnamed(call: &Call) -> Vec<AwsCall> {
    let Operation::Path(method, _) = &call.operation else { return Vec::new() };
    let names: &[&str] =
        if [Method::GET, Method::HEAD].contains(method) { &["Get*", "List*", "Describe*"] } else { &[ANY] };
    let all = names.iter().enumerate();
    all.map(|(index, name)| AwsCall::once(format!("{}:{name}", call.service.policy), ANY).times(u32::from(index == 0)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::services;
    use super::*;

    fn told(call: &Call) -> Vec<String> {
        let all = permissions(call, Some("us-east-1")).into_iter();
        all.map(|call| format!("{} {} {}", call.action, call.resource, call.calls)).collect()
    }

    #[test]
    fn actions_and_resources_are_those_of_policies() {
        let path = |service, method, path: &str| Call {
            operation: Operation::Path(method, path.to_owned()),
            ..Call::action(service, "", Value::Null)
        };
        for (call, expected) in [
            (
                Call::action(&services::DYNAMODB, "DescribeTable", json!({ "TableName": "shop" })),
                &["dynamodb:DescribeTable arn:aws:dynamodb:us-east-1:*:table/shop 1"][..],
            ),
            (
                Call::action(&services::DYNAMODB, "Query", json!({ "TableName": "shop", "IndexName": "by-day" })),
                &["dynamodb:Query arn:aws:dynamodb:us-east-1:*:table/shop/index/by-day 1"],
            ),
            (
                Call::action(&services::S3, "HeadObject", json!({ "Bucket": "b", "Key": "a/b" }))
                    .in_region("eu-west-1"),
                &["s3:GetObject arn:aws:s3:::b/a/b 1", "s3:ListBucket arn:aws:s3:::b 0"],
            ),
            (path(&services::S3, Method::GET, "/b?list-type=2"), &["s3:ListBucket arn:aws:s3:::b 1"]),
            (path(&services::S3, Method::GET, "/"), &["s3:ListAllMyBuckets * 1"]),
            (
                path(&services::LAMBDA, Method::GET, "/2015-03-31/functions/f/policy"),
                &["lambda:GetPolicy arn:aws:lambda:us-east-1:*:function:f 1"],
            ),
            (path(&services::EKS, Method::GET, "/addons"), &["eks:Get* * 1", "eks:List* * 0", "eks:Describe* * 0"]),
            (
                Call::action(&services::APIGATEWAY, "GetStage", json!({ "restApiId": "a", "stageName": "prod" })),
                &["apigateway:GET arn:aws:apigateway:us-east-1::/restapis/a/stages/prod 1"],
            ),
            (
                Call::action(
                    &services::SQS,
                    "GetQueueAttributes",
                    json!({ "QueueUrl": "https://sqs.us-east-1.amazonaws.com/1/q" }),
                ),
                &["sqs:GetQueueAttributes arn:aws:sqs:us-east-1:*:q 1"],
            ),
            (
                Call::action(&services::LOGS, "FilterLogEvents", json!({ "logGroupName": "/aws/lambda/f" })),
                &["logs:FilterLogEvents arn:aws:logs:us-east-1:*:log-group:/aws/lambda/f:* 1"],
            ),
            (
                Call::action(&services::SSM, "GetParameter", json!({ "Name": "/shop/url" })),
                &["ssm:GetParameter arn:aws:ssm:us-east-1:*:parameter/shop/url 1"],
            ),
            (Call::action(&services::CLOUDWATCH, "GetMetricData", json!({})), &["cloudwatch:GetMetricData * 1"]),
            (Call { is_signed: false, ..Call::action(&COGNITO_IDP, "GetUser", json!({})) }, &[]),
        ] {
            assert_eq!(told(&call), expected, "{}", call.told());
        }
        assert!(is_public(&COGNITO_IDP, "GetUser") && !is_public(&COGNITO_IDP, "AdminGetUser"));
    }
}
