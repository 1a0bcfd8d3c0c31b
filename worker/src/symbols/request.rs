//! What the agent asks a child for, and what it answers: lines of JSON.

use crate::crash::Place;
use muster_proto::convert::{EVIDENCE_TEXT_MAX_BYTES, Frame, clip};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Places in one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    pub modules: Vec<Module>,
}

/// An object, and places in its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Module {
    pub path: PathBuf,
    pub offsets: Vec<u64>,
}

/// The calls at one place, the innermost first: those that the compiler merged into one come apart again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub module: usize,
    pub offset: u64,
    /// Where that is when the object is loaded at 0, as its symbols count.
    pub address: u64,
    pub calls: Vec<Call>,
}

/// A call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Call {
    pub function: String,
    pub file: String,
    pub line: u32,
}

impl Request {
    /// Asks for all places that lie in files, each once.
    pub fn of(places: &[Place]) -> Self {
        let mut modules: Vec<Module> = Vec::new();
        for Place { path, offset } in places.iter().filter(|place| place.path.is_absolute()) {
            match modules.iter_mut().find(|module| module.path == *path) {
                Some(module) if module.offsets.contains(offset) => {}
                Some(module) => module.offsets.push(*offset),
                None => modules.push(Module { path: path.clone(), offsets: vec![*offset] }),
            }
        }
        Self { modules }
    }

    /// What an answer says; `None`: nobody asked for that.
    pub fn take(&self, answer: Answer) -> Option<(Place, Vec<Frame>)> {
        let module = self.modules.get(answer.module).filter(|it| it.offsets.contains(&answer.offset))?;
        let name = module.path.file_name()?.to_string_lossy().into_owned();
        let text = |text: String| clip(&text, EVIDENCE_TEXT_MAX_BYTES).to_owned();
        let frame = |call: Call| Frame {
            module: name.clone(),
            offset: answer.address,
            function: text(call.function),
            file: text(call.file),
            line: call.line,
        };
        let mut frames: Vec<Frame> = answer.calls.into_iter().map(frame).collect();
        if frames.is_empty() {
            frames.push(Frame { module: name.clone(), offset: answer.address, ..Frame::default() });
        }
        Some((Place { path: module.path.clone(), offset: answer.offset }, frames))
    }
}
