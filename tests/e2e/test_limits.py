"""A coordinator that is asked for too much says when to come back, and the real device does as it is told."""

import json
import re
import signal
import urllib.request

from harness import FleetTest, main, wait_for

CALLS = "calls_per_second_of_an_identity"


class LimitsTest(FleetTest):
    def metrics(self):
        run = json.loads((self.coordinator.state / "coordinator.json").read_text())
        url = f"http://127.0.0.1:{run['http_port']}/metrics"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.read().decode()

    def figure(self, name, **labels):
        """The sum of a metric's samples that carry these labels."""
        total = 0.0
        for found, text, value in re.findall(r"^(\w+)\{([^}]*)\} (\S+)$", self.metrics(), re.M):
            if found == name and all(f'{k}="{v}"' in text for k, v in labels.items()):
                total += float(value)
        return total

    def check_ins(self, code):
        return self.figure("muster_rpc_calls_total", method="muster.v1.DeviceService/CheckIn",
                           code=code)

    def test_a_device_above_its_rate_stays_away_as_long_as_it_is_asked(self):
        self.start_coordinator()
        device = self.add_device("eager", self.token("--uses", "1", "--ttl", "1h"))
        self.coordinator.process.send_signal(signal.SIGTERM)
        self.coordinator.process.wait()
        self.coordinator.serve_arguments = ["--calls-per-second", "0.5", "--calls-burst", "1",
                                            "--pace-max-ms", "1000"]
        self.coordinator.serve()
        device.start()
        wait_for("refusals", 60, lambda: self.figure("muster_limit_refused_total", limit=CALLS) >= 4,
                 self.coordinator.log)
        accepted, refused = self.check_ins("OK"), self.check_ins("RESOURCE_EXHAUSTED")
        # It comes back when it was told to: who did not would be refused again and again.
        self.assertGreaterEqual(accepted, 3)
        self.assertLessEqual(refused, accepted + 2)
        self.assertIn("try again in", device.log.read_text())

    def test_every_limit_is_a_metric(self):
        self.start_coordinator()
        limits = set(re.findall(r'^muster_limit\{limit="(\w+)"\}', self.metrics(), re.M))
        self.assertEqual(limits, {
            "connections", "streams_per_connection", "queued_calls", CALLS,
            "enrolments_per_second_of_an_address", "rated_callers", "transfer_bytes",
            "transfers_waiting", "idle_check_ins_per_second", "open_rounds", "cohort",
            "ticks_per_second", "http_connections"})
        self.assertGreaterEqual(self.figure("muster_limit_current", limit="http_connections"), 1)

    def test_a_job_that_asks_for_too_many_devices_is_refused_with_the_flag_to_raise(self):
        self.coordinator.init()
        self.coordinator.serve_arguments = ["--max-cohort", "5"]
        self.coordinator.serve()
        said = self.muster_fails("run", self.job(round={"clients": 6, "quorum": 6, "deadline": "60s"}),
                                 "--detach")
        self.assertIn("--max-cohort", said)


if __name__ == "__main__":
    main()
