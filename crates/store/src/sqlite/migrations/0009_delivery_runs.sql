-- Messages to programs of others that were put together: at position, and at those that follow. Bit n of waiting is set while the
-- one at position + n waits here; one with which something went wrong is a row of delivery. Their bodies are lines.
CREATE TABLE delivery_run (
    org      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    waiting  INTEGER NOT NULL,
    target   TEXT    NOT NULL,
    id       BLOB    NOT NULL,
    kind     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    bodies   BLOB    NOT NULL, -- last, as in delivery
    UNIQUE (org, position)
) STRICT;
