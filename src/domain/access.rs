//! Who may read and who may change something: what is believed of whom.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::names::glob;

/// The longest name that a proxy gives, in characters.
pub const USER_MAX: usize = 100;

/// How much of a token has to be guessed, in bits.
const BITS_MIN: f64 = 128.0;

/// A token of fewer different characters follows a pattern.
const DIFFERENT_MIN: usize = 8;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read.
    Read,
    /// Change something, and read.
    Operate,
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    /// How many bits they share.
    bits: u32,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It is something else.
    #[error("`{0}` is not an address or a network")]
    Strange(String),
    /// The address is one within the network, and not its first.
    #[error("`{0}` is an address within the network {1}")]
    Within(String, Network),
    /// All addresses there are.
    #[error("`{0}` is everybody")]
    Everybody(String),
}

impl Network {
    /// Whether an address is in it; one of IPv4 that comes as IPv6 is the same address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && first_of(address, self.bits) == self.first
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn first_of(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & u32::MAX.checked_shl(32 - bits).unwrap_or(0)).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & u128::MAX.checked_shl(128 - bits).unwrap_or(0)).into()),
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let strange = || NetworkError::Strange(text.to_owned());
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address = address.parse::<IpAddr>().map_err(|_| strange())?.to_canonical();
        let bits = match bits {
            Some(bits) if bits.bytes().all(|digit| digit.is_ascii_digit()) => bits.parse().map_err(|_| strange())?,
            Some(_) => return Err(strange()),
            None => width(address),
        };
        if bits > width(address) {
            return Err(strange());
        }
        if bits == 0 {
            return Err(NetworkError::Everybody(text.to_owned()));
        }
        let network = Self { first: first_of(address, bits), bits };
        if network.first == address { Ok(network) } else { Err(NetworkError::Within(text.to_owned(), network)) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

/// A proxy that stands before us, and may know who asks. What it says is believed where it comes from one of its addresses, and
/// nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Its addresses.
    pub from: Vec<Network>,
    /// The header in which it says who asks, in small letters. Where none is named it knows nobody, and what it passes on in any
    /// is what others said.
    pub user: Option<String>,
    /// Who of them may change something: names, or globs with `*`. All others read.
    pub operate: Vec<String>,
}

impl Proxy {
    /// Whether an address is one of its own.
    pub fn is_at(&self, address: IpAddr) -> bool {
        self.from.iter().any(|network| network.contains(address))
    }

    /// What somebody may do whom it names.
    pub fn role(&self, user: &str) -> Role {
        let may_operate = self.operate.iter().any(|pattern| glob(pattern, user));
        if may_operate { Role::Operate } else { Role::Read }
    }

    /// Who asks, by the header of a request that it sent: nothing where it names nobody, and an error where that cannot be
    /// known: said twice, or no name.
    pub fn user<'a>(&self, said: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<&'a str>, Unnamed> {
        let mut said = said.into_iter();
        let (first, second) = (said.next(), said.next());
        let Some(user) = first else { return Ok(None) };
        let user = str::from_utf8(user).map_err(|_| Unnamed)?.trim();
        // Who puts two headers together puts a comma between them.
        let is_name = second.is_none()
            && user.chars().count() <= USER_MAX
            && !user.contains(|letter: char| letter.is_control() || letter == ',');
        if is_name { Ok(Some(user).filter(|user| !user.is_empty())) } else { Err(Unnamed) }
    }

    /// Who stands before it, by what it and those before it added to `X-Forwarded-For`: the last that is not one of its own
    /// addresses. What comes before that was said by somebody else.
    pub fn client<'a>(&self, peer: IpAddr, said: impl DoubleEndedIterator<Item = &'a [u8]>) -> IpAddr {
        if !self.is_at(peer) {
            return peer;
        }
        let parts = said.rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
        let address = |part: &[u8]| str::from_utf8(part).ok()?.trim().parse::<IpAddr>().ok();
        let mut last = peer;
        for part in parts {
            let Some(address) = address(part) else { break };
            last = address;
            if !self.is_at(address) {
                break;
            }
        }
        last
    }
}

/// A proxy does not say who asks so that it can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unnamed;

