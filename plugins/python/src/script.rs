//! What is called: a function of a file, or code.

use crate::{DEFAULT_CODE, Items, Params};
use muster_sdk::{Error, serde_json};
use serde::Serialize;
use std::path::Path;

/// What the bridge is told to load.
#[derive(Debug, Serialize)]
pub struct Script {
    /// An absolute path; empty: the code counts.
    file: String,
    function: String,
    code: String,
    items: &'static str,
}

impl Script {
    /// # Errors
    /// The file cannot be read, or there is code beside it.
    pub fn new(params: &Params) -> Result<Self, Error> {
        let Params { file, function, code, items, .. } = params;
        if file.is_empty() && function != "task" {
            return Err(Error::params(format_args!(
                "function={function} has no file; name it with file=PATH, or leave function out and give code"
            )));
        }
        if !file.is_empty() && code != DEFAULT_CODE {
            return Err(Error::params("file and code are given; one of them says what a task does"));
        }
        let file = if file.is_empty() { String::new() } else { absolute(Path::new(file))? };
        let (function, code) = (function.clone(), code.clone());
        Ok(Self { file, function, code, items: Items::name(*items) })
    }

    /// As the bridge reads it.
    pub fn settings(&self) -> Result<Vec<u8>, Error> {
        Ok(serde_json::to_vec(self)?)
    }

    /// What to call it in a message.
    pub fn shown(&self) -> &str {
        if self.file.is_empty() { "the code" } else { &self.file }
    }
}

fn absolute(file: &Path) -> Result<String, Error> {
    let shown = file.display();
    let place = match std::env::current_dir() {
        Ok(folder) if file.is_relative() => {
            format!(", looked for in {}, the folder of the worker", folder.display())
        }
        Ok(_) | Err(_) => String::new(),
    };
    let refused = |error| {
        Error::params(format_args!("file={shown}{place}, cannot be read: {error}; give a whole path"))
    };
    let path = file.canonicalize().map_err(refused)?;
    if !path.is_file() {
        return Err(Error::params(format_args!("file={shown} is no file; name one that has the function")));
    }
    path.into_os_string()
        .into_string()
        .map_err(|path| Error::params(format_args!("file={} is not UTF-8; rename it", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_sdk::Params as _;

    fn script(json: &str) -> Result<Script, Error> {
        Script::new(&Params::from_json(json.as_bytes())?)
    }

    #[test]
    fn a_file_is_found_from_the_folder_of_the_worker() {
        let found = script(r#"{"file":"src/bridge.py"}"#).unwrap();
        assert!(found.file.ends_with("plugins/python/src/bridge.py") && found.file.starts_with('/'));
        assert_eq!(script("{}").unwrap().file, "");
    }

    #[test]
    fn what_cannot_be_called_is_named() {
        let here = std::env::current_dir().unwrap();
        for (json, words) in [
            (r#"{"file":"src/none.py"}"#, here.to_str().unwrap()),
            (r#"{"file":"src/none.py"}"#, "file=src/none.py"),
            (r#"{"file":"src"}"#, "is no file"),
            (r#"{"file":"src/bridge.py","code":"1"}"#, "file and code"),
            (r#"{"function":"f"}"#, "function=f has no file"),
        ] {
            let error = script(json).unwrap_err();
            assert!(error.message().contains(words), "{json}: {error}");
        }
    }
}
