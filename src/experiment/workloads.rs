//! The workloads that experiments run: muster's own plugins, each built and tried out once.

use crate::cluster::TempFolder;
use crate::compare::{Reading, Subject};
use crate::exit::{Exit, Failure, Outcome};
use crate::http_server::Background;
use crate::interrupt::Interrupt;
use crate::plugin::{PluginFile, bundled};
use muster_plugin_host::check;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

/// Finds them as they are asked for.
pub struct Workloads<'a> {
    folder: &'a Path,
    seed: u64,
    interrupt: &'a mut Interrupt,
    known: BTreeMap<&'static str, Rc<PluginFile>>,
    server: Option<Background>,
    files: Option<TempFolder>,
    python: Option<String>,
}

/// What workloads need around them.
pub struct Surroundings {
    _server: Option<Background>,
    _files: Option<TempFolder>,
}

impl<'a> Workloads<'a> {
    /// Those of a folder: built files, or their source folders.
    pub const fn new(folder: &'a Path, seed: u64, interrupt: &'a mut Interrupt) -> Self {
        Self { folder, seed, interrupt, known: BTreeMap::new(), server: None, files: None, python: None }
    }

    /// The address of a path of a server that is there as long as this is.
    pub fn server(&mut self, path: &str) -> Outcome<String> {
        if self.server.is_none() {
            self.server = Some(Background::start()?);
        }
        Ok(self.server.as_ref().map(|server| server.url(path)).unwrap_or_default())
    }

    /// The Python of this machine, by the path of the program itself: what lies in PATH may be a script that looks for it
    /// anew for every executor.
    pub fn python(&mut self) -> Outcome<String> {
        if self.python.is_none() {
            let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
            let found = asked.ok().filter(|asked| asked.status.success());
            let path = found.map(|found| String::from_utf8_lossy(&found.stdout).trim().to_owned());
            self.python = path.filter(|path| !path.is_empty());
        }
        self.python.clone().ok_or_else(|| {
            Failure::new(Exit::Plugin, "there is no Python here: python3 of PATH does not run")
                .hint("install Python 3.8 or newer, or leave out --with-python")
        })
    }

    /// A file that is there as long as this is.
    pub fn file(&mut self, name: &str, bytes: &[u8]) -> Outcome<PathBuf> {
        if self.files.is_none() {
            self.files = Some(TempFolder::new()?);
        }
        let folder = self.files.as_ref().map(TempFolder::path).unwrap_or(Path::new(""));
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|error| Failure::io(Exit::Storage, "write", &path, &error))?;
        Ok(path)
    }

    /// What is to be kept for as long as something is to fetch or read from it.
    pub fn into_surroundings(self) -> Surroundings {
        Surroundings { _server: self.server, _files: self.files }
    }

    /// A plugin, built and tried out.
    pub async fn plugin(&mut self, name: &'static str) -> Outcome<Rc<PluginFile>> {
        if let Some(file) = self.known.get(name) {
            return Ok(Rc::clone(file));
        }
        let file = Rc::new(bundled(self.folder, name, self.interrupt).await?);
        self.interrupt.or(async { Ok(file.try_out().await?) }).await?;
        self.known.insert(name, Rc::clone(&file));
        Ok(file)
    }

    /// A plugin with parameters.
    pub async fn subject(&mut self, name: &'static str, params: Value) -> Outcome<Rc<Subject>> {
        self.read(name, params, &[]).await
    }

    /// The same, whose reduced output is read.
    pub async fn read(
        &mut self,
        name: &'static str,
        params: Value,
        readings: &[Reading],
    ) -> Outcome<Rc<Subject>> {
        let file = self.plugin(name).await?;
        let params = check(file.manifest(), &params)?;
        let params = serde_json::to_vec(&params).map_err(Failure::usage)?;
        Ok(Rc::new(Subject::new(file, params, self.seed).reading(readings)))
    }
}
