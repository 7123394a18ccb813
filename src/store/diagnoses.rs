//! What was looked at because an incident opened.

use std::sync::Arc;

use rusqlite::{Connection, Result, params};

use super::columns::{from_json, instant, json, micros};
use crate::domain::incident::IncidentId;
use crate::domain::outcome::RunId;
use crate::ports::Diagnosis;

/// Writes one; the same a second time changes nothing.
pub fn write(connection: &Connection, diagnosis: &Diagnosis) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO diagnoses (incident, run, started_at, finding, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    insert.execute(params![
        &*diagnosis.incident.0,
        &*diagnosis.run.0,
        micros(diagnosis.started_at),
        json(&diagnosis.finding)?,
        json(&*diagnosis.bundle)?,
    ])?;
    Ok(())
}

/// Those of an incident, in their order.
pub fn of_incident(connection: &Connection, incident: &IncidentId) -> Result<Vec<Diagnosis>> {
    let mut select =
        connection.prepare_cached("SELECT * FROM diagnoses WHERE incident = ?1 ORDER BY started_at, run")?;
    let diagnoses = select.query_map([&*incident.0], |row| {
        Ok(Diagnosis {
            incident: incident.clone(),
            run: RunId(row.get::<_, String>("run").map(Arc::from)?),
            started_at: instant(row, "started_at")?,
            finding: from_json(row, "finding")?,
            bundle: Arc::new(from_json(row, "body")?),
        })
    })?;
    diagnoses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exchange::Bundle;
    use crate::domain::incident::{Finding, Severity};
    use crate::ports::{Commit, StatusReader as _, Store as _};
    use crate::store::testing::{incident, kept, probe, resolved, second};

    fn diagnosis(of: &str, at: i64) -> Diagnosis {
        let text = "json.throttled was 12".to_owned();
        Diagnosis {
            incident: IncidentId(Arc::from(of)),
            run: RunId(Arc::from(format!("r{at}"))),
            started_at: second(at),
            finding: Finding { probe: probe("table"), verdict: "failed".to_owned(), text },
            bundle: Arc::new(Bundle::default()),
        }
    }

    #[tokio::test]
    async fn what_was_looked_at_stays_as_long_as_its_incident() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        let diagnoses = vec![diagnosis("I1", 9), diagnosis("I1", 5)];
        let commit = Arc::new(Commit { incidents: vec![one.clone()].into(), diagnoses, ..Commit::default() });
        for _ in 0..2 {
            kept.store.commit(Arc::clone(&commit)).await.unwrap();
        }
        let story = kept.store.incident(&one.id).await.unwrap().unwrap();
        assert_eq!(story.diagnoses, [diagnosis("I1", 5), diagnosis("I1", 9)]);
        kept.store
            .commit(Commit { incidents: vec![resolved(&one, 20)].into(), ..Commit::default() }.into())
            .await
            .unwrap();
        assert_eq!(kept.store.purge(second(30)).await.unwrap(), 3);
        assert_eq!(kept.number("SELECT count(*) FROM diagnoses"), 0);
    }
}
