//! What a schedule promises of its probes over a window: the objective, what it leaves for failures, how quickly that is
//! used up, and whether there is enough to say so.
//!
//! Every objective is a share of runs that may be bad. `success: 99.95%` lets 5 of 10,000 fail; `p99: 500ms` lets 1 of 100 take
//! longer than half a second. So a percentile is counted and never estimated, and evidence, budget and burn rate are one
//! rule for all.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::incident::Severity;
use super::metric::{MetricName, Sample, SampleLabels};
use super::names::{ProbeName, ScheduleName, StepName};
use super::outcome::{StepOutcome, Verdict};
use super::tally::{Count, Counts};
use super::time::{Length, Timestamp};

/// The shortest window of an objective: the shortest stretch over which a burn rate is judged as a whole.
pub const OVER_MIN: Duration = Duration::from_secs(3_600);

/// The longest: a quarter of a year.
pub const OVER_MAX: Duration = Duration::from_secs(90 * 86_400);

/// With how much confidence a clean record is believed.
const CONFIDENCE: f64 = 0.95;

/// How many bad runs there must be in the long window before a burn rate alerts, where nobody says otherwise: by the rule of
/// three that many are what a record without any leaves possible, so fewer may be chance.
pub const FAILURES_MIN: u32 = 3;

/// A share of all, exact to a ten-thousandth of a per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Share(u32);

impl Share {
    const WHOLE: u32 = 1_000_000;

    /// What is left of the whole.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(Self::WHOLE - self.0)
    }

    /// As a part of one.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE)
    }

    /// Whether it is neither nothing nor the whole.
    pub fn is_partial(self) -> bool {
        (1..Self::WHOLE).contains(&self.0)
    }
}

/// Why a text is not a share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// A bare number: per cent here, a part of one there.
    #[error("`{0}` has no unit: write per cent, like `99.95%`")]
    NoUnit(String),
    /// Not a number, or more than the whole.
    #[error("`{0}` is not a share: write it like `99.95%`, with at most four digits behind the point")]
    Form(String),
}

impl FromStr for Share {
    type Err = ShareError;
    fn from_str(text: &str) -> Result<Self, ShareError> {
        let text = text.trim();
        let form = || ShareError::Form(text.to_owned());
        let Some(number) = text.strip_suffix('%') else {
            return Err(if text.parse::<f64>().is_ok() { ShareError::NoUnit(text.to_owned()) } else { form() });
        };
        let number = number.trim_end();
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_digits(whole) || !is_digits(part) || whole.len() > 3 || part.len() > 4 {
            return Err(form());
        }
        let parts = format!("{whole}{part:0<4}").parse().map_err(|_| form())?;
        if parts > Self::WHOLE { Err(form()) } else { Ok(Self(parts)) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format!("{:04}", self.0 % 10_000);
        let (whole, part) = (self.0 / 10_000, part.trim_end_matches('0'));
        if part.is_empty() { write!(f, "{whole} %") } else { write!(f, "{whole}.{part} %") }
    }
}

/// Which part of the runs is not to take longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Percentile {
    /// Half of them.
    P50,
    /// 95 of 100.
    P95,
    /// 99 of 100.
    P99,
}

impl Percentile {
    /// The key and the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// The share of runs that is to be within the limit.
    fn share(self) -> Share {
        Share(match self {
            Self::P50 => 500_000,
            Self::P95 => 950_000,
            Self::P99 => 990_000,
        })
    }
}

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// At least that share of the runs passes.
    Success(Share),
    /// At most that share of them fails: the same said the other way round.
    Errors(Share),
    /// Of those that passed, that part takes no longer.
    Within(Percentile, Duration),
}

impl Goal {
    /// The share of the runs that may be bad.
    pub fn allowed(&self) -> Share {
        match self {
            Self::Success(share) => share.rest(),
            Self::Errors(share) => *share,
            Self::Within(percentile, _) => percentile.share().rest(),
        }
    }

