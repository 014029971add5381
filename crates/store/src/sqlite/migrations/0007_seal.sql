-- Name of the key by which the bodies of records are sealed; no row: they are not.
CREATE TABLE seal (
    key TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
