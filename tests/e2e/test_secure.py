"""Secure aggregation end to end: real devices, real crashes, and a sum that is right."""

import json
import signal
import sqlite3
import struct

from harness import FleetTest, main, wait_for

DEVICES = 12
TOLERANCE = 1e-4  # of a weight: stochastic rounding at the ring's resolution


class SecureTest(FleetTest):
    def secure_job(self, mode="semi-honest", clients=None, quorum=8, deadline="8s", **overrides):
        privacy = {"secure_aggregation": {"mode": mode, "drop": 0.1, "phase_deadline": deadline}}
        round_ = {"clients": clients or len(self.devices), "quorum": quorum, "deadline": "40s"}
        return self.job(**{"privacy": privacy, "round": round_, "rounds": 1, **overrides})

    def query(self, sql, *arguments):
        """What the coordinator made durable; its process may be dead or alive."""
        store = sqlite3.connect(f"file:{self.coordinator.state / 'muster.db'}?mode=ro", uri=True,
                                timeout=10)
        try:
            return store.execute(sql, arguments).fetchall()
        finally:
            store.close()

    def phase(self, job):
        rows = self.query("SELECT phase FROM round WHERE job = ? ORDER BY number DESC, attempt DESC"
                          " LIMIT 1", job)
        return rows[0][0] if rows else None

    def senders(self, job, step):
        return {row[0] for row in self.query(
            "SELECT device FROM secagg_message WHERE job = ? AND step = ?", job, step)}

    def wait_for_senders(self, job, step, devices):
        names = {d.name for d in devices}
        wait_for(f"{step} of {len(names)} devices", 90,
                 lambda: names <= self.senders(job, step), self.coordinator.log)

    def weights(self, model):
        folder = self.folder / f"pulled-{model.replace('@', '-')}"
        self.coordinator.muster("models", "pull", model, "--out", folder)
        data = (folder / "weights.f32").read_bytes()
        return struct.unpack(f"<{len(data) // 4}f", data)

    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        process.wait()

    def crash_coordinator(self):
        self.kill(self.coordinator.process)
        self.coordinator.serve()

    def start_labelled_fleet(self, count):
        self.start_coordinator()
        for index in range(count):
            token = self.token("--uses", "1", "--ttl", "1h", "--label", f"n=d{index}")
            self.add_device(f"device-{index:02d}", token, index, count)
        for device in self.devices:
            device.start()
        self.wait_until_seen(count)

    def assert_same_model(self, secure, clear):
        left, right = self.weights(secure), self.weights(clear)
        self.assertEqual(len(left), len(right))
        self.assertLess(max(abs(a - b) for a, b in zip(left, right)), TOLERANCE)

    def test_every_mode_gives_the_model_of_the_clear_sum(self):
        self.start_labelled_fleet(5)
        self.succeed(self.secure_job("off", name="clear", rounds=2, quorum=5))
        for mode in ("semi-honest", "malicious"):
            with self.subTest(mode):
                shown = self.succeed(self.secure_job(mode, name=mode, rounds=2, quorum=5))
                self.assert_same_model(f"{mode}@2", "clear@2")
                self.assertIn(mode, json.dumps(shown["job"]))
                self.assertEqual(self.query("SELECT count(*) FROM secagg_message")[0][0], 0)
        # The same seed and the same cohort give the same bytes, whatever the masks were.
        again = self.succeed(self.secure_job("malicious", name="again", rounds=2, quorum=5))
        digest = {row[0] for row in self.query(
            "SELECT weights FROM model WHERE version = 2 AND name IN ('again', 'malicious')")}
        self.assertEqual(len(digest), 1)
        self.assertEqual(again["job"]["phase"], "succeeded")

    def test_a_device_and_the_coordinator_die_in_each_phase(self):
        self.start_labelled_fleet(DEVICES)
        early, shares, masks, reveals, slow = self.devices[:5]
        job = self.submit(self.secure_job(name="stormy"))

        # Training and advertising: the first victim never gets to it, so that the roster stays open.
        self.kill(early.process)
        alive = self.devices[1:]
        self.crash_coordinator()
        self.wait_for_senders(job, "advert", alive)
        self.assertEqual(self.phase(job), "collecting")
        # It is in the roster and will never share: that phase waits for it.
        self.kill(shares.process)
        alive = self.devices[2:]
        wait_for("the roster", 60, lambda: self.phase(job) == "sharing", self.coordinator.log)
        self.wait_for_senders(job, "shares", alive)
        # The next one has shared and will never hand in a vector.
        self.kill(masks.process)
        self.crash_coordinator()
        alive = self.devices[3:]
        wait_for("the masking phase", 60, lambda: self.phase(job) == "masking", self.coordinator.log)
        self.wait_for_senders(job, "masked", alive)
        # The next one is in the sum and will never reveal. A slow one keeps the last phase open.
        self.kill(reveals.process)
        slow.process.send_signal(signal.SIGSTOP)
        self.crash_coordinator()
        wait_for("the unmasking phase", 60, lambda: self.phase(job) == "unmasking",
                 self.coordinator.log)
        self.wait_for_senders(job, "reveal", self.devices[5:])
        self.crash_coordinator()
        slow.process.send_signal(signal.SIGCONT)

        ended = self.wait_for_end(job)
        self.assertEqual(ended["job"]["phase"], "succeeded", ended["job"].get("reason"))
        survivors = {row[0] for row in self.query(
            "SELECT device FROM invocation WHERE job = ? AND status = 'reported'"
            " AND function = 'train'", job)}
        self.assertEqual(survivors, {d.name for d in self.devices[3:]})

        # The same devices, summed in the clear, make the same model.
        reveals.start()
        wait_for("the device's return", 30, lambda: reveals.process.poll() is None)
        cohort = ",".join(f"n!=d{i}" for i in range(3))
        self.succeed(self.secure_job("off", name="calm", clients=len(survivors),
                                     quorum=len(survivors), cohort=cohort))
        self.assert_same_model("stormy@1", "calm@1")

    def test_a_device_that_dies_between_its_messages_goes_on_where_it_was(self):
        self.start_labelled_fleet(6)
        victim = self.devices[2]
        others = [d for d in self.devices if d is not victim]

        def tell_others(number):
            for device in others:
                device.process.send_signal(number)

        # No phase ends before everybody has sent, so whoever stands still holds it open: each death is
        # between two messages for sure.
        tell_others(signal.SIGSTOP)
        job = self.submit(self.secure_job(name="bouncy", quorum=6, deadline="30s"))
        self.wait_for_senders(job, "advert", [victim])
        self.kill(victim.process)
        tell_others(signal.SIGCONT)
        self.wait_for_senders(job, "shares", others)
        tell_others(signal.SIGSTOP)
        for step in ("shares", "masked"):
            victim.start()
            self.wait_for_senders(job, step, [victim])
            self.kill(victim.process)
        victim.start()
        tell_others(signal.SIGCONT)
        ended = self.wait_for_end(job)
        self.assertEqual(ended["job"]["phase"], "succeeded", ended["job"].get("reason"))
        self.assertEqual(ended["rounds"][-1]["reported"], 6)

    def test_a_round_with_too_few_clients_is_refused_before_it_starts(self):
        self.start_coordinator()
        said = self.muster_fails("run", self.secure_job(clients=3, quorum=3), "--detach")
        self.assertIn("4", said)
        self.assertIn("secure_aggregation", said)
        plan = self.coordinator.muster_json("secagg", "plan", "--clients", "1000", "--drop", "0.1",
                                            "--corrupt", "0.1")
        self.assertEqual((plan["neighbours"], plan["threshold"]), (58, 30))

    def test_private_jobs_tell_what_they_spent_and_stop_at_their_budget(self):
        self.start_labelled_fleet(6)
        for mode in ("central", "distributed"):
            with self.subTest(mode):
                path = self.secure_job(name=mode, rounds=20, quorum=6, privacy={
                    "clip": 1.0,
                    "secure_aggregation": {"corrupt": 0.2, "drop": 0.1},
                    "differential_privacy": {"mode": mode, "noise_multiplier": 1.5, "delta": 1e-5,
                                             "epsilon": 6.0}})
                shown = self.wait_for_end(self.submit(path))
                self.assertEqual(shown["job"]["phase"], "succeeded", shown["job"].get("reason"))
                privacy = shown["job"]["privacy"]
                self.assertGreater(privacy["epsilon"], 1.0)
                self.assertLessEqual(privacy["epsilon"], 6.0)
                self.assertLess(shown["job"]["rounds_committed"], 20)
                spent = [r["metrics"]["epsilon"] for r in shown["rounds"]]
                self.assertEqual(spent, sorted(spent))


if __name__ == "__main__":
    main()
