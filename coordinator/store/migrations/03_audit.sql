-- Who did what. Rows are only added; a prefix of a chain goes once its anchor says so.
CREATE TABLE audit_chain (
  chain         TEXT PRIMARY KEY,
  anchor_number INTEGER NOT NULL,  -- of the last row that was pruned, 0 for none
  anchor_hash   BLOB,
  last_number   INTEGER NOT NULL,
  last_hash     BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  chain   TEXT NOT NULL REFERENCES audit_chain (chain),
  number  INTEGER NOT NULL CHECK (number > 0),
  at_us   INTEGER NOT NULL,
  actor   TEXT NOT NULL,
  action  TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail  TEXT NOT NULL,
  count   INTEGER NOT NULL CHECK (count > 0),
  hash    BLOB NOT NULL,
  PRIMARY KEY (chain, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_by_time ON audit (at_us, chain, number);

CREATE TRIGGER audit_rows_do_not_change BEFORE UPDATE ON audit
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_rows_go_with_their_anchor BEFORE DELETE ON audit
  WHEN OLD.number > (SELECT anchor_number FROM audit_chain WHERE chain = OLD.chain)
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;
