//! Who is let in: every credential on every route, on listeners of every sort, over real connections; what browsers are made to
//! send by pages of others; names by which the page is not to be asked; and peers that hold connections.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roundsman::clock::SystemClock;
use roundsman::domain::pulse::TokenDigest;
use roundsman::ports::Clock as _;
use roundsman::web::routes::rows;
use roundsman::web::table::Scope;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::commands::configuration;
use crate::servers::receiver::{Receiver, Target};
use crate::servers::roundsman::{Daemon, output};

const READ: &str = "6d6e0f7bb5b0a1d5c6f8a1e2d3c4b5a697887766";
const OPERATE: &str = "f1e2d3c4b5a69788776655443322110099aabbcc";

/// How long an answer may take, far beyond what it does.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Who asks comes from an address of its own, so that nobody is refused for the wrong tokens of another.
fn source(network: u8) -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    Ipv4Addr::from_bits(u32::from_be_bytes([127, network, 0, 0]) + NEXT.fetch_add(1, Ordering::Relaxed))
}

fn connect(daemon: &Daemon, source: Ipv4Addr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("an address of loopback");
    let to = SocketAddr::from(([127, 0, 0, 1], daemon.address.port()));
    socket.connect(&to.into()).expect("it listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a time-out");
    stream
}

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Asks exactly so: a request line without its version, headers, a body. Of an answer that lasts only the beginning is read.
fn ask_from(daemon: &Daemon, source: Ipv4Addr, line: &str, headers: &[String], body: &str) -> Answer {
    let mut stream = connect(daemon, source);
    let headers = headers.iter().fold(String::new(), |headers, header| headers + header + "\r\n");
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{headers}{length}\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it is heard");
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    let is_stream = |read: &[u8]| read.windows(17).any(|part| part == b"text/event-stream");
    while let Ok(length) = stream.read(&mut piece) {
        read.extend_from_slice(&piece[..length]);
        if length == 0 || is_stream(&read) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&read).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn ask(daemon: &Daemon, line: &str, headers: &[&str], body: &str) -> Answer {
    let headers: Vec<_> = headers.iter().map(|header| (*header).to_owned()).collect();
    ask_from(daemon, source(200), line, &headers, body)
}

fn host(daemon: &Daemon) -> String {
    format!("127.0.0.1:{}", daemon.address.port())
}

fn basic(token: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("anybody:{token}")))
}

/// How the page is guarded.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting that is there or not, and all combinations are asked"
)]
struct Guard {
    listen: &'static str,
    /// Reading asks for a token on loopback too.
    read: bool,
    operate: bool,
    /// `token:` makes the two one.
    is_one: bool,
    proxy: bool,
}

const NONE: Guard = Guard { listen: "127.0.0.1:0", read: false, operate: false, is_one: false, proxy: false };

const GUARDS: [Guard; 8] = [
    NONE,
    Guard { operate: true, ..NONE },
    Guard { read: true, operate: true, proxy: true, ..NONE },
    Guard { read: true, operate: true, is_one: true, ..NONE },
    Guard { listen: "0.0.0.0:0", read: true, operate: true, proxy: true, ..NONE },
    Guard { listen: "0.0.0.0:0", operate: true, ..NONE },
    Guard { listen: "0.0.0.0:0", proxy: true, ..NONE },
    Guard { operate: true, proxy: true, ..NONE },
];

impl Guard {
    /// One of the two tokens is a hash where there are two: then nobody but its owner knows it.
    fn directory(self) -> TempDir {
        let hash = format!("\"sha256:{}\"", TokenDigest::of(READ));
        let tokens = match (self.read, self.operate) {
            _ if self.is_one => "token: \"${secret:operate}\"".to_owned(),
            (true, true) => format!("tokens: {{ read: {hash}, operate: \"${{secret:operate}}\" }}"),
            (false, true) => format!("tokens: {{ operate: \"sha256:{}\" }}", TokenDigest::of(OPERATE)),
            _ => String::new(),
        };
        let proxy = if self.proxy {
            "proxy: { from: [127.8.0.0/16], user: X-Forwarded-User, operate: [\"ann\"] }\n  url: https://rounds.example.com"
        } else {
            ""
        };
        let root = format!(
            "web:\n  listen: \"{}\"\n  {tokens}\n  {proxy}\nsecrets: {{ operate: {{ file: operate }} }}\n",
            self.listen
        );
        configuration(&[
            ("roundsman.yaml", &root),
            ("operate", OPERATE),
            ("probes/p.yaml", "here: { tcp: \"127.0.0.1:9\" }\n"),
            ("schedules/s.yaml", "often: { every: 1h, probes: [here] }\n"),
        ])
    }
}

