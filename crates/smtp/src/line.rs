//! Where a line ends.
