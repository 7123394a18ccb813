//! A schedule in words: when it runs, and when somebody is told of it.

use super::units::list;
use crate::domain::judge::{AlertPolicy, Aspect, Rule};
use crate::domain::names::{ChannelName, ProbeName};
use crate::domain::schedule::Cadence;
use crate::domain::time::words;

/// A cadence as people say it: a cron line with what it means.
pub fn cadence(cadence: &Cadence) -> String {
    match cadence {
        Cadence::Every(length) => format!("every {}", words(*length)),
        Cadence::Cron { cron, timezone, .. } => {
            let said = cron.describe();
            let mut letters = said.trim_end_matches('.').chars();
            let said: String =
                letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default();
            format!("{said} ({timezone})")
        }
    }
}

/// A policy, sentence by sentence.
pub fn sentences(policy: &AlertPolicy) -> Vec<String> {
    let mut sentences: Vec<String> = policy.rules().map(|(aspect, rule)| of_rule(policy, aspect, rule)).collect();
    if let Some(recheck) = policy.recheck {
        sentences.push(format!("After a run that leaves doubt it is run again {} later.", words(recheck)));
    }
    if !policy.diagnose.is_empty() {
        sentences.push(format!("Then {} for its cause.", asked(&policy.diagnose)));
    }
    sentences
}

fn asked(probes: &[ProbeName]) -> String {
    let verb = if probes.len() == 1 { "is" } else { "are" };
    format!("{} {verb} run once", list(probes.iter().map(ProbeName::as_str)))
}

fn of_rule(policy: &AlertPolicy, aspect: Aspect, rule: &Rule) -> String {
    let (one, many, not, none) = match aspect {
        Aspect::Degraded => ("is degraded", "are degraded", "is not", "are not"),
        Aspect::Blind => ("is inconclusive", "are inconclusive", "is not", "are not"),
        _ => ("fails", "fail", "does not", "do not"),
    };
    let after = match (rule.after.failures, rule.after.among) {
        (1, 1) => format!("as soon as a run {one}"),
        (failures, among) if failures == among => format!("when {failures} runs in a row {many}"),
        (1, among) => format!("when 1 of the last {among} runs {one}"),
        (failures, among) => format!("when {failures} of the last {among} runs {many}"),
    };
    let over = match rule.recover {
        1 => format!("over when one {not}"),
        runs => format!("over when {runs} in a row {none}"),
    };
    let severity = match policy.grading.as_ref().filter(|_| aspect == Aspect::Failing) {
        Some(grading) => {
            let all: Vec<_> = grading.severities().into_iter().collect();
            let words = all.iter().rev().map(|severity| severity.as_str());
            format!("{}, by what fails,", words.collect::<Vec<_>>().join(" or "))
        }
        None => rule.severity.to_string(),
    };
    let remind = rule.remind.map(|remind| format!("; told again after {} while nobody takes it on", words(remind)));
    let to = if rule.to.is_empty() {
        String::new()
    } else {
        format!("; told to {}", list(rule.to.iter().map(ChannelName::as_str)))
    };
    format!("{severity} {after}, {over}{to}{}.", remind.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{at, schedule_of};
    use std::time::Duration;

    #[test]
    fn a_cadence_is_said_as_people_say_it() {
        let cron = |line: &str, zone| cadence(&Cadence::cron(line, zone, at("2026-11-24T10:00:00Z")).unwrap());
        assert_eq!(cadence(&Cadence::Every(Duration::from_secs(90))), "every 1 min 30 s");
        assert_eq!(cron("0 * * * *", chrono_tz::UTC), "at minute 0 past every hour (UTC)");
        assert_eq!(
            cron("30 2 * * 2-4", chrono_tz::Europe::Berlin),
            "at 02:30, on Tuesday, Wednesday, and Thursday (Europe/Berlin)"
        );
    }

    #[test]
    fn a_policy_is_read_as_sentences() {
        let mut schedule = schedule_of("tier", "30s", 1);
        let policy = schedule.alert.as_mut().unwrap();
        policy.recheck = Some(Duration::from_secs(10));
        policy.failing.remind = Some(Duration::from_secs(1_800));
        policy.diagnose = vec!["table".parse().unwrap()];
        insta::assert_snapshot!(sentences(policy).join("\n"));
    }
}
