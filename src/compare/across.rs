//! What several groups say together: which row to use where, and where that changes.

use super::result::GroupResult;

/// Sentences: neighbours with the same answer in one.
pub fn across(groups: &[GroupResult]) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    let mut rest = groups;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|group| group.use_row == first.use_row).count();
        let (run, others) = rest.split_at(same);
        rest = others;
        let name = range(run);
        sentences.push(match &first.use_row {
            Some(row) => format!("{name}: use {row}."),
            None => {
                let mut why: Vec<&str> =
                    run.iter().filter_map(|group| group.verdict.first()).map(String::as_str).collect();
                why.dedup();
                format!("{name}: {}", why.join(" "))
            }
        });
    }
    sentences
}

/// The names of neighbours.
fn range(groups: &[GroupResult]) -> String {
    match groups {
        [] => String::new(),
        [one] => one.name.clone(),
        [one, two] => format!("{} and {}", one.name, two.name),
        [first, .., last] => format!("{} to {}", first.name, last.name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::result::Plugin;
    use super::*;

    fn group(name: &str, use_row: Option<&str>) -> GroupResult {
        GroupResult {
            name: name.to_owned(),
            factors: [].into(),
            plugin: Plugin {
                name: "x".to_owned(),
                version: "1.0.0".to_owned(),
                digest: "0".to_owned(),
                params: serde_json::Value::Null,
                deterministic: true,
            },
            tasks: 1,
            noise_floor: None,
            enough: use_row.is_some(),
            use_row: use_row.map(str::to_owned),
            verdict: vec!["Not enough.".to_owned()],
        }
    }

    #[test]
    fn neighbours_with_one_answer_are_one_sentence() {
        let groups = [
            group("0 %", Some("async")),
            group("25 %", Some("async")),
            group("50 %", Some("async")),
            group("75 %", Some("process")),
            group("90 %", None),
            group("100 %", None),
        ];
        assert_eq!(
            across(&groups),
            ["0 % to 50 %: use async.", "75 %: use process.", "90 % and 100 %: Not enough."]
        );
    }
}
