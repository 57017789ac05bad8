"""The CA's replacement once more, with two replicas over PostgreSQL and an S3-compatible store. Each has a
copy of the identity folder; the second gets every step later, and is killed while it is one behind."""

import shutil

import test_ca_rotation
from harness import BIN, Coordinator, main, wait_for


class CaRotationOverReplicasTest(test_ca_rotation.CaRotationTest):
    """The story of test_ca_rotation.py."""

    def start_coordinator(self):
        postgres, blobs = self.start_stores()
        self.store = ("--store", postgres.url())
        serve_arguments = self.coordinator.serve_arguments
        self.coordinator = Coordinator(BIN, self.folder, self.processes, replicas=2)
        self.coordinator.serve_arguments = [*serve_arguments, *self.store, *blobs.arguments("ca")]
        self.coordinator.serve_environment = blobs.environment()
        self.coordinator.init()
        self.coordinator.own_states[1] = self.folder / "copy"
        shutil.copytree(self.coordinator.state, self.coordinator.own_states[1])
        self.coordinator.serve()

    def step(self, verb, stage):
        coordinator = self.coordinator
        self.done(verb)
        self.wait_until_served(stage, coordinator.addresses[:1])
        self.kill_and_start_again(1)
        shutil.copytree(coordinator.state / "identity", coordinator.own_states[1] / "identity",
                        dirs_exist_ok=True)
        self.wait_until_served(stage)

    def kill_and_start_again(self, index):
        self.coordinator.replicas[index].kill()
        self.coordinator.replicas[index].wait()
        run_file = self.folder / f"replica-{index}.json"
        run_file.unlink()
        self.coordinator.start_replica(index)
        wait_for(f"the start of replica {index}", 30, run_file.exists, self.coordinator.log)


if __name__ == "__main__":
    main()
