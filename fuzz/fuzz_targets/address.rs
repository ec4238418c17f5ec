//! What parses as an address prints to something that parses to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{Domain, ForwardPath, Mailbox, ReversePath};

fuzz_target!(|text: &str| {
    if let Ok(mailbox) = text.parse::<Mailbox>() {
        let printed = mailbox.to_string();
        assert!(printed.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{printed:?}");
        assert_eq!(printed.parse::<Mailbox>().as_ref(), Ok(&mailbox));
    }
    if let Ok(domain) = text.parse::<Domain>() {
        assert_eq!(domain.to_string().parse::<Domain>(), Ok(domain));
    }
    let _paths = (text.parse::<ReversePath>(), text.parse::<ForwardPath>());
    let shown = mail::for_log(text, 200);
    assert!(!shown.chars().any(char::is_control));
});
