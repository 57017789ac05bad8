"""kill -9 at any instant loses nothing that was acknowledged and changes no result."""

import random
import signal
import time

from harness import FleetTest, main, wait_for

ROUNDS = 8
KILLS = 3


class KillTest(FleetTest):
    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        process.wait()

    def rounds_committed(self, job):
        return self.show(job)["job"].get("rounds_committed", 0)

    def storm(self, job, dice, victim=None):
        """Kills the coordinator at random moments of the job, and `victim` once in between."""
        for kill, moment in enumerate(sorted(dice.sample(range(ROUNDS - 1), KILLS))):
            wait_for(f"round {moment} of {job}", 60,
                     lambda m=moment: self.rounds_committed(job) >= m, self.coordinator.log)
            time.sleep(dice.uniform(0, 0.3))  # somewhere inside a round
            self.kill(self.coordinator.process)
            if victim is not None and kill == 1:
                self.kill(victim.process)
                victim.start()
            self.coordinator.serve()

    def test_killing_the_coordinator_changes_no_byte_of_the_model(self):
        self.start_fleet(3)
        calm = self.succeed(self.job(name="calm", rounds=ROUNDS))
        job = self.submit(self.job(name="stormy", rounds=ROUNDS))
        self.storm(job, random.Random(4))
        stormy = self.wait_for_end(job)
        self.assertEqual(stormy["job"]["phase"], "succeeded", stormy["job"].get("reason"))
        self.assertEqual(stormy["job"]["latest_weights"], calm["job"]["latest_weights"])

    def test_the_job_ends_though_coordinator_and_a_device_are_killed(self):
        self.start_fleet(3)
        job = self.submit(self.job(name="hurt", rounds=ROUNDS,
                                   round={"clients": 3, "quorum": 2, "deadline": "20s"}))
        self.storm(job, random.Random(5), victim=self.devices[1])
        ended = self.wait_for_end(job)
        self.assertEqual(ended["job"]["phase"], "succeeded", ended["job"].get("reason"))
        # Nobody counts twice: no round has more reports than invitations.
        for played in ended["rounds"]:
            self.assertLessEqual(played["reported"], played["invited"])


if __name__ == "__main__":
    main()
