//! What the pages of incidents, schedules, messages, objectives and Roundsman itself say, pinned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::fixture::{broken, hearers, incident, plan, view, well};
use crate::domain::audit::{AuditRecord, Author, Deed, Who};
use crate::domain::bill::dollars::Dollars;
use crate::domain::figures::Means;
use crate::domain::history::{IncidentsFound, StoreSize};
use crate::domain::incident::{Acknowledgement, Event, Incident, IncidentId, Severity};
use crate::domain::names::ChannelName;
use crate::domain::objective::{Goal, Objective, Percentile, Standing, Standings};
use crate::domain::tally::Count;
use crate::domain::time::Monotonic;
use crate::engine::desk::Condition;
use crate::engine::fanout::Published;
use crate::engine::loadings::Loadings;
use crate::engine::permits::PermitsSeen;
use crate::engine::plan::{Plan, Tokens};
use crate::engine::testing::at;
use crate::engine::vitals::{Part, Seen};
use crate::ports::{
    Delivered, KnownDrill, Notification, Notifier, NotifyError, Overview, PublisherAccount, Receipt, Token,
    Undelivered, UndeliveredRow, Untaken,
};
use crate::web::reckoning::Reckoned;
use crate::web::visit::Visit;
use crate::web::{about, audit, deliveries, incidents, objectives, schedules};

/// A page with a line for each element, so that a change is seen where it is.
fn lines(page: &maud::Markup) -> String {
    page.0.replace("><", ">\n<")
}

/// A channel that is only named.
struct Nobody;

impl Notifier for Nobody {
    fn notify<'a>(&'a self, _: &'a Notification) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        unreachable!("nobody is told anything here")
    }
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).unwrap()
}

/// So many that wait, and so many that were given up.
pub fn undelivered(waiting: u64, given_up: u64) -> Undelivered {
    let row = |number: u64, dead: bool| UndeliveredRow {
        id: format!("M{number}"),
        channel: channel(if number.is_multiple_of(2) { "ops" } else { "pager" }),
        fallback: dead.then(|| channel("team")),
        incident: IncidentId(Arc::from(super::fixture::INCIDENT)),
        event: if dead { Event::Opened } else { Event::Resolved },
        created_at: at("2026-11-24T09:14:31Z"),
        attempts: u32::try_from(number % 4).unwrap(),
        next_attempt_at: (!dead).then(|| at("2026-11-24T09:18:30Z")),
        given_up_at: dead.then(|| at("2026-11-24T09:16:00Z")),
        error: (!number.is_multiple_of(4)).then(|| "503 Service Unavailable".to_owned()),
    };
    let (waits, dead) = ((0..waiting).map(|n| row(n, false)), (waiting..waiting + given_up).map(|n| row(n, true)));
    let mut channels = BTreeMap::<ChannelName, Untaken>::new();
    for row in waits.clone().chain(dead.clone()) {
        let of = channels.entry(row.channel).or_default();
        *(if row.given_up_at.is_some() { &mut of.given_up } else { &mut of.waiting }) += 1;
        of.refused += u64::from(row.given_up_at.is_none() && row.error.is_some());
    }
    Undelivered { rows: waits.take(500).chain(dead.take(500)).collect(), channels }
}

fn taken(of: &str, at_text: &str, drill: bool) -> Delivered {
    Delivered {
        channel: channel(of),
        incident: IncidentId(Arc::from(super::fixture::INCIDENT)),
        drill,
        event: Event::Opened,
        created_at: at("2026-11-24T09:14:31Z"),
        settled_at: at(at_text),
        attempts: 2,
        receipt: Some("202".to_owned()),
    }
}

fn standing(probe: &str, goal: Goal, runs: u64, bad: u64, burn: [Option<f64>; 3]) -> Standing {
    let over = Duration::from_secs(30 * 86_400);
    Standing {
        schedule: "reachability".parse().unwrap(),
        probe: probe.parse().unwrap(),
        objective: Arc::new(Objective::new(goal, over, None, 86_400, None)),
        count: Count { runs, bad },
        burn,
        is_whole: true,
    }
}

