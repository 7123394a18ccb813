//! Calls to a service that says what it is told to say.

use serde_json::{Value, json};

use super::caller::of_region;
use super::testing::{Service, within};
use super::{KIND, Paging};
use crate::domain::outcome::{Failure, FailureKind};
use crate::net::aws::Site;
use crate::net::aws::call::Call;
use crate::net::aws::services::{DYNAMODB, LOGS, SECRETSMANAGER};
use crate::probers::testing;

const PAGING: Paging = Paging { input: "nextToken", output: "nextToken", pages_max: 3 };

async fn pages(service: &Service, most: usize) -> (Result<bool, Failure>, Vec<Value>) {
    let caller = service.caller();
    let mut seen = Vec::new();
    let (whole, _) = within(10, async |cx| {
        let mut talk = caller.talk(cx);
        let whole = talk.pages(Call::action(&LOGS, "DescribeLogGroups", Value::Null), PAGING, |page| {
            seen.push(page["n"].clone());
            seen.len() < most
        });
        whole.await
    })
    .await;
    (whole, seen)
}

#[tokio::test]
async fn pages_are_asked_for_until_there_are_no_more_and_no_more_than_so_many() {
    let page = |n: u64, next: Value| (200, json!({ "n": n, "nextToken": next }));
    let service = Service::saying(vec![page(1, "a".into()), page(2, "b".into()), page(3, Value::Null)]).await;
    assert_eq!(pages(&service, 9).await, (Ok(true), vec![json!(1), json!(2), json!(3)]));
    assert_eq!(service.asked(), [json!({}), json!({ "nextToken": "a" }), json!({ "nextToken": "b" })]);
    let endless: Vec<_> = (0..9).map(|n| page(n, n.into())).collect();
    let service = Service::saying(endless.clone()).await;
    assert_eq!(pages(&service, 9).await, (Ok(false), vec![json!(0), json!(1), json!(2)]));
    let service = Service::saying(endless).await;
    assert_eq!(pages(&service, 1).await, (Ok(false), vec![json!(0)]), "there are more, and one was enough");
    let service = Service::saying(vec![page(1, "a".into())]).await;
    assert_eq!(pages(&service, 9).await, (Ok(true), vec![json!(1), json!(1)]), "the same page again is the last");
}

#[tokio::test]
async fn throttling_is_waited_out_counted_and_ends_with_the_step() {
    let throttled = (400, json!({ "__type": "ThrottlingException", "message": "Rate exceeded" }));
    let service = Service::saying(vec![throttled.clone(), throttled.clone(), (200, json!({}))]).await;
    let (reply, _) = within(10, async |cx| {
        let reply = service.caller().call(cx, &Call::action(&DYNAMODB, "DescribeLimits", Value::Null)).await;
        reply.unwrap().observation
    })
    .await;
    assert_eq!((&reply.facts["throttled"], &reply.facts["region"]), (&json!(2), &json!("us-east-1")));
    assert!(reply.phases.first_byte_ms.unwrap() <= reply.phases.total_ms);
    let service = Service::saying(vec![throttled]).await;
    let (failure, _) = within(1, async |cx| {
        let reply = service.caller().call(cx, &Call::action(&DYNAMODB, "DescribeLimits", Value::Null)).await;
        reply.err().unwrap()
    })
    .await;
    assert_eq!(failure.kind, FailureKind::AwsThrottled);
    let times = service.asked().len();
    assert!(times >= 2, "{times}");
    let message = format!("`dynamodb` is asked too often, {times} times in vain: ThrottlingException: Rate exceeded");
    assert_eq!(failure.message, message);
    assert!(failure.phases.is_some());
}

