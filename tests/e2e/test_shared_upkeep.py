"""Upkeep of a coordinator over PostgreSQL and S3: the doctor, and a database that went back in time."""

import json
import os
import subprocess

from harness import BIN, FleetTest, main, wait_for
from postgres import programs

PASSWORD = "s3cret"


class SharedUpkeep(FleetTest):
    def setUp(self):
        super().setUp()
        self.postgres, self.s3 = self.start_stores()
        self.serve_from(self.store_url())
        self.coordinator.serve_environment = self.s3.environment()

    def store_url(self, database="postgres"):
        """With a password, which this server does not ask for, and which nobody may repeat."""
        return f"{self.postgres.url(database)}&password={PASSWORD}"

    def serve_from(self, url):
        self.places = ["--store", url, *self.s3.arguments("fleet")]
        self.coordinator.serve_arguments = self.places

    def run_coordinator(self, *arguments, code=0):
        done = subprocess.run(
            [str(a) for a in (BIN / "muster-coordinator", *arguments, "--state-dir",
                              self.coordinator.state)],
            capture_output=True, text=True, check=False,
            env={**os.environ, **self.s3.environment()})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn(PASSWORD, done.stdout + done.stderr)
        self.assertNotIn(self.s3.secret_key, done.stdout + done.stderr)
        return done

    def doctor(self, *arguments, code=0):
        """What it says of each check, worst first."""
        done = self.run_coordinator("doctor", *self.places, "--json", *arguments, code=code)
        report = json.loads(done.stdout)
        self.assertEqual(report["healthy"], code == 0, report)
        worst = ("problem", "warning", "fine").index
        checks = {}
        for result in sorted(report["checks"], key=lambda r: worst(r["finding"])):
            checks.setdefault(result["check"], []).append(result)
        return checks

    def test_the_doctor_sees_a_lost_blob_a_changed_one_and_a_database_that_is_away(self):
        self.start_fleet(3)
        self.succeed(self.job(rounds=2))
        checks = self.doctor("--deep")
        self.assertIn("cannot be seen from here", str(checks.pop("disk")))  # may be full here
        self.assertEqual({found["finding"] for results in checks.values() for found in results},
                         {"fine"}, checks)
        self.assertIn("PostgreSQL 1", checks["database"][0]["text"])
        self.assertEqual(len(checks["clock"]), 2)
        self.assertIn("there, whole", checks["blobs"][0]["text"])

        digest = self.show_models()[0]["weights"]
        blob = self.s3.folder / "data" / self.s3.bucket / "fleet" / digest[:2] / digest
        content = blob.read_bytes()
        blob.write_bytes(content[:-1] + b"?")
        self.assertEqual(self.doctor()["blobs"][0]["finding"], "fine")
        changed = self.doctor("--deep", code=1)["blobs"][0]
        self.assertIn(f"blob {digest} is damaged", changed["text"])
        blob.unlink()
        lost = self.doctor(code=1)["blobs"][0]
        self.assertIn(f"there is no blob {digest}", lost["text"])
        self.assertIn("S3", lost["advice"])

        self.postgres.stop()
        away = self.doctor(code=1)
        self.assertIn("connecting to PostgreSQL at", away["database"][0]["text"])
        for check in ("schema", "clock", "tasks", "blobs", "orphans"):
            self.assertIn("not checked", away[check][0]["text"])

    def show_models(self):
        return self.coordinator.muster_json("models", "ls")["models"]

    def postgres_tool(self, name, *arguments):
        done = subprocess.run([programs() / name, *arguments], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def wait_for_rounds(self, job, count):
        wait_for(f"round {count}", 120,
                 lambda: self.show(job)["job"].get("rounds_committed", 0) >= count,
                 self.coordinator.log)

    def test_devices_that_are_ahead_of_a_restored_database_go_on_in_a_new_timeline(self):
        self.start_fleet(5)
        job = self.submit(self.job(
            rounds=8, round={"clients": 5, "quorum": 4, "deadline": "60s"},
            privacy={"secure_aggregation": {"mode": "semi-honest", "drop": 0.2, "corrupt": 0.2}}))
        self.wait_for_rounds(job, 2)
        dump = self.folder / "muster.dump"
        self.postgres_tool("pg_dump", "-Fc", "-f", dump, self.postgres.url())
        self.wait_for_rounds(job, 4)  # the devices are ahead now
        refused = self.run_coordinator("timeline", "new", "--store", self.store_url(), code=1)
        self.assertIn("coordinators are connected", refused.stderr)
        self.assertIn("pid ", refused.stderr)
        self.coordinator.process.kill()
        self.coordinator.process.wait()

        self.postgres_tool("psql", "-c", "CREATE DATABASE restored", self.postgres.url())
        restored = self.store_url("restored")
        empty = self.run_coordinator("timeline", "new", "--store", restored, code=1)
        self.assertIn("restore it first", empty.stderr)
        self.postgres_tool("pg_restore", "-d", self.postgres.url("restored"), dump)
        begun = json.loads(self.run_coordinator(
            "timeline", "new", "--store", restored, "--backup", "a dump", "--json").stdout)
        self.assertEqual([j["before"] for j in begun["jobs"]], [job])
        self.assertEqual(begun["revoked_tokens"], 0)  # the one that there was is used up

        self.serve_from(restored)
        self.coordinator.serve()
        continued = self.wait_for_end(begun["jobs"][0]["now"])
        self.assertEqual(continued["job"]["phase"], "succeeded", continued["job"].get("reason"))
        self.assertEqual(continued["job"]["rounds_committed"], 8)
        self.assertEqual(self.show(job)["job"]["phase"], "cancelled")
        self.assertEqual(len(self.coordinator.muster_json("fleet", "ls")["devices"]), 5)
        self.doctor("--deep")
        rows = [row for row in self.coordinator.muster_json("audit", "ls")["rows"]
                if row["action"] == "store.restore"]
        self.assertTrue(any("backup=a dump" in row["detail"] for row in rows), rows)
        chains = self.coordinator.muster_json("audit", "verify")["chains"]
        self.assertTrue(all(chain["intact"] for chain in chains), chains)

    def test_the_doctor_refuses_places_that_are_none(self):
        for wrong in (["--store", f"mongodb://u:{PASSWORD}@h/db"], ["--blobs", "ftp://bucket"],
                      ["--s3-region", "eu-central-1"]):
            self.run_coordinator("doctor", *wrong, code=2)


if __name__ == "__main__":
    main()
