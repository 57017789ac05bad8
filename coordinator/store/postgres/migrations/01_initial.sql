-- The schema of ../../migrations, up to 02, in PostgreSQL's words: keys compare byte by byte, as
-- everywhere (COLLATE "C"). Times are microseconds since the Unix epoch. Digests are 32 bytes, NULL
-- for none. Unsigned 64-bit numbers keep their bits in a signed column. Labels and metrics are JSON
-- objects; they stay TEXT, so that doubles come back bit for bit.
--
-- Pages of tables whose rows change are left half empty: a row's next version then lies beside it and
-- no index changes (HOT), so that two transactions which change neighbours are no conflict.

CREATE TABLE job (
  id              TEXT COLLATE "C" PRIMARY KEY,
  row_version     BIGINT NOT NULL CHECK (row_version > 0),
  phase           TEXT COLLATE "C" NOT NULL,
  round           BIGINT,
  attempt         BIGINT,
  version         BIGINT NOT NULL,
  ended_us        BIGINT,
  reason          TEXT COLLATE "C",
  cancelled_by    TEXT COLLATE "C",
  submitted_us    BIGINT NOT NULL,
  submitted_by    TEXT COLLATE "C" NOT NULL,
  idempotency_key TEXT COLLATE "C" UNIQUE,
  initial_package BYTEA,
  rounds_committed BIGINT NOT NULL,
  releases        BIGINT NOT NULL,
  clip            DOUBLE PRECISION NOT NULL,
  CHECK (CASE phase
    WHEN 'running'   THEN round IS NOT NULL AND attempt IS NOT NULL AND ended_us IS NULL
    WHEN 'finishing' THEN round IS NULL AND attempt IS NULL AND ended_us IS NULL
    WHEN 'succeeded' THEN round IS NULL AND ended_us IS NOT NULL
    WHEN 'failed'    THEN round IS NULL AND ended_us IS NOT NULL AND reason IS NOT NULL
    WHEN 'cancelled' THEN round IS NULL AND ended_us IS NOT NULL AND cancelled_by IS NOT NULL
    ELSE false END)
) WITH (fillfactor = 50);
CREATE INDEX job_by_time ON job (submitted_us, id);

-- Apart from job, because it is large and hardly ever changes while the job's state changes often.
CREATE TABLE job_spec (
  job  TEXT COLLATE "C" PRIMARY KEY REFERENCES job (id),
  spec BYTEA NOT NULL
);

CREATE TABLE round (
  job               TEXT COLLATE "C" NOT NULL REFERENCES job (id),
  number            BIGINT NOT NULL,
  attempt           BIGINT NOT NULL,
  row_version       BIGINT NOT NULL CHECK (row_version > 0),
  goal              BIGINT NOT NULL,
  invite_target     BIGINT NOT NULL,
  quorum            BIGINT NOT NULL,
  deadline_us       BIGINT NOT NULL,
  aggregation       TEXT COLLATE "C" NOT NULL,
  phase_deadline_us BIGINT NOT NULL,
  phase             TEXT COLLATE "C" NOT NULL,
  opened_us         BIGINT NOT NULL,
  closes_us         BIGINT,
  closed_us         BIGINT,
  invited           BIGINT NOT NULL,
  reported          BIGINT NOT NULL,
  failed            BIGINT NOT NULL,
  answered          BIGINT,
  lost              BIGINT,
  examples          BIGINT,
  committed_version BIGINT,
  reason            TEXT COLLATE "C",
  base_package      BYTEA,
  base_weights      BYTEA,
  optimizer_state   BYTEA,
  model_version     BIGINT NOT NULL,
  metrics           TEXT COLLATE "C" NOT NULL,
  evaluation        TEXT COLLATE "C" NOT NULL,
  bytes_up          BIGINT NOT NULL,
  bytes_down        BIGINT NOT NULL,
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
    ELSE false END)
) WITH (fillfactor = 50);
CREATE INDEX round_open ON round (job, number, attempt)
  WHERE phase NOT IN ('committed', 'abandoned');

