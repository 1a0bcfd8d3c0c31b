//! What a job asks to be kept from its executors, and what a worker keeps and grants.

use muster_core::sandbox::{Level, NEEDS_MAX, Need, Terms};

use super::{ConvertError, at_most};
use crate::v1;

/// A level; `None`: nothing was said.
pub(super) fn level(field: &'static str, wire: i32) -> Result<Option<Level>, ConvertError> {
    let known = v1::Sandbox::try_from(wire).map(known);
    known.map_err(|_| ConvertError::wrong(field, wire, "not a known level"))
}

const fn known(wire: v1::Sandbox) -> Option<Level> {
    match wire {
        v1::Sandbox::Unspecified => None,
        v1::Sandbox::None => Some(Level::None),
        v1::Sandbox::Limits => Some(Level::Limits),
        v1::Sandbox::Standard => Some(Level::Standard),
    }
}

/// A level for the wire.
#[must_use]
pub fn level_to_wire(level: Option<Level>) -> v1::Sandbox {
    match level {
        None => v1::Sandbox::Unspecified,
        Some(Level::None) => v1::Sandbox::None,
        Some(Level::Limits) => v1::Sandbox::Limits,
        Some(Level::Standard) => v1::Sandbox::Standard,
    }
}

/// The level of a worker as it is shown. One that says nothing, as workers did before there were levels, keeps nothing.
#[must_use]
pub fn level_shown(wire: v1::Sandbox) -> Level {
    known(wire).unwrap_or_default()
}

/// What a worker says. One that says nothing, as workers did before there were levels, keeps nothing.
pub(super) fn terms(level_wire: i32, most: i32, grants: Vec<String>) -> Result<Terms, ConvertError> {
    at_most("grants (number of them)", grants.len(), NEEDS_MAX)?;
    let grants = grants
        .iter()
        .map(|text| text.parse::<Need>().map_err(|why| ConvertError::wrong("grants", text, why)));
    let terms = Terms {
        level: level("sandbox", level_wire)?.unwrap_or_default(),
        most: level("sandbox_most", most)?.unwrap_or_default(),
        grants: grants.collect::<Result<_, _>>()?,
    };
    if terms.level > terms.most {
        return Err(ConvertError::wrong(
            "sandbox",
            terms.level,
            format_args!("at most {}, as sandbox_most says", terms.most),
        ));
    }
    Ok(terms)
}
