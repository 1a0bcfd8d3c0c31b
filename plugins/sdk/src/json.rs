//! Writes JSON while compiling, so that manifests are constants without a build step.

/// Appends to a fixed room; what does not fit is counted but not stored, so that a first pass into no room
/// gives the length.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// Writes into `out`.
    pub const fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// Bytes written and counted.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True before anything was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    const fn byte(&mut self, byte: u8) {
        if self.len < self.out.len() {
            self.out[self.len] = byte;
        }
        self.len += 1;
    }

    /// JSON text as it is.
    pub const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            self.byte(bytes[at]);
            at += 1;
        }
    }

    /// The characters of a JSON string, without quotes.
    pub const fn escaped(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                b'\n' => self.raw("\\n"),
                b'\t' => self.raw("\\t"),
                byte if byte < 0x20 => {
                    self.raw("\\u00");
                    self.byte(b'0' + (byte >> 4));
                    self.byte(b"0123456789abcdef"[(byte & 15) as usize]);
                }
                byte => self.byte(byte),
            }
            at += 1;
        }
    }

    /// A JSON string.
    pub const fn string(&mut self, text: &str) {
        self.raw("\"");
        self.escaped(text);
        self.raw("\"");
    }

    /// A whole number.
    pub const fn integer(&mut self, value: i128) {
        if value < 0 {
            self.raw("-");
        }
        let mut digits = [0_u8; 40];
        let mut left = value.unsigned_abs();
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        while at < digits.len() {
            self.byte(digits[at]);
            at += 1;
        }
    }

    /// A number from a Rust literal, such as `-1_000.5` or `1e-3`. Anything else fails to compile.
    pub const fn literal(&mut self, text: &[u8]) {
        let (mut at, mut digits, mut bare_dot) = (0, 0, false);
        while at < text.len() {
            match text[at] {
                b'_' | b' ' => {}
                byte @ b'0'..=b'9' => {
                    digits += 1;
                    bare_dot = false;
                    self.byte(byte);
                }
                b'.' => {
                    bare_dot = true;
                    self.byte(b'.');
                }
                byte @ (b'-' | b'e' | b'E') => self.byte(byte),
                b'f' if at + 3 == text.len() => break, // the suffix f64
                _ => {
                    panic!("defaults and ranges of f64 parameters must be plain literals such as 0.5 or 1e-3")
                }
            }
            at += 1;
        }
        assert!(digits > 0, "a number without digits");
        if bare_dot {
            self.byte(b'0');
        }
    }
}

/// The text in `bytes`, which a [`Writer`] wrote.
#[must_use]
pub const fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("JSON text is UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Writer<'_>)) -> String {
        let mut counter = Writer::new(&mut []);
        write(&mut counter);
        let mut room = vec![0; counter.len()];
        write(&mut Writer::new(&mut room));
        String::from_utf8(room).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_serde_json_reads_them() {
        for text in ["", "plain", "a\"b\\c\nd\te\u{1}f\u{1f}", "\u{e9}\u{1f600}"] {
            let json = written(|writer| writer.string(text));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn numbers_are_json() {
        assert_eq!(written(|writer| writer.integer(-1_234)), "-1234");
        assert_eq!(written(|writer| writer.integer(i128::from(u64::MAX))), u64::MAX.to_string());
        assert_eq!(written(|writer| writer.literal(b"-1_000.5")), "-1000.5");
        assert_eq!(written(|writer| writer.literal(b"1.f64")), "1.0");
        assert_eq!(written(|writer| writer.literal(b"1e-3")), "1e-3");
    }
}
