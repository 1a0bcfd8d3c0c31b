//! The published schema, the documentation and the reader name the same keys, limits and defaults.

use super::keys::{self, FAULT_KINDS, Kind, SECTIONS, Section};
use super::tree::{Node, Value as Toml};
use super::{Override, SCHEMA, Scenario};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const DOCUMENTATION: &str = include_str!("../../../docs/scenario.md");
const FULL: &str = include_str!("full.toml");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// Where the schema has a table.
fn pointer(section: &Section) -> &'static str {
    match section.title {
        "the scenario" => "",
        "[coordinator]" => "/$defs/coordinator",
        "[[workers]]" => "/$defs/workers",
        "[[links]]" => "/$defs/links",
        "[[jobs]]" => "/$defs/jobs",
        "[[faults]]" => "/$defs/faults",
        "time of [[jobs]]" => "/$defs/time",
        "lognormal of [[jobs]]" => "/$defs/time/properties/lognormal",
        "pareto of [[jobs]]" => "/$defs/time/properties/pareto",
        "bimodal of [[jobs]]" => "/$defs/time/properties/bimodal",
        title => panic!("{title} has no place in the schema"),
    }
}

fn table(section: &Section) -> Value {
    schema().pointer(pointer(section)).unwrap().clone()
}

#[test]
fn schema_and_reader_have_the_same_keys() {
    for section in SECTIONS {
        let table = table(section);
        assert_eq!(table["additionalProperties"], json!(false), "{}", section.title);
        let published: BTreeSet<&str> =
            table["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let read: BTreeSet<&str> = section.keys.iter().map(|(key, _)| *key).collect();
        assert_eq!(published, read, "{}", section.title);
    }
}

#[test]
fn schema_and_reader_have_the_same_kinds_of_values() {
    for section in SECTIONS {
        let table = table(section);
        for (key, kind) in section.keys {
            let property = &table["properties"][key];
            let reference = property["$ref"].as_str().map(|path| path.trim_start_matches("#/$defs/"));
            let written = reference.or(property["type"].as_str()).unwrap();
            let fits = match kind {
                Kind::Text => matches!(written, "string" | "name"),
                Kind::Whole => written == "integer",
                Kind::Number => matches!(written, "number" | "share"),
                Kind::Flag => written == "boolean",
                Kind::Duration(_) => written == "duration",
                Kind::PerByte => written == "per_byte",
                Kind::Size => written == "size",
                Kind::Rate => written == "rate",
                Kind::Pair | Kind::Tables => written == "array",
                Kind::Table => matches!(written, "object" | "coordinator" | "time"),
            };
            assert!(fits, "{key} in {} is {kind:?} and {written}", section.title);
            let is_described = property["description"].is_string() || reference.is_some();
            assert!(is_described, "{key} in {} has no description", section.title);
        }
    }
}

#[test]
fn schema_and_reader_have_the_same_kinds_of_faults() {
    let table = table(&keys::FAULTS);
    let kinds: Vec<&str> = FAULT_KINDS.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(table["properties"]["kind"]["enum"], json!(kinds));
    let rules = table["allOf"].as_array().unwrap();
    assert_eq!(rules.len(), FAULT_KINDS.len());
    for (rule, (kind, taken)) in rules.iter().zip(FAULT_KINDS) {
        assert_eq!(rule["if"]["properties"]["kind"]["const"], json!(kind));
        let all: Vec<&str> = ["kind"].iter().chain(*taken).copied().collect();
        assert_eq!(rule["then"]["propertyNames"]["enum"], json!(all), "{kind}");
    }
}

#[test]
fn every_unit_is_documented() {
    for (kind, row) in
        [("duration", "duration"), ("per_byte", "time per byte"), ("size", "size"), ("rate", "rate")]
    {
        let pattern = schema()["$defs"][kind]["pattern"].as_str().unwrap().to_owned();
        let units = pattern.rsplit_once('(').unwrap().1.split_once(')').unwrap().0;
        let start = format!("| {row} | ");
        let row = DOCUMENTATION.lines().find(|line| line.starts_with(&start)).unwrap();
        let words: BTreeSet<&str> = row.split(|c: char| !c.is_alphanumeric()).collect();
        // Both letters for micro look alike, and rates in bytes are told by sizes.
        let told = |unit: &&str| *unit != "\u{3bc}s" && (kind != "rate" || unit.ends_with("bit"));
        for unit in units.split('|').filter(told) {
            assert!(words.contains(unit), "{unit} of {kind}: {row}");
        }
    }
}

/// Writing a default down changes nothing.
#[test]
fn defaults_of_the_schema_are_the_readers() {
    let text = "[[links]]\n[[workers]]\ncount = 4\n[[jobs]]\ntasks = 10\ntime = { exp = \"1s\" }\n\
                [[faults]]\nkind = \"partition\"\nat = \"1s\"\nlength = \"1s\"\n";
    let parse =
        |changes: &[Override]| Scenario::parse(text, "scenario.toml", Path::new(""), changes).unwrap();
    let mut count = 0;
    let lists = [("", &keys::TOP), ("coordinator.", &keys::COORDINATOR), ("workers.0.", &keys::WORKERS)];
    let more = [("links.0.", &keys::LINKS), ("jobs.0.", &keys::JOBS), ("faults.0.", &keys::FAULTS)];
    for (prefix, section) in lists.into_iter().chain(more) {
        for (key, property) in table(section)["properties"].as_object().unwrap() {
            let Some(default) = property.get("default") else { continue };
            let value = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            let key = format!("{prefix}{key}");
            assert_eq!(parse(&[Override { key: key.clone(), value }]), parse(&[]), "{key}");
            count += 1;
        }
    }
    assert!(count > 25, "{count}");
}

/// Both ends of every range of whole numbers and shares are taken, and what is beyond is refused.
#[test]
fn limits_of_the_schema_are_the_readers() {
    let text = FULL.replace("threads = 3\n", "");
    let take = |key: &str, value: &Value| {
        let change = Override { key: key.to_owned(), value: value.to_string() };
        Scenario::parse(&text, "scenario.toml", Path::new(""), &[change]).err().map(|error| error.to_string())
    };
    let places = [("", &keys::TOP), ("workers.0.", &keys::WORKERS), ("jobs.0.", &keys::JOBS)];
    for (prefix, section) in places {
        for (key, property) in table(section)["properties"].as_object().unwrap() {
            let key = format!("{prefix}{key}");
            let (Some(min), Some(max)) = (property["minimum"].as_i64(), property["maximum"].as_i64()) else {
                continue;
            };
            if property["type"] != "integer" {
                continue;
            }
            for value in [json!(min), json!(max)] {
                let refused = take(&key, &value);
                assert!(refused.is_none() || key == "workers.0.count", "{key}={value}: {refused:?}");
            }
            for value in [json!(i128::from(min) - 1), json!(i128::from(max) + 1)] {
                let refused = take(&key, &value).unwrap_or_default();
                let words = ["too small", "too large", "negative"];
                assert!(words.iter().any(|word| refused.contains(word)), "{key}={value}: {refused}");
            }
        }
    }
}

#[test]
fn kept_scenarios_fit_the_schema() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut texts = vec![FULL.to_owned()];
    for entry in std::fs::read_dir(folder).unwrap() {
        texts.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    assert!(texts.len() > 7);
    for text in &texts {
        assert_eq!(misfit(&json_of(text)), None, "{text}");
    }
}

#[test]
fn what_the_reader_refuses_does_not_fit_the_schema() {
    let misfits = [
        ("seed", json!(-1)),
        ("sede", json!(1)),
        ("workers.0.count", json!(0)),
        ("jobs.0.time", json!({})),
        ("jobs.0.time", json!({ "exp": "1s", "const": "1s" })),
        ("jobs.0.tasks", json!(1.5)),
        ("links.0.drop", json!(1.5)),
        ("links.0.latency", json!(5)),
        ("faults.3.restart", json!("1s")),
        ("faults.0.every", json!("1s")),
        ("faults.0.kind", json!("crash")),
    ];
    for (path, value) in misfits {
        let mut scenario = json_of(FULL);
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let parent = parent.split('.').filter(|part| !part.is_empty());
        let parent = parent.fold(&mut scenario, |node, part| match part.parse::<usize>() {
            Ok(index) => &mut node[index],
            Err(_) => &mut node[part],
        });
        parent[key] = value.clone();
        assert!(misfit(&scenario).is_some(), "{path} = {value}");
    }
}

#[test]
fn every_key_is_documented_under_its_table() {
    for section in SECTIONS {
        let heading = match section.title {
            "the scenario" => "## The top of the file".to_owned(),
            title => match title.split_once(" of ") {
                Some(_) => "## `time`".to_owned(),
                None => format!("## `{title}`"),
            },
        };
        let start = DOCUMENTATION.find(&heading).unwrap_or_else(|| panic!("no heading {heading:?}"));
        let text = &DOCUMENTATION[start + heading.len()..];
        let text = &text[..text.find("\n## ").unwrap_or(text.len())];
        for (key, _) in section.keys {
            let is_there = match heading.as_str() {
                "## `time`" => text.contains(&format!("{key} = ")),
                _ => text.contains(&format!("\n| `{key}` |")),
            };
            assert!(is_there, "{key} is not documented under {heading:?}");
        }
        for (key, property) in table(section)["properties"].as_object().unwrap() {
            let Some(default) = property.get("default") else { continue };
            let shown =
                default.as_str().map_or_else(|| format!("`{default}`"), |text| format!("`\"{text}\"`"));
            let row = text.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap();
            assert!(row.contains(&shown), "{key}: the default {shown} is not in {row}");
        }
    }
    for (kind, _) in FAULT_KINDS {
        assert!(DOCUMENTATION.contains(&format!("\n| `{kind}` |")), "{kind}");
    }
}

/// Examples with a job and workers are whole scenarios.
#[test]
fn whole_examples_of_the_documentation_can_be_read() {
    let blocks: Vec<&str> =
        DOCUMENTATION.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let whole = blocks.iter().filter(|block| block.contains("[[jobs]]") && block.contains("[[workers]]"));
    let count = whole.clone().count();
    for block in whole {
        Scenario::parse(block, "scenario.md", Path::new(""), &[]).unwrap();
    }
    assert!(count > 0);
}

fn json_of(text: &str) -> Value {
    json_value(&Node::parse(text, &"scenario.toml".into()).unwrap())
}

fn json_value(node: &Node) -> Value {
    match &node.value {
        Toml::Text(text) => json!(text),
        Toml::Whole(_, number) => json!(i64::try_from(*number).unwrap()),
        Toml::Number(_, number) => json!(number),
        Toml::Flag(flag) => json!(flag),
        Toml::List(items) => items.iter().map(json_value).collect(),
        Toml::Table(entries) => {
            let pairs = entries.iter().map(|entry| (entry.key.clone(), json_value(&entry.node)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

/// What does not fit, by the rules of the schema; patterns are not looked at, because the reader has its own.
fn misfit(value: &Value) -> Option<String> {
    let root = schema();
    misfit_of(value, &root, &root)
}

fn misfit_of(value: &Value, rules: &Value, root: &Value) -> Option<String> {
    let Value::Object(rules) = rules else { return None };
    rules.iter().find_map(|(word, rule)| {
        let wrong = |is_wrong: bool| is_wrong.then(|| format!("{value} and {word}: {rule}"));
        let fits = |rules: &Value| misfit_of(value, rules, root).is_none();
        match word.as_str() {
            "$ref" => {
                let path = rule.as_str().unwrap().trim_start_matches('#');
                misfit_of(value, root.pointer(path).unwrap(), root)
            }
            "type" => match rule {
                Value::Array(types) => wrong(!types.iter().any(|name| is_type(value, name))),
                name => wrong(!is_type(value, name)),
            },
            "properties" => rule
                .as_object()
                .unwrap()
                .iter()
                .find_map(|(key, rules)| value.get(key).and_then(|value| misfit_of(value, rules, root))),
            "additionalProperties" => {
                let known = rules.get("properties").and_then(Value::as_object);
                let extra = value
                    .as_object()?
                    .iter()
                    .filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key)));
                match rule {
                    Value::Bool(false) => wrong(extra.count() > 0),
                    rules => extra.into_iter().find_map(|(_, value)| misfit_of(value, rules, root)),
                }
            }
            "propertyNames" => value.as_object()?.keys().find_map(|key| misfit_of(&json!(key), rule, root)),
            "required" => {
                wrong(rule.as_array().unwrap().iter().any(|key| value.get(key.as_str().unwrap()).is_none()))
            }
            "dependentRequired" => wrong(rule.as_object().unwrap().iter().any(|(key, needed)| {
                value.get(key).is_some()
                    && needed.as_array().unwrap().iter().any(|key| value.get(key.as_str().unwrap()).is_none())
            })),
            "items" => value.as_array()?.iter().find_map(|value| misfit_of(value, rule, root)),
            "allOf" => rule.as_array().unwrap().iter().find_map(|rules| misfit_of(value, rules, root)),
            "oneOf" => wrong(rule.as_array().unwrap().iter().filter(|rules| fits(rules)).count() != 1),
            "if" => {
                if fits(rule) {
                    misfit_of(value, &rules["then"], root)
                } else {
                    None
                }
            }
            "enum" => wrong(!rule.as_array().unwrap().contains(value)),
            "const" => wrong(rule != value),
            "minimum" => wrong(value.as_f64()? < rule.as_f64().unwrap()),
            "maximum" => wrong(value.as_f64()? > rule.as_f64().unwrap()),
            "minItems" => wrong((value.as_array()?.len() as u64) < rule.as_u64().unwrap()),
            "maxItems" => wrong(value.as_array()?.len() as u64 > rule.as_u64().unwrap()),
            "minProperties" => wrong((value.as_object()?.len() as u64) < rule.as_u64().unwrap()),
            "maxProperties" => wrong(value.as_object()?.len() as u64 > rule.as_u64().unwrap()),
            "minLength" => wrong((value.as_str()?.chars().count() as u64) < rule.as_u64().unwrap()),
            "then" | "pattern" | "title" | "description" | "default" | "examples" | "$schema" | "$defs" => {
                None
            }
            other => panic!("the test does not know {other:?}"),
        }
    })
}

fn is_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.as_i64().is_some() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the test does not know the type {other:?}"),
    }
}
