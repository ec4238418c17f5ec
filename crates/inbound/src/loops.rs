//! Mail that goes in circles (RFC 5321 §6.3): every server adds a Received field, so their number is the number of hops.

use mail::Reply;

/// Received fields that a message may bring.
///
/// Deviation: RFC 5321 §6.3 says "normally at least 100". Nobody's mail has half of that without a loop, each turn of
/// which costs every server in it; other servers stop at 30 to 50, so that a larger number would not be reached.
pub(crate) const HOPS_MAX: usize = 50;

/// Whether a message has been through too many servers.
pub(crate) fn refusal(hops: usize) -> Option<Reply> {
    (hops > HOPS_MAX).then(|| {
        Reply::with(
            554,
            (5, 4, 6),
            format!("The message goes in circles: it has {hops} Received fields, {HOPS_MAX} are the most"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifty_first_hop_is_one_too_many() {
        assert_eq!(refusal(0), None);
        assert_eq!(refusal(50), None);
        let reply = refusal(51).unwrap();
        assert!(reply.to_string().starts_with("554 5.4.6 "), "{reply}");
    }
}
