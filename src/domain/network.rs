//! Whether it is the machine that sees nothing, and not many targets that fail at once. A pure rule over runs in their order.
//!
//! One run cannot say: a name server that gives no answer may be that of the target. Many can. So a stretch of runs is looked
//! at, beginning with the first that says otherwise than what is known: where enough hosts were seen in it, it is known
//! otherwise from then on. Who is cut off reaches hardly anything, so it ends as soon as more than that is reached, and begins
//! as soon as hardly anything is. Were there anything between the two, hosts that are down when the network is back would
//! keep it for ever, and nobody would be told of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::outcome::{Cause, Failure, FailureKind, Verdict};
use super::time::{Timestamp, between};

/// How many hosts at least must have been looked at.
pub const HOSTS_MIN: usize = 5;

/// How many of a hundred hosts must be out of reach.
const SHARE_MIN: usize = 80;

/// How long whoever is about to be told of what may be our own network waits to see whether it is. A page that says what is
/// wrong is worth that; in most cases another run says within seconds that it is not.
pub const DOUBT_MAX: Duration = Duration::from_secs(20);

/// What a run says of the network that it went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Something answered, whatever it was.
    Reached,
    /// Nothing was reached, and it may be for us.
    Unreached,
    /// Nothing was reached, and it is for us: this machine has no way to send.
    CutOff,
    /// Nothing.
    Unknown,
}

impl Sight {
    /// What a verdict says.
    pub fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Inconclusive(Cause::Ours(failure)) if failure.kind == FailureKind::LocalNetwork => Self::CutOff,
            Verdict::Inconclusive(_) => Self::Unknown,
            Verdict::Failed(failures) if failures.iter().all(is_without_way) => Self::Unreached,
            Verdict::Failed(failures) if failures.iter().all(is_without_answer) => Self::Unknown,
            Verdict::Passed | Verdict::Degraded(_) | Verdict::Failed(_) => Self::Reached,
        }
    }

    fn is_blind(self) -> bool {
        matches!(self, Self::Unreached | Self::CutOff)
    }
}

/// Whether a failure may be for want of a network: no name was found, or no way. That nobody listens is an answer, and a
/// connection that is not made in time says nothing of names.
fn is_without_way(failure: &Failure) -> bool {
    use FailureKind as Kind;
    matches!(
        failure.kind,
        Kind::DnsNxdomain | Kind::DnsNoRecords | Kind::DnsServer | Kind::TimeoutDns | Kind::ConnectUnreachable
    )
}

/// Whether a failure may come of want of a network, though nobody would conclude it from that.
fn is_without_answer(failure: &Failure) -> bool {
    use FailureKind as Kind;
    is_without_way(failure)
        || matches!(
            failure.kind,
            Kind::ConnectBlocked
                | Kind::TimeoutConnect
                | Kind::TimeoutTls
                | Kind::TimeoutFirstByte
                | Kind::TimeoutTransfer
                | Kind::TimeoutTotal
        )
}

/// Whether what failed may be for want of a network.
pub fn may_be_ours(failures: &[Failure]) -> bool {
    let may_be = |failure: &Failure| is_without_answer(failure) || failure.kind == FailureKind::LocalNetwork;
    !failures.is_empty() && failures.iter().all(may_be)
}

/// Whether a host is reached without a network.
pub fn is_here(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or_else(|_| name == "localhost" || name.ends_with(".localhost"), |address| address.is_loopback())
}

/// Whose name servers answer for a host, as far as its name says: the last two labels. Addresses have no name servers.
fn domain(host: &str) -> Option<&str> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return None;
    }
    let start = name.rmatch_indices('.').nth(1).map_or(0, |(dot, _)| dot + 1);
    name.get(start..)
}

/// What is known of the network, and what speaks against it.
#[derive(Clone, Debug, Default)]
pub struct Network {
    cut_off: bool,
    /// When the first run ended that speaks against it.
    since: Option<Timestamp>,
    stretch: Stretch,
}

/// What the last run of a stretch said of each host. It is counted as it comes: thousands may be looked at, and no run may cost
/// a look at each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stretch {
    hosts: BTreeMap<Arc<str>, Sight>,
    /// How many were not reached.
    blind: usize,
    /// Of how many the machine says that it has no way.
    cut_off: usize,
    /// How many of each domain were not reached.
    domains: BTreeMap<Arc<str>, usize>,
}

impl Stretch {
    fn put(&mut self, host: &Arc<str>, sight: Sight) {
        let before = self.hosts.insert(Arc::clone(host), sight);
        let (was_blind, is_blind) = (before.is_some_and(Sight::is_blind), sight.is_blind());
        self.cut_off -= usize::from(before == Some(Sight::CutOff));
        self.cut_off += usize::from(sight == Sight::CutOff);
        if was_blind == is_blind {
            return;
        }
        let domain = domain(host);
        if is_blind {
            self.blind += 1;
            if let Some(domain) = domain {
                *self.domains.entry(Arc::from(domain)).or_default() += 1;
            }
            return;
        }
        self.blind -= 1;
        if let Some((domain, count)) = domain.and_then(|domain| Some((domain, self.domains.get_mut(domain)?))) {
            *count -= 1;
            if *count == 0 {
                self.domains.remove(domain);
            }
        }
    }

