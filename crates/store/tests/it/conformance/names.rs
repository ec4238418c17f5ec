//! Names that try to be more than names (C4).

use mail::{Domain, LocalPart, Mailbox};
use store::{Filter, Page, Resolution};

use super::{Backend, domain, furnished, verifiers};

const HOSTILE: [&str; 12] = [
    "\"' OR 1=1 --\"",
    "\"'; DROP TABLE user; --\"",
    "\"*)(uid=*\"",
    "\"../../x\"",
    "\"a/b\"",
    "\"a@b\"",
    "\"a b\"",
    "\"\\\"\"",
    "\"\\\\\"",
    "%",
    "_",
    "?1",
];

pub(super) async fn hostile_names_are_data(backend: &impl Backend) {
    let store = furnished(backend).await;
    let net: Domain = domain("example.net");
    let mut made = Vec::new();
    for text in HOSTILE {
        let Ok(local) = text.parse::<LocalPart>() else { continue };
        let address = Mailbox::new(local, net.clone()).unwrap();
        assert_eq!(store.credentials(&address), None, "{text}");
        store.user_add(&address, &verifiers(5)).await.unwrap();
        let alias: Mailbox = Mailbox::new(format!("alias{}", made.len()).parse().unwrap(), net.clone()).unwrap();
        store.alias_add(&alias, std::slice::from_ref(&address)).await.unwrap();
        assert_eq!(store.resolve(&alias), Resolution::Mailboxes(vec![address.clone()]), "{text}");
        made.push(address);
    }
    assert!(made.len() >= 8);
    store.close().await;
    let store = backend.open().await;
    assert_eq!(store.user_list().len(), made.len() + 2);
    for (number, address) in made.iter().enumerate() {
        assert_eq!(store.credentials(address), Some(verifiers(5)), "{address}");
        store.alias_remove(&format!("alias{number}@example.net").parse().unwrap()).await.unwrap();
        store.user_remove(address).await.unwrap();
    }
    assert_eq!(store.user_list().len(), 2);

    let megabyte = "x".repeat(1_000_000);
    for text in ["' OR 1=1 --", "\0", "%", "@'", "@", "<>'", "", &megabyte] {
        let some = Some(text.to_owned());
        let page = Page { limit: 10, cursor: None };
        for filter in [
            Filter { to: some.clone(), ..Filter::default() },
            Filter { from: some.clone(), ..Filter::default() },
            Filter { domain: some.clone(), ..Filter::default() },
        ] {
            assert_eq!(store.find(&filter, &page).await.unwrap().0, [], "{filter:.100?}");
        }
        assert_eq!(store.cursor(text).await.unwrap(), 0);
        assert_eq!(store.meta_get(text).await.unwrap(), None);
    }
}
