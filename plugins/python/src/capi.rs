//! CPython's C API, found by its symbols at run time, and the only `unsafe` code of this workload.
//!
//! Only functions of which every version from 3.8 on has the same signature are used, and structs are never looked into
//! (docs.python.org/3/c-api/init.html: "Thread State and the Global Interpreter Lock").

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_ulong, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

type Object = *mut c_void;
type State = *mut c_void;
type Wide = *mut libc_wchar;
/// `wchar_t` of Linux; nobody looks into it here.
#[allow(non_camel_case_types)]
type libc_wchar = i32;

/// `Py_file_input`: a compiled text is a sequence of statements.
const FILE_INPUT: c_int = 257;
/// What the bridge is called in Python.
const MODULE: &CStr = c"muster_bridge";

thread_local! {
    /// What CPython knows of this thread; null: it has not been there.
    static STATE: Cell<State> = const { Cell::new(null_mut()) };
}

macro_rules! functions {
    ($($name:ident: $type:ty;)+) => {
        /// The functions by their names in C.
        #[allow(non_snake_case)]
        struct Functions { $( $name: $type, )+ }

        impl Functions {
            /// # Safety
            /// The library must be a libpython of version 3.8 or newer, and never be closed.
            unsafe fn find(library: &Library) -> Result<Self, String> {
                Ok(Self { $(
                    // SAFETY: the types are those of the C API, which the caller promises.
                    $name: *unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) }
                        .map_err(|_| concat!("it has no function ", stringify!($name)).to_owned())?,
                )+ })
            }
        }
    };
}

functions! {
    Py_IsInitialized: unsafe extern "C" fn() -> c_int;
    Py_DecodeLocale: unsafe extern "C" fn(*const c_char, *mut usize) -> Wide;
    Py_SetProgramName: unsafe extern "C" fn(Wide);
    Py_InitializeEx: unsafe extern "C" fn(c_int);
    PyEval_SaveThread: unsafe extern "C" fn() -> State;
    PyEval_RestoreThread: unsafe extern "C" fn(State);
    PyGILState_Ensure: unsafe extern "C" fn() -> c_int;
    PyGILState_Release: unsafe extern "C" fn(c_int);
    PyThread_get_thread_ident: unsafe extern "C" fn() -> c_ulong;
    PyThreadState_SetAsyncExc: unsafe extern "C" fn(c_ulong, Object) -> c_int;
    Py_CompileString: unsafe extern "C" fn(*const c_char, *const c_char, c_int) -> Object;
    PyImport_ExecCodeModule: unsafe extern "C" fn(*const c_char, Object) -> Object;
    PyObject_GetAttrString: unsafe extern "C" fn(Object, *const c_char) -> Object;
    PyObject_CallObject: unsafe extern "C" fn(Object, Object) -> Object;
    PyTuple_New: unsafe extern "C" fn(isize) -> Object;
    PyTuple_SetItem: unsafe extern "C" fn(Object, isize, Object) -> c_int;
    PyBytes_FromStringAndSize: unsafe extern "C" fn(*const c_char, isize) -> Object;
    PyBytes_AsStringAndSize: unsafe extern "C" fn(Object, *mut *mut c_char, *mut isize) -> c_int;
    PyErr_Clear: unsafe extern "C" fn();
    PyErr_Print: unsafe extern "C" fn();
    Py_DecRef: unsafe extern "C" fn(Object);
}

/// A running interpreter with the bridge in it. It stays until its process ends.
pub struct Engine {
    functions: Functions,
    library: PathBuf,
    /// Functions of the bridge, and its exception for tasks that should stop. All three are held for ever.
    load: Object,
    call: Object,
    cancelled: Object,
}

// SAFETY: its objects are only touched by threads that hold the interpreter's lock, and the functions belong to nobody.
unsafe impl Send for Engine {}
// SAFETY: as above.
unsafe impl Sync for Engine {}

/// A thread within the interpreter: it has its lock until this is dropped.
struct Inside<'a>(&'a Functions);

/// A thread of the interpreter, as it numbers them.
#[derive(Clone, Copy, Debug)]
pub struct Thread(c_ulong);

