//! Content by DATA and BDAT: what is on the wire, and in how many writes.

use super::{check, pure::Stage, script::Script};

#[test]
fn dots_are_put_on_and_line_ends_repaired() {
    check(
        "settings: piece=1
         ~ PIPELINING
         mail <a@x.example> <b@x.example> \".\\r\\n..x\\na\\rb\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 354 go
         C< ..\\r\\n...x\\r\\na b\\r\\n.\\r\\n
         S: 250 queued
         = <b@x.example> accepted 250 queued
         = done, reusable",
    );
}

#[test]
fn content_refused() {
    check(
        "~ PIPELINING
         mail <a@x.example> <b@x.example> <c@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: RCPT TO:<c@x.example>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 450 4.2.1 greylisted
         S: 354 go
         C: Hi
         C: .
         S: 554 5.7.1 spam
         = <b@x.example> refused at content 554 5.7.1 spam
         = <c@x.example> refused at rcpt 450 4.2.1 greylisted
         = done, reusable",
    );
}

#[test]
fn a_small_message_by_bdat_is_one_write() {
    let script = "~ PIPELINING CHUNKING SIZE
         mail <a@x.example> <b@x.example> \".\\r\\nHi\\r\\n\"
         C: MAIL FROM:<a@x.example> SIZE=7
         C: RCPT TO:<b@x.example>
         C: BDAT 7 LAST
         C: .
         C: Hi
         S: 250 ok
         S: 250 ok
         S: 250 2.0.0 queued
         = <b@x.example> accepted 250 2.0.0 queued
         = done, reusable";
    check(script);
    // Banner and EHLO, then the message.
    assert_eq!(Stage::after(&Script::parse(script)).writes, 2);
}

#[test]
fn a_small_message_by_data_is_two_writes() {
    let script = Script::parse("~ PIPELINING\nmail <a@x.example> <b@x.example> \"Hi\\r\\n\"");
    let mut stage = Stage::after(&script);
    stage.input(b"250 ok\r\n250 ok\r\n354 go\r\n");
    stage.input(b"250 queued\r\n");
    assert_eq!(stage.told, ["<b@x.example> accepted 250 queued", "done, reusable"]);
    assert_eq!(stage.writes, 3);
}

#[test]
fn bdat_without_pipelining() {
    check(
        "~ CHUNKING
         mail <a@x.example> <b@x.example> \"Hi\"
         C: MAIL FROM:<a@x.example>
         S: 250 ok
         C: RCPT TO:<b@x.example>
         S: 250 ok
         C: BDAT 4 LAST
         C: Hi
         S: 250 queued
         = <b@x.example> accepted 250 queued
         = done, reusable",
    );
}

#[test]
fn an_empty_message_by_bdat() {
    check(
        "~ CHUNKING PIPELINING
         mail <a@x.example> <b@x.example> \"\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: BDAT 0 LAST
         S: 250 ok
         S: 250 ok
         S: 250 queued
         = <b@x.example> accepted 250 queued
         = done, reusable",
    );
}

#[test]
fn settings_can_turn_chunks_off() {
    check(
        "settings: no_chunks
         ~ CHUNKING PIPELINING
         mail <a@x.example> <b@x.example> \"\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 354 go
         C: .
         S: 250 queued
         = <b@x.example> accepted 250 queued
         = done, reusable",
    );
}

#[test]
fn bdat_refused_with_all_recipients() {
    check(
        "~ CHUNKING PIPELINING
         mail <a@x.example> <b@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: BDAT 4 LAST
         C: Hi
         S: 250 ok
         S: 550 5.1.1 nobody
         S: 503 5.5.1 no valid recipients
         C: RSET
         S: 250 ok
         = <b@x.example> refused at rcpt 550 5.1.1 nobody
         = done, reusable",
    );
    check(
        "~ CHUNKING PIPELINING
         mail <a@x.example> <b@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: BDAT 4 LAST
         C: Hi
         S: 550 5.7.1 not you
         S: 503 5.5.1 MAIL first
         S: 503 5.5.1 RCPT first
         C: RSET
         S: 250 ok
         = <b@x.example> refused at mail 550 5.7.1 not you
         = done, reusable",
    );
}

#[test]
fn a_chunk_is_refused_for_what_is_in_it() {
    check(
        "~ CHUNKING PIPELINING
         mail <a@x.example> <b@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: BDAT 4 LAST
         C: Hi
         S: 250 ok
         S: 250 ok
         S: 554 5.7.1 spam
         C: RSET
         S: 250 ok
         = <b@x.example> refused at content 554 5.7.1 spam
         = done, reusable",
    );
}

