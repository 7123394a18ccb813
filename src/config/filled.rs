//! What came from the environment or from a file and was filled in: it may be secret, so no problem repeats it. Where one
//! would, it shows the reference, which is what stands in the file anyway.

use std::cell::RefCell;

use crate::settings::{Problem, Problems, Span};

/// A value shorter than this is found everywhere, and hides nothing.
const LENGTH_MIN: usize = 4;

/// The values and where they were filled in.
#[derive(Default)]
pub struct Filled(RefCell<Vec<Fill>>);

#[derive(Clone)]
struct Fill {
    at: Span,
    reference: String,
    value: String,
}

impl Filled {
    /// Notes that a value was filled in at a place.
    pub fn note(&self, at: &Span, reference: String, value: &str) {
        if value.len() >= LENGTH_MIN {
            self.0.borrow_mut().push(Fill { at: at.clone(), reference, value: value.to_owned() });
        }
    }

    /// Notes that a text was filled in that may hold such values itself.
    pub fn pass_on(&self, at: &Span, text: &str) {
        let mut within: Vec<Fill> = self.0.borrow().iter().filter(|fill| text.contains(&fill.value)).cloned().collect();
        // Each value once: what is passed on is passed on again, and would double with every place.
        within.sort_by(|a, b| (&a.reference, &a.value).cmp(&(&b.reference, &b.value)));
        within.dedup_by(|a, b| a.reference == b.reference && a.value == b.value);
        self.0.borrow_mut().extend(within.into_iter().map(|fill| Fill { at: at.clone(), ..fill }));
    }

    /// Takes the values out of what problems say about the places where they were filled in.
    pub fn mask(&self, problems: &mut Problems) {
        let fills = self.0.borrow();
        for problem in problems.iter_mut() {
            let Some(at) = problem.at.clone() else { continue };
            let mut here: Vec<&Fill> = fills.iter().filter(|fill| meet(&fill.at, &at)).collect();
            // The longest first, so that a part never hides the whole.
            here.sort_by_key(|fill| std::cmp::Reverse(fill.value.len()));
            mask(problem, at.text(), &here);
        }
    }
}

fn meet(a: &Span, b: &Span) -> bool {
    a.source.path == b.source.path && a.bytes.start < b.bytes.end && b.bytes.start < a.bytes.end
}

fn mask(problem: &mut Problem, written: &str, fills: &[&Fill]) {
    let texts = [Some(&mut problem.message), problem.help.as_mut(), problem.label.as_mut()];
    for text in texts.into_iter().flatten() {
        for fill in fills {
            *text = text.replace(&fill.value, &fill.reference);
        }
        // An expression is quoted in parts.
        let is_part = |quoted: &str| !written.contains(quoted) && fills.iter().any(|fill| fill.value.contains(quoted));
        let parts = text.split('`').enumerate();
        let parts = parts.map(|(index, part)| if index % 2 == 1 && is_part(part) { "…" } else { part });
        *text = parts.collect::<Vec<_>>().join("`");
    }
}
