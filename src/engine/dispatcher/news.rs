//! What is said of a commit once it is recorded.

use crate::domain::figures::{self, Milestone};
use crate::domain::incident::{Incident, Moment};
use crate::domain::metric::{MetricName, Sample, SampleLabels};
use crate::domain::text::harmless;
use crate::domain::time::{Timestamp, clock};
use crate::ports::Commit;

/// What became of incidents, once it is recorded. What a target said is made harmless first.
pub(super) fn log(commit: &Commit, now: Timestamp) {
    for silence in &commit.silences {
        let (by, until, reason) = (harmless(&silence.by), clock(silence.until), harmless(&silence.reason));
        let about = silence.matchers.to_string();
        let (id, about) = (&silence.id, harmless(&about));
        if silence.until <= now {
            tracing::info!(silence = %id, "quiet about {about} is over: {reason}");
        } else {
            tracing::info!(silence = %id, "{by} wants quiet about {about} until {until}: {reason}");
        }
    }
    for record in &commit.audits {
        let (who, deed, of) = (&record.author, record.deed.as_str(), harmless(&record.of));
        let by = harmless(who.by.as_deref().unwrap_or("somebody"));
        let from = who.from.map_or_else(|| "elsewhere".to_owned(), |from| from.to_string());
        let known = who.who.to_string();
        tracing::info!(audit = %record.id, "{by} from {from}, known by {}: {deed} {of}", harmless(&known));
    }
    for pause in &commit.pauses {
        let (id, what) = (&pause.id, &pause.what);
        match &pause.ended {
            Some(ended) => tracing::info!(pause = %id, "the pause of {what} is over: {}", ended.because),
            None => tracing::info!(pause = %id, "{what} is {}", harmless(&pause.to_string())),
        }
    }
    for moment in &commit.moments {
        let Some(incident) = of_moment(commit, moment) else { continue };
        let (id, severity, probe) = (&incident.id, incident.severity, &incident.probe);
        match moment.what.as_str() {
            "opened" => tracing::warn!(incident = %id, %severity, "opened: {}", harmless(&incident.summary())),
            "resolved" => tracing::info!(incident = %id, "resolved: {probe} {}", moment.text),
            "acknowledged" => tracing::info!(incident = %id, "acknowledged: {probe} {}", harmless(&moment.text)),
            "note" => tracing::info!(incident = %id, "noted of {probe}: {}", harmless(&moment.text)),
            "muted" => tracing::info!(incident = %id, "nobody is told of {probe}: {}", harmless(&moment.text)),
            _ => {}
        }
    }
}

/// The figures of incidents that became known with a commit.
pub(super) fn figures(commit: &Commit, now: Timestamp) -> Vec<Sample> {
    let milestone = |moment: &Moment| match moment.what.as_str() {
        "opened" => Some(Milestone::Detected),
        "acknowledged" => Some(Milestone::Acknowledged),
        "resolved" => Some(Milestone::Resolved),
        _ => None,
    };
    let known = commit.moments.iter().filter_map(|moment| Some((milestone(moment)?, of_moment(commit, moment)?)));
    let figures = known.filter_map(|(milestone, incident)| figures::sample(incident, milestone, now));
    let done = Some(commit.audits.len() as u64).filter(|done| *done > 0);
    figures.chain(done.map(|done| changes("done", done, now))).collect()
}

/// How many changes came to what.
pub(super) fn changes(outcome: &'static str, count: u64, now: Timestamp) -> Sample {
    let labels = SampleLabels { also: Some(("outcome", outcome)), ..SampleLabels::default() };
    Sample { name: MetricName::Changes, at: now, value: count as f64, labels }
}

fn of_moment<'a>(commit: &'a Commit, moment: &Moment) -> Option<&'a Incident> {
    commit.incidents.of(&moment.incident)
}
