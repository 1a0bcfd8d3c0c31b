//! The variables that executors keep. Others may hold what is not for plugins, such as keys and join strings.

use muster_core::sandbox::Level;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Who and where one is, how to write, where programs and libraries are, and how many threads numerical libraries start.
const KEPT: [&str; 19] = [
    "CUDA_VISIBLE_DEVICES",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "MKL_NUM_THREADS",
    "NO_COLOR",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PATH",
    "RAYON_NUM_THREADS",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TZ",
    "USER",
];
/// How to write, in each respect.
const KEPT_BEGINNING: &str = "LC_";

/// The environment of an executor; `None`: all that the worker has.
pub fn passed_on(level: Level, more: &[String], scratch: Option<&Path>) -> Option<Vec<(OsString, OsString)>> {
    if level == Level::None {
        return None;
    }
    let mut kept: Vec<(OsString, OsString)> =
        std::env::vars_os().filter(|(name, _)| is_kept(name, more)).collect();
    kept.extend(scratch.map(|folder| ("TMPDIR".into(), folder.as_os_str().to_owned())));
    Some(kept)
}

fn is_kept(name: &OsStr, more: &[String]) -> bool {
    let Some(name) = name.to_str() else { return false };
    KEPT.contains(&name) || name.starts_with(KEPT_BEGINNING) || more.iter().any(|other| other == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_or_granted_is_kept() {
        let more = ["MY_MODEL".to_owned()];
        let kept = |name: &str| is_kept(OsStr::new(name), &more);
        assert!(["PATH", "HOME", "LC_ALL", "TZ", "RUST_BACKTRACE", "MY_MODEL"].into_iter().all(kept));
        let others = ["MUSTER_JOIN", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "TMPDIR", "MY_MODEL_KEY", ""];
        assert!(!others.into_iter().any(kept));
        assert!(passed_on(Level::None, &[], None).is_none());
        let passed = passed_on(Level::Limits, &[], Some(Path::new("/x/3"))).unwrap();
        assert!(passed.contains(&("TMPDIR".into(), "/x/3".into())));
    }
}
