//! RFC 6376 Appendix A and RFC 8463 Appendix A.

use policy::dkim::{Algorithm, Canon, Outcome, Reason, Signature};

use super::{NOW, Zone, verify, verify_by};

const RFC_6376: &str = "DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
        4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
        KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
        4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
";

const RFC_8463: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
";

fn zone() -> Zone {
    Zone::default()
        .with(
            "brisbane._domainkey.example.com",
            &["v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkM\
               oGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/R\
               tdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToI\
               MmPSPDdQPNUYckcQ2QIDAQAB"],
        )
        .with(
            "brisbane._domainkey.football.example.com",
            &["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="],
        )
        .with(
            "test._domainkey.football.example.com",
            &["v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR\
               iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC\
               DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3\
               Ip3G+2kryOTIKT+l/K4w3QIDAQAB"],
        )
}

fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

#[test]
fn rfc_6376_appendix_a() {
    for cut in [1, 2, 7, 10_000] {
        let report = verify_by(&wire(RFC_6376), &zone(), NOW, cut);
        let verdict = &report.verdicts[0];
        assert_eq!(verdict.reason, None);
        assert_eq!(verdict.outcome(), Outcome::Pass);
        assert_eq!(verdict.domain.as_ref().unwrap().as_str(), "example.com");
        assert_eq!(verdict.selector.as_ref().unwrap().as_str(), "brisbane");
        assert_eq!(verdict.identity.as_deref(), Some("joe@football.example.com"));
        assert_eq!((verdict.algorithm, verdict.key_bits), (Some(Algorithm::RsaSha256), Some(1024)));
        assert_eq!((verdict.signature_start.as_str(), verdict.testing), ("AuUoFEfD", false));
    }
}

#[test]
fn rfc_6376_appendix_a_is_simple_so_nothing_may_change() {
    for (from, to, reason) in [
        ("Subject: Is", "Subject:  Is", Reason::Signature),
        ("Subject: Is", "subject: Is", Reason::Signature),
        ("game. Are", "game.  Are", Reason::BodyHash),
        ("Joe.\n", "Joe. \n", Reason::BodyHash),
    ] {
        assert_eq!(verify(&wire(&RFC_6376.replace(from, to)), &zone()).verdicts[0].reason, Some(reason), "{to}");
    }
    // Empty lines at the end may.
    assert!(verify(&wire(&format!("{RFC_6376}\n\n")), &zone()).verdicts[0].passed());
}

#[test]
fn rfc_8463_appendix_a() {
    for message in
        [RFC_8463.to_owned(), RFC_8463.replace("Subject: Is ", "SUBJECT:\tIs\n  ").replace("Joe.\n", "Joe. \t\n \n")]
    {
        let report = verify(&wire(&message), &zone());
        let read: Vec<_> =
            report.verdicts.iter().map(|verdict| (verdict.reason, verdict.algorithm, verdict.key_bits)).collect();
        let expect =
            [(None, Some(Algorithm::Ed25519Sha256), Some(256)), (None, Some(Algorithm::RsaSha256), Some(1024))];
        assert_eq!(read, expect);
    }
    // From, Subject and Date are over-signed there.
    let report = verify(&wire(&RFC_8463.replace("\nTo:", "\nSubject: another\nTo:")), &zone());
    assert!(report.verdicts.iter().all(|verdict| verdict.reason == Some(Reason::Signature)));
}

#[test]
fn rfc_6376_section_3_5_example_is_read() {
    let value = " v=1; a=rsa-sha256; d=example.net; s=brisbane;
   c=simple; q=dns/txt; i=@eng.example.net;
   t=1117574938; x=1118006938;
   h=from:to:subject:date;
   z=From:foo@eng.example.net|To:joe@example.com|
    Subject:demo=20run|Date:July=205,=202005=203:44:08=20PM=20-0700;
   bh=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=;
   b=dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZ
     VoG4ZHRNiYzR
";
    let value = wire(value);
    let signature = Signature::parse(&value).unwrap();
    assert_eq!((signature.header, signature.body), (Canon::Simple, Canon::Simple));
    assert_eq!(signature.identity, "@eng.example.net");
    assert_eq!((signature.made, signature.expires, signature.length), (Some(1_117_574_938), Some(1_118_006_938), None));
    assert_eq!(signature.names, ["from", "to", "subject", "date"]);
    assert_eq!(&signature.body_hash, b"12345678901234567890123456789012");
    assert_eq!(signature.question().unwrap().name.as_str(), "brisbane._domainkey.example.net");
    assert!(signature.is_expired(NOW));
}
