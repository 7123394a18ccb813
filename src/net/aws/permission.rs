//! What a policy must allow for a call: the action as policies name it, and the ARN of what it is asked of, as far as the input
//! says it.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;
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
    /// The actions that are asked of it, where the same field names something else to others; none for all.
    actions: &'static [&'static str],
    field: &'static str,
    arn: &'static str,
}

const fn resource(service: &'static str, field: &'static str, arn: &'static str) -> Resource {
    Resource { service, actions: &[], field, arn }
}

impl Resource {
    const fn of(self, actions: &'static [&'static str]) -> Self {
        Self { actions, ..self }
    }
}

/// Resources, for each service the narrowest first. What of its actions are asked of is from AWS's service authorization
/// reference; an action that knows no resource, or one that its input does not name, is asked of `*`.
static RESOURCES: [Resource; 37] = [
    resource("backup", "RecoveryPointArn", "arn:{p}:backup:{r}:*:recovery-point:{}"),
    resource("backup", "BackupVaultName", "arn:{p}:backup:{r}:*:backup-vault:{}"),
    resource("cloudfront", "Id", "arn:{p}:cloudfront::*:cache-policy/{}").of(&["GetCachePolicy"]),
    resource("cloudfront", "Id", "arn:{p}:cloudfront::*:origin-access-control/{}").of(&["GetOriginAccessControl"]),
    resource("cloudfront", "Id", "arn:{p}:cloudfront::*:distribution/{}"),
    resource("cloudfront", "DistributionId", "arn:{p}:cloudfront::*:distribution/{}"),
    resource("cloudtrail", "Name", "arn:{p}:cloudtrail:{r}:*:trail/{}"),
    resource("cognito-idp", "UserPoolId", "arn:{p}:cognito-idp:{r}:*:userpool/{}"),
    resource("dynamodb", "TableName", ANY).of(&["ListBackups", "ListContributorInsights"]),
    resource("dynamodb", "TableName", "arn:{p}:dynamodb:{r}:*:table/{}"),
    resource("dynamodb", "BackupArn", "arn:{p}:dynamodb:{r}:*:table/*/backup/{}"),
    resource("ecs", "cluster", "arn:{p}:ecs:{r}:*:cluster/{}").of(&["ListAttributes", "ListContainerInstances"]),
    resource("ecs", "cluster", "arn:{p}:ecs:{r}:*:container-instance/{}/*").of(&["DescribeContainerInstances"]),
    resource("ecs", "cluster", "arn:{p}:ecs:{r}:*:service/{}/*").of(&["DescribeServices"]),
    resource("ecs", "cluster", "arn:{p}:ecs:{r}:*:task/{}/*").of(&["DescribeTasks", "GetTaskProtection"]),
    resource("eks", "name", "arn:{p}:eks:{r}:*:cluster/{}"),
    resource("iam", "PolicyArn", "arn:{p}:iam::*:policy/{}"),
    resource("iam", "RoleName", "arn:{p}:iam::*:role/{}"),
    resource("iam", "UserName", "arn:{p}:iam::*:user/{}"),
    resource("kinesis", "StreamName", "arn:{p}:kinesis:{r}:*:stream/{}"),
    resource("kms", "KeyId", ANY).of(&["ListAliases"]),
    resource("kms", "KeyId", "arn:{p}:kms:{r}:*:key/{}"),
    resource("lambda", "FunctionName", ANY).of(&["ListEventSourceMappings"]),
    resource("lambda", "FunctionName", "arn:{p}:lambda:{r}:*:function:{}"),
    resource("logs", "logGroupIdentifier", "arn:{p}:logs:{r}:*:log-group:{}:*"),
    resource("logs", "logGroupName", ANY).of(&["DescribeQueries"]),
    resource("logs", "logGroupName", "arn:{p}:logs:{r}:*:log-group:{}:*"),
    resource("route53", "Id", "arn:{p}:route53:::hostedzone/{}"),
    resource("route53", "HostedZoneId", "arn:{p}:route53:::hostedzone/{}"),
    resource("secretsmanager", "SecretId", "arn:{p}:secretsmanager:{r}:*:secret:{}-??????"),
    resource("sns", "TopicArn", "arn:{p}:sns:{r}:*:{}"),
    resource("sqs", "QueueUrl", "arn:{p}:sqs:{r}:*:{}"),
    resource("sqs", "QueueName", "arn:{p}:sqs:{r}:*:{}"),
    resource("ssm", "Name", "arn:{p}:ssm:{r}:*:parameter/{}").of(&["GetParameter", "GetParameterHistory"]),
    resource("stepfunctions", "stateMachineArn", "arn:{p}:states:{r}:*:stateMachine:{}"),
    resource("synthetics", "Name", "arn:{p}:synthetics:{r}:*:canary:{}"),
    // Which firewall stands before a resource is what is asked, and it must be allowed of that as well.
    resource("wafv2", "ResourceArn", "{}").of(&["GetLoggingConfiguration", "GetPermissionPolicy"]),
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
                let path = percent_decode_str(wire.url.path()).decode_utf8_lossy();
                let resource = filled("arn:{p}:apigateway:{r}::{}", region, &path);
                vec![of_region(AwsCall::once(format!("apigateway:{}", wire.method), resource))]
            },
        );
    }
    let input = match (&call.operation, &call.input) {
        (Operation::Path(method, path), input) => {
            let mut input = input.as_object().cloned().unwrap_or_default();
            let fields = rest::asked_by(service, method, path).map(|action| action.fields(path));
            input.extend(fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value.into())));
            input
        }
        (_, Value::Object(input)) => input.clone(),
        _ => Map::new(),
    };
    let Some(action) = call.name() else {
        let Operation::Path(method, _) = &call.operation else { return Vec::new() };
        return unnamed(service.policy, method).into_iter().map(of_region).collect();
    };
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
    let resource = resource_of(service, action, &input, region);
    vec![of_region(AwsCall::once(policy(named), resource))]
}

