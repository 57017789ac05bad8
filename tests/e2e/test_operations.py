"""Backup while a secure job runs, restore with devices that are ahead of it, doctor, gc, audit."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess

from harness import BIN, FleetTest, main, wait_for

PASSPHRASE = "a passphrase for this test alone"


class Operations(FleetTest):
    def run_coordinator(self, *arguments, code=0, state=None, environment=None):
        done = subprocess.run(
            [str(a) for a in (BIN / "muster-coordinator", *arguments, "--state-dir",
                              state or self.coordinator.state)],
            capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def wait_for_rounds(self, job, count):
        wait_for(f"round {count}", 120,
                 lambda: self.show(job)["job"]["rounds_committed"] >= count, self.coordinator.log)

    def test_devices_that_are_ahead_of_a_backup_go_on_with_the_restored_coordinator(self):
        self.start_fleet(5)
        passphrase = self.folder / "passphrase"
        passphrase.write_text(PASSPHRASE + "\n")
        job = self.submit(self.job(
            rounds=8, round={"clients": 5, "quorum": 4, "deadline": "60s"},
            privacy={"secure_aggregation": {"mode": "semi-honest", "drop": 0.2, "corrupt": 0.2}}))
        self.wait_for_rounds(job, 2)
        report = json.loads(self.run_coordinator(
            "backup", "--out", self.folder / "backup", "--passphrase-file", passphrase,
            "--json").stdout)
        self.assertTrue(report["keys"])
        self.wait_for_rounds(job, 4)  # the devices are ahead now
        self.coordinator.process.send_signal(signal.SIGKILL)
        self.coordinator.process.wait()

        restored = self.folder / "restored"
        report = json.loads(self.run_coordinator(
            "restore", "--from", self.folder / "backup", "--passphrase-file", passphrase, "--json",
            state=restored).stdout)
        self.assertEqual([j["before"] for j in report["jobs"]], [job])
        self.coordinator.state = restored
        self.coordinator.serve()
        continued = self.wait_for_end(report["jobs"][0]["now"])
        self.assertEqual(continued["job"]["phase"], "succeeded", continued["job"]["reason"])
        self.assertEqual(continued["job"]["rounds_committed"], 8)
        self.assertEqual(self.show(job)["job"]["phase"], "cancelled")

        # Nobody enrolled again, and everything is in order.
        devices = self.coordinator.muster_json("fleet", "ls")["devices"]
        self.assertEqual(len(devices), 5)
        doctor = json.loads(self.run_coordinator("doctor", "--deep", "--json").stdout)
        self.assertTrue(doctor["healthy"], doctor)
        rows = self.coordinator.muster_json("audit", "ls")["rows"]
        actions = {row["action"] for row in rows}
        self.assertLessEqual({"store.restore", "device.enrol", "token.create", "job.submit"}, actions)
        chains = self.coordinator.muster_json("audit", "verify")["chains"]
        self.assertTrue(chains)
        self.assertTrue(all(chain["intact"] for chain in chains), chains)

    def test_gc_keeps_what_is_needed_and_the_fleet_goes_on(self):
        self.start_fleet(3)
        self.succeed(self.job(rounds=4))
        dry = json.loads(self.run_coordinator(
            "gc", "--keep-versions", "1", "--dry-run", "--json").stdout)
        self.assertEqual(dry["versions"], 3)
        self.assertGreater(dry["released_bytes"], 0)
        refused = self.run_coordinator("gc", "--keep-versions", "1", code=1)
        self.assertIn("--gc-every-hours", refused.stderr)

        self.coordinator.process.terminate()
        self.coordinator.process.wait()
        done = json.loads(self.run_coordinator("gc", "--keep-versions", "1", "--json").stdout)
        self.assertEqual(done["versions"], 3)
        self.coordinator.serve()
        models = self.coordinator.muster_json("models", "ls")["models"]
        self.assertEqual([m["version"] for m in models], [4])
        self.coordinator.muster("models", "pull", "quadrants@4", "--out", self.folder / "out")
        self.succeed(self.job(rounds=1))

    def test_a_coordinator_collects_garbage_by_itself_when_the_store_says_so(self):
        self.start_coordinator()
        self.coordinator.process.terminate()
        self.coordinator.process.wait()
        content = b"nothing refers to this"
        name = hashlib.sha256(content).hexdigest()
        orphan = self.coordinator.state / "blobs" / name[:2] / name
        orphan.parent.mkdir(exist_ok=True)
        orphan.write_bytes(content)
        os.utime(orphan, (1_700_000_000, 1_700_000_000))
        store = sqlite3.connect(self.coordinator.state / "muster.db")
        with store:
            planned = store.execute("UPDATE task SET due_us = 1 WHERE kind = 'collect-garbage'")
        self.assertEqual(planned.rowcount, 1)
        store.close()
        self.coordinator.serve()
        wait_for("the orphan's end", 30, lambda: not orphan.exists(), self.coordinator.log)
        wait_for("the record of it", 30, lambda: [
            row for row in self.coordinator.muster_json("audit", "ls")["rows"]
            if row["action"] == "gc.run" and row["actor"] == "coordinator/gc"],
            self.coordinator.log)

    def test_gc_works_beside_a_coordinator_over_postgres_and_s3(self):
        postgres, blobs = self.start_stores()
        places = ["--store", postgres.url(), *blobs.arguments("gc")]
        self.coordinator.serve_arguments = places
        self.coordinator.serve_environment = blobs.environment()
        self.start_fleet(3)
        self.succeed(self.job(rounds=4))
        collect = ["gc", *places, "--keep-versions", "1", "--json"]
        dry = json.loads(self.run_coordinator(
            *collect, "--dry-run", environment=blobs.environment()).stdout)
        self.assertEqual(dry["versions"], 3)
        done = json.loads(self.run_coordinator(*collect, environment=blobs.environment()).stdout)
        self.assertEqual({**done, "dry_run": True}, dry)
        models = self.coordinator.muster_json("models", "ls")["models"]
        self.assertEqual([m["version"] for m in models], [4])
        self.coordinator.muster("models", "pull", "quadrants@4", "--out", self.folder / "out")
        self.succeed(self.job(rounds=1))
        refused = self.run_coordinator("gc", "--store", postgres.url(), code=1)
        self.assertIn("--gc-every-hours", refused.stderr)
        self.assertTrue(all(
            chain["intact"] for chain in self.coordinator.muster_json("audit", "verify")["chains"]))

    def test_uploads_and_sums_are_sealed_and_nothing_starts_without_the_key(self):
        self.start_coordinator()
        key = self.coordinator.state / "at-rest-key"
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        self.coordinator.process.terminate()
        self.coordinator.process.wait()
        key.rename(self.folder / "kept")
        refused = self.run_coordinator("serve", "--listen", "127.0.0.1:0", "--http", "", code=1)
        self.assertIn("at-rest-key new", refused.stderr)
        problem = json.loads(self.run_coordinator("doctor", "--json", code=1).stdout)
        self.assertFalse(problem["healthy"])
        (self.folder / "kept").rename(key)
        self.coordinator.serve()


if __name__ == "__main__":
    main()
