-- What the gate remembers over a restart. Keys are digests: nobody's name is in them.

-- Triplets of the greylist, and networks of which triplets have passed. `passes` is zero for a mere try.
CREATE TABLE greylist (
    key    BLOB    NOT NULL PRIMARY KEY,
    first  INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    passes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX greylist_latest ON greylist (latest);

-- Where an account has signed in well, and when last.
CREATE TABLE acquaintance (
    client  TEXT    NOT NULL,
    account BLOB    NOT NULL,
    latest  INTEGER NOT NULL,
    PRIMARY KEY (client, account)
) WITHOUT ROWID;
CREATE INDEX acquaintance_latest ON acquaintance (latest);
