//! The policy that `roundsman aws policy` prints is enough and no more: moto refuses what it does not allow while everything runs
//! that asks anything of AWS, and without any one of its statements something is refused.

use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::configuration;
use crate::servers::moto::{Moto, REGION};
use crate::servers::python;
use crate::servers::roundsman::{Daemon, output};

/// The access key to which the policy goes; the tests' own is another.
const KEY: &str = "AKIDROUNDSMAN";

/// How often is looked whether a run was told of.
const LOOKS_MAX: usize = 300;

const ROOT: &str = r#"
location: here
web: { listen: "${env:ROUNDSMAN_LISTEN:-127.0.0.1:0}", token: "${secret:page}" }
vars: { moto: "${env:AWS_ENDPOINT_URL}" }
defaults: { timeout: 60s }   # moto loads a service at its first request
secrets: { page: { env: PAGE_TOKEN }, partner: { aws_secrets_manager: prod/partner, key: token } }
publish: { cloudwatch: { namespace: Rounds, region: us-east-1 } }
channels:
  ops: { sns: { topic: "arn:aws:sns:us-east-1:123456789012:ops", echo: "${env:AWS_ENDPOINT_URL}/123456789012/ops" } }
group: { wait: 0s, limit: 1000 }
routes: [{ to: [ops] }]
"#;

/// What needs no AWS, and is told of.
const BROKEN: &str = "broken: { tcp: \"127.0.0.1:9\" }\n";

/// Makes what is asked for.
const SEED: &str = "
import boto3, datetime, io, time, zipfile
def client(name):
    return boto3.client(name, region_name='us-east-1')
client('dynamodb').create_table(
    TableName='shop',
    KeySchema=[{'AttributeName': 'id', 'KeyType': 'HASH'}],
    AttributeDefinitions=[{'AttributeName': 'id', 'AttributeType': 'S'}],
    BillingMode='PAY_PER_REQUEST',
)
client('dynamodb').put_item(TableName='shop', Item={'id': {'S': 'a'}})
client('dynamodb').update_continuous_backups(TableName='shop', PointInTimeRecoverySpecification={'PointInTimeRecoveryEnabled': True})
client('secretsmanager').create_secret(Name='prod/partner', SecretString='{\"token\": \"abc\"}')
client('sqs').create_queue(QueueName='orders')
s3 = client('s3')
s3.create_bucket(Bucket='trail')
s3.put_object(Bucket='trail', Key='logs/a', Body=b'{}')
s3.put_object(Bucket='trail', Key='logs/a b', Body=b'{}')
sse = {'Rules': [{'ApplyServerSideEncryptionByDefault': {'SSEAlgorithm': 'aws:kms'}}]}
s3.put_bucket_encryption(Bucket='trail', ServerSideEncryptionConfiguration=sse)
s3.put_public_access_block(Bucket='trail', PublicAccessBlockConfiguration={'BlockPublicAcls': True})
s3.put_object(Bucket='trail', Key=datetime.datetime.now(datetime.timezone.utc).strftime('cdn/%Y-%m-%d-%H.gz'), Body=b'{}')
client('cloudtrail').create_trail(Name='main', S3BucketName='trail')
client('cloudtrail').start_logging(Name='main')
role = client('iam').create_role(RoleName='f', AssumeRolePolicyDocument='{}')['Role']['Arn']
code = io.BytesIO()
with zipfile.ZipFile(code, 'w') as file:
    file.writestr('f.py', 'def f(event, context): pass')
client('lambda').create_function(FunctionName='api', Runtime='python3.11', Role=role, Handler='f.f', Code={'ZipFile': code.getvalue()})
client('lambda').put_function_concurrency(FunctionName='api', ReservedConcurrentExecutions=100)
client('ecs').create_cluster(clusterName='shop')
key = client('kms').create_key()['KeyMetadata']['KeyId']
client('kms').create_alias(AliasName='alias/shop', TargetKeyId=key)
logs, group = client('logs'), '/aws/lambda/api'
logs.create_log_group(logGroupName=group)
logs.create_log_stream(logGroupName=group, logStreamName='s')
event = {'timestamp': int(time.time() * 1000), 'message': 'hello'}
logs.put_log_events(logGroupName=group, logStreamName='s', logEvents=[event])
client('cognito-idp').create_user_pool(PoolName='shoppers')
";

/// Every kind that asks something of AWS, and every way of asking.
const PROBES: &str = include_str!("permitted/probes.yaml");

struct Estate {
    moto: Moto,
    config: tempfile::TempDir,
}

