//! What Debian's Prometheus makes of our page: every metric with its type and its help, every label.

use std::collections::BTreeSet;

use crate::commands::configuration;
use crate::servers::prometheus::Prometheus;
use crate::servers::receiver::Target;
use crate::servers::roundsman::Daemon;

#[test]
fn prometheus_reads_the_page_whole() {
    let target = Target::start();
    let directory = configuration(&[
        ("roundsman.yaml", "web: { listen: \"${env:ROUNDSMAN_LISTEN}\" }\npublish: { prometheus: {} }\n"),
        ("probes/p.yaml", &format!("well: {{ http: \"{}\" }}\nshut: {{ tcp: \"127.0.0.1:9\" }}\n", target.url)),
        ("schedules/s.yaml", "often: { every: 1s, probes: [\"*\"] }\n"),
    ]);
    let daemon = Daemon::run(directory.path(), &[]);
    let prometheus = Prometheus::start(&[daemon.address]);
    let phases = prometheus.wait_for("probe_http_duration_seconds{probe=\"well\"}");
    let named: BTreeSet<_> = phases.iter().filter_map(|(labels, _)| labels["phase"].as_str()).collect();
    assert_eq!(
        named,
        BTreeSet::from(["connect", "processing", "transfer"]),
        "an address needs no look-up, plain HTTP no TLS"
    );
    prometheus.wait_for("probe_success{probe=\"well\", schedule=\"often\"} == 1");
    prometheus.wait_for("probe_success{probe=\"shut\", schedule=\"often\"} == 0");
    prometheus.wait_for("probe_http_status_code{probe=\"well\"} == 200");
    prometheus.wait_for("roundsman_failures_total{probe=\"shut\", kind=\"connect.refused\"} > 1");
    prometheus.wait_for("sum(roundsman_slots_total{outcome=\"ran\"}) > 3");
    prometheus.wait_for("histogram_quantile(0.5, roundsman_run_lateness_seconds_bucket{schedule=\"often\"}) >= 0");
    prometheus.wait_for("roundsman_build_info{version=~\".+\"} == 1");
    prometheus.wait_for("up == 1");
}
