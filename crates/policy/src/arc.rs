//! ARC (RFC 8617): who handled a message on its way here, and what they found, in a chain of seals.
//!
//! ```text
//! let fields = Fields::parse(header);
//! let mut bodies = BodyHasher::default();                  shared with DKIM
//! let mut verify = Verify::new(&fields, now, &mut bodies);
//! loop over verify.questions() until there are none        verify.answer(&question, &answer)
//! bodies.update(piece); …                                  the body, cut anywhere
//! let verdict = verify.finish(&bodies.finish());
//! ```
//! [`Seal::begin`] and [`Sealing::finish`] add a set of our own over the same pass.
//!
//! A chain that passes shows only that nobody between the sealers and us changed what they say. Whether they are to be
//! believed is the operator's decision: anybody can seal anything. A chain that fails counts as none (§5.2).
//!
//! Bounds (§4.2.1, attacks E6): fifty sets, and those of [`crate::dkim`]. Of a chain only two keys are asked for until
//! the newest seal has proved right, so that a made-up chain costs two questions.

mod chain;
mod reason;
mod seal;
mod verify;

pub use chain::SETS_MAX;
pub use reason::{FieldKind, Reason};
pub use seal::{Seal, SealError, Sealing};
pub use verify::{Outcome, Sealer, Verdict, Verify};
