//! What a starting process and the pages ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::bundles;
use super::columns::{aspect, from_json, instant, micros, parsed, read, to_instant, to_length};
use super::diagnoses;
use super::journal;
use super::lately::{Lately, Look};
use super::order::as_carried;
use crate::domain::incident::{Event, Hearers, Incident, IncidentId, Moment, Version};
use crate::domain::judge::AlertKey;
use crate::domain::names::{ChannelName, ScheduleName};
use crate::domain::outcome::{Extra, Run, RunId};
use crate::domain::pause::Pause;
use crate::domain::quiet::Silence;
use crate::domain::time::{Timestamp, clock, earlier, later};
use crate::ports::{Fate, IncidentStory, Loaded, Overview, Pair, Told};

/// How close in time incidents open that may have one cause.
const NEARBY: Duration = Duration::from_secs(600);

/// How many of those are told.
const NEARBY_MAX: u32 = 10;

/// How many resolved incidents are shown.
const RESOLVED_MAX: u32 = 10;

fn alert_key(row: &Row<'_>) -> Result<AlertKey> {
    let (schedule, probe) = pair(row)?;
    Ok(AlertKey { schedule, probe, aspect: aspect(row)? })
}

/// The state at start.
pub fn load(connection: &Connection) -> Result<Loaded> {
    let mut states = connection.prepare_cached("SELECT * FROM alert_states")?;
    let states = states.query_map([], |row| Ok((alert_key(row)?, from_json(row, "state")?)))?;
    let mut flaps = connection.prepare_cached("SELECT * FROM flaps")?;
    let flaps = flaps.query_map([], |row| Ok((alert_key(row)?, from_json(row, "flap")?)))?;
    let mut recents = connection.prepare_cached("SELECT * FROM recents")?;
    let recents = recents.query_map([], |row| Ok((pair(row)?, from_json(row, "recent")?)))?;
    let mut accounted = connection.prepare_cached("SELECT schedule, probe, through FROM slots")?;
    let accounted = accounted.query_map([], |row| {
        let (schedule, probe) = pair(row)?;
        Ok((schedule, probe, instant(row, "through")?))
    })?;
    let mut pulses = connection.prepare_cached("SELECT token, pulse FROM pulses ORDER BY token")?;
    let pulses = pulses.query_map([], |row| Ok((parsed(row, "token")?, from_json(row, "pulse")?)))?;
    Ok(Loaded {
        states: states.collect::<Result<_>>()?,
        flaps: flaps.collect::<Result<_>>()?,
        recents: recents.collect::<Result<_>>()?,
        incidents: open_incidents(connection)?.into_iter().chain(owed_incidents(connection)?).collect(),
        accounted: accounted.collect::<Result<_>>()?,
        debts: journal::debts(connection)?,
        versions: versions(connection)?,
        pulses: pulses.collect::<Result<_>>()?,
        silences: silences(connection, i64::MIN)?,
        pauses: pauses(connection)?,
        drilled: drilled(connection)?,
    })
}

/// When each channel was last drilled and every hop was well.
fn drilled(connection: &Connection) -> Result<BTreeMap<ChannelName, Timestamp>> {
    let mut select = connection.prepare_cached(
        "SELECT json_extract(i.body, '$.told[0]') AS channel, max(m.at) AS at
         FROM incidents i JOIN moments m ON m.incident = i.id
         WHERE json_extract(i.body, '$.drill') AND m.what = 'drilled' GROUP BY channel",
    )?;
    select.query_map([], |row| Ok((parsed(row, "channel")?, instant(row, "at")?)))?.collect()
}

/// The silences that end later, by their end.
fn silences(connection: &Connection, after: i64) -> Result<Vec<Silence>> {
    let mut select = connection.prepare_cached("SELECT body FROM silences WHERE ends_at > ?1 ORDER BY ends_at, id")?;
    select.query_map([after], |row| from_json(row, "body"))?.collect()
}

/// The pauses that are not over, in the order in which they began.
fn pauses(connection: &Connection) -> Result<Vec<Pause>> {
    let mut select = connection.prepare_cached("SELECT body FROM pauses WHERE ended_at IS NULL ORDER BY id")?;
    select.query_map([], |row| from_json(row, "body"))?.collect()
}

fn versions(connection: &Connection) -> Result<Vec<Version>> {
    let mut select = connection.prepare_cached("SELECT * FROM versions")?;
    select.query_map([], version)?.collect()
}

