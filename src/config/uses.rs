//! Which probes use which: each is made after those that it brings.

use std::collections::{BTreeMap, BTreeSet};

use super::each::Expanded;
use crate::settings::{Node, Problems, Scalar, Span, Value};

/// The probes, each after those that it uses. What goes in a circle is told, once.
pub fn in_order(probes: Vec<Expanded>, problems: &mut Problems) -> Vec<Expanded> {
    let uses: BTreeMap<String, Vec<(String, Span)>> =
        probes.iter().map(|probe| (probe.name.to_string(), uses_of(&probe.node))).collect();
    let mut order = Order { uses: &uses, done: BTreeMap::new(), way: Vec::new() };
    for probe in &probes {
        order.visit(probe.name.as_str(), problems);
    }
    let places = order.done;
    let mut probes = probes;
    probes.sort_by_key(|probe| places.get(probe.name.as_str()).copied());
    probes
}

/// The names under `use` in the steps of a probe.
fn uses_of(probe: &Node) -> Vec<(String, Span)> {
    let Some(Node { value: Value::List(steps), .. }) = probe.get("steps") else { return Vec::new() };
    let text = |used: &Node| match &used.value {
        Value::Text(Scalar { text, .. }) => Some((text.clone(), used.span.clone())),
        _ => None,
    };
    steps.iter().filter_map(|step| text(step.get("use")?)).collect()
}

struct Order<'a> {
    uses: &'a BTreeMap<String, Vec<(String, Span)>>,
    /// The place of each probe that has one.
    done: BTreeMap<&'a str, usize>,
    /// From the probe that began to the one that is looked at.
    way: Vec<&'a str>,
}

impl Order<'_> {
    fn visit(&mut self, name: &str, problems: &mut Problems) {
        let Some((name, uses)) = self.uses.get_key_value(name) else { return };
        if self.done.contains_key(name.as_str()) {
            return;
        }
        self.way.push(name);
        let mut seen = BTreeSet::new();
        for (used, at) in uses.iter().filter(|(used, _)| seen.insert(used)) {
            if let Some(from) = self.way.iter().position(|known| known == used) {
                let circle = self.way[from..].iter().copied().chain([used.as_str()]).collect::<Vec<_>>().join(" → ");
                problems.error(at.clone(), format!("the uses go in a circle: {circle}"));
                continue;
            }
            self.visit(used, problems);
        }
        self.way.pop();
        let place = self.done.len();
        self.done.insert(name, place);
    }
}
