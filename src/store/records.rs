//! What a commit writes. Things are known by our ids, so that one that comes a second time changes nothing; only counts of
//! slots add up.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::columns::{count, json, length, micros};
use super::{audits, bundles, outbox};
use crate::domain::flapping::Flap;
use crate::domain::grading::Recent;
use crate::domain::incident::{Incident, Moment, Version};
use crate::domain::judge::{AlertKey, AlertState};
use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::outcome::{Extra, Run, SlotAccount, SlotOutcome};
use crate::domain::pause::Pause;
use crate::domain::pulse::{Pulse, TokenDigest};
use crate::domain::quiet::Silence;
use crate::ports::Commit;

/// Writes all of a commit.
pub fn write(connection: &Connection, commit: &Commit) -> Result<()> {
    let Commit {
        runs,
        accounts,
        states,
        incidents,
        moments,
        deliveries,
        versions,
        bundles,
        pulses,
        silences,
        pauses,
        flaps,
        diagnoses,
        recents,
        replies,
        audits: changes,
    } = commit;
    versions.iter().try_for_each(|version| write_version(connection, version))?;
    runs.iter().try_for_each(|run| write_run(connection, run))?;
    let mut last = last_runs(runs);
    for (of, account) in accounts {
        write_account(connection, account, last.remove(&(&of.0, &of.1)))?;
    }
    last.into_iter().try_for_each(|(of, run)| write_last_run(connection, of, run))?;
    states.iter().try_for_each(|(key, state)| write_state(connection, key, state))?;
    incidents.iter().try_for_each(|incident| write_incident(connection, incident))?;
    moments.iter().try_for_each(|moment| write_moment(connection, moment))?;
    deliveries.iter().try_for_each(|delivery| outbox::write(connection, delivery))?;
    bundles.iter().try_for_each(|bundle| bundles::write(connection, bundle))?;
    silences.iter().try_for_each(|silence| write_silence(connection, silence))?;
    pauses.iter().try_for_each(|pause| write_pause(connection, pause))?;
    flaps.iter().try_for_each(|(key, flap)| write_flap(connection, key, flap))?;
    recents.iter().try_for_each(|(of, recent)| write_recent(connection, of, recent))?;
    diagnoses.iter().try_for_each(|diagnosis| super::diagnoses::write(connection, diagnosis))?;
    replies.iter().try_for_each(|reply| super::replies::write(connection, reply))?;
    changes.iter().try_for_each(|record| audits::write(connection, record))?;
    pulses.iter().try_for_each(|(token, pulse)| write_pulse(connection, *token, pulse))
}

/// A slot is served once at a location. When a clock that was set back brings it again, the later run stands, because that
/// is what was seen last.
fn write_run(connection: &Connection, run: &Run) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO runs (id, schedule, probe, location, slot, due_at, started_at, duration, lateness, verdict, why, steps, extra)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
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
        run.extra.map(Extra::as_str),
    ])?;
    Ok(())
}

/// Of each probe of each schedule the run that started last.
fn last_runs(runs: &[Run]) -> HashMap<(&ScheduleName, &ProbeName), &Run> {
    let mut last: HashMap<_, &Run> = HashMap::with_capacity(runs.len());
    for run in runs {
        let Some(schedule) = &run.schedule else { continue };
        let known = last.entry((schedule, &run.probe)).or_insert(run);
        if known.started_at < run.started_at {
            *known = run;
        }
    }
    last
}

/// For a run whose slot has no account in this commit.
fn write_last_run(connection: &Connection, of: (&ScheduleName, &ProbeName), run: &Run) -> Result<()> {
    let mut update = connection.prepare_cached("UPDATE slots SET last_run = ?3 WHERE schedule = ?1 AND probe = ?2")?;
    update.execute(params![of.0.as_str(), of.1.as_str(), &*run.id.0])?;
    Ok(())
}

