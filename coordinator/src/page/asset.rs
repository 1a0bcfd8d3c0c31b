//! The files of the page. They are in the binary as they are in the source; there is no build step.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// A file.
pub struct Asset {
    /// Where it is served.
    pub path: &'static str,
    kind: &'static str,
    text: &'static str,
}

pub const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! asset {
    ($path:literal, $kind:ident, $file:literal) => {
        Asset { path: $path, kind: $kind, text: include_str!(concat!("assets/", $file)) }
    };
}

/// All files. The views have addresses of their own, which can be kept and sent around.
pub static ASSETS: [Asset; 18] = [
    asset!("/", HTML, "index.html"),
    asset!("/jobs", HTML, "index.html"),
    asset!("/jobs/{job}", HTML, "index.html"),
    asset!("/plugins", HTML, "index.html"),
    asset!("/reports", HTML, "index.html"),
    asset!("/page/style.css", STYLE, "style.css"),
    asset!("/page/icon.svg", IMAGE, "icon.svg"),
    asset!("/page/main.js", SCRIPT, "main.js"),
    asset!("/page/stream.js", SCRIPT, "stream.js"),
    asset!("/page/dom.js", SCRIPT, "dom.js"),
    asset!("/page/format.js", SCRIPT, "format.js"),
    asset!("/page/chart.js", SCRIPT, "chart.js"),
    asset!("/page/cluster.js", SCRIPT, "cluster.js"),
    asset!("/page/jobs.js", SCRIPT, "jobs.js"),
    asset!("/page/job.js", SCRIPT, "job.js"),
    asset!("/page/failures.js", SCRIPT, "failures.js"),
    asset!("/page/plugins.js", SCRIPT, "plugins.js"),
    asset!("/page/reports.js", SCRIPT, "reports.js"),
];

impl Asset {
    /// The file as an answer.
    pub fn answer(&self) -> Response {
        ([(header::CONTENT_TYPE, self.kind)], self.text).into_response()
    }
}
