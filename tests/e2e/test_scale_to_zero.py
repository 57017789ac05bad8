"""A coordinator that runs only while there is something to do: sockets outlive it, callers wake it."""

import json
import os
import shutil
import signal
import subprocess
import time
import unittest
import urllib.request

from harness import BIN, FleetTest, main, wait_for

from activation import Activator  # in scripts/lib, which harness puts on the path

IDLE_EXIT = 1  # seconds


class ScaleToZeroTest(FleetTest):
    def setUp(self):
        super().setUp()
        self.coordinator.init()
        self.activator = Activator(self.serve("--pace-min-ms", "4000"), self.coordinator.log)
        self.coordinator.address = self.activator.address
        self.addCleanup(self.activator.stop)
        self.activator.start()

    def serve(self, *arguments):
        return [BIN / "muster-coordinator", "serve", "--state-dir", self.coordinator.state,
                "--idle-exit", str(IDLE_EXIT), *arguments]

    def wait_for_end_of_process(self, ends):
        wait_for(f"end {ends} of an idle coordinator", 30,
                 lambda: len(self.activator.exit_codes) >= ends, self.coordinator.log)
        self.assertEqual(set(self.activator.exit_codes), {0}, self.coordinator.log.read_text())

    def tick(self):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.activator.http_port}/tick", data=b"{}", method="POST",
            headers={"ce-specversion": "1.0", "ce-type": "dev.knative.sources.ping",
                     "ce-source": "/apis/v1/pingsources/tick", "ce-id": "1",
                     "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def submit_round_that_nobody_joins(self, deadline):
        """The job, and a time at which the round's deadline has passed."""
        path = self.folder / "job.json"
        path.write_text(json.dumps({
            "name": "lonely", "rounds": 1, "seed": 1,
            "model": {"zoo": "mlp", "input_shape": [1, 4, 4], "outputs": 2, "hidden": [4]},
            "round": {"clients": 1, "quorum": 1, "deadline": f"{deadline}s"},
            "privacy": {"secure_aggregation": {"mode": "off"}}}))
        job = self.submit(path)
        return job, time.time() + deadline

    def rounds(self, job):
        return [(r["attempt"], r["phase"]) for r in self.show(job)["rounds"]]

    def test_it_starts_with_the_first_call_and_ends_when_idle(self):
        self.assertEqual(self.activator.starts, 0)
        self.assertEqual(self.coordinator.muster_json("jobs", "ls")["jobs"], [])
        self.wait_for_end_of_process(1)
        self.assertEqual(self.coordinator.muster_json("jobs", "ls")["jobs"], [])
        self.assertEqual(self.activator.starts, 2)

    def test_a_device_wakes_it_and_notices_nothing(self):
        device = self.add_device("sleeper", self.token("--uses", "1", "--ttl", "1h"))
        device.start()
        # It checks in every four seconds or so, and in between the coordinator is gone.
        before = self.activator.starts
        wait_for("three ends between check-ins", 60,
                 lambda: self.activator.starts >= before + 3, self.coordinator.log)
        self.wait_for_end_of_process(before + 2)
        last_seen = self.coordinator.muster_json("fleet", "ls")["devices"][0]["last_seen_unix_us"]
        self.assertLess(time.time() - last_seen / 1e6, 15)
        self.assertNotIn("checking in failed", device.log.read_text())

    def test_no_call_is_lost_however_close_to_the_end_it_comes(self):
        for call in range(12):
            self.coordinator.muster_json("jobs", "ls")  # fails the test if it is not answered
            time.sleep(IDLE_EXIT - 0.06 + 0.01 * call)
        self.assertGreater(self.activator.starts, 1)

    def test_killing_it_loses_no_socket(self):
        token = self.token("--uses", "1", "--ttl", "1h")
        self.activator.process.send_signal(signal.SIGKILL)
        wait_for("the end", 10, lambda: self.activator.exit_codes, self.coordinator.log)
        self.add_device("late", token)
        self.assertEqual(len(self.coordinator.muster_json("fleet", "ls")["devices"]), 1)

    def test_a_deadline_that_passed_meanwhile_fires_at_the_next_call(self):
        job, due = self.submit_round_that_nobody_joins(deadline=6)
        self.wait_for_end_of_process(1)
        self.assertLess(time.time(), due, "it was to end before the deadline")
        wait_for("the deadline", 10, lambda: time.time() > due)
        self.assertFalse(self.activator.running)
        wait_for("the second attempt", 10, lambda: (1, "abandoned") in self.rounds(job),
                 self.coordinator.log)
        self.assertEqual(self.activator.starts, 2)

    def test_a_deadline_that_passed_meanwhile_fires_at_a_tick(self):
        job, due = self.submit_round_that_nobody_joins(deadline=6)
        self.wait_for_end_of_process(1)
        wait_for("the deadline", 10, lambda: time.time() > due)
        told = self.tick()
        # Its start and the tick race for the task; one of them carried it out before the answer.
        self.assertGreaterEqual(told["ran_since_start"], 1)
        self.assertIsNotNone(told["next_due"])  # the next attempt's deadline
        self.assertEqual(self.activator.starts, 2)
        self.wait_for_end_of_process(2)
        self.assertIn((1, "abandoned"), self.rounds(job))

    def test_it_stays_while_a_task_is_due_soon(self):
        began = time.time()
        self.submit_round_that_nobody_joins(deadline=2)
        self.wait_for_end_of_process(1)
        self.assertGreaterEqual(time.time(), began + 2)

    def test_idle_exit_without_passed_sockets_is_refused(self):
        done = subprocess.run([str(a) for a in self.serve("--listen", "127.0.0.1:0")],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("LISTEN_FDS", done.stderr)

    @unittest.skipUnless(shutil.which("systemd-socket-activate"),
                         "systemd-socket-activate is not installed (Debian package systemd)")
    def test_systemd_s_own_activation_starts_it(self):
        from fleet import free_port
        port, http_port = free_port(), free_port()
        process = self.processes.start(
            ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-l", f"127.0.0.1:{http_port}",
             "--fdname=grpc:http", "-E", "PATH=" + os.environ["PATH"], *self.serve()],
            self.coordinator.log)
        self.coordinator.address = f"127.0.0.1:{port}"
        out = subprocess.run([str(a) for a in self.coordinator.command("ping", "--wait", "20s")],
                             capture_output=True, text=True, check=False)
        self.assertEqual(out.returncode, 0, out.stderr)
        with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/readyz", timeout=20) as answer:
            self.assertEqual(answer.read(), b"ready\n")
        self.assertEqual(process.wait(30), 0)


if __name__ == "__main__":
    main()
