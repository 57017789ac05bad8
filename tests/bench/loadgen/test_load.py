"""The load generator plays its whole repertoire with a small fleet: real gRPC, real mTLS, both kinds of
aggregation, devices that leave, and a sum that is right."""

import argparse
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

import large
from fleet_load import LoadedFleet, wait_for

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ["MUSTER_BIN"])
DEVICES = 100
CLIENTS = 40
PARAMETERS = 4000
TOLERANCE = 1e-4  # of a weight: stochastic rounding at the ring's resolution


class LoadTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-load-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.fleet = LoadedFleet(BIN, self.folder, DEVICES, tiers=[CLIENTS])
        self.addCleanup(self.fleet.stop)
        self.fleet.start()

    def weights(self, model):
        folder = self.folder / f"pulled-{model}"
        self.fleet.coordinator.muster("models", "pull", model, "--out", folder)
        data = (folder / "weights.f32").read_bytes()
        return struct.unpack(f"<{len(data) // 4}f", data)

    def test_a_fleet_enrols_checks_in_and_plays_rounds(self):
        generator = self.fleet.generator
        self.assertEqual(self.fleet.enrol()["calls"]["Enrol"]["count"], DEVICES)
        self.assertEqual(generator.do("connect", count=DEVICES)["calls"]["CheckIn"]["count"], DEVICES)
        kept = generator.do("check_in", count=DEVICES, times=3)
        self.assertEqual(kept["calls"]["CheckIn"]["count"], 3 * DEVICES)
        self.assertEqual(kept["outcomes"], {})
        for resume in (False, True):
            fresh = generator.do("fresh", first=CLIENTS, count=20, resume=resume)
            self.assertEqual(fresh["calls"]["CheckIn"]["count"], 20)
            self.assertEqual(fresh["outcomes"], {"resumed": 20} if resume else {})
        generator.do("connect", first=CLIENTS, count=20)

        clear = self.fleet.round(CLIENTS, PARAMETERS, "off", name="clear", idle=20)
        self.assertEqual(clear["outcomes"], {"accepted": CLIENTS})
        secure = self.fleet.round(CLIENTS, PARAMETERS, name="masked")
        told = secure["outcomes"].get("accepted", 0) + secure["outcomes"].get("not needed any more", 0)
        self.assertEqual(told, CLIENTS, secure["outcomes"])
        left, right = self.weights("clear@1"), self.weights("masked@1")
        self.assertGreater(max(map(abs, left)), TOLERANCE)
        self.assertLess(max(abs(a - b) for a, b in zip(left, right, strict=True)), TOLERANCE)

        for mode in ("semi-honest", "malicious"):
            stormy = self.fleet.round(CLIENTS, PARAMETERS, mode, dropped=0.1, name=f"stormy-{mode}",
                                      slow=0.1, slow_pause_ms=50)
            self.assertEqual(stormy["outcomes"]["left"], 4)
            self.assertEqual(stormy["reported"], CLIENTS - 2)  # two left after their vector
        self.assertGreater(stormy["cpu_ms_per_client_round"], 0)


class LargeModelTest(unittest.TestCase):
    """The scenario of `scripts/dev bench large`, with a model of 40 MB."""

    def test_a_transfer_that_was_cut_goes_on_where_it_stood(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-large-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        options = argparse.Namespace(devices=4, parameters=10_000_000, secure="semi-honest",
                                     phase_seconds=60)
        fleet = LoadedFleet(BIN, folder, options.devices)
        self.addCleanup(fleet.stop)
        fleet.start()
        transfer = large.play(fleet, options)
        self.assertGreaterEqual(transfer["held"], large.CUT_AT * 4 * options.parameters)
        self.assertEqual(transfer["smallest"], transfer["held"])


def program(pid):
    """What runs there; nothing if it has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0].rpartition("/")[2]
    except OSError:
        return ""


def children(pid):
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {program(child): child for child in found}


class EndTest(unittest.TestCase):
    """A benchmark that is ended takes along what it started."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-ended-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def end_by(self, ending):
        benchmark = subprocess.Popen(
            [sys.executable, "-B", HERE / "large.py", "--bin", BIN, "--parameters", "1000000"],
            stdout=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(self.folder)})
        self.addCleanup(benchmark.kill)

        def both():
            there = children(benchmark.pid)
            return there if {"muster-coordinator", "muster-loadgen"} <= there.keys() else None
        started = wait_for("the start of both programs", 30, both)
        benchmark.send_signal(ending)
        status = benchmark.wait(30)
        wait_for("the end of both programs", 10, lambda: not any(map(program, started.values())))
        return status

    def test_by_sigterm_nothing_is_left(self):
        self.assertEqual(self.end_by(signal.SIGTERM), 128 + signal.SIGTERM)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_by_sigkill_no_process_is_left(self):
        self.assertEqual(self.end_by(signal.SIGKILL), -signal.SIGKILL)


if __name__ == "__main__":
    unittest.main(verbosity=2)
