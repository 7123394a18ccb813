//! The pages that speak of metrics know all of them, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::Regex;
use roundsman::domain::metric::{MetricName, MetricType};

use crate::pages::named;

/// How long the first round of the demo may take: half a minute to its slot, and as long again on a slow machine.
const ROUND_MAX: Duration = Duration::from_secs(90);

/// The version, which is no sample.
const BUILD: &str = "roundsman_build_info";

/// The names on the page `/metrics`, as samples have them there without the suffixes of histograms.
pub fn names() -> BTreeSet<String> {
    let shown = MetricName::ALL.iter().filter(|name| name.metric_type() != MetricType::Held);
    let suffixed = |name: &MetricName| match name.metric_type() {
        MetricType::Counter => format!("{}_total", name.as_str()),
        _ => name.as_str().to_owned(),
    };
    shown.map(suffixed).chain([BUILD.to_owned()]).collect()
}

/// The labels of each metric, as the page of the publisher lists them.
pub fn labels() -> BTreeMap<String, BTreeSet<String>> {
    let row = Regex::new(r"(?m)^\| `([a-z_]+)` \| [a-z]+ \|([^|]*)\|").expect("a pattern");
    let label = Regex::new("`([a-z]+)`").expect("a pattern");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut before = BTreeSet::new();
    for row in row.captures_iter(&named("docs/publishers/prometheus.md").text) {
        let mut labels: BTreeSet<String> = label.captures_iter(&row[2]).map(|found| found[1].to_owned()).collect();
        if row[2].trim().starts_with("the same") {
            labels.extend(std::mem::take(&mut before));
        }
        before.clone_from(&labels);
        found.insert(row[1].to_owned(), labels);
    }
    found
}

/// Whether `/metrics` of a daemon has the names and the labels that the book says, once there was a round.
pub fn shown_as_the_book_says(url: &str, token: &str) {
    const PAUSE: Duration = Duration::from_millis(200);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ask = async {
        let client = roundsman::net::client::shared().expect("a client");
        for _ in 0..ROUND_MAX.as_millis() / PAUSE.as_millis() {
            let asked = client.get(format!("{url}/metrics")).bearer_auth(token).send().await.expect("an answer");
            let page = asked.error_for_status().expect("a page").text().await.expect("a text");
            if page.contains("probe_http_duration_seconds{") && page.contains("probe_ssl_earliest_cert_expiry{") {
                return page;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("there was no round within {ROUND_MAX:?}");
    };
    let page = runtime.block_on(ask);
    let known = labels();
    let series = Regex::new(r"(?m)^([a-z_]+?)(?:_bucket|_sum|_count)?(?:\{([^}]*)\})? [0-9.e+-]+$").expect("a pattern");
    let label = Regex::new(r#"([a-z]+)=""#).expect("a pattern");
    let mut seen = BTreeSet::new();
    for found in series.captures_iter(&page) {
        let of_book = known.get(&found[1]).unwrap_or_else(|| panic!("the book does not know `{}`", &found[0]));
        let shown = found.get(2).map_or("", |labels| labels.as_str());
        let shown = label.captures_iter(shown).map(|label| label[1].to_owned()).filter(|label| label != "le");
        let shown: BTreeSet<_> = shown.collect();
        assert!(shown.is_subset(of_book), "{}: the book says {of_book:?}", &found[0]);
        seen.insert(found[1].to_owned());
    }
    assert!(seen.len() > 10, "only {seen:?} are shown");
}

#[test]
fn the_page_of_the_publisher_lists_every_metric() {
    assert_eq!(labels().into_keys().collect::<BTreeSet<_>>(), names());
}

#[test]
fn operations_say_of_each_of_our_own_what_to_do() {
    let page = named("docs/operations.md");
    let row = Regex::new(r"(?m)^\| `([a-z_]+)` \| [^|]+ \| [^|]+ \|").expect("a pattern");
    let told: BTreeSet<_> = row.captures_iter(&page.text).map(|found| found[1].to_owned()).collect();
    let ours: BTreeSet<_> = names().into_iter().filter(|name| name.starts_with("roundsman_")).collect();
    assert_eq!(told, ours);
    let foreign: Vec<_> = MetricName::ALL.iter().flat_map(|name| name.cloudwatch()).map(|metric| metric.name).collect();
    let cloudwatch = named("docs/publishers/cloudwatch.md").text;
    for name in foreign {
        assert!(cloudwatch.contains(&format!("`{name}`")), "docs/publishers/cloudwatch.md does not know `{name}`");
    }
}
