-- Times are microseconds since the Unix epoch. Digests are 32 bytes, NULL for none. Unsigned 64-bit
-- numbers keep their bits in a signed column. Labels and metrics are JSON objects.

CREATE TABLE job (
  id              TEXT PRIMARY KEY,
  row_version     INTEGER NOT NULL CHECK (row_version > 0),
  phase           TEXT NOT NULL,
  round           INTEGER,
  attempt         INTEGER,
  version         INTEGER NOT NULL,
  ended_us        INTEGER,
  reason          TEXT,
  cancelled_by    TEXT,
  submitted_us    INTEGER NOT NULL,
  submitted_by    TEXT NOT NULL,
  idempotency_key TEXT UNIQUE,
  initial_package BLOB,
  rounds_committed INTEGER NOT NULL,
  releases        INTEGER NOT NULL,
  clip            REAL NOT NULL,
  CHECK (CASE phase
    WHEN 'running'   THEN round IS NOT NULL AND attempt IS NOT NULL AND ended_us IS NULL
    WHEN 'finishing' THEN round IS NULL AND attempt IS NULL AND ended_us IS NULL
    WHEN 'succeeded' THEN round IS NULL AND ended_us IS NOT NULL
    WHEN 'failed'    THEN round IS NULL AND ended_us IS NOT NULL AND reason IS NOT NULL
    WHEN 'cancelled' THEN round IS NULL AND ended_us IS NOT NULL AND cancelled_by IS NOT NULL
    ELSE 0 END)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_by_time ON job (submitted_us, id);

-- Apart from job, because it is large and hardly ever changes while the job's state changes often.
CREATE TABLE job_spec (
  job  TEXT PRIMARY KEY REFERENCES job (id),
  spec BLOB NOT NULL
) STRICT;

CREATE TABLE round (
  job               TEXT NOT NULL REFERENCES job (id),
  number            INTEGER NOT NULL,
  attempt           INTEGER NOT NULL,
  row_version       INTEGER NOT NULL CHECK (row_version > 0),
  goal              INTEGER NOT NULL,
  invite_target     INTEGER NOT NULL,
  quorum            INTEGER NOT NULL,
  deadline_us       INTEGER NOT NULL,
  aggregation       TEXT NOT NULL,
  phase_deadline_us INTEGER NOT NULL,
  phase             TEXT NOT NULL,
  opened_us         INTEGER NOT NULL,
  closes_us         INTEGER,
  closed_us         INTEGER,
  invited           INTEGER NOT NULL,
  reported          INTEGER NOT NULL,
  failed            INTEGER NOT NULL,
  answered          INTEGER,
  lost              INTEGER,
  examples          INTEGER,
  committed_version INTEGER,
  reason            TEXT,
  base_package      BLOB,
  base_weights      BLOB,
  optimizer_state   BLOB,
  partial_sum       BLOB,
  model_version     INTEGER NOT NULL,
  metrics           TEXT NOT NULL,
  evaluation        TEXT NOT NULL,
  bytes_up          INTEGER NOT NULL,
  bytes_down        INTEGER NOT NULL,
  PRIMARY KEY (job, number, attempt),
  CHECK (CASE phase
    WHEN 'collecting'  THEN closes_us IS NOT NULL AND closed_us IS NULL AND examples IS NOT NULL
    WHEN 'sharing'     THEN closes_us IS NOT NULL AND answered IS NOT NULL AND lost IS NOT NULL
    WHEN 'masking'     THEN closes_us IS NOT NULL AND answered IS NOT NULL AND lost IS NOT NULL
    WHEN 'agreeing'    THEN closes_us IS NOT NULL AND answered IS NOT NULL AND lost IS NOT NULL
    WHEN 'unmasking'   THEN closes_us IS NOT NULL AND answered IS NOT NULL AND lost IS NOT NULL
    WHEN 'aggregating' THEN closed_us IS NOT NULL AND examples IS NOT NULL
    WHEN 'committed'   THEN closed_us IS NOT NULL AND examples IS NOT NULL
                            AND committed_version IS NOT NULL
    WHEN 'abandoned'   THEN closed_us IS NOT NULL AND reason IS NOT NULL
    ELSE 0 END)
) STRICT, WITHOUT ROWID;
CREATE INDEX round_open ON round (job, number, attempt)
  WHERE phase NOT IN ('committed', 'abandoned');

CREATE TABLE invocation (
  id                TEXT PRIMARY KEY,
  row_version       INTEGER NOT NULL CHECK (row_version > 0),
  job               TEXT NOT NULL,
  round             INTEGER NOT NULL,
  attempt           INTEGER NOT NULL,
  function          TEXT NOT NULL,
  device            TEXT NOT NULL,
  package           BLOB,
  seed              INTEGER NOT NULL,
  created_us        INTEGER NOT NULL,
  deadline_us       INTEGER NOT NULL,
  traceparent       TEXT NOT NULL,
  status            TEXT NOT NULL,
  update_digest     BLOB,
  examples          INTEGER NOT NULL,
  metrics           TEXT NOT NULL,
  wall_us           INTEGER NOT NULL,
  cpu_us            INTEGER NOT NULL,
  peak_memory_bytes INTEGER NOT NULL,
  bytes_down        INTEGER NOT NULL,
  bytes_up          INTEGER NOT NULL,
  cold_start        INTEGER NOT NULL,
  reason            TEXT NOT NULL,
  finished_us       INTEGER NOT NULL,
  UNIQUE (job, round, attempt, function, device),
  FOREIGN KEY (job, round, attempt) REFERENCES round (job, number, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX invocation_open ON invocation (device, created_us, id) WHERE status = 'open';

-- Secure aggregation: what is fixed for a round, and what each device sent in each step.
CREATE TABLE secagg_session (
  job         TEXT NOT NULL,
  round       INTEGER NOT NULL,
  attempt     INTEGER NOT NULL,
  row_version INTEGER NOT NULL CHECK (row_version > 0),
  params      BLOB NOT NULL,
  roster_root BLOB,
  sharers     BLOB,
  survivors   BLOB,
  PRIMARY KEY (job, round, attempt),
  FOREIGN KEY (job, round, attempt) REFERENCES round (job, number, attempt)
) STRICT, WITHOUT ROWID;
-- Masks are taken off for one set of survivors and never for another.
CREATE TRIGGER secagg_survivors_are_final BEFORE UPDATE ON secagg_session
  WHEN OLD.survivors IS NOT NULL AND NEW.survivors IS NOT OLD.survivors
BEGIN
  SELECT RAISE(ABORT, 'the survivors are final');
END;

CREATE TABLE secagg_message (
  job     TEXT NOT NULL,
  round   INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  step    TEXT NOT NULL,
  device  TEXT NOT NULL,
  message BLOB NOT NULL,
  PRIMARY KEY (job, round, attempt, step, device),
  FOREIGN KEY (job, round, attempt) REFERENCES secagg_session (job, round, attempt)
) STRICT;

CREATE TABLE task (
  key             TEXT PRIMARY KEY,
  kind            TEXT NOT NULL,
  job             TEXT NOT NULL,
  round           INTEGER NOT NULL,
  attempt         INTEGER NOT NULL,
  model_version   INTEGER NOT NULL,
  due_us          INTEGER NOT NULL,
  leased_until_us INTEGER NOT NULL,
  fence           INTEGER NOT NULL,
  attempts        INTEGER NOT NULL,
  ready_us        INTEGER NOT NULL GENERATED ALWAYS AS (max(due_us, leased_until_us)) STORED
) STRICT, WITHOUT ROWID;
CREATE INDEX task_ready ON task (ready_us);

CREATE TABLE device (
  id                     TEXT PRIMARY KEY,
  row_version            INTEGER NOT NULL CHECK (row_version > 0),
  labels                 TEXT NOT NULL,
  revoked                INTEGER NOT NULL,
  revoked_reason         TEXT NOT NULL,
  enrolled_us            INTEGER NOT NULL,
  last_seen_us           INTEGER NOT NULL,
  certificate_serial     TEXT NOT NULL,
  certificate_expires_us INTEGER NOT NULL,
  agent_version          TEXT NOT NULL,
  idle                   INTEGER NOT NULL,
  charging               INTEGER NOT NULL,
  unmetered              INTEGER NOT NULL,
  custom                 INTEGER NOT NULL,
  has_data               INTEGER NOT NULL,
  train_examples         INTEGER NOT NULL,
  applied_generation     INTEGER NOT NULL,
  models                 TEXT NOT NULL,
  last_report_id         TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
  id          TEXT PRIMARY KEY,
  row_version INTEGER NOT NULL CHECK (row_version > 0),
  secret_hash BLOB,
  uses        INTEGER NOT NULL,
  used        INTEGER NOT NULL,
  created_us  INTEGER NOT NULL,
  expires_us  INTEGER NOT NULL,
  labels      TEXT NOT NULL,
  revoked     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE model (
  name            TEXT NOT NULL,
  version         INTEGER NOT NULL,
  row_version     INTEGER NOT NULL CHECK (row_version > 0),
  package         BLOB,
  weights         BLOB,
  module          BLOB,
  manifest        BLOB,
  optimizer_state BLOB,
  weights_bytes   INTEGER NOT NULL,
  job             TEXT NOT NULL,
  round           INTEGER NOT NULL,
  parent_weights  BLOB,
  clients         INTEGER NOT NULL,
  examples        INTEGER NOT NULL,
  aggregation     TEXT NOT NULL,
  created_us      INTEGER NOT NULL,
  metrics         TEXT NOT NULL,
  evaluation      TEXT NOT NULL,
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE promotion (
  id               TEXT PRIMARY KEY,
  row_version      INTEGER NOT NULL CHECK (row_version > 0),
  name             TEXT NOT NULL,
  version          INTEGER NOT NULL,
  package          BLOB,
  cohort           TEXT NOT NULL,
  personalize      INTEGER NOT NULL,
  phase            TEXT NOT NULL,
  created_us       INTEGER NOT NULL,
  created_by       TEXT NOT NULL,
  previous_version INTEGER NOT NULL,
  generation       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX promotion_by_generation ON promotion (generation, created_us, id);

CREATE TABLE usage (
  job         TEXT NOT NULL,
  device      TEXT NOT NULL,
  invocations INTEGER NOT NULL,
  wall_us     INTEGER NOT NULL,
  cpu_us      INTEGER NOT NULL,
  bytes_up    INTEGER NOT NULL,
  bytes_down  INTEGER NOT NULL,
  cold_starts INTEGER NOT NULL,
  PRIMARY KEY (job, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_by_device ON usage (device, job);

-- Numbers that only grow: the generation of desired state, the fence of task leases.
CREATE TABLE counter (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES ('fence', 0), ('generation', 0);