    /// Its key.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Success(_) => "success",
            Self::Errors(_) => "errors",
            Self::Within(percentile, _) => percentile.as_str(),
        }
    }

    /// The share that is told: of failures where those are what is promised, else of what was well.
    pub fn told(&self, count: Count) -> Option<f64> {
        let bad = count.share()?;
        Some(if matches!(self, Self::Errors(_)) { bad } else { 1.0 - bad })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success(share) | Self::Errors(share) => write!(f, "{} {share}", self.key()),
            Self::Within(percentile, limit) => write!(f, "{} {}", percentile.as_str(), Length(*limit)),
        }
    }
}

/// An objective of a schedule, for each of its probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objective {
    /// What is promised.
    pub goal: Goal,
    /// Over what window.
    pub over: Duration,
    /// The step whose time counts, where that is not the whole run's.
    pub step: Option<StepName>,
    /// How many runs the cadence has in the window.
    pub expected: u64,
    /// Who hears of it when its budget burns.
    pub alert: Option<BurnAlert>,
    /// All of that in words; a label of metrics.
    pub text: Arc<str>,
}

/// Who hears of it when a budget burns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BurnAlert {
    /// How much it matters where the budget is gone within days.
    pub severity: Severity,
    /// How much where it is gone by the end of the window.
    pub slow: Severity,
    /// How many bad runs there must be in the long window.
    pub failures: u32,
}

impl BurnAlert {
    /// How much a rule that holds matters.
    pub fn severity(&self, rule: &BurnRule) -> Severity {
        if rule.is_fast { self.severity } else { self.slow }
    }
}

impl Objective {
    /// An objective, with its words.
    pub fn new(goal: Goal, over: Duration, step: Option<StepName>, expected: u64, alert: Option<BurnAlert>) -> Self {
        let of = step.as_ref().map(|step| format!(" of {step}")).unwrap_or_default();
        let text = Arc::from(format!("{goal}{of} over {}", Length(over)));
        Self { goal, over, step, expected, alert, text }
    }

    /// What a run says to it: bad or well, or nothing. How long it took is known only of what passed: a refusal is quick, and no virtue. Where a run took too long only
    /// because we ourselves stood still, it says nothing either.
    pub fn weigh(&self, run: &Weighed<'_>) -> Option<bool> {
        match self.goal {
            Goal::Success(_) | Goal::Errors(_) => Some(run.failed),
            Goal::Within(_, limit) => {
                let limit_ms = limit.as_secs_f64() * 1e3;
                let (took_ms, stood_ms) = match &self.step {
                    None => {
                        let stood_ms = run.steps.iter().filter_map(|step| step.late_ms).sum();
                        ((!run.failed).then_some(run.duration.as_secs_f64() * 1e3)?, stood_ms)
                    }
                    Some(name) => {
                        let step = run.steps.iter().find(|step| step.name == *name && !step.cleanup)?;
                        let is_well = matches!(step.verdict, Some(Verdict::Passed | Verdict::Degraded(_)));
                        (is_well.then_some(step.phases.total_ms)?, step.late_ms.unwrap_or(0.0))
                    }
                };
                let is_slow = took_ms > limit_ms;
                (!is_slow || took_ms - stood_ms > limit_ms).then_some(is_slow)
            }
        }
    }

