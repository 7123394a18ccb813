//! XML of AWS as JSON, without a model of what it says.
//!
//! An element with elements in it is an object, any other a text, which stays text: nobody says here what is a number. What
//! is a list must be one also with a single member, so it is told by names:
//!
//! 1. an element whose children are all called `member` or `item` is the list of them;
//! 2. so is one called `Items`, and one whose children all have one name that begins as its own does in the singular
//!    (`Buckets` of `Bucket`, `TagSet` of `Tag`), or that is among [`WRAPPERS`];
//! 3. what S3 repeats without an element around it ([`REPEATED`]) is a list under its own name;
//! 4. anything else that is there several times is a list under its own name too.
//!
//! An empty element is an empty text, and so is an empty list: `size(…) == 0` holds of both. Attributes say nothing that is
//! asked for, and are left out.
//!
//! The document is hostile: its size was bounded before, its depth is bounded here, and entities that it declares itself are
//! not known.

use quick_xml::events::Event;
use quick_xml::reader::Reader;
use serde_json::{Map, Value};

use crate::net::entities::resolved;

/// How deep elements may be nested.
const DEPTH_MAX: usize = 64;

/// Lists whose members are called otherwise than they are. From AWS's models of the services in
/// [`services`](super::services).
const WRAPPERS: [&str; 34] = [
    "AccessControlList",
    "AccountsWithRestoreAccess",
    "AllowedVPCs",
    "AssociatedClusters",
    "AssociatedRoles",
    "CacheNodeIdsToReboot",
    "CacheNodeIdsToRemove",
    "DBClusterOptionGroupMemberships",
    "DBSecurityGroupMemberships",
    "Errors",
    "EventCategoriesList",
    "EventSubscriptionsList",
    "IamRoles",
    "MemberClusters",
    "MemberClustersOutpostArns",
    "Members",
    "NextInvocations",
    "OptionGroupOptionVersions",
    "OptionGroupsList",
    "OptionalFields",
    "OptionsConflictsWith",
    "OptionsDependedOn",
    "ParameterGroups",
    "PendingMaintenanceActionDetails",
    "PendingMaintenanceActions",
    "ReplicaAvailabilityZones",
    "ReplicaOutpostArns",
    "RestorableNodeTypes",
    "SourceIdsList",
    "StatusInfos",
    "SupportedCharacterSets",
    "TableRestoreStatusDetails",
    "TargetGrants",
    "ValidUpgradeTarget",
];

/// What S3 repeats. Not `Tag` and `Prefix`, which are one as often as not.
const REPEATED: [&str; 22] = [
    "AllowedHeader",
    "AllowedMethod",
    "AllowedOrigin",
    "AnalyticsConfiguration",
    "CORSRule",
    "CloudFunctionConfiguration",
    "CommonPrefixes",
    "Contents",
    "DeleteMarker",
    "Event",
    "ExposeHeader",
    "FilterRule",
    "IntelligentTieringConfiguration",
    "InventoryConfiguration",
    "MetricsConfiguration",
    "NoncurrentVersionTransition",
    "QueueConfiguration",
    "Rule",
    "TopicConfiguration",
    "Transition",
    "Upload",
    "Version",
];

/// Reads a document: the name of its root, and what is in it. `repeats` says whether it is one of S3, with lists that nothing is
/// around. The error says what is wrong with it, as an end of a sentence.
pub fn read(document: &[u8], repeats: bool) -> Result<(String, Value), String> {
    let text = std::str::from_utf8(document)
        .map_err(|error| format!("is not UTF-8: byte {} is wrong", error.valid_up_to()))?;
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut reading = Reading { repeats, open: Vec::new(), root: None };
    loop {
        let position = reader.buffer_position();
        let event = reader.read_event().map_err(|error| format!("is no XML at byte {position}: {error}"))?;
        if matches!(event, Event::Eof) {
            return match reading.root {
                Some(root) if reading.open.is_empty() => Ok(root),
                _ => Err("ends before its root does".to_owned()),
            };
        }
        reading.take(&event)?;
    }
}

/// An element that is open.
#[derive(Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<(String, Value)>,
}

struct Reading {
    repeats: bool,
    open: Vec<Element>,
    root: Option<(String, Value)>,
}

