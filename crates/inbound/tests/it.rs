//! Behaviour of the receiving engine over real connections: a store and a spool on disk, sessions over loopback TCP.

#[path = "it/authentication.rs"]
mod authentication;
#[path = "it/content.rs"]
mod content;
#[path = "it/dialogue.rs"]
mod dialogue;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/recipients.rs"]
mod recipients;
#[path = "it/shutdown.rs"]
mod shutdown;
#[path = "it/slow.rs"]
mod slow;
#[path = "it/submission.rs"]
mod submission;
#[path = "it/submit.rs"]
mod submit;
#[path = "it/world.rs"]
mod world;
