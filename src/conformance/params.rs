//! Parameters that must be refused, each in one line that names the parameter.

use super::check::Check;
use super::models::shape;
use super::subject::Subject;
use crate::exit::Failure;
use crate::trial::Trial;
use muster_plugin_host::{Manifest, ParamKind};
use muster_proto::v1::{self, JobState};
use serde_json::{Value, json};

const NAME: &str = "wrong parameters";
/// Wrong parameters that are tried.
const CASES_MAX: usize = 40;

/// Parameters that are wrong in one place.
#[derive(Clone, Debug, PartialEq)]
struct Case {
    /// What is wrong.
    what: String,
    /// The parameter that must be named.
    name: String,
    params: Value,
}

/// Submits jobs as a client that checks nothing would.
pub async fn params(subject: &Subject, trial: &Trial) -> Result<Check, Failure> {
    let cases = cases(subject.manifest(), &subject.params);
    let input = subject.inputs().and_then(|inputs| inputs.first()).cloned().unwrap_or_default();
    let only = Some(v1::OnlyTask { index: 0, input: input.into() });
    for case in &cases {
        let spec = v1::JobSpec {
            params: case.params.to_string().into(),
            open: false,
            tasks: 1,
            only: only.clone(),
            ..subject.spec(shape("process"))
        };
        let status = trial.run(spec, None).await?.status;
        let (what, name) = (&case.what, &case.name);
        if status.state() != JobState::Failed {
            return Ok(Check::fail(NAME, format!("{what} is not refused"), "create must refuse it"));
        }
        if !status.reason.contains(name.as_str()) || status.reason.contains('\n') {
            let measured =
                format!("{what} is refused without its name, or in several lines: {}", status.reason);
            return Ok(Check::fail(NAME, measured, "create must say in one line which parameter is wrong"));
        }
    }
    Ok(Check::pass(NAME, format!("{} wrong ones, each refused in a line that names it", cases.len())))
}

/// Wrong in all ways that the manifest knows of.
fn cases(manifest: &Manifest, good: &Value) -> Vec<Case> {
    let with = |name: &str, value: Value| {
        let mut params = good.clone();
        params[name] = value;
        params
    };
    let case = |what: String, name: &str, params: Value| Case { what, name: name.to_owned(), params };
    let unknown = "no_such_parameter";
    let mut cases = vec![case(format!("the unknown parameter {unknown}"), unknown, with(unknown, json!(1)))];
    for spec in manifest.params() {
        let name = spec.name();
        let mut add = |how: &str, value: Value| {
            cases.push(case(format!("{name}={value} ({how})"), name, with(name, value)));
        };
        add("another type", other_type(spec.kind()));
        if let Some(below) = spec.minimum().and_then(|minimum| beyond(minimum, -1)) {
            add("too small", below);
        }
        if let Some(above) = spec.maximum().and_then(|maximum| beyond(maximum, 1)) {
            add("too large", above);
        }
        if !spec.choices().is_empty() && spec.kind() == ParamKind::Text {
            add("no choice", json!("no-such-choice"));
        }
        if spec.required() {
            let mut params = good.clone();
            if let Some(object) = params.as_object_mut() {
                object.remove(name);
            }
            cases.push(case(format!("a missing {name}"), name, params));
        }
    }
    cases.truncate(CASES_MAX);
    cases
}

const OTHER_NUMBER: i64 = 7;

fn other_type(kind: ParamKind) -> Value {
    match kind {
        ParamKind::Integer | ParamKind::Number | ParamKind::Bool => json!("not one"),
        ParamKind::Text => json!(OTHER_NUMBER),
    }
}

/// The next number outside of a limit; none where there is none.
fn beyond(limit: &Value, step: i64) -> Option<Value> {
    if let Some(whole) = limit.as_i64() {
        return whole.checked_add(step).map(Value::from);
    }
    if let Some(whole) = limit.as_u64() {
        return whole.checked_add_signed(step).map(Value::from);
    }
    let number = limit.as_f64()?;
    serde_json::Number::from_f64(number + step as f64 * number.abs().max(1.0)).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_plugin_host::check;

    #[test]
    fn every_case_is_wrong_and_only_that() {
        let text = json!({"muster": 1, "name": "x", "version": "1.0.0", "params": {
            "type": "object", "properties": {
                "limit": {"type": "integer", "minimum": 1, "maximum": u64::MAX},
                "rate": {"type": "number", "minimum": 0.5, "maximum": 2.0, "default": 1.0},
                "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
                "loud": {"type": "boolean", "default": false}},
            "required": ["limit"]}});
        let manifest = Manifest::parse(&text.to_string()).unwrap();
        let good = check(&manifest, &json!({"limit": 5})).unwrap();
        let cases = cases(&manifest, &good);
        // One unknown; limit: type, below, missing (nothing is above); rate: type, below, above; mode: type, choice;
        // loud: type.
        assert_eq!(cases.len(), 1 + 3 + 3 + 2 + 1, "{cases:?}");
        for case in cases {
            let error = check(&manifest, &case.params).unwrap_err().to_string();
            assert!(error.contains(&case.name), "{}: {error}", case.what);
        }
    }
}
