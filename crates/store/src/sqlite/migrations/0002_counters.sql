-- Windows of suppressed actions. The key is a digest; times are milliseconds since 1970-01-01T00:00:00Z.
CREATE TABLE counter (
    org        INTEGER NOT NULL,
    key        BLOB    NOT NULL,
    start_ms   INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    PRIMARY KEY (org, key)
) STRICT, WITHOUT ROWID;
