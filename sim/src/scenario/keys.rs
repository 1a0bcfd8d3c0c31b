//! Every key that a scenario may have, by table. The reader refuses what is not here; the published schema and
//! the documentation are held against it.

/// What a key's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A duration; with the unit that is suggested where there is none.
    Duration(&'static str),
    /// A time per byte.
    PerByte,
    /// A size in bytes.
    Size,
    /// Bytes per second.
    Rate,
    /// Two durations.
    Pair,
    /// A table.
    Table,
    /// A list of tables.
    Tables,
}

/// A table and its keys.
#[derive(Debug)]
pub(super) struct Section {
    /// Its name in messages.
    pub title: &'static str,
    /// What entries are called that have no name of their own.
    pub stem: &'static str,
    /// The keys it may have.
    pub keys: &'static [(&'static str, Kind)],
}

impl Section {
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(known, _)| *known == key)
    }

    /// The name of the entry at `index` of a list, when it has none of its own: `workers`, `workers-2`.
    pub(super) fn default_name(&self, index: usize) -> String {
        if index == 0 { self.stem.to_owned() } else { format!("{}-{}", self.stem, index + 1) }
    }
}

use Kind::{Duration, Flag, Number, Pair, PerByte, Rate, Size, Table, Tables, Text, Whole};

pub(super) const TOP: Section = Section {
    title: "the scenario",
    stem: "",
    keys: &[
        ("name", Text),
        ("seed", Whole),
        ("until", Duration("s")),
        ("policy", Text),
        ("lease", Duration("s")),
        ("credit_tasks", Whole),
        ("credit", Duration("ms")),
        ("claim", Duration("ms")),
        ("hold", Duration("ms")),
        ("coordinator", Table),
        ("workers", Tables),
        ("links", Tables),
        ("jobs", Tables),
        ("faults", Tables),
    ],
};

pub(super) const COORDINATOR: Section = Section {
    title: "[coordinator]",
    stem: "",
    keys: &[
        ("per_message", Duration("us")),
        ("per_byte", PerByte),
        ("commit", Duration("ms")),
        ("bandwidth", Rate),
    ],
};

pub(super) const WORKERS: Section = Section {
    title: "[[workers]]",
    stem: "workers",
    keys: &[
        ("name", Text),
        ("count", Whole),
        ("slots", Whole),
        ("cores", Whole),
        ("speed", Number),
        ("executor_start", Duration("ms")),
        ("plugin_load", Duration("ms")),
        ("link", Text),
    ],
};

pub(super) const LINKS: Section = Section {
    title: "[[links]]",
    stem: "link",
    keys: &[
        ("name", Text),
        ("latency", Duration("ms")),
        ("jitter", Duration("ms")),
        ("bandwidth", Rate),
        ("worker_bandwidth", Rate),
        ("drop", Number),
        ("duplicate", Number),
        ("reorder", Number),
    ],
};

pub(super) const JOBS: Section = Section {
    title: "[[jobs]]",
    stem: "job",
    keys: &[
        ("name", Text),
        ("tasks", Whole),
        ("submit_at", Duration("s")),
        ("time", Table),
        ("io", Number),
        ("model", Text),
        ("processes", Whole),
        ("threads", Whole),
        ("oversubscribe", Flag),
        ("weight", Whole),
        ("priority", Whole),
        ("max_attempts", Whole),
        ("backoff", Duration("ms")),
        ("plugin_bytes", Size),
        ("input_bytes", Size),
        ("result_bytes", Size),
        ("plugin", Text),
        ("params", Table),
    ],
};

pub(super) const TIME: Section = Section {
    title: "time of [[jobs]]",
    stem: "",
    keys: &[
        ("const", Duration("ms")),
        ("uniform", Pair),
        ("exp", Duration("s")),
        ("lognormal", Table),
        ("pareto", Table),
        ("bimodal", Table),
        ("recorded", Text),
    ],
};

pub(super) const LOGNORMAL: Section = Section {
    title: "lognormal of [[jobs]]",
    stem: "",
    keys: &[("median", Duration("s")), ("sigma", Number)],
};

pub(super) const PARETO: Section =
    Section { title: "pareto of [[jobs]]", stem: "", keys: &[("min", Duration("s")), ("shape", Number)] };

pub(super) const BIMODAL: Section = Section {
    title: "bimodal of [[jobs]]",
    stem: "",
    keys: &[("short", Duration("ms")), ("long", Duration("s")), ("share", Number)],
};

pub(super) const FAULTS: Section = Section {
    title: "[[faults]]",
    stem: "fault",
    keys: &[
        ("kind", Text),
        ("at", Duration("s")),
        ("every", Duration("h")),
        ("workers", Text),
        ("count", Whole),
        ("share", Number),
        ("restart", Duration("s")),
        ("length", Duration("s")),
        ("direction", Text),
        ("factor", Number),
        ("job", Text),
        ("ppm", Whole),
    ],
};

/// Every table there is.
pub(super) const SECTIONS: &[&Section] =
    &[&TOP, &COORDINATOR, &WORKERS, &LINKS, &JOBS, &TIME, &LOGNORMAL, &PARETO, &BIMODAL, &FAULTS];

/// Each kind of fault, and the keys it takes beside `kind`.
pub(super) const FAULT_KINDS: &[(&str, &[&str])] = &[
    ("worker_crash", &["at", "every", "workers", "count", "share", "restart"]),
    ("executor_crash", &["at", "every", "workers", "count", "share"]),
    ("coordinator_crash", &["at", "every", "restart"]),
    ("pause", &["at", "every", "workers", "count", "share", "length"]),
    ("partition", &["at", "every", "workers", "count", "share", "length", "direction"]),
    ("straggler", &["at", "every", "workers", "count", "share", "factor"]),
    ("poison", &["at", "job", "share"]),
    ("join", &["at", "every", "workers", "count"]),
    ("leave", &["at", "every", "workers", "count", "share"]),
    ("clock_drift", &["at", "workers", "count", "share", "ppm"]),
];
