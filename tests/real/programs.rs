//! What programs see of a real daemon: each answer against the document that it serves, then Schemathesis, then the commands of
//! the reference.

use std::fs;
use std::path::Path;
use std::process::Command;

use reqwest::Method;
use roundsman::net::client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::commands::configuration;
use crate::servers::python;
use crate::servers::receiver::{Receiver, Target};
use crate::servers::roundsman::Daemon;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What Schemathesis leaves out: a drill takes its time, and nobody can sign for `PagerDuty`.
const LEFT_OUT: [&str; 2] = ["drillChannel", "hearPagerduty"];

/// How many requests Schemathesis makes up for each operation.
const EXAMPLES_MAX: u32 = 8;

/// A daemon with an open incident, a silence and messages, so that each list has something in it.
struct Site {
    daemon: Daemon,
    directory: TempDir,
    incident: String,
    run: String,
    _target: Target,
    _receiver: Receiver,
}

/// What was answered.
struct Answer {
    status: u16,
    media: String,
    body: Option<Value>,
}

fn ask(daemon: &Daemon, method: &Method, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
    let url = format!("http://{}{path}", daemon.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut request = client::shared().expect("a client").request(method.clone(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let answer = request.send().await.expect("an answer");
        let media = answer.headers().get("content-type").and_then(|media| media.to_str().ok());
        let (status, media) = (answer.status().as_u16(), media.unwrap_or_default().to_owned());
        Answer { status, media, body: serde_json::from_str(&answer.text().await.expect("a body")).ok() }
    })
}

impl Site {
    fn start() -> Self {
        let (target, receiver) = (Target::start(), Receiver::start());
        let root = format!(
            "web: {{ listen: \"${{env:ROUNDSMAN_LISTEN:-127.0.0.1:0}}\", token: \"${{secret:page}}\", url: \"https://rounds.example\" }}\n\
             secrets: {{ page: {{ file: page }} }}\n\
             channels: {{ pager: {{ webhook: \"{}\" }} }}\n\
             routes: [{{ to: [pager] }}]\n",
            receiver.url
        );
        let probes = format!(
            "api: {{ http: \"{}\", labels: {{ team: shop }}, runbook: \"https://wiki.example/api\" }}\n\
             asked: {{ tcp: \"127.0.0.1:9\", on_request: true }}\n",
            target.url
        );
        let schedules = "often: { every: 1s, probes: [api], alert: { after: 1, severity: P1 }, objectives: [{ success: 99 %, over: 1h }] }\n";
        let files =
            [("roundsman.yaml", &*root), ("page", TOKEN), ("probes/p.yaml", &probes), ("schedules/s.yaml", schedules)];
        let directory = configuration(&files);
        target.set(false);
        let daemon = Daemon::run(directory.path(), &[]);
        receiver.wait_until(|taken| !taken.is_empty());
        let mut site = Self {
            daemon,
            directory,
            incident: String::new(),
            run: String::new(),
            _target: target,
            _receiver: receiver,
        };
        let open = site.read("/api/v1/incidents").body.expect("JSON");
        site.incident = open["open"][0]["id"].as_str().expect("an open incident").to_owned();
        let first = loop {
            let runs = site.read("/api/v1/probes/api/runs?bad=1").body.expect("JSON");
            if let Some([_, _, .., first]) = runs["runs"].as_array().map(Vec::as_slice) {
                break first.clone();
            }
        };
        site.run = first["id"].as_str().expect("an id").to_owned();
        let silence =
            json!({ "matchers": { "probes": ["other"] }, "by": "ann", "reason": "x", "for": "1h" }).to_string();
        assert_eq!(site.bring("/api/v1/silences", &silence).status, 200);
        site
    }

    fn read(&self, path: &str) -> Answer {
        ask(&self.daemon, &Method::GET, path, &[("authorization", &format!("Bearer {TOKEN}"))], None)
    }

    fn bring(&self, path: &str, body: &str) -> Answer {
        let headers = [("authorization", &*format!("Bearer {TOKEN}")), ("content-type", "application/json")];
        ask(&self.daemon, &Method::POST, path, &headers, Some(body))
    }

    fn document(&self) -> Value {
        self.read("/api/v1/openapi.json").body.expect("the document")
    }
}

/// Looks at a document and at what was answered with the libraries that others use, and says what does not fit.
const VALIDATE: &str = r##"
import json, sys
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

told = json.load(open(sys.argv[1]))
document, answers = told["document"], told["answers"]
validate(document)

def fits(schema, value, where):
    schema = {"$ref": "#/x", "components": document["components"], "x": schema}
    for error in Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(value):
        print(where, list(error.absolute_path), error.message[:300])

for answer in answers:
    where = f'{answer["method"]} {answer["path"]} {answer["status"]}'
    operation = document["paths"][answer["path"]][answer["method"]]
    response = operation["responses"].get(str(answer["status"]))
    if response is None:
        print(where, "is not in the document")
        continue
    while "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    media = response["content"].get(answer["media"])
    if media is None:
        print(where, answer["media"], "is not in the document")
        continue
    fits(media["schema"], answer["body"], where)

for path, methods in document["paths"].items():
    for method, operation in methods.items():
        for status, response in operation["responses"].items():
            for media in response.get("content", {}).values():
                if "example" in media:
                    fits(media["schema"], media["example"], f"the example of {method} {path} {status}")
        for media in operation.get("requestBody", {}).get("content", {}).values():
            fits(media["schema"], media["example"], f"the example of {method} {path}")
        for parameter in operation["parameters"]:
            if not parameter.get("description"):
                print(method, path, "says nothing of", parameter["name"])
"##;

#[test]
fn each_answer_is_as_the_document_says() {
    let site = Site::start();
    let document = site.document();
    let mut answers = Vec::new();
    let mut seen = |path: &str, method: &Method, answer: Answer| {
        let Answer { status, media, body } = answer;
        answers.push(json!({ "path": path, "method": method.as_str().to_ascii_lowercase(), "status": status, "media": media, "body": body }));
        status
    };
    let filled = |path: &str, id: &str| format!("/api/v1{}", path.replace("{name}", "api").replace("{id}", id));
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let method: Method = method.to_ascii_uppercase().parse().expect("a method");
            let id = if path.starts_with("/runs") { &site.run } else { &site.incident };
            let well = filled(path, id);
            if method == Method::GET {
                assert_eq!(seen(path, &method, site.read(&well)), 200, "{path}");
                assert_eq!(seen(path, &method, ask(&site.daemon, &method, &well, &[], None)), 401, "{path}");
                let asks =
                    operation["parameters"].as_array().expect("parameters").iter().any(|one| one["in"] == "query");
                if asks {
                    assert_eq!(seen(path, &method, site.read(&format!("{well}?nothing=1"))), 400, "{path}");
                }
                if path.contains('{') {
                    let strange = format!("/api/v1{}", path.replace("{name}", "%ff").replace("{id}", "%ff"));
                    assert_eq!(seen(path, &method, site.read(&strange)), 400, "{path}");
                    let unknown = format!("/api/v1{}", path.replace("{name}", "none").replace("{id}", "none"));
                    assert_eq!(seen(path, &method, site.read(&unknown)), 404, "{path}");
                }
            } else {
                let json = [("content-type", "application/json")];
                let changed = ask(&site.daemon, &method, &well, &json, Some("{}"));
                assert_eq!(seen(path, &method, changed), 401, "{path}");
                if operation["requestBody"].is_object() {
                    assert_eq!(seen(path, &method, site.bring(&well, "{")), 400, "{path}");
                    let headers = [("authorization", &*format!("Bearer {TOKEN}")), ("content-type", "text/plain")];
                    assert_eq!(
                        seen(path, &method, ask(&site.daemon, &method, &well, &headers, Some("{}"))),
                        415,
                        "{path}"
                    );
                    let example = &operation["requestBody"]["content"]["application/json"]["example"];
                    let status = seen(path, &method, site.bring(&well, &example.to_string()));
                    assert!([200, 202, 404, 409, 422].contains(&status), "{path}: {status}");
                }
            }
        }
    }
    for query in
        ["/probes?limit=1", "/probes/api/runs?limit=1", "/incidents?resolved=1&limit=1", "/probes/api/series?over=30d"]
    {
        let answer = site.read(&format!("/api/v1{query}"));
        let path = query.split('?').next().expect("a path").replace("/api/", "/{name}/");
        assert_eq!(seen(&path, &Method::GET, answer), 200, "{query}");
    }
    let file = site.directory.path().join("told.json");
    fs::write(&file, json!({ "document": document, "answers": answers }).to_string()).expect("a file");
    let said = python::run(VALIDATE, &[file.to_str().expect("a path in UTF-8")]);
    assert_eq!(said, "");
}

