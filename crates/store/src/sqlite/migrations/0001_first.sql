-- Ids are 16-byte blobs, instants microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE record (
    oid      BLOB    NOT NULL,
    kind     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    body     TEXT    NOT NULL, -- JSON
    revision INTEGER NOT NULL,
    PRIMARY KEY (oid, kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE sensor (
    oid     BLOB    NOT NULL,
    ordinal INTEGER NOT NULL,
    body    TEXT    NOT NULL, -- JSON
    PRIMARY KEY (oid, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE spool (
    oid      BLOB    NOT NULL,
    ordinal  INTEGER NOT NULL,
    spool_id BLOB    NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (oid, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE task (
    id      INTEGER PRIMARY KEY, -- short, since every target repeats it
    oid     BLOB    NOT NULL,
    number  INTEGER NOT NULL,
    task_id BLOB    NOT NULL,
    spec    TEXT    NOT NULL, -- JSON
    control TEXT    NOT NULL, -- JSON
    targets BLOB    NOT NULL, -- roaring bitmap over ordinals
    UNIQUE (oid, number),
    UNIQUE (oid, task_id)
) STRICT;

CREATE TABLE target (
    task         INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    ordinal      INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    sent_at      INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    ended_at     INTEGER NOT NULL,
    code         INTEGER NOT NULL,
    error        TEXT,
    PRIMARY KEY (task, ordinal)
) STRICT, WITHOUT ROWID;

-- A short number for each organization, since every entry and its index rows repeat it.
CREATE TABLE organization (
    org INTEGER PRIMARY KEY,
    oid BLOB    NOT NULL UNIQUE
) STRICT;

CREATE TABLE entry (
    arrival          INTEGER PRIMARY KEY,
    org              INTEGER NOT NULL,
    stream           INTEGER NOT NULL,
    time             INTEGER NOT NULL,
    sid              BLOB,
    id               BLOB    NOT NULL,
    kind             TEXT    NOT NULL,
    this_atom        BLOB,
    parent_atom      BLOB,
    investigation_id TEXT,
    body             BLOB    NOT NULL -- last, so that scans over the rest do not touch its pages
) STRICT;

CREATE INDEX entry_time ON entry (org, stream, time);
CREATE INDEX entry_sensor ON entry (org, sid, stream, time) WHERE sid IS NOT NULL;
CREATE INDEX entry_id ON entry (id);
CREATE INDEX entry_this ON entry (sid, this_atom, time) WHERE this_atom IS NOT NULL AND stream = 0;
CREATE INDEX entry_parent ON entry (sid, parent_atom, time) WHERE parent_atom IS NOT NULL AND stream = 0;
CREATE INDEX entry_investigation ON entry (org, investigation_id, stream, time) WHERE investigation_id IS NOT NULL;

-- Kept beside the entries, since counting them would read them all.
CREATE TABLE stream_size (
    org    INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,
    PRIMARY KEY (org, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE queue (
    id     INTEGER PRIMARY KEY,
    oid    BLOB    NOT NULL,
    output TEXT    NOT NULL,
    last   INTEGER NOT NULL, -- position given out last
    count  INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,
    UNIQUE (oid, output)
) STRICT;

CREATE TABLE queued (
    queue    INTEGER NOT NULL REFERENCES queue (id),
    position INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    PRIMARY KEY (queue, position)
) STRICT, WITHOUT ROWID;
