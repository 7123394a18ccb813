//! The settings of kind `http`: every mistake at its place, in words.

use super::KIND;
use crate::ports::BuiltProber;
use crate::probers::testing;

fn build(yaml: &str, cleanup: bool) -> Result<BuiltProber, String> {
    testing::build(&KIND, yaml, cleanup)
}

fn told(yaml: &str) -> String {
    build(yaml, false).err().unwrap_or_else(|| panic!("{yaml} was accepted"))
}

#[test]
fn mistakes_have_a_place_and_a_cure() {
    let url = "url: https://a.example";
    for (settings, at, message, help) in [
        ("{ url: a.example }", "a.example", "`a.example` has no scheme", "write `https://a.example`"),
        (
            "{ url: \"https://u:p@a.example\" }",
            "\"https://u",
            "a URL does not hold a user and a password",
            "remove them and write `basic: { user: …, password: \"${secret:…}\" }`",
        ),
        (
            "{ url: \"{{next}}\" }",
            "\"{{next",
            "a URL cannot begin with what is filled in later",
            "write scheme and host, like `https://shop.example.com/{{path}}`: a value is encoded",
        ),
        (
            "{ url: \"${secret:hook}\" }",
            "\"${secret",
            "a URL cannot begin with what is filled in later",
            "write scheme and host",
        ),
        (&format!("{{ {url}, method: get }}"), "get", "`get` is not a method", "write `GET`"),
        (&format!("{{ {url}, method: CONNECT }}"), "CONNECT", "`CONNECT` is not a method", "it is one of `GET`"),
        (
            &format!("{{ {url}, headers: {{ \"a b\": c }} }}"),
            "\"a b\"",
            "`a b` is not the name of a header",
            "a name has letters, digits and `-`, like `X-Request-Id`",
        ),
        (
            &format!("{{ {url}, headers: {{ A: \"b\\r\\nc\" }} }}"),
            "\"b\\r",
            "a header cannot hold a line break or another control character",
            "write it on one line",
        ),
        (
            &format!("{{ {url}, headers: {{ Content-Length: \"3\" }} }}"),
            "Content-Length",
            "`Content-Length` follows from the request and cannot be set",
            "remove it",
        ),
        (
            &format!("{{ {url}, headers: {{ a: b, A: c }} }}"),
            "A: c",
            "the header `a` is given twice",
            "upper and lower case make no difference",
        ),
        (&format!("{{ {url}, body: x, json: {{}} }}"), "{}", "a request has one body", "the other one"),
        (
            &format!("{{ {url}, bearer: x, basic: {{ user: a, password: b }} }}"),
            "{ user",
            "a request is from one: `bearer` or `basic`, not both",
            "the other one",
        ),
        (
            &format!("{{ {url}, basic: {{ user: \"a:b\", password: c }} }}"),
            "{ user",
            "a user cannot hold a colon",
            "write it under `password`",
        ),
        (
            &format!("{{ {url}, bearer: x, headers: {{ authorization: y }} }}"),
            "x,",
            "`headers` has an `Authorization` already",
            "remove one of them",
        ),
        (
            &format!("{{ {url}, max_body: 0 }}"),
            "0",
            "`max_body` is from 1 to 10485760 bytes (10 MiB), not 0",
            "max_body",
        ),
        (
            &format!("{{ {url}, form: {{ a: b }}, file: c }}"),
            "c }",
            "a request has one body: `form` or `file`, not both",
            "the other one",
        ),
        (
            &format!("{{ {url}, basic: {{ user: a, password: b }}, sigv4: {{ service: s3 }} }}"),
            "{ service",
            "a request is from one: `basic` or `sigv4`, not both",
            "the other one",
        ),
        (
            &format!("{{ {url}, http_version: \"1.0\" }}"),
            "\"1.0",
            "`1.0` is not a version of HTTP that is spoken",
            "write `\"1.1\"` or `\"2\"`",
        ),
        (
            &format!("{{ {url}, max_redirects: 0 }}"),
            "0 }",
            "`max_redirects` is from 1 to 10, not 0",
            "write `follow_redirects: false`",
        ),
        (&format!("{{ {url}, resolve: b.example }}"), "b.ex", "`b.example` is not an address", "without a port"),
        (&format!("{{ {url}, ca: nothing }}"), "nothing", "`ca` cannot be used", "`ca` takes PEM text"),
        (&format!("{{ {url}, hedders: {{}} }}"), "hedders", "unknown key `hedders`", "did you mean `headers`?"),
        ("{ method: GET }", "{ method", "`url` is missing", "url"),
    ] {
        let column = settings.rfind(at).unwrap() + 1;
        let told = told(settings);
        let first = told.lines().next().unwrap();
        assert!(first.starts_with(&format!("probes/a.yaml:1:{column}: error: {message}")), "{settings}: {told}");
        assert!(told.contains(help), "{settings}: {told}");
        assert_eq!(told.matches("error: ").count(), 1, "{settings}: {told}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let told =
        told("{ url: \"ftp://a.example\", method: GETT, headers: { \"a b\": c }, max_body: 0, json: { a: .inf } }");
    assert_eq!(told.matches("error: ").count(), 5, "{told}");
}

#[test]
fn a_good_answer_is_implied_and_in_a_cleanup_it_may_be_gone_already() {
    let implied = |yaml: &str, cleanup: bool| build(yaml, cleanup).unwrap().implied[0].expect;
    let delete = "{ url: https://a.example, method: DELETE }";
    assert_eq!(implied(delete, false), "status >= 200 && status < 300");
    assert_eq!(implied(delete, true), "(status >= 200 && status < 300) || status == 404");
    assert_eq!(implied("{ url: https://a.example }", true), "status >= 200 && status < 300");
}

#[test]
fn what_is_implied_and_documented_is_in_scope() {
    let names = (KIND.names)();
    for yaml in ["{ url: https://a.example }", "{ url: https://a.example, method: DELETE }"] {
        for implied in build(yaml, true).unwrap().implied {
            crate::domain::expression::Expression::compile(implied.expect, &names).unwrap();
        }
    }
    for name in [
        "status",
        "headers",
        "body",
        "json",
        "total_ms",
        "dns_ms",
        "tls_ms",
        "cert",
        "remote_ip",
        "redirects",
        "hops",
        "wire_bytes",
        "ip_family",
    ] {
        assert!(names.get(name).is_some(), "{name}");
    }
}

#[test]
fn a_client_key_that_does_not_belong_to_its_certificate_is_told_without_showing_it() {
    let pair = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (a, b) = (pair("a.example"), pair("b.example"));
    let quoted = |pem: String| serde_json::Value::from(pem).to_string();
    let yaml = |key: String| {
        let cert = quoted(a.cert.pem());
        format!("{{ url: https://a.example, client_cert: {{ cert: {cert}, key: {} }} }}", quoted(key))
    };
    assert!(build(&yaml(a.signing_key.serialize_pem()), false).is_ok());
    let told = told(&yaml(b.signing_key.serialize_pem()));
    assert!(told.contains("the client certificate is of no use: the key does not belong to the certificate"), "{told}");
    assert!(!told.contains("PRIVATE KEY"), "{told}");
}

#[test]
fn a_signed_request_says_what_it_asks_of_aws() {
    for (settings, calls) in [
        ("url: https://a.example/", &[][..]),
        (
            "url: \"https://ab12.execute-api.us-east-1.amazonaws.com/prod/items/{{item}}\", sigv4: { service: execute-api }",
            &["execute-api:Invoke arn:aws:execute-api:us-east-1:*:ab12/prod/GET/items/* 1"],
        ),
        (
            "url: https://api.shop.example/items, method: POST, sigv4: { service: execute-api }",
            &["execute-api:Invoke arn:aws:execute-api:*:*:*/*/POST/items 1"],
        ),
        (
            "url: https://assets.s3.us-gov-west-1.amazonaws.com/a/b, sigv4: { service: s3 }",
            &["s3:GetObject arn:aws-us-gov:s3:::assets/a/b 1"],
        ),
        (
            "url: https://s3.us-east-1.amazonaws.com/assets, sigv4: { service: s3 }",
            &["s3:ListBucket arn:aws:s3:::assets 1"],
        ),
        (
            "url: https://assets.s3.amazonaws.com/?versioning, sigv4: { service: s3 }",
            &["s3:Get* arn:aws:s3:::assets 1"],
        ),
        (
            "url: https://dynamodb.us-east-1.amazonaws.com/, method: POST, headers: { x-amz-target: DynamoDB_20120810.DescribeTable }, json: { TableName: Users }, sigv4: { service: dynamodb }",
            &["dynamodb:DescribeTable arn:aws:dynamodb:us-east-1:*:table/Users 1"],
        ),
        (
            "url: https://monitoring.us-east-1.amazonaws.com/, method: POST, headers: { x-amz-target: GraniteServiceVersion20100801.GetMetricData }, sigv4: { service: monitoring }",
            &["cloudwatch:GetMetricData * 1"],
        ),
        (
            "url: https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/, sigv4: { service: lambda }",
            &["lambda:ListFunctions * 1"],
        ),
        (
            "url: https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/f/code, sigv4: { service: lambda }",
            &["lambda:Get* * 1", "lambda:List* * 0", "lambda:Describe* * 0"],
        ),
        (
            "url: \"https://eks.us-east-1.amazonaws.com/clusters/{{cluster}}\", sigv4: { service: eks }",
            &["eks:DescribeCluster arn:aws:eks:us-east-1:*:cluster/* 1"],
        ),
        (
            "url: https://new.us-east-1.amazonaws.com/things, sigv4: { service: new }",
            &["new:Get* * 1", "new:List* * 0", "new:Describe* * 0"],
        ),
        (
            "url: https://assets.s3.us-east-1.amazonaws.com/a%20b, sigv4: { service: s3 }",
            &["s3:GetObject arn:aws:s3:::assets/a b 1"],
        ),
        (
            "url: https://ab.lambda-url.eu-west-1.on.aws/, sigv4: { service: lambda, region: eu-west-1 }",
            &["lambda:InvokeFunctionUrl arn:aws:lambda:eu-west-1:*:function:* 1"],
        ),
    ] {
        let built = build(&format!("{{ {settings} }}"), false).unwrap();
        let asked: Vec<_> = built
            .prober
            .calls()
            .iter()
            .map(|call| format!("{} {} {}", call.action, call.resource, call.calls))
            .collect();
        assert_eq!(asked, calls, "{settings}");
    }
    let repeated =
        build("{ url: https://s3.us-east-1.amazonaws.com/a/b, sigv4: { service: s3 }, repeat: 9 }", false).unwrap();
    assert_eq!(repeated.prober.calls()[0].calls, 9);
    let unnamed =
        build("{ url: https://new.us-east-1.amazonaws.com/, sigv4: { service: new }, repeat: 9 }", false).unwrap();
    assert_eq!(unnamed.prober.calls().iter().map(|call| call.calls).collect::<Vec<_>>(), [9, 0, 0]);
}
