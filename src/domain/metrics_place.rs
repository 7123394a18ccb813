//! Where published metrics stand in CloudWatch, for what reads them there.

/// Where a publisher puts metrics: what a dashboard draws, an alarm watches and a policy allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsPlace {
    /// The namespace.
    pub namespace: String,
    /// The region; that of the machine where none is named.
    pub region: Option<String>,
    /// Whether there is a set of them by `Schedule`, each over all of its probes, beside the one by `Probe`.
    pub by_schedule: bool,
    /// Whether there is one by `Probe` and `Step`.
    pub by_step: bool,
    /// Whether values are kept by the second and not by the minute.
    pub is_high_resolution: bool,
}
