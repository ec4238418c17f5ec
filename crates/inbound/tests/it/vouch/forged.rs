//! Fields from outside in our name (D7), and authors that are not one (F1).

use super::*;

const FORGED: &str = "Authentication-Results: mx.ours.example; dmarc=pass header.from=bank.example\r\n\
                      X-Posthouse-Quarantine: no\r\nX-Posthouse-Suspect: no\r\n\
                      authentication-results :\r\n (hi) \"MX.ours.example\" 1;\r\n none\r\n\
                      Received-SPF: pass receiver=mx.ours.example; client-ip=192.0.2.1\r\n";
const OTHERS: &str = "Authentication-Results: mx.other.example; spf=pass smtp.mailfrom=x@y.example\r\n\
                      Received-SPF: pass receiver=mx.other.example\r\n\
                      ARC-Authentication-Results: i=1; mx.ours.example; none\r\n";

/// D7: removed from strangers, from those whom nobody checks, and from our users; what others have found out stays.
#[tokio::test]
async fn results_in_our_name_are_removed_from_everybody() {
    let scene = Scene::new().await;
    let letter = [FORGED, OTHERS, LETTER].concat();
    let content = scene.deliver(SENDER, "gil@good.example", letter.as_bytes()).await;
    let (ours, rest) = content.split_once("\r\nReceived: ").unwrap();
    assert!(ours.contains("dmarc=pass (p=reject of good.example) header.from=good.example"), "{ours}");
    assert!(rest.ends_with(&[OTHERS, LETTER].concat()) && !rest.contains("bank.example"), "{rest}");

    let content = scene.deliver("127.0.0.1", "gil@good.example", letter.as_bytes()).await;
    assert!(content.starts_with("Received: ") && content.ends_with(&[OTHERS, LETTER].concat()), "{content}");

    let mut settings = scene.world.submission();
    settings.gate.pregreet_wait = std::time::Duration::ZERO;
    scene.serve("192.0.2.25:587", settings);
    let mut user = scene.connect_to("192.0.2.25:587", FORGER).await;
    let password = crate::authentication::plain("", "anna@ours.example", crate::world::PASSWORD);
    user.run(&format!("C: AUTH PLAIN {password}\nS: 235")).await;
    let letter = letter.replace("gil@good.example", "anna@ours.example");
    assert!(send(&mut user, "anna@ours.example", letter.as_bytes()).await.starts_with("250 "));
    let content = scene.world.kept().await.pop().unwrap().content;
    assert!(!content.contains("bank.example") && content.contains("mx.other.example"), "{content}");
    assert!(!content.contains("X-Posthouse"), "{content}");
}

/// What is signed is what came, the forged fields included: they are taken away after they were hashed.
#[tokio::test]
async fn a_signature_over_a_forged_field_still_counts() {
    let scene = Scene::new().await;
    let letter = [LETTER, "\r\n\r\nHi Anna,\r\n\r\nbye.\r\n"].concat();
    let letter = signed(&scene.signer("s1", "good.example"), letter.as_bytes(), scene.world.clock.now());
    let letter = [FORGED.as_bytes(), &letter].concat();
    let content = scene.deliver(FORGER, "x@elsewhere.example", &letter).await;
    assert!(results(&content).contains("; dkim=pass "), "{}", results(&content));
}

/// F1: nobody can tell which author a reader would see.
#[tokio::test]
async fn letters_with_doubtful_authors_are_refused() {
    let scene = Scene::new().await;
    let from = "From: Gil <gil@good.example>\r\n";
    for (bad, text) in [
        (format!("{from}From: ceo@bank.example\r\n"), "more than one From"),
        (format!("From : ceo@bank.example\r\n{from}"), "more than one From"),
        ("From: gil@good.example <ceo@bank.example\r\n".into(), "can't be read"),
        ("From: gil@good.example\x07 <ceo@bank.example>\r\n".into(), "control character"),
    ] {
        let reply = scene.send(SENDER, "gil@good.example", LETTER.replace(from, &bad).as_bytes()).await;
        assert!(reply.starts_with("550 5.7.1 ") && reply.contains(text), "{bad:?}: {reply}");
    }
    let reply =
        scene.send(SENDER, "gil@good.example", LETTER.replace(from, "From: a\0@b.example\r\n").as_bytes()).await;
    assert!(reply.starts_with("550 5.6.0 "), "{reply}");
    assert_eq!(scene.world.kept().await, []);
}

