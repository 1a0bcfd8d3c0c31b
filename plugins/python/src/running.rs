//! The interpreter that runs the tasks of this executor.

use crate::Mode;
use crate::child::Child;
use crate::embedded::Embedded;
use crate::interpreter::Interpreter;
use crate::message::{Document, Request};
use crate::script::Script;
use muster_sdk::{Context, Error};

/// An interpreter that has loaded the script.
pub struct Running {
    kind: Kind,
    /// Which Python it is, and where.
    pub shown: String,
    /// Why it is a child although nobody asked for one.
    pub fallback: Option<String>,
}

enum Kind {
    Embedded(Embedded),
    Child(Child),
}

impl Running {
    /// Starts it, and executes the script in it.
    pub fn start(interpreter: &Interpreter, mode: Mode, script: &Script) -> Result<Self, Error> {
        if mode == Mode::Child {
            return Self::child(interpreter, script, None);
        }
        match Embedded::open(interpreter) {
            Ok(embedded) => {
                embedded.load(script)?;
                let shown = format!("{}, embedded: {}", interpreter.name(), embedded.library().display());
                Ok(Self { kind: Kind::Embedded(embedded), shown, fallback: None })
            }
            Err(why) if mode == Mode::Embedded => Err(Error::unsupported(format_args!(
                "{} cannot be embedded: {why}; take mode=child or another python=PATH",
                interpreter.executable.display()
            ))),
            Err(why) => Self::child(interpreter, script, Some(why)),
        }
    }

    fn child(interpreter: &Interpreter, script: &Script, fallback: Option<String>) -> Result<Self, Error> {
        let child = Child::start(&interpreter.executable, script)?;
        let shown = format!("{}, a child process: {}", interpreter.name(), interpreter.executable.display());
        Ok(Self { kind: Kind::Child(child), shown, fallback })
    }

    /// Whether it is in this process.
    pub fn is_embedded(&self) -> bool {
        matches!(self.kind, Kind::Embedded(_))
    }

    /// Runs a task. All of it counts as waiting where tasks take turns: CPython has a lock of its own, and two locks that are
    /// taken in different orders would wait for each other.
    pub fn call(&self, request: &Request<'_>, ctx: &mut Context<'_>) -> Result<Document, Error> {
        let (request, cancel, slot) = (request.encode(), ctx.cancel_flag(), ctx.slot());
        let reply = ctx.blocking(|| match &self.kind {
            Kind::Embedded(embedded) => embedded.call(&request, cancel),
            Kind::Child(child) => child.call(&request, slot, cancel),
        })?;
        reply.into_document()
    }
}
