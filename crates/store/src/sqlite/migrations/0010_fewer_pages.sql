-- Fewer pages for each commit: every one is written to the log, and copied back later.

-- What is kept is counted in stream_size and sensor_size up to this record; later ones are counted when it is asked for.
CREATE TABLE counted (
    arrival INTEGER NOT NULL
) STRICT;
INSERT INTO counted (arrival) SELECT coalesce(max(arrival), 0) FROM entry;

-- Only events and detections are looked for by their id.
DROP INDEX entry_id;
CREATE INDEX entry_id ON entry (id) WHERE stream <= 1;

-- Audit records are about no sensor, nearly all: of these the oldest are found by their time alone.
DROP INDEX entry_sensorless;
CREATE INDEX entry_sensorless ON entry (org, stream, time) WHERE sid IS NULL AND stream <> 2;

-- A row comes at the end of the table, and is not moved within it.
ALTER TABLE live RENAME TO live_before;
CREATE TABLE live (
    org     INTEGER NOT NULL,
    session INTEGER NOT NULL,
    part    INTEGER NOT NULL,
    item    INTEGER NOT NULL,
    body    BLOB    NOT NULL,
    UNIQUE (org, session, part, item)
) STRICT;
INSERT INTO live (org, session, part, item, body) SELECT org, session, part, item, body FROM live_before;
DROP TABLE live_before;
