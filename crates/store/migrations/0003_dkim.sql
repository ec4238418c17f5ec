-- The keys that sign a domain's mail. `secret` is sealed: what it says is known to the program, not to this database.
-- `record` is what the DNS has to publish at selector._domainkey.domain; `since` is when the state was entered.
CREATE TABLE dkim_key (
    id       INTEGER NOT NULL PRIMARY KEY,
    domain   INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
    selector TEXT    NOT NULL COLLATE NOCASE,
    record   TEXT    NOT NULL,
    secret   BLOB    NOT NULL,
    state    TEXT    NOT NULL CHECK (state IN ('waiting', 'active', 'retired')),
    since    INTEGER NOT NULL,
    UNIQUE (domain, selector)
);
