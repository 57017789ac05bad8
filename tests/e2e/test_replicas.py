"""Three replicas over PostgreSQL and an S3-compatible store: whichever dies, the model is the same."""

import os
import random
import threading

from harness import BIN, Coordinator, FleetTest, main, wait_for

DEVICES = 5
ROUNDS = 20
REPLICAS = 3
BETWEEN_KILLS = (0.05, 0.15)  # of the time that the undisturbed job takes, on whatever machine


class Chaos(threading.Thread):
    """Kills a random replica every now and then and starts it again, until told to stop."""

    def __init__(self, coordinator, seed, calm_seconds):
        super().__init__()
        self.coordinator = coordinator
        self.pauses = [share * calm_seconds for share in BETWEEN_KILLS]
        self.dice = random.Random(seed)
        self.over = threading.Event()
        self.kills = 0

    def run(self):
        while not self.over.wait(self.dice.uniform(*self.pauses)):
            index = self.dice.randrange(REPLICAS)
            self.coordinator.replicas[index].kill()
            self.coordinator.replicas[index].wait()
            self.kills += 1
            self.coordinator.start_replica(index)

    def stop(self):
        self.over.set()
        self.join()


class ReplicasTest(FleetTest):
    def fleet_over(self, coordinator, name):
        """The same devices, by name and data, enrolled with another coordinator."""
        self.coordinator = coordinator
        self.devices = []
        self.start_coordinator()
        token = self.token("--uses", str(DEVICES), "--ttl", "1h")
        for index in range(DEVICES):
            self.add_device(f"device-{index}", token, index, DEVICES, folder=f"{name}-{index}")
        for device in self.devices:
            device.start()
        self.wait_until_seen(DEVICES)

    def secure_job(self):
        return self.job(
            name="replicated", rounds=ROUNDS,
            privacy={"secure_aggregation": {"mode": "semi-honest", "drop": 0.1,
                                            "phase_deadline": "10s"}},
            round={"clients": DEVICES, "quorum": DEVICES, "deadline": "30s", "max_attempts": 10})

    def calm_result(self):
        """One undisturbed coordinator over SQLite and a folder."""
        folder = self.folder / "calm"
        folder.mkdir()
        self.fleet_over(Coordinator(BIN, folder, self.processes), "calm")
        calm = self.succeed(self.secure_job())["job"]
        self.processes.stop_all()
        return calm["latest_weights"], (calm["finished_unix_us"] - calm["submitted_unix_us"]) / 1e6

    def test_replicas_that_die_at_random_change_no_byte_of_the_model(self):
        expected, calm_seconds = self.calm_result()
        postgres, blobs = self.start_stores()
        folder = self.folder / "stormy"
        folder.mkdir()
        coordinator = Coordinator(BIN, folder, self.processes, replicas=REPLICAS)
        coordinator.serve_arguments = ["--store", postgres.url(), *blobs.arguments("stormy")]
        coordinator.serve_environment = blobs.environment()
        self.fleet_over(coordinator, "stormy")
        chaos = Chaos(coordinator, seed=6, calm_seconds=calm_seconds)
        job = self.submit(self.secure_job())
        chaos.start()
        try:
            ended = self.wait_for_end(job, seconds=400)
        finally:
            chaos.stop()
        self.assertEqual(ended["job"]["phase"], "succeeded", ended["job"].get("reason"))
        self.assertEqual(ended["job"]["rounds_committed"], ROUNDS)
        self.assertGreater(chaos.kills, 3)
        for played in ended["rounds"]:
            self.assertLessEqual(played["reported"], played["invited"])
        self.assertEqual(ended["job"]["latest_weights"], expected)

    def test_replicas_that_are_restarted_one_after_the_other_fail_no_round(self):
        postgres, blobs = self.start_stores()
        coordinator = Coordinator(BIN, self.folder, self.processes, replicas=REPLICAS)
        coordinator.serve_arguments = ["--store", postgres.url(), *blobs.arguments("rolling")]
        coordinator.serve_environment = blobs.environment()
        self.fleet_over(coordinator, "rolling")
        job = self.submit(self.secure_job())
        for index in range(REPLICAS):
            committed = self.show(job)["job"]["rounds_committed"]
            coordinator.replicas[index].terminate()
            coordinator.replicas[index].wait()
            coordinator.start_replica(index)
            wait_for("the next round", 60,
                     lambda c=committed: self.show(job)["job"]["rounds_committed"] > c,
                     coordinator.log)
        ended = self.wait_for_end(job)
        self.assertEqual(ended["job"]["phase"], "succeeded", ended["job"].get("reason"))
        self.assertEqual({r["phase"] for r in ended["rounds"]}, {"committed"})


if __name__ == "__main__":
    main()