/// By what somebody asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Nothing,
    Wrong,
    WrongPassword,
    Read,
    ReadPassword,
    Operate,
    OperatePassword,
    Reader,
    Operator,
    /// The proxy names nobody.
    Unnamed,
    /// The proxy passes on what somebody said of themselves, beside what it says.
    Doubled,
    /// Not the proxy says so.
    Spoofed,
}

const ALL: [By; 12] = [
    By::Nothing,
    By::Wrong,
    By::WrongPassword,
    By::Read,
    By::ReadPassword,
    By::Operate,
    By::OperatePassword,
    By::Reader,
    By::Operator,
    By::Unnamed,
    By::Doubled,
    By::Spoofed,
];

impl By {
    fn headers(self) -> Vec<String> {
        let bearer = |token: &str| vec![format!("Authorization: Bearer {token}")];
        let user = |user: &str| format!("X-Forwarded-User: {user}");
        match self {
            Self::Nothing | Self::Unnamed => Vec::new(),
            Self::Wrong => bearer("0123456789abcdef0123456789abcdef"),
            Self::WrongPassword => vec![basic("0123456789abcdef0123456789abcdef")],
            Self::Read => bearer(READ),
            Self::ReadPassword => vec![basic(READ)],
            Self::Operate => bearer(OPERATE),
            Self::OperatePassword => vec![basic(OPERATE)],
            Self::Reader => vec![user("bob")],
            Self::Operator | Self::Spoofed => vec![user("ann")],
            Self::Doubled => vec![user("bob"), user("ann")],
        }
    }

    fn is_from_proxy(self) -> bool {
        matches!(self, Self::Reader | Self::Operator | Self::Unnamed | Self::Doubled)
    }

    fn is_password(self) -> bool {
        matches!(self, Self::ReadPassword | Self::OperatePassword | Self::WrongPassword)
    }
}

/// What comes of it: the status by which it is refused, or nothing where it is let in.
fn refusal(guard: Guard, by: By, scope: Scope, changes: bool, is_form: bool) -> Option<u16> {
    let needs_operate = match scope {
        Scope::Open | Scope::Ping | Scope::Signed => return None,
        Scope::Read => false,
        Scope::Operate => true,
    };
    let is_behind = guard.proxy && by.is_from_proxy();
    match by {
        By::Doubled if is_behind => return Some(400),
        By::Operator if is_behind => return None,
        By::Reader if is_behind => return needs_operate.then_some(403),
        _ => {}
    }
    let is_loopback = guard.listen.starts_with("127");
    if !needs_operate && is_loopback && !guard.read && !is_behind {
        return None;
    }
    let counts = !by.is_password() || is_form || !changes;
    match by {
        By::Operate | By::OperatePassword if guard.operate && counts => return None,
        By::Read | By::ReadPassword if guard.read && !guard.is_one && counts => {
            return needs_operate.then_some(if by.is_password() { 401 } else { 403 });
        }
        _ => {}
    }
    if needs_operate && !guard.operate && !guard.proxy { Some(403) } else { Some(401) }
}

