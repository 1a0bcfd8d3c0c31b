//! Brings a plugin into this process.

use crate::callbacks::{Captures, HostState};
use crate::channel::Queues;
use crate::inspect::{Inspection, inspect};
use crate::job::{Job, JobParams};
use crate::manifest::Manifest;
use crate::metrics::Metrics;
use crate::outcome::{ErrorKind, TaskError};
use crate::params::check;
use crate::problem::{PluginError, Problem};
use crate::services::HostServices;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use muster_plugin_abi::{
    self as abi, DriveFn, ENTRY_SYMBOL, EXT_ASYNC, EntryFn, ErrorText, ExtAsync, F_ASYNC, FLAGS,
    Plugin as Table,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A loaded plugin. It stays in the process until that ends.
#[derive(Clone, Debug)]
pub struct Plugin {
    loaded: Arc<Loaded>,
}

/// What calls need of a plugin.
pub(crate) struct Loaded {
    pub table: Table,
    /// Keeps many tasks going on one thread.
    pub drive: Option<DriveFn>,
    pub(crate) inspection: Inspection,
    host: &'static HostState,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("manifest", &self.inspection.manifest.json()).finish_non_exhaustive()
    }
}

impl Plugin {
    /// Inspects the file, loads it and calls its `load`: once per file and process. The file must not change meanwhile, or ever while the
    /// process lives.
    ///
    /// # Errors
    /// What is wrong with the file, and what to do.
    pub fn load(path: &Path, services: Arc<dyn HostServices>) -> Result<Self, PluginError> {
        let inspection = inspect(path)?;
        Self::load_inspected(path, inspection, services).map_err(|problem| PluginError::new(path, problem))
    }

    fn load_inspected(
        path: &Path,
        inspection: Inspection,
        services: Arc<dyn HostServices>,
    ) -> Result<Self, Problem> {
        let table = open(path)?;
        check_table(&table, &inspection)?;
        let drive = async_form(&table, &inspection)?;
        let metrics = Metrics::new(inspection.manifest.metrics());
        let (state, host) =
            HostState { services, metrics, captures: Captures::default(), queues: Queues::default() }
                .publish();
        if let Some(load) = table.load {
            let mut error = ErrorText::new();
            // SAFETY: the table lives until the process ends, and the error's room is valid for writing.
            let status = unsafe { load(host, &raw mut error) };
            if let Some(error) = TaskError::from_call("load", status, &error) {
                return Err(Problem::LoadFailed { error });
            }
        }
        Ok(Self { loaded: Arc::new(Loaded { table, drive, inspection, host: state }) })
    }

    /// What its file says.
    #[must_use]
    pub fn inspection(&self) -> &Inspection {
        &self.loaded.inspection
    }

    /// Its metrics in this process.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.loaded.host.metrics
    }

    /// Makes the object of a job. Its parameters are checked against the manifest and completed: not every client has
    /// done so, and plugins may rely on it.
    ///
    /// # Errors
    /// What is wrong with the parameters, or what the plugin says.
    pub fn create(&self, params: JobParams) -> Result<Job, TaskError> {
        let text = checked_params(&self.loaded.inspection.manifest, &params.params)?;
        self.create_unchecked(JobParams { params: text, ..params })
    }

    /// The same with parameters as they are, to see what the plugin itself makes of them.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn create_unchecked(&self, params: JobParams) -> Result<Job, TaskError> {
        Job::create(Arc::clone(&self.loaded), params)
    }
}

/// Parameters as the manifest allows them, with its defaults.
fn checked_params(manifest: &Manifest, text: &str) -> Result<String, TaskError> {
    let refused = |message: String| TaskError { kind: ErrorKind::Params, code: 0, message };
    let given = if text.trim().is_empty() { "{}" } else { text };
    let given = serde_json::from_str(given)
        .map_err(|error| refused(format!("the parameters are no JSON object: {error}")))?;
    check(manifest, &given).map(|params| params.to_string()).map_err(|error| refused(error.to_string()))
}

/// A plugin keeps one table of its host: a second `load` would take it away from the first.
fn claim(table: *const Table) -> Result<(), Problem> {
    static LOADED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if loaded.contains(&(table as usize)) {
        return Err(Problem::LoadedTwice);
    }
    loaded.push(table as usize);
    Ok(())
}

