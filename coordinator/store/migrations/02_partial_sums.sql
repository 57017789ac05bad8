-- A round's sum in parts, one for each replica that took updates of it.
CREATE TABLE partial_sum (
  job         TEXT NOT NULL,
  round       INTEGER NOT NULL,
  attempt     INTEGER NOT NULL,
  replica     TEXT NOT NULL,
  row_version INTEGER NOT NULL CHECK (row_version > 0),
  blob        BLOB NOT NULL,
  PRIMARY KEY (job, round, attempt, replica),
  FOREIGN KEY (job, round, attempt) REFERENCES round (job, number, attempt)
) STRICT, WITHOUT ROWID;

-- What one process had summed up goes on as the part of the replica that has no name of its own.
INSERT INTO partial_sum (job, round, attempt, replica, row_version, blob)
  SELECT job, number, attempt, 'main', 1, partial_sum FROM round WHERE partial_sum IS NOT NULL;
ALTER TABLE round DROP COLUMN partial_sum;