/// F1: odd, but only one author.
#[tokio::test]
async fn a_folded_from_is_read_as_readers_do() {
    let scene = Scene::new().await;
    let from = "From: Gil <gil@good.example>\r\n";
    let folded = LETTER.replace(from, "From :\r\n \"ceo@bank.example\"\r\n\t(x)\r\n <gil@good.example>\r\n");
    let content = scene.deliver(SENDER, "gil@good.example", folded.as_bytes()).await;
    assert!(results(&content).ends_with("dmarc=pass (p=reject of good.example) header.from=good.example"));
    let reply = scene.send(FORGER, "x@elsewhere.example", folded.as_bytes()).await;
    assert!(reply.starts_with("550 5.7.26 "), "{reply}");
}

/// F1: no author at all, or several: nobody vouches, and it is marked.
#[tokio::test]
async fn letters_without_one_author_are_marked() {
    let scene = Scene::new().await;
    let from = "From: Gil <gil@good.example>\r\n";
    for (bad, reason) in [
        ("", "the message has no From field"),
        ("From: undisclosed:;\r\n", "the From field has no address"),
        ("From: gil@good.example, ceo@bank.example\r\n", "the From field has addresses of more than one domain"),
        ("From: x@[192.0.2.1]\r\n", "the address in the From field has no domain name"),
    ] {
        let content = scene.deliver(SENDER, "gil@good.example", LETTER.replace(from, bad).as_bytes()).await;
        assert!(
            results(&content).ends_with(&format!("; dmarc=permerror reason=\"{reason}\"")),
            "{}",
            results(&content)
        );
        assert_eq!(field(&content, "X-Posthouse-Quarantine").unwrap(), format!("dmarc=permerror ({reason})"));
    }
}

/// F3: such names are not asked for.
#[tokio::test]
async fn hostile_names_in_signatures_lead_to_no_question() {
    let scene = Scene::new().await;
    let signature = |domain: &str, selector: &str| {
        format!("DKIM-Signature: v=1; a=rsa-sha256; d={domain}; s={selector}; h=from; bh=AAAA; b=AAAA\r\n{LETTER}")
    };
    for (domain, selector) in
        [("a..b", "s"), ("\"x\"", "s"), ("good.example", "a/b c"), ("good.example", ".."), ("a b", "s")]
    {
        let content = scene.deliver(SENDER, "gil@good.example", signature(domain, selector).as_bytes()).await;
        let results = results(&content);
        assert!(results.contains("; dkim=permerror ") || results.contains("; dkim=neutral "), "{results}");
        assert!(results.contains("; dmarc=pass "), "{results}");
    }
}

/// F2: a second Subject behind an over-signed one, and a body that was changed.
#[tokio::test]
async fn what_was_changed_behind_a_signature_fails() {
    let scene = Scene::new().await;
    let letter = signed(&scene.signer("s1", "good.example"), LETTER.as_bytes(), scene.world.clock.now());
    let letter = String::from_utf8(letter).unwrap();
    for changed in [
        letter.replace("\r\nSubject: Hello", "\r\nSubject: Hello\r\nSubject: Win"),
        letter.replace("Hi Anna,", "Hi Anno,"),
        letter.replace("gil@good.example>\r\nTo", "ceo@good.example>\r\nTo"),
    ] {
        let reply = scene.send(FORGER, "x@elsewhere.example", changed.as_bytes()).await;
        assert!(reply.starts_with("550 5.7.26 "), "{reply}");
    }
    assert!(scene.send(FORGER, "x@elsewhere.example", letter.as_bytes()).await.starts_with("250 "));
}
