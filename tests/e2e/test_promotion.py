"""Promotion, roll-back, and what a device does with a package that it cannot trust."""

import json
import os
import signal
import subprocess
import urllib.request

from harness import BIN, ROOT, SIDE, FleetTest, main, wait_for


class PromotionTest(FleetTest):
    def setUp(self):
        super().setUp()
        self.start_fleet(2)
        self.job_shown = self.succeed(self.job(rounds=2))

    def promote(self, version, *arguments):
        environment = {**os.environ, "MUSTER": str(BIN / "muster"),
                       "MUSTER_COORDINATOR": self.coordinator.address,
                       "MUSTER_CREDENTIAL": str(self.coordinator.credential)}
        return subprocess.run([ROOT / "scripts" / "promote", f"quadrants@{version}", "--cohort", "",
                               "--timeout", "60s", *arguments], env=environment,
                              capture_output=True, text=True, check=False)

    def serving(self, device):
        """The version that the device's own inference endpoint answers with."""
        body = json.dumps({"inputs": [{"name": "input", "shape": [1, 1, SIDE, SIDE],
                                       "datatype": "FP32", "data": [0.5] * (SIDE * SIDE)}]})
        request = urllib.request.Request(
            f"http://127.0.0.1:{device.inference_port()}/v2/models/quadrants/infer", body.encode(),
            {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            return int(json.load(reply)["model_version"])

    def test_devices_follow_promotions_and_roll_backs_and_promote_is_idempotent(self):
        first = self.promote(1)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertEqual([self.serving(d) for d in self.devices], [1, 1])
        again = self.promote(1)
        self.assertEqual(again.returncode, 0, again.stderr)
        second = self.promote(2)
        self.assertEqual(second.returncode, 0, second.stderr)
        self.assertEqual([self.serving(d) for d in self.devices], [2, 2])
        self.coordinator.muster("promote", "rollback", "quadrants")
        wait_for("version 1 again", 60,
                 lambda: [self.serving(d) for d in self.devices] == [1, 1])

    def test_a_device_serves_its_last_good_model_offline_after_a_restart(self):
        self.assertEqual(self.promote(2).returncode, 0)
        self.coordinator.process.send_signal(signal.SIGKILL)
        self.coordinator.process.wait()
        device = self.devices[0]
        device.process.send_signal(signal.SIGKILL)
        device.process.wait()
        (device.state / "agent.json").unlink()
        device.start()
        wait_for("the model without a coordinator", 30, lambda: self.answers(device), device.log)

    def answers(self, device):
        try:
            return self.serving(device) == 2
        except OSError:
            return False

    def test_a_package_with_a_foreign_signature_is_refused_and_the_last_good_one_serves(self):
        self.assertEqual(self.promote(1).returncode, 0)
        # Another key signs from now on: the devices still trust the one they enrolled with.
        self.coordinator.process.send_signal(signal.SIGTERM)
        self.coordinator.process.wait()
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-out",
                        self.coordinator.state / "package-key.pem"], check=True,
                       capture_output=True)
        self.coordinator.serve()
        failed = self.wait_for_end(self.submit(self.job(rounds=1, round={
            "clients": 2, "quorum": 1, "deadline": "30s", "max_attempts": 1})))
        self.assertEqual(failed["job"]["phase"], "failed")
        self.assertIn("signed with another key", self.devices[0].log.read_text())
        self.assertEqual([self.serving(d) for d in self.devices], [1, 1])


if __name__ == "__main__":
    main()
