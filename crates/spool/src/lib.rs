//! Accepted mail that must survive anything.
