//! What is found out, and where it is written.

use super::*;

#[tokio::test]
async fn an_honest_letter_gets_its_results_above_our_received() {
    let scene = Scene::new().await;
    let content = scene.deliver(SENDER, "gil@good.example", LETTER.as_bytes()).await;
    let header = mail::header::Header::parse(content.as_bytes(), 1000);
    let names: Vec<_> = header.fields.iter().map(|field| String::from_utf8_lossy(field.name)).collect();
    assert_eq!(&names[..4], ["Authentication-Results", "Received-SPF", "Received", "From"]);
    assert_eq!(
        results(&content),
        "mx.ours.example; iprev=pass (out.good.example) policy.iprev=203.0.113.7; \
         spf=pass smtp.mailfrom=gil@good.example; dkim=none; \
         dmarc=pass (p=reject of good.example) header.from=good.example"
    );
    let received_spf = field(&content, "Received-SPF").unwrap();
    assert!(received_spf.starts_with("pass ") && received_spf.contains("client-ip=203.0.113.7"), "{received_spf}");
    assert_eq!(content.split_once("\r\nFrom: ").unwrap().1, LETTER.split_once("From: ").unwrap().1);
}

#[tokio::test]
async fn a_signature_vouches_where_spf_does_not() {
    let scene = Scene::new().await;
    let letter = signed(&scene.signer("s1", "good.example"), LETTER.as_bytes(), scene.world.clock.now());
    let content = scene.deliver(FORGER, "gil@good.example", &letter).await;
    let results = results(&content);
    assert!(
        results.contains("; iprev=permerror policy.iprev=198.51.100.66; spf=fail smtp.mailfrom=gil@good.example"),
        "{results}"
    );
    assert!(results.contains("; dkim=pass (256-bit key) header.d=good.example header.i=@good.example header.s=s1 header.a=ed25519-sha256 header.b="), "{results}");
    assert!(results.ends_with("; dmarc=pass (p=reject of good.example) header.from=good.example"), "{results}");
    assert_eq!(field(&content, "X-Posthouse-Suspect"), None);
    let unsigned = LETTER.replace("good.example>", "nodmarc.example>");
    let content = scene.deliver(FORGER, "gil@good.example", unsigned.as_bytes()).await;
    assert_eq!(field(&content, "X-Posthouse-Suspect").as_deref(), Some("spf=fail smtp.mailfrom=good.example"));
}

/// The body is hashed while it streams in, however it is cut.
#[tokio::test]
async fn a_large_signed_letter_in_pieces() {
    let scene = Scene::new().await;
    let body = "0123456789 abcdef \r\n \r\n\r\n".repeat(12_000);
    let letter = [LETTER, &body, "\r\n\r\nHi Anna,\r\n\r\nbye.\r\n"].concat();
    let letter = signed(&scene.signer("s1", "good.example"), letter.as_bytes(), scene.world.clock.now());
    for size in [997, 50_000, 400_000] {
        let mut client = scene.connect(SENDER).await;
        client.run("C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<anna@ours.example>\nS: 250").await;
        let mut pieces = letter.chunks(size).peekable();
        while let Some(piece) = pieces.next() {
            let last = if pieces.peek().is_none() { " LAST" } else { "" };
            client.say([format!("BDAT {}{last}\r\n", piece.len()).as_bytes(), piece].concat()).await;
            assert!(client.reply().await.starts_with("250 "));
        }
        let content = scene.world.kept().await.pop().unwrap().content;
        assert!(results(&content).contains("; dkim=pass "), "{}", results(&content));
        assert!(content.as_bytes().ends_with(&letter));
    }
}

/// The null reverse-path: SPF is about the name in EHLO.
#[tokio::test]
async fn a_bounce_is_checked_by_its_helo() {
    let scene = Scene::new().await;
    scene.zone().add_txt("out.good.example", "v=spf1 a -all");
    let content = scene.deliver(SENDER, "", LETTER.as_bytes()).await;
    let results = results(&content);
    assert!(results.contains("; spf=pass smtp.helo=out.good.example; "), "{results}");
    assert!(results.contains("; dmarc=pass "), "{results}");
}

/// Who is trusted, exempt or authenticated costs no question and gets no field; nor does a service that verifies nothing.
#[tokio::test]
async fn nobody_else_is_asked_about() {
    let scene = Scene::with(|settings| settings.trusted_networks = vec!["203.0.113.0/24".parse().unwrap()]).await;
    let plain = {
        let mut settings = scene.world.mx();
        settings.gate.pregreet_wait = std::time::Duration::ZERO;
        settings.gate.examination = inbound::Examination::none();
        settings
    };
    scene.serve("192.0.2.25:26", plain);
    let mut known = scene.world.submission();
    known.gate.pregreet_wait = std::time::Duration::ZERO;
    known.verification = Some(Arc::new(Verification::default()));
    scene.serve("192.0.2.25:587", known);
    for (address, from) in [(ADDRESS, SENDER), (ADDRESS, "127.0.0.1"), ("192.0.2.25:26", FORGER)] {
        let mut client = scene.connect_to(address, from).await;
        assert!(send(&mut client, "gil@good.example", LETTER.as_bytes()).await.starts_with("250 "), "{address} {from}");
    }
    let mut user = scene.connect_to("192.0.2.25:587", FORGER).await;
    let password = crate::authentication::plain("", "anna@ours.example", crate::world::PASSWORD);
    user.run(&format!("C: AUTH PLAIN {password}\nS: 235")).await;
    let letter = LETTER.replace("gil@good.example", "anna@ours.example");
    assert!(send(&mut user, "anna@ours.example", letter.as_bytes()).await.starts_with("250 "));
    for kept in scene.world.kept().await {
        assert!(kept.content.starts_with("Received: ") && !kept.content.contains("Authentication-Results"), "{kept:?}");
    }
    for asked in ["good.example", "_dmarc.good.example", "7.113.0.203.in-addr.arpa"] {
        assert_eq!(scene.zone().questions(asked), 0, "{asked}");
    }
}

/// E7: what has no recipient here makes us ask nothing.
#[tokio::test]
async fn nothing_is_asked_before_somebody_gets_it() {
    let scene = Scene::new().await;
    let mut client = scene.connect(FORGER).await;
    client.run("C: MAIL FROM:<gil@good.example>\nS: 250\nC: RCPT TO:<nobody@ours.example>\nS: 550 5.1.1").await;
    client.run("C: RCPT TO:<x@far.example>\nS: 550 5.7.1\nC: RSET\nS: 250").await;
    assert_eq!(scene.zone().questions("good.example"), 0);
    client.run("C: MAIL FROM:<gil@good.example>\nS: 250\nC: RCPT TO:<anna@ours.example>\nS: 250").await;
    client.run("C: RCPT TO:<bob@ours.example>\nS: 250\nC: QUIT\nS: 221").await;
    assert_eq!(scene.zone().questions("good.example"), 1);
}
