//! What is done about what was found out.

use inbound::{Action, DomainPattern, Exception, List, Thresholds};

use super::*;

/// Publishes a policy of DMARC for the author of the letter.
fn publish(scene: &Scene, policy: &str) {
    scene.zone().remove("_dmarc.good.example");
    scene.zone().add_txt("_dmarc.good.example", policy);
}

#[tokio::test]
async fn what_the_author_asks_for_is_done() {
    let scene = Scene::new().await;
    let forged = async || scene.send(FORGER, "x@elsewhere.example", LETTER.as_bytes()).await;
    let reply = forged().await;
    assert_eq!(
        reply,
        "550 5.7.26 Neither SPF nor DKIM shows that the message is from good.example, as it says (DMARC)"
    );
    assert_eq!(scene.world.kept().await, []);

    for policy in ["v=DMARC1; p=quarantine", "v=DMARC1; p=reject; t=y"] {
        publish(&scene, policy);
        let content = scene.deliver(FORGER, "x@elsewhere.example", LETTER.as_bytes()).await;
        let mark = "X-Posthouse-Quarantine: dmarc=fail (p=quarantine) header.from=good.example\r\n";
        assert!(content.starts_with(&format!("{mark}Authentication-Results: ")), "{content}");
    }

    publish(&scene, "v=DMARC1; p=none");
    let content = scene.deliver(FORGER, "x@elsewhere.example", LETTER.as_bytes()).await;
    assert!(content.starts_with("Authentication-Results: "), "{content}");
    assert!(results(&content).ends_with("; dmarc=fail (p=none of good.example) header.from=good.example"), "{content}");

    scene.zone().remove("_dmarc.good.example");
    let content = scene.deliver(FORGER, "x@elsewhere.example", LETTER.as_bytes()).await;
    assert!(results(&content).ends_with("; dmarc=none header.from=good.example"), "{content}");
}

/// Delivery looks for the quarantine at the beginning; a mark of the gate does not hide it there.
#[tokio::test]
async fn a_marked_message_is_quarantined_all_the_same() {
    let scene = Scene::with(|settings| {
        settings.gate.examination.lists = vec![List { zone: "bl.example".into(), weight: 5, answers: Vec::new() }];
        settings.gate.examination.thresholds = Thresholds { tag: Some(5), defer: None, refuse: None };
    })
    .await;
    let listed = policy::dnsbl::question(FORGER.parse().unwrap(), "bl.example");
    scene.zone().add_addresses(&listed, &["127.0.0.2".parse().unwrap()]);
    publish(&scene, "v=DMARC1; p=quarantine");
    let content = scene.deliver(FORGER, "x@elsewhere.example", LETTER.as_bytes()).await;
    assert!(content.starts_with("X-Posthouse-Quarantine: dmarc=fail"), "{content}");
    assert!(content.contains("\r\nX-Posthouse-Suspect: gate score 5 "), "{content}");
}

/// RFC 7372.
#[tokio::test]
async fn each_result_is_refused_in_its_own_words() {
    let scene = Scene::with_actions(|actions| {
        actions.spf_fail = Action::Reject;
        actions.spf_softfail = Action::Reject;
        actions.spf_permerror = Action::Reject;
        actions.spf_temperror = Action::Defer;
        actions.dkim_fail = Action::Reject;
        actions.iprev_fail = Action::Reject;
    })
    .await;
    let zone = scene.zone();
    zone.add_txt("told.example", "v=spf1 exp=why.told.example -all");
    zone.add_txt("why.told.example", "See http://told.example/?ip=%{i}");
    zone.add_txt("soft.example", "v=spf1 ~all");
    zone.add_txt("broken.example", "v=spf1 bogus:x");
    zone.set_failing("dead.example", true);
    zone.add_ptr("66.100.51.198.in-addr.arpa", "named.example");
    zone.add_addresses("named.example", &[FORGER.parse().unwrap()]);
    let letter = LETTER.replace("good.example", "free.example");
    for (sender, expect) in [
        ("gil@good.example", "550 5.7.23 good.example does not let 198.51.100.66 send its mail (SPF)"),
        (
            "a@told.example",
            "550 5.7.23 told.example does not let 198.51.100.66 send its mail (SPF); \
             told.example explains: See http://told.example/?ip=198.51.100.66",
        ),
        ("a@soft.example", "550 5.7.23 soft.example probably does not let 198.51.100.66 send its mail (SPF)"),
        ("a@broken.example", "550 5.7.24 What broken.example publishes for SPF cannot be understood"),
        ("a@dead.example", "451 4.7.24 What dead.example publishes for SPF cannot be looked up now"),
    ] {
        assert_eq!(scene.send(FORGER, sender, letter.as_bytes()).await, expect);
    }
    let reply = scene.send("198.51.100.67", "a@free.example", letter.as_bytes()).await;
    assert_eq!(reply, "550 5.7.25 198.51.100.67 has no name in the DNS that leads back to it");
    let signed = format!("DKIM-Signature: v=1; a=rsa-sha256; d=free.example; s=s; h=from; bh=AAAA; b=AAAA\r\n{letter}");
    let reply = scene.send(SENDER, "a@free.example", signed.as_bytes()).await;
    assert!(
        reply.starts_with("550 5.7.20 No DKIM signature of the message is right; the first, of free.example: "),
        "{reply}"
    );
    assert_eq!(scene.world.kept().await, []);
}

