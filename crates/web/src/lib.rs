//! The HTTP face: health, metrics, captured mail. Later the API, the public pages and the console.
//!
//! What is shown here was written by strangers. Every page is built by [`page`], which escapes; every answer carries
//! a policy that allows no script and no request to anywhere.

mod captured;
mod face;
mod letter;
mod page;
mod server;
mod words;

pub use face::{Face, router};
pub use server::serve;
