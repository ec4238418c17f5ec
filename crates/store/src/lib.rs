//! Everything an operator can edit or count.
