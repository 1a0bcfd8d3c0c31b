//! Parameters of a job, checked against a plugin's schema.

use crate::manifest::Manifest;
use crate::schema::{ParamKind, ParamSpec};
use crate::suggest;
use serde_json::{Map, Value};

/// A parameter that a plugin does not take.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParamError {
    /// No such parameter.
    #[error("plugin {plugin} has no parameter {}; {}", .name.escape_debug(), known_names(suggestion.as_deref(), known))]
    Unknown {
        /// The plugin.
        plugin: String,
        /// What was given.
        name: String,
        /// The nearest that there is.
        suggestion: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// A value of the wrong type or out of range.
    #[error("parameter {name} of plugin {plugin} is {value:?}; it must be {expected}")]
    BadValue {
        /// The plugin.
        plugin: String,
        /// The parameter.
        name: String,
        /// What was given.
        value: String,
        /// What its schema says.
        expected: String,
    },
    /// A parameter without a default that was not given.
    #[error("plugin {plugin} needs the parameter {name}: {expected}; add {name}=VALUE")]
    Missing {
        /// The plugin.
        plugin: String,
        /// The parameter.
        name: String,
        /// What its schema says.
        expected: String,
    },
    /// Given more than once.
    #[error("parameter {name} is given twice; keep one")]
    Twice {
        /// The parameter.
        name: String,
    },
    /// The whole is not a JSON object.
    #[error("parameters must be a JSON object such as {{\"name\": 1}}, not {found}")]
    NotAnObject {
        /// What was given.
        found: String,
    },
}

fn known_names(suggestion: Option<&str>, known: &[String]) -> String {
    match (suggestion, known) {
        (Some(name), _) => format!("did you mean {name}?"),
        (None, []) => "it takes none".to_owned(),
        (None, names) => format!("it has {}", names.join(", ")),
    }
}

/// Parameters from `name=value` pairs, typed by the schema, with defaults filled in.
///
/// # Errors
/// The first parameter that is not right.
pub fn from_pairs(manifest: &Manifest, pairs: &[(String, String)]) -> Result<Value, ParamError> {
    let mut given = Map::new();
    for (name, text) in pairs {
        let spec = spec_of(manifest, name)?;
        let value = read(spec.kind(), text).ok_or_else(|| bad_value(manifest, spec, text.clone()))?;
        if given.insert(name.clone(), value).is_some() {
            return Err(ParamError::Twice { name: name.clone() });
        }
    }
    complete(manifest, given)
}

/// Checks parameters in JSON and fills in defaults.
///
/// # Errors
/// The first parameter that is not right.
pub fn check(manifest: &Manifest, params: &Value) -> Result<Value, ParamError> {
    match params {
        Value::Null => complete(manifest, Map::new()),
        Value::Object(given) => complete(manifest, given.clone()),
        other => Err(ParamError::NotAnObject { found: other.to_string() }),
    }
}

fn complete(manifest: &Manifest, mut given: Map<String, Value>) -> Result<Value, ParamError> {
    for (name, value) in &given {
        let spec = spec_of(manifest, name)?;
        if !spec.allows(value) {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return Err(bad_value(manifest, spec, shown));
        }
    }
    for spec in manifest.params().iter().filter(|spec| !given.contains_key(spec.name())).collect::<Vec<_>>() {
        match spec.default() {
            Some(default) => drop(given.insert(spec.name().to_owned(), default.clone())),
            None if spec.required() => {
                return Err(ParamError::Missing {
                    plugin: manifest.name().to_owned(),
                    name: spec.name().to_owned(),
                    expected: spec.to_string(),
                });
            }
            None => {}
        }
    }
    Ok(Value::Object(given))
}

fn spec_of<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a ParamSpec, ParamError> {
    let known = || manifest.params().iter().map(ParamSpec::name);
    manifest.params().iter().find(|spec| spec.name() == name).ok_or_else(|| ParamError::Unknown {
        plugin: manifest.name().to_owned(),
        name: name.to_owned(),
        suggestion: suggest::nearest(name, known()).map(str::to_owned),
        known: known().map(str::to_owned).collect(),
    })
}

fn bad_value(manifest: &Manifest, spec: &ParamSpec, value: String) -> ParamError {
    ParamError::BadValue {
        plugin: manifest.name().to_owned(),
        name: spec.name().to_owned(),
        value,
        expected: spec.to_string(),
    }
}

/// The value that a text stands for; digits may be grouped with `_`.
fn read(kind: ParamKind, text: &str) -> Option<Value> {
    let digits = || text.trim().replace('_', "");
    match kind {
        ParamKind::Text => Some(text.into()),
        ParamKind::Bool => text.trim().parse::<bool>().ok().map(Value::from),
        ParamKind::Integer => {
            let digits = digits();
            digits.parse::<u64>().map(Value::from).or_else(|_| digits.parse::<i64>().map(Value::from)).ok()
        }
        ParamKind::Number => serde_json::Number::from_f64(digits().parse().ok()?).map(Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        let text = json!({"muster": 1, "name": "sleep", "version": "1.0.0", "params": {
            "type": "object", "additionalProperties": false,
            "properties": {
                "limit": {"type": "integer", "default": 5, "minimum": 1, "maximum": 10},
                "rate": {"type": "number", "default": 1.5, "minimum": 0.0},
                "mode": {"type": "string", "default": "const", "enum": ["const", "exp"]},
                "loud": {"type": "boolean", "default": false},
                "name": {"type": "string"}},
            "required": ["name"]}});
        Manifest::parse(&text.to_string()).unwrap()
    }

    fn pairs(text: &str) -> Result<Value, ParamError> {
        let pairs: Vec<_> = text
            .split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(a, b)| (a.into(), b.into()))
            .collect();
        from_pairs(&manifest(), &pairs)
    }

    #[test]
    fn pairs_are_typed_and_completed() {
        assert_eq!(
            pairs("name=7 limit=1_0 rate=2").unwrap(),
            json!({"name": "7", "limit": 10, "rate": 2.0, "mode": "const", "loud": false})
        );
    }

    #[test]
    fn each_mistake_has_its_own_sentence() {
        for (given, said) in [
            ("name=a limt=3", "no parameter limt; did you mean limit?"),
            ("name=a colour=3", "it has limit, loud, mode, name, rate"),
            (
                "name=a limit=11",
                "parameter limit of plugin sleep is \"11\"; it must be a whole number from 1 to 10",
            ),
            ("name=a limit=many", "is \"many\"; it must be a whole number from 1 to 10"),
            ("name=a rate=-1", "is \"-1.0\"; it must be a number of at least 0.0"),
            ("name=a mode=fast", "it must be one of const, exp"),
            ("name=a loud=1", "it must be true or false"),
            ("name=a li\u{0}mi\u{1b}t=3", "no parameter li\\0mi\\u{1b}t; did you mean limit?"),
            ("limit=3", "plugin sleep needs the parameter name: a text; add name=VALUE"),
            ("name=a name=b", "parameter name is given twice; keep one"),
        ] {
            let message = pairs(given).unwrap_err().to_string();
            assert!(message.contains(said), "{given}: {message}");
        }
    }

    #[test]
    fn json_is_checked_alike() {
        let manifest = manifest();
        assert_eq!(check(&manifest, &json!({"name": "x"})).unwrap()["limit"], 5);
        assert!(check(&manifest, &json!({"name": "x", "limit": 1.5})).is_err());
        assert!(check(&manifest, &json!([1])).unwrap_err().to_string().contains("not [1]"));
    }
}
