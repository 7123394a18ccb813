//! The commands: each prints one document to standard output, and to standard error what is not in it.

use std::path::Path;

use clap::Subcommand;
use serde_json::Value;

use super::alarms::{About, Alarms, Unmade, alarms};
use super::dashboard;
use super::estate::estate;
use super::place::Place;
use super::policy;
use super::template::{Parts, template};
use crate::app::answer::{Answer, Output, Stop, say};
use crate::app::wiring;
use crate::config::load::Surroundings;
use crate::domain::blueprint::Estate;
use crate::domain::text::thousands;
use crate::engine::plan::Plan;

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Document {
    /// A template of CloudFormation: the dashboard, the alarms and the policy. `aws cloudformation deploy` applies it.
    Cloudformation,
    /// The dashboard alone: what `aws cloudwatch put-dashboard` takes as its body.
    Dashboard,
    /// The alarms alone: a list of what `aws cloudwatch put-metric-alarm --cli-input-json` takes, one by one.
    Alarms,
    /// The policy alone: what the credentials of the daemon have to be allowed.
    Policy,
}

/// Prints a document. It depends on the files alone: not on the time, this machine or its credentials.
pub fn print(directory: &Path, surroundings: &Surroundings, what: Document) -> Result<Answer, Stop> {
    let plan = wiring::plan(directory, surroundings)?;
    let printed = made(&plan, what)?;
    for note in &printed.notes {
        say(&format!("note: {note}"));
    }
    Output::default().line(format_args!("{:#}", printed.document))?;
    Ok(Answer::Well)
}

/// A document, and what whoever reads it has to know.
#[derive(Debug)]
pub struct Printed {
    /// The document.
    pub document: Value,
    /// What is not in it, and why.
    pub notes: Vec<String>,
}

/// The document of a plan.
pub fn made(plan: &Plan, what: Document) -> Result<Printed, Stop> {
    if what == Document::Policy {
        return Ok(of_policy(plan));
    }
    let place = Place::of(plan)?;
    let place = if what == Document::Cloudformation { place.in_stack() } else { place };
    let estate = estate(plan, &place.region);
    let alarms = alarms(plan, &place, &estate);
    match what {
        Document::Cloudformation => of_template(plan, &place, &estate, &alarms),
        Document::Dashboard => of_dashboard(plan, &place, &estate, &alarms),
        Document::Alarms | Document::Policy => Ok(of_alarms(&alarms)),
    }
}

fn of_policy(plan: &Plan) -> Printed {
    let statements = policy::statements(plan);
    let document = policy::document(&statements);
    let length = document.to_string().len();
    let mut notes = Vec::new();
    if statements.is_empty() {
        notes.push("nothing is asked of AWS, so nothing has to be allowed".to_owned());
    }
    if length > policy::CHARACTERS_MAX {
        let (length, most) = (thousands(length as u64), thousands(policy::CHARACTERS_MAX as u64));
        let several = "`roundsman aws cloudformation` makes several of it";
        notes.push(format!("the policy has {length} characters and a managed policy {most} at most: {several}"));
    }
    Printed { document, notes }
}

fn of_alarms(alarms: &Alarms) -> Printed {
    let mut notes = unmade(alarms);
    if alarms.made.iter().any(|alarm| alarm.about == About::DeadMan && alarm.actions.is_empty()) {
        notes.push(
            "the alarm on the heartbeat tells nobody: write the ARN of a topic under `alarms.dead_man`".to_owned(),
        );
    }
    let document = alarms.made.iter().map(super::alarms::Alarm::to_input).collect();
    Printed { document, notes }
}

fn of_dashboard(plan: &Plan, place: &Place, estate: &Estate, alarms: &Alarms) -> Result<Printed, Stop> {
    let document = dashboard::dashboard(plan, place, estate, &alarms.made)?;
    let mut notes = unpublished(place);
    if place.alarm_arns.is_none() && !alarms.made.is_empty() {
        notes.push(
            "alarms are not on the dashboard: they are named by the account, `account` under `estate`".to_owned(),
        );
    }
    Ok(Printed { document, notes })
}

fn of_template(plan: &Plan, place: &Place, estate: &Estate, alarms: &Alarms) -> Result<Printed, Stop> {
    let dashboard = dashboard::dashboard(plan, place, estate, &alarms.made)?;
    let parts = Parts {
        site: &plan.site,
        dashboard_name: &dashboard::name(plan),
        dashboard: &dashboard,
        alarms: &alarms.made,
        statements: &policy::statements(plan),
    };
    let notes = [unpublished(place), unmade(alarms)].concat();
    Ok(Printed { document: template(&parts)?, notes })
}

