"""The story that scripts/quickstart tells: enrol, train, promote, personalize, quantize, serve."""

import argparse
import concurrent.futures
import gzip
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fleet import Coordinator, Device, Processes, StoryError, wait_for  # noqa: E402
from postgres import Postgres, PostgresError  # noqa: E402
from s3 import S3Server  # noqa: E402

DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")
IMAGE_BYTES = 28 * 28
SAMPLES_PER_DEVICE = 2500  # a fifth of them is held out: 2,000 train
MODEL = "fashion"


def say(text):
    print(text, flush=True)


def chapter(number, text):
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() and not os.environ.get(
        "NO_COLOR") else ("", "")
    say(f"\n{bold}{number}. {text}{plain}")


def unpack_data(folder):
    """Plain IDX files, because a device that reads them every round should not unzip them each time."""
    folder.mkdir(parents=True)
    for packed in DATA.glob("*.gz"):
        with gzip.open(packed) as source, open(folder / packed.stem, "wb") as target:
            shutil.copyfileobj(source, target)


def idx(folder, split):
    return {"images": str(folder / f"{split}-images-idx3-ubyte"),
            "labels": str(folder / f"{split}-labels-idx1-ubyte")}


def job_file(rounds, devices, aggregation):
    return {
        "name": MODEL,
        "model": {"zoo": "lenet5", "input_shape": [1, 28, 28], "outputs": 10},
        "rounds": rounds,
        "seed": 7,
        "cohort": "role!=evaluator",
        "round": {"clients": devices, "quorum": max(1, devices * 8 // 10), "deadline": "60s"},
        "train": {"optimizer": "sgd", "learning_rate": 0.02, "momentum": 0.9, "epochs": 1,
                  "batch_size": 32, "loss": "cross_entropy"},
        "evaluation": {"evaluator": "role=evaluator", "every": 1, "deadline": "60s"},
        "personalize": {"scope": "all", "gate_margin": 0.01,
                        "train": {"learning_rate": 0.005, "momentum": 0.9, "epochs": 2,
                                  "batch_size": 32},
                        "calibration": {"method": "min_max", "examples": 256}},
        "privacy": {"secure_aggregation": {"mode": aggregation}},
    }


def test_images(count):
    with gzip.open(DATA / "t10k-images-idx3-ubyte.gz") as images, gzip.open(
            DATA / "t10k-labels-idx1-ubyte.gz") as labels:
        images.read(16)
        labels.read(8)
        pixels = images.read(count * IMAGE_BYTES)
        return [([p / 255 for p in pixels[i * IMAGE_BYTES:(i + 1) * IMAGE_BYTES]], label)
                for i, label in enumerate(labels.read(count))]


def infer(port, pixels):
    """One request of the Open Inference Protocol v2; the answer's class and its milliseconds."""
    body = json.dumps({"inputs": [{"name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32",
                                   "data": pixels}]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/{MODEL}/infer", body,
                                     {"Content-Type": "application/json"})
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=30) as reply:
        output = json.load(reply)["outputs"][0]["data"]
    return output.index(max(output)), (time.monotonic() - began) * 1e3


class Story:
    def __init__(self, options):
        self.options = options
        self.out = pathlib.Path(options.out)
        self.bin = pathlib.Path(options.bin)
        self.processes = Processes()
        self.coordinator = Coordinator(self.bin, self.out, self.processes,
                                       replicas=options.replicas)
        self.devices = []
        self.report = {"store": options.store, "blobs": options.blobs, "replicas": options.replicas}
        self.postgres = None

    def tell(self):
        began = time.monotonic()
        self.start_coordinator()
        self.enrol_fleet()
        job = self.train()
        statuses = self.promote(job)
        self.serve(statuses)
        self.report["story_seconds"] = round(time.monotonic() - began, 1)
        self.finish(job)

    def start_stores(self):
        """The real servers, in throwaway folders, where the story is told over them."""
        coordinator = self.coordinator
        if self.options.store == "postgres":
            # Below the temporary folder, where the database's own user can get to.
            folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-postgres-"))
            folder.chmod(0o711)
            self.postgres = Postgres(folder / "server")
            coordinator.serve_arguments += ["--store", self.postgres.start()]
            say(f"   a PostgreSQL server in {folder}")
        if self.options.blobs == "s3":
            blobs = S3Server(self.out, self.processes, install=True)
            blobs.start()
            coordinator.serve_arguments += blobs.arguments("quickstart")
            coordinator.serve_environment.update(blobs.environment())
            say(f"   an S3-compatible server at {blobs.endpoint}, its bucket in {blobs.folder}")

    def stop(self):
        self.processes.stop_all()
        if self.postgres is not None:
            self.postgres.stop()
            shutil.rmtree(self.postgres.folder.parent, ignore_errors=True)

    def start_coordinator(self):
        replicas = self.options.replicas
        chapter(1, "A coordinator" if replicas == 1 else f"A coordinator of {replicas} replicas")
        self.start_stores()
        self.coordinator.init()
        self.coordinator.serve()
        self.report["coordinator_start_ms"] = round(self.coordinator.start_ms, 1)
        say(f"   certificate authority made; CA pin {self.coordinator.pin[:24]}...")
        say(f"   serving on {self.coordinator.address}; the first RPC was answered "
            f"{self.coordinator.start_ms:.0f} ms after exec")

    def enrol_fleet(self):
        count = self.options.devices
        chapter(2, f"{count} devices and an evaluator enrol")
        if not DATA.is_dir():
            raise StoryError(f"{DATA} is missing; install it with scripts/dev setup")
        data_folder = self.out / "data"
        unpack_data(data_folder)
        token = self.coordinator.muster("tokens", "create", "--uses", str(count + 1), "--ttl", "1h",
                                        "--label", "site=a").strip()
        for index in range(count):
            name = f"device-{index:02d}"
            data = {"format": "idx", **idx(data_folder, "train"), "held_out_fraction": 0.2,
                    "max_examples": SAMPLES_PER_DEVICE, "seed": 7,
                    "partition": {"kind": "dirichlet", "alpha": 0.3, "parts": count, "index": index}}
            self.devices.append(Device(self.bin, self.out / "devices" / name, name, {}, data,
                                       self.processes))
        evaluator = Device(self.bin, self.out / "devices" / "evaluator", "evaluator",
                           {"role": "evaluator"},
                           {"format": "idx", **idx(data_folder, "t10k"), "held_out_fraction": 1.0, "seed": 7},
                           self.processes)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda d: d.enrol(self.coordinator, token), [*self.devices, evaluator]))
        for device in [*self.devices, evaluator]:
            device.start()
        say("   each made its own key, sent a signing request, and got a short-lived certificate;")
        say("   each reads its own part of Fashion-MNIST (Dirichlet 0.3) and sends none of it")
        wait_for("the fleet's first check-in", 30, self.fleet_is_ready)
        self.report["devices"] = count

    def fleet_is_ready(self):
        devices = self.coordinator.muster_json("fleet", "ls")["devices"]
        return sum(d.get("last_seen_unix_us", 0) > 0 for d in devices) == len(self.devices) + 1

    def train(self):
        secure = self.options.aggregation != "off"
        chapter(3, f"{self.options.rounds} rounds of training, "
                   + (f"securely aggregated ({self.options.aggregation})" if secure
                      else "aggregated in the clear"))
        if secure:
            say("   each device masks its update; the masks cancel in the sum, which is all that the")
            say("   coordinator ever sees")
        path = self.out / "job.json"
        job = job_file(self.options.rounds, len(self.devices), self.options.aggregation)
        path.write_text(json.dumps(job, indent=2))
        began = time.monotonic()
        code = subprocess.run([str(a) for a in self.coordinator.command("run", path)],
                              check=False).returncode
        if code != 0:
            raise StoryError(f"the job did not succeed (exit {code}); the coordinator's log is "
                             f"{self.coordinator.log}, the devices' are in {self.out / 'devices'}")
        jobs = self.coordinator.muster_json("jobs", "ls")["jobs"]
        job = self.coordinator.muster_json("jobs", "show", jobs[0]["id"])
        rounds = [r for r in job["rounds"] if r["phase"] == "committed"]
        self.report["rounds"] = len(rounds)
        self.report["aggregation"] = self.options.aggregation
        self.report["training_seconds"] = round(time.monotonic() - began, 1)
        self.report["accuracy_per_round"] = [r.get("evaluation", {}).get("accuracy")
                                             for r in rounds]
        self.report["loss_per_round"] = [r.get("metrics", {}).get("train_loss") for r in rounds]
        self.report["global_accuracy"] = rounds[-1]["evaluation"]["accuracy"]
        self.report["model"] = f"{MODEL}@{job['job']['latest_version']}"
        self.report["weights"] = job["job"]["latest_weights"]
        say(f"   the model answers {self.report['global_accuracy']:.1%} of 10,000 unseen images "
            f"rightly (the evaluator's word)")
        return job

    def promote(self, job):
        model = self.report["model"]
        chapter(4, f"{model} is promoted; every device makes it its own")
        began = time.monotonic()
        script = self.bin.parents[2] / "scripts" / "promote"
        environment = {**os.environ, "MUSTER": str(self.bin / "muster"),
                       "MUSTER_COORDINATOR": self.coordinator.address,
                       "MUSTER_CREDENTIAL": str(self.coordinator.credential)}
        code = subprocess.run([script, model, "--cohort", "role!=evaluator", "--timeout", "120s"],
                              env=environment, check=False).returncode
        if code != 0:
            raise StoryError(f"scripts/promote failed (exit {code}); the devices' logs are in "
                             f"{self.out / 'devices'}")
        self.report["promotion_seconds"] = round(time.monotonic() - began, 1)
        promotion = self.coordinator.muster_json("promote", "status", MODEL)["promotion"]
        return {d["device"]: d["status"] for d in promotion["devices"]}

    def serve(self, statuses):
        chapter(5, "Every device answers inference requests from its own int8 model")
        images = test_images(20)
        rows = []
        for device in self.devices:
            metrics = statuses[device.name]["metrics"]
            port = device.inference_port()
            answers = [infer(port, pixels) for pixels, _ in images]
            right = sum(answer == label for (answer, _), (_, label) in zip(answers, images))
            rows.append({"device": device.name, **metrics,
                         "personalized": statuses[device.name].get("serving_personalized", False),
                         "request_ms_p50": statistics.median(ms for _, ms in answers),
                         "right_of_20": right})
        self.report["per_device"] = rows
        mean = lambda key: statistics.fmean(row[key] for row in rows)  # noqa: E731
        self.report["global_local_accuracy_mean"] = mean("global_accuracy")
        self.report["personalized_accuracy_mean"] = mean("personalized_accuracy")
        self.report["int8_accuracy_mean"] = mean("int8_accuracy")
        self.report["fp32_bytes"] = int(rows[0]["fp32_bytes"])
        self.report["int8_bytes"] = int(rows[0]["int8_bytes"])
        self.report["inference_cold_start_ms_p50"] = round(
            statistics.median(row["cold_start_ms"] for row in rows), 2)
        self.report["inference_latency_us_p50"] = round(
            statistics.median(row["latency_us"] for row in rows), 1)
        wait_for("the functions' scaling to zero", 30, self.functions_are_gone)
        self.report["agent_idle_pss_mb"] = round(max(d.pss_mb() for d in self.devices), 1)
        say("   and with no requests, the functions' processes have gone: scaled to zero")

    def functions_are_gone(self):
        tasks = (t for d in self.devices
                 for t in pathlib.Path(f"/proc/{d.process.pid}/task").iterdir())
        return not any((task / "children").read_text().strip() for task in tasks)

    def finish(self, job):
        rows = self.report["per_device"]
        say(f"\n{'device':<12}{'global':>8}{'personal':>10}{'int8':>8}{'bytes':>9}"
            f"{'latency':>10}{'cold start':>12}")
        for row in rows:
            say(f"{row['device']:<12}{row['global_accuracy']:>8.3f}"
                f"{row['personalized_accuracy']:>10.3f}{row['int8_accuracy']:>8.3f}"
                f"{int(row['int8_bytes']):>9,}{row['latency_us']:>7.0f} us"
                f"{row['cold_start_ms']:>9.1f} ms")
        say(f"{'mean':<12}{self.report['global_local_accuracy_mean']:>8.3f}"
            f"{self.report['personalized_accuracy_mean']:>10.3f}"
            f"{self.report['int8_accuracy_mean']:>8.3f}")
        say("(accuracies on each device's own held-out data)")
        usage = self.coordinator.muster_json("usage", "--job", job["job"]["id"])["rows"]
        self.report["usage"] = {key: sum(row[key] for row in usage) for key in
                                ("invocations", "wall_us", "cpu_us", "bytes_up", "bytes_down")}
        from plots import draw_devices, draw_job
        self.report["plots"] = draw_job(job, self.out) + draw_devices(rows, self.out)
        text = json.dumps(self.report, indent=2) + "\n"
        (self.out / "report.json").write_text(text)
        if self.options.report:
            pathlib.Path(self.options.report).write_text(text)
        say(f"\nmodel {self.report['model']}: {self.report['global_accuracy']:.1%} on the test set;"
            f" int8 takes {self.report['int8_bytes'] / self.report['fp32_bytes']:.0%} of the bytes;"
            f" agents idle at {self.report['agent_idle_pss_mb']} MB;"
            f" the story took {self.report['story_seconds']:.0f} s")
        say("plots: " + ", ".join(self.report["plots"]))
        say(f"report: {self.options.report or self.out / 'report.json'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--report")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--devices", type=int, default=10)
    parser.add_argument("--aggregation", default="semi-honest",
                        choices=["semi-honest", "malicious", "off"])
    parser.add_argument("--store", default="sqlite", choices=["sqlite", "postgres"])
    parser.add_argument("--blobs", default="directory", choices=["directory", "s3"])
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    if options.rounds < 1 or options.devices < 1:
        parser.error("--rounds and --devices must be at least 1")
    if options.replicas < 1:
        parser.error("--replicas must be at least 1")
    if options.replicas > 1 and (options.store, options.blobs) != ("postgres", "s3"):
        parser.error("several replicas need stores that they can share: --store postgres --blobs s3")
    def interrupt(*_):
        raise KeyboardInterrupt
    # A terminated run cleans up like an interrupted one, also where it was started in the background.
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)

    out = pathlib.Path(options.out)
    marker = out / ".muster-quickstart"
    if out.exists() and any(out.iterdir()) and not marker.exists():
        print(f"scripts/quickstart: {out} holds other things; choose another --out", file=sys.stderr)
        return 1
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    marker.touch()
    story = Story(options)
    try:
        story.tell()
        if options.keep:
            pids = story.processes.leave_running()
            say(f"the fleet goes on; `kill {' '.join(map(str, pids))}` ends it")
            if story.postgres is not None:
                say(f"then the database: {pathlib.Path(__file__).with_name('postgres.py')} stop "
                    f"{story.postgres.folder}")
                story.postgres = None
            say("use it: " + " ".join(str(a) for a in story.coordinator.command("fleet", "ls")))
        return 0
    except (StoryError, PostgresError) as error:
        print(f"scripts/quickstart: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nscripts/quickstart: interrupted; stopping what was started", file=sys.stderr)
        return 130
    finally:
        story.stop()


if __name__ == "__main__":
    sys.exit(main())
