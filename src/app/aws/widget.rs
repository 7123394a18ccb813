//! Widgets of metrics, in the form of
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html>.

use serde_json::{Map, Value, json};

use super::grid::Widget;
use super::place::Dimensions;

/// How many lines a graph has at most that we draw: more nobody tells apart.
pub const LINES_MAX: usize = 100;

/// A line of a graph, or a metric that a formula reckons with.
#[derive(Clone, Debug)]
#[must_use]
pub struct Line(Value);

impl Line {
    /// A metric.
    pub fn metric(namespace: &str, name: &str, dimensions: &Dimensions) -> Self {
        let mut parts = vec![json!(namespace), json!(name)];
        parts.extend(dimensions.iter().flat_map(|(name, value)| [json!(name), json!(value)]));
        parts.push(json!({}));
        Self(Value::Array(parts))
    }

    /// A formula.
    pub fn formula(expression: impl Into<String>) -> Self {
        Self(json!([{ "expression": expression.into() }]))
    }

    /// How it is called.
    pub fn label(self, label: impl Into<String>) -> Self {
        self.with("label", label.into())
    }

    /// Which statistic it is.
    pub fn stat(self, stat: impl Into<String>) -> Self {
        self.with("stat", stat.into())
    }

    /// The name under which a formula knows it.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.with("id", id.into())
    }

    /// It is only reckoned with.
    pub fn hidden(self) -> Self {
        self.with("visible", false)
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if let Some(options) = self.0.as_array_mut().and_then(|parts| parts.last_mut()) {
            options[key] = value.into();
        }
        self
    }
}

/// A graph.
#[derive(Clone, Debug)]
#[must_use]
pub struct Graph {
    title: String,
    lines: Vec<Line>,
    width: u64,
    height: u64,
    properties: Map<String, Value>,
}

impl Graph {
    /// A graph of lines over time, a third of the width, by the minute.
    pub fn new(title: impl Into<String>, region: &str, lines: Vec<Line>) -> Self {
        let mut properties = Map::new();
        properties.insert("view".to_owned(), json!("timeSeries"));
        properties.insert("region".to_owned(), json!(region));
        properties.insert("period".to_owned(), json!(60));
        Self { title: title.into(), lines, width: 8, height: 6, properties }
    }

    /// How wide it is.
    pub fn wide(self, width: u64) -> Self {
        Self { width, ..self }
    }

    /// How high it is.
    pub fn high(self, height: u64) -> Self {
        Self { height, ..self }
    }

    /// How long the stretch is that one point stands for, in seconds.
    pub fn period(self, seconds: u64) -> Self {
        self.with("period", json!(seconds))
    }

    /// The scale on the left, from zero.
    pub fn scale(self, label: &str, most: Option<u64>) -> Self {
        let mut scale = json!({ "min": 0, "label": label, "showUnits": false });
        if let Some(most) = most {
            scale["max"] = json!(most);
        }
        self.with("yAxis", json!({ "left": scale }))
    }

    /// A line across it.
    pub fn mark(self, label: &str, value: f64) -> Self {
        self.with("annotations", json!({ "horizontal": [{ "label": label, "value": value }] }))
    }

    /// One number for each line in place of a graph: what it is over that stretch of time until now as a whole, in ISO 8601.
    pub fn numbers_over(self, stretch: &str) -> Self {
        self.with("view", json!("singleValue"))
            .with("setPeriodToTimeRange", json!(true))
            .with("start", json!(format!("-{stretch}")))
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.properties.insert(key.to_owned(), value);
        self
    }

    /// The widget.
    pub fn widget(self) -> Widget {
        let mut properties = Map::new();
        properties.insert("title".to_owned(), json!(self.title));
        properties.insert("metrics".to_owned(), self.lines.into_iter().map(|line| line.0).collect());
        properties.extend(self.properties);
        Widget {
            kind: "metric".to_owned(),
            width: self.width,
            height: self.height,
            properties: Value::Object(properties),
        }
    }
}