    /// How many runs without a bad one it takes until they can tell: fewer leave more possible than is allowed.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is positive, and three millions at most"
    )]
    pub fn needed(&self) -> u64 {
        let allowed = self.goal.allowed().fraction();
        ((1.0 - CONFIDENCE).ln() / (1.0 - allowed).ln()).ceil() as u64
    }

    /// What it leaves for failures, and what of that is left.
    pub fn budget(&self, count: Count) -> ErrorBudget {
        let runs = count.runs.max(self.expected);
        ErrorBudget { total: self.goal.allowed().fraction() * runs as f64, spent: count.bad }
    }

    /// Whether it is met. It is missed when more failed than the whole window may have, however the rest of it goes; it is
    /// met when there are enough runs and no more of them are bad than may be.
    pub fn judgement(&self, count: Count) -> Judgement {
        let is_enough = count.runs >= self.needed();
        let allowed = self.goal.allowed().fraction();
        if self.budget(count).is_spent() {
            Judgement::Missed
        } else if is_enough && count.bad as f64 <= allowed * count.runs as f64 {
            Judgement::Met
        } else {
            Judgement::NotEnoughEvidence
        }
    }

    /// How many times as quickly as the whole window can bear the budget is used up; nothing where nothing was seen.
    pub fn burn_rate(&self, count: Count) -> Option<f64> {
        Some(count.share()? / self.goal.allowed().fraction())
    }

    /// The rules that may hold: a stretch as long as the whole window is judged by the budget.
    pub fn rules(&self) -> impl Iterator<Item = (usize, &'static BurnRule)> {
        BURN_RULES.iter().enumerate().filter(|(_, rule)| rule.long.length() < self.over)
    }

    /// Whether a rule holds. One that held goes on until what is seen lately is well again; where nothing is seen nobody
    /// knows that.
    pub fn burns(&self, rule: &BurnRule, counts: &Counts, failures: u32, held: bool) -> bool {
        let (long, short) = (counts.of(rule.long), counts.of(rule.short));
        let is_above = |count| self.burn_rate(count).is_some_and(|rate| rate >= rule.factor);
        if held {
            return short.runs == 0 || is_above(short);
        }
        long.bad >= u64::from(failures) && is_above(long) && is_above(short)
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// What an objective reads of a run in which we could look. Degraded counts as passed.
#[derive(Clone, Copy, Debug)]
pub struct Weighed<'a> {
    /// Whether it failed.
    pub failed: bool,
    /// How long its steps took.
    pub duration: Duration,
    /// The steps.
    pub steps: &'a [StepOutcome],
}

/// Whether an objective is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// There are enough runs, and no more of them are bad than may be.
    Met,
    /// More are bad than the whole window may have.
    Missed,
    /// Neither can be said.
    NotEnoughEvidence,
}

impl Judgement {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::NotEnoughEvidence => "not enough evidence",
        }
    }
}

/// What an objective leaves for failures over its window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorBudget {
    /// How many runs of the whole window may be bad.
    pub total: f64,
    /// How many were.
    pub spent: u64,
}

impl ErrorBudget {
    /// The share that is left; negative where more was spent than there was.
    pub fn left(&self) -> f64 {
        1.0 - self.spent as f64 / self.total
    }

    /// Whether more was spent than there was.
    pub fn is_spent(&self) -> bool {
        self.spent as f64 > self.total
    }
}

/// How an objective stands for one probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The schedule.
    pub schedule: ScheduleName,
    /// The probe.
    pub probe: ProbeName,
    /// The objective.
    pub objective: Arc<Objective>,
    /// What was counted over its window.
    pub count: Count,
    /// The burn rate over each of [`Self::STRETCHES`]; nothing where nothing was seen, or where the window is no longer.
    pub burn: [Option<f64>; 3],
    /// Whether all that the store has of the window is counted.
    pub is_whole: bool,
}

impl Standing {
    /// The stretches whose burn rates are told.
    pub const STRETCHES: [Stretch; 3] = [Stretch::Hour1, Stretch::Hours6, Stretch::Days3];

    /// How an objective stands.
    pub fn of(
        (schedule, probe): (&ScheduleName, &ProbeName),
        objective: &Arc<Objective>,
        counts: &Counts,
        is_whole: bool,
    ) -> Self {
        let burn = Self::STRETCHES.map(|stretch| {
            let is_part = stretch.length() < objective.over;
            objective.burn_rate(counts.of(stretch)).filter(|_| is_part)
        });
        let (schedule, probe, objective) = (schedule.clone(), probe.clone(), Arc::clone(objective));
        Self { schedule, probe, objective, count: counts.whole, burn, is_whole }
    }

    /// Whether it is met. While the store is still read, what more it has may only make it worse.
    pub fn judgement(&self) -> Judgement {
        match self.objective.judgement(self.count) {
            Judgement::Met if !self.is_whole => Judgement::NotEnoughEvidence,
            judgement => judgement,
        }
    }

