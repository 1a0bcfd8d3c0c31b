//! The whole picture.

use crate::layout::Area;

/// What is not drawn.
const GREY: u8 = 0x80;

/// Pixels row by row, three bytes each.
#[derive(Debug)]
pub struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Picture {
    /// A picture of which nothing is drawn.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, pixels: vec![GREY; width as usize * height as usize * 3] }
    }

    /// Draws an area of which `pixels` holds all pixels; false when it does not lie in the picture.
    pub fn paste(&mut self, area: Area, pixels: &[u8]) -> bool {
        let fits = |from: u32, length: u32, all: u32| {
            length > 0 && from.checked_add(length).is_some_and(|end| end <= all)
        };
        if !fits(area.x, area.width, self.width) || !fits(area.y, area.height, self.height) {
            return false;
        }
        let length = area.width as usize * 3;
        for (row, y) in pixels.chunks_exact(length).zip(area.y..area.y + area.height) {
            let at = (y as usize * self.width as usize + area.x as usize) * 3;
            self.pixels[at..at + length].copy_from_slice(row);
        }
        true
    }

    /// The picture in PNG format.
    pub fn to_png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_holds_what_was_drawn() {
        let mut picture = Picture::new(3, 2);
        assert!(picture.paste(Area { x: 1, y: 1, width: 2, height: 1 }, &[1, 2, 3, 4, 5, 6]));
        let png = picture.to_png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (3, 2, png::ColorType::Rgb));
        let grey = [GREY; 3];
        assert_eq!(pixels, [grey, grey, grey, grey, [1, 2, 3], [4, 5, 6]].concat());
    }

    #[test]
    fn areas_outside_are_refused() {
        let mut picture = Picture::new(3, 2);
        for area in [
            Area { x: 2, y: 0, width: 2, height: 1 },
            Area { x: 0, y: 2, width: 1, height: 1 },
            Area { x: u32::MAX, y: 0, width: 1, height: 1 },
            Area { x: 0, y: 0, width: 0, height: 1 },
        ] {
            assert!(!picture.paste(area, &[0; 6]), "{area:?}");
        }
    }
}
