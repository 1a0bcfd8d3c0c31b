//! What is kept from an executor, inside of the frame that tells it.

use super::codec::{FrameError, Reader, Writer};
use crate::sandbox::Sandbox;
use muster_core::sandbox::Level;

/// A text has its length in front.
const TEXT_BYTES_MIN: usize = 4;

pub(super) fn write_sandbox(frame: &mut Writer, sandbox: &Sandbox) {
    let Sandbox { level, network, exec, read, write, env } = sandbox;
    frame.u8(*level as u8);
    frame.u8(u8::from(*network));
    frame.u8(u8::from(*exec));
    for list in [read, write, env] {
        frame.u32(list.len() as u32);
        list.iter().for_each(|text| frame.text(text));
    }
}

pub(super) fn sandbox(fields: &mut Reader) -> Result<Sandbox, FrameError> {
    let found = fields.u8("sandbox")?;
    let max = Level::ALL.len() as u64 - 1;
    let too_large = FrameError::TooLarge { field: "sandbox", value: found.into(), max };
    let level = *Level::ALL.get(usize::from(found)).ok_or(too_large)?;
    Ok(Sandbox {
        level,
        network: fields.u8("network")? != 0,
        exec: fields.u8("exec")? != 0,
        read: texts(fields, "read")?,
        write: texts(fields, "write")?,
        env: texts(fields, "env")?,
    })
}

fn texts(fields: &mut Reader, field: &'static str) -> Result<Vec<String>, FrameError> {
    let count = fields.count(field, TEXT_BYTES_MIN)?;
    (0..count).map(|_| fields.text(field)).collect()
}