    /// Its metrics. What nobody saw has none.
    pub fn samples(&self, at: Timestamp) -> Vec<Sample> {
        let of_objective = SampleLabels {
            probe: Some(self.probe.clone()),
            schedule: Some(self.schedule.clone()),
            step: self.objective.step.clone(),
            objective: Some(Arc::clone(&self.objective.text)),
            ..SampleLabels::default()
        };
        let sample = |name, value, also| {
            let labels = SampleLabels { also, ..of_objective.clone() };
            Sample { name, at, value, labels }
        };
        let Some(measured) = self.objective.goal.told(self.count) else { return Vec::new() };
        let left = self.objective.budget(self.count).left();
        let rates = Self::STRETCHES.into_iter().zip(self.burn).filter_map(|(stretch, rate)| {
            Some(sample(MetricName::ObjectiveBurnRate, rate?, Some(("stretch", stretch.as_str()))))
        });
        let whole = [(MetricName::ObjectiveMeasured, measured), (MetricName::ObjectiveBudget, left)];
        whole.into_iter().map(|(name, value)| sample(name, value, None)).chain(rates).collect()
    }
}

/// How all objectives stood when they were last looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standings {
    /// When; nothing before they were looked at.
    pub at: Option<Timestamp>,
    /// Each for each of its probes, by schedule and probe, as they are written.
    pub standings: Vec<Standing>,
}

/// A stretch of time over which a burn rate is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stretch {
    /// Five minutes.
    Minutes5,
    /// Half an hour.
    Minutes30,
    /// An hour.
    Hour1,
    /// Six hours.
    Hours6,
    /// Three days.
    Days3,
}

impl Stretch {
    /// Its length.
    pub fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minutes5 => 300,
            Self::Minutes30 => 1_800,
            Self::Hour1 => 3_600,
            Self::Hours6 => 6 * 3_600,
            Self::Days3 => 3 * 86_400,
        })
    }

    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minutes5 => "5m",
            Self::Minutes30 => "30m",
            Self::Hour1 => "1h",
            Self::Hours6 => "6h",
            Self::Days3 => "3d",
        }
    }
}

/// A budget that is used up that much too quickly over a long stretch, and still is over a short one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurnRule {
    /// How many times too quickly.
    pub factor: f64,
    /// Over this stretch, so that it matters …
    pub long: Stretch,
    /// … and over this, so that it still goes on.
    pub short: Stretch,
    /// Whether the budget is gone within days.
    pub is_fast: bool,
}

/// The rules, the gravest first: 2 % of the budget of 30 days in an hour, 5 % in six hours, 10 % in three days.
///
/// Source: The Site Reliability Workbook (Google, 2018), chapter 5, "Multiwindow, Multi-Burn-Rate Alerts", table 5-8.
pub const BURN_RULES: [BurnRule; 3] = [
    BurnRule { factor: 14.4, long: Stretch::Hour1, short: Stretch::Minutes5, is_fast: true },
    BurnRule { factor: 6.0, long: Stretch::Hours6, short: Stretch::Minutes30, is_fast: true },
    BurnRule { factor: 1.0, long: Stretch::Days3, short: Stretch::Hours6, is_fast: false },
];

/// More bad runs than this are bounded by a formula that is exact enough by then, and costs the same for any number.
const BOUNDED_EXACTLY_MAX: u64 = 1_000;

