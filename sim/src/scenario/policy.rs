//! The words of `--policy`.

use super::nearest::suggestion;
use muster_core::quantity;

const ORDERS: &[&str] = &["fifo", "fair", "priority", "random"];
const WORDS: &[&str] =
    &["fifo", "fair", "priority", "random", "fixed", "guided", "factoring", "adaptive", "speculation"];

/// Whether a policy can be understood: at most one order (`fifo`, `fair`, `priority`, `random`), at most one
/// chunking (`fixed:N`, `guided`, `factoring`, `adaptive`, `adaptive:100ms`) and `speculation`, in any order, with
/// `+` between.
///
/// # Errors
/// Says which word is wrong and what to write instead.
pub fn check_policy(text: &str) -> Result<(), String> {
    let (mut order, mut chunking, mut speculation) = (None, None, None);
    for part in text.split('+').map(str::trim) {
        let (word, value) = part.split_once(':').map_or((part, None), |(word, value)| (word, Some(value)));
        check_value(word, value)?;
        let taken = match word {
            "speculation" => &mut speculation,
            word if ORDERS.contains(&word) => &mut order,
            _ => &mut chunking,
        };
        if let Some(other) = taken.replace(part) {
            return Err(format!("has both {other:?} and {part:?}: keep one of them"));
        }
    }
    Ok(())
}

fn check_value(word: &str, value: Option<&str>) -> Result<(), String> {
    match (word, value) {
        ("", _) => {
            Err("has an empty word: write words with \"+\" between, as in \"fifo+fixed:1\"".to_owned())
        }
        ("fixed", None) => Err("has \"fixed\" without a number: write \"fixed:1\"".to_owned()),
        ("fixed", Some(number)) => match number.parse::<u64>() {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => {
                Err(format!("has \"fixed:{number}\": write a whole number of at least 1, as in \"fixed:1\""))
            }
        },
        ("adaptive", Some(target)) => match quantity::duration(target) {
            Ok(span) if span.0 > 0 => Ok(()),
            Ok(_) => Err(format!("has \"adaptive:{target}\": the target must be longer than nothing")),
            Err(error) => Err(format!("has \"adaptive:{target}\": its target {error}")),
        },
        (word, None) if WORDS.contains(&word) => Ok(()),
        (word, Some(value)) if WORDS.contains(&word) => {
            Err(format!("has \"{word}:{value}\": {word} takes no value, write {word:?}"))
        }
        (word, _) => {
            let hint = suggestion(word, "the words are", WORDS.iter().copied());
            Err(format!("has the unknown word {word:?}: {hint}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_words_in_any_order() {
        for text in
            ["fifo", "fifo+fixed:1", "adaptive:100ms + priority", "speculation+random+guided", "factoring"]
        {
            assert_eq!(check_policy(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn wrong_policies_say_what_is_meant() {
        let cases = [
            ("fiffo", "has the unknown word \"fiffo\": did you mean \"fifo\"?"),
            ("fifo+fair", "has both \"fifo\" and \"fair\": keep one of them"),
            ("guided+fixed:2", "has both \"guided\" and \"fixed:2\": keep one of them"),
            ("fixed", "has \"fixed\" without a number: write \"fixed:1\""),
            ("fixed:0", "has \"fixed:0\": write a whole number of at least 1, as in \"fixed:1\""),
            ("adaptive:5", "has \"adaptive:5\": its target has no unit: write 5s or 5ms"),
            ("guided:7", "has \"guided:7\": guided takes no value, write \"guided\""),
            ("fifo+", "has an empty word: write words with \"+\" between, as in \"fifo+fixed:1\""),
        ];
        for (text, message) in cases {
            assert_eq!(check_policy(text), Err(message.to_owned()), "{text}");
        }
        assert!(check_policy("zzz").unwrap_err().contains("the words are fifo, fair"));
    }
}
