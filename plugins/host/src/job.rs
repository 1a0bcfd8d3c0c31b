//! The plugin's object for a job, renewed after a panic.

use crate::kind::OutputKind;
use crate::outcome::TaskError;
use crate::plugin::Loaded;
use muster_plugin_abi::{self as abi, Bytes, DriveFn, ErrorText, F_CONCURRENT, JobObject, Plugin as Table};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// What a plugin is told about a job.
#[derive(Clone, Debug)]
pub struct JobParams {
    /// Id of the job.
    pub id: u128,
    /// JSON object, checked with [`check`](crate::check).
    pub params: String,
    /// The same in every process of the job.
    pub seed: u64,
    /// How many threads of this process may run its tasks at once.
    pub threads: u32,
    /// Tasks of the job, when that is known.
    pub tasks: Option<u64>,
    /// Bytes that this process may use, when there is a limit.
    pub memory_limit: Option<u64>,
}

/// A job in this process. Threads share it; each brings its own [`Slot`](crate::Slot).
#[derive(Debug)]
pub struct Job {
    plugin: Arc<Loaded>,
    params: JobParams,
    instance: RwLock<Arc<Instance>>,
}

impl Job {
    pub(crate) fn create(plugin: Arc<Loaded>, params: JobParams) -> Result<Self, TaskError> {
        let instance = RwLock::new(Arc::new(Instance::create(&plugin, &params)?));
        Ok(Self { plugin, params, instance })
    }

    pub(crate) fn table(&self) -> &Table {
        &self.plugin.table
    }

    /// The plugin's function that keeps many tasks going, when it has one.
    pub(crate) fn async_form(&self) -> Option<DriveFn> {
        self.plugin.drive
    }

    /// Whether a result is what the manifest says.
    pub(crate) fn check_result(&self, result: &[u8]) -> Result<(), TaskError> {
        let kind = self.output();
        match kind.width() {
            Some(width) if result.len() != width as usize => Err(wrong_width(result.len(), kind)),
            Some(_) | None => kind.check_form(result),
        }
    }

    /// What the manifest says that results are.
    pub(crate) fn output(&self) -> OutputKind {
        self.plugin.inspection.manifest.output()
    }

    pub(crate) fn id(&self) -> u128 {
        self.params.id
    }

    pub(crate) fn seed(&self) -> u64 {
        self.params.seed
    }

    /// The object to call, a new one when the last one panicked.
    pub(crate) fn instance(&self) -> Result<Arc<Instance>, TaskError> {
        let current = Arc::clone(&self.instance.read().unwrap_or_else(PoisonError::into_inner));
        if !current.is_poisoned() {
            return Ok(current);
        }
        let mut place = self.instance.write().unwrap_or_else(PoisonError::into_inner);
        if place.is_poisoned() {
            *place = Arc::new(Instance::create(&self.plugin, &self.params)?);
        }
        Ok(Arc::clone(&place))
    }
}

/// A number that has not as many bytes as one of its kind.
pub(crate) fn wrong_width(len: usize, kind: OutputKind) -> TaskError {
    let (name, width) = (kind.name(), kind.width().unwrap_or_default());
    TaskError::abi(format!("the result has {len} bytes; the manifest says {name}, which has {width}"))
}

/// One object that the plugin made.
#[derive(Debug)]
pub(crate) struct Instance {
    plugin: Arc<Loaded>,
    object: *mut JobObject,
    poisoned: AtomicBool,
    /// Held during calls when the plugin does not want them to overlap.
    turn: Option<Mutex<()>>,
}

// SAFETY: the ABI lets the host use a job object from any thread; overlapping calls happen only when the plugin
// allows them, see `turn`.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    fn create(plugin: &Arc<Loaded>, params: &JobParams) -> Result<Self, TaskError> {
        let Some(create) = plugin.table.create else {
            return Err(TaskError::abi("the plugin has no create"));
        };
        let given = abi::JobParams {
            struct_size: abi::size_of_table::<abi::JobParams>(),
            threads: params.threads,
            job_id_hi: (params.id >> 64) as u64,
            job_id_lo: params.id as u64,
            params: Bytes::new(params.params.as_bytes()),
            seed: params.seed,
            memory_limit: params.memory_limit.unwrap_or(0),
            tasks: params.tasks.unwrap_or(0),
        };
        let mut object = std::ptr::null_mut();
        let mut error = ErrorText::new();
        // SAFETY: the function belongs to a loaded plugin, and all structs are valid and as the header says.
        let status = unsafe { create(&raw const given, &raw mut object, &raw mut error) };
        if let Some(error) = TaskError::from_call("create", status, &error) {
            return Err(error);
        }
        if object.is_null() {
            return Err(TaskError::abi("create returned OK without a job object"));
        }
        let turn = (plugin.table.flags & F_CONCURRENT == 0).then(Mutex::default);
        Ok(Self { plugin: Arc::clone(plugin), object, poisoned: AtomicBool::new(false), turn })
    }

    pub(crate) fn table(&self) -> &Table {
        &self.plugin.table
    }

    /// What the manifest says that the combined output is.
    pub(crate) fn reduced(&self) -> OutputKind {
        self.plugin.inspection.manifest.output_of(true)
    }

    pub(crate) const fn object(&self) -> *mut JobObject {
        self.object
    }

    /// Waits until no other thread is in this object, when the plugin wants that.
    pub(crate) fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.turn.as_ref().map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(destroy) = self.plugin.table.destroy {
            // SAFETY: `create` made the object, nobody else holds it, and this happens once.
            unsafe { destroy(self.object) }
        }
    }
}
