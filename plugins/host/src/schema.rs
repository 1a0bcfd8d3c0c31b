//! The schema of parameters: a flat JSON Schema object, checked when the manifest is read.

use crate::manifest::ManifestError;
use serde_json::{Map, Value};
use std::fmt;

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// Whole number.
    Integer,
    /// Any number.
    Number,
    /// Text.
    Text,
    /// True or false.
    Bool,
}

impl ParamKind {
    /// As JSON Schema calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text => "string",
            Self::Bool => "boolean",
        }
    }

    fn holds(self, value: &Value) -> bool {
        match self {
            Self::Integer => value.is_u64() || value.is_i64(),
            Self::Number => value.is_number(),
            Self::Text => value.is_string(),
            Self::Bool => value.is_boolean(),
        }
    }
}

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    name: String,
    kind: ParamKind,
    default: Option<Value>,
    minimum: Option<Value>,
    maximum: Option<Value>,
    choices: Vec<Value>,
    description: String,
    required: bool,
}

impl ParamSpec {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> ParamKind {
        self.kind
    }

    /// The value when none is given.
    #[must_use]
    pub const fn default(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// The smallest value.
    #[must_use]
    pub const fn minimum(&self) -> Option<&Value> {
        self.minimum.as_ref()
    }

    /// The largest value.
    #[must_use]
    pub const fn maximum(&self) -> Option<&Value> {
        self.maximum.as_ref()
    }

    /// The allowed values; empty: all of the type.
    #[must_use]
    pub fn choices(&self) -> &[Value] {
        &self.choices
    }

    /// What it means.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// True when it must be given.
    #[must_use]
    pub const fn required(&self) -> bool {
        self.required
    }

    /// True when `value` is allowed.
    #[must_use]
    pub fn allows(&self, value: &Value) -> bool {
        self.kind.holds(value)
            && self.minimum.as_ref().is_none_or(|minimum| !below(value, minimum))
            && self.maximum.as_ref().is_none_or(|maximum| !below(maximum, value))
            && (self.choices.is_empty() || self.choices.contains(value))
    }

    fn parse(name: &str, body: &Value, required: bool) -> Result<Self, ManifestError> {
        let at = |what: &str| format!("params.properties.{name}{what}");
        let Some(body) = body.as_object() else {
            return Err(ManifestError::new(at(""), "must be an object"));
        };
        let kind = match body.get("type").and_then(Value::as_str) {
            Some("integer") => ParamKind::Integer,
            Some("number") => ParamKind::Number,
            Some("string") => ParamKind::Text,
            Some("boolean") => ParamKind::Bool,
            _ => return Err(ManifestError::new(at(".type"), "must be integer, number, string or boolean")),
        };
        let value_of = |key: &str| match body.get(key) {
            Some(value) if !kind.holds(value) => {
                Err(ManifestError::new(at(&format!(".{key}")), format!("is {value}, not a {}", kind.name())))
            }
            other => Ok(other.cloned()),
        };
        let choices = match body.get("enum") {
            None => Vec::new(),
            Some(Value::Array(choices)) if choices.iter().all(|choice| kind.holds(choice)) => choices.clone(),
            Some(_) => {
                return Err(ManifestError::new(at(".enum"), format!("must be a list of {}s", kind.name())));
            }
        };
        let description = body.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        let spec = Self {
            name: name.to_owned(),
            kind,
            default: value_of("default")?,
            minimum: value_of("minimum")?,
            maximum: value_of("maximum")?,
            choices,
            description,
            required,
        };
        match &spec.default {
            Some(default) if !spec.allows(default) => {
                Err(ManifestError::new(at(".default"), format!("is {default}; it must be {spec}")))
            }
            _ => Ok(spec),
        }
    }
}

/// What is allowed: "a whole number from 1 to 10".
impl fmt::Display for ParamSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.choices.is_empty() {
            f.write_str("one of")?;
            for (at, choice) in self.choices.iter().enumerate() {
                let comma = if at == 0 { " " } else { ", " };
                match choice.as_str().filter(|text| !text.contains(char::is_control)) {
                    Some(text) => write!(f, "{comma}{text}")?,
                    None => write!(f, "{comma}{choice}")?,
                }
            }
            return Ok(());
        }
        f.write_str(match self.kind {
            ParamKind::Integer => "a whole number",
            ParamKind::Number => "a number",
            ParamKind::Text => "a text",
            ParamKind::Bool => "true or false",
        })?;
        match (&self.minimum, &self.maximum) {
            (Some(minimum), Some(maximum)) => write!(f, " from {minimum} to {maximum}"),
            (Some(minimum), None) => write!(f, " of at least {minimum}"),
            (None, Some(maximum)) => write!(f, " of at most {maximum}"),
            (None, None) => Ok(()),
        }
    }
}

/// Reads the schema; none is no parameters.
pub(crate) fn parse(schema: Option<&Value>) -> Result<Vec<ParamSpec>, ManifestError> {
    let empty = Map::new();
    let properties = match schema.map(|schema| (schema, schema.get("properties"))) {
        None => return Ok(Vec::new()),
        Some((Value::Object(_), None)) => &empty,
        Some((Value::Object(_), Some(Value::Object(properties)))) => properties,
        Some(_) => return Err(ManifestError::new("params", "must be a JSON Schema of an object")),
    };
    let required = match schema.and_then(|schema| schema.get("required")) {
        None => Vec::new(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(_) => return Err(ManifestError::new("params.required", "must be a list of names")),
    };
    if let Some(name) = properties.keys().find(|name| name.contains(char::is_control)) {
        let found = format!("has {name:?}; a name is without control characters");
        return Err(ManifestError::new("params.properties", found));
    }
    if let Some(name) = required.iter().find(|name| !properties.contains_key(**name)) {
        let found = format!("names {}, which is no property", name.escape_debug());
        return Err(ManifestError::new("params.required", found));
    }
    properties.iter().map(|(name, body)| ParamSpec::parse(name, body, required.contains(&&**name))).collect()
}

/// Compares numbers without losing digits of large whole ones.
fn below(a: &Value, b: &Value) -> bool {
    let whole = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a < b,
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a < b,
            _ => false,
        },
    }
}
