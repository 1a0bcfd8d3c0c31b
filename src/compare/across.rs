//! What several groups say together: which row to use where, and where that changes.

use super::result::GroupResult;
use super::verdict::{Invalid, NoAnswer};

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
            None => format!("{name}: {}", why(run).join(" ")),
        });
    }
    sentences
}

/// Why groups have no answer, each reason once: of too few blocks the most that any of them needs.
fn why(groups: &[GroupResult]) -> Vec<String> {
    let needed = |group: &&GroupResult| match group.no_answer {
        Some(NoAnswer::Few { needed }) => Some(needed),
        _ => None,
    };
    let first = |group: &GroupResult| group.verdict.first().cloned();
    let few = groups.iter().filter(|group| needed(group).is_some()).max_by_key(needed).and_then(first);
    let invalid = groups.iter().filter_map(|group| match &group.no_answer {
        Some(NoAnswer::Invalid(invalid)) => Some(invalid.clone()),
        _ => None,
    });
    let invalid = invalid.reduce(|all, one| Invalid {
        invalid: all.invalid + one.invalid,
        rows: all.rows + one.rows,
        first: all.first,
    });
    let other = groups.iter().filter(|group| matches!(group.no_answer, None | Some(NoAnswer::Other)));
    let mut reasons: Vec<String> = few
        .into_iter()
        .chain(invalid.as_ref().map(Invalid::sentence))
        .chain(other.filter_map(first))
        .collect();
    reasons.dedup();
    reasons
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
            no_answer: None,
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

    #[test]
    fn neighbours_without_an_answer_say_each_reason_once() {
        let few = |name: &str, needed: usize| GroupResult {
            no_answer: Some(NoAnswer::Few { needed }),
            verdict: vec![format!("Not enough: {needed} are needed.")],
            ..group(name, None)
        };
        let invalid = |name: &str, invalid: usize, first: &str| GroupResult {
            no_answer: Some(NoAnswer::Invalid(Invalid { invalid, rows: 4, first: first.to_owned() })),
            ..group(name, None)
        };
        let said =
            across(&[few("a", 6), invalid("b", 1, "x: late"), few("c", 9), invalid("d", 2, "y: slow")]);
        assert_eq!(said.len(), 1, "{said:?}");
        let wanted =
            "a to d: Not enough: 9 are needed. No answer: 3 of 8 rows are invalid (x: late). Run it again";
        assert!(said[0].starts_with(wanted), "{said:?}");
    }
}
