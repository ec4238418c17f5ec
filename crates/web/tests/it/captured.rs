//! The list, one message, its HTML part and the message as received.

use axum::http::StatusCode;

use crate::world::{World, get};

/// Text that would be markup, end an attribute, or turn the reading direction.
const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}";

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_says_how_to_send() {
    let world = World::new();
    let page = world.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("Nothing yet.") && page.text().contains("swaks --server"), "{}", page.text());
    let page = get(&world.spool, "/", "ru-RU,ru;q=0.9").await;
    assert!(page.text().contains("<html lang=\"ru\">") && page.text().contains("Пока ничего нет."), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_goes_on_over_pages() {
    let mut world = World::new();
    for number in 1..=60 {
        world.capture(format!("Subject: number {number}.\r\n\r\nx\r\n").as_bytes()).await;
    }
    let first = world.get("/").await;
    let subjects = |text: &str| text.matches(">number ").count();
    assert_eq!(subjects(first.text()), 50);
    assert!(first.text().contains("number 60.") && !first.text().contains("number 10."), "newest first");
    let (_, after) = first.text().split_once("href=\"/?before=").expect("a link to older ones");
    let (id, _) = after.split_once('"').expect("its end");
    let second = world.get(&format!("/?before={id}")).await;
    assert_eq!(subjects(second.text()), 10);
    assert!(second.text().contains("number 10.") && second.text().contains("number 1."));
    assert!(!second.text().contains("?before="), "there are no older ones");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message() {
    let mut world = World::new();
    let content = "Subject: =?utf-8?B?0J/RgNC40LLQtdGC?=\r\nX-Mine: 1\r\n\r\nline one\r\nline two\r\n";
    let id = world.capture(content.as_bytes()).await;
    let page = world.get(&format!("/captured/{id}")).await;
    assert_eq!(page.status, StatusCode::OK);
    for part in ["<h1>Привет</h1>", "me@example.net", "you@example.org", "X-Mine", "line one\nline two\n", "UTC"]
    {
        assert!(page.text().contains(part), "{part} is missing in {}", page.text());
    }
    assert!(!page.text().contains("<iframe"), "it has no HTML part");
    let raw = world.get(&format!("/captured/{id}/raw")).await;
    assert_eq!(raw.body, content.as_bytes());
    assert_eq!(raw.header("content-type"), "message/rfc822");
    assert_eq!(raw.header("content-disposition"), format!("attachment; filename=\"{id}.eml\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_text() {
    let mut world = World::new();
    let content = format!(
        "Subject: {HOSTILE}\r\nFrom: {HOSTILE}\r\nX-{HOSTILE}: y\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\n\r\n{HOSTILE}\r\n--b\r\nContent-Type: application/pdf\r\n\
         Content-Disposition: attachment; filename=\"<script>alert(2)</script>.pdf\"\r\n\r\nx\r\n--b--\r\n"
    );
    let id = world.capture(content.as_bytes()).await;
    for path in ["/".to_owned(), format!("/captured/{id}")] {
        let page = world.get(&path).await;
        let text = page.text();
        assert!(text.contains("&lt;script&gt;alert(1)"), "the text is shown: {text}");
        for never in ["<script", "<img", "onerror=alert(1)\"", "\u{202e}"] {
            assert!(!text.contains(never), "{never} in {text}");
        }
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn html_is_shown_in_a_sandbox() {
    let mut world = World::new();
    let html = "<p onclick=x()>Hello</p><script>x()</script>";
    let id = world.capture(format!("Content-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n").as_bytes()).await;
    let page = world.get(&format!("/captured/{id}")).await;
    assert!(page.text().contains(&format!("<iframe sandbox title=\"HTML\" src=\"/captured/{id}/html\">")));
    assert!(!page.text().contains("<script"), "the part is in its frame only");
    let part = world.get(&format!("/captured/{id}/html")).await;
    assert!(part.text().contains(html), "as it came");
    let policy = part.header("content-security-policy");
    assert!(policy.starts_with("sandbox; default-src 'none'"), "{policy}");
    assert!(!policy.contains("allow-") && !policy.contains("script-src"), "{policy}");
    assert_eq!(part.header("x-dns-prefetch-control"), "off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_message_is_cut_and_the_file_is_whole() {
    let mut world = World::new();
    let mut content = b"Subject: long\r\n\r\n".to_vec();
    content.extend_from_slice(
        "sixty-four octets are in this line of text, with its line end..\r\n".repeat(60_000).as_bytes(),
    );
    let id = world.capture(&content).await;
    let page = world.get(&format!("/captured/{id}")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("its beginning is shown"));
    assert!(page.body.len() < 1_000_000, "{} octets", page.body.len());
    let raw = world.get(&format!("/captured/{id}/raw")).await;
    assert!(raw.body == content, "{} octets of {}", raw.body.len(), content.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there() {
    let mut world = World::new();
    world.capture(b"Subject: x\r\n\r\nx\r\n").await;
    let unknown = "msg_01a20d2cf2bc7367a05c1a6d9ee38fe0";
    for path in [
        "/nowhere".to_owned(),
        "/captured/".to_owned(),
        "/captured/x".to_owned(),
        "/captured/..%2f..%2fsecret.key/raw".to_owned(),
        format!("/captured/{unknown}"),
        format!("/captured/{unknown}/raw"),
        format!("/captured/{unknown}/html"),
        "/?before=x".to_owned(),
    ] {
        let page = world.get(&path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.text().contains("<h1>Not found</h1>"), "{path}: {}", page.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_is_gone_is_said_so() {
    let mut world = World::new();
    let id = world.capture(&[b"Subject: gone\r\n\r\n".as_slice(), &b"text\r\n".repeat(50_000)].concat()).await;
    for file in std::fs::read_dir(world.folder.path().join("spool/content")).expect("a folder").flatten() {
        std::fs::remove_file(file.path()).expect("it is removed");
    }
    let list = world.get("/").await;
    assert_eq!(list.status, StatusCode::OK);
    assert!(list.text().contains("Unreadable message"), "{}", list.text());
    let page = world.get(&format!("/captured/{id}")).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text().contains("damaged or gone"), "{}", page.text());
}
