//! Where mail goes, and who may send as whom.

use store::{DomainKind, EXPANSION_DEPTH_MAX, Resolution, Store, TARGETS_MAX};

use super::{Backend, domain, furnished, mailbox, verifiers};

fn check(store: &Store, address: &str, expect: &[&str]) {
    let expect = Resolution::Mailboxes(expect.iter().map(|text| mailbox(text)).collect());
    assert_eq!(store.resolve(&mailbox(address)), expect, "{address}");
}

async fn alias(store: &Store, address: &str, targets: &[&str]) {
    let targets: Vec<_> = targets.iter().map(|text| mailbox(text)).collect();
    store.alias_add(&mailbox(address), &targets).await.unwrap();
}

pub(super) async fn addresses_are_found_in_order(backend: &impl Backend) {
    let store = furnished(backend).await;
    alias(&store, "team@example.net", &["ann@example.net", "bob@example.net", "out@elsewhere.example"]).await;
    alias(&store, "all@example.net", &["team@example.net", "bob+list@example.net"]).await;
    store.user_add(&mailbox("bob+tag@example.net"), &verifiers(3)).await.unwrap();

    check(&store, "ann@example.net", &["Ann@example.net"]);
    check(&store, "ANN@EXAMPLE.NET", &["Ann@example.net"]);
    check(&store, "ann+any+thing@example.net", &["Ann@example.net"]);
    check(&store, "bob+tag@example.net", &["bob+tag@example.net"]);
    check(&store, "bob+Tags@example.net", &["bob@example.net"]);
    let team = ["Ann@example.net", "bob@example.net", "out@elsewhere.example"];
    check(&store, "team@example.net", &team);
    check(&store, "team+x@example.net", &team);
    // Ends that are reached twice are kept once.
    check(&store, "all@example.net", &["bob@example.net", "Ann@example.net", "out@elsewhere.example"]);
    assert_eq!(store.resolve(&mailbox("nobody@example.net")), Resolution::UnknownUser);
    assert_eq!(store.resolve(&mailbox("+ann@example.net")), Resolution::UnknownUser);
    assert_eq!(store.resolve(&mailbox("ann@elsewhere.example")), Resolution::NotOurDomain);
    assert_eq!(store.resolve(&mailbox("ann@sub.example.net")), Resolution::NotOurDomain);
    assert_eq!(store.resolve(&mailbox("ann@[192.0.2.1]")), Resolution::NotOurDomain);

    // An alias over a user forwards; naming itself it keeps a copy.
    alias(&store, "ann@example.net", &["out@elsewhere.example"]).await;
    check(&store, "ann@example.net", &["out@elsewhere.example"]);
    alias(&store, "ann@example.net", &["ann@example.net"]).await;
    check(&store, "ann@example.net", &["Ann@example.net", "out@elsewhere.example"]);

    store.catch_all_set(&domain("example.net"), &mailbox("bob@example.net")).await.unwrap();
    check(&store, "nobody@example.net", &["bob@example.net"]);
    check(&store, "ann+x@example.net", &["Ann@example.net", "out@elsewhere.example"]);
}

pub(super) async fn postmaster_always_has_somebody(backend: &impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.directory().resolve_postmaster(), Resolution::NotOurDomain);
    store.domain_add(&domain("b.example"), DomainKind::Local).await.unwrap();
    store.domain_add(&domain("a.example"), DomainKind::Relay).await.unwrap();
    check(&store, "Postmaster@b.example", &["postmaster@b.example"]);
    check(&store, "abuse+x@b.example", &["postmaster@b.example"]);
    store.domain_add(&domain("c.example"), DomainKind::Local).await.unwrap();
    store.user_add(&mailbox("zoe@c.example"), &verifiers(1)).await.unwrap();
    store.user_add(&mailbox("adam@c.example"), &verifiers(1)).await.unwrap();
    // The first user is the oldest: of the domain, else of any.
    check(&store, "abuse@c.example", &["zoe@c.example"]);
    check(&store, "postmaster@b.example", &["zoe@c.example"]);
    store.user_add(&mailbox("ben@b.example"), &verifiers(1)).await.unwrap();
    check(&store, "postmaster@b.example", &["ben@b.example"]);
    store.user_remove(&mailbox("zoe@c.example")).await.unwrap();
    check(&store, "abuse@c.example", &["adam@c.example"]);
    store.catch_all_set(&domain("c.example"), &mailbox("ben@b.example")).await.unwrap();
    check(&store, "abuse@c.example", &["ben@b.example"]);
    alias(&store, "postmaster@c.example", &["adam@c.example"]).await;
    check(&store, "postmaster@c.example", &["adam@c.example"]);
    let ben = Resolution::Mailboxes(vec![mailbox("ben@b.example")]);
    assert_eq!(store.directory().resolve_postmaster(), ben);
}

