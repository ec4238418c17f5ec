//! From a queued message to an outcome.
