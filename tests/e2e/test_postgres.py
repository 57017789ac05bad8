"""The kill tests once more, with the coordinator's state in PostgreSQL; and kills of the database."""

import os
import random
import subprocess
import time

import test_kill
from harness import BIN, FleetTest, main, wait_for
from postgres import Postgres


class OverPostgres:
    """Mixed in before FleetTest: the coordinator's state is in a server of the test's own."""

    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o711)  # the server's user must be able to get to its folder
        self.postgres = Postgres(self.folder / "pg")
        self.addCleanup(self.postgres.stop)
        self.coordinator.serve_arguments += ["--store", self.postgres.start()]


class KillOverPostgresTest(OverPostgres, test_kill.KillTest):
    """Every rule of test_kill.py holds here too."""


class DatabaseTest(OverPostgres, FleetTest):
    def test_a_database_that_crashes_again_and_again_changes_no_byte_of_the_model(self):
        self.start_fleet(3)
        calm = self.succeed(self.job(name="calm", rounds=test_kill.ROUNDS))
        dice = random.Random(6)
        job = self.submit(self.job(name="stormy", rounds=test_kill.ROUNDS))
        for moment in (1, 3, 5):
            wait_for(f"round {moment} of {job}", 60,
                     lambda m=moment: self.committed(job) >= m, self.coordinator.log)
            time.sleep(dice.uniform(0, 0.3))  # somewhere inside a round
            self.postgres.stop("immediate")
            self.postgres.start()
        stormy = self.wait_for_end(job)
        self.assertEqual(stormy["job"]["phase"], "succeeded", stormy["job"].get("reason"))
        self.assertEqual(stormy["job"]["latest_weights"], calm["job"]["latest_weights"])
        self.assertIsNone(self.coordinator.process.poll(), "the coordinator ended")

    def committed(self, job):
        return self.show(job)["job"].get("rounds_committed", 0)


class RefusalTest(OverPostgres, FleetTest):
    def serve_fails(self, store):
        done = subprocess.run(
            [BIN / "muster-coordinator", "serve", "--state-dir", self.coordinator.state,
             "--listen", "127.0.0.1:0", "--http", "", "--store", store],
            capture_output=True, text=True, check=False, timeout=60)
        self.assertNotIn("s3cret", done.stdout + done.stderr)
        return done.returncode, done.stderr

    def test_a_store_that_cannot_be_had_is_refused_in_words_that_help_and_hide_the_password(self):
        self.coordinator.init()
        code, said = self.serve_fails("mongodb://u:s3cret@h/db")
        self.assertEqual(code, 2)
        self.assertIn("postgresql://USER@HOST:PORT/DATABASE", said)
        code, said = self.serve_fails("postgresql://u:s3cret@h/db?sslmodus=off")
        self.assertEqual(code, 2)
        self.assertIn("percent-encoded", said)
        code, said = self.serve_fails(self.postgres.url("no_such_database"))
        self.assertEqual(code, 1)
        self.assertIn('database "no_such_database" does not exist', said)

    def test_init_makes_the_schema_where_serve_will_look_for_it(self):
        for arguments, code in ((["--store", "mysql://h/db"], 2),
                                (["--store", self.postgres.url()], 0)):
            done = subprocess.run(
                [BIN / "muster-coordinator", "init", "--state-dir", self.coordinator.state,
                 *arguments], capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual(done.returncode, code, done.stderr)
        self.assertFalse((self.coordinator.state / "muster.db").exists())


if __name__ == "__main__":
    main()
