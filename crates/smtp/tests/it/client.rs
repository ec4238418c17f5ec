//! The sending end.
