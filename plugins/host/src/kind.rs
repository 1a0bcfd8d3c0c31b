//! The closed sets of words in a manifest.

use crate::outcome::TaskError;
use serde::de::IgnoredAny;

/// Whether tasks have inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Tasks have an index only.
    None,
    /// A task works with and without an input.
    Optional,
    /// Every task needs an input.
    Required,
}

/// What the bytes of a result are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// There are none.
    None,
    /// 8 bytes, little-endian.
    U64,
    /// 8 bytes, little-endian.
    I64,
    /// 8 bytes, little-endian.
    F64,
    /// UTF-8.
    Text,
    /// A JSON document.
    Json,
    /// Anything.
    Bytes,
}

impl InputKind {
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("none", Self::None), ("optional", Self::Optional), ("required", Self::Required)];

    /// As in the manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        name_of(&Self::ALL, self)
    }
}

impl OutputKind {
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        ("none", Self::None),
        ("u64", Self::U64),
        ("i64", Self::I64),
        ("f64", Self::F64),
        ("text", Self::Text),
        ("json", Self::Json),
        ("bytes", Self::Bytes),
    ];

    /// As in the manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        name_of(&Self::ALL, self)
    }

    /// The bytes that every output of this kind has; `None` when they may differ.
    #[must_use]
    pub const fn width(self) -> Option<u32> {
        match self {
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::None | Self::Text | Self::Json | Self::Bytes => None,
        }
    }

    /// Whether bytes can be looked at to see that they are not of this kind, also when their length is right.
    pub(crate) const fn has_form(self) -> bool {
        match self {
            Self::Text | Self::Json => true,
            Self::None | Self::U64 | Self::I64 | Self::F64 | Self::Bytes => false,
        }
    }

    /// Why these bytes do not have the form of this kind, when they do not.
    pub(crate) fn check_form(self, bytes: &[u8]) -> Result<(), TaskError> {
        if !self.has_form() {
            return Ok(());
        }
        let name = self.name();
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let (at, len) = (error.valid_up_to(), bytes.len());
            TaskError::abi(format!(
                "the output is not UTF-8, and the manifest says {name}: byte {at} of {len}"
            ))
        })?;
        match self {
            Self::Json => serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| {
                TaskError::abi(format!("the output is not JSON, and the manifest says {name}: {error}"))
            }),
            Self::None | Self::U64 | Self::I64 | Self::F64 | Self::Text | Self::Bytes => Ok(()),
        }
    }
}

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises.
    Counter,
    /// Is set.
    Gauge,
    /// Observations.
    Histogram,
}

impl MetricKind {
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("counter", Self::Counter), ("gauge", Self::Gauge), ("histogram", Self::Histogram)];

    /// As in the manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        name_of(&Self::ALL, self)
    }

    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::Counter => muster_plugin_abi::METRIC_COUNTER,
            Self::Gauge => muster_plugin_abi::METRIC_GAUGE,
            Self::Histogram => muster_plugin_abi::METRIC_HISTOGRAM,
        }
    }
}

fn name_of<T: Copy + PartialEq>(all: &[(&'static str, T)], one: T) -> &'static str {
    all.iter().find(|(_, kind)| *kind == one).map_or("", |(name, _)| name)
}