/// The largest share of bad runs that a record leaves possible, at 95 % confidence, one-sided: none among 60 leave 4.9 %.
/// Nothing is known of what nobody saw.
///
/// Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika
/// 26 (1934); beyond a thousand bad runs the score interval of Wilson (1927).
pub fn upper_bound(count: Count) -> f64 {
    let (runs, bad) = (count.runs as f64, count.bad);
    if bad >= count.runs {
        return 1.0;
    }
    if bad > BOUNDED_EXACTLY_MAX {
        // The 95 % quantile of the normal distribution.
        const Z: f64 = 1.644_853_626_951;
        let (share, z2) = (bad as f64 / runs, Z * Z);
        let middle = share + z2 / (2.0 * runs);
        let half = Z * (share * (1.0 - share) / runs + z2 / (4.0 * runs * runs)).sqrt();
        return (middle + half) / (1.0 + z2 / runs);
    }
    let (mut low, mut high) = (bad as f64 / runs, 1.0);
    // Sixty halvings are finer than the number itself.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(bad, runs, middle) > 1.0 - CONFIDENCE {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// How probable at most so many bad runs are where each is bad with that probability.
fn at_most(bad: u64, runs: f64, share: f64) -> f64 {
    // In logarithms, since the first term alone may be smaller than any number.
    let (odds, mut term) = ((share / (1.0 - share)).ln(), runs * (-share).ln_1p());
    let mut sum = term.exp();
    for n in 0..bad {
        let n = n as f64;
        term += ((runs - n) / (n + 1.0)).ln() + odds;
        sum += term.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(runs: u64, bad: u64) -> Count {
        Count { runs, bad }
    }

    fn objective(goal: Goal, expected: u64) -> Objective {
        Objective::new(goal, Duration::from_secs(30 * 86_400), None, expected, None)
    }

    fn success(share: &str, expected: u64) -> Objective {
        objective(Goal::Success(share.parse().unwrap()), expected)
    }

    #[test]
    fn a_share_is_exact_and_has_its_unit() {
        for (text, shown) in [("99.95%", "99.95 %"), ("0.1%", "0.1 %"), (" 99.9999 %", "99.9999 %"), ("100%", "100 %")]
        {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), shown);
        }
        let why = |text: &str| text.parse::<Share>().unwrap_err().to_string();
        assert_eq!(why("99.95"), "`99.95` has no unit: write per cent, like `99.95%`");
        for text in ["", "%", "-1%", "1e1%", "99.99999%", "101%", "ninety %", "1.%", ".5%"] {
            assert!(matches!(text.parse::<Share>(), Err(ShareError::Form(_))), "{text}");
        }
        assert!(!"0%".parse::<Share>().unwrap().is_partial() && !"100%".parse::<Share>().unwrap().is_partial());
    }

    #[test]
    fn a_clean_record_tells_when_it_is_long_enough() {
        // The numbers are those of everybody's tables.
        assert_eq!(objective(Goal::Errors("1%".parse().unwrap()), 0).needed(), 299);
        assert_eq!(objective(Goal::Within(Percentile::P99, Duration::from_millis(500)), 0).needed(), 299);
        assert_eq!(success("99.95%", 0).needed(), 5_990);
        assert_eq!(success("99.9%", 0).needed(), 2_995);
        let (one_per_cent, judge) = (success("99%", 8_640), |o: &Objective, runs, bad| o.judgement(count(runs, bad)));
        assert_eq!(judge(&one_per_cent, 298, 0), Judgement::NotEnoughEvidence);
        assert_eq!(judge(&one_per_cent, 299, 0), Judgement::Met);
        assert_eq!(
            judge(&one_per_cent, 299, 3),
            Judgement::NotEnoughEvidence,
            "worse than allowed, with 83 still to come"
        );
        assert_eq!(judge(&one_per_cent, 1, 1), Judgement::NotEnoughEvidence, "one run is no record");
        assert_eq!(judge(&one_per_cent, 8_640, 86), Judgement::Met);
        assert_eq!(judge(&one_per_cent, 8_640, 87), Judgement::Missed);
        assert_eq!(judge(&one_per_cent, 200, 87), Judgement::Missed, "whatever comes, the window has had its failures");
    }

    #[test]
    fn what_a_record_leaves_possible_is_as_in_the_tables() {
        for (runs, bad, bound) in [
            (60, 0, 0.048_703),
            (299, 0, 0.009_969),
            (100, 1, 0.046_558),
            (100, 5, 0.102_253),
            (20, 10, 0.698_046),
            (86_400, 43, 0.000_642),
        ] {
            let found = upper_bound(count(runs, bad));
            assert!((found - bound).abs() < 5e-6, "{bad} of {runs}: {found}");
        }
        assert_eq!((upper_bound(count(0, 0)), upper_bound(count(7, 7))), (1.0, 1.0));
        let (exact, formula) = (upper_bound(count(100_000, 1_000)), upper_bound(count(100_000, 1_001)));
        assert!(formula > exact && formula - exact < 5e-5, "{exact} {formula}");
    }

    #[test]
    fn slow_is_what_took_long_and_not_what_we_slept_through() {
        let limit = Goal::Within(Percentile::P95, Duration::from_millis(500));
        let whole = objective(limit, 0);
        let of_step = Objective::new(limit, OVER_MIN, Some("b".parse().unwrap()), 0, None);
        let step = |name: &str, verdict: Option<Verdict>, total_ms: f64, late_ms: Option<f64>| StepOutcome {
            name: name.parse().unwrap(),
            kind: "http".to_owned(),
            cleanup: false,
            verdict,
            offset_ms: 0.0,
            phases: super::super::outcome::Phases { total_ms, ..Default::default() },
            certificate_expires: None,
            status: None,
            late_ms,
            version: None,
            cases: Vec::new(),
        };
        let weigh = |objective: &Objective, failed: bool, ms: u64, steps: &[StepOutcome]| {
            objective.weigh(&Weighed { failed, duration: Duration::from_millis(ms), steps })
        };
        let passed = |ms, late| step("b", Some(Verdict::Passed), ms, late);
        assert_eq!(weigh(&whole, false, 500, &[]), Some(false));
        assert_eq!(weigh(&whole, false, 501, &[]), Some(true));
        assert_eq!(weigh(&whole, true, 3, &[]), None, "that nobody answers is not quick");
        assert_eq!(weigh(&whole, false, 700, &[passed(700.0, Some(300.0))]), None, "we stood still");
        assert_eq!(
            weigh(&whole, false, 900, &[passed(900.0, Some(300.0))]),
            Some(true),
            "it was slow without that too"
        );
        assert_eq!(weigh(&of_step, true, 900, &[passed(400.0, None)]), Some(false), "another step failed");
        assert_eq!(weigh(&of_step, false, 900, &[passed(600.0, None)]), Some(true));
        assert_eq!(weigh(&of_step, false, 900, &[passed(600.0, Some(200.0))]), None);
        assert_eq!(weigh(&of_step, false, 900, &[step("b", None, 0.0, None)]), None, "it was skipped");
        assert_eq!(weigh(&of_step, false, 900, &[step("a", Some(Verdict::Passed), 600.0, None)]), None);
        let errors = objective(Goal::Errors("1%".parse().unwrap()), 0);
        assert_eq!([true, false].map(|failed| weigh(&errors, failed, 1, &[])), [Some(true), Some(false)]);
    }

    #[test]
    fn it_says_what_it_is() {
        let step = Some("login".parse().unwrap());
        let p99 = Goal::Within(Percentile::P99, Duration::from_millis(500));
        let of_step = Objective::new(p99, Duration::from_secs(7 * 86_400), step, 0, None);
        assert_eq!(of_step.to_string(), "p99 500 ms of login over 7 d");
        assert_eq!(success("99.95%", 0).to_string(), "success 99.95 % over 30 d");
        let errors = objective(Goal::Errors("0.1%".parse().unwrap()), 0);
        assert_eq!(errors.to_string(), "errors 0.1 % over 30 d");
        assert_eq!((errors.goal.told(count(8, 2)), of_step.goal.told(count(8, 2))), (Some(0.25), Some(0.75)));
        assert_eq!(errors.goal.told(count(0, 0)), None);
    }

    /// Counts of the long and the short stretch of a rule, and none elsewhere.
    fn counts(rule: &BurnRule, long: Count, short: Count) -> Counts {
        let mut counts = Counts::default();
        *counts.of_mut(rule.long) = long;
        *counts.of_mut(rule.short) = short;
        counts
    }

    #[test]
    fn a_budget_burns_when_both_stretches_say_so_and_chance_does_not_explain_it() {
        let (objective, page) = (success("99.95%", 86_400), &BURN_RULES[0]);
        let burns = |long, short, held| objective.burns(page, &counts(page, long, short), FAILURES_MIN, held);
        assert!(!burns(count(12, 1), count(1, 1), false), "one failure of a probe of five minutes");
        assert!(!burns(count(12, 2), count(1, 1), false));
        assert!(burns(count(12, 3), count(1, 1), false));
        assert!(!burns(count(120, 3), count(10, 0), false), "it is over already");
        assert!(burns(count(120, 0), count(10, 1), true), "it goes on while the short stretch is not well");
        assert!(!burns(count(120, 60), count(10, 0), true));
        assert!(burns(count(120, 60), count(0, 0), true), "that nobody looks ends nothing");
        assert!(!burns(count(120, 60), count(0, 0), false), "nor does it begin anything");
    }

    #[test]
    fn a_stretch_as_long_as_the_window_is_the_window() {
        let rules = |over: u64| {
            let objective = Objective { over: Duration::from_secs(over * 3_600), ..success("99%", 0) };
            objective.rules().map(|(place, _)| place).collect::<Vec<_>>()
        };
        assert_eq!(rules(720), [0, 1, 2]);
        assert_eq!(rules(72), [0, 1]);
        assert_eq!(rules(6), [0]);
        assert!(rules(1).is_empty());
    }

    proptest! {
        #[test]
        fn more_failures_never_make_it_better(parts in 1_u32..1_000_000, runs in 0_u64..200_000, bad in 0_u64..2_000, expected in 0_u64..100_000) {
            let bad = bad.min(runs);
            let objective = objective(Goal::Errors(Share(parts)), expected);
            let rank = |bad| match objective.judgement(count(runs, bad)) {
                Judgement::Met => 0,
                Judgement::NotEnoughEvidence => 1,
                Judgement::Missed => 2,
            };
            prop_assert!(rank(bad) <= rank((bad + 1).min(runs)));
            let left = objective.budget(count(runs, bad)).left();
            prop_assert!(left <= 1.0);
            prop_assert_eq!(objective.judgement(count(runs, bad)) == Judgement::Missed, left < 0.0);
        }

        #[test]
        fn a_clean_record_is_believed_exactly_when_the_bound_allows_it(parts in 1_u32..1_000_000, runs in 1_u64..100_000) {
            let objective = objective(Goal::Errors(Share(parts)), 0);
            let allowed = objective.goal.allowed().fraction();
            let bound = upper_bound(count(runs, 0));
            // At the edge itself the halving decides.
            prop_assume!((bound - allowed).abs() > 1e-9);
            prop_assert_eq!(runs >= objective.needed(), bound <= allowed);
        }

        #[test]
        fn the_bound_is_above_what_was_measured_and_shrinks_with_more_of_the_same(runs in 1_u64..2_000, bad in 0_u64..60) {
            let bad = bad.min(runs);
            let bound = upper_bound(count(runs, bad));
            prop_assert!(bound >= bad as f64 / runs as f64 && bound <= 1.0);
            prop_assert!(upper_bound(count(runs * 4, bad * 4)) <= bound + 1e-9);
        }

        #[test]
        fn a_success_and_its_errors_are_one_objective(parts in 1_u32..1_000_000, runs in 1_u64..100_000, bad in 0_u64..1_000) {
            let (success, errors) = (objective(Goal::Success(Share(parts)), 99), objective(Goal::Errors(Share(parts).rest()), 99));
            let seen = count(runs, bad.min(runs));
            prop_assert_eq!(success.judgement(seen), errors.judgement(seen));
            prop_assert_eq!(success.burn_rate(seen), errors.burn_rate(seen));
            prop_assert_eq!(Share(parts).to_string().replace(' ', "").parse(), Ok(Share(parts)));
        }

        #[test]
        fn what_began_to_burn_would_also_go_on(runs in 1_u64..1_000, bad in 0_u64..1_000, short in 1_u64..100, short_bad in 0_u64..100, rule in 0_usize..3) {
            let objective = success("99.9%", 86_400);
            let rule = &BURN_RULES[rule];
            let counts = counts(rule, count(runs, bad.min(runs)), count(short, short_bad.min(short)));
            if objective.burns(rule, &counts, FAILURES_MIN, false) {
                prop_assert!(objective.burns(rule, &counts, FAILURES_MIN, true));
            }
        }
    }
}
