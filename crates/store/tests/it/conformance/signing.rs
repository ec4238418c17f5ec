//! The keys that sign a domain's mail.

use mail::Timestamp;
use store::{ChangeError, DKIM_KEYS_MAX, DkimKey, KeyState, Store};

use super::{Backend, domain, furnished};

fn key(selector: &str, state: KeyState) -> DkimKey {
    let record = format!("v=DKIM1; k=rsa; p={selector}");
    DkimKey { selector: selector.into(), record, secret: vec![0, 255, 7], state, since: Timestamp::from_micros(5) }
}

fn states(store: &Store, name: &str) -> Vec<(String, KeyState)> {
    let directory = store.directory();
    let keys = directory.dkim_keys(&domain(name)).map(|keys| keys.to_vec()).unwrap_or_default();
    keys.into_iter().map(|key| (key.selector, key.state)).collect()
}

pub(super) async fn keys_wait_sign_and_retire(backend: &impl Backend) {
    let store = furnished(backend).await;
    let net = domain("example.net");
    let first = [key("r1", KeyState::Active), key("e1", KeyState::Active)];
    store.dkim_add(&net, &first).await.unwrap();
    assert_eq!(store.dkim_turn(&net, Timestamp::from_micros(8)).await, Err(ChangeError::NoWaitingKey(net.clone())));
    store.dkim_add(&net, &[key("r2", KeyState::Waiting)]).await.unwrap();
    store.dkim_turn(&net, Timestamp::from_micros(9)).await.unwrap();
    let turned = [("e1", KeyState::Retired), ("r1", KeyState::Retired), ("r2", KeyState::Active)]
        .map(|(s, k)| (s.to_owned(), k));
    assert_eq!(states(&store, "example.net"), turned);
    store.dkim_remove(&net, "R1").await.unwrap();
    let gone = ChangeError::NoSuchKey { domain: net.clone(), selector: "r1".into() };
    assert_eq!(store.dkim_remove(&net, "r1").await, Err(gone));
    // All of it is there again after a restart.
    drop(store);
    let store = backend.open().await;
    let directory = store.directory();
    let keys = directory.dkim_keys(&domain("EXAMPLE.net")).unwrap();
    let retired = DkimKey { state: KeyState::Retired, since: Timestamp::from_micros(9), ..key("e1", KeyState::Active) };
    let active = DkimKey { since: Timestamp::from_micros(9), ..key("r2", KeyState::Active) };
    assert_eq!(**keys, [retired, active]);
}

pub(super) async fn keys_that_cannot_be(backend: &impl Backend) {
    let store = furnished(backend).await;
    let (net, elsewhere) = (domain("example.net"), domain("elsewhere.example"));
    let refused = store.dkim_add(&elsewhere, &[key("r1", KeyState::Active)]).await;
    assert_eq!(refused, Err(ChangeError::NoSuchDomain(elsewhere)));
    store.dkim_add(&net, &[key("r1", KeyState::Active)]).await.unwrap();
    // One of two is taken: neither is added.
    let refused = store.dkim_add(&net, &[key("e1", KeyState::Active), key("R1", KeyState::Active)]).await;
    assert_eq!(refused, Err(ChangeError::SelectorExists { domain: net.clone(), selector: "R1".into() }));
    assert_eq!(states(&store, "example.net").len(), 1);
    let many: Vec<DkimKey> = (0..DKIM_KEYS_MAX).map(|n| key(&format!("s{n}"), KeyState::Waiting)).collect();
    assert!(matches!(store.dkim_add(&net, &many).await, Err(ChangeError::TooManyKeys { .. })));
}

pub(super) async fn keys_go_with_their_domain(backend: &impl Backend) {
    let store = furnished(backend).await;
    let org = domain("example.org");
    store.dkim_add(&org, &[key("r1", KeyState::Active)]).await.unwrap();
    store.domain_remove(&org).await.unwrap();
    store.domain_add(&org, store::DomainKind::Local).await.unwrap();
    assert_eq!(states(&store, "example.org"), []);
    drop(store);
    assert_eq!(states(&backend.open().await, "example.org"), []);
}
