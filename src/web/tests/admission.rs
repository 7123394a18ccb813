//! Who is let in behind a proxy, and as whom; what is counted of those who are not; and that what somebody changes is put down
//! also where they have gone.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Method, Request, Uri};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::answers::{Served, bare, serving, status};
use super::desk::{Held, manned};
use super::fixture::{Fixed, INCIDENT, NOW, Reader, broken, incident, plan, story};
use super::lists::worst;
use crate::domain::access::Proxy;
use crate::domain::audit::{Deed, Who};
use crate::engine::plan::{Plan, Tokens, WebPlan};
use crate::engine::reloads::Reloaded;
use crate::engine::testing::TestClock;
use crate::ports::Token;
use crate::settings::Problems;
use crate::web::Web;
use crate::web::access::{Asked, Caller, Refusal, admit};
use crate::web::routes;
use crate::web::table::{Entry, Scope};

const BEARER: (&str, &str) = ("authorization", "Bearer correct-horse");

/// A plan behind a proxy at 10.0.0.0/24 and on loopback, whose operate token is `correct-horse`.
fn proxied(user: Option<&str>) -> Plan {
    let mut plan = plan();
    plan.web.url = Some("https://rounds.example".to_owned());
    plan.web.tokens = Tokens { operate: Some(Token::Secret("page".parse().unwrap())), read: None };
    plan.secrets = Arc::new(Fixed(Some("correct-horse")));
    let from = ["10.0.0.0/24", "127.0.0.1"].map(|network| network.parse().unwrap()).into();
    plan.web.proxy = Some(Proxy { from, user: user.map(str::to_owned), operate: vec!["ann".to_owned()] });
    plan
}

const READS: (Method, bool) = (Method::GET, false);
const CHANGES: (Method, bool) = (Method::POST, false);
const SENDS_A_FORM: (Method, bool) = (Method::POST, true);

/// What comes of it where somebody asks so, who stands where the proxy does.
async fn admitted(plan: &Plan, (method, is_form): (Method, bool), headers: &[(&str, &str)]) -> Result<Caller, Refusal> {
    let local = SocketAddr::from(([0, 0, 0, 0], 8080));
    let scope = if method == Method::GET { Scope::Read } else { Scope::Operate };
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
    let (entry, uri) = (Entry { scope, is_form }, Uri::from_static("/"));
    let peer = Some([10, 0, 0, 9].into());
    admit(plan, local, &Asked { entry, method: &method, uri: &uri, headers: &headers, peer }).await
}

#[tokio::test]
async fn who_is_named_by_a_proxy_asks_under_a_name_of_ours() {
    let plan = proxied(Some("x-forwarded-user"));
    for (host, is_ours) in [
        ("rounds.example", true),
        ("rounds.example:8443", true),
        ("localhost:8080", true),
        ("10.0.0.5:8080", true),
        ("[2001:db8::5]:8080", true),
        ("evil.example:8080", false),
        ("rounds.example.evil.example", false),
        ("roundsman", false),
        ("127.0.0.1.evil.example", false),
        ("", false),
    ] {
        // A page that was got by such a name is of one origin with it, and may say in headers what it likes.
        let said = [("host", host), ("x-forwarded-user", "ann"), ("sec-fetch-site", "same-origin")];
        for asks in [READS, CHANGES, SENDS_A_FORM] {
            let came = admitted(&plan, asks.clone(), &said).await;
            assert!(if is_ours { came.is_ok() } else { came == Err(Refusal::Host) }, "{asks:?} {host}: {came:?}");
        }
    }
    let of_one_origin = [("host", "evil.example"), ("x-forwarded-user", "ann"), ("origin", "http://evil.example")];
    assert_eq!(admitted(&plan, SENDS_A_FORM, &of_one_origin).await, Err(Refusal::Host));
    let by_token = [("host", "evil.example"), ("x-forwarded-user", "ann"), BEARER];
    assert!(admitted(&plan, CHANGES, &by_token).await.is_ok(), "which no browser sends by itself");
}

#[tokio::test]
async fn a_proxy_that_names_nobody_is_believed_in_nothing_but_from_where_somebody_asks() {
    let plan = proxied(None);
    for header in ["x-forwarded-user", "x-forwarded-for"] {
        let said = [("host", "rounds.example"), (header, "ann"), ("sec-fetch-site", "same-origin")];
        for (asks, refused) in [(READS, Refusal::Token), (CHANGES, Refusal::Bearer)] {
            assert_eq!(admitted(&plan, asks, &said).await, Err(refused), "{header}");
        }
    }
    let said = [("host", "rounds.example"), ("x-forwarded-for", "192.0.2.7"), BEARER];
    let caller = admitted(&plan, CHANGES, &said).await.unwrap();
    assert_eq!((caller.address, caller.user), (Some([192, 0, 2, 7].into()), None));
}

#[tokio::test]
async fn who_is_named_and_let_in_by_a_token_is_known_by_the_token() {
    let plan = proxied(Some("x-forwarded-user"));
    let known = async |user: &str, more: (&str, &str)| {
        let said = [("host", "rounds.example"), ("x-forwarded-user", user), more];
        let author = admitted(&plan, CHANGES, &said).await.unwrap().author(Some("mallory".to_owned()));
        (author.who, author.by)
    };
    assert_eq!(known("bob", BEARER).await, (Who::Token, Some("bob".to_owned())));
    let ours = ("origin", "https://rounds.example");
    assert_eq!(known("ann", ours).await, (Who::User("ann".into()), Some("ann".to_owned())));
}