#[test]
fn schemathesis_finds_nothing() {
    let site = Site::start();
    let seed = std::env::var("SCHEMATHESIS_SEED").unwrap_or_else(|_| std::process::id().to_string());
    let home = site.directory.path().join("schemathesis");
    fs::create_dir(&home).expect("a directory");
    // What is understood may still not be so: a silence that ends before it begins is 422. It finds no incident by itself.
    let settings = format!(
        "[checks]\npositive_data_acceptance.expected-statuses = [\"2xx\", 304, 400, 404, 409, 422, 429]\n\
         [[operations]]\ninclude-path-regex = \"^/incidents/\"\nparameters = {{ \"path.id\" = \"{}\" }}\n",
        site.incident
    );
    fs::write(home.join("schemathesis.toml"), settings).expect("a file");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.venv/bin/schemathesis");
    let output = Command::new(&program)
        .args(["run", &format!("http://{}/api/v1/openapi.json", site.daemon.address)])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--max-examples", &EXAMPLES_MAX.to_string(), "--seed", &seed, "--phases", "examples,coverage,fuzzing"])
        // It waits where it is told that it changes too much.
        .args(["--rate-limit", "auto", "--request-timeout", "30", "--no-color"])
        .args(LEFT_OUT.iter().flat_map(|operation| ["--exclude-operation-id", *operation]))
        .args(["--exclude-checks", "ignored_auth"])
        .current_dir(&home)
        .output()
        .expect("Schemathesis is in tests/.venv: run the tests by tests/run, which sets it up");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "SCHEMATHESIS_SEED={seed}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let document = site.document();
    let paths = document["paths"].as_object().expect("paths");
    // The document itself it has read, and does not count.
    let read = paths.iter().filter(|(path, _)| *path != "/openapi.json");
    let all: usize = read.map(|(_, methods)| methods.as_object().expect("methods").len()).sum();
    let tested = all - LEFT_OUT.len();
    for line in [format!("  Selected: {tested}/{all}"), format!("  Tested: {tested}")] {
        assert!(said.lines().any(|known| known == line), "`{line}` is not in\n{said}");
    }
    assert_eq!(site.read("/api/v1/status").status, 200, "it goes on");
}

