//! The store from outside. What every engine must do is in `conformance`, generic over the engine; what only SQLite's
//! file does is in `sqlite`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on has failed")]

mod conformance;
mod sqlite;
