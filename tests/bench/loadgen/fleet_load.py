"""A coordinator process under load: starts it with a fleet of virtual devices, and reads from /proc what
it costs."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))
from fleet import Coordinator, Processes, StoryError, run, wait_for  # noqa: E402, F401

TICKS = os.sysconf("SC_CLK_TCK")
RESET_PEAK = "5"  # proc(5), clear_refs
MANY_PARAMETERS = 100_000_000
LOG_TAIL = 2000  # characters that a failed run shows
NOT_LOGS = shutil.ignore_patterns("coordinator", "spool", "operator")


def say(name, value):
    """One of the lines that scripts/dev bench gathers."""
    print(f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}", flush=True)


def play(name, scene, failed=None, **fleet_options):
    """Starts a fleet in a folder of its own and runs `scene(fleet)`; the exit status. However it ends,
    by SIGTERM too, nothing of the fleet stays; a failed one's logs go to the folder `failed`."""
    def terminate(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is being stopped is stopped to the end
        sys.exit(128 + signal.SIGTERM)
    signal.signal(signal.SIGTERM, terminate)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"muster-{name}-"))
    fleet = LoadedFleet(folder=folder, **fleet_options)
    try:
        fleet.start()
        scene(fleet)
    except StoryError as error:
        print(f"{name}: {error}", file=sys.stderr)
        if fleet.coordinator.log.exists():
            print(fleet.coordinator.log.read_text()[-LOG_TAIL:], file=sys.stderr)
        if failed is not None:
            shutil.copytree(folder, failed, dirs_exist_ok=True, ignore=NOT_LOGS)
        return 1
    finally:
        fleet.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


