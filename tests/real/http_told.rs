//! What is told of exchanges: facts of each hop, addresses, and the record with its command.

use roundsman::domain::outcome::FailureKind;

use super::probing::{Run, probe, quoted};
use super::servers::certificates::Authority;
use super::servers::hostile::{Hostile, Move};
use super::servers::nginx::{Nginx, Site};

#[tokio::test]
async fn each_hop_has_its_url_its_status_and_its_times() {
    let nginx = Nginx::start(
        &[Site {
            identity: None,
            directives: "location = /a { return 301 /b; } location = /b { return 302 /c; }
          location = /c { return 200 here; }",
        }],
        &[],
    );
    let url = format!("http://localhost:{}", nginx.port(0));
    let seen = probe("http", &format!("url: {url}/a")).await.unwrap();
    let hops = seen.facts["hops"].as_array().unwrap();
    let told: Vec<_> = hops.iter().map(|hop| (hop["url"].as_str().unwrap(), hop["status"].as_u64().unwrap())).collect();
    assert_eq!(told, [(&*format!("{url}/a"), 301), (&*format!("{url}/b"), 302), (&*format!("{url}/c"), 200)]);
    assert!(hops[0]["dns_ms"].is_number() && hops[0]["connect_ms"].is_number(), "{hops:?}");
    assert!(hops[1]["dns_ms"].is_null() && hops[1]["connect_ms"].is_null(), "the connection was there: {hops:?}");
    let sum = |name: &str| hops.iter().filter_map(|hop| hop[name].as_f64()).sum::<f64>();
    assert!((sum("first_byte_ms") - seen.phases.first_byte_ms.unwrap()).abs() < 1e-6, "{hops:?}");
    assert!(sum("total_ms") <= seen.phases.total_ms, "{hops:?}");
    let one = probe("http", &format!("{{ url: \"{url}/a\", max_redirects: 1 }}")).await.unwrap_err();
    assert_eq!(one.to_string(), format!("redirect.limit: more than 1 redirect, the last to {url}/c"));
    assert!(probe("http", &format!("{{ url: \"{url}/a\", max_redirects: 2 }}")).await.is_ok());
}

#[tokio::test]
async fn a_name_can_be_pinned_to_a_server() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["shop.example"], |_| {});
    let directives = "location / { return 200 $http_host; } location = /away { return 302 http://localhost:1/; }";
    let nginx = Nginx::start(&[Site { identity: Some(&identity), directives }], &[]);
    let (port, ca) = (nginx.port(0), quoted(&authority.pem));
    for resolve in ["127.0.0.1", "{ shop.example: 127.0.0.1, other.example: 192.0.2.1 }"] {
        let yaml = format!("{{ url: \"https://SHOP.example:{port}/\", ca: {ca}, resolve: {resolve} }}");
        let seen = probe("http", &yaml).await.unwrap();
        assert_eq!(seen.body.unwrap(), format!("shop.example:{port}"));
        assert_eq!((&seen.facts["remote_ip"], &seen.facts["ip_family"]), (&"127.0.0.1".into(), &"ipv4".into()));
        assert_eq!(seen.phases.dns_ms, None, "nothing was looked up");
    }
    let away = format!("{{ url: \"https://shop.example:{port}/away\", ca: {ca}, resolve: 127.0.0.1 }}");
    let failure = probe("http", &away).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::ConnectRefused, "another host is looked up: {failure}");
    let blocked = probe("http", "{ url: \"http://shop.example/\", resolve: 169.254.169.254 }").await.unwrap_err();
    assert_eq!(blocked.kind, FailureKind::ConnectBlocked);
}

#[tokio::test]
async fn steps_that_go_elsewhere_do_not_share_a_connection() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let server =
        Hostile::playing(vec![Move::ReadHead, Move::Send(ok.into()), Move::ReadHead, Move::Send(ok.into())]).await;
    let url = format!("http://localhost:{}/", server.address.port());
    let run = Run::new();
    run.step("http", &format!("{{ url: \"{url}\", family: ipv4 }}")).await.unwrap();
    let other = run.step("http", &format!("{{ url: \"{url}\", resolve: 127.0.0.1 }}")).await.unwrap();
    assert!(other.phases.connect_ms.is_some());
}

