-- What the file says of itself: node, epoch, message_reserved, outbox_reserved, low_water.
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

-- A message. Its deliveries have the numbers seq .. seq + recipients - 1. While nothing has happened to any of them the
-- message is whole: `whole` lists them, they have no rows, and the lease columns are those of its process. `prefix` goes
-- before the content; it is null when `content.data` has all.
CREATE TABLE message (
    seq         INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL,
    received    INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    content     INTEGER NOT NULL,
    recipients  INTEGER NOT NULL,
    owner       INTEGER,
    lease_until INTEGER,
    fence       INTEGER,
    prefix      BLOB,
    envelope    BLOB    NOT NULL,
    whole       BLOB
) STRICT;
CREATE UNIQUE INDEX message_id ON message (id) WHERE whole IS NULL;

-- A delivery that did not end at once. state: 0 queued, 1 deferred, 2 scheduled, 3 held. due is null while held. owner
-- is not null while leased. wish: 1 hold, 2 cancel, when the attempt under way ends without success.
CREATE TABLE delivery (
    seq           INTEGER PRIMARY KEY,
    message       INTEGER NOT NULL,
    id            BLOB    NOT NULL,
    state         INTEGER NOT NULL,
    due           INTEGER,
    received      INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    owner         INTEGER,
    lease_until   INTEGER,
    fence         INTEGER,
    wish          INTEGER,
    domain        TEXT    NOT NULL,
    recipient     TEXT    NOT NULL,
    original      TEXT,
    sender        TEXT    NOT NULL,
    sender_domain TEXT    NOT NULL,
    route         TEXT
) STRICT;
CREATE UNIQUE INDEX delivery_id ON delivery (id);
CREATE INDEX delivery_due ON delivery (domain, due) WHERE owner IS NULL AND due IS NOT NULL;
CREATE INDEX delivery_owner ON delivery (received) WHERE owner IS NOT NULL;
CREATE INDEX delivery_domain ON delivery (domain, state, received);
CREATE INDEX delivery_state ON delivery (state, received);
CREATE INDEX delivery_recipient ON delivery (lower(recipient), received);
CREATE INDEX delivery_sender ON delivery (sender, received);
CREATE INDEX delivery_sender_domain ON delivery (sender_domain, received);

-- The last attempt of a delivery.
CREATE TABLE attempt (
    seq        INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    outcome    BLOB    NOT NULL,
    source     TEXT,
    transcript BLOB
) STRICT;

-- Content, freed when refs is zero. In `data`, or in the file of that name.
CREATE TABLE content (
    seq  INTEGER PRIMARY KEY,
    refs INTEGER NOT NULL,
    file TEXT,
    data BLOB
) STRICT;
CREATE INDEX content_file ON content (file) WHERE file IS NOT NULL;

-- Rows of `delivery` by domain; head is the earliest due time of those without a lease.
CREATE TABLE destination (
    domain    TEXT PRIMARY KEY,
    queued    INTEGER NOT NULL,
    deferred  INTEGER NOT NULL,
    scheduled INTEGER NOT NULL,
    held      INTEGER NOT NULL,
    total     INTEGER NOT NULL,
    head      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX destination_head ON destination (head) WHERE head IS NOT NULL;
CREATE INDEX destination_total ON destination (total);

-- Rows of `delivery` by state.
CREATE TABLE counter (state INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;

-- Captured messages.
CREATE TABLE captured (
    seq          INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL,
    at           INTEGER NOT NULL,
    reverse_path TEXT    NOT NULL,
    recipients   BLOB    NOT NULL,
    size         INTEGER NOT NULL,
    content      INTEGER NOT NULL,
    prefix       BLOB
) STRICT;
CREATE UNIQUE INDEX captured_id ON captured (id);

-- Keys under which a second commit is the same message.
CREATE TABLE idempotency (key TEXT PRIMARY KEY, message BLOB NOT NULL, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_expires ON idempotency (expires);

-- Events on their way to the store: those of one transaction are one record, with the sequences first .. last.
CREATE TABLE outbox (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, events BLOB NOT NULL) STRICT;

-- Rows that could not be understood, as they were.
CREATE TABLE set_aside (seq INTEGER PRIMARY KEY, why TEXT NOT NULL, id BLOB, envelope BLOB, whole BLOB, content INTEGER) STRICT;
