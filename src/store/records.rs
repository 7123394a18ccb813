//! What a commit writes. Each statement may be repeated with the same values and changes nothing the second time.

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::columns::{count, json, length, micros};
use super::outbox;
use crate::domain::incident::{Incident, Moment};
use crate::domain::judge::{AlertKey, AlertState};
use crate::domain::names::ScheduleName;
use crate::domain::outcome::{Run, SlotAccount, SlotOutcome};
use crate::ports::Commit;

/// Writes all of a commit. Who is forgotten is forgotten last: a state that changed just before its probe was removed
/// must not outlive it.
pub fn write(connection: &Connection, commit: &Commit) -> Result<()> {
    let Commit { runs, accounts, states, forgotten, incidents, moments, deliveries } = commit;
    runs.iter().try_for_each(|run| write_run(connection, run))?;
    accounts.iter().try_for_each(|account| write_account(connection, account))?;
    states.iter().try_for_each(|(key, state)| write_state(connection, key, state))?;
    forgotten.iter().try_for_each(|key| forget(connection, key))?;
    incidents.iter().try_for_each(|incident| write_incident(connection, incident))?;
    moments.iter().try_for_each(|moment| write_moment(connection, moment))?;
    deliveries.iter().try_for_each(|delivery| outbox::write(connection, delivery))
}

/// The first run of a slot at a location stands; a second one is not taken.
fn write_run(connection: &Connection, run: &Run) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO runs (id, schedule, probe, location, slot, due_at, started_at, duration, lateness, verdict, why, steps)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT DO NOTHING",
    )?;
    insert.execute(params![
        &*run.id.0,
        run.schedule.as_ref().map(ScheduleName::as_str),
        run.probe.as_str(),
        &*run.location,
        micros(run.slot),
        micros(run.due_at),
        micros(run.started_at),
        length(run.duration),
        length(run.lateness),
        run.verdict.word(),
        json(&run.verdict)?,
        json(&run.steps)?,
    ])?;
    Ok(())
}

/// Slots up to `through` were counted before and are not counted again.
fn write_account(connection: &Connection, account: &SlotAccount) -> Result<()> {
    let of = |wanted: SlotOutcome| {
        count(account.counts.iter().filter(|(outcome, _)| *outcome == wanted).map(|(_, count)| count).sum())
    };
    let mut upsert = connection.prepare_cached(
        "INSERT INTO slots (schedule, probe, through, ran, skipped, saturated, paused, gap)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (schedule, probe) DO UPDATE SET
             through = excluded.through, ran = ran + excluded.ran, skipped = skipped + excluded.skipped,
             saturated = saturated + excluded.saturated, paused = paused + excluded.paused, gap = gap + excluded.gap
         WHERE excluded.through > through",
    )?;
    upsert.execute(params![
        account.schedule.as_str(),
        account.probe.as_str(),
        micros(account.through),
        of(SlotOutcome::Ran),
        of(SlotOutcome::Skipped),
        of(SlotOutcome::Saturated),
        of(SlotOutcome::Paused),
        of(SlotOutcome::Gap),
    ])?;
    Ok(())
}

fn write_state(connection: &Connection, key: &AlertKey, state: &AlertState) -> Result<()> {
    if *state == AlertState::Healthy {
        return forget(connection, key);
    }
    let mut upsert = connection.prepare_cached(
        "INSERT INTO alert_states (schedule, probe, aspect, state) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (schedule, probe, aspect) DO UPDATE SET state = excluded.state",
    )?;
    upsert.execute(params![key.schedule.as_str(), key.probe.as_str(), key.aspect.as_str(), json(state)?])?;
    Ok(())
}

fn forget(connection: &Connection, key: &AlertKey) -> Result<()> {
    let mut delete =
        connection.prepare_cached("DELETE FROM alert_states WHERE schedule = ?1 AND probe = ?2 AND aspect = ?3")?;
    delete.execute(params![key.schedule.as_str(), key.probe.as_str(), key.aspect.as_str()])?;
    Ok(())
}

fn write_incident(connection: &Connection, incident: &Incident) -> Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO incidents (id, probe, aspect, opened_at, resolved_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET resolved_at = excluded.resolved_at, body = excluded.body",
    )?;
    upsert.execute(params![
        &*incident.id.0,
        incident.probe.as_str(),
        incident.aspect.as_str(),
        micros(incident.opened_at),
        incident.resolved_at.map(micros),
        json(incident)?,
    ])?;
    Ok(())
}

/// A moment has no id: one that says the same of the same instant is the same.
fn write_moment(connection: &Connection, moment: &Moment) -> Result<()> {
    let (incident, at) = (&*moment.incident.0, micros(moment.at));
    let mut known = connection
        .prepare_cached("SELECT place FROM moments WHERE incident = ?1 AND at = ?2 AND what = ?3 AND text = ?4")?;
    let same = known.query_row(params![incident, at, moment.what, moment.text], |row| row.get::<_, i64>(0));
    if same.optional()?.is_some() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO moments (incident, place, at, what, text)
         VALUES (?1, (SELECT coalesce(max(place), 0) + 1 FROM moments WHERE incident = ?1), ?2, ?3, ?4)",
    )?;
    insert.execute(params![incident, at, moment.what, moment.text])?;
    Ok(())
}
