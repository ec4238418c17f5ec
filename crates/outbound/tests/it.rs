//! Delivery against a simulated internet, with the real spool, in time that jumps.

#[path = "it/basics.rs"]
mod basics;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/names.rs"]
mod names;
#[path = "it/paced.rs"]
mod paced;
#[path = "it/remote.rs"]
mod remote;
#[path = "it/retries.rs"]
mod retries;
#[path = "it/secure.rs"]
mod secure;
#[path = "it/world.rs"]
mod world;
