//! AWS without an account: moto, with the layer of `tests/moto/server.py`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aws_sdk_sns::config::{Credentials, SharedCredentialsProvider};
use roundsman::net::aws::Access;
use serde_json::{Value, json};

use super::python::interpreter;

/// The region of every test.
pub const REGION: &str = "us-east-1";

/// The account that moto stands for.
pub const ACCOUNT: &str = "123456789012";

/// A moto of one test's own.
pub struct Moto {
    child: Child,
    http: reqwest::Client,
    /// Where it listens.
    pub url: String,
}

impl Moto {
    /// Starts one on a free port.
    pub fn start() -> Self {
        Self::start_as("server.py")
    }

    /// The same with what moto lacks of backups, metrics, logs and settings.
    pub fn with_estate() -> Self {
        Self::start_as("account.py")
    }

    fn start_as(script: &str) -> Self {
        let mut child = Command::new(interpreter())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/moto").join(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        let told = BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line);
        told.expect("moto tells its port");
        let port: u16 = line.trim().parse().expect("moto did not start; its reason is on standard error");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { child, http, url: format!("http://127.0.0.1:{port}") }
    }

    /// How production code reaches it.
    pub fn access(&self) -> Access {
        access(&self.url)
    }

    /// What goes wrong from now on.
    pub async fn faults(&self, faults: Value) {
        let answer = self.http.post(format!("{}/_faults", self.url)).json(&faults).send().await;
        answer.expect("moto answers").error_for_status().expect("faults are taken");
    }

    /// What there is of backups from now on; `tests/moto/estate.py` says how it is told.
    pub async fn estate(&self, known: &Value) {
        let answer = self.http.post(format!("{}/_estate", self.url)).json(known).send().await;
        answer.expect("moto answers").error_for_status().expect("it is known");
    }

    /// What that access key is allowed from now on.
    pub async fn policy(&self, key: &str, document: &Value) {
        let policy = serde_json::json!({ "key": key, "document": document });
        let answer = self.http.post(format!("{}/_policy", self.url)).json(&policy).send().await;
        answer.expect("moto answers").error_for_status().expect("the policy is taken");
    }

    /// What there is of metrics from now on; `tests/moto/metrics.py` says how it is told.
    pub async fn metrics(&self, known: &Value) {
        let answer = self.http.post(format!("{}/_metrics", self.url)).json(known).send().await;
        answer.expect("moto answers").error_for_status().expect("it is known");
    }

    /// The requests so far, oldest first, each with what AWS's models have against it.
    pub async fn requests(&self) -> Vec<Value> {
        let answer = self.http.get(format!("{}/_log", self.url)).send().await.expect("moto answers");
        answer.json().await.expect("the log is JSON")
    }

    /// Those of an operation.
    pub async fn log(&self, operation: &str) -> Vec<Value> {
        self.requests().await.into_iter().filter(|entry| entry["operation"] == operation).collect()
    }

    /// A call of a service that speaks AWS JSON.
    pub async fn json(&self, service: &str, target: &str, body: Value) -> Value {
        self.json_in(REGION, service, target, body).await
    }

    /// The same in a region.
    pub async fn json_in(&self, region: &str, service: &str, target: &str, body: Value) -> Value {
        let scope = scope_in(region, service);
        let request = self.http.post(&self.url).header("x-amz-target", target).header("authorization", scope);
        let answer = request.header("content-type", "application/x-amz-json-1.0").body(body.to_string()).send().await;
        let answer = answer.expect("moto answers").error_for_status().expect("the call is taken");
        let text = answer.text().await.expect("a body");
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("the answer is JSON") }
    }

    /// Makes a bucket, or an object in one.
    pub async fn put(&self, path: &str, body: &'static str) {
        let request = self.http.put(format!("{}/{path}", self.url)).header("authorization", scope("s3"));
        let answer = request.body(body).send().await.expect("moto answers");
        answer.error_for_status().expect("it is taken");
    }

    /// A call of a service that speaks the query protocol; the answer as it came.
    pub async fn query(&self, service: &str, parameters: &[(&str, &str)]) -> String {
        let encode = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let version = [("Version", version(service))];
        let pairs =
            parameters.iter().chain(&version).map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let request = self.http.post(&self.url).header("authorization", scope(service));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(pairs.collect::<Vec<_>>().join("&")).send().await;
        let answer = answer.expect("moto answers").error_for_status().expect("the call is taken");
        answer.text().await.expect("a body")
    }

    /// A topic with a queue behind it, both of that name. Says the topic's ARN and the queue's URL.
    pub async fn topic_and_queue(&self, name: &str) -> (String, String) {
        let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:{name}");
        let queue = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}");
        let is_fifo = name.strip_suffix(".fifo").is_some();
        let mut create = vec![("Action", "CreateTopic"), ("Name", name)];
        if is_fifo {
            create.extend([("Attributes.entry.1.key", "FifoTopic"), ("Attributes.entry.1.value", "true")]);
        }
        self.query("sns", &create).await;
        let attributes = if is_fifo { json!({ "FifoQueue": "true" }) } else { json!({}) };
        let made = json!({ "QueueName": name, "Attributes": attributes });
        let made = self.json("sqs", "AmazonSQS.CreateQueue", made).await;
        let subscribe = [("Action", "Subscribe"), ("TopicArn", &topic), ("Protocol", "sqs"), ("Endpoint", &queue)];
        self.query("sns", &subscribe).await;
        (topic, made["QueueUrl"].as_str().expect("a URL").to_owned())
    }

    /// What is in a queue.
    pub async fn messages(&self, queue: &str) -> Vec<Value> {
        let ask = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10, "AttributeNames": ["All"] });
        let mut all = Vec::new();
        loop {
            let mut answer = self.json("sqs", "AmazonSQS.ReceiveMessage", ask.clone()).await;
            let Some(Value::Array(messages)) = answer.get_mut("Messages").map(Value::take) else { return all };
            for message in &messages {
                let done = json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] });
                self.json("sqs", "AmazonSQS.DeleteMessage", done).await;
            }
            all.extend(messages);
        }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Access to a server at a URL, with credentials that mean nothing.
pub fn access(url: &str) -> Access {
    let credentials = Credentials::new("AKIDTEST", "hunter2", None, None, "test");
    Access {
        region: Some(REGION.to_owned()),
        endpoint: Some(url.to_owned()),
        credentials: Some(SharedCredentialsProvider::new(credentials)),
    }
}

/// The version of a service's API, without which a form is none of AWS's models.
fn version(service: &str) -> &'static str {
    match service {
        "sns" => "2010-03-31",
        _ => panic!("{service} is asked in no form"),
    }
}

/// moto reads the service and the region from the scope of the signature, and checks nothing of it.
fn scope(service: &str) -> String {
    scope_in(REGION, service)
}

fn scope_in(region: &str, service: &str) -> String {
    let scope = format!("Credential=AKIDTEST/20261124/{region}/{service}/aws4_request");
    format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0")
}