CREATE TABLE invocation (
  id                TEXT COLLATE "C" PRIMARY KEY,
  row_version       BIGINT NOT NULL CHECK (row_version > 0),
  job               TEXT COLLATE "C" NOT NULL,
  round             BIGINT NOT NULL,
  attempt           BIGINT NOT NULL,
  function          TEXT COLLATE "C" NOT NULL,
  device            TEXT COLLATE "C" NOT NULL,
  package           BYTEA,
  seed              BIGINT NOT NULL,
  created_us        BIGINT NOT NULL,
  deadline_us       BIGINT NOT NULL,
  traceparent       TEXT COLLATE "C" NOT NULL,
  status            TEXT COLLATE "C" NOT NULL,
  update_digest     BYTEA,
  examples          BIGINT NOT NULL,
  metrics           TEXT COLLATE "C" NOT NULL,
  wall_us           BIGINT NOT NULL,
  cpu_us            BIGINT NOT NULL,
  peak_memory_bytes BIGINT NOT NULL,
  bytes_down        BIGINT NOT NULL,
  bytes_up          BIGINT NOT NULL,
  cold_start        BOOLEAN NOT NULL,
  reason            TEXT COLLATE "C" NOT NULL,
  finished_us       BIGINT NOT NULL,
  UNIQUE (job, round, attempt, function, device),
  FOREIGN KEY (job, round, attempt) REFERENCES round (job, number, attempt)
) WITH (fillfactor = 50);
CREATE INDEX invocation_open ON invocation (device, created_us, id) WHERE status = 'open';

-- A round's sum in parts, one for each replica that took updates of it.
CREATE TABLE partial_sum (
  job         TEXT COLLATE "C" NOT NULL,
  round       BIGINT NOT NULL,
  attempt     BIGINT NOT NULL,
  replica     TEXT COLLATE "C" NOT NULL,
  row_version BIGINT NOT NULL CHECK (row_version > 0),
  blob        BYTEA NOT NULL,
  PRIMARY KEY (job, round, attempt, replica),
  FOREIGN KEY (job, round, attempt) REFERENCES round (job, number, attempt)
) WITH (fillfactor = 50);

-- Secure aggregation: what is fixed for a round, and what each device sent in each step.
CREATE TABLE secagg_session (
  job         TEXT COLLATE "C" NOT NULL,
  round       BIGINT NOT NULL,
  attempt     BIGINT NOT NULL,
  row_version BIGINT NOT NULL CHECK (row_version > 0),
  params      BYTEA NOT NULL,
  roster_root BYTEA,
  sharers     BYTEA,
  survivors   BYTEA,
  PRIMARY KEY (job, round, attempt),
  FOREIGN KEY (job, round, attempt) REFERENCES round (job, number, attempt)
) WITH (fillfactor = 50);
-- Masks are taken off for one set of survivors and never for another.
CREATE FUNCTION muster_survivors_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the survivors are final' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER secagg_survivors_are_final BEFORE UPDATE ON secagg_session FOR EACH ROW
  WHEN (OLD.survivors IS NOT NULL AND NEW.survivors IS DISTINCT FROM OLD.survivors)
  EXECUTE FUNCTION muster_survivors_are_final();

CREATE TABLE secagg_message (
  job     TEXT COLLATE "C" NOT NULL,
  round   BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  step    TEXT COLLATE "C" NOT NULL,
  device  TEXT COLLATE "C" NOT NULL,
  message BYTEA NOT NULL,
  PRIMARY KEY (job, round, attempt, step, device),
  FOREIGN KEY (job, round, attempt) REFERENCES secagg_session (job, round, attempt)
);

CREATE TABLE task (
  key             TEXT COLLATE "C" PRIMARY KEY,
  kind            TEXT COLLATE "C" NOT NULL,
  job             TEXT COLLATE "C" NOT NULL,
  round           BIGINT NOT NULL,
  attempt         BIGINT NOT NULL,
  model_version   BIGINT NOT NULL,
  due_us          BIGINT NOT NULL,
  leased_until_us BIGINT NOT NULL,
  fence           BIGINT NOT NULL,
  attempts        BIGINT NOT NULL,
  ready_us        BIGINT NOT NULL GENERATED ALWAYS AS (greatest(due_us, leased_until_us)) STORED
) WITH (fillfactor = 50);
CREATE INDEX task_ready ON task (ready_us);

