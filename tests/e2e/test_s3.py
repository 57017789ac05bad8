"""Blobs and uploads in an S3-compatible store: a secure job on a real server, which is killed too."""

from harness import FleetTest, main, wait_for

from s3 import S3Missing, S3Server


class S3Test(FleetTest):
    def setUp(self):
        super().setUp()
        try:
            self.s3 = S3Server(self.folder, self.processes)
        except S3Missing as missing:
            self.skipTest(str(missing))
        self.s3.start()
        self.coordinator.serve_arguments = [*self.s3.arguments("fleet"),
                                            "--direct-download-bytes", "1000"]
        self.coordinator.serve_environment = self.s3.environment()

    def test_a_job_lives_through_kills_of_the_coordinator_and_of_the_store(self):
        self.start_fleet(3)
        calm = self.succeed(self.job(name="calm", rounds=6))
        job = self.submit(self.job(name="stormy", rounds=6))
        for moment, victim in ((1, "store"), (2, "coordinator"), (4, "store")):
            wait_for(f"round {moment} of {job}", 60,
                     lambda m=moment: self.show(job)["job"].get("rounds_committed", 0) >= m,
                     self.coordinator.log)
            if victim == "store":
                self.s3.kill()
                self.s3.start()
            else:
                self.coordinator.process.kill()
                self.coordinator.process.wait()
                self.coordinator.serve()
        stormy = self.wait_for_end(job)
        self.assertEqual(stormy["job"]["phase"], "succeeded", stormy["job"].get("reason"))
        self.assertEqual(stormy["job"]["latest_weights"], calm["job"]["latest_weights"])
        blobs = self.s3.folder / "data" / self.s3.bucket / "fleet"
        self.assertTrue(any(blobs.glob("??/*")), "no blob is in the store")
        self.assertFalse(any((self.coordinator.state / "blobs").glob("??/*")),
                         "blobs are in the state folder")
        self.assertIn("fetching a blob directly",
                      "".join(d.log.read_text() for d in self.devices))
        self.assertNotIn(self.s3.secret_key, self.coordinator.log.read_text())

    def test_a_wrong_secret_stops_the_coordinator_with_the_reason(self):
        self.coordinator.init()
        self.s3.secret_key = "wrong"
        self.coordinator.serve_environment = self.s3.environment()
        process = self.processes.start(
            [self.coordinator.bin / "muster-coordinator", "serve", "--state-dir",
             self.coordinator.state, "--listen", "127.0.0.1:0", *self.coordinator.serve_arguments],
            self.coordinator.log, self.coordinator.serve_environment)
        self.assertEqual(process.wait(30), 1)
        said = self.coordinator.log.read_text()
        self.assertIn("AWS_SECRET_ACCESS_KEY", said)


if __name__ == "__main__":
    main()