/// A version that a step saw.
pub fn version(row: &Row<'_>) -> Result<Version> {
    Ok(Version {
        probe: parsed(row, "probe")?,
        step: parsed(row, "step")?,
        version: row.get("version")?,
        since: instant(row, "since")?,
        before: row.get("before")?,
    })
}

/// How things stand; drills, in which nothing is wrong, are left out.
pub fn overview(connection: &Connection, since: Timestamp, lately: &mut Lately) -> Result<Overview> {
    let mut open = open_incidents(connection)?;
    open.retain(|incident| !incident.drill);
    open.sort_by(|one, other| other.severity.cmp(&one.severity).then(one.opened_at.cmp(&other.opened_at)));
    let mut resolved = connection.prepare_cached(
        "SELECT body FROM incidents WHERE resolved_at IS NOT NULL AND json_extract(body, '$.drill') IS NULL
         ORDER BY resolved_at DESC, id DESC LIMIT ?1",
    )?;
    let resolved = resolved.query_map([RESOLVED_MAX], |row| from_json(row, "body"))?;
    let Look { runs, last, slots } = lately.look(connection, since)?;
    let hearers = hearers(connection, &open)?;
    Ok(Overview {
        runs,
        last,
        slots,
        debts: journal::counts(connection)?,
        open,
        hearers,
        silences: silences(connection, micros(since))?,
        pauses: pauses(connection)?,
        resolved: resolved.collect::<Result<_>>()?,
    })
}

/// The schedule and the probe of a row.
pub fn pair(row: &Row<'_>) -> Result<Pair> {
    Ok((parsed(row, "schedule")?, parsed(row, "probe")?))
}

fn open_incidents(connection: &Connection) -> Result<Vec<Incident>> {
    let mut open = connection.prepare_cached("SELECT body FROM incidents WHERE resolved_at IS NULL ORDER BY id")?;
    open.query_map([], |row| from_json(row, "body"))?.collect()
}

/// Who has heard of each of these incidents.
pub fn hearers(connection: &Connection, of: &[Incident]) -> Result<BTreeMap<IncidentId, Hearers>> {
    let mut found: BTreeMap<_, _> = of.iter().map(|incident| (incident.id.clone(), Hearers::default())).collect();
    let ids = found.keys().map(|id| &*id.0).collect::<serde_json::Value>().to_string();
    let mut select = connection.prepare_cached(
        "SELECT o.incident, o.channel, max(o.state = 'delivered') AS heard, max(o.state = 'pending') AS waiting,
             max(o.state = 'dead') AS given_up
         FROM json_each(?1) asked CROSS JOIN outbox o ON o.incident = asked.value
         GROUP BY o.incident, o.channel HAVING max(o.event IN ('opened', 'escalated'))",
    )?;
    let mut rows = select.query([ids])?;
    while let Some(row) = rows.next()? {
        let id = IncidentId(Arc::from(row.get::<_, String>("incident")?));
        let hearers = found.entry(id).or_default();
        // What is none of these was told by a message of another incident, or by a later one.
        let of = match (row.get("heard")?, row.get("waiting")?, row.get("given_up")?) {
            (true, ..) | (false, false, false) => &mut hearers.heard,
            (false, true, _) => &mut hearers.waiting,
            (false, false, true) => &mut hearers.given_up,
        };
        of.push(parsed(row, "channel")?);
    }
    Ok(found)
}

/// Those that are over, and of whose post-mortem somebody is still to be reminded.
fn owed_incidents(connection: &Connection) -> Result<Vec<Incident>> {
    let mut owed = connection.prepare_cached(
        "SELECT body FROM incidents
         WHERE json_extract(body, '$.post_mortem_at') IS NOT NULL AND resolved_at IS NOT NULL ORDER BY id",
    )?;
    owed.query_map([], |row| from_json(row, "body"))?.collect()
}

