//! What a domain has to publish so that its mail is believed ([`records`]), and whether it does ([`check`]).

pub(crate) mod check;
pub(crate) mod records;
