//! `mandelbrot`: draws a picture of the Mandelbrot set in tiles. Tiles inside of the set cost a hundred times as much
//! as those far from it, so this is a workload of uneven tasks.
//!
//! The tiles are divided among the tasks whatever their number; by default each has one. A task gives its tiles as
//! records (see `record`), and `--reduce --out FILE.png` gives the picture.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod colour;
mod escape;
mod layout;
mod picture;
mod record;

use escape::View;
use layout::Layout;
use muster_sdk::{Context, Error, Job, Reduce, Task, Workload};
use picture::Picture;

muster_sdk::params! {
    /// Which part of the set, and how large a picture.
    pub struct Params {
        /// Width of the picture in pixels.
        pub width: u32 = 1_280 => 1..=32_768,
        /// Height of the picture in pixels.
        pub height: u32 = 800 => 1..=32_768,
        /// Side of a tile in pixels.
        pub tile: u32 = 80 => 1..=4_096,
        /// Real part of the point in the middle.
        pub center_x: f64 = -0.65 => -4.0..=4.0,
        /// Imaginary part of the point in the middle.
        pub center_y: f64 = 0.0 => -4.0..=4.0,
        /// Magnification; 1 shows the whole set.
        pub zoom: f64 = 1.0 => 0.1..=1e13,
        /// A point that stays near for so many steps belongs to the set.
        pub max_iter: u32 = 1_000 => 1..=1_000_000,
    }
}

/// Larger pictures would not fit into memory as a whole.
const PIXELS_MAX: u64 = 1 << 27;

struct Mandelbrot {
    layout: Layout,
    view: View,
    tasks: u64,
}

impl Workload for Mandelbrot {
    type Params = Params;
    type Output = Vec<u8>;

    fn create(params: Params, job: &Job) -> Result<Self, Error> {
        let Params { width, height, tile, center_x, center_y, zoom, max_iter } = params;
        let pixels = u64::from(width) * u64::from(height);
        if pixels > PIXELS_MAX {
            return Err(Error::params(format_args!(
                "a picture of {width} x {height} has {pixels} pixels; it may have {PIXELS_MAX}: \
                 lower width or height"
            )));
        }
        let tasks = job.tasks().ok_or_else(|| {
            Error::params(
                "mandelbrot divides its tiles among all tasks, so it must know how many there are: \
                 give -n, no inputs",
            )
        })?;
        let layout = Layout { width, height, tile };
        let view = View::new((width, height), (center_x, center_y), zoom, max_iter);
        Ok(Self { layout, view, tasks })
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<Vec<u8>, Error> {
        let mut records = Vec::new();
        for tile in self.layout.share(task.index(), self.tasks) {
            let area = self.layout.area(tile);
            // Tiles that are done sooner than the drawing of one pauses.
            ctx.checkpoint()?;
            record::append(&mut records, area, |pixels| self.view.draw(area, pixels, || ctx.checkpoint()))?;
        }
        Ok(records)
    }
}

impl Reduce for Mandelbrot {
    /// The records of the tiles so far.
    type Partial = Vec<u8>;
    /// The picture in PNG format.
    type Total = Vec<u8>;

    fn zero(&self) -> Vec<u8> {
        Vec::new()
    }

    fn add(&self, partial: &mut Vec<u8>, _index: u64, result: &[u8]) -> Result<(), Error> {
        partial.extend_from_slice(result);
        Ok(())
    }

    fn merge(&self, left: &mut Vec<u8>, right: Vec<u8>) -> Result<(), Error> {
        if left.is_empty() {
            *left = right;
        } else {
            left.extend_from_slice(&right);
        }
        Ok(())
    }

    fn encode(&self, partial: &Vec<u8>) -> Result<Vec<u8>, Error> {
        record::pack(partial).map_err(Error::failed)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        record::unpack(bytes, self.layout.bytes()).map_err(Error::failed)
    }

    /// Tiles whose tasks failed stay grey.
    fn finish(&self, partial: Vec<u8>) -> Result<Vec<u8>, Error> {
        let mut picture = Picture::new(self.layout.width, self.layout.height);
        for record in record::read(&partial) {
            let (area, pixels) = record
                .ok_or_else(|| Error::failed("the results of the tasks are no tiles of this picture"))?;
            if !picture.paste(area, pixels) {
                return Err(Error::failed(format_args!("{area:?} lies outside of the picture")));
            }
        }
        Ok(picture.to_png()?)
    }
}

muster_sdk::export! {
    Mandelbrot: Reduce {
        name: "mandelbrot",
        description: "Draws the Mandelbrot set in tiles of uneven cost; --reduce --out FILE.png gives the picture",
        default_tasks: 160,
        deterministic: true,
        idempotent: true,
    }
}
