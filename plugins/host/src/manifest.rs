//! The manifest of a plugin, checked once: whoever holds one holds a good one.

use crate::kind::{InputKind, MetricKind, OutputKind};
use crate::schema::{self, ParamSpec};
use muster_plugin_abi::{ABI_MAJOR, FLAGS};
use serde_json::{Map, Value};

/// More metrics are refused.
pub(crate) const METRICS_MAX: usize = 64;
const NAME_LEN_MAX: usize = 63;
const VERSION_LEN_MAX: usize = 64;
const NEEDS_MAX: usize = 256;
const NEED_LEN_MAX: usize = 4_096 + 8;

/// A field of a manifest that is not right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct ManifestError {
    field: String,
    problem: String,
    abi: Option<u32>,
}

impl ManifestError {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into(), abi: None }
    }

    /// The field, such as `params.properties.limit.default`.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The ABI version of the manifest, when that is what is wrong.
    pub(crate) const fn other_abi(&self) -> Option<u32> {
        self.abi
    }
}

/// A metric that a plugin declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSpec {
    /// `[a-z_][a-z0-9_]*`
    pub name: String,
    /// Kind.
    pub kind: MetricKind,
    /// One sentence.
    pub help: String,
}

/// What a plugin says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    name: String,
    version: String,
    description: String,
    input: InputKind,
    output: OutputKind,
    reduce: bool,
    reduced: OutputKind,
    flags: u64,
    default_tasks: Option<u64>,
    params: Vec<ParamSpec>,
    metrics: Vec<MetricSpec>,
    needs: Vec<String>,
    sdk: String,
    json: String,
}

impl Manifest {
    /// Reads and checks the JSON of a manifest. Fields that this version does not know are left alone.
    ///
    /// # Errors
    /// The first field that is not right.
    pub fn parse(json: &str) -> Result<Self, ManifestError> {
        let value: Value = serde_json::from_str(json)
            .map_err(|error| ManifestError::new("the whole", format!("is not JSON: {error}")))?;
        let Value::Object(fields) = &value else {
            return Err(ManifestError::new("the whole", "must be an object"));
        };
        check_abi(fields)?;
        let name = text(fields, "name")?.ok_or_else(|| ManifestError::new("name", "is missing"))?;
        check_name(name)?;
        let version = text(fields, "version")?.ok_or_else(|| ManifestError::new("version", "is missing"))?;
        check_version(version)?;
        let output = one_of(fields, "output", &OutputKind::ALL)?;
        let reduced = if fields.contains_key("reduced") {
            one_of(fields, "reduced", &OutputKind::ALL)?
        } else {
            output
        };
        Ok(Self {
            name: name.to_owned(),
            version: version.to_owned(),
            description: text(fields, "description")?.unwrap_or_default().to_owned(),
            input: one_of(fields, "input", &InputKind::ALL)?,
            output,
            reduce: reduce(fields)?,
            reduced,
            flags: flags(fields)?,
            default_tasks: default_tasks(fields)?,
            params: schema::parse(fields.get("params"))?,
            metrics: metrics(fields)?,
            needs: needs(fields)?,
            sdk: text(fields, "sdk")?.unwrap_or_default().to_owned(),
            json: json.to_owned(),
        })
    }

    /// Name of the plugin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version, `SemVer`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// One sentence.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Whether tasks have inputs.
    #[must_use]
    pub const fn input(&self) -> InputKind {
        self.input
    }

    /// What results are.
    #[must_use]
    pub const fn output(&self) -> OutputKind {
        self.output
    }

    /// What the output of a job is: the outputs of its tasks, or the one that is combined of them.
    #[must_use]
    pub const fn output_of(&self, reduced: bool) -> OutputKind {
        if reduced { self.reduced } else { self.output }
    }

    /// True when results can be combined.
    #[must_use]
    pub const fn reduce(&self) -> bool {
        self.reduce
    }

    /// `F_*` of `muster-plugin-abi`.
    #[must_use]
    pub const fn flags(&self) -> u64 {
        self.flags
    }

    /// True when all of `flags` are set.
    #[must_use]
    pub const fn has(&self, flags: u64) -> bool {
        self.flags & flags == flags
    }

