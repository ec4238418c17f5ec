use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::PathBuf,
};

use super::*;

fn letter(mailbox: &str, delivery: u8) -> Letter {
    Letter {
        mailbox: mailbox.parse().unwrap(),
        folder: Folder::Inbox,
        original: None,
        reverse_path: ReversePath::Mailbox("alice@a.example".parse().unwrap()),
        delivery: DeliveryId::from_bytes([delivery; 16]),
        received: Timestamp::from_secs(1_795_508_169),
        hostname: "mx.ours.example".into(),
    }
}

fn deliver(root: &Path, letter: &Letter, chunks: &[&[u8]]) -> Result<(), MaildirError> {
    let mut writing = Writing::begin(root, letter, 7)?;
    for chunk in chunks {
        writing.write(chunk)?;
    }
    writing.finish()
}

fn files(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_letter_lies_in_new_with_its_fields_and_line_ends() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().join("mail");
    let mut letter = letter("bob@ours.example", 1);
    letter.original = Some("Team@ours.example".parse().unwrap());
    deliver(&root, &letter, &[b"Subject: x\r\n\r\nline\r", b"\n.dot\r\n\ra\r", b"\r\n"]).unwrap();
    let folder = root.join("ours.example/bob");
    let name = "1795508169.rcp_01010101010101010101010101010101.mx.ours.example";
    assert_eq!(files(folder.join("new")), [name]);
    assert!(files(folder.join("tmp")).is_empty() && files(folder.join("cur")).is_empty());
    let text = fs::read_to_string(folder.join("new").join(name)).unwrap();
    assert_eq!(
        text,
        "Return-Path: <alice@a.example>\nDelivered-To: Team@ours.example\nSubject: x\n\nline\n.dot\n\ra\r\n"
    );
    assert_eq!(fs::metadata(folder.join("new").join(name)).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn what_is_under_quarantine_lies_in_junk() {
    let root = tempfile::tempdir().unwrap();
    let bob = letter("bob@ours.example", 1);
    for delivery in [1, 2] {
        let junk = Letter { folder: Folder::Junk, ..letter("bob@ours.example", delivery) };
        deliver(root.path(), &junk, &[b"one\r\n"]).unwrap();
    }
    deliver(root.path(), &bob, &[b"two\r\n"]).unwrap();
    let mailbox = root.path().join("ours.example/bob");
    assert_eq!(files(mailbox.join("new")).len(), 1);
    assert_eq!(files(mailbox.join(".Junk/new")).len(), 2);
    assert!(mailbox.join(".Junk/maildirfolder").is_file() && mailbox.join(".Junk/cur").is_dir());
}

#[test]
fn only_the_first_field_is_the_mark() {
    let check = |content: &str, expect: Folder| assert_eq!(Folder::of(content.as_bytes()), expect, "{content}");
    check("X-Posthouse-Quarantine: dmarc\r\nFrom: x\r\n", Folder::Junk);
    check("x-posthouse-quarantine:\r\n", Folder::Junk);
    check("X-Posthouse-Quarantined: x\r\n", Folder::Inbox);
    check("Received: x\r\nX-Posthouse-Quarantine: dmarc\r\n", Folder::Inbox);
    check("", Folder::Inbox);
}

#[test]
fn a_delivery_repeated_after_a_crash_adds_no_second_letter() {
    let root = tempfile::tempdir().unwrap();
    let bob = letter("bob@ours.example", 1);
    deliver(root.path(), &bob, &[b"one\r\n"]).unwrap();
    deliver(root.path(), &bob, &[b"one\r\n"]).unwrap();
    deliver(root.path(), &letter("bob@ours.example", 2), &[b"two\r\n"]).unwrap();
    let folder = root.path().join("ours.example/bob");
    assert_eq!(files(folder.join("new")).len(), 2);
    assert!(files(folder.join("tmp")).is_empty());
}

#[test]
fn a_letter_given_up_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut writing = Writing::begin(root.path(), &letter("bob@ours.example", 1), 1).unwrap();
    writing.write(b"half").unwrap();
    drop(writing);
    let folder = root.path().join("ours.example/bob");
    assert!(files(folder.join("new")).is_empty() && files(folder.join("tmp")).is_empty());
}

#[test]
fn hostile_names_stay_inside_the_root() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    for (index, local) in ["../../x", "a/b", ".", "..", ":2,", "x/../../y", "/etc/passwd"].iter().enumerate() {
        let delivery = u8::try_from(index).unwrap();
        deliver(&root, &letter(&format!("\"{local}\"@ours.example"), delivery), &[b"x\r\n"]).unwrap();
    }
    assert_eq!(files(outer.path().into()), ["root"]);
    assert_eq!(files(root.clone()), ["ours.example"]);
    let mut mailboxes = files(root.join("ours.example"));
    mailboxes.sort();
    assert_eq!(mailboxes, ["%2e", "%2e.", "%2e.%2f..%2fx", "%2fetc%2fpasswd", "%3a2%2c", "a%2fb", "x%2f..%2f..%2fy"]);
    for mailbox in mailboxes {
        assert_eq!(files(root.join("ours.example").join(mailbox).join("new")).len(), 1);
    }
}

#[test]
fn a_link_in_the_way_is_not_followed() {
    let outer = tempfile::tempdir().unwrap();
    let (root, outside) = (outer.path().join("root"), outer.path().join("outside"));
    fs::create_dir_all(outside.join("new")).unwrap();
    fs::create_dir_all(outside.join("tmp")).unwrap();
    fs::create_dir_all(root.join("ours.example/bob")).unwrap();
    let check = |link: &str, target: &Path, mailbox: &str| {
        symlink(target, root.join(link)).unwrap();
        let error = deliver(&root, &letter(mailbox, 1), &[b"x\r\n"]).unwrap_err();
        assert!(error.to_string().contains("a symbolic link or a file stands where a folder should"), "{error}");
        let refusal = error.refusal();
        assert!(refusal.reply.is_transient() && !refusal.reply.to_string().contains("root"), "no path for senders");
        fs::remove_file(root.join(link)).unwrap();
    };
    check("other.example", &outside, "bob@other.example");
    check("ours.example/eve", &outside, "eve@ours.example");
    check("ours.example/bob/new", &outside.join("new"), "bob@ours.example");
    assert!(files(outside.join("new")).is_empty() && files(outside.join("tmp")).is_empty());
}

#[test]
fn the_root_may_be_a_link() {
    let outer = tempfile::tempdir().unwrap();
    fs::create_dir(outer.path().join("disk")).unwrap();
    symlink(outer.path().join("disk"), outer.path().join("mail")).unwrap();
    deliver(&outer.path().join("mail"), &letter("bob@ours.example", 1), &[b"x\r\n"]).unwrap();
    assert_eq!(files(outer.path().join("disk/ours.example/bob/new")).len(), 1);
}
