use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_508_169);

fn srs() -> Srs {
    Srs::new(&[7; SECRET])
}

fn ours() -> Domain {
    "ours.example".parse().unwrap()
}

fn address(text: &str) -> Mailbox {
    text.parse().unwrap()
}

fn later(days: i64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() + days * SECONDS_OF_DAY)
}

fn rewritten(sender: &str) -> Mailbox {
    srs().rewrite(&address(sender), &ours(), NOW).unwrap()
}

fn check_back(rewritten: &Mailbox, expect: &str) {
    assert_eq!(srs().original(&rewritten.local, NOW), Some(Ok(address(expect))), "{rewritten}");
}

#[test]
fn the_first_hop() {
    let there = rewritten("Ann@far.example");
    assert_eq!(there.to_string(), "SRS0=IYX3BCYQ=JN=far.example=Ann@ours.example");
    check_back(&there, "Ann@far.example");
}

#[test]
fn the_second_hop_and_every_further_one() {
    let second = rewritten("SRS0=HHH=TT=far.example=ann@fwd.example");
    assert!(second.to_string().ends_with("=fwd.example==HHH=TT=far.example=ann@ours.example"), "{second}");
    check_back(&second, "SRS0=HHH=TT=far.example=ann@fwd.example");
    let third = rewritten("SRS1=xxxx=fwd.example==HHH=TT=far.example=ann@fwd2.example");
    assert_eq!(third, second, "the forwarder between falls out");
    let other = rewritten("srs0+HHH=TT=far.example=ann@fwd.example");
    check_back(&other, "SRS0+HHH=TT=far.example=ann@fwd.example");
}

#[test]
fn odd_senders() {
    for sender in [
        "\"a b\"@far.example",
        "\"q\\\"x\"@far.example",
        "a=b=c@far.example",
        "srs0@far.example",
        "SRS1=x@far.example",
        "SRS1=-x=other.example=bob@far.example",
    ] {
        check_back(&rewritten(sender), sender);
    }
}

#[test]
fn letters_of_either_case_are_the_same() {
    let there = rewritten("ann@far.example");
    for changed in [there.local.to_string().to_lowercase(), there.local.to_string().to_uppercase()] {
        let back = srs().original(&changed.parse().unwrap(), NOW).unwrap().unwrap();
        assert_eq!(back.folded(), "ann@far.example");
    }
}

#[test]
fn three_weeks_and_two_keys() {
    let there = rewritten("ann@far.example").local;
    let age = |days| srs().original(&there, later(days)).unwrap().err();
    assert_eq!([age(-1), age(0), age(1), age(21)], [None; 4]);
    assert_eq!([age(-2), age(22), age(89)], [Some(SrsError::Expired); 3]);
    assert_eq!(age(180), Some(SrsError::Forged), "the key is forgotten");
    assert_eq!(age(1024), Some(SrsError::Forged), "when its day comes round again");
    let second = rewritten("SRS0=H=T=far.example=ann@fwd.example").local;
    let known = |days| srs().original(&second, later(days)).unwrap().is_ok();
    assert!(known(90) && !known(180));
}

#[test]
fn what_does_not_fit_is_not_made() {
    let long = format!("{}@far.example", "x".repeat(34));
    assert!(srs().rewrite(&address(&long), &ours(), NOW).is_ok());
    let long = format!("{}@far.example", "x".repeat(36));
    assert_eq!(srs().rewrite(&address(&long), &ours(), NOW), Err(AddressError::LongLocalPart));
}

fn check_not(local: &str, expect: Option<SrsError>) {
    let found = srs().original(&local.parse().unwrap(), NOW);
    assert_eq!(found.map(|found| found.unwrap_err()), expect, "{local}");
}

#[test]
fn what_was_not_made_here() {
    for plain in ["ann", "SRS", "SRS0", "SRS2=a=b=c=d", "srs0x", "SRS0.a=b=c=d"] {
        check_not(plain, None);
    }
    for forged in [
        "SRS0=AAAAAAAA=JN=far.example=ann",
        "SRS0=IYX3BCYQ=JN=far.example=bob",
        "SRS0=IYX3BCYQ=JN=near.example=Ann",
        "SRS0=IYX3BCYQ=JO=far.example=Ann",
        "SRS0=IYX3BCY=JN=far.example=Ann",
        "SRS0=A=B=C=D",
        "SRS1=IYX3BCYQ=far.example==JN=far.example=Ann",
    ] {
        check_not(forged, Some(SrsError::Forged));
    }
    for malformed in ["SRS0=", "SRS0==", "SRS0=a=b=c", "SRS0=a=b==d", "SRS1=", "SRS1=a", "SRS1=a=b", "SRS1=a=b=c"] {
        check_not(malformed, Some(SrsError::Malformed));
    }
    let other = Srs::new(&[8; SECRET]).rewrite(&address("ann@far.example"), &ours(), NOW).unwrap();
    assert_eq!(srs().original(&other.local, NOW), Some(Err(SrsError::Forged)));
}

#[test]
fn its_secret_is_not_shown() {
    assert_eq!(format!("{:?}", srs()), "Srs(<redacted>)");
}

proptest! {
    #[test]
    fn there_and_back(local in "[a-zA-Z0-9=+. -]{1,20}", domain in "[a-z]{1,8}(\\.[a-z]{1,6}){1,2}", hops in 1_usize..4) {
        let Ok(sender) = Mailbox::new(local_part(&local).unwrap(), domain.parse().unwrap()) else { return Ok(()) };
        let mut path = sender.clone();
        for hop in 0..hops {
            let ours: Domain = format!("hop{hop}.example").parse().unwrap();
            let Ok(next) = srs().rewrite(&path, &ours, NOW) else { return Ok(()) };
            path = next;
        }
        // A notification takes two hops back at most: to the first forwarder, and from there to the sender.
        let mut back = path;
        for _ in 0..hops.min(2) {
            back = srs().original(&back.local, NOW).unwrap().unwrap();
        }
        prop_assert_eq!(back, sender);
    }

    #[test]
    fn nothing_from_outside_panics(local in "(SRS|srs)[01][=+-][ -~]{0,40}") {
        if let Ok(local) = local_part(&local) {
            let opened = srs().original(&local, NOW);
            prop_assert!(opened.is_none_or(|opened| opened.is_err()));
        }
    }
}