/// RFC 6376 §6.1.2 and §3.6.1: what may be right later is not refused for good, and who is testing not at all.
#[tokio::test]
async fn a_key_that_cannot_be_had_or_is_being_tested_refuses_nothing_for_good() {
    let scene = Scene::with_actions(|actions| actions.dkim_fail = Action::Reject).await;
    let letter = LETTER.replace("good.example", "free.example");
    let signed = signed(&scene.signer("s1", "free.example"), letter.as_bytes(), scene.world.clock.now());
    let key = "s1._domainkey.free.example";
    scene.zone().set_failing(key, true);
    assert_eq!(
        scene.send(FORGER, "a@free.example", &signed).await,
        "451 4.7.5 The DKIM signature of free.example cannot be verified now: the key could not be looked up"
    );
    scene.zone().set_failing(key, false);
    let altered = String::from_utf8(signed).unwrap().replace("Subject: Hello", "Subject: Bye");
    assert!(scene.send(FORGER, "a@free.example", altered.as_bytes()).await.starts_with("550 5.7.20 "));
    let altered = altered.replace("s=s1;", "s=s2;");
    let record = PrivateKey::generate_ed25519().unwrap().public_record().unwrap();
    scene.zone().add_txt("s2._domainkey.free.example", format!("{record}; t=y"));
    assert!(scene.send(FORGER, "a@free.example", altered.as_bytes()).await.starts_with("250 "));
}

#[tokio::test]
async fn some_domains_are_treated_otherwise() {
    let exception = |pattern: &str, adjust: fn(&mut Actions)| {
        let mut actions = Actions::default();
        adjust(&mut actions);
        Exception { domains: vec![DomainPattern::parse(pattern).unwrap()], actions }
    };
    let scene = Scene::with(|settings| {
        let exceptions = vec![
            exception("good.example", |actions| actions.dmarc_reject = Action::Accept),
            exception("*.bank.example", |actions| actions.dmarc_none = Action::Reject),
        ];
        settings.verification = Some(Arc::new(Verification { exceptions, ..Verification::default() }));
    })
    .await;
    scene.zone().add_txt("_dmarc.www.bank.example", "v=DMARC1; p=none");
    scene.zone().add_txt("_dmarc.other.example", "v=DMARC1; p=reject");
    let forged = async |domain: &str| {
        let letter = LETTER.replace("gil@good.example", &format!("gil@{domain}"));
        scene.send(FORGER, "x@elsewhere.example", letter.as_bytes()).await
    };
    assert!(forged("good.example").await.starts_with("250 "));
    assert!(forged("www.bank.example").await.starts_with("550 5.7.26 "));
    assert!(forged("other.example").await.starts_with("550 5.7.26 "));
}

/// A list changed the message; a sealer whom the operator trusts saw it pass before.
#[tokio::test]
async fn a_trusted_sealer_is_believed() {
    use policy::{
        arc::{Seal, Verify},
        authres::{Entry, Method, Outcome, PropertyKind, Results},
        dkim::BodyHashes,
    };
    let scene = Scene::with(|settings| {
        let trusted_sealers = vec![DomainPattern::parse("lists.example").unwrap()];
        settings.verification = Some(Arc::new(Verification { trusted_sealers, ..Verification::default() }));
    })
    .await;
    let sealed = |sealer: &str, outcome: Outcome, letter: &str| {
        let key = Arc::new(PrivateKey::generate_ed25519().unwrap());
        scene.zone().remove(&format!("s1._domainkey.{sealer}"));
        scene.zone().add_txt(&format!("s1._domainkey.{sealer}"), key.public_record().unwrap());
        let seal = Seal::new(name(sealer), SigningKey { selector: name("s1"), key }).unwrap();
        let (head, body) = letter.split_once("\r\n\r\n").unwrap();
        let head = format!("{head}\r\n");
        let fields = Fields::parse(head.as_bytes());
        let now = scene.world.clock.now();
        let hash = |bodies: BodyHasher| -> BodyHashes {
            let mut bodies = bodies;
            bodies.update(body.as_bytes());
            bodies.finish()
        };
        let mut bodies = BodyHasher::default();
        let chain = Verify::new(&fields, now, &mut bodies).finish(&hash(bodies));
        let mut bodies = BodyHasher::default();
        let sealing = seal.begin(&fields, now, &mut bodies).unwrap();
        let entry = Entry::new(Method::Dmarc, outcome).property(PropertyKind::Header, "from", "good.example");
        let results = Results { id: sealer.to_owned(), entries: vec![entry] };
        sealing.finish(&hash(bodies), &chain, &results).unwrap() + letter
    };
    let changed = LETTER.replace("Subject: Hello", "Subject: [list] Hello");
    let send = async |letter: String| scene.send(FORGER, "list@lists.example", letter.as_bytes()).await;
    assert!(send(changed.clone()).await.starts_with("550 5.7.26 "));
    assert!(send(sealed("unknown.example", Outcome::Pass, &changed)).await.starts_with("550 5.7.26 "));
    assert!(send(sealed("lists.example", Outcome::Fail, &changed)).await.starts_with("550 5.7.26 "));
    let sealed = sealed("lists.example", Outcome::Pass, &changed);
    assert!(send(sealed.replace("[list]", "[lost]")).await.starts_with("550 5.7.26 "));
    let content = scene.deliver(FORGER, "list@lists.example", sealed.as_bytes()).await;
    let results = results(&content);
    assert!(
        results.contains(
            "; arc=pass header.d=lists.example; dmarc=fail (p=reject of good.example; a trusted sealer vouches) "
        ),
        "{results}"
    );
}
