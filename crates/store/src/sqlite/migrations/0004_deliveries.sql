-- Messages to programs of others that wait to be delivered, or were given up; times are microseconds
-- since 1970-01-01T00:00:00Z.
CREATE TABLE delivery (
    org      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    target   TEXT    NOT NULL,
    id       BLOB    NOT NULL,
    kind     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    made     INTEGER NOT NULL,
    due      INTEGER NOT NULL,
    is_dead  INTEGER NOT NULL,
    error    TEXT    NOT NULL,
    bytes    INTEGER NOT NULL,
    body     BLOB    NOT NULL, -- last, so that scans over the rest do not touch its pages
    UNIQUE (org, position)
) STRICT;