    /// Whether hardly any host was reached.
    fn is_blind(&self) -> bool {
        self.blind * 100 >= self.hosts.len() * SHARE_MIN
    }

    /// Whether what was not reached is for us: the machine says so of enough hosts, or they are of several domains, which
    /// have nothing in common but us.
    fn is_for_us(&self) -> bool {
        self.cut_off >= HOSTS_MIN || self.domains.len() > 1
    }
}

/// What is known otherwise from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whether the machine is cut off now.
    pub cut_off: bool,
    /// Since when.
    pub since: Timestamp,
    /// How many hosts said so …
    pub hosts: usize,
    /// … of how many that were looked at.
    pub of: usize,
}

impl Network {
    /// One that was as an earlier process left it.
    pub fn known(cut_off: bool) -> Self {
        Self { cut_off, ..Self::default() }
    }

    /// Whether the machine is cut off.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Whether it may be cut off, though that is not known yet.
    pub fn is_in_doubt(&self) -> bool {
        !self.cut_off && self.since.is_some()
    }

    /// One step: what a run over the network said, and of how many hosts that must be known.
    pub fn take(&mut self, host: &Arc<str>, sight: Sight, enough: usize, now: Timestamp) -> Option<Change> {
        if sight == Sight::Unknown {
            return None;
        }
        let speaks_against = sight.is_blind() != self.cut_off;
        if self.since.is_none() && !speaks_against {
            return None;
        }
        // A clock that was set back lets it begin anew.
        let since = self.since.filter(|since| *since <= now).unwrap_or(now);
        self.stretch.put(host, sight);
        if self.stretch.is_blind() == self.cut_off {
            self.forget();
            return None;
        }
        self.since = Some(since);
        let of = self.stretch.hosts.len();
        let is_enough = speaks_against && of >= enough.max(HOSTS_MIN);
        if !is_enough || (!self.cut_off && !self.stretch.is_for_us()) {
            return None;
        }
        let hosts = if self.cut_off { of - self.stretch.blind } else { self.stretch.blind };
        self.cut_off = !self.cut_off;
        self.forget();
        Some(Change { cut_off: self.cut_off, since, hosts, of })
    }

    fn forget(&mut self) {
        (self.since, self.stretch) = (None, Stretch::default());
    }
}

