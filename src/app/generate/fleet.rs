//! Which probes there are, on which schedules, and the files that say so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::domain::names::{ProbeName, ScheduleName};
use crate::domain::schedule::spread;

/// What the probes look at.
const SERVICES: [&str; 20] = [
    "auth",
    "cart",
    "catalog",
    "checkout",
    "coupons",
    "export",
    "gateway",
    "images",
    "inventory",
    "invoices",
    "mail",
    "orders",
    "payments",
    "prices",
    "profile",
    "reviews",
    "search",
    "shipping",
    "stock",
    "wardrobe",
];

/// The name of each schedule, its period in seconds, and its share of the probes where none is on the first.
const TIERS: [(&str, u64, f64); 4] =
    [("reachability", 30, 0.0), ("health", 300, 0.1), ("journeys", 900, 0.4), ("hourly", 3_600, 0.5)];

/// How much is made.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How many probes.
    pub probes: u32,
    /// How many days.
    pub days: u32,
    /// How many runs, nearly.
    pub runs: u64,
}

/// One probe.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: ProbeName,
    /// Which service it looks at.
    pub service: usize,
    /// Where in a round it stands.
    pub spread: Duration,
    /// How long its runs take by night, in milliseconds.
    pub calm_ms: f64,
}

/// One schedule.
#[derive(Clone, Debug)]
pub struct Tier {
    /// Its name.
    pub name: ScheduleName,
    /// Its period.
    pub every: Duration,
    /// Its probes.
    pub members: Vec<Member>,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The schedules, the most frequent first.
    pub tiers: Vec<Tier>,
}

impl Fleet {
    /// So many probes as often as makes so many runs, or what would have to be otherwise.
    pub fn of(size: Size, random: &mut StdRng) -> Result<Self, String> {
        let shares = shares(size)?;
        let mut tiers = Vec::new();
        let (mut sum, mut begun) = (0.0, 0);
        for ((name, seconds, _), share) in TIERS.into_iter().zip(shares) {
            sum += share;
            let end = u32::try_from(super::whole((sum * f64::from(size.probes)).round())).unwrap_or(size.probes);
            let every = Duration::from_secs(seconds);
            let schedule = ScheduleName::parse(name).map_err(|error| error.to_string())?;
            let mut members = Vec::new();
            for number in begun..end {
                let service = number as usize % SERVICES.len();
                let text = format!("{}-{name}@n{number}", SERVICES[service]);
                let probe = ProbeName::parse(&text).map_err(|error| error.to_string())?;
                members.push(Member {
                    spread: spread(&schedule, &probe, every, Duration::from_secs(10)),
                    name: probe,
                    service,
                    calm_ms: 6.0 * 60.0_f64.powf(random.random()),
                });
            }
            begun = end.max(begun);
            tiers.push(Tier { name: schedule, every, members });
        }
        Ok(Self { tiers })
    }

    /// How many services there are.
    pub fn services() -> usize {
        SERVICES.len()
    }

    /// The files of a configuration, by their paths in its directory.
    pub fn files(&self, target: &str, days: u32) -> BTreeMap<String, String> {
        let mut files = BTreeMap::from([(
            "roundsman.yaml".to_owned(),
            format!(
                "site: generated\nweb: {{ listen: \"${{env:ROUNDSMAN_LISTEN:-127.0.0.1:8080}}\" }}\nretention: {}d\npublish: {{ prometheus: {{}} }}\n",
                days + 2
            ),
        )]);
        let mut schedules = String::new();
        for tier in self.tiers.iter().filter(|tier| !tier.members.is_empty()) {
            let _ = writeln!(
                schedules,
                "{}: {{ every: {}s, probes: [\"*-{}@*\"], alert: {{ after: 2, severity: P3 }} }}",
                tier.name,
                tier.every.as_secs(),
                tier.name
            );
            let mut text = String::new();
            for (number, service) in SERVICES.iter().enumerate() {
                let keys = tier.members.iter().filter(|member| member.service == number);
                let keys = keys.filter_map(|member| member.name.as_str().split('@').nth(1));
                let each: Vec<_> = keys.map(|key| format!("{key}: x")).collect();
                if !each.is_empty() {
                    let _ = writeln!(
                        text,
                        "{service}-{}:\n  labels: {{ service: {service} }}\n  each: {{ {} }}\n  http: \"{target}\"",
                        tier.name,
                        each.join(", ")
                    );
                }
            }
            files.insert(format!("probes/{}.yaml", tier.name), text);
        }
        files.insert("schedules/tiers.yaml".to_owned(), schedules);
        files
    }
}

/// Which share of the probes is on each schedule.
fn shares(size: Size) -> Result<[f64; 4], String> {
    let wanted = size.runs as f64 / f64::from(size.probes) / f64::from(size.days);
    let daily = TIERS.map(|(_, seconds, _)| 86_400.0 / seconds as f64);
    let mixed: f64 = TIERS.iter().zip(daily).map(|((.., share), daily)| share * daily).sum();
    let (most, least) = (daily[0], daily[3]);
    if wanted < least * 0.99 || wanted > most * 1.01 {
        let days = f64::from(size.probes) * f64::from(size.days);
        return Err(format!(
            "{} probes make between {:.0} and {:.0} runs in {} days",
            size.probes,
            days * least,
            days * most,
            size.days
        ));
    }
    // Between all on the last and the mixture, or between the mixture and all on the first.
    let (one, other, part) = if wanted < mixed {
        ([0.0, 0.0, 0.0, 1.0], TIERS.map(|(.., share)| share), (wanted - least) / (mixed - least))
    } else {
        (TIERS.map(|(.., share)| share), [1.0, 0.0, 0.0, 0.0], (wanted - mixed) / (most - mixed))
    };
    let part = part.clamp(0.0, 1.0);
    Ok(std::array::from_fn(|tier| one[tier] * (1.0 - part) + other[tier] * part))
}
