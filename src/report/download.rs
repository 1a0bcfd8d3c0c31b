//! The raw data of runs, inside the page.

use super::html::{escape, paragraph};
use crate::exit::{Exit, Failure, Outcome};
use crate::kept::Bundle;
use crate::summary::bytes;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// A report stays below this, so that mail and chat take it.
pub const PAGE_MAX_BYTES: u64 = 2_000_000;
/// What stands around a file: its link and its name.
const AROUND_BYTES: u64 = 400;

/// Files for the page, as long as there is room; what finds none is named with its place.
#[derive(Debug)]
pub struct Downloads {
    left: u64,
}

impl Downloads {
    /// For a page that has so many bytes without them.
    pub fn beside(page_bytes: u64) -> Self {
        Self { left: PAGE_MAX_BYTES.saturating_sub(page_bytes) }
    }

    /// Links to the files of a run.
    pub fn of(&mut self, bundle: &Bundle) -> Outcome<String> {
        let (mut links, mut notes) = (String::new(), String::new());
        for (name, path, size) in bundle.files() {
            let needed = size.div_ceil(3) * 4 + AROUND_BYTES;
            if needed > self.left {
                notes.push_str(&paragraph(
                    "note",
                    &format!(
                        "{name} has {} and is left out, because a report stays below 2 MB: it is {}.",
                        bytes(size),
                        path.display()
                    ),
                ));
                continue;
            }
            let content =
                std::fs::read(&path).map_err(|error| Failure::io(Exit::Storage, "read", &path, &error))?;
            self.left = self.left.saturating_sub(needed);
            let media = if name.ends_with(".json") { "application/json" } else { "text/csv" };
            let file = escape(&format!("run-{}-{name}", bundle.run.number));
            links.push_str(&format!(
                "<li><a download=\"{file}\" href=\"data:{media};base64,{}\">{file}</a> ({})</li>\n",
                BASE64_STANDARD.encode(content),
                bytes(size)
            ));
        }
        Ok(format!("<ul class=\"downloads\">\n{links}</ul>\n{notes}"))
    }
}
