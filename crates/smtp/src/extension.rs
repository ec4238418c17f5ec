//! What EHLO offers.
