//! The secret from which verifiers of unknown users are invented. It must outlive the process: a salt that changed with
//! each start would show that its user does not exist.

use net::Chance;
use store::{DatabaseError, Store};

/// The name under which the store keeps it, as 64 hexadecimal digits.
const KEY: &str = "inbound.secret";

/// The secret of this installation; made when there is none yet, or none that can be read.
pub async fn lasting_secret(store: &Store, chance: &Chance) -> Result<[u8; 32], DatabaseError> {
    if let Some(secret) = store.meta_get(KEY).await?.as_deref().and_then(parse) {
        return Ok(secret);
    }
    let secret = chance.bytes();
    store.meta_set(KEY, &print(&secret)).await?;
    Ok(secret)
}

fn print(secret: &[u8; 32]) -> String {
    secret.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn parse(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut secret = [0; 32];
    for (octet, at) in secret.iter_mut().zip((0..).step_by(2)) {
        *octet = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open("sqlite:posthouse.db", folder.path()).await.unwrap();
        let secret = lasting_secret(&store, &Chance::seeded(1)).await.unwrap();
        assert_eq!(lasting_secret(&store, &Chance::seeded(2)).await.unwrap(), secret);
        store.meta_set(KEY, "damaged").await.unwrap();
        assert_ne!(lasting_secret(&store, &Chance::seeded(2)).await.unwrap(), secret);
    }

    #[test]
    fn texts() {
        let secret = std::array::from_fn(|at| u8::try_from(at * 7).unwrap());
        assert_eq!(parse(&print(&secret)), Some(secret));
        for bad in ["", "00", &"x".repeat(64), &"é".repeat(32)] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
