//! A table of numbers with shades: processes down, threads across.

use super::svg::{Anchor, Canvas};
use super::{Drawing, STACKED_BELOW};

/// The chart.
#[derive(Clone, Debug)]
pub struct HeatMap {
    pub title: String,
    /// What columns and rows are.
    pub across: &'static str,
    pub down: &'static str,
    pub columns: Vec<String>,
    pub rows: Vec<String>,
    /// Row by row; `None`: nothing was measured there.
    pub tiles: Vec<Option<Tile>>,
}

/// One field.
#[derive(Clone, Debug)]
pub struct Tile {
    pub value: f64,
    /// Its number, and what is said of it.
    pub lines: Vec<String>,
    /// It has an edge.
    pub is_marked: bool,
    pub counts: bool,
}

/// Shades from the least value to the most.
const SHADES: usize = 5;
const LEFT: f64 = 40.0;
const TOP: f64 = 44.0;
const TILE_HEIGHT: f64 = 58.0;
const TILE_WIDTH_MAX: f64 = 150.0;

impl Drawing for HeatMap {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        let fields = self.fields().filter_map(|(row, column, tile)| {
            let lines = tile?.lines.join(", ");
            Some(format!(
                "{} {} by {} {}: {lines}",
                self.rows[row], self.down, self.columns[column], self.across
            ))
        });
        format!(
            "The further a shade is from the page, the longer the time. {}.",
            fields.collect::<Vec<_>>().join("; ")
        )
    }

    fn draw(&self, canvas: &mut Canvas) -> f64 {
        let stacked = canvas.width < STACKED_BELOW;
        let width = ((canvas.width - LEFT - 4.0) / self.columns.len() as f64).min(TILE_WIDTH_MAX);
        let size = (width - 4.0, TILE_HEIGHT - 4.0);
        canvas.text("soft", Anchor::Start, (LEFT, 14.0), &format!("{} →   {} ↓", self.across, self.down));
        for (at, name) in self.columns.iter().enumerate() {
            canvas.text("name", Anchor::Middle, (LEFT + width * (at as f64 + 0.5), TOP - 8.0), name);
        }
        for (at, name) in self.rows.iter().enumerate() {
            let y = TOP + TILE_HEIGHT * (at as f64 + 0.5);
            canvas.text("name", Anchor::End, (LEFT - 10.0, y + 2.0), name);
        }
        for (row, column, tile) in self.fields() {
            let corner = (LEFT + width * column as f64, TOP + TILE_HEIGHT * row as f64);
            match tile {
                Some(tile) => self.tile(canvas, tile, corner, size, stacked),
                None => canvas.text("soft", Anchor::Middle, (corner.0 + size.0 / 2.0, corner.1 + 32.0), "-"),
            }
        }
        TOP + TILE_HEIGHT * self.rows.len() as f64 + 6.0
    }
}

impl HeatMap {
    fn fields(&self) -> impl Iterator<Item = (usize, usize, Option<&Tile>)> {
        let columns = self.columns.len();
        self.tiles.iter().enumerate().map(move |(at, tile)| (at / columns, at % columns, tile.as_ref()))
    }

    fn tile(&self, canvas: &mut Canvas, tile: &Tile, (x, y): (f64, f64), size: (f64, f64), stacked: bool) {
        let shade = self.shade(tile.value);
        let (fill, ink) = if tile.counts {
            (format!("heat h{shade}"), format!("on h{shade}"))
        } else {
            ("heat none".to_owned(), "name void".to_owned())
        };
        canvas.rect(&fill, (x, y), size);
        if tile.is_marked {
            canvas.rect("heat-edge", (x + 1.5, y + 1.5), (size.0 - 3.0, size.1 - 3.0));
        }
        let (middle, count) = (x + size.0 / 2.0, tile.lines.len() as f64);
        for (at, line) in tile.lines.iter().enumerate() {
            let y = y + size.1 / 2.0 + 5.0 + (at as f64 - (count - 1.0) / 2.0) * 15.0;
            let small = if stacked || at > 0 { " small" } else { "" };
            canvas.text(&format!("{ink}{small}"), Anchor::Middle, (middle, y), line);
        }
    }

    /// By the logarithm: equal ratios are equal steps.
    fn shade(&self, value: f64) -> usize {
        let counted = || self.tiles.iter().flatten().filter(|tile| tile.counts).map(|tile| tile.value);
        let (least, most) = (counted().fold(f64::INFINITY, f64::min), counted().fold(0.0, f64::max));
        if !(least > 0.0 && most > least) {
            return 0;
        }
        let part = (value / least).ln() / (most / least).ln();
        ((part * SHADES as f64) as usize).min(SHADES - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ratios_are_equal_steps() {
        let tile = |value: f64| Some(Tile { value, lines: Vec::new(), is_marked: false, counts: true });
        let map = HeatMap {
            title: String::new(),
            across: "threads",
            down: "processes",
            columns: vec!["1".into(), "2".into()],
            rows: vec!["1".into(), "2".into()],
            tiles: vec![tile(1.0), tile(10.0), None, tile(100.0)],
        };
        assert_eq!([1.0, 10.0, 100.0].map(|value| map.shade(value)), [0, 2, 4]);
    }
}
