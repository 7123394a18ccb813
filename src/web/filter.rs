//! Which rows of the status page are asked for, by its query: `?label=team=shop&q=cart&show=bad`, and of a large schedule which
//! part: `?tier=often&page=2`.

use url::form_urlencoded::Serializer;

use super::board::{Row, Standing};
use super::visit::Visit;

/// How many labels are heeded, and how much of a text.
const LABELS_MAX: usize = 10;

/// The longest text that is looked for, in characters.
const TEXT_MAX: usize = 100;

/// What is asked for. The default is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Labels, all of which a probe has.
    pub labels: Vec<(String, String)>,
    /// What its name or the value of a label contains, in letters of either case.
    pub text: Option<String>,
    /// How it stands: `bad`, or the word of a standing.
    pub show: Option<String>,
    /// The one schedule that is shown.
    pub tier: Option<String>,
    /// Which part of its probes, from 1.
    pub page: usize,
}

impl Filter {
    /// What a query says. What it says that means nothing finds nothing: a mistake in typing is not shown everything.
    pub fn of(visit: &Visit) -> Self {
        let labels = visit.asked().filter(|(name, value)| name == "label" && !value.trim().is_empty());
        let labels = labels.map(|(_, value)| {
            let (key, value) = value.split_once('=').unwrap_or((&value, ""));
            (key.trim().to_owned(), value.trim().to_owned())
        });
        Self {
            labels: labels.take(LABELS_MAX).collect(),
            text: visit.last("q").map(|text| text.chars().take(TEXT_MAX).collect()),
            show: visit.last("show").filter(|show| show != "all"),
            tier: visit.last("tier"),
            page: visit.last("page").and_then(|page| page.parse().ok()).unwrap_or(1).max(1),
        }
    }

    /// Whether only some rows are asked for.
    pub fn is_set(&self) -> bool {
        !self.labels.is_empty() || self.text.is_some() || self.show.is_some()
    }

    /// Whether a row is asked for.
    pub fn takes(&self, row: &Row<'_>) -> bool {
        let (name, labels) = (row.probe.name.as_str(), &row.probe.labels);
        let has = |text: &String| {
            let text = text.to_lowercase();
            name.to_lowercase().contains(&text) || labels.values().any(|value| value.to_lowercase().contains(&text))
        };
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.text.as_ref().is_none_or(has)
            && self.show.as_ref().is_none_or(|show| match show.as_str() {
                "bad" => row.standing.is_bad(),
                word => row.standing.word() == word,
            })
    }

    /// The same without labels, with one more, or with one less.
    pub fn with_label(&self, key: &str, value: &str) -> Self {
        let mut other = Self { tier: None, page: 1, ..self.clone() };
        let label = (key.to_owned(), value.to_owned());
        match other.labels.iter().position(|known| *known == label) {
            Some(at) => {
                other.labels.remove(at);
            }
            None => other.labels.push(label),
        }
        other
    }

    /// A part of one schedule.
    pub fn at(&self, tier: &str, page: usize) -> Self {
        Self { tier: Some(tier.to_owned()), page, ..self.clone() }
    }

    /// The link to it, from the status page itself.
    pub fn link(&self) -> String {
        let mut query = Serializer::new(String::new());
        for (key, value) in &self.labels {
            query.append_pair("label", &format!("{key}={value}"));
        }
        let page = (self.page > 1).then(|| self.page.to_string());
        let rest = [("q", &self.text), ("show", &self.show), ("tier", &self.tier), ("page", &page)];
        query.extend_pairs(rest.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
        format!("./?{}", query.finish()).trim_end_matches('?').to_owned()
    }

    /// It in words: `label team=shop, with “cart”, bad, schedule often`.
    pub fn words(&self) -> String {
        let labels = self.labels.iter().map(|(key, value)| format!("label {key}={value}"));
        let text = self.text.iter().map(|text| format!("with “{text}”"));
        let tier = self.tier.iter().map(|tier| format!("schedule {tier}"));
        labels.chain(text).chain(self.show.clone()).chain(tier).collect::<Vec<_>>().join(", ")
    }
}

impl Standing {
    /// Whether somebody should look at it.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Inconclusive | Self::Overdue | Self::Degraded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Filter {
        Filter::of(&Visit { uri: format!("/{query}").parse().unwrap(), user: None })
    }

    #[test]
    fn a_link_leads_to_what_it_says() {
        for query in [
            "./",
            "./?label=team%3Dshop&q=cart",
            "./?show=bad&tier=often&page=2",
            "./?label=a%3Db&label=c%3Dd%3De&q=%22%3E%3Cb%3E",
        ] {
            assert_eq!(filter(query.trim_start_matches("./")).link(), query);
        }
        assert_eq!(filter("?q=+&label=&show=all&page=0&tier="), Filter { page: 1, ..Filter::default() });
        assert!(!filter("?tier=often").is_set());
        let one = filter("?label=team=shop");
        assert_eq!(one.words(), "label team=shop");
        assert_eq!(one.with_label("team", "shop"), filter(""), "a label that is there is taken away");
        assert_eq!(one.with_label("tier", "a").words(), "label team=shop, label tier=a");
    }

    #[test]
    fn what_is_long_is_cut() {
        assert_eq!(filter(&format!("?q={}", "x".repeat(5_000))).text.unwrap().len(), TEXT_MAX);
        assert_eq!(filter(&format!("?{}", "label=a=b&".repeat(500))).labels.len(), LABELS_MAX);
    }
}
