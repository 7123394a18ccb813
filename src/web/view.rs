//! What every part of a page needs: the plan, the instant at which it is drawn, and the one way by which text from
//! elsewhere enters it.

use std::fmt::Write as _;

use super::visit::Visit;
use crate::domain::text::harmless;
use crate::domain::time::{Timestamp, between, words};
use crate::engine::changes::Generations;
use crate::engine::plan::Plan;
use crate::engine::unrecorded::Trouble;

/// The longest line within a row.
pub const LINE_MAX: usize = 240;

/// The longest value on the page of an incident. A value of a target may be a whole body.
pub const VALUE_MAX: usize = 4_000;

/// The instant of a page, and the plan that it shows.
#[derive(Clone)]
pub struct View<'a> {
    /// What runs.
    pub plan: &'a Plan,
    /// When the page is drawn.
    pub now: Timestamp,
    /// Which page is asked for, and by whom.
    pub visit: Visit,
    /// When the process began: of rounds before that nothing is still to come. Absent while that is not known.
    pub began_at: Option<Timestamp>,
    /// What had changed by then.
    pub seen: Generations,
    /// Why nothing is recorded, while that is so.
    pub trouble: Option<Trouble>,
    /// What became of a store that was damaged when the process started.
    pub lost: Option<String>,
}

impl View<'_> {
    /// Text that somebody else wrote: without secrets, with control and bidirectional characters made visible, and not
    /// longer than `most` characters, unless to say so took more than what is left out. Escaping for HTML is maud's.
    pub fn text(&self, text: &str, most: usize) -> String {
        let text = self.plan.secrets.redact(text);
        let length = text.chars().count();
        let cut = format!("… ({} more characters)", length.saturating_sub(most));
        if length <= most + cut.chars().count() {
            return harmless(&text).into_owned();
        }
        let kept: String = text.chars().take(most).collect();
        harmless(&kept).into_owned() + &cut
    }

    /// The same for text of several lines, which stay lines.
    pub fn lines(&self, text: &str, most: usize) -> String {
        let text = self.plan.secrets.redact(text);
        let kept: String = text.chars().take(most).collect();
        let mut lines = kept.lines().map(harmless).collect::<Vec<_>>().join("\n");
        if kept.len() < text.len() {
            // Writing to a String cannot fail.
            let _ = write!(lines, "… ({} more characters)", text.chars().count() - most);
        }
        lines
    }

    /// An instant in UTC with its seconds; with its date where that is not today's.
    pub fn instant(&self, at: Timestamp) -> String {
        let form = if at.date_naive() == self.now.date_naive() { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S UTC" };
        at.format(form).to_string()
    }

    /// The instant for a line of a time line, with its milliseconds.
    pub fn exactly(&self, at: Timestamp) -> String {
        let form = if at.date_naive() == self.now.date_naive() { "%H:%M:%S%.3f" } else { "%Y-%m-%d %H:%M:%S" };
        at.format(form).to_string()
    }

    /// How long ago an instant was.
    pub fn ago(&self, at: Timestamp) -> String {
        let age = between(at, self.now);
        if age.as_secs() == 0 { "just now".to_owned() } else { format!("{} ago", words(age)) }
    }

    /// How long an instant is ahead.
    pub fn ahead(&self, at: Timestamp) -> String {
        let left = between(self.now, at);
        if left.as_secs() == 0 { "now".to_owned() } else { format!("in {}", words(left)) }
    }
}
