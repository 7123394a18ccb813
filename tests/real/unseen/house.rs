//! A configuration that knows every secret, and uses each where it is used.

use std::fmt::Write as _;

use tempfile::TempDir;

use super::canaries::{Canary, Kept};
use super::parrot::Parrot;
use crate::commands::configuration;
use crate::probing::quoted;

/// What a target that speaks HTTP may do with what it was told.
const FAULTS: [&str; 10] = ["echo", "moved", "reset", "torn", "slow", "packed", "split", "bad", "reason", "colon"];

/// A reference to a secret.
fn secret(name: &str) -> String {
    format!("${{secret:{}}}", name.to_lowercase())
}

/// The configuration, and the environment that it needs.
pub struct House {
    /// Where it is; it is gone when this is dropped.
    pub directory: TempDir,
    /// The variables.
    pub environment: Vec<(String, String)>,
    /// The names of its probes.
    pub probes: Vec<String>,
}

impl House {
    /// Writes it. `receiver` takes messages and is not a parrot.
    pub fn build(canaries: &[Canary], shown: &Canary, parrot: &Parrot, receiver: &str) -> Self {
        let mut declared = String::new();
        for canary in canaries {
            let name = canary.name.to_lowercase();
            match canary.kept {
                Kept::Env => writeln!(declared, "  {name}: {{ env: CANARY_{} }}", canary.name),
                Kept::File => writeln!(declared, "  {name}: {{ file: secrets/{name} }}"),
                Kept::Aws(_) | Kept::Given => Ok(()),
            }
            .expect("text");
        }
        let written = probes(parrot, shown);
        let mut probes_file = String::new();
        for (name, body) in &written {
            writeln!(probes_file, "{name}:\n{body}").expect("text");
        }
        let root = root(&declared, shown, parrot, receiver);
        let schedule = "often: { every: 5s, probes: [\"*\"], timeout: 2s, alert: { after: 1, severity: P1, flapping: { openings: 100, within: 10s } } }\n";
        let directory = configuration(&[
            ("roundsman.yaml", &root),
            ("probes/p.yaml", &probes_file),
            ("schedules/s.yaml", schedule),
            ("ca.pem", &parrot.authority.pem),
            ("secrets/.keep", ""),
        ]);
        let mut environment = vec![
            ("ROUNDSMAN_LOG".to_owned(), "trace".to_owned()),
            ("AWS_ACCESS_KEY_ID".to_owned(), "AKIDPARROT".to_owned()),
            ("AWS_REGION".to_owned(), "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL_SNS".to_owned(), format!("http://{}/sns", parrot.plain)),
            ("AWS_ENDPOINT_URL_CLOUDWATCH".to_owned(), format!("http://{}/s400", parrot.plain)),
        ];
        for canary in canaries {
            match canary.kept {
                Kept::Env => environment.push((format!("CANARY_{}", canary.name), canary.value.clone())),
                Kept::Aws(variable) => environment.push((variable.to_owned(), canary.value.clone())),
                Kept::File => {
                    let file = directory.path().join("secrets").join(canary.name.to_lowercase());
                    std::fs::write(file, &canary.value).expect("a file");
                }
                Kept::Given => {}
            }
        }
        Self { directory, environment, probes: written.into_iter().map(|(name, _)| name).collect() }
    }

