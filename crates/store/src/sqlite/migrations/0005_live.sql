-- Live sessions. part: 1 the session, 2 a command, 3 what it found, 4 a file; item numbers those of a session.
CREATE TABLE live (
    org     INTEGER NOT NULL,
    session INTEGER NOT NULL,
    part    INTEGER NOT NULL,
    item    INTEGER NOT NULL,
    body    BLOB    NOT NULL,
    PRIMARY KEY (org, session, part, item)
) STRICT, WITHOUT ROWID;
