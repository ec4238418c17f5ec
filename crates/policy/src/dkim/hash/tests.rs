use super::*;

/// The canonical body, cut after each of `cuts` octets, again and again.
fn canonical(canon: Canon, body: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut machine = BodyCanon::new(canon);
    let (mut rest, mut cuts) = (body, cuts.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
        machine.update(piece, |octets| out.extend_from_slice(octets));
        rest = after;
    }
    machine.finish(|octets| out.extend_from_slice(octets));
    out
}

/// RFC 6376 §3.4.3 and §3.4.4 word by word, over the whole body.
fn model(canon: Canon, body: &[u8]) -> Vec<u8> {
    let text: String = body.iter().map(|octet| char::from(*octet)).collect();
    let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
    if canon == Canon::Relaxed {
        for line in &mut lines {
            let mut reduced = String::new();
            for character in line.chars() {
                let blank = matches!(character, ' ' | '\t');
                if !(blank && reduced.ends_with(' ')) {
                    reduced.push(if blank { ' ' } else { character });
                }
            }
            *line = reduced.trim_end_matches(' ').to_owned();
        }
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let mut out = lines.join("\r\n");
    if !out.is_empty() || canon == Canon::Simple {
        out.push_str("\r\n");
    }
    out.chars().map(|character| u8::try_from(character).unwrap()).collect()
}

#[test]
fn bodies() {
    let check = |body: &str, simple: &str, relaxed: &str| {
        for (canon, expect) in [(Canon::Simple, simple), (Canon::Relaxed, relaxed)] {
            for cut in [1, 2, 3, 1000] {
                let got = String::from_utf8(canonical(canon, body.as_bytes(), &[cut])).unwrap();
                assert_eq!(got, expect, "{canon:?} {body:?} by {cut}");
            }
        }
    };
    // RFC 6376 §3.4.5.
    check(" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n");
    check("", "\r\n", "");
    check("\r\n", "\r\n", "");
    check(" \t\r\n\r\n", " \t\r\n", "");
    check("a", "a\r\n", "a\r\n");
    check("a\r\n \r\n", "a\r\n \r\n", "a\r\n");
    check("a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n");
    check("a\r", "a\r\r\n", "a\r\r\n");
    check("a\r\r\n", "a\r\r\n", "a\r\r\n");
    check("a \rb\nc\r\n", "a \rb\nc\r\n", "a \rb\nc\r\n");
    check("\r\n\r\n\r", "\r\n\r\n\r\r\n", "\r\n\r\n\r\r\n");
}

#[test]
fn many_empty_lines_are_counted_and_come_back() {
    for canon in [Canon::Simple, Canon::Relaxed] {
        for count in [63, 64, 65, 1000] {
            let inside = format!("a\r\n{}b\r\n", "\r\n".repeat(count));
            assert_eq!(canonical(canon, inside.as_bytes(), &[7, 1]), inside.as_bytes(), "{canon:?}");
            let behind = format!("a\r\n{}", "\r\n".repeat(count));
            assert_eq!(canonical(canon, behind.as_bytes(), &[7, 1]), b"a\r\n", "{canon:?}");
        }
    }
}

#[test]
fn hashes_are_shared_and_limited() {
    let mut hasher = BodyHasher::default();
    let whole = hasher.want(Canon::Relaxed, None);
    let first = hasher.want(Canon::Relaxed, Some(3));
    assert_eq!(hasher.want(Canon::Relaxed, None), whole);
    assert_eq!(hasher.lanes.len(), 1);
    hasher.update(b"ab ");
    hasher.update(b" cd\r\n\r\n");
    let hashes = hasher.finish();
    assert_eq!(hashes.get(whole).sha256, sha256(b"ab cd\r\n"));
    assert_eq!(hashes.get(first).sha256, sha256(b"ab "));
    assert_eq!(hashes.get(first).length, 7);
}

mod properties {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// Bodies in which blanks and line ends are as frequent as letters.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        let word = select(vec![
            &b"a"[..],
            b"b c",
            b" ",
            b"\t",
            b"\r\n",
            b"\r\n\r\n",
            b" \r\n",
            b"\r",
            b"\n",
            b"\xff",
            b".",
            b"a line of text that is long enough to be taken whole\r\n",
        ]);
        vec(word, 0..60).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn any_cut_gives_what_the_rfc_says(body in body(), cuts in vec(1_usize..40, 1..10)) {
            for canon in [Canon::Simple, Canon::Relaxed] {
                prop_assert_eq!(canonical(canon, &body, &cuts), model(canon, &body));
            }
        }

        #[test]
        fn long_lines_too(length in 4000_usize..9000, tail in body(), cut in 1_usize..9000) {
            let body = [vec![b'x'; length], tail].concat();
            for canon in [Canon::Simple, Canon::Relaxed] {
                prop_assert_eq!(canonical(canon, &body, &[cut]), model(canon, &body));
            }
        }
    }
}
