//! Text without quotes, the most frequent slip in TOML: the parser only says what else could have stood there.

use super::error::{Place, ScenarioError};
use super::tree::shortened;
use toml::de::DeValue;

/// What ends a value within its line.
const ENDS: [char; 5] = [',', '[', ']', '{', '}'];

/// What to write instead, when the parser stopped, at `offset`, in text that has no quotes.
pub(super) fn explained(text: &str, offset: usize, place: &Place) -> Option<ScenarioError> {
    let (before, after) = text.split_at_checked(offset)?;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let end = after.find('\n').map_or(text.len(), |end| offset + end);
    let line = text.get(start..end)?;
    // Of several values in a line it is the one in which the parser stopped.
    let mut pairs = line.match_indices('=').map(|(at, _)| at).filter(|at| start + at < offset);
    let equals = pairs.next_back()?;
    let key_start = line[..equals].trim_end().rfind([' ', '\t', '{', ',']).map_or(0, |at| at + 1);
    let key = line[key_start..equals].trim();
    let value_start = line[..offset - start].rfind(ENDS).map_or(equals + 1, |at| (at + 1).max(equals + 1));
    let rest = &line[value_start..];
    let word = rest[..rest.find(|c| ENDS.contains(&c) || c == '#').unwrap_or(rest.len())].trim();
    if key.is_empty() || key.contains(char::is_control) || !is_text(word) {
        return None;
    }
    let is_alone = line[equals + 1..value_start].trim().is_empty();
    let (subject, quoted) = (shortened(word), format!("{word:?}"));
    let lower = word.to_ascii_lowercase();
    let problem = match (is_alone, lower.as_str()) {
        (true, "true" | "false") => format!("is written small: {key} = {lower}"),
        (true, _) => format!("text needs quotes: {key} = {}", shortened(&quoted)),
        (false, _) => format!("text needs quotes: {}", shortened(&quoted)),
    };
    let colon = if problem.starts_with("text") { ":" } else { "" };
    let subject = if is_alone { format!("{key} = {subject}{colon}") } else { format!("{subject}{colon}") };
    Some(ScenarioError::Structure { place: place.clone(), subject, problem })
}

/// Whether somebody meant text: no value of TOML, no number that is only written otherwise, and nothing quoted.
fn is_text(word: &str) -> bool {
    let is_number = word.replace('_', "").parse::<f64>().is_ok();
    let is_plain = |c: char| c.is_alphanumeric() || " -_.+:/%".contains(c);
    !word.is_empty() && word.chars().all(is_plain) && !is_number && DeValue::parse(word).is_err()
}
