//! Which plugins a worker says it loads.

use muster_core::trust::{TRUSTED_MAX, Trust, Trusted};

use super::scalar::digest;
use super::{ConvertError, at_most};
use crate::v1;

/// What a worker says. One that says nothing, as workers did before they were asked, loads any.
pub(super) fn trust(wire: Option<v1::Trust>) -> Result<Trust, ConvertError> {
    let Some(v1::Trust { any, digests, versions }) = wire else { return Ok(Trust::Any) };
    let listed = at_most("trust (number of plugins)", digests.len() + versions.len(), TRUSTED_MAX)?;
    if any {
        return match listed {
            0 => Ok(Trust::Any),
            _ => Err(ConvertError::wrong("trust", "any", "then no plugin is listed")),
        };
    }
    let digests = digests.iter().map(|bytes| digest("trust.digests", bytes).map(Trusted::Digest));
    let versions = versions.iter().map(|text| match text.parse() {
        Ok(named @ Trusted::Version { .. }) => Ok(named),
        Ok(Trusted::Digest(_)) | Err(_) => {
            Err(ConvertError::wrong("trust.versions", text, "NAME@VERSION is wanted"))
        }
    });
    Ok(Trust::Listed(digests.chain(versions).collect::<Result<_, _>>()?))
}

/// The same for the wire.
#[must_use]
pub fn trust_to_wire(trust: &Trust) -> v1::Trust {
    let Trust::Listed(listed) = trust else { return v1::Trust { any: true, ..v1::Trust::default() } };
    let mut wire = v1::Trust::default();
    for trusted in listed {
        match trusted {
            Trusted::Digest(digest) => wire.digests.push(digest.to_vec().into()),
            Trusted::Version { .. } => wire.versions.push(trusted.to_string()),
        }
    }
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_understood() {
        let listed = vec![Trusted::Digest([7; 32]), "x@1".parse().unwrap()];
        for said in [Trust::Any, Trust::Listed(listed), Trust::Listed(Vec::new())] {
            assert_eq!(trust(Some(trust_to_wire(&said))).unwrap(), said);
        }
        assert_eq!(trust(None).unwrap(), Trust::Any);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let versions = |text: &str| v1::Trust { versions: vec![text.to_owned()], ..v1::Trust::default() };
        let digests = |count: usize, bytes: usize| v1::Trust {
            digests: vec![vec![0; bytes].into(); count],
            ..v1::Trust::default()
        };
        for (said, words) in [
            (versions("x"), "trust.versions is x"),
            (versions(&"0".repeat(64)), "NAME@VERSION"),
            (digests(1, 31), "trust.digests"),
            (digests(TRUSTED_MAX + 1, 32), "trust (number of plugins)"),
            (v1::Trust { any: true, ..versions("x@1") }, "trust is any"),
        ] {
            let error = trust(Some(said)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