    /// The environment as commands take it.
    pub fn variables(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

fn root(declared: &str, shown: &Canary, parrot: &Parrot, receiver: &str) -> String {
    let (at, mail) = (format!("http://{}", parrot.plain), parrot.mail.port());
    let [page, watcher, sign, authorization, hook] = ["page", "watcher", "sign", "authorization", "hook"].map(secret);
    let [duty, duty_hook, slack, bot, smtp] = ["duty", "dutyhook", "slack", "bot", "smtp"].map(secret);
    format!(
        "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN:-127.0.0.1:0}}\", token: \"{page}\" }}
publish: {{ prometheus: {{}}, cloudwatch: {{ region: us-east-1 }} }}
group: {{ wait: 0s, limit: 1000 }}
heartbeat: {{ ping: \"{at}/pings/{watcher}\", every: 10s }}
secrets:
{declared}channels:
  told: {{ webhook: {{ url: \"{receiver}told\", sign: \"{sign}\", headers: {{ authorization: \"Bearer {authorization}\" }} }} }}
  refused: {{ webhook: \"{at}/s400/{hook}\" }}
  unknown: {{ webhook: \"{at}/s401/{hook}\" }}
  throttled: {{ webhook: \"{at}/s429/{hook}\" }}
  broken: {{ webhook: \"{at}/torn/{hook}\" }}
  cut: {{ webhook: \"{at}/reset/{hook}\" }}
  sent-away: {{ webhook: \"{at}/moved/{hook}\" }}
  strange: {{ webhook: \"{at}/bad/{hook}\" }}
  gone: {{ webhook: \"http://127.0.0.1:9/{hook}\" }}
  nowhere: {{ webhook: \"http://parrot.invalid/{hook}\" }}
  duty: {{ pagerduty: {{ routing_key: \"{duty}\", url: \"{at}/s401/v2/enqueue\", webhook_secret: \"{duty_hook}\" }} }}
  duty-refuses: {{ pagerduty: {{ routing_key: \"{duty}\", url: \"{at}/s400/v2/enqueue\" }} }}
  team: {{ slack: \"{at}/s400/services/{slack}\" }}
  bot: {{ slack: {{ token: \"{bot}\", channel: \"#ops\", api: \"{at}/api\" }} }}
  mail: {{ email: {{ server: localhost, port: {mail}, security: tls, ca: \"${{file:ca.pem}}\", user: probe, password: \"{smtp}\", from: a@example.com, to: b@example.com }} }}
  topic: {{ sns: \"arn:aws:sns:us-east-1:123456789012:ops\" }}
routes:
  - {{ labels: {{ service: {label} }}, to: [told, refused, unknown, throttled, broken, cut, sent-away, strange, gone, nowhere, duty, duty-refuses, team, bot, mail, topic] }}
  - {{ to: [told] }}
",
        label = shown.value,
    )
}

/// Each probe with its definition.
fn probes(parrot: &Parrot, shown: &Canary) -> Vec<(String, String)> {
    let at = format!("http://{}", parrot.plain);
    let (plain, calls, news, names) = (parrot.plain, parrot.calls, parrot.news, parrot.names);
    let see =
        "expect: [status == 200, body == \"x\", \"headers[\\\"x-said\\\"] == \\\"x\\\"\", \"json.no == \\\"x\\\"\"]";
    let ca = "${file:ca.pem}";
    let mut all: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, body: String| all.push((name.to_owned(), body));
    for (n, fault) in FAULTS.into_iter().enumerate() {
        let (bearer, query, tree) = (secret("bearer"), secret("query"), secret("tree"));
        add(&format!("bearer-{fault}"), format!("  http: {{ url: \"{at}/{fault}\", bearer: \"{bearer}\" }}\n  {see}"));
        if n % 2 == 1 {
            continue;
        }
        add(&format!("query-{fault}"), format!("  http: \"{at}/{fault}?key={query}&n=1\"\n  {see}"));
        add(
            &format!("tree-{fault}"),
            format!("  http: {{ method: POST, url: \"{at}/{fault}\", json: {{ a: [{{ b: \"{tree}\" }}] }} }}\n  {see}"),
        );
    }
    let http = |settings: String| format!("  http: {{ url: \"{at}/echo\", {settings} }}\n  {see}");
    add("header", http(format!("headers: {{ x-key: \"{}\" }}", secret("header"))));
    add("basic", http(format!("basic: {{ user: probe, password: \"{}\" }}", secret("basic"))));
    add("form", http(format!("method: POST, form: {{ word: \"{}\" }}", secret("form"))));
    add("text", http(format!("method: POST, body: \"{}\"", secret("text"))));
    add("street", format!("  http: \"{at}/echo/{}/x\"\n  {see}", secret("street")));
    add(
        "gone",
        format!("  http: {{ url: \"http://127.0.0.1:9/{}\", bearer: \"{}\" }}", secret("street"), secret("bearer")),
    );
    add("nowhere", format!("  http: \"http://parrot.invalid/{}\"", secret("street")));
    add(
        "two",
        format!(
            "  http: {{ url: \"http://{calls}/\", http_version: \"2\", bearer: \"{}\" }}\n  {see}",
            secret("bearer")
        ),
    );
    for (name, way, place) in
        [("granted", "grant", "header"), ("denied", "deny", "header"), ("denied-body", "deny", "body")]
    {
        let client = secret(if place == "body" { "oauthbody" } else { "oauth" });
        let oauth = format!(
            "token_url: \"{at}/{way}\", client_id: probe, client_secret: \"{client}\", credentials_in: {place}"
        );
        add(name, http(format!("oauth2: {{ {oauth} }}")));
    }
    add("signed", http("sigv4: { service: execute-api, region: us-east-1 }".to_owned()));
    for (name, port) in [("shown", parrot.shown), ("guarded", parrot.guarded)] {
        let client =
            format!("client_cert: {{ cert: {}, key: \"{}\" }}", quoted(&parrot.client.certificate), secret("key"));
        let headers = format!("headers: {{ x-key: \"{}\", x-name: \"{}\" }}", secret("bearer"), secret("label"));
        let url = format!("url: \"https://127.0.0.1:{}/echo\", ca: \"{ca}\", {headers}", port.port());
        add(name, format!("  http: {{ {url}, {client} }}\n  expect: [status == 200, cert.subject == \"x\"]"));
    }
    let untrusted = format!(
        "  http: {{ url: \"https://127.0.0.1:{}/\", bearer: \"{}\", headers: {{ x-name: \"{}\" }} }}",
        parrot.shown.port(),
        secret("bearer"),
        secret("label")
    );
    add("untrusted", untrusted);
    add(
        "spoilt",
        format!(
            "  http: {{ url: \"https://127.0.0.1:{}/\", ca: \"{ca}\", client_cert: {{ cert: {}, key: \"{}\" }} }}",
            parrot.guarded.port(),
            quoted(&parrot.client.certificate),
            secret("spoilt"),
        ),
    );
    add(
        "password",
        format!(
            "  postgres: {{ address: \"{plain}\", user: probe, password: \"{}\", tls: false }}",
            secret("postgres")
        ),
    );
    add(
        "parameter",
        format!(
            "  postgres: {{ address: \"{plain}\", user: other, tls: false, query: \"select $1\", parameters: [\"{}\"] }}",
            secret("parameter"),
        ),
    );
    add("redis", format!("  redis: {{ address: \"{plain}\", password: \"{}\" }}", secret("redis")));
    add(
        "word",
        format!(
            "  redis: {{ address: \"{plain}\", command: [ECHO, \"{}\"] }}\n  expect: reply == \"x\"",
            secret("word")
        ),
    );
    add(
        "call",
        format!(
            "  grpc: {{ url: \"grpc://{calls}\", bearer: \"{}\", metadata: {{ x-key: \"{}\" }} }}\n  expect: grpc_message == \"x\"",
            secret("grpc"),
            secret("metadata")
        ),
    );
    add("refused-socket", format!("  websocket: {{ url: \"ws://{plain}/echo\", bearer: \"{}\" }}", secret("socket")));
    add(
        "socket",
        format!(
            "  websocket: {{ url: \"ws://{news}/\", bearer: \"{}\", send: \"{}\", until_closed: true }}\n  expect: [message == \"x\", close_reason == \"x\"]",
            secret("socket"),
            secret("message"),
        ),
    );
    add(
        "line",
        format!(
            "  tcp: {{ address: \"{plain}\", send: \"hello {}\\r\\n\", receive: line }}\n  expect: [received == \"x\", received_hex == \"x\"]",
            secret("tcp")
        ),
    );
    add(
        "name",
        format!(
            "  dns: {{ name: \"{}.test\", type: TXT, server: \"{names}\" }}\n  expect: [\"answers == [\\\"x\\\"]\"]",
            secret("label")
        ),
    );
    let script = "printf %s \"$CANARY\" > seen; cat > heard; cat seen heard; cat heard >&2; base64 < seen; od -An -tx1 < seen | tr -d ' \\n' >&2; sleep 0.2; exit 3";
    add(
        "command",
        format!(
            "  command: {{ run: [sh, -c, {}], env: {{ CANARY: \"{}\" }}, input: \"{}\" }}\n  expect: [exit == 0, stdout == \"x\", stderr == \"x\"]",
            quoted(script),
            secret("command"),
            secret("input"),
        ),
    );
    add("job", format!("  heartbeat: {{ token: \"{}\", every: 1h }}\n  expect: last_text == \"x\"", secret("job")));
    add("planted", format!("  http: \"{at}/echo\"\n  labels: {{ service: {} }}", shown.value));
    add("journey", format!(
        "  steps:
    - {{ name: login, http: {{ method: POST, url: \"{at}/login\", json: {{ password: \"{}\" }} }}, capture: {{ token: json.token }} }}
    - {{ name: use, http: {{ method: POST, url: \"{at}/echo\", json: {{ token: \"{{{{token}}}}\" }} }}, {see} }}
  cleanup:
    - {{ name: logout, http: {{ url: \"{at}/logout\", bearer: \"{{{{token}}}}\" }} }}",
        secret("tree"),
    ));
    all
}
