//! Delivery against a simulated internet, with the real spool, in time that jumps.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on has failed")]

mod basics;
mod faults;
mod forwards;
mod names;
mod paced;
mod remote;
mod retries;
mod secure;
mod world;
