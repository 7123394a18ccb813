//! What runs that failed left, and which of it stays: the last of each probe, and of each incident the first and the latest
//! for as long as the incident.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::columns::{from_json, instant, json, micros, parsed};
use crate::domain::incident::IncidentId;
use crate::domain::outcome::RunId;
use crate::ports::KeptBundle;

/// How many of a probe stay, whatever they speak of.
const LAST_KEPT: u32 = 10;

/// How many before those are looked at when one comes; each that comes can make room for only one.
const LOOKED_AT_MAX: u32 = 64;

/// Writes one, and erases what it takes the place of.
pub fn write(connection: &Connection, kept: &KeptBundle) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO bundles (run, probe, started_at, incident, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    insert.execute(params![
        &*kept.run.0,
        kept.probe.as_str(),
        micros(kept.started_at),
        kept.incident.as_ref().map(|incident| &*incident.0),
        json(&*kept.bundle)?,
    ])?;
    let mut erase = connection.prepare_cached(
        "DELETE FROM bundles
         WHERE run IN (SELECT run FROM bundles WHERE probe = ?1 ORDER BY started_at DESC, run DESC LIMIT ?3 OFFSET ?2)
           AND (incident IS NULL OR run NOT IN (
               SELECT (SELECT run FROM bundles f WHERE f.incident = bundles.incident ORDER BY started_at, run LIMIT 1)
               UNION ALL
               SELECT (SELECT run FROM bundles l WHERE l.incident = bundles.incident
                       ORDER BY started_at DESC, run DESC LIMIT 1)))",
    )?;
    erase.execute(params![kept.probe.as_str(), LAST_KEPT, LOOKED_AT_MAX])?;
    Ok(())
}

/// Erases at most `slice` that are older and speak of no incident. Those of an incident go with it.
pub fn purge(connection: &Connection, before: i64, slice: u32) -> Result<usize> {
    let mut erase = connection.prepare_cached(
        "DELETE FROM bundles WHERE run IN (
             SELECT run FROM bundles WHERE incident IS NULL AND started_at < ?1 ORDER BY started_at LIMIT ?2)",
    )?;
    erase.execute(params![before, slice])
}

/// The first and the latest of an incident.
pub fn of_incident(connection: &Connection, incident: &IncidentId) -> Result<Vec<KeptBundle>> {
    let mut first =
        connection.prepare_cached("SELECT * FROM bundles WHERE incident = ?1 ORDER BY started_at, run LIMIT 1")?;
    let mut latest = connection
        .prepare_cached("SELECT * FROM bundles WHERE incident = ?1 ORDER BY started_at DESC, run DESC LIMIT 1")?;
    let mut kept = Vec::new();
    for select in [&mut first, &mut latest] {
        kept.extend(select.query_row([&*incident.0], read).optional()?);
    }
    kept.dedup_by(|one, other| one.run == other.run);
    Ok(kept)
}

/// What a run left, as long as that is kept.
pub fn of_run(connection: &Connection, run: &RunId) -> Result<Option<KeptBundle>> {
    let mut select = connection.prepare_cached("SELECT * FROM bundles WHERE run = ?1")?;
    select.query_row([&*run.0], read).optional()
}

fn read(row: &Row<'_>) -> Result<KeptBundle> {
    Ok(KeptBundle {
        run: RunId(row.get::<_, String>("run").map(Arc::from)?),
        probe: parsed(row, "probe")?,
        started_at: instant(row, "started_at")?,
        incident: row.get::<_, Option<String>>("incident")?.map(|id| IncidentId(Arc::from(id))),
        bundle: Arc::new(from_json(row, "body")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exchange::{Bundle, Exchange, StepRecord};
    use crate::domain::incident::Severity;
    use crate::domain::names::StepName;
    use crate::ports::{Commit, StatusReader as _, Store as _};
    use crate::store::testing::{Kept, incident, kept, probe, resolved, run, second};

    fn bundle(of: &str, at: i64, incident: Option<&str>) -> KeptBundle {
        let exchange = Exchange { sent: format!("GET /{at}"), ..Exchange::default() };
        let step = StepRecord {
            name: StepName::parse("only").unwrap(),
            exchanges: vec![exchange],
            assertions: Vec::new(),
            captures: Vec::new(),
        };
        KeptBundle {
            run: run(of, at).id,
            probe: probe(of),
            started_at: second(at),
            incident: incident.map(|id| IncidentId(Arc::from(id))),
            bundle: Arc::new(Bundle { steps: vec![step], left_out: 0 }),
        }
    }

    async fn commit(kept: &Kept, bundles: Vec<KeptBundle>) {
        kept.store.commit(Commit { bundles, ..Commit::default() }.into()).await.unwrap();
    }

    async fn of(kept: &Kept, id: &str) -> Vec<KeptBundle> {
        kept.store.incident(&IncidentId(Arc::from(id))).await.unwrap().unwrap().bundles
    }

    #[tokio::test]
    async fn the_last_ten_stay_and_of_an_incident_the_first_and_the_latest() {
        let kept = kept();
        let incidents = vec![incident("I1", Severity::P1, 0), incident("I2", Severity::P1, 50)];
        kept.store.commit(Commit { incidents: incidents.into(), ..Commit::default() }.into()).await.unwrap();
        commit(&kept, (0..5).map(|n| bundle("api", n, None)).collect()).await;
        commit(&kept, (5..20).map(|n| bundle("api", n, Some("I1"))).collect()).await;
        assert_eq!(of(&kept, "I1").await, [bundle("api", 5, Some("I1")), bundle("api", 19, Some("I1"))]);
        assert_eq!(kept.number("SELECT count(*) FROM bundles"), 11, "ten, and the first of the incident");
        commit(&kept, vec![bundle("web", 20, None), bundle("api", 50, Some("I2"))]).await;
        assert_eq!(of(&kept, "I2").await, [bundle("api", 50, Some("I2"))], "the first is the latest too");
        commit(&kept, (60..80).map(|n| bundle("api", n, None)).collect()).await;
        assert_eq!(of(&kept, "I1").await.len(), 2);
        assert_eq!(kept.number("SELECT count(*) FROM bundles WHERE probe = 'api'"), 13);
        assert_eq!(kept.number("SELECT count(*) FROM bundles WHERE probe = 'web'"), 1, "each probe has ten of its own");
        // A commit that is repeated, since nobody heard that it was taken, changes nothing.
        commit(&kept, (60..80).map(|n| bundle("api", n, None)).collect()).await;
        assert_eq!(kept.number("SELECT count(*) FROM bundles WHERE probe = 'api'"), 13);
    }

    #[tokio::test]
    async fn what_is_old_goes_and_what_speaks_of_an_incident_goes_with_it() {
        let kept = kept();
        let [over, open] = ["over", "open"].map(|id| incident(id, Severity::P1, 0));
        let incidents = vec![over.clone(), open, resolved(&over, 10)];
        kept.store.commit(Commit { incidents: incidents.into(), ..Commit::default() }.into()).await.unwrap();
        let bundles = vec![
            bundle("api", 1, None),
            bundle("api", 2, Some("over")),
            bundle("web", 2, Some("open")),
            bundle("api", 30, None),
        ];
        commit(&kept, bundles).await;
        assert_eq!(kept.store.purge(second(5)).await.unwrap(), 1, "the incident is not old yet");
        assert_eq!(kept.store.purge(second(20)).await.unwrap(), 2, "the incident, and what spoke of it");
        assert_eq!(kept.number("SELECT count(*) FROM bundles"), 2);
        assert_eq!(of(&kept, "open").await.len(), 1, "an open incident keeps what is old");
    }
}
