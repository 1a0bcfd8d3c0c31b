//! Lines for the job's log.

use std::fmt::Arguments;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// Broken.
    Error = 1,
    /// Somebody should look.
    Warn = 2,
    /// A state changed.
    Info = 3,
    /// An odd branch.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

/// What [`info!`](crate::info!) and its siblings can write to: a [`Context`](crate::Context) or a
/// [`Job`](crate::Job).
pub trait Log {
    /// Writes one line.
    fn log(&self, level: Level, message: Arguments<'_>);
}

/// Logs what is broken: `error!(ctx, "no row {row}")`.
#[macro_export]
macro_rules! error {
    ($target:expr, $($message:tt)+) => {
        $crate::Log::log(&*$target, $crate::Level::Error, ::core::format_args!($($message)+))
    };
}

/// Logs what somebody should look at: `warn!(ctx, "slow answer")`.
#[macro_export]
macro_rules! warn {
    ($target:expr, $($message:tt)+) => {
        $crate::Log::log(&*$target, $crate::Level::Warn, ::core::format_args!($($message)+))
    };
}

/// Logs a change of state: `info!(job, "table has {} rows", rows.len())`.
#[macro_export]
macro_rules! info {
    ($target:expr, $($message:tt)+) => {
        $crate::Log::log(&*$target, $crate::Level::Info, ::core::format_args!($($message)+))
    };
}

/// Logs an odd branch: `debug!(ctx, "retrying")`.
#[macro_export]
macro_rules! debug {
    ($target:expr, $($message:tt)+) => {
        $crate::Log::log(&*$target, $crate::Level::Debug, ::core::format_args!($($message)+))
    };
}
