//! The grid of a dashboard, 24 wide: widgets stand side by side while there is room, then below.

use serde_json::{Value, json};

/// How wide the grid is.
pub const WIDTH: u64 = 24;

/// How many widgets a dashboard has at most.
pub const WIDGETS_MAX: usize = 500;

/// How many metrics all of its widgets have at most, those that are only reckoned with among them.
pub const METRICS_MAX: usize = 2_500;

/// What is to stand on a dashboard.
#[derive(Clone, Debug)]
pub struct Widget {
    /// Its type.
    pub kind: String,
    /// How wide it is.
    pub width: u64,
    /// How high.
    pub height: u64,
    /// What it shows.
    pub properties: Value,
}

/// Widgets in their places.
#[derive(Debug, Default)]
pub struct Grid {
    placed: Vec<Value>,
    metrics: usize,
    x: u64,
    y: u64,
    /// How high the row is that is being filled.
    row: u64,
}

impl Grid {
    /// Puts a widget beside the last one, or below where there is no room.
    pub fn add(&mut self, widget: Widget) {
        let Widget { kind, width, height, properties } = widget;
        if self.x + width > WIDTH {
            self.end_row();
        }
        self.metrics += properties["metrics"].as_array().map_or(0, Vec::len);
        self.placed.push(json!({
            "type": kind, "x": self.x, "y": self.y, "width": width, "height": height, "properties": properties,
        }));
        self.x += width;
        self.row = self.row.max(height);
    }

    /// What comes next stands below.
    pub fn end_row(&mut self) {
        self.y += self.row;
        (self.x, self.row) = (0, 0);
    }

    /// A line of text over the whole width.
    pub fn heading(&mut self, text: &str) {
        self.end_row();
        let properties = json!({ "markdown": text, "background": "transparent" });
        self.add(Widget { kind: "text".to_owned(), width: WIDTH, height: 1, properties });
        self.end_row();
    }

    /// Whether CloudWatch takes so much.
    pub fn fits(&self) -> bool {
        self.placed.len() <= WIDGETS_MAX && self.metrics <= METRICS_MAX
    }

    /// How many widgets and metrics there are.
    pub fn extent(&self) -> (usize, usize) {
        (self.placed.len(), self.metrics)
    }

    /// The widgets.
    pub fn into_widgets(self) -> Vec<Value> {
        self.placed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn widget(width: u64, height: u64) -> Widget {
        Widget { kind: "text".to_owned(), width, height, properties: json!({ "metrics": [1, 2] }) }
    }

    proptest! {
        #[test]
        fn widgets_never_overlap_and_stay_on_the_grid(sizes in prop::collection::vec((1_u64..=24, 1_u64..9, any::<bool>()), 1..60)) {
            let mut grid = Grid::default();
            for (width, height, ends) in &sizes {
                grid.add(widget(*width, *height));
                if *ends {
                    grid.end_row();
                }
            }
            prop_assert_eq!(grid.extent(), (sizes.len(), 2 * sizes.len()));
            let mut taken = std::collections::HashSet::new();
            for placed in grid.into_widgets() {
                let of = |name: &str| placed[name].as_u64().unwrap();
                for x in of("x")..of("x") + of("width") {
                    prop_assert!(x < WIDTH);
                    for y in of("y")..of("y") + of("height") {
                        prop_assert!(taken.insert((x, y)), "two widgets at {x}, {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_too_much_is_known() {
        let mut grid = Grid::default();
        (0..WIDGETS_MAX).for_each(|_| grid.add(widget(1, 1)));
        assert!(grid.fits());
        grid.add(widget(1, 1));
        assert!(!grid.fits());
    }
}
