//! The groups that a file asks for: one for each combination of the values of its matrix.

use super::configuration::Configuration;
use super::file::Written;
use super::group::{Case, Factors, Group};
use crate::exit::{Exit, Failure, Outcome};
use serde_json::{Map, Value};

/// More groups than anybody reads, or has time for.
const GROUPS_MAX: usize = 100;

/// The combinations, in the order of the names and then of the values; one without any when there is no matrix.
pub fn combinations(written: &Written) -> Outcome<Vec<Factors>> {
    let mut all = vec![Factors::new()];
    for (name, values) in &written.matrix {
        if let Some(value) = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value)) {
            return Err(failure(&format!("matrix.{name} has {} twice", value.1)).hint("give each value once"));
        }
        let with = |before: &Factors, value: &Value| {
            let mut factors = before.clone();
            factors.insert(name.clone(), value.clone());
            factors
        };
        all = all.iter().flat_map(|before| values.iter().map(move |value| with(before, value))).collect();
        if all.len() > GROUPS_MAX {
            return Err(failure(&format!("the matrix has more than {GROUPS_MAX} combinations"))
                .hint("give fewer values, or several files"));
        }
    }
    Ok(all)
}

/// Parameters with the values of a combination.
pub fn params(written: &Written, factors: &Factors) -> Map<String, Value> {
    let mut params = written.params.clone();
    params.extend(factors.iter().map(|(name, value)| (name.clone(), value.clone())));
    params
}

/// `iters=1000, n=2`.
pub fn name(factors: &Factors) -> String {
    // It is shown on terminals.
    let shown = |text: &str| {
        let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        text.chars().map(escaped).collect::<String>()
    };
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), shown);
    let pairs: Vec<String> = factors.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
    pairs.join(", ")
}

/// The configurations of a combination that are not excluded, the baseline first.
pub fn rows(written: &Written, factors: &Factors, all: &[Configuration]) -> Outcome<Vec<Configuration>> {
    let is_out = |row: &Configuration| written.excludes.iter().any(|exclude| matches(exclude, row, factors));
    let mut rows: Vec<Configuration> = all.iter().filter(|row| !is_out(row)).cloned().collect();
    if rows.len() < 2 {
        let group = if factors.is_empty() { "the matrix".to_owned() } else { format!("{:?}", name(factors)) };
        let left = match rows.first() {
            Some(row) => format!("only {}", row.name),
            None => "nothing".to_owned(),
        };
        return Err(failure(&format!("{group} is empty: {left} is left to compare"))
            .hint("exclude less, or give more models"));
    }
    if let Some(baseline) = &written.baseline {
        let is_it = |row: &Configuration| row.name == *baseline || row.model.name() == baseline;
        let Some(at) = rows.iter().position(is_it) else {
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            return Err(failure(&format!("baseline {baseline:?} is not in the matrix"))
                .hint(format_args!("there are {}", names.join(", "))));
        };
        rows[..=at].rotate_right(1);
    }
    Ok(rows)
}

/// Whether a row is what is to be left out: all of it must be so.
fn matches(exclude: &Map<String, Value>, row: &Configuration, factors: &Factors) -> bool {
    exclude.iter().all(|(name, value)| match name.as_str() {
        "model" => value == row.model.name(),
        "row" => value == &row.name,
        "processes" => value == &Value::from(row.shape.processes),
        "threads" => value == &Value::from(row.shape.threads),
        other => factors.get(other) == Some(value),
    })
}

