//! Exit statuses, as a shell has them.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

/// The cluster did not start, or could not be cleared away; the command never says so itself.
pub const HARNESS_FAILED: u8 = 125;

/// The status for a process that returned a code or died of a signal.
pub fn code(code: Option<i32>, signal: Option<i32>) -> u8 {
    match (code, signal) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        (None, None) => HARNESS_FAILED,
    }
}

/// The same, of a status.
pub fn of(status: ExitStatus) -> u8 {
    code(status.code(), status.signal())
}