/// Objectives of which one is missed, one burns, one is met and one cannot be told.
pub fn worst() -> Standings {
    let success = || Goal::Success("99.95%".parse().unwrap());
    let within = Goal::Within(Percentile::P99, Duration::from_millis(500));
    let standings = vec![
        standing("auth", success(), 80_000, 0, [Some(0.0), Some(0.0), Some(0.0)]),
        standing("api-health", success(), 80_000, 60, [Some(20.0), Some(6.1), Some(2.2)]),
        standing("database", success(), 80_000, 30, [Some(0.0), Some(14.4), Some(2.5)]),
        standing("cache", within, 120, 1, [None; 3]),
    ];
    Standings { at: Some(at("2026-11-24T09:17:01Z")), standings }
}

fn operated() -> Plan {
    let mut plan = plan();
    plan.web.tokens = Tokens::one(Token::Secret("page".parse().unwrap()));
    plan
}

fn visited<'a>(plan: &'a Plan, uri: &str) -> crate::web::view::View<'a> {
    let visit = Visit { uri: uri.parse().unwrap(), user: None };
    crate::web::view::View { visit, ..view(plan) }
}

fn found(wanted: &str, open: Vec<Incident>, past: Vec<Incident>, more: bool) -> incidents::Found {
    let wanted = incidents::Wanted::of(&Visit { uri: wanted.parse().unwrap(), user: None });
    let means = Means::of(&past);
    incidents::Found {
        wanted,
        hearers: hearers(&open),
        open,
        part: IncidentsFound { hearers: hearers(&past), incidents: past, more },
        means,
        is_cut: false,
    }
}

#[test]
fn incidents_are_listed_the_open_ones_first() {
    let plan = plan();
    let mut over = broken().resolved;
    over[0].acknowledged = Some(Acknowledgement { at: at("2026-11-24T09:14:02Z"), by: "ann".to_owned(), note: None });
    let mut all = vec![incident()];
    all.extend(over);
    let found = found("/incidents", vec![incident()], all, true);
    insta::assert_snapshot!(lines(&incidents::incidents(&visited(&plan, "/incidents"), &found)));
}

