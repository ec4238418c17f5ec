//! What every engine must do, and what the SQLite engine does when the world is against it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed, and says where")]
#![expect(clippy::print_stdout, reason = "the child of the crash test talks to its parent by lines")]

#[path = "it/attacks.rs"]
mod attacks;
#[path = "it/conformance.rs"]
mod conformance;
#[path = "it/crash.rs"]
mod crash;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/format.rs"]
mod format;
#[path = "it/model.rs"]
mod model;
#[path = "it/restart.rs"]
mod restart;
#[path = "it/support.rs"]
mod support;
