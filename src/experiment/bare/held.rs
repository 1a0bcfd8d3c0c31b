//! Memory that a process has, to see what that does to others that it starts.

use crate::cluster::HOLD_ARGUMENT;
use std::ffi::OsString;
use std::hint::black_box;

/// So much memory, all of it touched.
pub fn held(bytes: u64) -> Vec<u8> {
    // Not zeros: those would take no memory until they are touched.
    black_box(vec![1; usize::try_from(bytes).unwrap_or(usize::MAX)])
}

/// The memory that the arguments say to hold, and the others.
pub fn hold(arguments: impl IntoIterator<Item = OsString>) -> (Vec<u8>, Vec<OsString>) {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let bytes = arguments.get(2).and_then(|bytes| bytes.to_str()?.parse().ok());
    match bytes.filter(|_| arguments.get(1).is_some_and(|first| first == HOLD_ARGUMENT)) {
        Some(bytes) => {
            arguments.drain(1..3);
            (held(bytes), arguments)
        }
        None => (Vec::new(), arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_so_holds_memory() {
        let hold = |words: &[&str]| {
            let (held, rest) = hold(words.iter().map(OsString::from));
            (held.len(), rest.len())
        };
        assert_eq!(hold(&["muster", HOLD_ARGUMENT, "4096", "worker", "start"]), (4096, 3));
        assert_eq!(hold(&["muster", "worker", "4096"]), (0, 3));
        assert_eq!(hold(&["muster", HOLD_ARGUMENT, "x"]), (0, 3));
    }
}