impl Change {
    /// How long it took to see.
    pub fn took(&self, now: Timestamp) -> Duration {
        between(self.since, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(second)
    }

    /// A trace: hosts in turn, of domains in turn, each letter a run: `.` reached, `n` no name, `c` cut off, `t` timed out. The
    /// answer is `-` while all is well, `?` in doubt, `!` cut off.
    fn trace(runs: &str, hosts: usize, domains: usize, enough: usize) -> String {
        let mut network = Network::default();
        let after = |(n, letter): (usize, char)| {
            let sight = match letter {
                '.' => Sight::Reached,
                'n' => Sight::Unreached,
                'c' => Sight::CutOff,
                _ => Sight::Unknown,
            };
            let host = n % hosts;
            let host = Arc::from(format!("host-{host}.shop-{}.example", host % domains));
            network.take(&host, sight, enough, at(i64::try_from(n).unwrap()));
            if network.is_cut_off() {
                '!'
            } else if network.is_in_doubt() {
                '?'
            } else {
                '-'
            }
        };
        runs.chars().enumerate().map(after).collect()
    }

    #[test]
    fn it_is_the_machine_where_nearly_all_that_was_looked_at_since_was_out_of_reach() {
        for (runs, hosts, domains, enough, expected) in [
            (".....ccccc.", 10, 2, 5, "-----????!!"),
            // Others that reach something say that it is not.
            ("..n.nn..nnnn.", 10, 2, 5, "--?-??--?????"),
            // One of many may be seen all the same.
            ("nnnn.nnnn", 20, 2, 5, "?????!!!!"),
            ("cccc.", 5, 1, 5, "?????"),
            // Hosts of one domain have a name server in common, unless it is the machine that says so.
            ("nnnnnnnnnn", 10, 1, 5, "??????????"),
            ("cccccnnnnn", 10, 1, 5, "????!!!!!!"),
            // One host that fails again and again is one.
            ("nnnnnnnn", 4, 2, 5, "????????"),
            // Where many are looked at each minute more must say so.
            ("nnnnnnnnn", 40, 2, 8, "???????!!"),
            // What says nothing says nothing.
            ("nnttnntn", 20, 2, 5, "???????!"),
        ] {
            assert_eq!(trace(runs, hosts, domains, enough), expected, "{runs}");
        }
    }

    #[test]
    fn it_is_over_when_more_than_hardly_any_are_reached_again() {
        for (runs, hosts, expected) in [
            ("ccccc.c.....", 12, "????!!!!!---"),
            ("cccccnt.....t", 12, "????!!!!!!!--"),
            // One of many that is reached is none.
            ("cccccc.ccccc.ccccc.", 12, "????!!!!!!!!!!!!!!!"),
            // Some are down for themselves when it is over.
            ("nnnnn...n...n", 8, "????!!!!!---?"),
            ("nnnnn...nn...nn", 5, "????!!!!!!---??"),
        ] {
            assert_eq!(trace(runs, hosts, 2, 5), expected, "{runs}");
        }
    }

    #[test]
    fn what_fails_says_whether_anything_answered() {
        use FailureKind as Kind;
        let failed =
            |kinds: &[FailureKind]| Verdict::Failed(kinds.iter().map(|kind| Failure::new(*kind, "x")).collect());
        for (verdict, sight, ours) in [
            (Verdict::Passed, Sight::Reached, false),
            (failed(&[Kind::Expect]), Sight::Reached, false),
            (failed(&[Kind::ConnectRefused]), Sight::Reached, false),
            (failed(&[Kind::TimeoutDns]), Sight::Unreached, true),
            (failed(&[Kind::DnsServer, Kind::ConnectUnreachable]), Sight::Unreached, true),
            (failed(&[Kind::TimeoutDns, Kind::Expect]), Sight::Reached, false),
            (failed(&[Kind::TimeoutConnect]), Sight::Unknown, true),
            (Verdict::Inconclusive(Cause::Ours(Failure::new(Kind::LocalNetwork, "x"))), Sight::CutOff, true),
            (Verdict::Inconclusive(Cause::Ours(Failure::new(Kind::LocalResources, "x"))), Sight::Unknown, false),
            (Verdict::Inconclusive(Cause::ShutDown), Sight::Unknown, false),
        ] {
            assert_eq!((Sight::of(&verdict), may_be_ours(verdict.failures())), (sight, ours), "{verdict:?}");
        }
    }

    #[test]
    fn hosts_are_here_or_of_a_domain() {
        for host in ["127.0.0.1", "::1", "[::1]", "localhost", "shop.localhost."] {
            assert!(is_here(host), "{host}");
        }
        for (host, of) in [
            ("api.shop.example.com", Some("example.com")),
            ("example.com.", Some("example.com")),
            ("intranet", Some("intranet")),
            ("192.0.2.1", None),
            ("2001:db8::1", None),
        ] {
            assert!(!is_here(host), "{host}");
            assert_eq!(domain(host), of);
        }
    }

    proptest! {
        #[test]
        fn what_is_counted_is_what_was_seen(runs in proptest::collection::vec((0_usize..6, 0_usize..3), 1..60)) {
            let mut stretch = Stretch::default();
            for (host, sight) in runs {
                let host = if host == 5 { Arc::from("192.0.2.1") } else { Arc::from(format!("h{host}.s{}.example", host % 2)) };
                stretch.put(&host, [Sight::Reached, Sight::Unreached, Sight::CutOff][sight]);
                let counts = |counts: fn(Sight) -> bool| stretch.hosts.values().filter(|sight| counts(**sight)).count();
                let cut_off = counts(|sight| sight == Sight::CutOff);
                prop_assert_eq!((stretch.blind, stretch.cut_off), (counts(Sight::is_blind), cut_off));
                let mut domains = BTreeMap::new();
                for of in stretch.hosts.iter().filter(|(_, sight)| sight.is_blind()).filter_map(|(host, _)| domain(host)) {
                    *domains.entry(Arc::from(of)).or_default() += 1;
                }
                prop_assert_eq!(&stretch.domains, &domains);
            }
        }

        #[test]
        fn it_is_never_the_machine_while_one_in_four_is_reached(
            hosts in proptest::collection::vec((0_usize..30, 0_u8..2), 1..300),
        ) {
            let mut network = Network::default();
            for (n, (host, sight)) in hosts.iter().enumerate() {
                let host = Arc::from(format!("host.shop-{host}.example"));
                // Every third run reaches something new, whatever the others say.
                let (host, sight) = if n % 3 == 0 {
                    (Arc::from(format!("well.shop-{n}.example")), Sight::Reached)
                } else {
                    (host, if *sight == 0 { Sight::Unreached } else { Sight::CutOff })
                };
                let change = network.take(&host, sight, 5, at(0));
                prop_assert_eq!(change, None);
                prop_assert!(network.stretch.hosts.len() <= 4);
            }
        }
    }
}