/// The latest account stands, also where it goes back: then the clock was set back, and counting goes on from there.
fn write_account(connection: &Connection, account: &SlotAccount, last_run: Option<&Run>) -> Result<()> {
    let of = |wanted: SlotOutcome| {
        count(account.counts.iter().filter(|(outcome, _)| *outcome == wanted).map(|(_, count)| count).sum())
    };
    let mut upsert = connection.prepare_cached(
        "INSERT INTO slots (schedule, probe, through, ran, skipped, saturated, paused, gap, last_run)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (schedule, probe) DO UPDATE SET
             through = excluded.through, ran = ran + excluded.ran, skipped = skipped + excluded.skipped,
             saturated = saturated + excluded.saturated, paused = paused + excluded.paused, gap = gap + excluded.gap,
             last_run = coalesce(excluded.last_run, last_run)",
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
        last_run.map(|run| &*run.id.0),
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

/// What has not come and gone for long is nothing to keep.
fn write_flap(connection: &Connection, key: &AlertKey, flap: &Flap) -> Result<()> {
    let AlertKey { schedule, probe, aspect } = key;
    let of = (schedule.as_str(), probe.as_str(), aspect.as_str());
    if flap.is_forgotten() {
        let mut delete =
            connection.prepare_cached("DELETE FROM flaps WHERE schedule = ?1 AND probe = ?2 AND aspect = ?3")?;
        delete.execute(of)?;
        return Ok(());
    }
    let mut replace = connection
        .prepare_cached("INSERT OR REPLACE INTO flaps (schedule, probe, aspect, flap) VALUES (?1, ?2, ?3, ?4)")?;
    replace.execute(params![of.0, of.1, of.2, json(flap)?])?;
    Ok(())
}

/// Where none of the last runs failed there is nothing to keep.
fn write_recent(connection: &Connection, of: &(ScheduleName, ProbeName), recent: &Recent) -> Result<()> {
    let of = (of.0.as_str(), of.1.as_str());
    if recent.is_forgotten() {
        let mut delete = connection.prepare_cached("DELETE FROM recents WHERE schedule = ?1 AND probe = ?2")?;
        delete.execute(of)?;
        return Ok(());
    }
    let mut replace =
        connection.prepare_cached("INSERT OR REPLACE INTO recents (schedule, probe, recent) VALUES (?1, ?2, ?3)")?;
    replace.execute(params![of.0, of.1, json(recent)?])?;
    Ok(())
}

fn write_version(connection: &Connection, version: &Version) -> Result<()> {
    let mut replace = connection.prepare_cached(
        "INSERT OR REPLACE INTO versions (probe, step, version, since, before) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let Version { probe, step, version, since, before } = version;
    replace.execute(params![probe.as_str(), step.as_str(), version, micros(*since), before])?;
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

fn write_silence(connection: &Connection, silence: &Silence) -> Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO silences (id, ends_at, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at, body = excluded.body",
    )?;
    upsert.execute(params![&*silence.id.0, micros(silence.until), json(silence)?])?;
    Ok(())
}

fn write_pause(connection: &Connection, pause: &Pause) -> Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO pauses (id, ended_at, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, body = excluded.body",
    )?;
    let ended_at = pause.ended.as_ref().map(|ended| micros(ended.at));
    upsert.execute(params![&*pause.id.0, ended_at, json(pause)?])?;
    Ok(())
}

fn write_pulse(connection: &Connection, token: TokenDigest, pulse: &Pulse) -> Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO pulses (token, pulse) VALUES (?1, ?2) ON CONFLICT (token) DO UPDATE SET pulse = excluded.pulse",
    )?;
    upsert.execute(params![token.to_string(), json(pulse)?])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::domain::flapping::Flap;
    use crate::domain::grading::Recent;
    use crate::domain::incident::{Event, Severity, Version};
    use crate::domain::judge::AlertState;
    use crate::domain::names::StepName;
    use crate::domain::outcome::{Extra, Run, RunId, SlotAccount, SlotOutcome};
    use crate::domain::pause::{Because, Ended, Pause, PauseId, Scope};
    use crate::domain::pulse::{Pulse, TokenDigest};
    use crate::domain::quiet::{Matchers, Silence, SilenceId};
    use crate::ports::{Commit, StatusReader as _, Store as _};
    use crate::store::testing::{
        Kept, accounts, delivery, incident, kept, key, moment, probe, resolved, run, schedule, second,
    };

    fn account(through: i64, counts: &[(SlotOutcome, u64)]) -> SlotAccount {
        SlotAccount {
            schedule: schedule("tier"),
            probe: probe("api"),
            through: second(through),
            counts: counts.to_vec(),
        }
    }

    fn token(number: u8) -> TokenDigest {
        TokenDigest([number; 32])
    }

    #[tokio::test]
    async fn a_run_off_the_slots_takes_the_place_of_none() {
        let kept = kept();
        let extra = |slot| Run { id: RunId("extra".into()), extra: Some(Extra::Recheck), ..run("api", slot) };
        let runs = vec![run("api", 30), extra(30), Run { id: RunId("again".into()), ..run("api", 30) }];
        let accounts = accounts([account(30, &[(SlotOutcome::Ran, 1)])]);
        kept.store.commit(Commit { runs, accounts, ..Commit::default() }.into()).await.unwrap();
        assert_eq!(kept.number("SELECT count(*) FROM runs"), 2, "the slot was served twice, and the later run stands");
        kept.store.commit(Commit { runs: vec![extra(31)], ..Commit::default() }.into()).await.unwrap();
        let last = kept.store.overview(second(0)).await.unwrap().last;
        assert_eq!(last.values().next().and_then(|run| run.extra), Some(Extra::Recheck));
    }

    fn firing() -> AlertState {
        AlertState::Firing { since: second(0), passes: 1 }
    }

    fn whole() -> Commit {
        let one = incident("I1", Severity::P1, 60);
        Commit {
            runs: vec![run("api", 0), run("api", 30)],
            accounts: accounts([
                account(0, &[(SlotOutcome::Ran, 1)]),
                account(60, &[(SlotOutcome::Ran, 1), (SlotOutcome::Skipped, 1)]),
            ]),
            states: [(key("api"), firing()), (key("well"), AlertState::Healthy)].into(),
            deliveries: vec![delivery(&one, 1, Event::Opened, "ops", 60)],
            incidents: vec![one].into(),
            moments: vec![moment("I1", 60, "opened"), moment("I1", 60, "muted"), moment("I1", 30, "failed")],
            versions: vec![version("1.0.0", None), version("1.1.0", Some("1.0.0"))],
            bundles: Vec::new(),
            flaps: [(key("api"), flap()), (key("gone"), Flap::default())].into(),
            diagnoses: Vec::new(),
            recents: [
                ((schedule("tier"), probe("api")), recent()),
                ((schedule("tier"), probe("gone")), Recent::default()),
            ]
            .into(),
            replies: Vec::new(),
            audits: Vec::new(),
            silences: vec![silence("S1", 900), silence("S2", 900), silence("S2", 60)],
            pauses: vec![pause("P2", false), pause("P1", false), pause("P2", true), pause("P3", false)],
            pulses: vec![(token(1), Pulse::since(second(0))), (token(2), Pulse::since(second(1)))],
        }
    }

    fn recent() -> Recent {
        let mut recent = Recent::default();
        for bad in [true, false, true] {
            recent.take(bad, 9);
        }
        recent
    }

    fn flap() -> Flap {
        Flap { openings: [second(1), second(2)].into(), since: Some(second(2)), ..Flap::default() }
    }

    fn pause(id: &str, is_over: bool) -> Pause {
        Pause {
            id: PauseId(id.into()),
            what: Scope::parse("api*").unwrap(),
            by: "ann".to_owned(),
            reason: "a new disk".to_owned(),
            from: second(0),
            until: None,
            ended: is_over.then(|| Ended { at: second(60), because: Because::Resumed }),
        }
    }

    fn silence(id: &str, until: i64) -> Silence {
        Silence {
            id: SilenceId(id.into()),
            matchers: Matchers { probes: vec!["api*".to_owned()], ..Matchers::default() },
            by: "ann".to_owned(),
            reason: "a new disk".to_owned(),
            from: second(0),
            until: second(until),
        }
    }

    fn version(version: &str, before: Option<&str>) -> Version {
        Version {
            probe: probe("api"),
            step: StepName::parse("http").unwrap(),
            version: version.to_owned(),
            since: second(30),
            before: before.map(str::to_owned),
        }
    }

    fn counts(kept: &Kept) -> [i64; 6] {
        ["runs", "slots", "alert_states", "incidents", "moments", "outbox"]
            .map(|table| kept.number(&format!("SELECT count(*) FROM {table}")))
    }

    #[tokio::test]
    async fn the_next_process_goes_on_where_this_one_was() {
        let mut kept = kept();
        kept.store.commit(whole().into()).await.unwrap();
        let closed = incident("I0", Severity::P1, 1);
        let pulses = vec![(token(2), Pulse { pings: 7, ..Pulse::since(second(1)) })];
        let closed =
            Commit { incidents: vec![closed.clone(), resolved(&closed, 9)].into(), pulses, ..Commit::default() };
        kept.store.commit(closed.into()).await.unwrap();
        kept.reopen().await;
        let loaded = kept.store.load().await.unwrap();
        assert_eq!(loaded.states, [(key("api"), firing())]);
        assert_eq!(loaded.incidents, [incident("I1", Severity::P1, 60)]);
        assert_eq!(loaded.versions, [version("1.1.0", Some("1.0.0"))], "the last that was seen");
        assert_eq!(loaded.silences, [silence("S2", 60), silence("S1", 900)], "S2 was ended sooner");
        assert_eq!(loaded.pauses, [pause("P1", false), pause("P3", false)], "P2 is over");
        assert_eq!(loaded.flaps, [(key("api"), flap())]);
        assert_eq!(loaded.recents, [((schedule("tier"), probe("api")), recent())]);
        assert_eq!(loaded.accounted, [(schedule("tier"), probe("api"), second(60))]);
        let pulses: Vec<_> = loaded.pulses.iter().map(|(token, pulse)| (*token, pulse.pings)).collect();
        assert_eq!(pulses, [(token(1), 0), (token(2), 7)]);
        kept.store
            .commit(Commit { states: [(key("api"), AlertState::Healthy)].into(), ..Commit::default() }.into())
            .await
            .unwrap();
        assert!(kept.store.load().await.unwrap().states.is_empty());
    }

    #[tokio::test]
    async fn slots_add_up_and_counting_goes_on_where_the_clock_says() {
        let kept = kept();
        for account in
            [account(60, &[(SlotOutcome::Ran, 2)]), account(30, &[(SlotOutcome::Ran, 1), (SlotOutcome::Gap, 3)])]
        {
            kept.store.commit(Commit { accounts: accounts([account]), ..Commit::default() }.into()).await.unwrap();
        }
        assert_eq!(kept.number("SELECT ran * 10 + gap FROM slots"), 33);
        assert_eq!(kept.store.load().await.unwrap().accounted[0].2, second(30));
    }

    #[tokio::test]
    async fn what_comes_twice_is_kept_once() {
        let kept = kept();
        kept.store.commit(whole().into()).await.unwrap();
        assert_eq!(counts(&kept), [2, 1, 1, 1, 3, 1]);
        kept.store.commit(Commit { accounts: accounts([]), ..whole() }.into()).await.unwrap();
        assert_eq!(counts(&kept), [2, 1, 1, 1, 3, 1]);
    }

    #[tokio::test]
    async fn a_slot_is_served_once_at_each_location() {
        let kept = kept();
        let mut second_run = run("api", 0);
        second_run.id.0 = "other".into();
        let mut elsewhere = second_run.clone();
        (elsewhere.id.0, elsewhere.location) = ("elsewhere".into(), "there".into());
        let mut asked_for = [second_run.clone(), second_run.clone()];
        for (asked, id) in asked_for.iter_mut().zip(["asked-1", "asked-2"]) {
            (asked.id.0, asked.schedule) = (id.into(), None);
        }
        let mut runs = vec![run("api", 0), second_run, elsewhere];
        runs.extend(asked_for);
        kept.store.commit(Commit { runs, ..Commit::default() }.into()).await.unwrap();
        assert_eq!(kept.number("SELECT count(*) FROM runs"), 4);
        assert_eq!(kept.number("SELECT count(*) FROM runs WHERE id = 'other'"), 1, "the later one stands");
    }
}