pub(super) async fn relay_domains_take_what_they_do_not_know(backend: &impl Backend) {
    let store = furnished(backend).await;
    check(&store, "Any.Body+x@relay.example", &["Any.Body+x@relay.example"]);
    check(&store, "postmaster@relay.example", &["postmaster@relay.example"]);
    alias(&store, "sales@relay.example", &["ann@example.net"]).await;
    check(&store, "sales@relay.example", &["Ann@example.net"]);
}

pub(super) async fn loops_and_bombs_are_bounded(backend: &impl Backend) {
    let store = furnished(backend).await;
    let resolve = |address: &str| store.resolve(&mailbox(address));
    // A circle, first closed by way of a detour.
    alias(&store, "a@example.net", &["ann@example.net"]).await;
    alias(&store, "b@example.net", &["a@example.net"]).await;
    alias(&store, "c@example.net", &["b@example.net"]).await;
    alias(&store, "a@example.net", &["c@example.net"]).await;
    check(&store, "c@example.net", &["Ann@example.net"]);
    store.alias_remove(&mailbox("a@example.net")).await.unwrap_err();
    alias(&store, "self@example.net", &["self@example.net"]).await;
    alias(&store, "ping@example.net", &["ann@example.net"]).await;
    alias(&store, "pong@example.net", &["ping@example.net"]).await;
    assert_eq!(resolve("self@example.net"), Resolution::Loop);

    alias(&store, "d0@example.net", &["ann@example.net"]).await;
    for depth in 1..=EXPANSION_DEPTH_MAX {
        alias(&store, &format!("d{depth}@example.net"), &[&format!("d{}@example.net", depth - 1)]).await;
    }
    check(&store, &format!("d{}@example.net", EXPANSION_DEPTH_MAX - 1), &["Ann@example.net"]);
    assert_eq!(resolve(&format!("d{EXPANSION_DEPTH_MAX}@example.net")), Resolution::Loop);

    // A thousand is allowed, a thousand times a thousand is not opened.
    let leaves: Vec<_> = (0..TARGETS_MAX).map(|number| mailbox(&format!("u{number}@elsewhere.example"))).collect();
    store.alias_add(&mailbox("full@example.net"), &leaves).await.unwrap();
    let Resolution::Mailboxes(found) = resolve("full@example.net") else { panic!() };
    assert_eq!(found.len(), TARGETS_MAX);
    alias(&store, "over@example.net", &["full@example.net", "ann@example.net"]).await;
    assert_eq!(resolve("over@example.net"), Resolution::TooMany);
}

pub(super) async fn senders_have_what_is_theirs(backend: &impl Backend) {
    let store = furnished(backend).await;
    alias(&store, "sales@example.net", &["ann@example.net", "out@elsewhere.example"]).await;
    alias(&store, "info@example.org", &["sales@example.net"]).await;
    alias(&store, "bobs@example.net", &["bob@example.net"]).await;
    alias(&store, "ann+bob@example.net", &["bob@example.net"]).await;
    store.user_add(&mailbox("ann+own@example.net"), &verifiers(3)).await.unwrap();
    store.catch_all_set(&domain("example.org"), &mailbox("ann@example.net")).await.unwrap();
    let directory = store.directory();
    let may = |user: &str, address: &str| directory.may_send_as(&mailbox(user), &mailbox(address));
    for address in [
        "ann@example.net",
        "ANN@example.net",
        "Ann+x@example.net",
        "sales@example.net",
        "sales+x@example.net",
        "info@example.org",
    ] {
        assert!(may("ann@example.net", address), "{address}");
        assert!(!may("bob@example.net", address), "{address}");
        assert!(!may("nobody@example.net", address), "{address}");
    }
    // What has an owner of its own is not a tag; and to be caught is not to own.
    for address in [
        "bobs@example.net",
        "ann+bob@example.net",
        "ann+own@example.net",
        "any@example.org",
        "out@elsewhere.example",
        "ann@elsewhere.example",
        "postmaster@example.net",
        "nobody@example.net",
    ] {
        assert!(!may("ann@example.net", address), "{address}");
    }
    assert!(may("bob@example.net", "ann+bob@example.net") && may("ann+own@example.net", "ann+own@example.net"));
    let addresses = directory.sender_addresses(&mailbox("ann@example.net"));
    assert_eq!(addresses, [mailbox("Ann@example.net"), mailbox("sales@example.net"), mailbox("info@example.org")]);
    assert_eq!(directory.sender_addresses(&mailbox("nobody@example.net")), []);
}
