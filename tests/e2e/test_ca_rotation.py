"""The CA of a fleet is replaced while a job runs: nobody enrols again, and the old one is over."""

import json
import shutil
import subprocess
import time

from harness import BIN, FleetTest, main, wait_for

DEVICES = 5


class CaTest(FleetTest):
    store = ()  # --store URL, if it is not SQLite

    def ca(self, verb, *arguments):
        """Exit code, output and errors of `muster-coordinator ca VERB`."""
        store = () if verb == "rotate" else self.store  # which looks at no device
        return subprocess.run(
            [str(a) for a in (BIN / "muster-coordinator", "ca", verb, "--state-dir",
                              self.coordinator.state, *store, *arguments)],
            capture_output=True, text=True, check=False)

    def done(self, verb, *arguments):
        answer = self.ca(verb, *arguments)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        return answer.stdout

    def status(self):
        return json.loads(self.done("status", "--json"))


class CaRotationTest(CaTest):
    def wait_for_devices(self, what, count):
        wait_for(f"{count} devices that {what}", 120,
                 lambda: self.status()["devices"][what] == count, self.coordinator.log)

    def wait_until_served(self, stage, addresses=None):
        """By every replica, unless `addresses` names some."""
        ports = {int(address.rpartition(":")[2])
                 for address in addresses or self.coordinator.addresses}

        def served():
            lines = [json.loads(line) for line in self.coordinator.log.read_text().splitlines()
                     if line.startswith("{")]
            serving = {line["port"]: line["ca"] for line in lines if line["msg"] == "serving"}
            return all(serving.get(port) == stage for port in ports)
        wait_for(f"the coordinator to take up '{stage}'", 30, served, self.coordinator.log)

    def step(self, verb, stage):
        self.done(verb)
        self.wait_until_served(stage)

    def test_a_rotation_while_a_secure_job_runs(self):
        # Three minutes: devices renew about every twenty seconds.
        self.coordinator.serve_arguments = ["--device-certificate-hours", "0.05"]
        self.start_fleet(DEVICES)
        # Two that stay behind: an operator's credential, and a device that is switched off.
        old_credential = self.folder / "old-operator"
        shutil.copytree(self.coordinator.credential, old_credential)
        left_behind = self.folder / "left-behind"
        shutil.copytree(self.devices[0].state / "identity", left_behind / "identity")
        enrolled = {d["id"]: d["enrolled_unix_us"]
                    for d in self.coordinator.muster_json("fleet", "ls")["devices"]}
        old_pin = self.coordinator.pin
        job = self.submit(self.job(
            rounds=900, privacy={"secure_aggregation": {"mode": "semi-honest"}}))

        self.assertIn("ca rotate", self.ca("switch").stderr)
        self.step("rotate", "announced")
        self.wait_for_devices("trust_all", DEVICES)
        self.assertIn("ca switch", self.ca("retire").stderr)
        self.coordinator.muster("credential", "renew")
        self.step("switch", "switched")
        refused = self.ca("retire")
        self.assertEqual(refused.returncode, 1)
        self.assertIn(f"of {DEVICES} devices still depend on the old CA", refused.stderr)
        renewed = self.coordinator.muster_json("credential", "renew")
        self.coordinator.pin = subprocess.run(
            [BIN / "muster-coordinator", "pin", "--state-dir", self.coordinator.state],
            capture_output=True, text=True, check=True).stdout.strip()
        self.assertNotEqual(self.coordinator.pin, old_pin)
        self.assertEqual(renewed["issuer_pin"], self.coordinator.pin)
        self.assertEqual(len(renewed["trusted_pins"]), 2)
        self.wait_for_devices("use_issuer", DEVICES)
        before = self.show(job)["job"]
        self.assertEqual(before["phase"], "running", before.get("reason"))
        self.step("retire", "settled")
        self.wait_for_devices("trust_all", DEVICES)

        # The job went on, and goes on.
        rounds = self.show(job)["job"].get("rounds_committed", 0)
        wait_for("three more rounds", 120,
                 lambda: self.show(job)["job"].get("rounds_committed", 0) >= rounds + 3,
                 self.coordinator.log)
        self.coordinator.muster("jobs", "cancel", job)
        self.assertEqual(enrolled, {d["id"]: d["enrolled_unix_us"]
                                    for d in self.coordinator.muster_json("fleet", "ls")["devices"]})
        # What the old CA issued is over.
        self.coordinator.credential, credential = old_credential, self.coordinator.credential
        self.muster_fails("ping")
        self.coordinator.credential = credential
        self.assertFalse((self.coordinator.state / "identity" / "ca-key.pem").exists())
        # Whoever was away is told what to do.
        config = json.loads(self.devices[0].config.read_text())
        (self.folder / "left-behind.json").write_text(
            json.dumps({**config, "state_dir": str(left_behind)}))
        log = self.folder / "left-behind.log"
        self.processes.start([BIN / "muster-client", "run", "--config",
                              self.folder / "left-behind.json"], log)
        wait_for("a word to the device that was away", 30,
                 lambda: "enrol it again" in log.read_text(), log)
        # A new device enrols with the new pin, and the audit log has the steps of each replica.
        self.add_device("newcomer", self.token("--uses", "1"))
        changes = {}
        for row in self.coordinator.muster_json("audit", "ls")["rows"]:
            if row["action"] == "ca.change":
                changes.setdefault(row["actor"], []).append(row["detail"].split(",")[0])
        self.assertEqual([sorted(steps) for steps in changes.values()],
                         [["announced", "settled", "switched"]] * len(self.coordinator.replicas))


class KilledStepTest(CaTest):
    def test_a_step_that_is_killed_has_happened_or_not(self):
        self.coordinator.init()
        for verb, after in (("rotate", "announced"), ("switch", "switched"), ("retire", "settled")):
            before = self.status()["stage"]
            for attempt in range(15):
                process = subprocess.Popen(
                    [str(a) for a in (BIN / "muster-coordinator", "ca", verb, "--state-dir",
                                      self.coordinator.state)],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.002 * attempt)
                process.kill()
                process.wait()
                stage = self.status()["stage"]
                self.assertIn(stage, (before, after))
                if stage == after:
                    break
            if self.status()["stage"] == before:
                self.done(verb)
            self.assertEqual(self.status()["stage"], after)
        self.coordinator.pin = subprocess.run(
            [BIN / "muster-coordinator", "pin", "--state-dir", self.coordinator.state],
            capture_output=True, text=True, check=True).stdout.strip()
        shutil.rmtree(self.coordinator.credential)
        subprocess.run([BIN / "muster-coordinator", "credential", "--state-dir",
                        self.coordinator.state, "--role", "operator", "--name", "admin", "--out",
                        self.coordinator.credential], check=True)
        self.coordinator.serve()
        self.add_device("device-0", self.token("--uses", "1"))


if __name__ == "__main__":
    main()
