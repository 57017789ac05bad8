"""What goes wrong gets a clear word, and loses nothing."""

import json
import os
import pathlib
import signal
import subprocess

from harness import BIN, FleetTest, StoryError, main, wait_for


def descendants(pid):
    """Processes below `pid`, as (pid, name)."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                name = pathlib.Path(f"/proc/{child}/comm").read_text().strip()
            except OSError:
                continue
            found += [(int(child), name), *descendants(int(child))]
    return found


class BadInputTest(FleetTest):
    def serve_another(self, state, listen):
        return subprocess.run([BIN / "muster-coordinator", "serve", "--state-dir", state,
                               "--listen", listen, "--http", ""],
                              capture_output=True, text=True, timeout=30, check=False)

    def test_a_port_in_use_is_named(self):
        self.start_coordinator()
        other = self.folder / "other"
        subprocess.run([BIN / "muster-coordinator", "init", "--state-dir", other], check=True,
                       capture_output=True)
        refused = self.serve_another(other, self.coordinator.address)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(self.coordinator.address, refused.stderr)
        self.assertIn("--listen", refused.stderr)

    def test_a_store_in_use_names_its_holder(self):
        self.start_coordinator()
        refused = self.serve_another(self.coordinator.state, "127.0.0.1:0")
        self.assertEqual(refused.returncode, 1)
        self.assertIn(str(self.coordinator.process.pid), refused.stderr)

    def test_serving_without_init_says_what_to_do(self):
        refused = self.serve_another(self.folder / "nothing", "127.0.0.1:0")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("muster-coordinator init", refused.stderr)

    def test_bad_job_files_are_refused_with_the_line(self):
        self.start_coordinator()
        path = self.folder / "job.yaml"
        path.write_text("name: x\nmodel: {zoo: lenet5}\nrounds: 2\nlerning_rate: 3\n")
        said = self.muster_fails("run", path, code=2)
        self.assertIn("job.yaml:4", said)
        path.write_text("name: x\nmodel: {zoo: lenet5}\nrounds: -2\n")
        self.assertIn("job.yaml:3", self.muster_fails("run", path, code=2))
        path.write_text("name: x\nmodel: {zoo: mlp}\nrounds: 1\nparameters: {frozen: ['nope.*']}\n")
        self.assertIn("nope.*", self.muster_fails("run", path, code=2))
        self.assertIn("missing.yaml", self.muster_fails("run", self.folder / "missing.yaml"))
        self.assertEqual(self.coordinator.muster_json("jobs", "ls")["jobs"], [])

    def test_a_device_without_its_data_says_so_and_is_not_invited(self):
        self.start_coordinator()
        token = self.token("--uses", "1")
        device = self.add_device("empty", token, images=str(self.folder / "nowhere"))
        device.start()
        self.wait_until_seen(1)
        shown = self.coordinator.muster_json("fleet", "show", "empty")["device"]
        self.assertFalse(shown["eligibility"]["has_data"])
        self.assertIn(str(self.folder / "nowhere"), device.log.read_text())
        job = self.wait_for_end(self.submit(self.job(round={
            "clients": 1, "quorum": 1, "deadline": "2s", "max_attempts": 1})))
        self.assertEqual(job["job"]["phase"], "failed")
        self.assertIn("0 updates", job["job"]["reason"].replace("0 of 0 updates", "0 updates"))

    def test_a_killed_worker_costs_one_update_and_not_the_round(self):
        self.start_fleet(2)
        job = self.submit(self.job(
            rounds=1, round={"clients": 2, "quorum": 1, "deadline": "90s"},
            train={"learning_rate": 0.01, "epochs": 400, "batch_size": 4}))

        def worker():
            return next((pid for pid, name in descendants(self.devices[0].process.pid)
                         if name == "muster-worker"), None)
        os.kill(wait_for("a worker", 60, worker, self.devices[0].log), signal.SIGKILL)
        ended = self.wait_for_end(job)
        self.assertEqual(ended["job"]["phase"], "succeeded", ended["job"].get("reason"))

    def test_a_worker_out_of_memory_is_reported_with_its_limit(self):
        self.start_coordinator()
        device = self.add_device("small", self.token("--uses", "1"))
        config = json.loads(device.config.read_text())
        config["worker"]["memory_bytes"] = 64 << 20
        device.config.write_text(json.dumps(config))
        device.start()
        self.wait_until_seen(1)
        ended = self.wait_for_end(self.submit(self.job(
            model={"zoo": "mlp", "input_shape": [1, 12, 12], "outputs": 4, "hidden": [8000, 3000]},
            round={"clients": 1, "quorum": 1, "deadline": "60s", "max_attempts": 1}, rounds=1)))
        self.assertEqual(ended["job"]["phase"], "failed")
        self.assertIn("memory", self.coordinator.log.read_text())

    def test_a_full_disk_under_the_coordinator_loses_nothing_acknowledged(self):
        self.start_fleet(2)
        first = self.succeed(self.job(name="before", rounds=1))
        filler = self.fill_disk()
        if filler is None:
            self.fail("the coordinator's folder is no small disk: see setUp")
        with self.assertRaises(StoryError):
            self.submit(self.job(name="during", rounds=1))
        filler.unlink()
        self.assertEqual(self.show(first["job"]["id"])["job"]["latest_weights"],
                         first["job"]["latest_weights"])
        self.succeed(self.job(name="after", rounds=1))

    def fill_disk(self):
        """The coordinator's state stands on a disk of its own for this test: see setUp."""
        if self.disk is None:
            return None
        filler = self.coordinator.state / "filler"
        with open(filler, "wb") as out:
            try:
                while True:
                    out.write(b"\0" * (1 << 20))
                    out.flush()
            except OSError:
                pass
        return filler

    def setUp(self):
        super().setUp()
        self.disk = None
        if "full_disk" in self._testMethodName:
            self.coordinator.state.mkdir(parents=True)
            mount = ["mount", "-t", "tmpfs", "-o", f"size=24m,uid={os.getuid()}", "tmpfs",
                     str(self.coordinator.state)]
            as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
            subprocess.run([*as_root, *mount], check=True)
            self.disk = self.coordinator.state
            # Registered after the processes' end, so it runs before the folder goes.
            self.addCleanup(lambda: (self.processes.stop_all(),
                                     subprocess.run([*as_root, "umount", str(self.disk)],
                                                    check=True)))


if __name__ == "__main__":
    main()
