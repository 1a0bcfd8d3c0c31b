//! Tiles as bytes: column, row, width and height as four bytes each, little-endian, then the pixels row by row, red,
//! green and blue.

use crate::layout::Area;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use std::io::{self, Read as _, Write as _};

/// What stands before the pixels of a tile.
pub const HEADER_BYTES: usize = 16;

/// Appends a tile whose pixels `draw` appends.
pub fn append<E>(
    records: &mut Vec<u8>,
    area: Area,
    draw: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    records.reserve(HEADER_BYTES + area.pixels() * 3);
    for number in [area.x, area.y, area.width, area.height] {
        records.extend_from_slice(&number.to_le_bytes());
    }
    draw(records)
}

/// Compressed, as tiles travel: neighbours look alike.
pub fn pack(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(records)?;
    packed.finish()
}

/// What was packed, which has at most `bytes_max` bytes.
pub fn unpack(packed: &[u8], bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut records = Vec::new();
    let bytes = DeflateDecoder::new(packed).take(bytes_max + 1).read_to_end(&mut records)?;
    if bytes as u64 > bytes_max {
        return Err(io::Error::other(format!(
            "the tiles have more than the {bytes_max} bytes of the picture"
        )));
    }
    Ok(records)
}

/// The tiles with their pixels; none in place of what is no tile.
pub fn read(mut records: &[u8]) -> impl Iterator<Item = Option<(Area, &[u8])>> {
    std::iter::from_fn(move || {
        if records.is_empty() {
            return None;
        }
        let tile = split(records);
        records = tile.map_or(&[], |(_, _, behind)| behind);
        Some(tile.map(|(area, pixels, _)| (area, pixels)))
    })
}

fn split(records: &[u8]) -> Option<(Area, &[u8], &[u8])> {
    let (header, behind) = records.split_first_chunk::<HEADER_BYTES>()?;
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let area = Area { x: number(0), y: number(4), width: number(8), height: number(12) };
    let (pixels, behind) = behind.split_at_checked(area.pixels().checked_mul(3)?)?;
    Some((area, pixels, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_come_back() {
        let areas =
            [Area { x: 1, y: 2, width: 2, height: 1 }, Area { x: 300, y: 70_000, width: 1, height: 1 }];
        let mut records = Vec::new();
        for (number, area) in areas.into_iter().enumerate() {
            let draw = |pixels: &mut Vec<u8>| {
                pixels.extend(vec![number as u8; area.pixels() * 3]);
                Ok::<(), ()>(())
            };
            append(&mut records, area, draw).unwrap();
        }
        let back: Vec<_> = read(&records).map(Option::unwrap).collect();
        assert_eq!(back, [(areas[0], &[0; 6][..]), (areas[1], &[1; 3][..])]);
    }

    #[test]
    fn packed_tiles_come_back_and_are_no_larger_than_the_picture() {
        let records = b"tiles tiles tiles tiles".as_slice();
        let packed = pack(records).unwrap();
        assert_eq!(unpack(&packed, 23).unwrap(), records);
        assert!(unpack(&packed, 22).unwrap_err().to_string().contains("22 bytes"));
        assert!(unpack(b"\xffnothing", 100).is_err());
    }

    #[test]
    fn other_bytes_are_no_tiles() {
        let huge = [0xff; HEADER_BYTES];
        for bad in [&[1][..], &[0; HEADER_BYTES - 1], &huge, &[1; HEADER_BYTES + 7]] {
            assert_eq!(read(bad).collect::<Vec<_>>(), [None], "{bad:?}");
        }
    }
}
