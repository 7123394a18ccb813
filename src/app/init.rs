//! `init`: a first configuration that validates, for whoever has none. It writes beside nothing that is there.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use url::{Host, Url};

use super::answer::{Answer, Output, Stop, say};
use super::validate::counted;
use crate::config::load::{Surroundings, load};
use crate::domain::names::{NAME_LENGTH_MAX, ProbeName};
use crate::domain::text::{harmless, shell_word};
use crate::net::addresses::refused;

/// The longest URL, in bytes.
const URL_MAX: usize = 2_000;

/// The example where no URL is given: Roundsman looks at itself, so that it works at once.
const OURSELVES: &str = "http://127.0.0.1:8080/healthz";

/// What is watched first.
#[derive(Clone, Debug, Args)]
pub struct InitArguments {
    /// What to probe, as in `https://shop.example.com/health`; without it an example is written.
    #[arg(value_name = "URL")]
    pub url: Option<String>,
}

/// Writes it, validates it, and says what comes next.
pub fn init(directory: &Path, surroundings: &Surroundings, what: &InitArguments) -> Result<Answer, Stop> {
    let files = match &what.url {
        Some(url) => {
            let url = probed(url).map_err(Stop::Usage)?;
            files(&named(&url), url.as_str(), "")
        }
        None => files("example", OURSELVES, EXPLAINED),
    };
    let paths: Vec<_> = files.iter().map(|(name, _)| directory.join(name)).collect();
    if let Some(there) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Stop::Usage(format!("{} is there already: nothing was written", shown(there))));
    }
    let mut made = Made::default();
    for (path, (_, text)) in paths.iter().zip(&files) {
        if let Err(error) = made.write(path, text) {
            made.undo();
            return Err(Stop::Fault(format!("{} cannot be written, so nothing was: {error}", shown(path))));
        }
    }
    let loaded = load(directory, surroundings);
    let Some(plan) = loaded.plan else {
        say(&loaded.problems.render(true));
        made.undo();
        return Err(Stop::Usage("what would be written does not fit what is there beside it: nothing was".to_owned()));
    };
    let mut out = Output::default();
    for path in &paths {
        out.line(format_args!("wrote {}", shown(path)))?;
    }
    let (probes, schedules) = (counted(plan.probes.len(), "probe"), counted(plan.schedules.len(), "schedule"));
    out.line(format_args!("valid: {probes}, {schedules}"))?;
    let path = directory.display().to_string();
    let config = if path == "." { String::new() } else { format!(" --config {}", shell_word(&path)) };
    out.line(format_args!(
        "\nNobody is told yet: roundsman.yaml says what Slack needs. See it run, and open http://{}:",
        plan.web.listen
    ))?;
    out.line(format_args!("\n    roundsman run{config}"))?;
    Ok(Answer::Well)
}

fn shown(path: &Path) -> String {
    harmless(&path.display().to_string()).into_owned()
}

/// Files and directories that were not there before, in the order in which they were made.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Made {
    /// A file that is new, whoever else may write at this moment.
    fn write(&mut self, path: &Path, text: &str) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            let new =
                parent.ancestors().take_while(|of| !of.as_os_str().is_empty() && !of.exists()).map(Path::to_owned);
            let new: Vec<_> = new.collect();
            self.0.extend(new.into_iter().rev());
            fs::create_dir_all(parent)?;
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => io::Error::new(ErrorKind::AlreadyExists, "somebody has just made it"),
                _ => error,
            })?;
        self.0.push(path.to_owned());
        file.write_all(text.as_bytes())
    }

    /// Half of a configuration would be in the way of the next try. A directory in which somebody put something meanwhile stays.
    fn undo(self) {
        for path in self.0.iter().rev() {
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        }
    }
}

/// A URL that can be probed, or why not.
fn probed(text: &str) -> Result<Url, String> {
    let shown = harmless(text);
    let example = "write it like `https://shop.example.com/health`";
    if text.len() > URL_MAX {
        return Err(format!("a URL has at most {URL_MAX} characters here, this one has {}", text.chars().count()));
    }
    // The standard takes these out silently, and what is left is another URL.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("`{shown}` has blanks or control characters in it, which no URL has"));
    }
    let mut url = Url::parse(text).map_err(|error| format!("`{shown}` is not a URL ({error}): {example}"))?;
    if !["http", "https"].contains(&url.scheme()) {
        let scheme = url.scheme();
        return Err(format!(
            "`{shown}` is not probed over HTTP but `{scheme}`: {example}, or see the kinds in the reference"
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user or a password in it would write them into a file: leave them out, and give the probe `bearer` or `basic` with a secret".to_owned());
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(_)) => None,
        None => return Err(format!("`{shown}` has no host: {example}")),
    };
    if let Some(why) = address.and_then(refused) {
        return Err(format!("`{shown}` is not probed: it is {why}"));
    }
    url.set_fragment(None);
    // Both mean something else in the files.
    if ["{{", "${"].iter().any(|mark| url.as_str().contains(mark)) {
        return Err(format!(
            "`{shown}` has `{{{{` or `${{` in it, which the files read as a capture or a secret: write them as `%7B`"
        ));
    }
    Ok(url)
}