#[tokio::test]
async fn one_family_can_be_asked_for() {
    let server = Hostile::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let url = format!("http://localhost:{}/", server.address.port());
    let seen = probe("http", &format!("{{ url: \"{url}\", family: ipv4 }}")).await.unwrap();
    assert_eq!(seen.facts["ip_family"], "ipv4");
    let failure = probe("http", &format!("{{ url: \"{url}\", family: ipv6 }}")).await.unwrap_err();
    // Some machines know `localhost` by one address only.
    let nobody_there = failure.kind == FailureKind::ConnectRefused && failure.message.contains("[::1]");
    assert!(nobody_there || failure.message == "localhost has no IPv6 address", "{failure}");
}

#[tokio::test]
async fn the_record_has_both_sides_and_a_command_that_repeats_it() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["localhost"], |_| {});
    let directives = "location / { add_header X-A \"it's\"; return 201 made; }";
    let nginx = Nginx::start(&[Site { identity: Some(&identity), directives }], &[]);
    let port = nginx.port(0);
    let yaml = format!(
        "{{ url: \"https://localhost:{port}/a?b=c\", ca: {}, method: POST, json: {{ name: \"it's\" }}, bearer: \"${{secret:key}}\" }}",
        quoted(&authority.pem)
    );
    let (seen, exchanges) = Run::new().recorded("http", &yaml).await;
    seen.unwrap();
    let [exchange] = &exchanges[..] else { panic!("{exchanges:?}") };
    let told = format!(
        "{}\n\n{}\n\n{}\n\n{}",
        exchange.sent,
        exchange.received,
        exchange.certificates.join("\n"),
        exchange.command.as_deref().unwrap()
    );
    let told = told.replace(&port.to_string(), "PORT");
    let told = regex::Regex::new("date: .*").unwrap().replace(&told, "date: DATE");
    let told = regex::Regex::new("nginx/[0-9.]+").unwrap().replace(&told, "nginx/VERSION");
    insta::assert_snapshot!(told);
    assert_eq!(exchange.remote.as_deref(), Some(&*format!("127.0.0.1:{port}")));
    assert!(exchange.phases.tls_ms.is_some() && exchange.phases.total_ms > 0.0, "{:?}", exchange.phases);
}

#[tokio::test]
async fn what_broke_off_is_recorded_as_far_as_it_came() {
    let part = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec();
    let server = Hostile::playing(vec![Move::ReadHead, Move::Send(part)]).await;
    let (seen, exchanges) = Run::new().recorded("http", &format!("url: {}", server.url())).await;
    assert_eq!(seen.unwrap_err().kind, FailureKind::ProtocolClosed);
    assert_eq!(exchanges[0].received, "HTTP/1.1 200 OK\ncontent-length: 9\n\nabc");
    let authority = Authority::new("Test CA");
    let old = authority.issue(&["localhost"], |params| params.not_after = rcgen::date_time_ymd(2021, 1, 1));
    let nginx = Nginx::start(&[Site { identity: Some(&old), directives: "" }], &[]);
    let yaml = format!("{{ url: \"https://localhost:{}/\", ca: {} }}", nginx.port(0), quoted(&authority.pem));
    let (seen, exchanges) = Run::new().recorded("http", &yaml).await;
    let failure = seen.unwrap_err();
    assert_eq!(failure.certificate_expires.unwrap().to_rfc3339(), "2021-01-01T00:00:00+00:00");
    assert!(exchanges[0].certificates[0].contains("to 2021-01-01T00:00:00.000Z"), "{exchanges:?}");
    assert_eq!((exchanges[0].received.as_str(), exchanges.len()), ("", 1));
    let (_, exchanges) = Run::new().recorded("http", "url: http://127.0.0.1:9/").await;
    assert_eq!(exchanges[0].remote, None);
    assert_eq!(exchanges[0].sent, "", "nobody was there to send it to");
    assert!(exchanges[0].command.as_deref().unwrap().ends_with("http://127.0.0.1:9/"), "{exchanges:?}");
}
