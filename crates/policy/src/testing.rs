//! An instant to begin with.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to begin with")]
pub(crate) fn start() -> Instant {
    Instant::now()
}