/// The name of a probe of a URL: its host.
fn named(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let kept: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let kept: String =
        kept.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).chars().take(NAME_LENGTH_MAX).collect();
    let kept = kept.trim_end_matches(['-', '.', '_']);
    if ProbeName::parse(kept).is_ok() { kept.to_owned() } else { "target".to_owned() }
}

/// The files, by their paths. Names and URLs are quoted, since YAML takes some for numbers.
fn files(name: &str, url: &str, explained: &str) -> [(PathBuf, String); 3] {
    let (quoted_name, quoted_url) = (serde_json::json!(name), serde_json::json!(url));
    let probe = format!(
        "# Each name is a probe: what is looked at, and what must be true of it.\n\
         {quoted_name}:\n  http: {quoted_url}\n  # Nothing said, a status of 200 to 299 is expected. Say more, as in:\n  \
         # expect:\n  #   - json.status == \"healthy\"\n  #   - headers[\"content-type\"].contains(\"json\")\n  # warn: total_ms < 500\n{explained}"
    );
    let schedule = format!(
        "# Each name is a schedule: how often its probes run, and when failing wakes somebody.\n\
         reachability:\n  every: 30s\n  probes: [{quoted_name}]\n  alert: {{ after: 2 of 3, severity: P2 }}\n"
    );
    [
        (PathBuf::from("roundsman.yaml"), ROOT.to_owned()),
        (Path::new("probes").join(format!("{name}.yaml")), probe),
        (Path::new("schedules").join("tiers.yaml"), schedule),
    ]
}

const ROOT: &str = r#"# Where the page and the API are: on this machine only. Whoever takes an incident on or silences one needs a token, and so does what
# listens elsewhere: put one into a file `page-token` that only you can read, and write `token: "${secret:page}"` beside `listen`.
web: { listen: "${env:ROUNDSMAN_LISTEN:-127.0.0.1:8080}" }

# Metrics stand at /metrics, for Prometheus.
publish:
  prometheus: {}

# Who is told when an incident opens. For Slack, make an incoming webhook (https://api.slack.com/messaging/webhooks), put its URL
# into a file `slack-webhook` that only you can read, take the `# ` away from these lines, and ask `roundsman notify team`.
# secrets:
#   page: { file: page-token }
#   slack: { file: slack-webhook }
# channels:
#   team: { slack: "${secret:slack}" }
# routes:
#   - { to: [team] }
"#;

const EXPLAINED: &str = r#"
# This one looks at Roundsman itself. A journey has several steps; what one captures the next may use:
# shopper-journey:
#   steps:
#     - name: login
#       http: { method: POST, url: "https://shop.example.com/login", json: { user: probe } }
#       capture: { token: json.token }
#     - name: account
#       http: { url: "https://shop.example.com/account", bearer: "{{token}}" }
#       expect: json.user == "probe"
# Other kinds speak tls, dns, tcp, redis, postgres, aws and more:
# certificate: { tls: "shop.example.com:443", warn: cert.days_left > 21 }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_would_not_do_is_refused_with_a_sentence() {
        let long = format!("https://a.example/{}", "a".repeat(URL_MAX));
        let urls = [
            "shop.example.com",
            "ftp://shop.example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://",
            "https://ann:secret@shop.example.com/",
            "https://shop.example.com/\nevil: { command: id }",
            "https://shop.example.com/a b",
            "https://shop.example.com/\u{1b}[2J",
            "http://169.254.169.254/latest/meta-data",
            "http://[::ffff:169.254.169.254]/",
            "http://2852039166/",
            "https://shop.example.com/?q={{token}}",
            "https://shop.example.com/?q=${secret:x}",
            "https://shop.example.com:99999/",
            "",
            &long,
        ];
        let sentences = urls.map(|url| probed(url).unwrap_err());
        assert!(sentences.iter().all(|sentence| !sentence.contains("ann:secret")), "{sentences:?}");
        insta::assert_snapshot!(sentences.join("\n"));
    }

    #[test]
    fn a_probe_is_named_by_its_host() {
        let long = format!("https://{}.example/", vec!["a".repeat(60); 3].join("."));
        for (url, name) in [
            ("https://shop.example.com/health", "shop.example.com"),
            ("https://SHOP.example.com:8443/", "shop.example.com"),
            ("http://127.0.0.1:8080/", "127.0.0.1"),
            ("http://[::1]:8080/", "1"),
            ("https://bücher.example/", "xn--bcher-kva.example"),
            ("https://shop.example.com./", "shop.example.com"),
            (&long, &vec!["a".repeat(60); 3].join(".")[..128]),
        ] {
            assert_eq!(named(&probed(url).unwrap()), name);
        }
    }

    #[test]
    fn what_is_written_is_this() {
        let text = |files: [(PathBuf, String); 3]| {
            files.map(|(path, text)| format!("--- {}\n{text}", path.display())).join("\n")
        };
        insta::assert_snapshot!(text(files("shop.example.com", "https://shop.example.com/a?b=\"c\"", "")));
        insta::assert_snapshot!(text(files("example", OURSELVES, EXPLAINED)));
    }
}
