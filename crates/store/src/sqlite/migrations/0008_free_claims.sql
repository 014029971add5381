-- An owner can give an organization up: whoever wants it may claim it.
ALTER TABLE claim ADD COLUMN is_free INTEGER NOT NULL DEFAULT 0;