/// The word of a run's verdict.
pub fn word(row: &Row<'_>) -> Result<&'static str> {
    let verdict = row.get_ref("verdict")?.as_str()?;
    let known = ["passed", "degraded", "failed", "inconclusive"].into_iter().find(|known| *known == verdict);
    read("verdict", known.ok_or("not a verdict"))
}

/// A run without its steps; nothing where there is none.
pub fn run_in_short(connection: &Connection, id: &str) -> Result<Option<Run>> {
    let mut select = connection.prepare_cached("SELECT *, '[]' AS no_steps FROM runs WHERE id = ?1")?;
    select.query_row([id], |row| run_of(row, "no_steps")).optional()
}

/// A run that is whole in its row.
pub fn run(row: &Row<'_>) -> Result<Run> {
    run_of(row, "steps")
}

fn run_of(row: &Row<'_>, steps: &'static str) -> Result<Run> {
    let schedule: Option<String> = row.get("schedule")?;
    let known = |word: &str| Extra::ALL.into_iter().find(|extra| extra.as_str() == word).ok_or("not a reason");
    let extra = row.get_ref("extra")?.as_str_or_null()?.map(known).transpose();
    Ok(Run {
        id: RunId(text(row, "id")?),
        location: text(row, "location")?,
        probe: parsed(row, "probe")?,
        schedule: read("schedule", schedule.map(|name| ScheduleName::parse(&name)).transpose())?,
        extra: read("extra", extra)?,
        slot: instant(row, "slot")?,
        due_at: instant(row, "due_at")?,
        started_at: instant(row, "started_at")?,
        duration: to_length(row, "duration")?,
        lateness: to_length(row, "lateness")?,
        verdict: from_json(row, "why")?,
        steps: from_json(row, steps)?,
        bundle: None,
    })
}

fn text(row: &Row<'_>, column: &'static str) -> Result<Arc<str>> {
    row.get::<_, String>(column).map(Arc::from)
}

/// One incident with its time line and what became of its messages.
pub fn incident(connection: &Connection, id: &IncidentId) -> Result<Option<IncidentStory>> {
    let mut incident = connection.prepare_cached("SELECT body FROM incidents WHERE id = ?1")?;
    let Some(incident) = incident.query_row([&*id.0], |row| from_json(row, "body")).optional()? else {
        return Ok(None);
    };
    let nearby = nearby(connection, &incident)?;
    let mut moments = connection.prepare_cached("SELECT * FROM moments WHERE incident = ?1 ORDER BY at, place")?;
    let moments = moments.query_map([&*id.0], |row| {
        Ok(Moment { incident: id.clone(), at: instant(row, "at")?, what: row.get("what")?, text: row.get("text")? })
    })?;
    let mut told = connection
        .prepare_cached(concat!(as_carried!(), "WHERE o.incident = ?1 ORDER BY o.transition, o.created_at, o.id"))?;
    let told = told.query_map([&*id.0], message)?;
    let hearers = hearers(connection, std::slice::from_ref(&incident))?.remove(id).unwrap_or_default();
    Ok(Some(IncidentStory {
        incident,
        hearers,
        moments: moments.collect::<Result<_>>()?,
        told: told.collect::<Result<_>>()?,
        bundles: bundles::of_incident(connection, id)?,
        diagnoses: diagnoses::of_incident(connection, id)?,
        nearby,
    }))
}

/// The incidents that opened closest to another within ten minutes, by their opening.
fn nearby(connection: &Connection, of: &Incident) -> Result<Vec<Incident>> {
    let mut select = connection.prepare_cached(
        "SELECT body FROM incidents
         WHERE opened_at BETWEEN ?1 AND ?2 AND id <> ?3 AND json_extract(body, '$.drill') IS NULL
         ORDER BY abs(opened_at - ?4), id LIMIT ?5",
    )?;
    let (from, to) = (micros(earlier(of.opened_at, NEARBY)), micros(later(of.opened_at, NEARBY)));
    let found = select
        .query_map(params![from, to, &*of.id.0, micros(of.opened_at), NEARBY_MAX], |row| from_json(row, "body"))?;
    let mut found = found.collect::<Result<Vec<Incident>>>()?;
    found.sort_by_key(|incident| incident.opened_at);
    Ok(found)
}

fn message(row: &Row<'_>) -> Result<Told> {
    let event: String = row.get("event")?;
    let event = Event::ALL.into_iter().find(|known| known.as_str() == event);
    Ok(Told {
        channel: parsed(row, "channel")?,
        event: read("event", event.ok_or("not an event"))?,
        committed_at: instant(row, "created_at")?,
        settled_at: row.get::<_, Option<i64>>("settled_at")?.and_then(to_instant),
        fate: fate(row)?,
        became: became(row)?,
        attempts: row.get("attempts")?,
        said: said(row)?,
    })
}

/// How the receiver calls a message that it took, else what went wrong last.
fn said(row: &Row<'_>) -> Result<Option<String>> {
    let is_taken = row.get_ref("state")?.as_str()? == "delivered";
    row.get(if is_taken { "receipt" } else { "error" })
}

fn fate(row: &Row<'_>) -> Result<Fate> {
    Ok(match row.get_ref("state")?.as_str()? {
        "pending" if row.get::<_, Option<String>>("error")?.is_none() => Fate::Waits,
        "pending" => Fate::Rests(instant(row, "next_attempt_at")?),
        "delivered" => Fate::Delivered,
        "merged" => Fate::Merged,
        _ => Fate::GivenUp,
    })
}

fn became(row: &Row<'_>) -> Result<String> {
    let attempts = match row.get("attempts")? {
        1_i64 => "1 attempt".to_owned(),
        attempts => format!("{attempts} attempts"),
    };
    let error = row.get::<_, Option<String>>("error")?.map(|error| format!(": {error}")).unwrap_or_default();
    Ok(match row.get_ref("state")?.as_str()? {
        "pending" if error.is_empty() => "waits for its first attempt".to_owned(),
        "pending" => {
            let next = clock(instant(row, "next_attempt_at")?);
            format!("waits after {attempts}, the next not before {next}{error}")
        }
        "delivered" => {
            let receipt = row.get::<_, Option<String>>("receipt")?.map(|id| format!(" ({id})")).unwrap_or_default();
            format!("delivered, {attempts}{receipt}")
        }
        "merged" => "told by the resolve".to_owned(),
        _ => format!("given up after {attempts}{error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::history::IncidentsAsked;
    use crate::domain::incident::Severity;
    use crate::domain::outcome::{Cause, SlotAccount, SlotOutcome, Verdict};
    use crate::ports::{Commit, Delivery, HistoryReader as _, Receipt, Settlement, StatusReader as _, Store as _};
    use crate::store::testing::{
        accounts, channel, delivery, failure, incident, kept, moment, opening, probe, resolved, resolving, run,
        schedule, second,
    };

    #[tokio::test]
    async fn the_overview_shows_each_probe_of_each_schedule() {
        let kept = kept();
        let mut failed = run("api", 60);
        failed.verdict = Verdict::Failed(vec![failure()]);
        let mut blind = run("web", 30);
        blind.verdict = Verdict::Inconclusive(Cause::ShutDown);
        let mut asked_for = run("api", 90);
        asked_for.schedule = None;
        let mut hourly = run("api", 0);
        (hourly.id.0, hourly.schedule) = ("hourly".into(), Some(schedule("hourly")));
        let runs = vec![failed.clone(), run("api", 0), run("api", 30), blind.clone(), asked_for, hourly.clone()];
        let counts = vec![(SlotOutcome::Ran, 3), (SlotOutcome::Gap, 1)];
        let of = |tier: &str, name: &str| SlotAccount {
            schedule: schedule(tier),
            probe: probe(name),
            through: second(60),
            counts: counts.clone(),
        };
        let accounts = accounts([of("tier", "api"), of("tier", "web"), of("hourly", "api")]);
        kept.store.commit(Commit { runs, accounts, ..Commit::default() }.into()).await.unwrap();

        let overview = kept.store.overview(second(31)).await.unwrap();
        let [api, web] = ["api", "web"].map(|name| (schedule("tier"), probe(name)));
        let words = |of: &Pair| overview.runs[of].iter().map(|run| (run.started_at, run.verdict)).collect::<Vec<_>>();
        assert_eq!(words(&api), [(second(31), "passed"), (second(61), "failed")]);
        assert_eq!(words(&web), [(second(31), "inconclusive")]);
        assert!((overview.runs[&api][0].duration_ms - 1.5).abs() < 1e-9);
        assert_eq!(overview.runs.len(), 2, "what nobody scheduled and what is older is not drawn");
        let hourly_api = (schedule("hourly"), probe("api"));
        assert_eq!(overview.last, [(api.clone(), failed), (web, blind), (hourly_api, hourly)].into());
        let outcomes: Vec<_> = overview.slots[&api].values().copied().collect();
        assert_eq!(outcomes, [3, 0, 0, 0, 1]);

        let mut off_the_slots = run("api", 61);
        off_the_slots.id.0 = "off the slots".into();
        kept.store.commit(Commit { runs: vec![off_the_slots.clone()], ..Commit::default() }.into()).await.unwrap();
        let overview = kept.store.overview(second(31)).await.unwrap();
        assert_eq!(overview.last[&api], off_the_slots, "a run without an account is one too");
    }

    #[tokio::test]
    async fn the_gravest_open_incident_and_the_latest_resolved_stand_first() {
        let kept = kept();
        let mut incidents = vec![
            incident("mild", Severity::P3, 0),
            incident("grave-later", Severity::P1, 9),
            incident("grave", Severity::P1, 5),
        ];
        incidents.extend((0..12).map(|n| resolved(&incident(&format!("over-{n}"), Severity::P2, n), 100 + n)));
        kept.store.commit(Commit { incidents: incidents.into(), ..Commit::default() }.into()).await.unwrap();
        let overview = kept.store.overview(second(0)).await.unwrap();
        let ids = |incidents: &[Incident]| incidents.iter().map(|i| i.id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(&overview.open), ["grave", "grave-later", "mild"]);
        assert_eq!(ids(&overview.resolved), (2..12).rev().map(|n| format!("over-{n}")).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_drill_is_no_incident_and_is_told_at_once_in_the_middle_of_a_storm() {
        let kept = kept();
        let storm: Vec<_> = (0..20).map(|n| incident(&format!("I{n}"), Severity::P3, 0)).collect();
        let drill = |id: &str, to: &str, opened| Incident {
            drill: true,
            told: vec![channel(to)],
            ..incident(id, Severity::P4, opened)
        };
        for of in &storm {
            let mut commit = opening(of, &["ops"], 0);
            commit.deliveries[0].together = Some("service=".to_owned());
            commit.deliveries[0].next_attempt_at = second(10);
            kept.store.commit(commit.into()).await.unwrap();
        }
        kept.store.commit(opening(&drill("D", "ops", 1), &["ops"], 1).into()).await.unwrap();
        let ids = |due: Vec<Delivery>| due.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>();
        assert_eq!(ids(kept.store.due_deliveries(second(1), 8).await.unwrap().now), ["D-1-ops"]);
        kept.store.gather(second(10), &BTreeMap::new()).await.unwrap();
        let due = kept.store.due_deliveries(second(10), 8).await.unwrap();
        let (first, others) = due.now.split_last().unwrap();
        let group = kept.store.group(&others[0]).await.unwrap().unwrap();
        assert_eq!((first.id.as_str(), group.size), ("D-1-ops", 20), "it is no part of what is told together");
        assert_eq!(due.grouped, [others[0].id.clone()].into());

        let over = Incident { resolved_at: Some(second(2)), ..drill("D", "ops", 1) };
        kept.store.commit(Commit { incidents: vec![over].into(), ..Commit::default() }.into()).await.unwrap();
        let overview = kept.store.overview(second(0)).await.unwrap();
        assert!(overview.resolved.is_empty() && overview.open.iter().all(|incident| !incident.drill));
        kept.store.commit(opening(&drill("E", "ops", 3), &[], 3).into()).await.unwrap();
        assert_eq!(kept.store.overview(second(0)).await.unwrap().open.len(), 20);
        let story = kept.store.incident(&storm[0].id).await.unwrap().unwrap();
        assert!(story.nearby.iter().all(|incident| !incident.drill));
        assert!(kept.store.load().await.unwrap().incidents.iter().any(|incident| incident.drill && incident.is_open()));
    }

    #[tokio::test]
    async fn a_channel_has_heard_of_an_incident_once_it_has_taken_something() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 0);
        kept.store.commit(opening(&one, &["ops", "team", "sms"], 0).into()).await.unwrap();
        kept.store.commit(opening(&incident("I2", Severity::P1, 0), &[], 0).into()).await.unwrap();
        let said = async || {
            let open = kept.store.overview(second(0)).await.unwrap().hearers;
            let asked = IncidentsAsked { most: 10, ..IncidentsAsked::default() };
            assert_eq!(kept.store.incidents(asked).await.unwrap().hearers, open);
            assert_eq!(open[&IncidentId("I2".into())].to_string(), "nobody was told");
            let told = kept.store.incident(&one.id).await.unwrap().unwrap().hearers;
            assert_eq!(open[&one.id], told);
            told.to_string()
        };
        assert_eq!(said().await, "not yet taken by ops, sms, team");
        let settle = async |channel: &str, settlement: Settlement| {
            let of = delivery(&one, 1, Event::Opened, channel, 0);
            kept.store.settle(&of, settlement).await.unwrap();
        };
        let error = || "refused".to_owned();
        let taken = |at| Settlement::Delivered { at: second(at), receipt: Receipt::default() };
        settle("ops", taken(1)).await;
        settle("team", Settlement::Again { at: second(9), error: error(), plain: false }).await;
        let fallback = Some(delivery(&one, 1, Event::Opened, "post", 2));
        settle("sms", Settlement::Dead { at: second(2), error: error(), fallback }).await;
        assert_eq!(said().await, "told ops; not yet taken by post, team; given up for sms");
        settle("post", taken(3)).await;
        settle("team", Settlement::Merged { at: second(9) }).await;
        assert_eq!(said().await, "told ops, post, team; given up for sms");
    }

    #[tokio::test]
    async fn when_each_channel_was_last_drilled_well_is_known_at_the_next_start() {
        let kept = kept();
        let drill = |id: &str, to: &str| Incident {
            drill: true,
            told: vec![channel(to)],
            ..resolved(&incident(id, Severity::P4, 0), 1)
        };
        let incidents =
            vec![drill("D1", "ops"), drill("D2", "ops"), drill("D3", "ops"), drill("D4", "team"), drill("D5", "sms")];
        let moments = vec![
            moment("D1", 10, "drilled"),
            moment("D2", 20, "drilled"),
            moment("D3", 30, "broken"),
            moment("D4", 40, "drilled"),
            moment("D5", 50, "broken"),
        ];
        kept.store.commit(Commit { incidents: incidents.into(), moments, ..Commit::default() }.into()).await.unwrap();
        let known = kept.store.load().await.unwrap().drilled;
        assert_eq!(known, [(channel("ops"), second(20)), (channel("team"), second(40))].into());
    }

    #[tokio::test]
    async fn an_incident_tells_what_happened_and_what_became_of_each_message() {
        let kept = kept();
        let one = incident("I1", Severity::P1, 60);
        let mut commit = opening(&one, &["dead", "late", "merged", "new", "ok"], 60);
        commit.moments =
            [(60, "opened"), (30, "failed"), (60, "muted")].map(|(at, what)| moment("I1", at, what)).into();
        kept.store.commit(commit.into()).await.unwrap();
        let receipt = Receipt { id: Some("m-1".to_owned()) };
        let error = "503".to_owned();
        for (to, settlement) in [
            ("dead", Settlement::Dead { at: second(70), error: error.clone(), fallback: None }),
            ("late", Settlement::Again { at: second(75), error, plain: false }),
            ("merged", Settlement::Merged { at: second(70) }),
            ("ok", Settlement::Delivered { at: second(70), receipt }),
        ] {
            kept.store.settle(&delivery(&one, 1, Event::Opened, to, 60), settlement).await.unwrap();
        }
        kept.store.commit(resolving(&one, &["ok"], 90).into()).await.unwrap();
        let story = kept.store.incident(&one.id).await.unwrap().unwrap();
        assert_eq!(story.incident, resolved(&one, 90));
        assert_eq!(story.moments.iter().map(|m| m.what.as_str()).collect::<Vec<_>>(), ["failed", "opened", "muted"]);
        let told: Vec<_> = story
            .told
            .iter()
            .map(|told| format!("{} {}: {}", told.channel, told.event.as_str(), told.became))
            .collect();
        assert_eq!(
            told,
            [
                "dead opened: given up after 1 attempt: 503",
                "late opened: waits after 1 attempt, the next not before 2026-11-24 10:01:15 UTC: 503",
                "merged opened: told by the resolve",
                "new opened: waits for its first attempt",
                "ok opened: delivered, 1 attempt (m-1)",
                "ok resolved: waits for its first attempt",
            ]
        );
        assert_eq!(
            story.told.iter().map(|told| told.settled_at).collect::<Vec<_>>()[..3],
            [Some(second(70)), None, Some(second(70))]
        );
        let line: Vec<_> = story.time_line().into_iter().map(|moment| (moment.at, moment.text)).collect();
        assert_eq!(line.len(), 9);
        assert_eq!(line[7], (second(70), "opened to ok: delivered, 1 attempt (m-1)".to_owned()));
        assert_eq!(line[8].0, second(90), "what waits stands where it was committed");
        assert!(kept.store.incident(&incident("I9", Severity::P1, 0).id).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_value_that_cannot_be_read_is_named() {
        let kept = kept();
        kept.store.commit(opening(&incident("I1", Severity::P1, 0), &[], 0).into()).await.unwrap();
        kept.store.tamper(|store| store.execute_batch("UPDATE incidents SET body = '{}'")).await.unwrap();
        assert_eq!(
            kept.store.load().await.unwrap_err().to_string(),
            "the store failed: the column `body` holds what cannot be read: missing field `id` at line 1 column 2"
        );
    }
}