class Meter:
    """CPU time and memory of one process."""

    def __init__(self, pid):
        self.folder = pathlib.Path(f"/proc/{pid}")

    def cpu_seconds(self):
        after_name = (self.folder / "stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / TICKS  # utime, stime

    def _kilobytes(self, key):
        for line in (self.folder / "status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise StoryError(f"{self.folder}/status has no {key}")

    def memory_mb(self):
        return self._kilobytes("VmRSS") / 1024

    def peak_memory_mb(self):
        return self._kilobytes("VmHWM") / 1024

    def reset_peak(self):
        (self.folder / "clear_refs").write_text(RESET_PEAK)


def keep_on(process, cores):
    """Every thread of it. Where that cannot be done, the run has no such figure."""
    subprocess.run(["taskset", "--all-tasks", "--cpu-list", "--pid", ",".join(map(str, cores)),
                    str(process.pid)], check=True, capture_output=True)


class LoadedCoordinator(Coordinator):
    """As the story's, and measured."""

    def serve(self):
        super().serve()
        self.meter = Meter(self.process.pid)


class Generator:
    """muster-loadgen: one command, one answer."""

    def __init__(self, bin_dir, coordinator, folder, processes, workers=4):
        spool = pathlib.Path(folder) / "spool"
        spool.mkdir(parents=True, exist_ok=True)
        self.coordinator = coordinator
        self.log = pathlib.Path(folder) / "loadgen.log"
        self.process = processes.start(
            [pathlib.Path(bin_dir) / "muster-loadgen", "--coordinator", coordinator.address,
             "--ca-pin", coordinator.pin, "--spool", spool, "--workers", workers],
            self.log, talk=True)

    def do(self, what, **arguments):
        """Its answer, with what the coordinator spent meanwhile."""
        before = self.coordinator.meter.cpu_seconds()
        self.begin(what, **arguments)
        answer = self.finish()
        answer["coordinator_cpu_s"] = self.coordinator.meter.cpu_seconds() - before
        return answer

    def begin(self, what, **arguments):
        self.process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self.process.stdin.flush()

    def finish(self):
        line = self.process.stdout.readline()
        if not line:
            raise StoryError(f"muster-loadgen ended; its log is {self.log}")
        answer = json.loads(line)
        if not answer["ok"]:
            raise StoryError(f"muster-loadgen: {answer['error']} {answer.get('outcomes')}")
        return answer

    def close(self):
        """After the process has ended."""
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # a command that it never read
            self.process.stdin.close()


class LoadedFleet:
    """The coordinator, the generator, and rounds that they play."""

    def __init__(self, bin_dir, folder, devices, tiers=(), serve=(), workers=4):
        self.processes = Processes(bound=True)
        self.generator = None
        self.workers = workers
        self.bin = pathlib.Path(bin_dir)
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tiers = sorted(set(tiers))
        self.devices = devices
        self.jobs = 0
        self.coordinator = LoadedCoordinator(bin_dir, folder, self.processes)
        self.coordinator.serve_arguments = list(serve)

    def start(self):
        self.coordinator.init()
        self.coordinator.serve()
        self.generator = Generator(self.bin, self.coordinator, self.folder, self.processes,
                                   self.workers)

    def stop(self):
        self.processes.stop_all()
        if self.generator is not None:
            self.generator.close()

    def run_apart(self, core):
        """The coordinator has one core for itself, the generator the others, so that neither's figures
        are about the other's cache misses."""
        others = [other for other in range(os.cpu_count()) if other != core]
        keep_on(self.coordinator.process, [core])
        keep_on(self.generator.process, others or [core])

    def run_anywhere(self):
        for process in (self.coordinator.process, self.generator.process):
            keep_on(process, range(os.cpu_count()))

    def enrol(self, in_flight=64):
        token = self.coordinator.muster("tokens", "create", "--uses", str(self.devices),
                                        "--ttl", "1h").strip()
        return self.generator.do("enrol", count=self.devices, token=token, tiers=self.tiers,
                                 in_flight=in_flight)

    def job(self, clients, parameters, mode, quorum, phase_deadline_s, name="load"):
        """A job of one round over logistic regression that takes the first `clients` devices."""
        classes = 10 if parameters < MANY_PARAMETERS else 1000  # a layer has a widest input
        above = [i for i, tier in enumerate(self.tiers) if tier > clients]
        above.append(len(self.tiers))
        spec = {
            "name": name, "rounds": 1, "seed": 5,
            "model": {"zoo": "logreg", "input_shape": [max(1, parameters // classes)],
                      "outputs": classes},
            "cohort": ",".join(f"tier!={i}" for i in above) if clients < self.devices else "",
            "round": {"clients": clients, "quorum": quorum,
                      "deadline": f"{max(60, int(2 * phase_deadline_s))}s"},
            "privacy": {"clip": 100.0, "secure_aggregation": {
                "mode": mode, **({} if mode == "off" else {
                    "drop": 0.1, "corrupt": 0.1, "phase_deadline": f"{int(phase_deadline_s)}s"})}},
        }
        if not spec["cohort"]:
            del spec["cohort"]
        self.jobs += 1
        path = self.folder / f"job-{self.jobs}.json"
        path.write_text(json.dumps(spec))
        return path

    def round(self, clients, parameters, mode="semi-honest", dropped=0.0, silent=False, idle=0,
              phase_deadline_s=60, name="load", **plan):
        """Plays one round with the first `clients` devices, while the next `idle` ones check in now and
        then. What it cost the coordinator, from before the job was there until it had ended."""
        leaving = int(clients * dropped + 1e-9)
        path = self.job(clients, parameters, mode, clients - leaving, phase_deadline_s, name)
        meter = self.coordinator.meter
        meter.reset_peak()
        resting, cpu = meter.memory_mb(), meter.cpu_seconds()
        job = self.coordinator.muster_json("run", path, "--detach")["job"]
        answer = self.generator.do("round", job=job, count=clients, dropped=dropped,
                                   drop_silently=silent, idle_first=clients, idle_count=idle, **plan)
        shown = wait_for(f"the end of {job}", 600, lambda: self.ended(job), self.coordinator.log)
        cpu = meter.cpu_seconds() - cpu
        if shown["job"]["phase"] != "succeeded":
            raise StoryError(f"{job} {shown['job']['phase']}: {shown['job'].get('reason')};"
                             f" {answer['outcomes']}")
        moved_mb = (answer["bytes_up"] + answer["bytes_down"]) / 1e6
        return {
            "clients": clients, "parameters": parameters, "mode": mode, "dropped": leaving,
            "idle_devices": idle,
            "reported": shown["rounds"][-1]["reported"], "outcomes": answer["outcomes"],
            "seconds": answer["seconds"],
            "client_rounds_per_s": clients / answer["seconds"],
            "mb_per_s": moved_mb / answer["seconds"],
            "cpu_s": cpu, "cpu_ms_per_client_round": 1e3 * cpu / clients,
            "resting_memory_mb": resting, "peak_memory_mb": meter.peak_memory_mb(),
            "generator_peak_memory_mb": answer["own_peak_memory_kb"] / 1024,
            "calls": answer["calls"],
        }

    def ended(self, job):
        shown = self.coordinator.muster_json("jobs", "show", job)
        return shown if shown["job"]["phase"] not in ("running", "finishing") else None