impl Engine {
    /// Starts the interpreter of `library` in this process, as if it were the program `executable`, and runs the source of the
    /// bridge in it. To be called once in a process.
    pub fn start(library: &Path, executable: &Path, bridge: &CStr) -> Result<Self, String> {
        // SAFETY: a libpython does nothing when it is loaded. Modules that it loads later look for its symbols everywhere,
        // as they do in the interpreter's own program.
        let loaded = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) }
            .map_err(|error| format!("{} cannot be loaded: {}", library.display(), cause(&error)))?;
        // SAFETY: the interpreter that belongs to it told its version, and it is never closed.
        let functions = unsafe { Functions::find(&loaded) }?;
        std::mem::forget(loaded);
        // SAFETY: asks without changing anything.
        if unsafe { (functions.Py_IsInitialized)() } != 0 {
            return Err("this process has a running interpreter already".to_owned());
        }
        let name =
            CString::new(OsStr::as_bytes(executable.as_os_str())).map_err(|error| error.to_string())?;
        // SAFETY: the interpreter does not run yet. The name, which tells it where its modules are, is kept for ever; signals
        // stay as the executor has them. Initializing leaves its lock with this thread.
        unsafe {
            let name = (functions.Py_DecodeLocale)(name.as_ptr(), null_mut());
            if name.is_null() {
                return Err(format!("the path {} cannot be decoded", executable.display()));
            }
            (functions.Py_SetProgramName)(name);
            (functions.Py_InitializeEx)(0);
        }
        let inside = Inside(&functions);
        // SAFETY: this thread has the lock.
        let found = unsafe { inside.import(bridge) };
        drop(inside);
        let [load, call, cancelled] = found.ok_or("the bridge could not be run; its log has the reason")?;
        Ok(Self { functions, library: library.to_owned(), load, call, cancelled })
    }

    /// The file that it was loaded from.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// What the bridge's `load` says of these settings.
    pub fn load(&self, settings: &[u8]) -> Option<Vec<u8>> {
        self.enter(|inside| {
            // SAFETY: this thread has the lock, and `load` is a callable that is held.
            unsafe { inside.call(self.load, settings) }
        })
    }

    /// What the bridge's `call` says of this request; none: an exception left it.
    pub fn call(&self, request: &[u8]) -> Option<Vec<u8>> {
        self.enter(|inside| {
            // SAFETY: this thread has the lock, and `call` is a callable that is held.
            unsafe { inside.call(self.call, request) }
        })
    }

    /// This thread.
    pub fn thread(&self) -> Thread {
        // SAFETY: asks the system, and needs no lock.
        Thread(unsafe { (self.functions.PyThread_get_thread_ident)() })
    }

    /// Raises the bridge's exception in a thread at its next step. To be called by threads that run no Python.
    pub fn cancel(&self, thread: Thread) {
        // SAFETY: Ensure and Release frame the call; a thread that is not there is not found.
        unsafe {
            let before = (self.functions.PyGILState_Ensure)();
            (self.functions.PyThreadState_SetAsyncExc)(thread.0, self.cancelled);
            (self.functions.PyGILState_Release)(before);
        }
    }

    /// Takes back an exception that was to be raised in this thread and was not yet.
    pub fn forget_cancel(&self) {
        self.enter(|_| {
            // SAFETY: this thread has the lock.
            unsafe { (self.functions.PyThreadState_SetAsyncExc)(self.thread().0, null_mut()) };
        });
    }

    fn enter<T>(&self, act: impl FnOnce(&Inside<'_>) -> T) -> T {
        // SAFETY: the interpreter runs. A thread's state is made at its first visit and stays, with all that Python keeps for
        // threads; it is restored only by the thread that it belongs to.
        unsafe {
            match STATE.get() {
                state if state.is_null() => _ = (self.functions.PyGILState_Ensure)(),
                state => (self.functions.PyEval_RestoreThread)(state),
            }
        }
        act(&Inside(&self.functions))
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // SAFETY: this thread has the lock, or there would be no such object.
        STATE.set(unsafe { (self.0.PyEval_SaveThread)() });
    }
}

impl Inside<'_> {
    /// Runs the bridge as a module, and gives what is needed of it.
    ///
    /// # Safety
    /// This thread must have the lock.
    unsafe fn import(&self, bridge: &CStr) -> Option<[Object; 3]> {
        // SAFETY: texts end with NUL, and only objects that are there are passed on. They stay: the bridge is never unloaded.
        unsafe {
            let code = self.made((self.0.Py_CompileString)(
                bridge.as_ptr(),
                c"muster_bridge.py".as_ptr(),
                FILE_INPUT,
            ))?;
            let module = self.made((self.0.PyImport_ExecCodeModule)(MODULE.as_ptr(), code))?;
            let of = |name: &CStr| self.made((self.0.PyObject_GetAttrString)(module, name.as_ptr()));
            Some([of(c"load")?, of(c"call")?, of(c"Cancelled")?])
        }
    }

    /// An object, or none after an exception, which is printed.
    fn made(&self, object: Object) -> Option<Object> {
        if object.is_null() {
            // SAFETY: this thread has the lock, and an exception is set where the C API gives null.
            unsafe { (self.0.PyErr_Print)() };
        }
        (!object.is_null()).then_some(object)
    }

    /// Calls a function that makes bytes of bytes; none: an exception left it.
    ///
    /// # Safety
    /// This thread must have the lock, and `function` must be an object.
    unsafe fn call(&self, function: Object, argument: &[u8]) -> Option<Vec<u8>> {
        let length = isize::try_from(argument.len()).ok()?;
        // SAFETY: the argument is copied. Each object is checked before it is used, and given back once: SetItem takes the
        // bytes, the tuple takes them with it, and the result is copied before it goes.
        unsafe {
            let bytes = (self.0.PyBytes_FromStringAndSize)(argument.as_ptr().cast(), length);
            let arguments = (self.0.PyTuple_New)(1);
            if bytes.is_null() || arguments.is_null() {
                // No memory. What was made stays: there is nothing that could be done with it.
                (self.0.PyErr_Clear)();
                return None;
            }
            (self.0.PyTuple_SetItem)(arguments, 0, bytes);
            let result = (self.0.PyObject_CallObject)(function, arguments);
            (self.0.Py_DecRef)(arguments);
            if result.is_null() {
                (self.0.PyErr_Clear)();
                return None;
            }
            let (mut data, mut length) = (null_mut(), 0);
            let is_bytes = (self.0.PyBytes_AsStringAndSize)(result, &raw mut data, &raw mut length) == 0;
            let copied = is_bytes
                .then(|| std::slice::from_raw_parts(data.cast::<u8>(), length.unsigned_abs()).to_vec());
            if !is_bytes {
                (self.0.PyErr_Clear)();
            }
            (self.0.Py_DecRef)(result);
            copied
        }
    }
}

fn cause(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
