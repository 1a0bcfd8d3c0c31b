//! The interpreter within this process.

use crate::capi::{Engine, Thread};
use crate::interpreter::Interpreter;
use crate::message::Reply;
use crate::script::Script;
use crate::watch::Watch;
use muster_sdk::{CancelFlag, Error};
use std::ffi::CString;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Calls the functions of users.
const BRIDGE: &str = include_str!("bridge.py");

/// What was started in this process: one interpreter at the most, and for ever.
static STARTED: Mutex<Option<Embedded>> = Mutex::new(None);

/// An interpreter in this process, and who watches its tasks.
#[derive(Clone, Copy)]
pub struct Embedded {
    engine: &'static Engine,
    watch: &'static Watch<Thread>,
}

impl Embedded {
    /// Starts the interpreter, unless it runs already; the error is why there can be none.
    pub fn open(interpreter: &Interpreter) -> Result<Self, String> {
        if !interpreter.is_cpython() {
            return Err(format!("{} has another C API", interpreter.name()));
        }
        let library = interpreter.library.as_deref().ok_or("it was built without a shared library")?;
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(embedded) = *started {
            let loaded = embedded.library();
            let is_same = loaded == library;
            return if is_same {
                Ok(embedded)
            } else {
                Err(format!("{} runs here already", loaded.display()))
            };
        }
        let bridge = CString::new(BRIDGE).map_err(|error| error.to_string())?;
        let engine: &Engine = Box::leak(Box::new(Engine::start(library, &interpreter.executable, &bridge)?));
        let watch = Watch::start(|thread| engine.cancel(thread)).map_err(|error| error.to_string())?;
        Ok(*started.insert(Self { engine, watch }))
    }

    /// The file of its library.
    pub fn library(&self) -> &Path {
        self.engine.library()
    }

    /// Executes the script.
    pub fn load(&self, script: &Script) -> Result<(), Error> {
        let reply = self.engine.load(&script.settings()?).map_or(Ok(Reply::Cancelled), Reply::decode)?;
        reply.into_document().map(drop).map_err(|error| error.context(script.shown()))
    }

    /// Runs a task on this thread.
    pub fn call(&self, request: &[u8], cancel: CancelFlag<'_>) -> Result<Reply, Error> {
        let (reply, was_cancelled) = cancel.lend(|flag| {
            // Who watches takes the interpreter's lock within the list's: so nobody may do it the other way round.
            let watched = self.watch.add(self.engine.thread(), flag);
            let reply = self.engine.call(request);
            (reply, self.watch.remove(watched))
        });
        if was_cancelled {
            // It may have come when the task had just ended: the next one must not get it.
            self.engine.forget_cancel();
        }
        match reply {
            Some(reply) => Reply::decode(reply),
            None if was_cancelled => Ok(Reply::Cancelled),
            None => Err(Error::failed(
                "the interpreter has no memory left for the task, or its bridge was changed",
            )),
        }
    }
}
