-- Who did what. Rows are only added; a prefix of a chain goes once its anchor says so.
CREATE TABLE audit_chain (
  chain         TEXT COLLATE "C" PRIMARY KEY,
  anchor_number BIGINT NOT NULL,  -- of the last row that was pruned, 0 for none
  anchor_hash   BYTEA,
  last_number   BIGINT NOT NULL,
  last_hash     BYTEA
);

CREATE TABLE audit (
  chain   TEXT COLLATE "C" NOT NULL REFERENCES audit_chain (chain),
  number  BIGINT NOT NULL CHECK (number > 0),
  at_us   BIGINT NOT NULL,
  actor   TEXT COLLATE "C" NOT NULL,
  action  TEXT COLLATE "C" NOT NULL,
  subject TEXT COLLATE "C" NOT NULL,
  detail  TEXT COLLATE "C" NOT NULL,
  count   BIGINT NOT NULL CHECK (count > 0),
  hash    BYTEA NOT NULL,
  PRIMARY KEY (chain, number)
);
CREATE INDEX audit_by_time ON audit (at_us, chain, number);

CREATE FUNCTION muster_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND
     OLD.number <= (SELECT anchor_number FROM audit_chain WHERE chain = OLD.chain) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW
  EXECUTE FUNCTION muster_audit_is_append_only();
