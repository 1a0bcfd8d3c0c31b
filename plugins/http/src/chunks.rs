//! Bodies whose length comes in pieces (RFC 9112, section 7.1).

use crate::ResponseError;

/// A longer line between pieces is no line.
const LINE_MAX_BYTES: usize = 4_096;

/// Where in such a body the reader is.
#[derive(Debug)]
pub struct Chunks {
    place: Place,
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the line that says how long the next piece is.
    Size,
    /// In a piece.
    Data { left: u64 },
    /// In the line end behind a piece.
    DataEnd,
    /// In the lines behind the last piece.
    Trailer,
    /// Behind everything.
    Done,
}

impl Chunks {
    pub const fn new() -> Self {
        Self { place: Place::Size, line: Vec::new() }
    }

    /// Whether the body has come whole.
    pub fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    /// Takes the next bytes and gives how many of them are of the body itself.
    pub fn take(&mut self, mut input: &[u8]) -> Result<u64, ResponseError> {
        let mut bytes = 0;
        while !input.is_empty() && !self.is_done() {
            if let Place::Data { left } = &mut self.place {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= here as u64;
                bytes += here as u64;
                input = &input[here..];
                if *left == 0 {
                    self.place = Place::DataEnd;
                }
                continue;
            }
            let end = input.iter().position(|byte| *byte == b'\n');
            let (line, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
            if self.line.len() + line.len() > LINE_MAX_BYTES {
                return Err(ResponseError::Malformed("a line between the chunks of the body is too long"));
            }
            self.line.extend_from_slice(line);
            input = rest;
            if end.is_some() {
                self.place = self.behind_line()?;
                self.line.clear();
            }
        }
        Ok(bytes)
    }

    /// What comes behind the line that is complete now.
    fn behind_line(&self) -> Result<Place, ResponseError> {
        let line = self.line.trim_ascii();
        match self.place {
            Place::Size => match size(line)? {
                0 => Ok(Place::Trailer),
                left => Ok(Place::Data { left }),
            },
            Place::DataEnd if line.is_empty() => Ok(Place::Size),
            Place::DataEnd => Err(ResponseError::Malformed("a chunk of the body is longer than it says")),
            Place::Trailer if line.is_empty() => Ok(Place::Done),
            Place::Trailer => Ok(Place::Trailer),
            place @ (Place::Data { .. } | Place::Done) => Ok(place),
        }
    }
}

fn size(line: &[u8]) -> Result<u64, ResponseError> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number);
    text.and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or(ResponseError::Malformed("the length of a chunk of the body is no hexadecimal number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"4\r\nwiki\r\n6;ext=1\r\npedia \r\n0\r\nExpires: never\r\n\r\n";

    #[test]
    fn pieces_are_counted_however_they_come() {
        for step in 1..=BODY.len() {
            let mut chunks = Chunks::new();
            let bytes: u64 = BODY.chunks(step).map(|part| chunks.take(part).unwrap()).sum();
            assert!(bytes == 10 && chunks.is_done(), "{step}");
        }
        let mut chunks = Chunks::new();
        assert_eq!(chunks.take(&BODY[..BODY.len() - 1]).unwrap(), 10);
        assert!(!chunks.is_done());
    }

    #[test]
    fn what_is_no_piece_is_refused() {
        for body in [
            &b"x\r\n"[..],
            b"\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"2\r\nabc\r\n",
            b"11112222333344445\r\n",
            &[b'1'; 5_000],
        ] {
            assert!(matches!(Chunks::new().take(body), Err(ResponseError::Malformed(_))), "{body:?}");
        }
    }
}
