//! The JSON Schema of a parameter struct, written while compiling.

use crate::json::Writer;

/// JSON type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole number from .. to.
    Integer(i128, i128),
    /// Any number.
    Number,
    /// Text.
    Text,
    /// True or false.
    Bool,
}

/// A value in the source code.
#[derive(Clone, Copy, Debug)]
pub enum Literal {
    /// Whole number.
    Integer(i128),
    /// Tokens of a floating-point literal.
    Number(&'static str),
    /// Text.
    Text(&'static str),
    /// True or false.
    Bool(bool),
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub enum Bounds {
    /// Whatever its type holds.
    Type,
    /// Whole numbers from .. to.
    Integers(i128, i128),
    /// Tokens of a range of floating-point literals, `a..=b`.
    Numbers(&'static str),
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Allowed texts; none: all.
    pub choices: &'static [&'static str],
    /// Lines of the doc comment.
    pub doc: &'static [&'static str],
    /// Default; none: the parameter is required.
    pub default: Option<Literal>,
    /// Range.
    pub bounds: Bounds,
}

/// Writes the schema and returns its length; `out` may be too short.
pub const fn write(fields: &[Field], out: &mut [u8]) -> usize {
    let mut json = Writer::new(out);
    json.raw("{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    let mut at = 0;
    while at < fields.len() {
        if at > 0 {
            json.raw(",");
        }
        field(&mut json, &fields[at]);
        at += 1;
    }
    json.raw("},\"required\":[");
    let (mut at, mut first) = (0, true);
    while at < fields.len() {
        if fields[at].default.is_none() {
            if !first {
                json.raw(",");
            }
            json.string(fields[at].name);
            first = false;
        }
        at += 1;
    }
    json.raw("]}");
    json.len()
}

const fn field(json: &mut Writer<'_>, field: &Field) {
    json.string(field.name);
    json.raw(match field.kind {
        Kind::Integer(..) => ":{\"type\":\"integer\"",
        Kind::Number => ":{\"type\":\"number\"",
        Kind::Text => ":{\"type\":\"string\"",
        Kind::Bool => ":{\"type\":\"boolean\"",
    });
    if let Some(value) = field.default {
        json.raw(",\"default\":");
        literal(json, value);
    }
    bounds(json, field);
    if !field.choices.is_empty() {
        json.raw(",\"enum\":[");
        let mut at = 0;
        while at < field.choices.len() {
            if at > 0 {
                json.raw(",");
            }
            json.string(field.choices[at]);
            at += 1;
        }
        json.raw("]");
    }
    if !field.doc.is_empty() {
        json.raw(",\"description\":\"");
        doc(json, field.doc);
        json.raw("\"");
    }
    json.raw("}");
}

const fn literal(json: &mut Writer<'_>, value: Literal) {
    match value {
        Literal::Integer(value) => json.integer(value),
        Literal::Number(tokens) => json.literal(tokens.as_bytes()),
        Literal::Text(text) => json.string(text),
        Literal::Bool(value) => json.raw(if value { "true" } else { "false" }),
    }
}

const fn bounds(json: &mut Writer<'_>, field: &Field) {
    match (field.bounds, field.kind) {
        (Bounds::Integers(from, to), _) | (Bounds::Type, Kind::Integer(from, to)) => {
            json.raw(",\"minimum\":");
            json.integer(from);
            json.raw(",\"maximum\":");
            json.integer(to);
        }
        (Bounds::Numbers(tokens), _) => {
            let (from, to) = split(tokens.as_bytes());
            json.raw(",\"minimum\":");
            json.literal(from);
            json.raw(",\"maximum\":");
            json.literal(to);
        }
        (Bounds::Type, _) => {}
    }
}

/// The two sides of `a..=b`.
const fn split(tokens: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while at + 2 < tokens.len() {
        if tokens[at] == b'.' && tokens[at + 1] == b'.' && tokens[at + 2] == b'=' {
            let (from, rest) = tokens.split_at(at);
            let (_, to) = rest.split_at(3);
            return (from, to);
        }
        at += 1;
    }
    panic!("a range of f64 must be written as two literals, such as 0.0..=1.0")
}

/// Joins the lines of a doc comment; each begins with the blank behind `///`.
const fn doc(json: &mut Writer<'_>, lines: &[&str]) {
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        match line.as_bytes() {
            [b' ', ..] if at == 0 => json.escaped(line.split_at(1).1),
            [b' ', ..] | [] => json.escaped(line),
            _ => {
                if at > 0 {
                    json.raw(" ");
                }
                json.escaped(line);
            }
        }
        at += 1;
    }
}
