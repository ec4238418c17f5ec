//! Name servers that are dead, slow, endless or lying (E7, E8, G7), and letters that are made to cost much (E6).

use std::time::Duration;

use tokio::time::{pause, resume};

use super::*;

/// G7: the stated answer, and nothing half-applied.
#[tokio::test]
async fn without_the_dns_mail_of_protected_domains_waits() {
    let scene = Scene::new().await;
    for dead in ["good.example", "_dmarc.good.example", "7.113.0.203.in-addr.arpa"] {
        scene.zone().set_failing(dead, true);
    }
    let reply = scene.send(SENDER, "gil@good.example", LETTER.as_bytes()).await;
    assert_eq!(
        reply,
        "451 4.7.24 The DNS does not say now whether the message is from good.example (DMARC); try again later"
    );
    assert_eq!(scene.world.kept().await, []);
    for alive in ["good.example", "_dmarc.good.example"] {
        scene.zone().set_failing(alive, false);
    }
    let content = scene.deliver(SENDER, "gil@good.example", LETTER.as_bytes()).await;
    assert!(results(&content).contains("; iprev=temperror policy.iprev=203.0.113.7; spf=pass "), "{content}");
}

#[tokio::test]
async fn the_answer_to_a_dead_dns_is_the_operators() {
    let scene = Scene::with_actions(|actions| actions.dmarc_temperror = inbound::Action::Quarantine).await;
    scene.zone().set_failing("_dmarc.good.example", true);
    let content = scene.deliver(SENDER, "gil@good.example", LETTER.as_bytes()).await;
    assert_eq!(field(&content, "X-Posthouse-Quarantine").unwrap(), "dmarc=temperror header.from=good.example");
}

/// A key that can't be had now might be the right one; one of somebody else could not save the message, nor could any
/// when the body is not the one that was signed.
#[tokio::test]
async fn a_signature_that_cannot_be_checked_now_defers_only_where_it_could_help() {
    let scene = Scene::new().await;
    const OF_THE_BODY: &str = "arKIAQTi9owncdM8bd4DkfX/vqwUmPDW6WYD/SdVtdY=";
    let signature = |domain: &str, hash: &str| {
        let signature = format!("{}==", "A".repeat(86));
        format!("DKIM-Signature: v=1; a=ed25519-sha256; d={domain}; s=s1; h=from; bh={hash}; b={signature}\r\n{LETTER}")
    };
    scene.zone().set_failing("s1._domainkey.good.example", true);
    scene.zone().set_failing("s1._domainkey.elsewhere.example", true);
    let own = scene.send(FORGER, "x@elsewhere.example", signature("good.example", OF_THE_BODY).as_bytes()).await;
    assert!(own.starts_with("451 4.4.3 "), "{own}");
    let other_body = format!("{}=", "A".repeat(43));
    for (domain, hash) in [("elsewhere.example", OF_THE_BODY), ("good.example", &other_body)] {
        let other = scene.send(FORGER, "x@elsewhere.example", signature(domain, hash).as_bytes()).await;
        assert!(other.starts_with("550 5.7.26 "), "{other}");
    }
}

/// E7: twenty seconds for all of SPF, and the session waits only where it must.
#[tokio::test]
async fn slow_name_servers_are_not_waited_for_long() {
    let scene = Scene::new().await;
    pause();
    for slow in ["good.example", "_dmarc.good.example", "7.113.0.203.in-addr.arpa"] {
        scene.zone().set_delay(slow, Duration::from_secs(3600));
    }
    let clock = scene.world.clock.clone();
    let mut client = scene.connect(SENDER).await;
    let began = clock.instant();
    client
        .run("C: MAIL FROM:<gil@good.example>\nS: 250\nC: RCPT TO:<anna@ours.example>\nS: 250\nC: DATA\nS: 354")
        .await;
    assert_eq!(clock.instant(), began);
    client.say([LETTER.as_bytes(), b".\r\n"].concat()).await;
    while !scene.asks("dkim") {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_secs(19)).await;
    let reply = client.reply().await;
    assert!(reply.starts_with("451 4.7.24 "), "{reply}");
    assert_eq!((clock.instant() - began).as_secs(), 20);
    resume();
    assert_eq!(scene.world.kept().await, []);
}