    /// Names of the flags.
    pub fn flag_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        FLAGS.iter().filter(|(_, flag)| self.has(*flag)).map(|(name, _)| *name)
    }

    /// How many tasks a job has when nothing is said.
    #[must_use]
    pub const fn default_tasks(&self) -> Option<u64> {
        self.default_tasks
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &[ParamSpec] {
        &self.params
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &[MetricSpec] {
        &self.metrics
    }

    /// What it cannot do without in a sandbox, in the words of `worker start --allow`. Words of later versions are among
    /// them: what is not understood cannot be granted.
    #[must_use]
    pub fn needs(&self) -> &[String] {
        &self.needs
    }

    /// What it was written with.
    #[must_use]
    pub fn sdk(&self) -> &str {
        &self.sdk
    }

    /// The JSON it was read from.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

fn check_abi(fields: &Map<String, Value>) -> Result<(), ManifestError> {
    match fields.get("muster").and_then(Value::as_u64) {
        Some(found) if found == u64::from(ABI_MAJOR) => Ok(()),
        Some(found) => Err(ManifestError {
            abi: Some(found.try_into().unwrap_or(u32::MAX)),
            ..ManifestError::new("muster", format!("is {found}; it must be {ABI_MAJOR}"))
        }),
        None => Err(ManifestError::new("muster", format!("is missing; it must be {ABI_MAJOR}"))),
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ManifestError> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(ManifestError::new(name, format!("is {other}; it must be a string"))),
    }
}

fn check_name(name: &str) -> Result<(), ManifestError> {
    let letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = name.len() <= NAME_LEN_MAX
        && name.as_bytes().first().is_some_and(letter)
        && name.bytes().all(|byte| letter(&byte) || byte == b'-' || byte == b'_');
    if fits {
        Ok(())
    } else {
        Err(ManifestError::new("name", format!("is {name:?}; it must be [a-z0-9][a-z0-9_-]{{0,62}}")))
    }
}

fn check_version(version: &str) -> Result<(), ManifestError> {
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (rest, build) = version.split_once('+').map_or((version, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let fits = version.len() <= VERSION_LEN_MAX
        && core.split('.').count() == 3
        && core.split('.').all(number)
        && [pre, build].into_iter().flatten().all(|part| part.split('.').all(word));
    if fits {
        Ok(())
    } else {
        Err(ManifestError::new("version", format!("is {version:?}; it must be like 1.0.0")))
    }
}

fn one_of<T: Copy>(fields: &Map<String, Value>, name: &str, all: &[(&str, T)]) -> Result<T, ManifestError> {
    let given = text(fields, name)?.unwrap_or("none");
    all.iter().find(|(text, _)| *text == given).map(|(_, kind)| *kind).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(text, _)| *text).collect();
        ManifestError::new(name, format!("is {given:?}; it must be one of {}", names.join(", ")))
    })
}

fn reduce(fields: &Map<String, Value>) -> Result<bool, ManifestError> {
    match fields.get("reduce") {
        None => Ok(false),
        Some(Value::Bool(reduce)) => Ok(*reduce),
        Some(other) => Err(ManifestError::new("reduce", format!("is {other}; it must be true or false"))),
    }
}

/// Flags of later versions are left alone.
fn flags(fields: &Map<String, Value>) -> Result<u64, ManifestError> {
    let Some(flags) = fields.get("flags") else { return Ok(0) };
    let names: Option<Vec<&str>> =
        flags.as_array().and_then(|names| names.iter().map(Value::as_str).collect());
    let Some(names) = names else { return Err(ManifestError::new("flags", "must be a list of strings")) };
    let bit = |name: &&str| FLAGS.iter().find(|(known, _)| known == name).map_or(0, |(_, bit)| *bit);
    Ok(names.iter().map(bit).fold(0, |all, bit| all | bit))
}

fn needs(fields: &Map<String, Value>) -> Result<Vec<String>, ManifestError> {
    let Some(needs) = fields.get("needs") else { return Ok(Vec::new()) };
    let texts: Option<Vec<&str>> = needs.as_array().and_then(|all| all.iter().map(Value::as_str).collect());
    let texts = texts.ok_or_else(|| ManifestError::new("needs", "must be a list of strings"))?;
    if texts.len() > NEEDS_MAX {
        return Err(ManifestError::new("needs", format!("lists {}; at most {NEEDS_MAX}", texts.len())));
    }
    let fits =
        |text: &str| !text.is_empty() && text.len() <= NEED_LEN_MAX && !text.chars().any(char::is_control);
    match texts.iter().find(|text| !fits(text)) {
        Some(text) => {
            Err(ManifestError::new("needs", format!("has {text:?}; it must be like network or read:/PATH")))
        }
        None => Ok(texts.into_iter().map(str::to_owned).collect()),
    }
}

fn default_tasks(fields: &Map<String, Value>) -> Result<Option<u64>, ManifestError> {
    match fields.get("default_tasks").map(|tasks| (tasks, tasks.as_u64())) {
        None => Ok(None),
        Some((_, Some(tasks))) if tasks > 0 => Ok(Some(tasks)),
        Some((other, _)) => Err(ManifestError::new(
            "default_tasks",
            format!("is {other}; it must be a whole number of at least 1"),
        )),
    }
}

fn metrics(fields: &Map<String, Value>) -> Result<Vec<MetricSpec>, ManifestError> {
    let Some(metrics) = fields.get("metrics") else { return Ok(Vec::new()) };
    let Some(metrics) = metrics.as_array() else {
        return Err(ManifestError::new("metrics", "must be a list"));
    };
    if metrics.len() > METRICS_MAX {
        return Err(ManifestError::new("metrics", format!("lists {}; at most {METRICS_MAX}", metrics.len())));
    }
    let mut specs: Vec<MetricSpec> = Vec::with_capacity(metrics.len());
    for (at, metric) in metrics.iter().enumerate() {
        let spec = metric_spec(metric)
            .map_err(|error| ManifestError { field: format!("metrics[{at}].{}", error.field), ..error })?;
        if specs.iter().any(|other| other.name == spec.name) {
            return Err(ManifestError::new(
                format!("metrics[{at}].name"),
                format!("{} is there twice", spec.name),
            ));
        }
        specs.push(spec);
    }
    Ok(specs)
}

fn metric_spec(metric: &Value) -> Result<MetricSpec, ManifestError> {
    let empty = Map::new();
    let fields = metric.as_object().unwrap_or(&empty);
    let name = text(fields, "name")?.unwrap_or_default();
    let fits = name.len() <= NAME_LEN_MAX
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !fits {
        return Err(ManifestError::new("name", format!("is {name:?}; it must be [a-z_][a-z0-9_]{{0,62}}")));
    }
    let kind = text(fields, "kind")?.unwrap_or_default();
    let known = MetricKind::ALL.iter().find(|(text, _)| *text == kind).map(|(_, kind)| *kind);
    let Some(kind) = known else {
        return Err(ManifestError::new(
            "kind",
            format!("is {kind:?}; it must be counter, gauge or histogram"),
        ));
    };
    Ok(MetricSpec { name: name.to_owned(), kind, help: text(fields, "help")?.unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(change: Value) -> Result<Manifest, ManifestError> {
        let mut manifest = json!({"muster": 1, "name": "a", "version": "1.0.0"});
        for (key, value) in change.as_object().unwrap() {
            manifest[key] = value.clone();
        }
        Manifest::parse(&manifest.to_string())
    }

    #[test]
    fn three_fields_are_enough() {
        let later = json!({"later": [1], "flags": ["idempotent", "later"], "needs": ["network", "later"]});
        let manifest = parse(later).unwrap();
        assert_eq!(manifest.needs(), ["network", "later"]);
        assert_eq!((manifest.input(), manifest.output()), (InputKind::None, OutputKind::None));
        assert_eq!(manifest.flag_names().collect::<Vec<_>>(), ["idempotent"]);
    }

    #[test]
    fn what_is_combined_may_be_of_another_kind() {
        let manifest = parse(json!({"output": "u64", "reduce": true, "reduced": "text"})).unwrap();
        assert_eq!(
            [false, true].map(|reduced| manifest.output_of(reduced)),
            [OutputKind::U64, OutputKind::Text]
        );
        let manifest = parse(json!({"output": "u64", "reduce": true})).unwrap();
        assert_eq!(manifest.output_of(true), OutputKind::U64);
    }

    #[test]
    fn a_bad_field_is_named() {
        for (change, said) in [
            (json!({"name": 5}), "name is 5; it must be a string"),
            (json!({"name": "A b"}), "name is \"A b\"; it must be"),
            (json!({"version": "1.0"}), "version is \"1.0\"; it must be like 1.0.0"),
            (json!({"output": "u8"}), "output is \"u8\"; it must be one of none, u64"),
            (json!({"reduced": "png"}), "reduced is \"png\"; it must be one of none, u64"),
            (json!({"default_tasks": 0}), "default_tasks is 0; it must be"),
            (json!({"flags": [1]}), "flags must be a list of strings"),
            (json!({"metrics": [{"name": "ok", "kind": "x"}]}), "metrics[0].kind is \"x\""),
            (json!({"params": {"properties": {"n": {"type": "list"}}}}), "params.properties.n.type must be"),
            (
                json!({"params": {"properties": {"n": {"type": "integer", "default": 1, "minimum": 2}}}}),
                "params.properties.n.default is 1; it must be a whole number of at least 2",
            ),
            (json!({"params": {"required": ["n"]}}), "params.required names n, which is no property"),
            (json!({"params": {"required": ["n\n"]}}), "params.required names n\\n, which is no property"),
            (
                json!({"params": {"properties": {"a\nb": {}}}}),
                "params.properties has \"a\\nb\"; a name is without",
            ),
            (json!({"muster": 2}), "muster is 2; it must be 1"),
            (json!({"needs": {"network": true}}), "needs must be a list of strings"),
            (json!({"needs": ["exec", ""]}), "needs has \"\"; it must be like network"),
        ] {
            let message = parse(change.clone()).unwrap_err().to_string();
            assert!(message.contains(said), "{change}: {message}");
        }
        assert!(Manifest::parse("{").unwrap_err().to_string().contains("is not JSON"));
    }
}
