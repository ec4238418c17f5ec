//! Facts in, verdict out: what domains publish and what we permit.
//!
//! Every machine here is pure. What it needs to know it asks ([`dns::Question`]), and it goes on when the answer is
//! given; time comes in as `now`. There is no socket, file, clock or randomness.

pub mod dns;
