//! Changing the directory.

use store::{Alias, CatchAll, ChangeError, DomainEntry, DomainKind, Resolution, TARGETS_MAX};

use super::{Backend, domain, furnished, mailbox, verifiers};

pub(super) async fn domains_come_and_go(backend: &impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.domain_list(), []);
    let (net, org) = (domain("Example.NET"), domain("example.org"));
    store.domain_add(&org, DomainKind::Relay).await.unwrap();
    store.domain_add(&net, DomainKind::Local).await.unwrap();
    let entries = [
        DomainEntry { domain: net.clone(), kind: DomainKind::Local },
        DomainEntry { domain: org.clone(), kind: DomainKind::Relay },
    ];
    assert_eq!(store.domain_list(), entries);
    assert_eq!(store.domain_add(&net, DomainKind::Relay).await, Err(ChangeError::DomainExists(net.clone())));
    let literal = domain("[192.0.2.1]");
    assert_eq!(store.domain_add(&literal, DomainKind::Local).await, Err(ChangeError::NotAName(literal)));
    store.domain_remove(&net).await.unwrap();
    assert_eq!(store.domain_remove(&net).await, Err(ChangeError::NoSuchDomain(net.clone())));
    assert_eq!(store.directory().domain_kind(&net), None);
    assert_eq!(store.directory().domain_kind(&org), Some(DomainKind::Relay));
}

pub(super) async fn a_domain_in_use_stays(backend: &impl Backend) {
    let store = furnished(backend).await;
    let net = domain("example.net");
    store.alias_add(&mailbox("sales@example.net"), &[mailbox("bob@example.net")]).await.unwrap();
    let error = store.domain_remove(&net).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("2 users") && text.contains("1 aliases") && text.contains("Ann@example.net"), "{text}");
    store.alias_remove(&mailbox("sales@example.net")).await.unwrap();
    store.user_remove(&mailbox("ann@example.net")).await.unwrap();
    store.catch_all_set(&net, &mailbox("bob@example.net")).await.unwrap();
    assert!(matches!(store.user_remove(&mailbox("bob@example.net")).await, Err(ChangeError::StillTarget { .. })));
    store.catch_all_set(&net, &mailbox("away@elsewhere.example")).await.unwrap();
    store.user_remove(&mailbox("bob@example.net")).await.unwrap();
    // Its catch-all goes with it.
    store.domain_remove(&net).await.unwrap();
    assert_eq!(store.catch_all_list(), []);
}

pub(super) async fn users_come_and_go(backend: &impl Backend) {
    let store = furnished(backend).await;
    assert_eq!(store.user_list(), [mailbox("Ann@example.net"), mailbox("bob@example.net")]);
    let again = mailbox("aNN@example.net");
    assert_eq!(store.user_add(&again, &verifiers(9)).await, Err(ChangeError::UserExists(again.clone())));
    let stranger = mailbox("c@unknown.example");
    let error = store.user_add(&stranger, &verifiers(9)).await.unwrap_err();
    assert_eq!(error, ChangeError::NoSuchDomain(stranger.domain.clone()));
    assert!(error.to_string().contains("posthouse domain add unknown.example"), "{error}");
    let relayed = mailbox("c@relay.example");
    assert!(matches!(store.user_add(&relayed, &verifiers(9)).await, Err(ChangeError::RelayDomain(_))));

    assert_eq!(store.credentials(&again), Some(verifiers(1)));
    store.user_password(&again, &verifiers(7)).await.unwrap();
    assert_eq!(store.credentials(&mailbox("ann@example.net")), Some(verifiers(7)));
    assert_eq!(store.credentials(&mailbox("bob@example.net")), Some(verifiers(2)));
    // The address stays as it was first written.
    assert_eq!(store.resolve(&again), Resolution::Mailboxes(vec![mailbox("Ann@example.net")]));
    assert!(matches!(store.user_password(&stranger, &verifiers(9)).await, Err(ChangeError::NoSuchUser(_))));

    store.user_remove(&again).await.unwrap();
    assert_eq!(store.user_remove(&again).await, Err(ChangeError::NoSuchUser(again.clone())));
    assert_eq!(store.credentials(&again), None);
    assert_eq!(store.resolve(&again), Resolution::UnknownUser);
    // Nothing of a password is ever printed.
    assert!(!format!("{:?} {:?}", store.directory(), verifiers(2)).contains("argon2id"));
}

pub(super) async fn aliases_grow_and_go(backend: &impl Backend) {
    let store = furnished(backend).await;
    let (sales, ann) = (mailbox("Sales@example.net"), mailbox("ann@example.net"));
    store.alias_add(&sales, std::slice::from_ref(&ann)).await.unwrap();
    let more = [mailbox("ANN@example.net"), mailbox("away@elsewhere.example"), mailbox("any@relay.example")];
    store.alias_add(&mailbox("sales@example.net"), &more).await.unwrap();
    let expected = Alias {
        address: sales.clone(),
        targets: vec![ann.clone(), mailbox("any@relay.example"), mailbox("away@elsewhere.example")],
    };
    assert_eq!(store.alias_list(), [expected]);

    let nobody = mailbox("nobody@example.net");
    let error = store.alias_add(&sales, std::slice::from_ref(&nobody)).await.unwrap_err();
    assert_eq!(error, ChangeError::UnknownTarget(nobody));
    assert_eq!(store.alias_add(&sales, &[]).await, Err(ChangeError::NoTarget(sales.clone())));
    let foreign = mailbox("a@unknown.example");
    assert!(matches!(store.alias_add(&foreign, &[ann]).await, Err(ChangeError::NoSuchDomain(_))));
    let many: Vec<_> = (0..=TARGETS_MAX).map(|number| mailbox(&format!("u{number}@elsewhere.example"))).collect();
    assert!(matches!(store.alias_add(&sales, &many).await, Err(ChangeError::TooManyTargets { .. })));
    // What was refused left nothing behind.
    assert_eq!(store.alias_list()[0].targets.len(), 3);
    // Targets with a tag, and an alias of its own address, are fine.
    store
        .alias_add(&mailbox("ann@example.net"), &[mailbox("ann@example.net"), mailbox("bob+x@example.net")])
        .await
        .unwrap();

    store.alias_remove(&mailbox("SALES@example.net")).await.unwrap();
    assert!(matches!(store.alias_remove(&sales).await, Err(ChangeError::NoSuchAlias(_))));
    assert_eq!(store.resolve(&sales), Resolution::UnknownUser);
}