fn resource_of(service: &Service, action: &str, input: &Map<String, Value>, region: Option<&str>) -> String {
    let is_asked = |known: &&Resource| {
        known.service == service.name && (known.actions.is_empty() || known.actions.contains(&action))
    };
    let known = RESOURCES.iter().filter(is_asked);
    let mut found = known.filter_map(|known| Some((known, input.get(known.field).and_then(text)?)));
    let Some((known, name)) = found.next() else { return ANY.to_owned() };
    let name = match known.field {
        // The last part of a queue's URL is its name, and so is that of a cluster's ARN, which is not that of what is in it.
        "QueueUrl" | "cluster" => name.rsplit('/').next().unwrap_or_default(),
        // What a parameter begins with is in its ARN already.
        "Name" => name.trim_start_matches('/'),
        // A policy is held against the key, and only AWS knows which one an alias means.
        "KeyId" if is_alias(&name) => ANY,
        _ => &name,
    };
    let arn = match known.arn {
        ANY => return ANY.to_owned(),
        // The streams of a log group have its ARN with more behind it.
        pattern if name.starts_with("arn:") && pattern.ends_with(":*") && !name.ends_with('*') => format!("{name}:*"),
        _ if name.starts_with("arn:") => name.to_owned(),
        pattern => filled(pattern, region, name),
    };
    let part = |field: &str| input.get(field).and_then(text);
    match (known.field, part("IndexName"), part("Qualifier")) {
        ("TableName", Some(index), _) => format!("{arn}/index/{index}"),
        // Whoever asks for a version or an alias is held against its ARN, and not against the function's.
        ("FunctionName", _, Some(qualifier)) if !is_qualified(&arn) => format!("{arn}:{qualifier}"),
        _ => arn,
    }
}

/// `alias/shop`, or the ARN of it.
fn is_alias(key: &str) -> bool {
    key.rsplit(':').next().unwrap_or_default().starts_with("alias/")
}

/// Whether the ARN of a function has its version or alias behind its name.
fn is_qualified(arn: &str) -> bool {
    arn.split(':').count() > 7
}

fn filled(pattern: &str, region: Option<&str>, name: &str) -> String {
    let part = region.map_or("aws", partition);
    pattern.replace("{p}", part).replace("{r}", region.unwrap_or(ANY)).replace("{}", name)
}

