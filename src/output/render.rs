//! How outputs look: a JSON line each, as the plugin's manifest says what the bytes are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_plugin_host::OutputKind;
use std::fmt::Write as _;
use std::io::Write as _;

/// The ending of a file that holds one output.
pub const fn extension(kind: OutputKind) -> &'static str {
    match kind {
        OutputKind::None | OutputKind::U64 | OutputKind::I64 | OutputKind::F64 | OutputKind::Text => "txt",
        OutputKind::Json => "json",
        OutputKind::Bytes => "bin",
    }
}

/// Appends the JSON line of one output.
pub fn line(kind: OutputKind, out: &mut Vec<u8>, index: u64, bytes: &[u8]) {
    out.extend_from_slice(b"{\"index\":");
    push_u64(out, index);
    match Value::new(kind, bytes) {
        Ok(value) => {
            out.extend_from_slice(b",\"output\":");
            value.push(out);
        }
        Err(problem) => {
            out.extend_from_slice(b",\"error\":");
            push_text(out, &problem);
        }
    }
    out.extend_from_slice(b"}\n");
}

/// The same as text, without the end of the line.
pub fn output_line(kind: OutputKind, index: u64, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    line(kind, &mut out, index, bytes);
    String::from_utf8_lossy(&out).trim_end().to_owned()
}

/// The text of a file that holds one output: numbers in digits, everything else as it is.
pub fn file(kind: OutputKind, bytes: &[u8]) -> Vec<u8> {
    if !is_number(kind) {
        return bytes.to_vec();
    }
    Value::new(kind, bytes).map_or_else(
        |_| bytes.to_vec(),
        |value| {
            let mut text = Vec::new();
            value.push(&mut text);
            text.push(b'\n');
            text
        },
    )
}

const fn is_number(kind: OutputKind) -> bool {
    matches!(kind, OutputKind::U64 | OutputKind::I64 | OutputKind::F64)
}

/// Appends the JSON line of a task that failed.
pub fn error_line(out: &mut Vec<u8>, index: u64, message: &str) {
    out.extend_from_slice(b"{\"index\":");
    push_u64(out, index);
    out.extend_from_slice(b",\"error\":");
    push_text(out, message);
    out.extend_from_slice(b"}\n");
}

/// A reduced output as text for people, when it is short.
pub fn reduced_text(kind: OutputKind, bytes: &[u8]) -> Option<String> {
    const SHORT_CHARS: usize = 60;
    // A plugin may not say that its total is of another kind than its outputs. As a number, eight printable characters would be one
    // beyond 10^17 or below 10^-150; as text they make sense.
    let printable = bytes.iter().all(|&byte| (b' '..=b'~').contains(&byte) || byte == b'\n');
    if is_number(kind) && bytes.len() == 8 && !printable {
        return String::from_utf8(file(kind, bytes)).ok().map(|text| text.trim_end().to_owned());
    }
    let text = std::str::from_utf8(bytes).ok()?.trim_end();
    let short = !text.is_empty() && text.len() <= SHORT_CHARS && !text.chars().any(char::is_control);
    short.then(|| text.to_owned())
}

