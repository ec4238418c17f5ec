//! The sending half: putting dots on.