impl Estate {
    async fn made() -> Self {
        let moto = Moto::with_estate();
        moto.estate(&json!({
            "backups": { "us-east-1/shop": [{ "age_s": 3_600, "bytes": 1_000 }] },
            "points": { "us-east-1/main": [{ "age_s": 3_600, "bytes": 1_000, "days": 35 }] },
            "provisioned": {
                "RequestedProvisionedConcurrentExecutions": 5,
                "AvailableProvisionedConcurrentExecutions": 5,
                "Status": "READY",
            },
        }))
        .await;
        let own = [
            ("AWS_ENDPOINT_URL", moto.url.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ];
        python::run_with(SEED, &[], &own);
        moto.topic_and_queue("ops").await;
        let config = configuration(&[
            ("roundsman.yaml", ROOT),
            ("probes/aws.yaml", PROBES),
            ("probes/broken.yaml", BROKEN),
            (
                "schedules/s.yaml",
                "often: { every: 1s, probes: [broken], alert: { after: 1 } }\nall: { every: 24h, probes: [\"*\"] }\n",
            ),
        ]);
        Self { moto, config }
    }

    fn path(&self) -> &str {
        self.config.path().to_str().expect("a path in UTF-8")
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        vec![
            ("AWS_ENDPOINT_URL", self.moto.url.as_str()),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
            ("AWS_REGION", REGION),
            ("PAGE_TOKEN", "a-token-of-the-page"),
        ]
    }

    fn policy(&self) -> Value {
        let printed = output(&["aws", "policy", "--config", self.path()], &self.environment());
        assert_eq!(printed.status.code(), Some(0), "{}", String::from_utf8_lossy(&printed.stderr));
        serde_json::from_slice(&printed.stdout).expect("JSON")
    }

    /// Each probe that asks something of AWS, with its verdict.
    fn once(&self) -> Vec<(String, String, Value)> {
        let ran = output(&["once", "--config", self.path(), "--format", "json"], &self.environment());
        let runs: Vec<Value> = serde_json::from_slice(&ran.stdout).expect("JSON");
        let runs = runs.into_iter().filter(|run| run["probe"] != "broken");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        runs.map(|run| (text(&run["probe"]), text(&run["verdict"]), run)).collect()
    }

    async fn denied(&self) -> Vec<String> {
        let requests = self.moto.requests().await;
        requests.iter().filter_map(|request| request["denied"].as_str().map(str::to_owned)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_runs_with_nothing_but_the_printed_policy() {
    let estate = Estate::made().await;
    estate.moto.policy(KEY, &estate.policy()).await;
    let runs = tokio::task::block_in_place(|| estate.once());
    let failed: Vec<_> = runs.iter().filter(|(_, verdict, _)| verdict != "passed").map(|(.., run)| run).collect();
    assert!(failed.is_empty() && runs.len() > 15, "{failed:#?}");

    let daemon = Daemon::run(estate.config.path(), &estate.environment());
    let url = format!("http://{}", daemon.address);
    let drill = ["drill", "--channel", "ops", "--url", &url, "--config", estate.path()];
    let drilled = tokio::task::block_in_place(|| output(&drill, &estate.environment()));
    assert_eq!(drilled.status.code(), Some(0), "{drilled:?}");
    // Beside the two messages of the drill one tells of a run, whose metrics are to be sent.
    for _ in 0..LOOKS_MAX {
        if estate.moto.log("Publish").await.len() > 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, said) = daemon.terminate();
    assert!(status.success(), "{said}");
    assert_eq!(estate.denied().await, Vec::<String>::new());
    for operation in ["Publish", "ReceiveMessage", "DeleteMessage", "PutMetricData"] {
        assert!(!estate.moto.log(operation).await.is_empty(), "nobody asked for {operation}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_one_statement_something_is_refused_and_is_our_own_fault() {
    let estate = Estate::made().await;
    let whole = estate.policy();
    let statements = whole["Statement"].as_array().expect("a list");
    assert!(statements.len() > 8, "{whole:#}");
    for (n, statement) in statements.iter().enumerate() {
        let actions = statement["Action"].to_string();
        // What channels and publishers need is asked for by no probe.
        if ["sns:Publish", "sqs:ReceiveMessage", "cloudwatch:PutMetricData"].iter().any(|own| actions.contains(own)) {
            continue;
        }
        let rest: Vec<_> = statements.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, rest)| rest).collect();
        estate.moto.policy(KEY, &json!({ "Version": "2012-10-17", "Statement": rest })).await;
        let runs = tokio::task::block_in_place(|| estate.once());
        let not_passed: Vec<_> = runs.iter().filter(|(_, verdict, _)| verdict != "passed").collect();
        assert!(!not_passed.is_empty(), "nothing needs {statement}");
        for (name, verdict, run) in not_passed {
            // A probe of kind http knows nothing of AWS: for it a refusal is an answer.
            let expected = if name.starts_with("signed") { "failed" } else { "inconclusive" };
            assert_eq!(verdict, expected, "{run:#}");
        }
    }
    assert!(!estate.denied().await.is_empty());
}
