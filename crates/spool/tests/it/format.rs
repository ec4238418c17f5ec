//! The format on the disk. When this fails, the format has changed: give it a new number and a way from the old one.

use crate::support::{at, open};

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_of_format_1() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), at(0));
    use spool::Spool as _;
    spool.close().await;
    let connection = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    let mut text = format!(
        "application_id {:#x}\nuser_version {}\npage_size {}\n",
        number("application_id"),
        number("user_version"),
        number("page_size")
    );
    let mut statement =
        connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    for sql in statement.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        text.push_str(&sql.unwrap().split_whitespace().collect::<Vec<_>>().join(" "));
        text.push('\n');
    }
    let golden = include_str!("format/schema-1.txt");
    assert!(text == golden, "the schema is now:\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_format_1() {
    use spool::Spool as _;
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), at(0));
    let mut new = crate::support::message(at(0), &["a@x.example", "b@x.example"]);
    new.id = "msg_01a3185c500072128000000000000001".parse().unwrap();
    new.deliveries[0].id = "rcp_01a3185c500072128000000000000002".parse().unwrap();
    new.deliveries[1].id = "rcp_01a3185c500072128000000000000003".parse().unwrap();
    new.deliveries[1].original = Some("alias@x.example".parse().unwrap());
    crate::support::commit(spool.as_ref(), b"x", new, at(0)).await.unwrap();
    spool.close().await;
    let connection = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
    let blob = |sql: &str| {
        let bytes: Vec<u8> = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        String::from_utf8_lossy(&bytes).escape_debug().to_string()
    };
    let text = format!(
        "envelope {}\nwhole {}\nevents {}\n",
        blob("SELECT envelope FROM message"),
        blob("SELECT whole FROM message"),
        blob("SELECT events FROM outbox")
    );
    let golden = include_str!("format/records-1.txt");
    assert!(text == golden, "the records are now:\n{text}");
}
