//! Rows that are compared with each other: those of one group, or all where there are none.

use crate::kept::{Bundle, Group, Row};

/// One such set.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// `None`: there are no groups.
    pub name: Option<&'a str>,
    pub rows: Vec<&'a Row>,
    pub noise_floor: Option<f64>,
    pub enough: bool,
    pub group: Option<&'a Group>,
}

/// The parts of a run, in the order in which they were measured.
pub fn parts(bundle: &Bundle) -> Vec<Part<'_>> {
    let comparison = &bundle.comparison;
    let mut names: Vec<Option<&str>> = Vec::new();
    for row in &comparison.rows {
        let name = row.group.as_deref();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let part = |name: Option<&'_ str>| {
        let rows: Vec<&Row> = comparison.rows.iter().filter(|row| row.group.as_deref() == name).collect();
        let group = comparison.groups.iter().find(|group| Some(group.name.as_str()) == name);
        // A floor that holds for the whole run holds for each part of it.
        let noise_floor = group.map_or(comparison.noise_floor, |group| group.noise_floor);
        let enough = group.and_then(|group| group.enough).or(comparison.enough).unwrap_or(true);
        Part { name: rows.first().and_then(|row| row.group.as_deref()), rows, noise_floor, enough, group }
    };
    names.into_iter().map(part).collect()
}

impl<'a> Part<'a> {
    /// The row that is called the best; where none is, the fastest that counts.
    pub fn best(&self) -> Option<&'a Row> {
        let claimed =
            self.rows.iter().copied().find(|row| row.claim == "best" && row.usable_time().is_some());
        claimed.or_else(|| {
            let timed = self.rows.iter().copied().filter_map(|row| Some((row, row.usable_time()?.median)));
            timed.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(row, _)| row)
        })
    }

    /// A heading with the part's name behind it, where it has one.
    pub fn titled(&self, title: &str) -> String {
        self.name.map_or_else(|| title.to_owned(), |name| format!("{title}: {name}"))
    }
}