/// The blocks of a page of the reference that a shell runs.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while lines.by_ref().any(|line| line == "```sh") {
        blocks.push(
            lines.by_ref().take_while(|line| *line != "```").fold(String::new(), |block, line| block + line + "\n"),
        );
    }
    blocks
}

#[test]
fn what_the_reference_says_is_so() {
    let site = Site::start();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let page = fs::read_to_string(page).expect("docs/api.md");
    let blocks = blocks(&page);
    assert!(blocks.len() >= 5, "{blocks:?}");
    let url = format!("http://{}", site.daemon.address);
    for block in blocks {
        let output = Command::new("sh")
            .args(["-euc", &block])
            .env("ROUNDSMAN_URL", &url)
            .env("ROUNDSMAN_TOKEN", TOKEN)
            .current_dir(site.directory.path())
            .output()
            .expect("a shell");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{block}\n{said}");
        assert!(!said.contains("problem+json") && !said.contains("about:blank"), "{block}\n{said}");
    }
    // Its table names each operation, with its sentence.
    let mut rows = Vec::new();
    for (path, methods) in site.document()["paths"].as_object().expect("paths") {
        for (method, told) in methods.as_object().expect("methods") {
            let about = told["summary"].as_str().expect("a sentence");
            rows.push(format!("| `{} {path}` | {about} |", method.to_ascii_uppercase()));
        }
    }
    let told: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| `GET ") || line.starts_with("| `POST ") || line.starts_with("| `DELETE "))
        .collect();
    assert_eq!(told, rows, "docs/api.md has another table; it should be:\n{}", rows.join("\n"));
}