enum Value<'a> {
    Null,
    U64(u64),
    I64(i64),
    F64(f64),
    Text(&'a [u8]),
    Json(&'a [u8]),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn new(kind: OutputKind, bytes: &'a [u8]) -> Result<Self, String> {
        let number = || -> Result<[u8; 8], String> {
            let wrong = || format!("the output has {} bytes, a number has 8", bytes.len());
            bytes.try_into().map_err(|_| wrong())
        };
        Ok(match kind {
            OutputKind::None if bytes.is_empty() => Self::Null,
            OutputKind::U64 => Self::U64(u64::from_le_bytes(number()?)),
            OutputKind::I64 => Self::I64(i64::from_le_bytes(number()?)),
            OutputKind::F64 => Self::F64(f64::from_le_bytes(number()?)),
            OutputKind::Text => Self::Text(bytes),
            OutputKind::Json => Self::Json(bytes),
            OutputKind::None | OutputKind::Bytes => Self::Bytes(bytes),
        })
    }

    fn push(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::U64(number) => push_u64(out, number),
            Self::I64(number) => {
                let _ = write!(out, "{number}");
            }
            Self::F64(number) if number.is_finite() => {
                let _ = write!(out, "{number:?}");
            }
            // JSON has no infinity.
            Self::F64(number) => push_text(out, &number.to_string()),
            Self::Text(bytes) => push_text(out, &String::from_utf8_lossy(bytes)),
            Self::Json(bytes) => push_json(out, bytes),
            Self::Bytes(bytes) => {
                out.push(b'"');
                let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
                STANDARD.encode_string(bytes, &mut text);
                out.extend_from_slice(text.as_bytes());
                out.push(b'"');
            }
        }
    }
}

fn push_u64(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a JSON document on one line; what is not JSON becomes a string.
fn push_json(out: &mut Vec<u8>, bytes: &[u8]) {
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
    if !is_json {
        return push_text(out, &String::from_utf8_lossy(bytes));
    }
    if !bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return out.extend_from_slice(bytes);
    }
    // Newlines stand only between the parts of a valid document: strings have them escaped.
    out.extend(bytes.iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' && byte != 0x7f {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                let mut escape = String::with_capacity(6);
                let _ = write!(escape, "\\u{byte:04x}");
                out.extend_from_slice(escape.as_bytes());
            }
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(kind: OutputKind, bytes: &[u8]) -> serde_json::Value {
        let mut out = Vec::new();
        line(kind, &mut out, 7, bytes);
        assert_eq!(out.pop(), Some(b'\n'));
        assert!(!out.contains(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn outputs_are_json_as_the_manifest_says() {
        for (kind, bytes, expected) in [
            (OutputKind::None, &b""[..], "null"),
            (OutputKind::U64, &u64::MAX.to_le_bytes(), "18446744073709551615"),
            (OutputKind::I64, &(-5i64).to_le_bytes(), "-5"),
            (OutputKind::F64, &0.1f64.to_le_bytes(), "0.1"),
            (OutputKind::F64, &f64::NAN.to_le_bytes(), "\"NaN\""),
            (OutputKind::Text, b"a\"b\\\n\x01\x7f\xc3\xa9", "\"a\\\"b\\\\\\n\\u0001\\u007f\u{e9}\""),
            (OutputKind::Json, b"{\"a\":\n[1]}", "{\"a\":[1]}"),
            (OutputKind::Json, b"nonsense", "\"nonsense\""),
            (OutputKind::Bytes, b"\0\xff", "\"AP8=\""),
        ] {
            let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
            assert_eq!(parsed(kind, bytes), serde_json::json!({"index": 7, "output": expected}), "{kind:?}");
        }
    }

    #[test]
    fn a_number_of_the_wrong_size_is_an_error_line() {
        let found = parsed(OutputKind::U64, b"abc");
        assert_eq!(found["error"], "the output has 3 bytes, a number has 8");
    }

    #[test]
    fn short_reductions_are_shown() {
        assert_eq!(reduced_text(OutputKind::U64, &17_984u64.to_le_bytes()).as_deref(), Some("17984"));
        assert_eq!(reduced_text(OutputKind::U64, b"12345678").as_deref(), Some("12345678"));
        assert_eq!(reduced_text(OutputKind::U64, b"5761455\n").as_deref(), Some("5761455"));
        assert_eq!(reduced_text(OutputKind::Text, b"hello\n").as_deref(), Some("hello"));
        assert_eq!(reduced_text(OutputKind::Text, b"two\nlines"), None);
        assert_eq!(reduced_text(OutputKind::Bytes, &[0xff, 0xfe]), None);
    }
}
