//! The statistics of a comparison on fixed data.

#![allow(clippy::unwrap_used, missing_docs)]

mod reference;