#[test]
fn incidents_are_listed_part_by_part_and_filtered() {
    let plan = plan();
    let found = found("/incidents?probe=auth&severity=P2&before=I9", Vec::new(), broken().resolved, true);
    let page = incidents::incidents(&view(&plan), &found).0;
    let next = "incidents?probe=auth&amp;severity=P2&amp;before=01KB2GHAAN0000000000000000";
    assert!(page.contains(&format!(r#"rel="next" href="{next}""#)), "{page}");
    assert!(page.contains(r#"<option value="P2" selected>"#) && page.contains(r#"value="auth""#), "{page}");
    assert!(page.contains(r#"<a class="btn" href="incidents">Latest</a>"#) && page.contains("earlier ones"), "{page}");
    let wanted = |uri: &str| incidents::Wanted::of(&Visit { uri: uri.parse().unwrap(), user: None });
    assert_eq!(wanted("/incidents?probe=&severity=P9&before=&x=1"), incidents::Wanted::default());
    assert_eq!(wanted(&format!("/incidents?before={}", "a".repeat(65))).after, None);
}

#[test]
fn what_never_happened_is_said_in_a_sentence() {
    let plan = crate::engine::testing::plan_of(Vec::new());
    let view = view(&plan);
    let found = |uri: &str| found(uri, Vec::new(), Vec::new(), false);
    for (page, sentence) in [
        (incidents::incidents(&view, &found("/incidents")).0, "No incident is on record."),
        (incidents::incidents(&view, &found("/incidents?probe=a")).0, "No such incident is on record."),
        (schedules::schedules(&view, &(Arc::new(Overview::default()), BTreeMap::new())).0, "There is no schedule."),
        (deliveries::deliveries(&view, &deliveries::Found::default()).0, "Nobody is told of anything."),
        (deliveries::deliveries(&view, &deliveries::Found::default()).0, "There is no channel: write some under"),
        (objectives::objectives(&view, &Standings::default()).0, "Nobody has looked yet."),
        (
            objectives::objectives(&view, &Standings { at: Some(view.now), standings: Vec::new() }).0,
            "No schedule has an objective.",
        ),
    ] {
        assert!(page.contains(sentence), "{sentence} is not on {page}");
        assert!(!page.contains("<table"), "{page}");
    }
}

fn permits(waiting: usize) -> BTreeMap<crate::domain::names::ScheduleName, PermitsSeen> {
    ["reachability", "journeys", "hourly"]
        .map(|name| (name.parse().unwrap(), PermitsSeen { most: 256, used: 3, waiting }))
        .into()
}

#[test]
fn schedules_say_when_they_run_what_became_of_their_slots_and_who_hears() {
    let mut plan = plan();
    let hourly = plan.schedules.get_mut("hourly").and_then(Arc::get_mut).unwrap();
    hourly.cadence =
        crate::domain::schedule::Cadence::cron("30 2 * * 2-4", chrono_tz::Europe::Berlin, at("2026-11-24T09:00:00Z"))
            .unwrap();
    hourly.alert = None;
    let found = (Arc::new(broken()), permits(0));
    insta::assert_snapshot!(lines(&schedules::schedules(&view(&plan), &found)));
}

#[test]
fn runs_that_wait_for_a_permit_come_first() {
    let plan = plan();
    let page = schedules::schedules(&view(&plan), &(Arc::new(well()), permits(2))).0;
    assert!(page.contains("6 runs wait for a permit.") && page.contains("3 of 256 in use, 2 runs wait"), "{page}");
}

fn drill(of: &str, passed: Option<bool>, said: &str) -> KnownDrill {
    let incident = IncidentId(Arc::from("01KB2GHAAN000000000000DR1L"));
    KnownDrill { channel: channel(of), incident, at: at("2026-11-23T08:00:00Z"), passed, said: said.to_owned() }
}

#[test]
fn messages_are_listed_by_what_becomes_of_them() {
    let mut plan = operated();
    for name in ["ops", "pager", "team"] {
        plan.channels.insert(channel(name), Arc::new(Nobody));
    }
    let found = deliveries::Found {
        undelivered: undelivered(3, 2),
        delivered: vec![taken("ops", "2026-11-24T09:14:33Z", false), taken("team", "2026-11-24T09:14:40Z", true)],
        drills: vec![
            drill("ops", Some(true), "every hop was well"),
            drill("team", Some(false), "opened, delivered: 503"),
        ],
    };
    insta::assert_snapshot!(lines(&deliveries::deliveries(&view(&plan), &found)));
}

#[test]
fn where_no_message_ever_was_none_is_called_taken() {
    let mut plan = plan();
    plan.channels.insert(channel("ops"), Arc::new(Nobody));
    let page = deliveries::deliveries(&view(&plan), &deliveries::Found::default()).0;
    assert!(page.contains(r#"<span class="unk"></span>No message is on record."#), "{page}");
    let delivered = vec![taken("ops", "2026-11-24T09:14:33Z", false)];
    let page = deliveries::deliveries(&view(&plan), &deliveries::Found { delivered, ..Default::default() }).0;
    assert!(page.contains(r#"<span class="ok"></span>Every message was taken."#), "{page}");
}

#[test]
fn of_what_nobody_saw_no_budget_is_left() {
    let plan = plan();
    let unseen = standing("cache", Goal::Success("99.95%".parse().unwrap()), 0, 0, [None; 3]);
    let page = objectives::objectives(
        &view(&plan),
        &Standings { at: Some(at("2026-11-24T09:17:01Z")), standings: vec![unseen] },
    )
    .0;
    assert!(page.contains("0 bad of 0 runs") && page.contains(r#"<td data-th="budget left">–</td>"#), "{page}");
    assert!(page.contains("No objective is missed: 1 cannot be judged yet."), "{page}");
}

#[test]
fn what_may_change_is_read_anew_and_what_lies_in_the_past_is_not() {
    let plan = plan();
    let refreshes = |page: maud::Markup| page.0.contains(r#"http-equiv="refresh" content="10""#);
    let page =
        |uri: &str| incidents::incidents(&visited(&plan, uri), &found(uri, Vec::new(), broken().resolved, false));
    assert!(refreshes(page("/incidents")) && refreshes(page("/incidents?probe=auth")));
    assert!(!refreshes(page("/incidents?before=I9")));
    assert!(refreshes(about::about(&view(&plan), &ourselves())));
}

#[test]
fn hundreds_of_rows_are_bounded_and_it_is_said() {
    let plan = operated();
    let view = view(&plan);
    let rows = deliveries::Found { undelivered: undelivered(900, 700), ..deliveries::Found::default() };
    let page = deliveries::deliveries(&view, &rows).0;
    assert_eq!(page.matches("<tr>").count(), 2 * 101);
    assert!(page.contains("and 600 messages more") && page.contains("and 800 messages more"), "{page}");

    let many = Standings { at: Some(view.now), standings: vec![worst().standings[0].clone(); 500] };
    let page = objectives::objectives(&view, &many).0;
    assert!(page.matches("<tr>").count() == 201 && page.contains("and 300 objectives more, none of them worse"));

    let page = incidents::incidents(&view, &found("/incidents", vec![incident(); 300], Vec::new(), false)).0;
    assert!(page.matches("<tr>").count() == 101 && page.contains("and 200 incidents more"));

    let tiers = (0..300).map(|n| crate::engine::testing::schedule_of(&format!("tier-{n}"), "30s", 40)).collect();
    let plan = crate::engine::testing::plan_of(tiers);
    let page = schedules::schedules(&super::fixture::view(&plan), &(Arc::default(), BTreeMap::new())).0;
    assert!(page.contains("and 100 schedules more") && page.contains("and 28 more"), "{}", &page[..4_000]);
}

#[test]
fn objectives_are_listed_the_worst_first() {
    let plan = plan();
    insta::assert_snapshot!(lines(&objectives::objectives(&view(&plan), &worst())));
}

fn ourselves() -> about::Found {
    let loadings = Loadings::default();
    loadings.begin(std::path::Path::new("/etc/shop"), at("2026-11-20T08:00:00Z"));
    loadings
        .take(vec!["probe home changed".to_owned(), "schedule nightly added".to_owned()], at("2026-11-24T08:30:00Z"));
    loadings.refuse(
        vec!["probes/shop.yaml:3:1: unknown key `exepct` (did you mean `expect`?)".to_owned()],
        at("2026-11-24T09:00:00Z"),
    );
    let seen = |seconds: u64, waits| Seen { count: 9, last: Monotonic(Duration::from_secs(seconds)), waits };
    let account = PublisherAccount { delivered: 120_000, waiting: 40, spooled: 1_200, dropped: 3 };
    let trouble = Some("the endpoint refused the connection".to_owned());
    about::Found {
        loading: loadings.known(),
        size: StoreSize { bytes: 152_000_000, runs: 2_400_000, oldest: Some(at("2026-10-24T09:00:00Z")) },
        condition: Condition {
            at: Monotonic(Duration::from_secs(1_000)),
            parts: vec![
                (Part::Scheduler, seen(999, false)),
                (Part::Dispatcher, seen(1_000, false)),
                (Part::Deliverer, seen(100, true)),
                (Part::Commits, Seen::default()),
                (Part::Outbox, seen(998, false)),
            ],
            publishers: vec![
                (
                    "cloudwatch",
                    Published { account, queued: 10, delivered_at: Some(at("2026-11-24T09:10:00Z")), trouble },
                ),
                ("prometheus", Published::default()),
            ],
        },
        reckoned: Arc::new(Ok(Reckoned {
            series: BTreeMap::from([("cloudwatch", 54), ("prometheus", 210)]),
            bill: Dollars(23.4),
            services: vec![("cloudwatch".to_owned(), Dollars(20.0)), ("lambda".to_owned(), Dollars(3.4))],
            budgets: vec![("total".to_owned(), Dollars(20.0), Dollars(23.4))],
            prices: ("us-east-1".to_owned(), "2026-11-01".to_owned()),
        })),
        process: crate::web::process::Process {
            resident: Some(71_180_288),
            resident_max: Some(90_000_000),
            threads: Some(7),
        },
    }
}

#[test]
fn roundsman_says_how_it_is_itself() {
    let plan = plan();
    let page = lines(&about::about(&view(&plan), &ourselves()));
    let page = page.replace(&std::process::id().to_string(), "[pid]");
    insta::assert_snapshot!(page);
}

#[test]
fn a_loop_that_stands_still_comes_first() {
    let plan = plan();
    let mut found = ourselves();
    found.condition.parts[2].1.waits = false;
    let page = about::about(&view(&plan), &found).0;
    assert!(page.contains(r#"<span class="bad">The deliverer does not go on.</span>"#), "{page}");
}

fn record(number: usize, text: &str) -> AuditRecord {
    let author = Author { who: Who::User(Arc::from(text)), by: Some(text.to_owned()), from: "192.0.2.7".parse().ok() };
    let texts = ["nobody had it".to_owned(), format!("taken on: {text}")];
    let id = format!("A{number}");
    AuditRecord::new(&id, at("2026-11-24T09:15:00Z"), author, Deed::Acknowledge, text.to_owned(), texts)
}

#[test]
fn changes_are_listed_part_by_part() {
    let plan = plan();
    let found =
        |count: usize, is_first| audit::Found { records: (0..count).map(|n| record(n, "ann")).collect(), is_first };
    insta::assert_snapshot!(lines(&audit::audit(&view(&plan), &found(1, true))));
    let page = audit::audit(&view(&plan), &found(101, true)).0;
    assert!(page.contains(r#"href="audit?before=A99""#) && page.matches("<tr>").count() == 101, "{page}");
    let page = audit::audit(&view(&plan), &found(0, true)).0;
    assert!(page.contains("Nobody has changed anything.") && !page.contains("<table"), "{page}");
    assert!(audit::audit(&view(&plan), &found(3, false)).0.contains(r#"<a class="btn" href="audit">Latest</a>"#));
}

/// Every page with a text in every place where somebody else may have written it.
pub fn hostile(text: &str) -> Vec<String> {
    let plan = {
        let mut plan = operated();
        plan.site = text.to_owned();
        plan.location = Arc::from(text);
        plan
    };
    let view = view(&plan);
    let mut said = incident();
    said.resolved_because = Some(text.to_owned());
    said.acknowledged = Some(Acknowledgement { at: view.now, by: text.to_owned(), note: None });
    Arc::make_mut(&mut said.latest_failures)[0].message = text.to_owned();
    said.labels.insert("note".to_owned(), text.to_owned());
    let mut over = said.clone();
    (over.resolved_at, over.severity) = (Some(view.now), Severity::P3);
    let mut wanted = found("/incidents", vec![said.clone()], vec![over], true);
    wanted.wanted.probe = text.to_owned();
    let mut messages = undelivered(3, 2);
    messages.rows.iter_mut().for_each(|row| row.error = Some(text.to_owned()));
    let mut taken = taken("ops", "2026-11-24T09:14:33Z", false);
    taken.receipt = Some(text.to_owned());
    let found = deliveries::Found {
        undelivered: messages,
        delivered: vec![taken],
        drills: vec![drill("ops", Some(false), &format!("x{text}"))],
    };
    let mut us = ourselves();
    let loadings = Loadings::default();
    loadings.begin(std::path::Path::new(&format!("/{text}")), view.now);
    loadings.take(vec![text.to_owned()], view.now);
    loadings.refuse(vec![text.to_owned()], view.now);
    us.loading = loadings.known();
    us.condition.publishers[0].1.trouble = Some(text.to_owned());
    let mut unknown = ourselves();
    unknown.reckoned = Arc::new(Err(text.to_owned()));
    let mut overview = broken();
    let silence = crate::domain::quiet::Silence {
        id: crate::domain::quiet::SilenceId(Arc::from("S1")),
        matchers: crate::domain::quiet::Matchers { probes: vec!["*".to_owned()], ..Default::default() },
        by: text.to_owned(),
        reason: text.to_owned(),
        from: view.now,
        until: at("2026-11-24T10:10:00Z"),
    };
    overview.silences = vec![silence];
    vec![
        incidents::incidents(&view, &wanted).0,
        schedules::schedules(&view, &(Arc::new(overview), permits(0))).0,
        deliveries::deliveries(&view, &found).0,
        about::about(&view, &us).0,
        about::about(&view, &unknown).0,
        crate::web::silence::of_incident(&view, &said).0,
        audit::audit(&view, &audit::Found { records: vec![record(1, text)], is_first: true }).0,
    ]
}