/// What a method may ask of a service, as policies call it, where nobody knows the name of the action: whatever it may be called.
/// It is one of them, and is called once.
pub fn unnamed(service: &str, method: &Method) -> Vec<AwsCall> {
    let names: &[&str] =
        if [Method::GET, Method::HEAD].contains(method) { &["Get*", "List*", "Describe*"] } else { &[ANY] };
    let all = names.iter().enumerate();
    all.map(|(index, name)| AwsCall::once(format!("{service}:{name}"), ANY).times(u32::from(index == 0))).collect()
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
            (
                Call::action(
                    &services::LAMBDA,
                    "GetProvisionedConcurrencyConfig",
                    json!({ "FunctionName": "shop-api", "Qualifier": "live" }),
                ),
                &["lambda:GetProvisionedConcurrencyConfig arn:aws:lambda:us-east-1:*:function:shop-api:live 1"],
            ),
            (
                path(&services::LAMBDA, Method::GET, "/2015-03-31/functions/f/configuration?Qualifier=7"),
                &["lambda:GetFunctionConfiguration arn:aws:lambda:us-east-1:*:function:f:7 1"],
            ),
            (
                Call::action(
                    &services::LAMBDA,
                    "GetPolicy",
                    json!({ "FunctionName": "arn:aws:lambda:us-east-1:1:function:f:live", "Qualifier": "live" }),
                ),
                &["lambda:GetPolicy arn:aws:lambda:us-east-1:1:function:f:live 1"],
            ),
            (
                Call::action(&services::CLOUDFRONT, "GetCachePolicy", json!({ "Id": "c" })),
                &["cloudfront:GetCachePolicy arn:aws:cloudfront::*:cache-policy/c 1"],
            ),
            (
                Call::action(&services::CLOUDFRONT, "GetOriginAccessControl", json!({ "Id": "o" })),
                &["cloudfront:GetOriginAccessControl arn:aws:cloudfront::*:origin-access-control/o 1"],
            ),
            (
                Call::action(&services::DYNAMODB, "ListBackups", json!({ "TableName": "shop" })),
                &["dynamodb:ListBackups * 1"],
            ),
            (
                Call::action(&services::ECS, "DescribeServices", json!({ "cluster": "shop", "services": ["api"] })),
                &["ecs:DescribeServices arn:aws:ecs:us-east-1:*:service/shop/* 1"],
            ),
            (
                Call::action(
                    &services::ECS,
                    "DescribeTasks",
                    json!({ "cluster": "arn:aws:ecs:us-east-1:1:cluster/shop", "tasks": ["a"] }),
                ),
                &["ecs:DescribeTasks arn:aws:ecs:us-east-1:*:task/shop/* 1"],
            ),
            (Call::action(&services::ECS, "ListServices", json!({ "cluster": "shop" })), &["ecs:ListServices * 1"]),
            (
                Call::action(&services::KMS, "DescribeKey", json!({ "KeyId": "alias/shop" })),
                &["kms:DescribeKey arn:aws:kms:us-east-1:*:key/* 1"],
            ),
            (
                Call::action(&services::KMS, "GetKeyPolicy", json!({ "KeyId": "arn:aws:kms:us-east-1:1:alias/shop" })),
                &["kms:GetKeyPolicy arn:aws:kms:us-east-1:*:key/* 1"],
            ),
            (
                Call::action(&services::APIGATEWAY, "GetStage", json!({ "restApiId": "*", "stageName": "prod" })),
                &["apigateway:GET arn:aws:apigateway:us-east-1::/restapis/*/stages/prod 1"],
            ),
            (
                path(&services::S3, Method::HEAD, "/b/a%20b"),
                &["s3:GetObject arn:aws:s3:::b/a b 1", "s3:ListBucket arn:aws:s3:::b 0"],
            ),
            (
                Call::action(&services::SECRETSMANAGER, "GetSecretValue", json!({ "SecretId": "prod/shop" })),
                &["secretsmanager:GetSecretValue arn:aws:secretsmanager:us-east-1:*:secret:prod/shop-?????? 1"],
            ),
            (Call::action(&services::SSM, "GetDocument", json!({ "Name": "runbook" })), &["ssm:GetDocument * 1"]),
            (Call { is_signed: false, ..Call::action(&COGNITO_IDP, "GetUser", json!({})) }, &[]),
        ] {
            assert_eq!(told(&call), expected, "{}", call.told());
        }
        assert!(is_public(&COGNITO_IDP, "GetUser") && !is_public(&COGNITO_IDP, "AdminGetUser"));
    }
}
