//! What a signed request asks of AWS, as policies name it. The URL and the headers say it; where they do not, it is all that
//! such a request could ask of the service, and the kind `aws` names its action.

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::{Host, Position, Url};

use super::content::Content;
use super::credentials::Credentials;
use super::request::Draft;
use crate::domain::aws_call::AwsCall;
use crate::net::aws::call::{Call, Operation};
use crate::net::aws::is_region;
use crate::net::aws::permission::{permissions, unnamed};
use crate::net::aws::services::{SERVICES, partition};

/// What says the action of services that have one address for all of them.
const TARGET: &str = "x-amz-target";

/// Nothing where nobody signs.
pub fn calls(draft: &Draft) -> Vec<AwsCall> {
    let Some(Credentials::SigV4(signed)) = &draft.credentials else { return Vec::new() };
    let Some(url) = draft.url.pattern() else { return Vec::new() };
    let of_host = host(&url).split('.').find(|label| is_region(label)).map(str::to_owned);
    let region = signed.region().map(str::to_owned).or(of_host);
    let asked = Asked { draft, url: &url, region: region.as_deref() };
    let calls = match signed.service() {
        "execute-api" => vec![asked.of_api()],
        "s3" => vec![asked.of_bucket()],
        "lambda" if host(&url).contains(".lambda-url.") => {
            vec![AwsCall::once("lambda:InvokeFunctionUrl", asked.arn("lambda", "function:*"))]
        }
        service => asked.of_service(service),
    };
    calls.into_iter().map(|call| call.of_region(region.clone())).collect()
}

fn host(url: &Url) -> &str {
    match url.host() {
        Some(Host::Domain(name)) => name,
        _ => "",
    }
}

struct Asked<'a> {
    draft: &'a Draft,
    url: &'a Url,
    region: Option<&'a str>,
}

impl Asked<'_> {
    fn arn(&self, service: &str, resource: &str) -> String {
        let region = self.region.unwrap_or("*");
        format!("arn:{}:{service}:{region}:*:{resource}", partition(region))
    }

    /// An API under its own name hides its id and its stage.
    fn of_api(&self) -> AwsCall {
        let method = &self.draft.method;
        let path = self.url.path().trim_start_matches('/');
        let resource = match host(self.url).split_once(".execute-api.") {
            Some((id, _)) => {
                let (stage, path) = path.split_once('/').unwrap_or((path, ""));
                let stage = if stage.is_empty() { "$default" } else { stage };
                format!("{id}/{stage}/{method}/{path}")
            }
            None => format!("*/*/{method}/{path}"),
        };
        AwsCall::once("execute-api:Invoke", self.arn("execute-api", &resource))
    }

    fn of_bucket(&self) -> AwsCall {
        let path = percent_decode_str(self.url.path().trim_start_matches('/')).decode_utf8_lossy();
        let path = &*path;
        let of_host = host(self.url).split_once(".s3").filter(|(_, rest)| rest.starts_with(['.', '-']));
        let (bucket, key) = match of_host {
            Some((bucket, _)) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let bucket = format!("arn:{}:s3:::{bucket}", partition(self.region.unwrap_or_default()));
        let is_listing =
            self.url.query().is_none_or(|query| query.starts_with("list-type") || query.contains("prefix"));
        let action = match (&self.draft.method, key) {
            (&Method::GET | &Method::HEAD, "") if is_listing => "s3:ListBucket",
            (&Method::GET | &Method::HEAD, "") => "s3:Get*",
            (_, "") => "s3:*",
            (&Method::GET | &Method::HEAD, _) => "s3:GetObject",
            (&Method::DELETE, _) => "s3:DeleteObject",
            _ => "s3:PutObject",
        };
        let resource = if key.is_empty() { bucket } else { format!("{bucket}/{key}") };
        AwsCall::once(action, resource)
    }

    fn of_service(&self, service: &str) -> Vec<AwsCall> {
        let known = SERVICES.iter().find(|known| known.signing == service);
        let prefix = known.map_or(service, |known| known.policy);
        let target = self.draft.headers.iter().find(|header| header.name == TARGET).and_then(|header| header.literal());
        if let Some((_, action)) = target.and_then(|target| target.rsplit_once('.')) {
            let table = self.table().filter(|_| service == "dynamodb");
            let resource = table.map_or_else(|| "*".to_owned(), |table| self.arn(service, &format!("table/{table}")));
            return vec![AwsCall::once(format!("{prefix}:{action}"), resource)];
        }
        let method = &self.draft.method;
        let Some(service) = known else { return unnamed(prefix, method) };
        let operation =
            Operation::Path(method.clone(), self.url[Position::BeforePath..Position::AfterQuery].to_owned());
        permissions(&Call { operation, ..Call::action(service, "", Value::Null) }, self.region)
    }

    /// The table that the body names.
    fn table(&self) -> Option<String> {
        let Some(Content::Json(template) | Content::Text(template)) = &self.draft.content else { return None };
        let body: Value = serde_json::from_str(template.as_literal()?).ok()?;
        body["TableName"].as_str().map(str::to_owned)
    }
}
