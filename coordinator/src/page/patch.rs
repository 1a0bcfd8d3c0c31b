//! What has changed between two states of a view, as a JSON Merge Patch (RFC 7396). States have no nulls in them, and
//! lists are replaced as a whole: what changes often is an object by number.

use serde_json::{Map, Value};

/// What makes `new` of `old`; `None` when nothing does.
pub fn diff(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return Some(new.clone()) };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let mut patch: Map<String, Value> = gone.collect();
    for (key, value) in new {
        let change = match old.get(key) {
            Some(before) => diff(before, value),
            None => Some(value.clone()),
        };
        patch.extend(change.map(|change| (key.clone(), change)));
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As RFC 7396 has it.
    fn apply(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut target = if let Value::Object(target) = target { target } else { Map::new() };
        for (key, change) in patch {
            let before = target.remove(key);
            if !change.is_null() {
                target.insert(key.clone(), apply(before.unwrap_or(Value::Null), change));
            }
        }
        Value::Object(target)
    }

    #[test]
    fn a_patch_makes_the_new_state_of_the_old_one() {
        let states = [
            json!({}),
            json!({"workers": {"1": {"name": "a", "busy": 1}, "2": {"name": "b", "busy": 0}}, "list": [1, 2]}),
            json!({"workers": {"1": {"name": "a", "busy": 2}, "3": {"name": "c"}}, "list": [1, 2]}),
            json!({"workers": 7, "list": [2]}),
            json!({"workers": {"3": {}}, "list": {"1": 2}}),
        ];
        for old in &states {
            for new in &states {
                match diff(old, new) {
                    Some(patch) => assert_eq!(&apply(old.clone(), &patch), new, "{old} {patch}"),
                    None => assert_eq!(old, new),
                }
            }
        }
        let patch = diff(&states[1], &states[2]).unwrap();
        assert_eq!(patch, json!({"workers": {"1": {"busy": 2}, "2": null, "3": {"name": "c"}}}));
    }
}
