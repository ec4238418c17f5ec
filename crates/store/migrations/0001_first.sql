-- The first schema. Times are microseconds since 1970, ids their sixteen bytes. Texts that name a mailbox or a domain
-- compare without regard to case (ASCII).

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Counts the changes to the directory: domains, users, aliases, catch-alls.
INSERT INTO meta (key, value) VALUES ('directory_version', '0');

CREATE TABLE domain (
    id   INTEGER NOT NULL PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    kind TEXT    NOT NULL CHECK (kind IN ('local', 'relay'))
);

CREATE TABLE user (
    id               INTEGER NOT NULL PRIMARY KEY,
    domain           INTEGER NOT NULL REFERENCES domain (id),
    address          TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    argon2           TEXT    NOT NULL,
    scram_salt       BLOB    NOT NULL,
    scram_iterations INTEGER NOT NULL,
    scram_stored_key BLOB    NOT NULL,
    scram_server_key BLOB    NOT NULL
);
CREATE INDEX user_domain ON user (domain);

CREATE TABLE alias (
    id      INTEGER NOT NULL PRIMARY KEY,
    domain  INTEGER NOT NULL REFERENCES domain (id),
    address TEXT    NOT NULL UNIQUE COLLATE NOCASE
);
CREATE INDEX alias_domain ON alias (domain);

CREATE TABLE alias_target (
    alias  INTEGER NOT NULL REFERENCES alias (id) ON DELETE CASCADE,
    target TEXT    NOT NULL COLLATE NOCASE,
    PRIMARY KEY (alias, target)
) WITHOUT ROWID;
CREATE INDEX alias_target_target ON alias_target (target);

CREATE TABLE catch_all (
    domain INTEGER NOT NULL PRIMARY KEY REFERENCES domain (id) ON DELETE CASCADE,
    target TEXT    NOT NULL COLLATE NOCASE
);

-- A node writes events; its cursor is the last sequence taken from it, moved in the transaction that takes them.
CREATE TABLE node (
    id     INTEGER NOT NULL PRIMARY KEY,
    name   TEXT    NOT NULL UNIQUE,
    cursor INTEGER NOT NULL
);

-- Every fact. The id is node × 2^48 + sequence: rows are appended, and need no second key to be unique.
CREATE TABLE event (
    id      INTEGER NOT NULL PRIMARY KEY,
    message BLOB    NOT NULL,
    data    BLOB    NOT NULL
);
CREATE INDEX event_message ON event (message);

-- What lists need of a message.
CREATE TABLE message (
    id            BLOB    NOT NULL PRIMARY KEY,
    sender        TEXT    NOT NULL COLLATE NOCASE,
    sender_domain TEXT    NOT NULL COLLATE NOCASE,
    received      INTEGER NOT NULL,
    size          INTEGER NOT NULL,
    service       TEXT    NOT NULL
) WITHOUT ROWID;
CREATE INDEX message_sender ON message (sender);

-- The latest state of each recipient: 0 queued, 1 deferred, 2 held, 3 delivered, 4 bounced, 5 expired, 6 cancelled.
CREATE TABLE delivery (
    message   BLOB    NOT NULL,
    id        BLOB    NOT NULL,
    recipient TEXT    NOT NULL COLLATE NOCASE,
    domain    TEXT    NOT NULL COLLATE NOCASE,
    state     INTEGER NOT NULL,
    attempts  INTEGER NOT NULL,
    event     INTEGER NOT NULL,
    PRIMARY KEY (message, id)
) WITHOUT ROWID;
CREATE INDEX delivery_id ON delivery (id);
CREATE INDEX delivery_recipient ON delivery (recipient);
CREATE INDEX delivery_domain ON delivery (domain);
CREATE INDEX delivery_failed ON delivery (state) WHERE state >= 4;