/// Whether a token can be guessed: it is short for the letters of which it is made, or follows a pattern. One that passes may
/// be a bad one all the same; that is known to whoever made it.
pub fn is_guessable(token: &str) -> bool {
    let is_hex = |letter: char| letter.is_ascii_digit() || ('a'..='f').contains(&letter);
    let classes = [
        (token.contains(|letter: char| letter.is_ascii_digit()), 10.0),
        (token.contains(|letter: char| letter.is_ascii_lowercase()), 26.0),
        (token.contains(|letter: char| letter.is_ascii_uppercase()), 26.0),
        (token.contains(|letter: char| !letter.is_ascii_alphanumeric()), 32.0),
    ];
    let used = classes.iter().filter(|(is_used, _)| *is_used).map(|(_, size)| size).sum::<f64>();
    let letters = if token.chars().all(is_hex) { used.min(16.0) } else { used };
    let bits = token.chars().count() as f64 * letters.max(1.0).log2();
    let different: std::collections::BTreeSet<char> = token.chars().collect();
    bits < BITS_MIN || different.len() < DIFFERENT_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<Network, String> {
        text.parse().map_err(|error: NetworkError| error.to_string())
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        for (text, within, beyond) in [
            ("10.0.0.0/24", "10.0.0.255", "10.0.1.0"),
            ("10.0.0.7", "10.0.0.7", "10.0.0.8"),
            ("10.0.0.6/31", "::ffff:10.0.0.7", "10.0.0.8"),
            ("128.0.0.0/1", "255.0.0.1", "127.255.255.255"),
            ("2001:db8::/64", "2001:db8::ffff", "2001:db8:0:1::"),
            ("::ffff:10.0.0.7", "10.0.0.7", "::10.0.0.7"),
            ("::1", "::1", "127.0.0.1"),
        ] {
            let network = network(text).unwrap();
            assert!(network.contains(within.parse().unwrap()), "{text} {within}");
            assert!(!network.contains(beyond.parse().unwrap()), "{text} {beyond}");
        }
        for (text, why) in [
            ("10.0.0.7/24", "`10.0.0.7/24` is an address within the network 10.0.0.0/24"),
            ("0.0.0.0/0", "`0.0.0.0/0` is everybody"),
            ("::/0", "`::/0` is everybody"),
            ("10.0.0.0/33", "`10.0.0.0/33` is not an address or a network"),
            ("10.0.0.0/+8", "`10.0.0.0/+8` is not an address or a network"),
            ("10.0.0.0/", "`10.0.0.0/` is not an address or a network"),
            ("10.0.0", "`10.0.0` is not an address or a network"),
            ("proxy.internal", "`proxy.internal` is not an address or a network"),
            ("", "`` is not an address or a network"),
        ] {
            assert_eq!(network(text), Err(why.to_owned()));
        }
    }

    fn proxy() -> Proxy {
        let from = ["10.0.0.0/24", "::1"].map(|text| text.parse().unwrap()).into();
        let operate = ["ann", "*@ops.example.com"].map(str::to_owned).into();
        Proxy { from, user: Some("x-forwarded-user".to_owned()), operate }
    }

    #[test]
    fn a_proxy_names_one_or_nobody() {
        let user = |said: &[&'static str]| proxy().user(said.iter().map(|line| line.as_bytes()));
        assert_eq!((user(&[]), user(&[""]), user(&[" ann "])), (Ok(None), Ok(None), Ok(Some("ann"))));
        assert_eq!(user(&["Jörg"]), Ok(Some("Jörg")));
        for said in [&["ann", "ann"][..], &["ann", ""], &["ann,bob"], &["a\tb"]] {
            assert_eq!(user(said), Err(Unnamed), "{said:?}");
        }
        let long = "a".repeat(USER_MAX + 1);
        assert_eq!(proxy().user([long.as_bytes()]), Err(Unnamed));
        assert_eq!(proxy().user([&b"\xff"[..]]), Err(Unnamed));
        for (user, role) in [
            ("ann", Role::Operate),
            ("bob@ops.example.com", Role::Operate),
            ("Ann", Role::Read),
            ("bob@ops.example.com.evil", Role::Read),
        ] {
            assert_eq!(proxy().role(user), role, "{user}");
        }
    }

    #[test]
    fn who_stands_before_a_proxy_is_whom_the_last_of_them_saw() {
        for (peer, said, client) in [
            ("10.0.0.1", &["192.0.2.1, 198.51.100.7, 10.0.0.2"][..], "198.51.100.7"),
            ("10.0.0.1", &["192.0.2.1", "198.51.100.7,10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["10.0.0.3"], "10.0.0.3"),
            ("10.0.0.1", &["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("203.0.113.9", &["192.0.2.1"], "203.0.113.9"),
        ] {
            let seen = proxy().client(peer.parse().unwrap(), said.iter().map(|line| line.as_bytes()));
            assert_eq!(seen, client.parse::<IpAddr>().unwrap(), "{said:?}");
        }
    }

    #[test]
    fn a_token_that_is_short_or_follows_a_pattern_can_be_guessed() {
        for token in ["", "hunter2", "correct-horse", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "0123456789abcdef"] {
            assert!(is_guessable(token), "{token}");
        }
        for token in ["9f86d081884c7d659a2feaa0c55ad015", "qL4v-Zk81nWm_0tYbXe7Rg", "pdjwnqxkzhvbtmclrgyeoisuafqz"] {
            assert!(!is_guessable(token), "{token}");
        }
    }
}
