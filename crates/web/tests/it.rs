//! The pages over a real spool: what a browser gets, and what hostile mail does not get it to do.

#[path = "it/captured.rs"]
mod captured;
#[path = "it/health.rs"]
mod health;
#[path = "it/stopped.rs"]
mod stopped;
#[path = "it/world.rs"]
mod world;
