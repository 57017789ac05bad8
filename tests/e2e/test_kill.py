"""kill -9 at any instant loses nothing that was acknowledged and changes no result."""

import random
import signal

from harness import FleetTest, main, wait_for

ROUNDS = 6


class KillTest(FleetTest):
    def serve_again(self):
        self.coordinator.serve()

    def kill_coordinator(self):
        process = self.coordinator.process
        process.send_signal(signal.SIGKILL)
        process.wait()

    def rounds_committed(self, job):
        return self.show(job)["job"].get("rounds_committed", 0)

    def test_killing_the_coordinator_changes_no_byte_of_the_model(self):
        self.start_fleet(3)
        calm = self.succeed(self.job(name="calm", rounds=ROUNDS))
        dice = random.Random(4)
        moments = sorted(dice.sample(range(ROUNDS - 1), 3))
        job = self.submit(self.job(name="stormy", rounds=ROUNDS))
        for moment in moments:
            wait_for(f"round {moment} of {job}", 60,
                     lambda m=moment: self.rounds_committed(job) >= m, self.coordinator.log)
            self.kill_coordinator()
            self.serve_again()
        stormy = self.wait_for_end(job)
        self.assertEqual(stormy["job"]["phase"], "succeeded", stormy["job"].get("reason"))
        self.assertEqual(stormy["job"]["latest_weights"], calm["job"]["latest_weights"])

    def test_a_killed_device_comes_back_and_the_job_ends(self):
        self.start_fleet(3)
        job = self.submit(self.job(name="hurt", rounds=ROUNDS,
                                   round={"clients": 3, "quorum": 2, "deadline": "20s"}))
        wait_for("the first round", 60, lambda: self.rounds_committed(job) >= 1)
        victim = self.devices[1]
        victim.process.send_signal(signal.SIGKILL)
        victim.process.wait()
        victim.start()
        self.kill_coordinator()
        self.serve_again()
        ended = self.wait_for_end(job)
        self.assertEqual(ended["job"]["phase"], "succeeded", ended["job"].get("reason"))
        # Nobody counts twice: no round has more reports than invitations.
        for played in ended["rounds"]:
            self.assertLessEqual(played.get("reported", 0), played.get("invited", 0))


if __name__ == "__main__":
    main()
