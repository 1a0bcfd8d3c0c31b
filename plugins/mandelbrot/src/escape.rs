//! How fast points leave the surroundings of the Mandelbrot set.

use crate::colour::{self, log2};
use crate::layout::Area;

/// Complex units that the shorter side of the picture shows at zoom 1.
const SIDE: f64 = 2.6;
/// A point beyond this distance, squared, never comes back. Further out than needed, for smooth colours.
const FAR: f64 = 65_536.0;
/// Steps between two calls of `pause`: about a millisecond.
const STEPS_PER_PAUSE: u64 = 300_000;
/// What a pixel takes beside its steps, in steps: where points leave at once there is little else.
const STEPS_PER_PIXEL: u64 = 10;

/// The part of the plane that the picture shows. Additions, multiplications and divisions alone, so that every
/// machine draws the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct View {
    left: f64,
    top: f64,
    /// Side of a pixel.
    step: f64,
    max_iter: u32,
}

impl View {
    /// A picture of `size` pixels around `center`.
    pub fn new(size: (u32, u32), center: (f64, f64), zoom: f64, max_iter: u32) -> Self {
        let step = SIDE / zoom / f64::from(size.0.min(size.1));
        let left = center.0 - step * f64::from(size.0) / 2.0;
        let top = center.1 + step * f64::from(size.1) / 2.0;
        Self { left, top, step, max_iter }
    }

    /// Appends the pixels of an area, row by row, three bytes each. `pause` may end it early with an error.
    pub fn draw<E>(
        &self,
        area: Area,
        pixels: &mut Vec<u8>,
        mut pause: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut steps = 0;
        for y in area.y..area.y + area.height {
            let imaginary = self.top - self.step * (f64::from(y) + 0.5);
            for x in area.x..area.x + area.width {
                let real = self.left + self.step * (f64::from(x) + 0.5);
                let (taken, escaped) = escape(real, imaginary, self.max_iter);
                pixels.extend_from_slice(&escaped.map_or(colour::INSIDE, colour::of));
                steps += u64::from(taken) + STEPS_PER_PIXEL;
                if steps >= STEPS_PER_PAUSE {
                    steps = 0;
                    pause()?;
                }
            }
        }
        Ok(())
    }
}

/// Steps that were computed, and those until the point is far, with a fraction (Vepstas 1997); none when it stays.
fn escape(real: f64, imaginary: f64, max_iter: u32) -> (u32, Option<f64>) {
    let (mut x, mut y) = (0.0_f64, 0.0_f64);
    for step in 1..=max_iter {
        let (x2, y2) = (x * x, y * y);
        (x, y) = (x2 - y2 + real, 2.0 * x * y + imaginary);
        let distance = x * x + y * y;
        if distance > FAR {
            let fraction = 1.0 - log2(log2(distance) / 2.0);
            return (step, Some((f64::from(step) + fraction).max(0.0)));
        }
    }
    (max_iter, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points_stay_or_leave() {
        for (real, imaginary) in [(0.0, 0.0), (-1.0, 0.0), (-2.0, 0.0), (0.25, 0.0), (-0.75, 0.0), (0.0, 1.0)]
        {
            assert_eq!(escape(real, imaginary, 5_000), (5_000, None), "{real} + {imaginary} i");
        }
        for (real, imaginary) in [(0.26, 0.0), (-2.01, 0.0), (0.5, 0.5), (3.0, -3.0)] {
            assert!(escape(real, imaginary, 5_000).1.is_some(), "{real} + {imaginary} i");
        }
    }

    #[test]
    fn the_set_is_its_own_mirror_image() {
        let view = View::new((40, 30), (-0.65, 0.0), 1.0, 200);
        let mut pixels = Vec::new();
        view.draw(Area { x: 0, y: 0, width: 40, height: 30 }, &mut pixels, || Ok::<(), ()>(())).unwrap();
        let rows: Vec<&[u8]> = pixels.chunks(40 * 3).collect();
        assert!(rows.iter().eq(rows.iter().rev()));
        assert!(pixels.chunks(3).any(|pixel| pixel == colour::INSIDE));
    }

    #[test]
    fn a_tile_is_a_part_of_the_whole() {
        let view = View::new((16, 16), (-0.7, 0.3), 4.0, 300);
        let draw = |area: Area| {
            let mut pixels = Vec::new();
            view.draw(area, &mut pixels, || Ok::<(), ()>(())).unwrap();
            pixels
        };
        let whole = draw(Area { x: 0, y: 0, width: 16, height: 16 });
        let tile = draw(Area { x: 3, y: 5, width: 2, height: 1 });
        let at = (5 * 16 + 3) * 3;
        assert_eq!(tile, whole[at..at + 6]);
    }

    #[test]
    fn an_error_of_the_pause_ends_the_drawing() {
        let view = View::new((64, 64), (0.0, 0.0), 10.0, 1_000_000);
        let area = Area { x: 0, y: 0, width: 64, height: 64 };
        assert_eq!(view.draw(area, &mut Vec::new(), || Err("stop")), Err("stop"));
    }
}
