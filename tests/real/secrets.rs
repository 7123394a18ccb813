//! Secrets of Secrets Manager, as the built binary reads them: what is there, what is not, and what is changed while it runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::commands::configuration;
use crate::servers::moto::{Moto, REGION};
use crate::servers::roundsman::{Daemon, output};

const SECRET: &str = "prod/shop/shopper";

/// What must happen is looked for so often, twenty times a second.
const LOOKS_MAX: usize = 1_200;

/// A door that opens to one password, and can be told another.
struct Door {
    url: String,
    takes: Arc<Mutex<&'static str>>,
    refused: Arc<AtomicUsize>,
}

impl Door {
    fn start(runtime: &Runtime) -> Self {
        let (takes, refused) = (Arc::new(Mutex::new("one-of-many")), Arc::<AtomicUsize>::default());
        let (known, counts) = (Arc::clone(&takes), Arc::clone(&refused));
        let answer = move |headers: HeaderMap| {
            let is_right = headers.get("x-password").is_some_and(|said| *said == **known.lock().expect("no panic"));
            if !is_right {
                counts.fetch_add(1, Ordering::SeqCst);
            }
            async move { if is_right { StatusCode::OK } else { StatusCode::UNAUTHORIZED } }
        };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        runtime.spawn(async move { axum::serve(listener, Router::new().route("/", any(answer))).await });
        Self { url, takes, refused }
    }
}

fn shop(url: &str, secret: &str) -> TempDir {
    configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN:-127.0.0.1:0}}\" }}\nsecrets: {{ shopper: {secret} }}\n\
                 publish: {{ prometheus: {{}} }}\n"
            ),
        ),
        (
            "probes/p.yaml",
            &format!("door: {{ http: {{ url: \"{url}\", headers: {{ x-password: \"${{secret:shopper}}\" }} }} }}\n"),
        ),
        ("schedules/s.yaml", "often: { every: 1s, probes: [door] }\n"),
    ])
}

fn environment(moto: &str) -> [(&str, &str); 4] {
    [
        ("AWS_ENDPOINT_URL", moto),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
        ("AWS_REGION", REGION),
    ]
}

async fn put(moto: &Moto, action: &str, body: Value) {
    moto.json("secretsmanager", &format!("secretsmanager.{action}"), body).await;
}

fn password(value: &str) -> String {
    json!({ "username": "probe", "password": value, "port": 5432 }).to_string()
}

fn once(moto: &str, secret: &str) -> (i32, String) {
    let directory = shop("http://127.0.0.1:9/", secret);
    let arguments = ["once", "--config", directory.path().to_str().expect("a path in UTF-8")];
    let ran = output(&arguments, &environment(moto));
    let text = String::from_utf8(ran.stdout).expect("text") + &String::from_utf8(ran.stderr).expect("text");
    (ran.status.code().expect("an exit code"), text)
}