pub(super) async fn catch_alls_come_and_go(backend: &impl Backend) {
    let store = furnished(backend).await;
    let (net, ann, any) = (domain("example.net"), mailbox("ann@example.net"), mailbox("any@example.net"));
    store.catch_all_set(&net, &mailbox("bob@example.net")).await.unwrap();
    store.catch_all_set(&net, &ann).await.unwrap();
    assert_eq!(store.catch_all_list(), [CatchAll { domain: net.clone(), target: ann }]);
    assert_eq!(store.resolve(&any), Resolution::Mailboxes(vec![mailbox("Ann@example.net")]));
    let unknown = store.catch_all_set(&net, &any).await;
    assert_eq!(unknown, Err(ChangeError::UnknownTarget(any.clone())));
    let relay = domain("relay.example");
    assert_eq!(store.catch_all_set(&relay, &any).await, Err(ChangeError::RelayDomain(relay)));
    store.catch_all_remove(&net).await.unwrap();
    assert_eq!(store.catch_all_remove(&net).await, Err(ChangeError::NoCatchAll(net)));
    assert_eq!(store.resolve(&any), Resolution::UnknownUser);
}

pub(super) async fn targets_are_not_pulled_away(backend: &impl Backend) {
    let store = furnished(backend).await;
    let (sales, info, ann) = (mailbox("sales@example.net"), mailbox("info@example.net"), mailbox("ann@example.net"));
    store.alias_add(&sales, std::slice::from_ref(&ann)).await.unwrap();
    store.alias_add(&info, std::slice::from_ref(&sales)).await.unwrap();
    let error = store.user_remove(&ann).await.unwrap_err();
    assert_eq!(error.to_string(), "the alias sales@example.net leads to ann@example.net; change that first");
    let error = store.alias_remove(&sales).await.unwrap_err();
    assert!(error.to_string().contains("info@example.net"), "{error}");
    // An alias over a user may go: the user is still there. A user may go whose own alias keeps a copy.
    store.alias_add(&ann, std::slice::from_ref(&ann)).await.unwrap();
    store.alias_remove(&ann).await.unwrap();
    store.alias_remove(&info).await.unwrap();
    store.alias_remove(&sales).await.unwrap();
    store.user_remove(&ann).await.unwrap();
}

pub(super) async fn all_is_there_again_after_a_restart(backend: &impl Backend) {
    let store = furnished(backend).await;
    store.alias_add(&mailbox("sales@example.net"), &[mailbox("ann@example.net")]).await.unwrap();
    store.catch_all_set(&domain("example.org"), &mailbox("bob@example.net")).await.unwrap();
    store.close().await;
    let again = backend.open().await;
    assert_eq!(again.domain_list(), store.domain_list());
    assert_eq!(again.user_list(), store.user_list());
    assert_eq!(again.alias_list(), store.alias_list());
    assert_eq!(again.catch_all_list(), store.catch_all_list());
    assert_eq!(again.credentials(&mailbox("bob@example.net")), Some(verifiers(2)));
}

pub(super) async fn a_change_of_another_program_is_seen(backend: &impl Backend) {
    let server = furnished(backend).await;
    let tool = backend.open().await;
    let carl = mailbox("carl@example.net");
    tool.user_add(&carl, &verifiers(3)).await.unwrap();
    assert_eq!(server.credentials(&carl), None);
    server.reload().await.unwrap();
    assert_eq!(server.credentials(&carl), Some(verifiers(3)));
    // A change of its own brings in the other's, too.
    let dora = mailbox("dora@example.net");
    tool.user_add(&dora, &verifiers(4)).await.unwrap();
    server.user_remove(&carl).await.unwrap();
    assert_eq!(server.credentials(&dora), Some(verifiers(4)));
    tool.reload().await.unwrap();
    assert_eq!(tool.user_list(), server.user_list());
}

pub(super) async fn changes_at_once_are_all_made(backend: &impl Backend) {
    let (server, tool) = (furnished(backend).await, backend.open().await);
    let add = async |store: &store::Store, name: &str| {
        for number in 0..20_u8 {
            store.user_add(&mailbox(&format!("{name}{number}@example.net")), &verifiers(number)).await.unwrap();
        }
    };
    tokio::join!(add(&server, "x"), add(&server, "y"), add(&tool, "z"));
    server.reload().await.unwrap();
    assert_eq!(server.user_list().len(), 62);
    assert_eq!(server.credentials(&mailbox("z19@example.net")), Some(verifiers(19)));
}

pub(super) async fn small_facts_are_kept(backend: &impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.meta_get("node").await.unwrap(), None);
    store.meta_set("node", "a").await.unwrap();
    store.meta_set("node", "b'; DROP TABLE meta; --").await.unwrap();
    let again = backend.open().await;
    assert_eq!(again.meta_get("node").await.unwrap().as_deref(), Some("b'; DROP TABLE meta; --"));
}
