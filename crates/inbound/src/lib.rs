//! From an accepted socket to a committed message.