#[tokio::test]
async fn a_refusal_is_an_answer_to_who_asks_for_it_and_expired_credentials_are_none() {
    let missing = (400, json!({ "__type": "ResourceNotFoundException", "message": "no table" }));
    let expired = (400, json!({ "__type": "ExpiredTokenException", "message": "it has expired" }));
    let service = Service::saying(vec![missing, expired]).await;
    let (failure, _) = within(10, async |cx| {
        let caller = service.caller();
        let mut talk = caller.talk(cx);
        let call = Call::action(&DYNAMODB, "DescribeTable", json!({ "TableName": "shop" }));
        let reply = talk.ask(&call).await.unwrap();
        assert_eq!(reply.refusal.unwrap().code.as_deref(), Some("ResourceNotFoundException"));
        assert_eq!(
            reply.observation.facts["error"],
            json!({ "code": "ResourceNotFoundException", "message": "no table" })
        );
        assert!(reply.observation.refused.is_some_and(|refused| refused.unless_mentioned == "error"));
        talk.ask(&call).await.err().unwrap()
    })
    .await;
    assert_eq!(
        failure.to_string(),
        "aws.credentials: our credentials for AWS have expired: ExpiredTokenException: it has expired"
    );
    assert_eq!(service.asked().len(), 3, "credentials that may have been renewed are looked for once more");
}

#[tokio::test]
async fn what_gives_a_secret_and_who_we_are_is_not_recorded() {
    let service = Service::saying(vec![(200, json!({ "SecretString": "hunter3" }))]).await;
    let (reply, recorder) = within(10, async |cx| {
        let call = Call::action(&SECRETSMANAGER, "GetSecretValue", json!({ "SecretId": "shop" }));
        service.caller().call(cx, &call).await.unwrap()
    })
    .await;
    assert_eq!(reply.json["SecretString"], "hunter3");
    assert!(reply.observation.is_secret);
    let told = format!("{:?}", recorder.exchanges());
    assert!(told.contains("secretsmanager.GetSecretValue") && told.contains("authorization: •••"), "{told}");
    assert!(!told.contains("hunter3") && !told.contains("Signature="), "{told}");
}

#[test]
fn a_region_without_the_service_is_ours() {
    let site = Site { region: "us-east-9".to_owned(), endpoint: None };
    let call = Call::action(&DYNAMODB, "ListTables", Value::Null);
    let unknown = Failure::new(FailureKind::DnsNxdomain, "the name dynamodb.us-east-9.amazonaws.com does not exist");
    let failure = of_region(unknown, &call, &site);
    assert_eq!(
        failure.to_string(),
        "aws.region: `dynamodb` is not in us-east-9: the name dynamodb.us-east-9.amazonaws.com does not exist"
    );
    assert!(failure.kind.is_ours());
}

#[test]
fn what_a_step_asks_is_what_its_policy_allows() {
    let calls = |settings: &str| {
        let built = testing::build(&KIND, settings, false).unwrap_or_else(|told| panic!("{told}"));
        let calls = built.prober.calls().into_iter();
        calls.map(|call| format!("{} {} {:?}", call.action, call.resource, call.region)).collect::<Vec<_>>()
    };
    assert_eq!(
        calls("{ service: dynamodb, action: GetItem, input: { TableName: \"{{table}}\", Key: { id: { S: \"1\" } } } }"),
        ["dynamodb:GetItem arn:aws:dynamodb:*:*:table/* None"]
    );
    assert_eq!(
        calls("{ service: s3, method: HEAD, path: \"/shop/{{key}}\", region: eu-west-1 }"),
        ["s3:GetObject arn:aws:s3:::shop/* Some(\"eu-west-1\")", "s3:ListBucket arn:aws:s3:::shop Some(\"eu-west-1\")"]
    );
    assert!(calls("{ service: cognito-idp, action: GetUser, input: { AccessToken: \"{{access}}\" } }").is_empty());
}

#[tokio::test]
async fn what_gives_no_secret_may_be_told() {
    let service = Service::saying(vec![(200, json!({}))]).await;
    let call = Call::action(&DYNAMODB, "DescribeLimits", Value::Null);
    let (reply, _) = within(10, async |cx| service.caller().call(cx, &call).await.unwrap()).await;
    assert!(!reply.observation.is_secret);
}
