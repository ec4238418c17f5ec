//! The machines from outside: what a driver sees of them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed, and says where")]

#[path = "it/arc.rs"]
mod arc;
#[path = "it/authres.rs"]
mod authres;
#[path = "it/dkim.rs"]
mod dkim;
#[path = "it/dmarc.rs"]
mod dmarc;
#[path = "it/iprev.rs"]
mod iprev;
#[path = "it/spf.rs"]
mod spf;
