//! Any split of the input gives the same replies and the same messages (A2), for conversations nobody would write.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{pure::Stage, script::Script};

const PIECES: [&str; 28] = [
    "EHLO x.example\r\n",
    "MAIL FROM:<a@x.example>\r\n",
    "MAIL FROM:<a@x.example> SIZE=5000\r\n",
    "RCPT TO:<b@x.example>\r\n",
    "RCPT TO:<unknown@x.example>\r\n",
    "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n",
    "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\n",
    "DATA\r\n",
    ".\r\n",
    "\r\n.\r\n",
    "..\r\n",
    "\n.\r\n",
    "\r",
    "\n",
    "\r\n",
    ".",
    "a line of text\r\n",
    "BDAT 20\r\n",
    "BDAT 16 LAST\r\n",
    "BDAT 0 LAST\r\n",
    "BDAT 3000\r\n",
    "RSET\r\n",
    "AUTH LOGIN\r\n",
    "YW5uYQ==\r\n",
    "*\r\n",
    "NOOP\r\n",
    "\0\x16\x03",
    "FOO\r\n",
];

type Seen = (Vec<String>, Vec<super::desk::Message>, bool);

fn feed<'a>(settings: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let mut stage = Stage::new(&Script::parse(settings));
    for part in parts {
        stage.input(part);
    }
    stage.session.handle_eof(stage.now);
    stage.poll();
    (stage.said.into(), stage.desk.accepted, stage.closed)
}

proptest! {
    #[test]
    fn a2_any_split_gives_the_same(
        pieces in vec(select(&PIECES[..]), 0..30),
        sizes in vec(1_usize..40, 1..20),
        normalise in any::<bool>(),
    ) {
        let settings = format!("settings: pure plaintext_auth size=1000 errors=6 {}", if normalise { "normalise" } else { "" });
        let input = format!("EHLO x.example\r\n{}", pieces.concat());
        let whole = feed(&settings, [input.as_bytes()]);
        prop_assert!(whole.2);
        let mut parts = Vec::new();
        let mut rest = input.as_bytes();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (part, behind) = rest.split_at((*size).min(rest.len()));
            parts.push(part);
            rest = behind;
        }
        prop_assert_eq!(&feed(&settings, parts), &whole);
        prop_assert_eq!(&feed(&settings, input.as_bytes().chunks(1)), &whole);
    }

    #[test]
    fn any_octets_are_answered(input in vec(any::<u8>(), 0..300)) {
        let (_, accepted, closed) = feed("settings: pure", [&input[..]]);
        prop_assert!(accepted.is_empty() && closed);
    }
}