/// Loads the file and copies the table that its entry returns.
fn open(path: &Path) -> Result<Table, Problem> {
    let refused = |error: libloading::Error| refusal(path, &error);
    let path = absolute(path).map_err(|source| Problem::Unreadable { source })?;
    // SAFETY: running the constructors of the file is what was asked for; `inspect` checked that it is whole,
    // and the caller promises that it does not change.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }.map_err(refused)?;
    // SAFETY: the ABI says that a symbol of this name has this type.
    let entry = unsafe { library.get::<EntryFn>(ENTRY_SYMBOL) }.map(|symbol| *symbol);
    // Closing would pull the code away under threads that the plugin may have started.
    let _ = library.into_raw();
    let entry = entry.map_err(refused)?;
    // SAFETY: as above.
    let table = unsafe { entry(abi::ABI_MAJOR, abi::ABI_MINOR) };
    if table.is_null() {
        return Err(Problem::HostTooOld);
    }
    // SAFETY: the table lives until the process ends, and every table begins with its size and version.
    let (found, major) = unsafe { ((*table).struct_size, (*table).abi_major) };
    if u32::from(major) != abi::ABI_MAJOR {
        return Err(Problem::OtherAbi { found: major.into() });
    }
    let needed = abi::size_of_table::<Table>();
    if found < needed {
        return Err(Problem::ShortTable { found, needed });
    }
    claim(table)?;
    // SAFETY: it has at least the size of our view, as just checked.
    Ok(unsafe { *table })
}

fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    std::fs::canonicalize(path)
}

/// The dynamic linker's own words; the library's error hides them in its source.
fn refusal(path: &Path, error: &libloading::Error) -> Problem {
    let reason = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    if let Some((_, symbol)) = reason.split_once("undefined symbol: ") {
        let symbol = symbol.split([',', ' ']).next().unwrap_or(symbol);
        return Problem::UndefinedSymbol { symbol: symbol.to_owned() };
    }
    let prefix = format!("{}: ", path.display());
    Problem::Refused { reason: reason.strip_prefix(&prefix).unwrap_or(&reason).to_owned() }
}

fn check_table(table: &Table, inspection: &Inspection) -> Result<(), Problem> {
    let manifest = &inspection.manifest;
    // SAFETY: the ABI says that the texts of a table live until the process ends.
    let (name, version) = unsafe { (table.name.as_bytes(), table.version.as_bytes()) };
    agree("name", &String::from_utf8_lossy(name), manifest.name())?;
    agree("version", &String::from_utf8_lossy(version), manifest.version())?;
    agree("flags", &flag_names(table.flags), &flag_names(manifest.flags()))?;
    if table.create.is_none() {
        return Err(Problem::NoFunction { function: "create" });
    }
    if table.destroy.is_none() {
        return Err(Problem::NoFunction { function: "destroy" });
    }
    if table.run.is_none() && table.run_range.is_none() {
        return Err(Problem::NoFunction { function: "run or run_range" });
    }
    check_reduction(table, manifest.reduce())
}

/// The function behind `muster.async/1`, when the manifest promises it.
fn async_form(table: &Table, inspection: &Inspection) -> Result<Option<DriveFn>, Problem> {
    if !inspection.manifest.has(F_ASYNC) {
        return Ok(None);
    }
    // SAFETY: the ABI says that the function takes a C string and returns null or a table that lives on.
    let found = table.extension.map(|extension| unsafe { extension(EXT_ASYNC.as_ptr()) });
    // SAFETY: as above; the table begins with its size, and is read only when that is large enough.
    let drive = found.and_then(|found| unsafe {
        let found = found.cast::<ExtAsync>().as_ref()?;
        if found.struct_size < abi::size_of_table::<ExtAsync>() { None } else { found.drive }
    });
    drive.map(Some).ok_or(Problem::NoFunction { function: "drive (extension muster.async/1)" })
}

fn check_reduction(table: &Table, declared: bool) -> Result<(), Problem> {
    let functions = [
        ("acc_new", table.acc_new.is_some()),
        ("acc_add", table.acc_add.is_some()),
        ("acc_merge", table.acc_merge.is_some()),
        ("acc_take", table.acc_take.is_some()),
        ("acc_free", table.acc_free.is_some()),
    ];
    let some = functions.iter().any(|(_, there)| *there);
    match functions.iter().find(|(_, there)| !there) {
        Some((function, _)) if some => Err(Problem::NoFunction { function }),
        _ => agree("reduce", &some.to_string(), &declared.to_string()),
    }
}

fn agree(field: &'static str, table: &str, manifest: &str) -> Result<(), Problem> {
    if table == manifest {
        return Ok(());
    }
    Err(Problem::Disagrees { field, table: table.to_owned(), manifest: manifest.to_owned() })
}

fn flag_names(flags: u64) -> String {
    let names: Vec<&str> =
        FLAGS.iter().filter(|(_, flag)| flags & flag != 0).map(|(name, _)| *name).collect();
    names.join(",")
}