/// G6: the server may take what it did not know for commands, so nothing more is said to it; and what it says about the
/// command is no word on the message, which is deferred.
#[test]
fn g6_bdat_offered_and_refused() {
    for code in [500, 502, 503] {
        check(&format!(
            "~ CHUNKING PIPELINING
             mail <a@x.example> <b@x.example> <c@x.example> \"Hi\\r\\n\"
             C: MAIL FROM:<a@x.example>
             C: RCPT TO:<b@x.example>
             C: RCPT TO:<c@x.example>
             C: BDAT 4 LAST
             C: Hi
             S: 250 ok
             S: 250 ok
             S: 550 5.1.1 nobody
             S: {code} 5.5.1 what?
             = <b@x.example> lost at data, protocol: the server offers CHUNKING and refuses BDAT: {code} 5.5.1 what?
             = <c@x.example> refused at rcpt 550 5.1.1 nobody
             = done, not reusable, without chunks
             X"
        ));
    }
}

fn large(extensions: &str, octets: usize, piece: usize) -> Script {
    let content = "0123456789abcdef0123456789abcd\\r\\n".repeat(octets / 32);
    Script::parse(&format!(
        "settings: piece={piece}
         ~ {extensions}
         mail <a@x.example> <b@x.example> \"{content}\""
    ))
}

/// Chunks as a reader of the wire finds them: the octets of each, and whether it was the last.
fn chunks(mut said: &[u8]) -> Vec<(usize, bool)> {
    let mut found = Vec::new();
    while !said.is_empty() {
        let end = said.iter().position(|octet| *octet == b'\n').unwrap();
        let header = std::str::from_utf8(&said[..end]).unwrap();
        let mut words = header.trim_end().split(' ').skip(1);
        let octets: usize = words.next().unwrap().parse().unwrap();
        found.push((octets, words.next() == Some("LAST")));
        said = &said[end + 1 + octets..];
    }
    found
}

#[test]
fn a_large_message_leaves_in_chunks_once_a_recipient_is_taken() {
    let octets = 3_200_000;
    let mut stage = Stage::after(&large("PIPELINING CHUNKING", octets, 64 * 1024));
    assert!(stage.said.ends_with(b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\n"));
    stage.said.clear();
    stage.input(b"250 ok\r\n250 ok\r\n");
    let mut all = Vec::new();
    while !all.last().is_some_and(|(_, last)| *last) {
        let found = chunks(&std::mem::take(&mut stage.said));
        assert!((1..=4).contains(&found.len()), "{found:?}");
        stage.input(&b"250 ok\r\n".repeat(found.len()));
        all.extend(found);
    }
    assert_eq!(all.iter().map(|(octets, _)| octets).sum::<usize>(), octets);
    assert!(all.iter().rev().skip(1).all(|(octets, last)| *octets == 256 * 1024 && !last));
    assert_eq!(stage.told, ["<b@x.example> accepted 250 ok", "done, reusable"]);
}

#[test]
fn a_large_message_stops_at_the_chunk_that_is_refused() {
    let mut stage = Stage::after(&large("PIPELINING CHUNKING", 3_200_000, 64 * 1024));
    stage.said.clear();
    stage.input(b"250 ok\r\n250 ok\r\n");
    let found = chunks(&std::mem::take(&mut stage.said));
    stage.input(b"552 5.3.4 too large\r\n");
    assert_eq!(stage.said, b"");
    stage.input(&b"503 5.5.1 no transaction\r\n".repeat(found.len() - 1));
    assert_eq!(stage.said, b"RSET\r\n");
    stage.input(b"250 ok\r\n");
    assert_eq!(stage.told, ["<b@x.example> refused at content 552 5.3.4 too large", "done, reusable"]);
}

/// However large the message, what waits for the driver is bounded.
#[test]
fn content_waits_for_the_driver() {
    let mut stage = Stage::after(&large("PIPELINING", 3_200_000, 1000));
    stage.said.clear();
    let before = stage.writes;
    stage.input(b"250 ok\r\n250 ok\r\n354 go\r\n");
    assert_eq!(stage.said.len(), 3_200_000 + 3);
    let writes = stage.writes - before;
    assert_eq!(writes, 3_200_000_usize.div_ceil(256 * 1024 + 1000));
    stage.input(b"250 ok\r\n");
    assert_eq!(stage.told, ["<b@x.example> accepted 250 ok", "done, reusable"]);
}