#[tokio::test]
async fn another_token_is_not_called_a_missing_one() {
    let plan = proxied(None);
    let asks = async |asks, more: &[(&str, &str)]| {
        let said: Vec<_> = [("host", "rounds.example")].iter().chain(more).copied().collect();
        admitted(&plan, asks, &said).await.unwrap_err()
    };
    let (bearer, password) = (("authorization", "Bearer wrong"), ("authorization", "Basic eDp3cm9uZw=="));
    assert_eq!(asks(CHANGES, &[bearer]).await, Refusal::OtherBearer);
    assert_eq!(asks(READS, &[bearer]).await, Refusal::OtherToken);
    assert_eq!(asks(READS, &[password]).await, Refusal::OtherToken);
    assert_eq!(asks(CHANGES, &[password]).await, Refusal::Bearer, "a password changes nothing, right or wrong");
    assert_eq!(asks(READS, &[]).await, Refusal::Token);
    let none = Plan { web: WebPlan { tokens: Tokens::default(), ..plan.web.clone() }, ..plan };
    let said = [("host", "rounds.example"), bearer];
    assert_eq!(admitted(&none, READS, &said).await, Err(Refusal::Token), "there is no other that would do");
}

#[tokio::test]
async fn who_reads_is_not_sent_for_a_token_that_is_nowhere() {
    let mut plan = proxied(None);
    plan.web.proxy = None;
    plan.web.tokens = Tokens { read: plan.web.tokens.operate.take(), operate: None };
    let said = [("host", "rounds.example"), BEARER];
    assert!(admitted(&plan, READS, &said).await.is_ok());
    assert_eq!(admitted(&plan, CHANGES, &said).await, Err(Refusal::Tokenless));
}

#[tokio::test]
async fn a_wrong_token_is_counted_whatever_else_is_wrong() {
    let bearer = "Authorization: Bearer nothing";
    let free = |with: fn(&mut Plan)| {
        let mut plan = plan();
        with(&mut plan);
        plan
    };
    let operated = free(|plan| {
        plan.web.tokens.operate = Some(Token::Secret("page".parse().unwrap()));
        plan.secrets = Arc::new(Fixed(Some("correct-horse")));
    });
    let unreadable = free(|plan| plan.web.tokens = Tokens::one(Token::Secret("page".parse().unwrap())));
    for (plan, line, headers, wrong, none) in [
        (
            proxied(Some("x-forwarded-user")),
            "POST /api/v1/reload",
            ["Host: localhost", "X-Forwarded-User: bob"],
            403,
            403,
        ),
        (proxied(Some("x-forwarded-user")), "GET /", ["Host: evil.example", "X-Forwarded-User: bob"], 421, 421),
        (operated, "GET /", ["Host: evil.example", "X-None: 1"], 421, 421),
        (free(|_| {}), "POST /api/v1/reload", ["Host: localhost", "X-None: 1"], 403, 403),
        (unreadable, "GET /", ["Host: localhost", "X-None: 1"], 503, 401),
    ] {
        let served = serving(plan, |_| {}).await;
        let mut came = Vec::new();
        for _ in 0..80 {
            came.push(status(&served.ask(line, &[headers[0], headers[1], bearer]).await));
        }
        assert_eq!(came[..60], [wrong; 60], "{line} {headers:?}");
        assert!(came.contains(&429), "{line} {headers:?}: {came:?}");
        assert_eq!(status(&served.ask(line, &headers).await), none, "without a token nothing is guessed");
    }
}

async fn shown_to(served: &Served, headers: &[&str], form: &str) -> String {
    let page = served.ask(&format!("GET /incidents/{INCIDENT}/{form}"), headers).await;
    assert_eq!(status(&page), 200, "{page}");
    page
}

#[tokio::test]
async fn whom_the_proxy_names_is_not_asked_for_a_name() {
    let reader = Reader { overview: broken(), story: Some(story(incident())) };
    let served = serving(proxied(Some("x-forwarded-user")), |web| web.reader = Arc::new(reader)).await;
    for form in ["acknowledge", "note", "silence"] {
        let named = shown_to(&served, &["Host: localhost", "X-Forwarded-User: ann"], form).await;
        assert!(named.contains("By <b>ann</b>.") && !named.contains(r#"name="by""#), "{form}: {named}");
        let other = shown_to(&served, &["Host: localhost", "Authorization: Bearer correct-horse"], form).await;
        assert!(other.contains(r#"name="by""#) && !other.contains("By <b>"), "{form}: {other}");
    }
}

#[tokio::test]
async fn what_somebody_changes_is_put_down_though_they_have_gone() {
    let mut manned = manned(Held::default(), worst());
    let desk = Arc::clone(&manned.desk);
    let plan = watch::channel(Arc::new(proxied(None))).1;
    let web = Web { desk, ..bare(plan, watch::channel(true).1, TestClock::starting(NOW)) };
    let router = TowerToHyperService::new(routes::router(web, "127.0.0.1:80".parse().unwrap(), TaskTracker::new()));
    let request = Request::post("/api/v1/reload").header("authorization", BEARER.1);
    let request = request.header("content-type", "application/json").body(Body::from("{}")).unwrap();
    let mut answering = Box::pin(router.call(request));
    let reloading = tokio::select! {
        _ = &mut answering => panic!("nothing was reloaded yet"),
        reloading = manned.reloads.recv() => reloading.unwrap(),
    };
    // As when the peer has closed its connection.
    drop(answering);
    let taken = Reloaded::Taken { changes: vec!["probe home changed".to_owned()], warnings: Problems::new() };
    assert!(reloading.send(taken).is_ok(), "somebody waits for it");
    let record = loop {
        if let Some(record) = manned.audits.lock().unwrap().pop() {
            break record;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((record.deed, record.after.as_str()), (Deed::Reload, "probe home changed"));
}