#[test]
fn every_credential_opens_what_it_should_on_every_route_and_nothing_else() {
    let (mut asked, mut wrong) = (0, Vec::new());
    for guard in GUARDS {
        let directory = guard.directory();
        let daemon = Daemon::run(directory.path(), &[]);
        for row in rows() {
            let path =
                row.path.split('/').map(|part| if part.starts_with('{') { "01KB2H8Q4V0000000000000000" } else { part });
            let path = path.collect::<Vec<_>>().join("/");
            let changes = row.method != "GET";
            for by in ALL {
                let mut headers = vec![format!("Host: {}", host(&daemon))];
                headers.extend(by.headers());
                if changes {
                    headers
                        .extend([format!("Origin: http://{}", host(&daemon)), "Content-Type: application/json".into()]);
                }
                // Nobody can do anything with it.
                let body = if changes { "{\"unknown\":1}" } else { "" };
                let source = source(if by.is_from_proxy() { 8 } else { 9 });
                let answer = ask_from(&daemon, source, &format!("{} {path}", row.method), &headers, body);
                let expected = refusal(guard, by, row.entry.scope, changes, row.entry.is_form);
                let is_refused = [400, 401, 403, 421, 503].contains(&answer.status) && is_refusal(&answer);
                let came = is_refused.then_some(answer.status);
                asked += 1;
                if came != expected || answer.status == 0 {
                    wrong.push(format!(
                        "{guard:?} {by:?} {} {}: {} {:?}, expected {expected:?}",
                        row.method, row.path, answer.status, answer.body
                    ));
                }
            }
        }
        daemon.kill();
    }
    assert!(asked > 2_000, "only {asked} were asked");
    assert!(wrong.is_empty(), "{} of {asked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether it was the guard that refused, which says so in words of its own.
fn is_refusal(answer: &Answer) -> bool {
    [
        "a token is needed",
        "the token that was given is none of those",
        "whoever changes something needs",
        "you may read",
        "the proxy has to say",
        "a page of another site",
        "this page answers to",
        "access cannot be checked",
    ]
    .iter()
    .any(|words| answer.body.contains(words))
}

#[test]
fn what_is_not_in_the_table_is_not_there_and_only_those_who_may_read_hear_so() {
    let directory = GUARDS[4].directory();
    let daemon = Daemon::run(directory.path(), &[]);
    let paths: BTreeSet<_> = rows().iter().map(|row| row.path).collect();
    for method in ["GET", "POST", "DELETE", "PUT", "OPTIONS", "TRACE", "FROB"] {
        for path in ["/nothing", "/api/v1/nothing", "/api/v2/incidents", "/%2e%2e/", "//", "/healthz/", "/ping", "/api"]
        {
            for (header, status) in [
                ("X-None: 1".to_owned(), 401),
                (format!("Authorization: Bearer {READ}"), 404),
                (format!("Authorization: Bearer {OPERATE}"), 404),
            ] {
                let answer = ask(&daemon, &format!("{method} {path}"), &["Host: x", &header], "");
                assert_eq!(answer.status, status, "{method} {path} {header}: {}", answer.body);
            }
        }
    }
    for path in paths {
        let path = path.replace("{id}", "x");
        let answer = ask(&daemon, &format!("PUT {path}"), &["Host: x"], "");
        assert!(answer.status == 405 && answer.head.contains("allow: "), "{path}: {}", answer.head);
    }
    let answer = ask(&daemon, "POST /healthz", &["Host: x"], "");
    assert!(answer.head.contains("allow: GET, HEAD"), "{}", answer.head);
    let answer = ask(&daemon, "HEAD /", &["Host: x", &format!("Authorization: Bearer {READ}")], "");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    daemon.kill();
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let directory = GUARDS[4].directory();
    let daemon = Daemon::run(directory.path(), &[]);
    let own = format!("Origin: http://{}", host(&daemon));
    let host = format!("Host: {}", host(&daemon));
    let bearer = format!("Authorization: Bearer {OPERATE}");
    let (password, user) = (basic(OPERATE), "X-Forwarded-User: ann".to_owned());
    let json = "Content-Type: application/json";
    let silences = "POST /api/v1/silences";
    let form = "POST /incidents/01KB2H8Q4V0000000000000000/note";
    let said = r#"{"matchers":{"probes":["here"]},"by":"mallory","reason":"x","for":"1h"}"#;
    for (line, headers, status) in [
        // A form that a foreign page sends, with what the browser sends by itself.
        (form, vec![&*password, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"], 403),
        (form, vec![&password, "Origin: null"], 403),
        (form, vec![&password], 403),
        (form, vec![&password, &own, "Origin: https://evil.example"], 403),
        (form, vec![&password, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"], 403),
        (form, vec![&password, "Sec-Fetch-Site: same-site"], 403),
        (form, vec![&password, "Origin: http://127.0.0.1.evil.example"], 403),
        (form, vec![&password, &own], 400),
        (form, vec![&user, "Origin: https://evil.example"], 403),
        (form, vec![&user], 403),
        (form, vec![&user, &own], 400),
        // JSON by what needs no permission of ours: `fetch` in the mode `no-cors`, a form of plain text.
        (silences, vec![&password, "Content-Type: text/plain", "Origin: https://evil.example"], 403),
        (silences, vec![&password, json, &own], 401),
        (silences, vec![&user, json, "Origin: https://evil.example"], 403),
        (silences, vec![&user, json], 403),
        (silences, vec![&user, json, "Sec-Fetch-Site: cross-site"], 403),
        (silences, vec![&user, "Content-Type: text/plain", &own], 415),
        (silences, vec![&user, json, &own], 200),
        (silences, vec![&bearer, json, "Origin: https://evil.example"], 403),
        (silences, vec![&bearer, json, "Sec-Fetch-Site: cross-site"], 403),
        (silences, vec![&bearer, "Content-Type: text/plain"], 415),
        (silences, vec![&bearer, json], 200),
        ("OPTIONS /api/v1/silences", vec!["Origin: https://evil.example", "Access-Control-Request-Method: POST"], 405),
    ] {
        let headers: Vec<_> = [host.clone()].into_iter().chain(headers.iter().map(ToString::to_string)).collect();
        let from = source(if headers.contains(&user) { 8 } else { 9 });
        let answer = ask_from(&daemon, from, line, &headers, said);
        assert_eq!(answer.status, status, "{line} {headers:?}: {}", answer.body);
        assert!(!answer.head.to_lowercase().contains("access-control-allow"), "{}", answer.head);
    }
    daemon.kill();
}

#[test]
fn it_answers_to_its_own_names_only() {
    let directory = NONE.directory();
    let daemon = Daemon::run(directory.path(), &[]);
    for (line, hosts, status) in [
        ("GET /", &["localhost"][..], 200),
        ("GET /", &["LocalHost:8080"], 200),
        ("GET /", &["127.0.0.1:1"], 200),
        ("GET /", &["[::1]"], 200),
        ("GET /", &["[::1]:8080"], 200),
        ("GET http://localhost/", &["localhost"], 200),
        ("GET /", &["localhost."], 421),
        ("GET /", &["evil.example"], 421),
        ("GET /", &["localhost.evil.example"], 421),
        ("GET /", &["localhost@evil.example"], 421),
        ("GET /", &["127.0.0.1@evil.example:80"], 421),
        ("GET /", &["127.1"], 421),
        ("GET /", &["0.0.0.0"], 421),
        ("GET /", &["2130706433"], 421),
        ("GET /", &["[::ffff:127.0.0.1]"], 421),
        ("GET /", &["::1"], 421),
        ("GET /", &["[::1"], 421),
        ("GET /", &["[::2]"], 421),
        ("GET /", &[""], 421),
        ("GET /", &[], 421),
        ("GET /", &["localhost", "localhost"], 421),
        ("GET /", &["localhost", "evil.example"], 421),
        ("GET http://evil.example/", &["localhost"], 421),
        ("GET http://localhost/", &["evil.example"], 421),
        ("GET /healthz", &["evil.example"], 200),
    ] {
        let hosts: Vec<_> = hosts.iter().map(|host| format!("Host: {host}")).collect();
        let answer = ask_from(&daemon, source(200), line, &hosts, "");
        assert_eq!(answer.status, status, "{line} {hosts:?}: {}", answer.body);
    }
    daemon.kill();
}

#[test]
fn wrong_tokens_are_counted_by_whom_the_proxy_saw_and_the_right_one_still_opens() {
    let directory = GUARDS[4].directory();
    let daemon = Daemon::run(directory.path(), &[]);
    let wrong = |source: Ipv4Addr, client: &str| {
        let headers =
            ["Host: x".to_owned(), "Authorization: Bearer nothing".to_owned(), format!("X-Forwarded-For: {client}")];
        ask_from(&daemon, source, "GET /", &headers, "").status
    };
    let proxy = source(8);
    for _ in 0..60 {
        assert_eq!(wrong(proxy, "192.0.2.1, 198.51.100.7"), 401);
    }
    let ends: Vec<_> = (0..10).map(|_| wrong(proxy, "192.0.2.2, 198.51.100.7")).collect();
    assert!(ends.contains(&429), "what somebody says of themselves makes nobody another: {ends:?}");
    assert_eq!(wrong(proxy, "198.51.100.8"), 401, "another");
    let stranger = source(9);
    for n in 0..60 {
        assert_eq!(wrong(stranger, &format!("192.0.2.{n}")), 401);
    }
    let ends: Vec<_> = (0..10).map(|n| wrong(stranger, &format!("192.0.3.{n}"))).collect();
    assert!(ends.contains(&429), "nobody but the proxy is believed: {ends:?}");
    let headers = ["Host: x".to_owned(), format!("Authorization: Bearer {READ}")];
    assert_eq!(ask_from(&daemon, stranger, "GET /", &headers, "").status, 200);
    daemon.kill();
}

/// What comes within a time that is far beyond what it takes.
fn soon<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let clock = SystemClock::start();
    let until = clock.monotonic() + ANSWER_MAX;
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(not_yet) => assert!(clock.monotonic() < until, "{not_yet}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_was_changed_is_put_down_with_who_did_it_and_stays() {
    let (target, receiver) = (Target::start(), Receiver::start());
    let root = format!(
        "web:\n  listen: \"0.0.0.0:0\"\n  tokens: {{ read: \"sha256:{}\", operate: \"sha256:{}\" }}\n  \
         proxy: {{ from: [127.8.0.0/16], user: X-Forwarded-User, operate: [ann] }}\n  url: https://rounds.example.com\n\
         publish: {{ prometheus: {{}} }}\nchannels: {{ pager: {{ webhook: \"{}\" }} }}\nroutes: [{{ to: [pager] }}]\n",
        TokenDigest::of(READ),
        TokenDigest::of(OPERATE),
        receiver.url
    );
    let probes = format!("api: {{ http: \"{}\" }}\nweb: {{ http: \"{}\" }}\n", target.url, target.url);
    let directory = configuration(&[
        ("roundsman.yaml", &root),
        ("probes/p.yaml", &probes),
        ("schedules/s.yaml", "often: { every: 1s, probes: [api, web], alert: { after: 1, severity: P1 } }\n"),
    ]);
    let daemon = Daemon::run(directory.path(), &[]);
    let change = |line: &str, headers: &[&str], body: &str, from: Ipv4Addr| {
        let headers = headers.iter().map(ToString::to_string);
        let own = [format!("Host: {}", host(&daemon)), "Content-Type: application/json".to_owned()];
        ask_from(&daemon, from, line, &own.into_iter().chain(headers).collect::<Vec<_>>(), body)
    };
    let bearer = format!("Authorization: Bearer {OPERATE}");
    let operator = source(9);
    let silence = r#"{"matchers":{"probes":["api","w*"]},"by":"bob","reason":"a new disk","for":"1h"}"#;
    let begun = change("POST /api/v1/silences", &[&bearer], silence, operator);
    assert_eq!(begun.status, 200, "{}", begun.body);
    daemon.wait_for("nobody is told of any probe now: bob wants quiet about api, w*: a new disk");
    let id =
        serde_json::from_str::<Value>(&begun.body).expect("JSON")["silence"]["id"].as_str().expect("an id").to_owned();
    let proxy = source(8);
    let own = format!("Origin: http://{}", host(&daemon));
    let ended = change(
        &format!("DELETE /api/v1/silences/{id}"),
        &["X-Forwarded-User: ann", &own, "X-Forwarded-For: 192.0.2.7"],
        "",
        proxy,
    );
    assert_eq!(ended.status, 200, "{}", ended.body);
    for refused in [READ, "0123456789abcdef0123456789abcdef"] {
        let refused = format!("Authorization: Bearer {refused}");
        assert!([401, 403].contains(&change("POST /api/v1/silences", &[&refused], silence, operator).status));
    }
    daemon.wait_for("a change was refused");
    let logged = daemon.said();
    let logged = logged.lines().find(|line| line.contains("a change was refused")).expect("a line");
    assert!(logged.contains(&operator.to_string()) && logged.contains("/api/v1/silences"), "{logged}");
    target.set(false);
    let taken = receiver.wait_until(|taken| !taken.is_empty());
    let incident = taken[0].body["incident"].as_str().expect("an id").to_owned();
    let note = r#"{"by":"mallory","text":"rolled back"}"#;
    let noted =
        change(&format!("POST /api/v1/incidents/{incident}/notes"), &["X-Forwarded-User: ann", &own], note, proxy);
    assert_eq!(noted.status, 200, "{}", noted.body);
    assert_eq!(change("POST /api/v1/deliveries/redrive", &[&bearer], "{}", operator).status, 200);

    let read = |daemon: &Daemon, query: &str| {
        let headers = ["Host: x".to_owned(), bearer.clone()];
        let answer = ask_from(daemon, source(9), &format!("GET /api/v1/audit{query}"), &headers, "");
        (answer.status, serde_json::from_str::<Value>(&answer.body).expect("JSON"))
    };
    let all = soon(|| {
        let (_, all) = read(&daemon, "");
        if all["audit"].as_array().expect("records").len() == 4 { Ok(all) } else { Err(all.to_string()) }
    });
    let said = |record: &Value| {
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        let (author, after) = (&record["author"], text(&record["after"]));
        let until = after.find(" until ").map_or(after.clone(), |at| after[..at].to_owned());
        format!("{} {} by {}, {until}", text(&record["deed"]), author["who"], author["by"])
    };
    let records: Vec<_> = all["audit"].as_array().expect("records").iter().map(said).collect();
    assert_eq!(
        records,
        [
            "redrive \"token\" by null, 0 due",
            "note {\"user\":\"ann\"} by \"ann\", rolled back",
            "end silence {\"user\":\"ann\"} by \"ann\", over",
            "silence \"token\" by \"bob\", api, w*",
        ]
    );
    assert_eq!(all["audit"][3]["author"]["from"], operator.to_string());
    assert_eq!(all["audit"][2]["author"]["from"], "192.0.2.7", "whom the proxy saw");
    assert!(all["audit"][2]["before"].as_str().expect("text").starts_with("api, w* until "), "{all}");
    assert_eq!(all["audit"][1]["of"], Value::from(incident));
    let (_, first) = read(&daemon, "?limit=2");
    let (_, page) = read(&daemon, &format!("?limit=1&cursor={}", first["next"].as_str().expect("a cursor")));
    assert_eq!(page["audit"], Value::from(vec![all["audit"][2].clone()]));
    assert_eq!((read(&daemon, "?limit=501").0, read(&daemon, "?after=1").0), (400, 400));
    let counted = |daemon: &Daemon, outcome: &str| {
        let headers = ["Host: x".to_owned(), bearer.clone()];
        let page = ask_from(daemon, source(9), "GET /metrics", &headers, "").body;
        let line = format!("roundsman_changes_total{{outcome=\"{outcome}\"}} ");
        page.lines().find_map(|text| text.strip_prefix(&line).map(str::to_owned)).unwrap_or_default()
    };
    soon(|| {
        let counts = (counted(&daemon, "done"), counted(&daemon, "refused"));
        if counts == ("4.0".to_owned(), "2.0".to_owned()) { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    daemon.kill();
    let daemon = Daemon::run(directory.path(), &[]);
    assert_eq!(read(&daemon, "").1, all, "after a restart too");
    daemon.kill();
}

#[test]
fn two_hundred_slow_peers_disturb_neither_readers_nor_probing() {
    let target = Target::start();
    let probe = |n| format!("api-{n}: {{ http: \"{}\" }}\n", target.url);
    let probes = (0..20).map(probe).collect::<Vec<_>>().concat();
    let directory = configuration(&[
        ("roundsman.yaml", "web: { listen: \"127.0.0.1:0\" }\npublish: { prometheus: {} }\n"),
        ("probes/p.yaml", &probes),
        ("schedules/s.yaml", "often: { every: 1s, probes: [\"*\"] }\n"),
    ]);
    let daemon = Daemon::run(directory.path(), &[]);
    let slow = |n: u32| {
        let mut stream = connect(&daemon, Ipv4Addr::from_bits(u32::from_be_bytes([127, 20, 0, 0]) + n % 7));
        stream.set_nonblocking(true).expect("a socket that does not block");
        let _ = stream.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
        stream
    };
    let mut peers: Vec<TcpStream> = (0..200).map(slow).collect();
    let clock = SystemClock::start();
    let (began, mut longest) = (clock.monotonic(), Duration::ZERO);
    for round in 0..60 {
        for (n, peer) in (0..).zip(&mut peers) {
            // Whoever was cut comes again.
            if peer.write(b"x").is_err() || matches!(peer.read(&mut [0; 64]), Ok(0)) {
                *peer = slow(n);
            }
        }
        let asked = clock.monotonic();
        let path = ["/", "/healthz", "/metrics"][round % 3];
        assert_eq!(ask(&daemon, &format!("GET {path}"), &["Host: localhost"], "").status, 200, "{path}");
        longest = longest.max(clock.monotonic().since(asked));
        std::thread::sleep(Duration::from_millis(100));
    }
    let lasted = clock.monotonic().since(began).as_secs();
    assert!(longest < Duration::from_secs(5), "a reader waited {longest:?}");
    let page = ask(&daemon, "GET /metrics", &["Host: localhost"], "").body;
    let number = |begin: &str| -> f64 {
        let of = page.lines().filter(|line| line.starts_with(begin));
        of.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let (runs, prompt) =
        (number("roundsman_run_lateness_seconds_count"), number("roundsman_run_lateness_seconds_bucket{le=\"1.0\""));
    assert!(runs >= (lasted as f64 - 3.0) * 20.0 * 0.9, "{runs} runs in {lasted} s");
    assert!(prompt >= runs * 0.99, "{prompt} of {runs} runs were less than a second late:\n{page}");
    let failed = number("probe_success{probe=\"api-0\"");
    assert!((failed - 1.0).abs() < f64::EPSILON, "{page}");
    drop(peers);
    daemon.kill();
}

#[test]
fn a_token_is_made_that_opens_by_its_hash_and_one_that_can_be_guessed_is_told_of() {
    let made = output(&["token", "--format", "json"], &[]);
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let (token, hash) = (made["token"].as_str().expect("a token"), made["hash"].as_str().expect("a hash"));
    let again = output(&["token"], &[]);
    let again = String::from_utf8(again.stdout).expect("text");
    assert!(again.starts_with("token  ") && !again.contains(token), "{again}");
    let directory = configuration(&[
        (
            "roundsman.yaml",
            &format!(
                "web: {{ listen: \"127.0.0.1:0\", tokens: {{ read: \"{hash}\", operate: \"${{secret:operate}}\" }} }}\nsecrets: {{ operate: {{ file: operate }} }}\n"
            ),
        ),
        ("operate", "correct-horse"),
        ("probes/p.yaml", "here: { tcp: \"127.0.0.1:9\" }\n"),
        ("schedules/s.yaml", "often: { every: 1h, probes: [here] }\n"),
    ]);
    let daemon = Daemon::run(directory.path(), &[]);
    daemon.wait_for("the secret `operate` is a token that can be guessed: `roundsman token` makes one that cannot");
    assert!(!daemon.said().contains("correct-horse"));
    let by = |token: &str| ask(&daemon, "GET /", &["Host: x", &format!("Authorization: Bearer {token}")], "").status;
    assert_eq!((by(token), by("correct-horse"), by(hash), by(&hash[7..])), (200, 200, 401, 401));
    daemon.kill();
}
