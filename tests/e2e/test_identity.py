"""Tokens, pins, roles, revocation: who may join, and who may command."""

import subprocess

from harness import BIN, FleetTest, StoryError, main, wait_for


class IdentityTest(FleetTest):
    def setUp(self):
        super().setUp()
        self.start_coordinator()

    def join(self, token, name):
        """Why a device, from a folder of its own, may not join under this name; "" if it may."""
        self.attempts = getattr(self, "attempts", 0) + 1
        try:
            self.add_device(name, token, folder=f"attempt-{self.attempts}")
            return ""
        except StoryError as error:
            return str(error)

    def refused(self, token, name, pin=None):
        if pin is not None:
            self.coordinator.pin = pin
        said = self.join(token, name)
        self.assertNotEqual(said, "")
        return said

    def test_a_token_admits_as_many_devices_as_it_says_and_is_stored_only_as_a_hash(self):
        token = self.token("--uses", "1", "--ttl", "1h")
        self.add_device("first", token)
        self.assertIn("was used 1 of 1 times", self.refused(token, "second"))
        stored = (self.coordinator.state / "muster.db").read_bytes()
        wal = self.coordinator.state / "muster.db-wal"
        stored += wal.read_bytes() if wal.exists() else b""
        self.assertNotIn(token.rsplit("_", 1)[1].encode(), stored)

    def test_an_expired_a_revoked_and_an_unknown_token_are_refused_with_the_reason(self):
        expired = self.token("--uses", "100", "--ttl", "1s")
        wait_for("the token's end", 10, lambda: "expired at" in self.join(
            expired, f"late-{getattr(self, 'attempts', 0)}"))
        revoked = self.token("--uses", "5", "--ttl", "1h")
        self.coordinator.muster("tokens", "revoke", revoked.split("_")[1])
        self.assertIn("was revoked", self.refused(revoked, "revoked"))
        unknown = revoked[:-4] + ("0000" if not revoked.endswith("0000") else "1111")
        self.assertIn("not known", self.refused(unknown, "unknown"))

    def test_a_wrong_pin_is_refused_before_the_token_is_sent(self):
        token = self.token("--uses", "1", "--ttl", "1h")
        right = self.coordinator.pin
        self.assertIn("pin", self.refused(token, "deceived", "sha256:" + "ab" * 32))
        self.coordinator.pin = right
        self.add_device("deceived-not", token)  # the token was not used up

    def test_a_researcher_may_run_jobs_but_not_command_the_fleet(self):
        out = self.folder / "ada"
        subprocess.run([BIN / "muster-coordinator", "credential", "--state-dir",
                        self.coordinator.state, "--role", "researcher", "--name", "ada",
                        "--out", out], check=True)
        self.coordinator.credential = out
        self.coordinator.muster_json("jobs", "ls")
        self.assertIn("operator", self.muster_fails("tokens", "create", code=4))
        self.assertIn("operator", self.muster_fails("fleet", "ls", code=4))

    def test_a_revoked_device_is_refused_at_its_next_call(self):
        token = self.token("--uses", "1", "--ttl", "1h")
        device = self.add_device("rogue", token)
        device.start()
        self.wait_until_seen(1)
        self.coordinator.muster("fleet", "revoke", "rogue", "--reason", "stolen")
        wait_for("the device's word that it was revoked", 30,
                 lambda: "revoked" in device.log.read_text(), device.log)
        shown = self.coordinator.muster_json("fleet", "show", "rogue")["device"]
        self.assertTrue(shown["revoked"])
        self.assertIn("was revoked", self.refused(self.token("--uses", "1"), "rogue"))


if __name__ == "__main__":
    main()