impl Reading {
    fn take(&mut self, event: &Event<'_>) -> Result<(), String> {
        let unreadable = |error: &dyn std::fmt::Display| format!("has a text that cannot be read: {error}");
        match event {
            Event::Start(start) => self.begin(start.local_name().as_ref())?,
            Event::Empty(start) => {
                self.begin(start.local_name().as_ref())?;
                self.end();
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(&text.xml10_content().map_err(|error| unreadable(&error))?),
            Event::CData(text) => self.text(&text.xml10_content().map_err(|error| unreadable(&error))?),
            Event::GeneralRef(reference) => self.text(&resolved(reference)?),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn begin(&mut self, name: &[u8]) -> Result<(), String> {
        if self.open.len() >= DEPTH_MAX {
            return Err(format!("has elements more than {DEPTH_MAX} deep"));
        }
        if self.root.is_some() {
            return Err("has two roots".to_owned());
        }
        self.open.push(Element { name: String::from_utf8_lossy(name).into_owned(), ..Element::default() });
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some(element) = self.open.last_mut() {
            element.text.push_str(text);
        }
    }

    fn end(&mut self) {
        let Some(element) = self.open.pop() else { return };
        let named = (element.name.clone(), element.value(self.repeats));
        match self.open.last_mut() {
            Some(parent) => parent.children.push(named),
            None => self.root = Some(named),
        }
    }
}

impl Element {
    fn value(self, repeats: bool) -> Value {
        let Some((first, _)) = self.children.first() else {
            let is_blank = self.text.trim().is_empty();
            return Value::String(if is_blank { String::new() } else { self.text });
        };
        if is_list(&self.name, first) && self.children.iter().all(|(name, _)| name == first) {
            return self.children.into_iter().map(|(_, value)| value).collect();
        }
        let mut fields = Map::new();
        for (name, value) in self.children {
            if let Value::Array(values) = fields.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                values.push(value);
            }
        }
        for (name, values) in &mut fields {
            let is_list = repeats && REPEATED.contains(&name.as_str());
            if let Value::Array(all) = values
                && let ([only], false) = (&mut all[..], is_list)
            {
                *values = only.take();
            }
        }
        Value::Object(fields)
    }
}

/// Whether an element with children of one name is the list of them.
fn is_list(name: &str, child: &str) -> bool {
    const PLURALS: [(&str, &str); 6] = [("ies", "y"), ("ses", "s"), ("xes", "x"), ("s", ""), ("List", ""), ("Set", "")];
    // `Status` and `Access` are no plurals.
    let may_be_plural = !name.ends_with("us") && !name.ends_with("ss");
    let begins = |(plural, singular): &(&str, &str)| {
        let one = name.strip_suffix(plural).filter(|one| !one.is_empty());
        one.is_some_and(|one| child.strip_prefix(one).is_some_and(|rest| rest.starts_with(singular)))
    };
    matches!(child, "member" | "item")
        || name == "Items"
        || WRAPPERS.contains(&name)
        || (may_be_plural && PLURALS.iter().any(begins))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(document: &str) -> Value {
        read(document.as_bytes(), true).unwrap().1
    }

    #[test]
    fn lists_are_lists_with_one_member_too() {
        for (document, expected) in [
            ("<R><Users><member><Name>a</Name></member></Users></R>", json!({ "Users": [{ "Name": "a" }] })),
            ("<R><vpcSet><item><vpcId>v</vpcId></item></vpcSet></R>", json!({ "vpcSet": [{ "vpcId": "v" }] })),
            ("<R><Buckets><Bucket><Name>a</Name></Bucket></Buckets></R>", json!({ "Buckets": [{ "Name": "a" }] })),
            ("<R><TagSet><Tag><Key>k</Key></Tag></TagSet></R>", json!({ "TagSet": [{ "Key": "k" }] })),
            ("<R><Policies><Policy>p</Policy></Policies></R>", json!({ "Policies": ["p"] })),
            (
                "<R><Quantity>1</Quantity><Items><CNAME>a</CNAME></Items></R>",
                json!({ "Quantity": "1", "Items": ["a"] }),
            ),
            ("<R><AccessControlList><Grant>g</Grant></AccessControlList></R>", json!({ "AccessControlList": ["g"] })),
            ("<R><Contents><Key>a</Key></Contents></R>", json!({ "Contents": [{ "Key": "a" }] })),
            ("<R><x>1</x><x>2</x></R>", json!({ "x": ["1", "2"] })),
            ("<R><Users>\n </Users></R>", json!({ "Users": "" })),
            ("<R><Status><StatusCode>1</StatusCode></Status></R>", json!({ "Status": { "StatusCode": "1" } })),
            ("<R><Status><Code>1</Code></Status></R>", json!({ "Status": { "Code": "1" } })),
            ("<R xmlns='urn:x'>a &amp; &#98;<![CDATA[<c>]]></R>", json!("a & b<c>")),
        ] {
            assert_eq!(value(document), expected, "{document}");
        }
        let once = read(b"<R><Contents>a</Contents></R>", false).unwrap();
        assert_eq!(once, ("R".to_owned(), json!({ "Contents": "a" })));
    }

    #[test]
    fn hostile_documents_are_told() {
        let deep = "<a>".repeat(65);
        for (document, message) in [
            ("<a>", "ends before its root does"),
            ("", "ends before its root does"),
            ("<a/><b/>", "has two roots"),
            ("<!DOCTYPE a [<!ENTITY x 'boom'>]><a>&x;</a>", "has an entity that nobody knows, `&x;`"),
            (deep.as_str(), "has elements more than 64 deep"),
        ] {
            assert_eq!(read(document.as_bytes(), true).unwrap_err(), message, "{document}");
        }
        assert!(read(b"<a></b>", true).unwrap_err().starts_with("is no XML at byte "));
        assert_eq!(read(b"<a>\xff</a>", true).unwrap_err(), "is not UTF-8: byte 3 is wrong");
    }
}
