-- Who owns an organization: term counts the owners. What an earlier one writes is refused.
CREATE TABLE claim (
    oid  BLOB    PRIMARY KEY,
    term INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