#[test]
fn a_secret_that_is_rotated_while_it_is_used_is_no_outage() {
    let runtime = Runtime::new().expect("a runtime");
    let (moto, door) = (Moto::start(), Door::start(&runtime));
    runtime.block_on(put(&moto, "CreateSecret", json!({ "Name": SECRET, "SecretString": password("one-of-many") })));
    let directory = shop(&door.url, &format!("{{ aws_secrets_manager: {SECRET}, key: password }}"));
    let daemon = Daemon::run(directory.path(), &environment(&moto.url));
    let runs = |verdict: &str| {
        let page = format!("http://{}/metrics", daemon.address);
        let text = runtime.block_on(async {
            let client = roundsman::net::client::shared().expect("a client");
            client.get(page).send().await.expect("a page").text().await.expect("text")
        });
        let line = text.lines().find(|line| line.starts_with("roundsman_runs_total{") && line.contains(verdict));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_default()
    };
    let until = |what: &str, is: &dyn Fn() -> bool| {
        for _ in 0..LOOKS_MAX {
            if is() {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{what}:\n{}", daemon.said());
    };
    until("it passes", &|| runs("passed") >= 2.0);

    // It is written first, as a rotation does, and then in force.
    runtime.block_on(put(
        &moto,
        "PutSecretValue",
        json!({ "SecretId": SECRET, "SecretString": password("two-of-many") }),
    ));
    *door.takes.lock().expect("no panic") = "two-of-many";
    daemon.wait_for("a secret was changed meanwhile: the step is tried once more");
    let passed = runs("passed");
    until("it passes with the new one", &|| runs("passed") >= passed + 2.0);
    assert_eq!((runs("failed"), door.refused.load(Ordering::SeqCst)), (0.0, 1), "one refusal, and no failed run");
    let reads = runtime.block_on(moto.log("GetSecretValue")).len();
    assert_eq!(reads, 2, "it is kept otherwise");

    // A password that nobody told us is an outage, and not a reading of each run.
    *door.takes.lock().expect("no panic") = "nobody-knows";
    until("it fails", &|| runs("failed") >= 4.0);
    let reads = runtime.block_on(moto.log("GetSecretValue")).len();
    assert!(reads <= 4, "{reads} readings for four failures within seconds");

    let (status, said) = daemon.terminate();
    assert!(status.success());
    for secret in ["one-of-many", "two-of-many", "hunter2hunter2"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn what_is_not_there_is_told_at_the_start_and_what_may_come_back_is_not_waited_for() {
    let runtime = Runtime::new().expect("a runtime");
    let moto = Moto::start();
    runtime.block_on(async {
        put(&moto, "CreateSecret", json!({ "Name": SECRET, "SecretString": password("one-of-many") })).await;
        put(&moto, "CreateSecret", json!({ "Name": "plain", "SecretString": "only-a-text" })).await;
        put(&moto, "CreateSecret", json!({ "Name": "binary", "SecretBinary": "AAEC" })).await;
    });
    for (secret, told) in [
        (
            "{ aws_secrets_manager: prod/other }",
            "Secrets Manager has no secret `prod/other` in us-east-1, or none with a value",
        ),
        (
            "{ aws_secrets_manager: prod/shop/shopper, key: pasword }",
            "`prod/shop/shopper` in Secrets Manager has no key `pasword`",
        ),
        (
            "{ aws_secrets_manager: plain, key: password }",
            "`plain` in Secrets Manager is no JSON with keys, so `password` is not in it",
        ),
        ("{ aws_secrets_manager: binary }", "`binary` in Secrets Manager is binary, and no text"),
    ] {
        let directory = shop("http://127.0.0.1:9/", secret);
        let config = directory.path().to_str().expect("a path in UTF-8");
        let ran = output(&["run", "--config", config], &environment(&moto.url));
        let said = String::from_utf8(ran.stderr).expect("text");
        assert_eq!(ran.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("error: the secret `shopper` cannot be read: {told}")), "{said}");
        assert!(!said.contains("one-of-many") && !said.contains("only-a-text"), "{said}");
        // Whoever asks once sees it as what it is: ours.
        let (code, said) = once(&moto.url, secret);
        assert!(code == 3 && said.contains(told) && said.contains("local.secret"), "{code}: {said}");
    }
    runtime.block_on(moto.faults(json!([{ "operation": "GetSecretValue", "fault": "forbidden" }])));
    let (_, said) = once(&moto.url, "{ aws_secrets_manager: plain }");
    assert!(
        said.contains("Secrets Manager does not give `plain`: we may not ask for `secretsmanager:GetSecretValue`"),
        "{said}"
    );

    // Nobody answers: that keeps no monitor from starting.
    let directory = shop("http://127.0.0.1:9/", "{ aws_secrets_manager: plain }");
    let daemon = Daemon::run(directory.path(), &environment("http://127.0.0.1:9"));
    let said = daemon.said();
    assert!(
        said.contains("the secret `shopper` cannot be read: Secrets Manager cannot be asked for `plain`"),
        "{said}"
    );
    let (status, _) = daemon.terminate();
    assert!(status.success());
}

#[test]
fn a_whole_text_and_a_number_are_secrets_too() {
    let runtime = Runtime::new().expect("a runtime");
    let (moto, door) = (Moto::start(), Door::start(&runtime));
    let requests = runtime.block_on(async {
        put(&moto, "CreateSecret", json!({ "Name": "plain", "SecretString": "one-of-many" })).await;
        let directory = shop(&door.url, &format!("{{ aws_secrets_manager: plain, region: {REGION} }}"));
        let config = directory.path().to_str().expect("a path in UTF-8");
        let ran = output(&["once", "--config", config], &environment(&moto.url));
        assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stdout));
        moto.log("GetSecretValue").await
    });
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["parameters"], json!({ "SecretId": "plain" }));
}