CREATE TABLE device (
  id                     TEXT COLLATE "C" PRIMARY KEY,
  row_version            BIGINT NOT NULL CHECK (row_version > 0),
  labels                 TEXT COLLATE "C" NOT NULL,
  revoked                BOOLEAN NOT NULL,
  revoked_reason         TEXT COLLATE "C" NOT NULL,
  enrolled_us            BIGINT NOT NULL,
  last_seen_us           BIGINT NOT NULL,
  certificate_serial     TEXT COLLATE "C" NOT NULL,
  certificate_expires_us BIGINT NOT NULL,
  agent_version          TEXT COLLATE "C" NOT NULL,
  idle                   BOOLEAN NOT NULL,
  charging               BOOLEAN NOT NULL,
  unmetered              BOOLEAN NOT NULL,
  custom                 BOOLEAN NOT NULL,
  has_data               BOOLEAN NOT NULL,
  train_examples         BIGINT NOT NULL,
  applied_generation     BIGINT NOT NULL,
  models                 TEXT COLLATE "C" NOT NULL,
  last_report_id         TEXT COLLATE "C" NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE token (
  id          TEXT COLLATE "C" PRIMARY KEY,
  row_version BIGINT NOT NULL CHECK (row_version > 0),
  secret_hash BYTEA,
  uses        BIGINT NOT NULL,
  used        BIGINT NOT NULL,
  created_us  BIGINT NOT NULL,
  expires_us  BIGINT NOT NULL,
  labels      TEXT COLLATE "C" NOT NULL,
  revoked     BOOLEAN NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE model (
  name            TEXT COLLATE "C" NOT NULL,
  version         BIGINT NOT NULL,
  row_version     BIGINT NOT NULL CHECK (row_version > 0),
  package         BYTEA,
  weights         BYTEA,
  module          BYTEA,
  manifest        BYTEA,
  optimizer_state BYTEA,
  weights_bytes   BIGINT NOT NULL,
  job             TEXT COLLATE "C" NOT NULL,
  round           BIGINT NOT NULL,
  parent_weights  BYTEA,
  clients         BIGINT NOT NULL,
  examples        BIGINT NOT NULL,
  aggregation     TEXT COLLATE "C" NOT NULL,
  created_us      BIGINT NOT NULL,
  metrics         TEXT COLLATE "C" NOT NULL,
  evaluation      TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (name, version)
);

CREATE TABLE promotion (
  id               TEXT COLLATE "C" PRIMARY KEY,
  row_version      BIGINT NOT NULL CHECK (row_version > 0),
  name             TEXT COLLATE "C" NOT NULL,
  version          BIGINT NOT NULL,
  package          BYTEA,
  cohort           TEXT COLLATE "C" NOT NULL,
  personalize      BOOLEAN NOT NULL,
  phase            TEXT COLLATE "C" NOT NULL,
  created_us       BIGINT NOT NULL,
  created_by       TEXT COLLATE "C" NOT NULL,
  previous_version BIGINT NOT NULL,
  generation       BIGINT NOT NULL
);
CREATE INDEX promotion_by_generation ON promotion (generation, created_us, id);

CREATE TABLE usage (
  job         TEXT COLLATE "C" NOT NULL,
  device      TEXT COLLATE "C" NOT NULL,
  invocations BIGINT NOT NULL,
  wall_us     BIGINT NOT NULL,
  cpu_us      BIGINT NOT NULL,
  bytes_up    BIGINT NOT NULL,
  bytes_down  BIGINT NOT NULL,
  cold_starts BIGINT NOT NULL,
  PRIMARY KEY (job, device)
) WITH (fillfactor = 50);
CREATE INDEX usage_by_device ON usage (device, job);

-- Numbers that only grow: the generation of desired state here, the fence of task leases from a
-- sequence, which nobody has to wait for.
CREATE TABLE counter (
  name  TEXT COLLATE "C" PRIMARY KEY,
  value BIGINT NOT NULL
) WITH (fillfactor = 50);
INSERT INTO counter (name, value) VALUES ('generation', 0);
CREATE SEQUENCE task_fence AS BIGINT NO CYCLE;
