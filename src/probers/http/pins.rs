//! Addresses that are written and not looked up: to probe one server behind a balancer, as `curl --resolve` does.

use std::net::IpAddr;

use url::Host;

use super::url::UrlDraft;
use crate::net::resolver::Family;
use crate::settings::{Node, Problems, Spanned, Value, read};

/// A name and its address.
pub type Pin = (String, IpAddr);

/// Reads the setting `resolve`: an address, for the host of the URL, or a mapping from names to addresses. Other hosts,
/// where a redirect may lead, are looked up.
pub fn pins(written: &Node, url: Option<&UrlDraft>, family: Option<Family>, problems: &mut Problems) -> Vec<Pin> {
    if let Value::Map(entries) = &written.value {
        let pin = |entry: &crate::settings::Entry, problems: &mut Problems| {
            let name = match Host::parse(&entry.key.text) {
                Ok(Host::Domain(name)) => Some(name),
                _ => {
                    let message = format!("`{}` is not a host name", entry.key.text);
                    problems.error(entry.key.span.clone(), message).help =
                        Some("write names to addresses, like `{ shop.example.com: 192.0.2.7 }`".to_owned());
                    None
                }
            };
            let address = address(&entry.value, family, problems);
            Some((name?, address?))
        };
        return entries.iter().filter_map(|entry| pin(entry, problems)).collect();
    }
    let address = address(written, family, problems);
    match url.map(UrlDraft::host) {
        Some(Some(Host::Domain(name))) => address.map(|address| (name, address)).into_iter().collect(),
        Some(_) => {
            problems.error(written.span.clone(), "there is no name in the URL that could be resolved").help =
                Some("write names to addresses, like `{ shop.example.com: 192.0.2.7 }`, or remove it".to_owned());
            Vec::new()
        }
        None => Vec::new(),
    }
}

fn address(written: &Node, family: Option<Family>, problems: &mut Problems) -> Option<IpAddr> {
    let text: Spanned<String> = read(written, problems)?;
    let Ok(address) = text.value.parse::<IpAddr>() else {
        problems.error(text.span, format!("`{}` is not an address", text.value)).help =
            Some("write it without a port, like `192.0.2.7` or `\"2001:db8::7\"`".to_owned());
        return None;
    };
    if let Some(family) = family.filter(|family| Family::of(address) != *family) {
        let message = format!("`{address}` is no {} address, and `family` allows no other", family.words());
        problems.error(text.span, message).help = Some("change one of them".to_owned());
        return None;
    }
    Some(address)
}
