//! Lines as programs and people send them.

use proptest::prelude::*;

use super::*;

fn mail(line: &str) -> Result<(String, MailParameters), CommandError> {
    match parse(line.as_bytes())? {
        Command::Mail { reverse_path, parameters } => Ok((reverse_path.to_string(), parameters)),
        other => panic!("{line}: {other:?}"),
    }
}

fn rcpt(line: &str) -> Result<String, CommandError> {
    match parse(line.as_bytes())? {
        Command::Rcpt { forward_path, .. } => Ok(forward_path.to_string()),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn what_people_type_is_understood() {
    for line in [
        "MAIL FROM:<a@b.example>",
        "MAIL FROM: <a@b.example>",
        "mail from:<a@b.example>",
        "MAIL FROM: a@b.example",
        "MAIL FROM:a@b.example",
        "  Mail \t From :  a@b.example  ",
        "MAIL FROM:< a@b.example >",
        "MAIL FROM:<@one.example,@two.example:a@b.example>",
        "MAIL FROM:<a@B.EXAMPLE>",
    ] {
        assert_eq!(mail(line).map(|(path, _)| path), Ok("<a@b.example>".to_owned()), "{line}");
    }
    assert_eq!(mail("MAIL FROM:<>").map(|(path, _)| path), Ok("<>".to_owned()));
    assert_eq!(rcpt("rcpt to: postmaster"), Ok("<postmaster>".to_owned()));
    assert_eq!(rcpt("RCPT TO:<Postmaster>"), Ok("<postmaster>".to_owned()));
    assert_eq!(rcpt("RCPT TO:<\"a> b\"@c.example>"), Ok("<\"a> b\"@c.example>".to_owned()));
    assert_eq!(rcpt("RCPT TO: \"a b\"@c.example"), Ok("<\"a b\"@c.example>".to_owned()));
    assert_eq!(rcpt("RCPT TO:<a@[192.0.2.1]>"), Ok("<a@[192.0.2.1]>".to_owned()));
    assert_eq!(parse(b"ehlo [1.2.3.4] "), Ok(Command::Ehlo("[1.2.3.4]")));
    assert_eq!(parse(b"noop what ever"), Ok(Command::Noop));
    assert_eq!(parse(b"help"), Ok(Command::Help(None)));
    assert_eq!(parse(b"help mail"), Ok(Command::Help(Some("mail"))));
}

#[test]
fn d3_addresses_are_those_of_the_rfc() {
    let local = "a".repeat(64);
    assert!(rcpt(&format!("RCPT TO:<{local}@x.example>")).is_ok());
    assert_eq!(
        rcpt(&format!("RCPT TO:<{local}a@x.example>")),
        Err(CommandError::ForwardPath(AddressError::LongLocalPart))
    );
    let domain = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(64));
    assert_eq!(domain.len(), 256);
    assert_eq!(mail(&format!("MAIL FROM:<a@{domain}>")), Err(CommandError::ReversePath(AddressError::LongDomain)));
    assert_eq!(rcpt("RCPT TO:<>"), Err(CommandError::ForwardPath(AddressError::NoAt)));
    assert_eq!(mail("MAIL FROM:<root>"), Err(CommandError::ReversePath(AddressError::NoAt)));
    for usage in [
        "MAIL FROM:",
        "MAIL FROM",
        "MAIL",
        "MAIL a@b.example",
        "MAIL FROM:<a@b.example",
        "MAIL FROM:<a@b>SIZE=1",
        "MAIL FROM: Anna <a@b>",
    ] {
        assert_eq!(mail(usage), Err(CommandError::Usage(Verb::Mail)), "{usage}");
    }
    for usage in [
        "RCPT TO:",
        "RCPT",
        "RCPT FROM:<a@b.example>",
        "RCPT TO:<\"a@b.example>",
        "RCPT TO: a@b.example, c@d.example",
        "RCPT TO: a@b.example c@d.example",
        "RCPT TO:<a@b.example> <c@d.example>",
        "RCPT TO:<a@b.example>,<c@d.example>",
    ] {
        assert_eq!(rcpt(usage), Err(CommandError::Usage(Verb::Rcpt)), "{usage}");
    }
}

#[test]
fn d4_parameters() {
    let parameters = |text: &str| mail(&format!("MAIL FROM:<a@b.example> {text}")).map(|(_, parameters)| parameters);
    let fault = |text: &str| match parameters(text) {
        Err(CommandError::Parameter(Verb::Mail, error)) => error.fault,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(
        parameters("size=12  body=8bitmime AUTH=e+3Dmc2@x.example"),
        Ok(MailParameters { size: Some(12), body: Body::EightBitMime, auth: Some("e=mc2@x.example".into()) })
    );
    assert_eq!(parameters("AUTH=<>").map(|parameters| parameters.auth), Ok(Some(String::new())));
    assert_eq!(parameters("SIZE=99999999999999999999").map(|parameters| parameters.size), Ok(Some(u64::MAX)));
    assert_eq!(
        fault("SIZE=999999999999999999999"),
        ParameterFault::Expected("a number of octets of at most 20 digits")
    );
    for bad in ["SIZE", "SIZE=", "SIZE=-1", "SIZE=+1", "SIZE=1k", "BODY", "BODY=9BIT", "AUTH", "AUTH=", "AUTH=+0D+0A"] {
        assert!(matches!(fault(bad), ParameterFault::Expected(_)), "{bad}");
    }
    assert_eq!(fault("SIZE=1 size=1"), ParameterFault::Twice);
    for unknown in ["BODY=BINARYMIME", "SMTPUTF8", "RET=FULL", "X", "=", "=1"] {
        assert_eq!(fault(unknown), ParameterFault::NotImplemented, "{unknown}");
    }
    assert!(matches!(rcpt("RCPT TO:<a@b.example> NOTIFY=NEVER"), Err(CommandError::Parameter(Verb::Rcpt, _))));
}

#[test]
fn a5_chunk_sizes() {
    let chunk = |size, place| Ok(Command::Bdat(Chunk { size, place }));
    assert_eq!(parse(b"BDAT 0 LAST"), chunk(0, ChunkPlace::Last));
    assert_eq!(parse(b"bdat 86 last"), chunk(86, ChunkPlace::Last));
    assert_eq!(parse(b"BDAT 1000000000000"), chunk(1_000_000_000_000, ChunkPlace::Inner));
    for bad in ["BDAT", "BDAT x", "BDAT -1", "BDAT 1 FIRST", "BDAT 1 LAST LAST", "BDAT 99999999999999999999"] {
        assert_eq!(parse(bad.as_bytes()), Err(CommandError::Usage(Verb::Bdat)), "{bad}");
    }
}

#[test]
fn what_is_no_command_is_told_apart() {
    let unknown = |name: &str| Err(CommandError::Unknown(name.into()));
    assert_eq!(parse(b""), Err(CommandError::Empty));
    assert_eq!(parse(b" \t "), Err(CommandError::Empty));
    assert_eq!(parse(b"FOO bar"), unknown("FOO"));
    assert_eq!(parse(b"MAILFROM:<a@b.example>"), unknown("MAILFROM:<a@b.example>"));
    assert_eq!(parse(b"turn"), Err(CommandError::NotImplemented("TURN")));
    assert_eq!(parse(b"NOOP\0"), Err(CommandError::Control));
    assert_eq!(parse(b"NOOP\x1b[31m"), Err(CommandError::Control));
    assert_eq!(parse(b"NOOP\rRSET"), Err(CommandError::Control));
    assert_eq!(parse("NOOP é".as_bytes()), Err(CommandError::NotAscii));
    assert_eq!(parse(b"NOOP \xff"), Err(CommandError::NotAscii));
    for usage in ["EHLO", "EHLO a b", "HELO", "DATA x", "RSET x", "QUIT x", "STARTTLS x", "VRFY", "EXPN", "AUTH"] {
        assert!(matches!(parse(usage.as_bytes()), Err(CommandError::Usage(_))), "{usage}");
    }
}

#[test]
fn b4_other_protocols_are_recognised() {
    for line in
        ["GET / HTTP/1.1", "POST /", "connect x:25 HTTP/1.1", "PRI * HTTP/2.0", "Host: x", "host:x", "OPTIONS *"]
    {
        assert_eq!(parse(line.as_bytes()), Err(CommandError::Foreign(Foreign::Http)), "{line}");
    }
    assert_eq!(parse(b"\x16\x03\x01\x02"), Err(CommandError::Foreign(Foreign::Tls)));
    assert!(matches!(parse(b"GETS"), Err(CommandError::Unknown(_))));
}

#[test]
fn long_lines_are_for_auth_only() {
    for line in ["AUTH", "auth ", "AUTH PLAIN", "  AUTH\tx"] {
        assert!(is_auth(line.as_bytes()), "{line}");
    }
    for line in ["", "AUT", "AUTHX", "MAIL FROM:<AUTH >"] {
        assert!(!is_auth(line.as_bytes()), "{line}");
    }
}

proptest! {
    #[test]
    fn anything_is_parsed_or_refused(line in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _result = parse(&line);
    }

    #[test]
    fn anything_after_a_verb_is_parsed_or_refused(rest in "(MAIL FROM|RCPT TO)?[ -~]{0,60}") {
        let _result = parse(rest.as_bytes());
    }
}