/// E7: what a record may cost is bounded, and a wrong one is the domain's own fault.
#[tokio::test]
async fn endless_records_end() {
    let scene = Scene::with_actions(|actions| actions.spf_permerror = inbound::Action::Reject).await;
    let zone = scene.zone();
    zone.add_txt("loop.example", "v=spf1 include:loop.example -all");
    zone.add_txt("void.example", "v=spf1 a:v1.example a:v2.example a:v3.example +all");
    let eleven: Vec<String> = (0..11).map(|number| format!("a:h{number}.many.example")).collect();
    zone.add_txt("many.example", format!("v=spf1 {} +all", eleven.join(" ")));
    for number in 0..11 {
        zone.add_addresses(&format!("h{number}.many.example"), &["192.0.2.9".parse().unwrap()]);
    }
    for number in 0..11 {
        zone.add_txt(&format!("i{number}.chain.example"), format!("v=spf1 include:i{}.chain.example -all", number + 1));
    }
    for number in 0..1000 {
        zone.add_mx("mxs.example", number, "h0.many.example");
    }
    zone.add_txt("mxs.example", "v=spf1 mx +all");
    zone.add_alias("alias.example", "alias.example");
    let letter = LETTER.replace("good.example", "free.example");
    for sender in ["loop.example", "void.example", "many.example", "i0.chain.example", "mxs.example"] {
        let reply = scene.send(FORGER, &format!("a@{sender}"), letter.as_bytes()).await;
        assert!(reply.starts_with("550 5.7.24 "), "{sender}: {reply}");
    }
    assert!(zone.questions("loop.example") <= 11, "{}", zone.questions("loop.example"));
    let content = scene.deliver(FORGER, "a@alias.example", letter.as_bytes()).await;
    assert!(results(&content).contains("; spf=temperror "), "{content}");
}

/// E8: more records than anybody reads.
#[tokio::test]
async fn endless_answers_end() {
    let scene = Scene::new().await;
    let zone = scene.zone();
    for number in 0..10_000 {
        zone.add_txt("_dmarc.good.example", format!("noise {number}"));
        zone.add_ptr("66.100.51.198.in-addr.arpa", &format!("h{number}.example"));
    }
    let reply = scene.send(FORGER, "x@elsewhere.example", LETTER.as_bytes()).await;
    assert!(reply.starts_with("550 5.7.26 "), "{reply}");
    let followed = (0..10_000).filter(|number| zone.questions(&format!("h{number}.example")) > 0).count();
    assert!(followed <= 10, "{followed}");
}

/// E6: of ten thousand signatures ten are looked at.
#[tokio::test]
async fn a_letter_of_signatures_costs_little() {
    let scene = Scene::new().await;
    let mut letter = String::new();
    for number in 0..1000 {
        letter.push_str(&format!(
            "DKIM-Signature: v=1; a=rsa-sha256; d=d{number}.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
        ));
        scene.zone().add_empty(&format!("s._domainkey.d{number}.example"));
    }
    letter.push_str(LETTER);
    let content = scene.deliver(SENDER, "gil@good.example", letter.as_bytes()).await;
    let results = results(&content);
    assert!(results.contains("; dkim=policy reason=\"990 more signatures were not looked at\"; "), "{results}");
    assert_eq!(results.matches("dkim=").count(), 11);
    let zone = scene.zone();
    let asked = (0..1000).filter(|number| zone.questions(&format!("s._domainkey.d{number}.example")) > 0).count();
    assert!(asked <= 10, "{asked}");
}

/// Who goes in the middle leaves no task that asks on.
#[tokio::test]
async fn who_leaves_is_not_asked_about_any_more() {
    let scene = Scene::new().await;
    scene.zone().set_delay("good.example", Duration::from_secs(15));
    let mut client = scene.connect(SENDER).await;
    client.run("C: MAIL FROM:<gil@good.example>\nS: 250\nC: RCPT TO:<anna@ours.example>\nS: 250").await;
    assert!(scene.asks("spf"));
    client.run("C: QUIT\nS: 221").await;
    let deadline = scene.world.clock.instant() + PATIENCE;
    while scene.asks("spf") {
        assert!(scene.world.clock.instant() < deadline);
        tokio::task::yield_now().await;
    }
}
