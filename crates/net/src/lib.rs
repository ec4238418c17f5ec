//! The only door to the network and the clock.