fn unpublished(place: &Place) -> Vec<String> {
    let nobody = "nobody publishes the metrics of probes: write `publish: { cloudwatch: {} }`";
    (!place.is_published).then(|| nobody.to_owned()).into_iter().collect()
}

/// What there is no alarm on, that which has one reason together.
fn unmade(alarms: &Alarms) -> Vec<String> {
    let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
    for Unmade { what, why } in &alarms.unmade {
        match by_reason.iter_mut().find(|(known, _)| known == why) {
            Some((_, whats)) => whats.push(what),
            None => by_reason.push((why, vec![what])),
        }
    }
    by_reason.iter().map(|(why, whats)| format!("there is no alarm on {}: {why}", whats.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::aws::testing::{PROBES, ROOT, SCHEDULES, plan, shop};

    fn text(plan: &Plan, what: Document) -> String {
        let printed = made(plan, what).unwrap();
        let notes: Vec<_> = printed.notes.iter().map(|note| format!("note: {note}\n")).collect();
        format!("{}{:#}", notes.concat(), printed.document)
    }

    #[test]
    fn each_document_is_as_it_was() {
        let plan = shop();
        insta::assert_snapshot!("alarms", text(&plan, Document::Alarms));
        insta::assert_snapshot!("policy", text(&plan, Document::Policy));
        insta::assert_snapshot!("dashboard", text(&plan, Document::Dashboard));
        insta::assert_snapshot!("cloudformation", text(&plan, Document::Cloudformation));
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        for what in [Document::Alarms, Document::Policy, Document::Dashboard, Document::Cloudformation] {
            assert_eq!(text(&shop(), what), text(&shop(), what));
        }
    }

    #[test]
    fn what_is_not_there_is_told() {
        let quiet = plan("estate: { region: eu-west-1 }", PROBES, SCHEDULES);
        let notes = |plan: &Plan, what| made(plan, what).unwrap().notes;
        assert_eq!(
            notes(&quiet, Document::Alarms),
            ["there is no alarm on the heartbeat: nothing publishes a heartbeat: write `publish: { cloudwatch: {} }`"]
        );
        let unpublished = "nobody publishes the metrics of probes: write `publish: { cloudwatch: {} }`";
        assert_eq!(notes(&quiet, Document::Dashboard), [unpublished]);
        let mute = plan("publish: { cloudwatch: { region: eu-west-1 } }", PROBES, SCHEDULES);
        assert_eq!(
            notes(&mute, Document::Alarms),
            ["the alarm on the heartbeat tells nobody: write the ARN of a topic under `alarms.dead_man`"]
        );
        assert_eq!(
            notes(&mute, Document::Dashboard),
            ["alarms are not on the dashboard: they are named by the account, `account` under `estate`"]
        );
        let asks_nothing = plan("", "a: { http: \"https://a.example\" }", "s: { every: 1m, probes: [a] }");
        assert_eq!(notes(&asks_nothing, Document::Policy), ["nothing is asked of AWS, so nothing has to be allowed"]);
        let nowhere = made(&asks_nothing, Document::Dashboard).unwrap_err().to_string();
        assert_eq!(nowhere, "no region is known: write `region:` under `publish.cloudwatch`, or under `estate`");
    }

    #[test]
    fn a_thousand_probes_fit_on_a_dashboard() {
        for count in [13_usize, 150, 700, 2_000] {
            let probe = |n| format!("p{n}: {{ http: \"https://p{n}.example/\" }}");
            let probes = (0..count).map(probe).collect::<Vec<_>>().join("\n");
            let plan = plan(ROOT, &probes, "tier: { every: 1m, probes: [\"*\"] }");
            let dashboard = made(&plan, Document::Dashboard).unwrap().document;
            let widgets = dashboard["widgets"].as_array().unwrap();
            let metrics = widgets.iter().filter_map(|widget| widget["properties"]["metrics"].as_array());
            let (most, all) = metrics.fold((0, 0), |(most, all), own| (most.max(own.len()), all + own.len()));
            assert!(widgets.len() <= 500 && most <= 100 && all <= 2_500, "{count}: {} {most} {all}", widgets.len());
            let is_folded = dashboard.to_string().contains("worst of all probes");
            assert_eq!(is_folded, count >= 700, "{count}");
        }
    }
}
