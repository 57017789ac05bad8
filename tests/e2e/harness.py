"""A small fleet of real processes for end-to-end tests."""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))
from fleet import Coordinator, Device, Processes, StoryError, wait_for  # noqa: E402, F401
from postgres import Postgres  # noqa: E402
from s3 import S3Missing, S3Server  # noqa: E402

BIN = pathlib.Path(os.environ.get("MUSTER_BIN", ROOT / "build" / "dev" / "bin")).resolve()
SIDE = 12        # pixels of a synthetic image's side
CLASSES = 4


def write_idx(folder, count, seed=1):
    """Images of a bright quadrant in noise; the label is the quadrant. Learnable, small, made here."""
    folder.mkdir(parents=True, exist_ok=True)
    state = seed
    images, labels = bytearray(), bytearray()
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        label = (state >> 33) % CLASSES
        labels.append(label)
        for pixel in range(SIDE * SIDE):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            row, column = divmod(pixel, SIDE)
            quadrant = (row >= SIDE // 2) * 2 + (column >= SIDE // 2)
            images.append((state >> 33) % 120 + (100 if quadrant == label else 0))
    (folder / "images").write_bytes(struct.pack(">IIII", 0x803, count, SIDE, SIDE) + images)
    (folder / "labels").write_bytes(struct.pack(">II", 0x801, count) + labels)
    return {"format": "idx", "images": str(folder / "images"), "labels": str(folder / "labels")}


class FleetTest(unittest.TestCase):
    """A coordinator and devices in a temporary folder; every process ends with the test."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.processes = Processes()
        self.addCleanup(self.processes.stop_all)
        self.coordinator = Coordinator(BIN, self.folder, self.processes)
        self.data = write_idx(self.folder / "data", 600)
        self.devices = []

    def start_coordinator(self):
        self.coordinator.init()
        self.coordinator.serve()

    def start_stores(self):
        """A PostgreSQL server and an S3-compatible one of the test's own, both running."""
        os.chmod(self.folder, 0o711)  # the database's user must be able to get to its folder
        postgres = Postgres(self.folder / "pg")
        postgres.start()
        self.addCleanup(postgres.stop)
        try:
            blobs = S3Server(self.folder, self.processes)
        except S3Missing as missing:
            self.skipTest(str(missing))
        blobs.start()
        return postgres, blobs

    def token(self, *arguments):
        return self.coordinator.muster("tokens", "create", *arguments).strip()

    def add_device(self, name, token, index=0, parts=1, labels=None, folder=None, **data):
        device = Device(BIN, self.folder / "devices" / (folder or name), name, labels or {},
                        {**self.data, "seed": 3, "held_out_fraction": 0.2,
                         "partition": {"kind": "iid", "parts": parts, "index": index}, **data},
                        self.processes)
        device.enrol(self.coordinator, token)
        self.devices.append(device)
        return device

    def start_fleet(self, count):
        self.start_coordinator()
        token = self.token("--uses", str(count), "--ttl", "1h")
        for index in range(count):
            self.add_device(f"device-{index}", token, index, count)
        for device in self.devices:
            device.start()
        self.wait_until_seen(count)

    def wait_until_seen(self, count):
        def seen():
            devices = self.coordinator.muster_json("fleet", "ls")["devices"]
            return sum(d.get("last_seen_unix_us", 0) > 0 for d in devices) >= count
        wait_for("the fleet's first check-in", 30, seen, self.coordinator.log)

    def job(self, **overrides):
        clients = max(1, len(self.devices))
        spec = {
            "name": "quadrants",
            "model": {"zoo": "mlp", "input_shape": [1, SIDE, SIDE], "outputs": CLASSES,
                      "hidden": [16]},
            "rounds": 3, "seed": 11,
            "round": {"clients": clients, "quorum": clients, "deadline": "60s"},
            "train": {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.5, "epochs": 1,
                      "batch_size": 16},
            "privacy": {"secure_aggregation": {"mode": "off"}},
        }
        spec.update(overrides)
        path = self.folder / f"job-{len(list(self.folder.glob('job-*')))}.json"
        path.write_text(json.dumps(spec))
        return path

    def muster_fails(self, *arguments, code=None):
        """A command that must fail; what it says."""
        done = subprocess.run([str(a) for a in self.coordinator.command(*arguments)],
                              capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        if code is not None:
            self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def submit(self, path, *arguments):
        return self.coordinator.muster_json("run", path, "--detach", *arguments)["job"]

    def show(self, job):
        return self.coordinator.muster_json("jobs", "show", job)

    def wait_for_end(self, job, seconds=180):
        def ended():
            try:
                shown = self.show(job)
            except StoryError:  # the coordinator is down for the moment
                return None
            return shown if shown["job"]["phase"] not in ("running", "finishing") else None
        return wait_for(f"the end of {job}", seconds, ended, self.coordinator.log)

    def succeed(self, path, *arguments):
        shown = self.wait_for_end(self.submit(path, *arguments))
        self.assertEqual(shown["job"]["phase"], "succeeded", shown["job"].get("reason"))
        return shown


def main():
    unittest.main(verbosity=2)
