//! A service that says what it is told to say, for the tests of those who ask one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::Caller;
use crate::clock::SystemClock;
use crate::domain::outcome::RunId;
use crate::engine::testing::NoSecrets;
use crate::net::aws::{Access, Aws};
use crate::ports::{Clock as _, Recorder, Session, StepContext};
use crate::probers::testing;

/// A service that gives its answers in their order, and the last one for ever.
pub struct Service {
    url: String,
    asked: Arc<Mutex<Vec<Value>>>,
    _task: AbortOnDropHandle<()>,
}

impl Service {
    #[expect(clippy::disallowed_methods, reason = "the handle ends it with the test")]
    /// Says these.
    pub async fn saying(answers: Vec<(u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, answers, Arc::clone(&asked)));
        Self { url, asked, _task: AbortOnDropHandle::new(task) }
    }

    /// What it was asked.
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    /// Who asks it.
    pub fn caller(&self) -> Caller {
        let key = Credentials::new("AKIDTEST", "hunter2", None, None, "test");
        let access = Access {
            region: Some("us-east-1".to_owned()),
            endpoint: Some(self.url.clone()),
            credentials: Some(SharedCredentialsProvider::new(key)),
        };
        Caller::of(Aws::new(access), &testing::building(false))
    }
}

async fn serve(listener: TcpListener, answers: Vec<(u16, Value)>, asked: Arc<Mutex<Vec<Value>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut heard = Vec::new();
        while stream.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {
            let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let Ok(body) = serde_json::from_slice::<Value>(&heard[end + 4..]) else { continue };
            heard.clear();
            let count = {
                let mut asked = asked.lock().unwrap();
                asked.push(body);
                asked.len()
            };
            let (status, answer) = &answers[(count - 1).min(answers.len() - 1)];
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {status} said\r\nContent-Length: {}\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
        }
    }
}

/// Does something within a step that has so long.
pub async fn within<T>(seconds: u64, work: impl AsyncFnOnce(&StepContext<'_>) -> T) -> (T, Recorder) {
    let clock = SystemClock::start();
    let (session, recorder) = (Session::default(), Recorder::default());
    let cx = StepContext {
        clock: &clock,
        deadline: clock.monotonic() + Duration::from_secs(seconds),
        run: &RunId(Arc::from("01RUN")),
        captures: &BTreeMap::new(),
        secrets: &NoSecrets,
        session: &session,
        recorder: &recorder,
    };
    let done = work(&cx).await;
    (done, recorder)
}
