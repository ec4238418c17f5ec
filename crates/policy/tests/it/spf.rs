//! SPF: the official test suite, the limits of RFC 7208 §4.6.4 and attack E7, hostile records, the header field.

#[path = "spf/explanations.rs"]
mod explanations;
#[path = "spf/hostile.rs"]
mod hostile;
#[path = "spf/limits.rs"]
mod limits;
#[path = "spf/outcomes.rs"]
mod outcomes;
#[path = "spf/received.rs"]
mod received;
#[path = "spf/suite.rs"]
mod suite;
#[path = "spf/zone.rs"]
mod zone;