/// Excludes that match nothing: of a name that nothing has, or of a value.
pub fn check_excludes(written: &Written, groups: &[Factors], all: &[Configuration]) -> Outcome<()> {
    let known = ["model", "row", "processes", "threads"];
    for exclude in &written.excludes {
        for name in exclude.keys() {
            if !known.contains(&name.as_str()) && !written.matrix.contains_key(name) {
                let names: Vec<&str> =
                    known.into_iter().chain(written.matrix.keys().map(String::as_str)).collect();
                return Err(failure(&format!("exclude has {name:?}, which no row has"))
                    .hint(format_args!("there are {}", names.join(", "))));
            }
        }
        let is_used = groups.iter().any(|factors| all.iter().any(|row| matches(exclude, row, factors)));
        if !is_used {
            let exclude = Value::from(exclude.clone());
            let names: Vec<&str> = all.iter().map(|row| row.name.as_str()).collect();
            return Err(failure(&format!("exclude {exclude} matches no row"))
                .hint(format_args!("there are {}", names.join("; "))));
        }
    }
    Ok(())
}

/// A group of a combination.
pub fn group(factors: Factors, cases: Vec<Case>, tasks: Option<u64>) -> Group {
    Group { name: name(&factors), factors, tasks, cases, cancels: None }
}

fn failure(what: &str) -> Failure {
    Failure::new(Exit::Job, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Model;
    use serde_json::json;

    fn written(text: Value) -> Written {
        let matrix = text["matrix"].as_object().into_iter().flatten();
        Written {
            matrix: matrix.map(|(name, values)| (name.clone(), values.as_array().unwrap().clone())).collect(),
            excludes: text["exclude"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|it| it.as_object().unwrap().clone())
                .collect(),
            baseline: text["baseline"].as_str().map(str::to_owned),
            ..Written::default()
        }
    }

    fn all() -> Vec<Configuration> {
        [Model::Thread, Model::Process, Model::Gil].map(|model| Configuration::on(model, 4).unwrap()).into()
    }

    #[test]
    fn each_combination_is_a_group() {
        let written = written(json!({"matrix": {"b": [1, 2], "a": ["x", "y", "z"]}}));
        let names: Vec<String> = combinations(&written).unwrap().iter().map(name).collect();
        assert_eq!(names, ["a=x, b=1", "a=x, b=2", "a=y, b=1", "a=y, b=2", "a=z, b=1", "a=z, b=2"]);
        let large: Vec<u32> = (0..101).collect();
        let written = self::written(json!({"matrix": {"b": large}}));
        assert!(combinations(&written).unwrap_err().to_string().contains("more than 100"));
    }

    #[test]
    fn excluded_rows_are_out_and_the_baseline_is_first() {
        let written = written(json!({
            "matrix": {"b": [1, 2]}, "baseline": "process", "exclude": [{"model": "gil", "b": 2}]
        }));
        let groups = combinations(&written).unwrap();
        let names = |at: usize| {
            let rows = rows(&written, &groups[at], &all()).unwrap();
            rows.into_iter().map(|row| row.name).collect::<Vec<String>>()
        };
        assert_eq!(names(0), ["process 4x1", "thread 1x4", "gil 1x4"]);
        assert_eq!(names(1), ["process 4x1", "thread 1x4"]);
        check_excludes(&written, &groups, &all()).unwrap();
    }

    #[test]
    fn what_leaves_nothing_is_refused() {
        let none = Factors::new();
        let text = |value: Value| rows(&written(value), &none, &all()).unwrap_err().to_string();
        let two = json!({"exclude": [{"model": "gil"}, {"threads": 4}]});
        assert!(text(two).contains("only process 4x1 is left"));
        assert!(text(json!({"baseline": "async"})).contains("baseline \"async\" is not in the matrix"));
        for (exclude, words) in
            [(json!([{"modle": "gil"}]), "\"modle\""), (json!([{"model": "spawn"}]), "matches no row")]
        {
            let written = written(json!({"exclude": exclude}));
            let refused = check_excludes(&written, &combinations(&written).unwrap(), &all()).unwrap_err();
            assert!(refused.to_string().contains(words), "{refused}");
        }
        let twice = combinations(&written(json!({"matrix": {"b": [1, 2, 1]}}))).unwrap_err();
        assert!(twice.to_string().contains("matrix.b has 1 twice"), "{twice}");
    }
}
