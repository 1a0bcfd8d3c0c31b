//! How a picture is cut into tiles, and the tiles are divided among tasks.

use crate::record::HEADER_BYTES;
use std::ops::Range;

/// A picture and the side of its tiles, in pixels. Tiles are numbered row by row; those at the right and lower edge
/// may be narrower.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Width of the picture.
    pub width: u32,
    /// Height of the picture.
    pub height: u32,
    /// Side of a tile; at least 1.
    pub tile: u32,
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Column of its first pixel.
    pub x: u32,
    /// Row of its first pixel.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Layout {
    /// How many tiles there are.
    pub fn tiles(&self) -> u64 {
        u64::from(self.columns()) * u64::from(self.height.div_ceil(self.tile))
    }

    /// Bytes of all tiles as records.
    pub fn bytes(&self) -> u64 {
        self.tiles() * HEADER_BYTES as u64 + u64::from(self.width) * u64::from(self.height) * 3
    }

    /// The tiles of task `index` of `tasks`: neighbours, and as many as the other tasks have, or one more or less.
    pub fn share(&self, index: u64, tasks: u64) -> Range<u64> {
        let tiles = u128::from(self.tiles());
        let edge = |index: u64| (tiles * u128::from(index.min(tasks)) / u128::from(tasks.max(1))) as u64;
        edge(index)..edge(index.saturating_add(1))
    }

    /// Where a tile lies.
    pub fn area(&self, tile: u64) -> Area {
        let columns = u64::from(self.columns());
        let (x, y) = ((tile % columns) as u32 * self.tile, (tile / columns) as u32 * self.tile);
        Area { x, y, width: self.tile.min(self.width - x), height: self.tile.min(self.height - y) }
    }

    fn columns(&self) -> u32 {
        self.width.div_ceil(self.tile)
    }
}

impl Area {
    /// How many pixels it has.
    pub fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_pixel_once() {
        for (width, height, tile) in [(1, 1, 4_096), (10, 7, 3), (8, 8, 4), (5, 40, 1)] {
            let layout = Layout { width, height, tile };
            let mut seen = vec![0; (width * height) as usize];
            for area in (0..layout.tiles()).map(|tile| layout.area(tile)) {
                for y in area.y..area.y + area.height {
                    (area.x..area.x + area.width).for_each(|x| seen[(y * width + x) as usize] += 1);
                }
            }
            assert!(seen.iter().all(|times| *times == 1), "{layout:?}");
        }
    }

    #[test]
    fn any_number_of_tasks_covers_all_tiles() {
        let layout = Layout { width: 100, height: 70, tile: 9 };
        for tasks in [1, 2, 7, 96, 1_000] {
            let tiles: Vec<u64> = (0..tasks).flat_map(|index| layout.share(index, tasks)).collect();
            assert_eq!(tiles, (0..layout.tiles()).collect::<Vec<_>>(), "{tasks} tasks");
        }
        assert!(layout.share(5, 5).is_empty() && layout.share(u64::MAX, 5).is_empty());
    }
}
