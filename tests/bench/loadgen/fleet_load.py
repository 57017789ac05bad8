"""A coordinator process under load: starts it with a fleet of virtual devices, and reads from /proc what
it costs."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))
from fleet import Coordinator, Processes, StoryError, run, wait_for  # noqa: E402, F401

TICKS = os.sysconf("SC_CLK_TCK")
RESET_PEAK = "5"  # proc(5), clear_refs
MANY_PARAMETERS = 100_000_000


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

    def __init__(self, bin_dir, coordinator, folder, workers=4):
        spool = pathlib.Path(folder) / "spool"
        spool.mkdir(parents=True, exist_ok=True)
        self.coordinator = coordinator
        self.log = pathlib.Path(folder) / "loadgen.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(pathlib.Path(bin_dir) / "muster-loadgen"), "--coordinator", coordinator.address,
                 "--ca-pin", coordinator.pin, "--spool", str(spool), "--workers", str(workers)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

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

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class LoadedFleet:
    """The coordinator, the generator, and rounds that they play."""

    def __init__(self, bin_dir, folder, devices, tiers=(), serve=(), workers=4):
        self.processes = Processes()
        self.generator = None
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tiers = sorted(set(tiers))
        self.devices = devices
        self.jobs = 0
        self.coordinator = LoadedCoordinator(bin_dir, folder, self.processes)
        self.coordinator.init()
        self.coordinator.serve_arguments = list(serve)
        self.coordinator.serve()
        self.generator = Generator(bin_dir, self.coordinator, folder, workers)

    def stop(self):
        if self.generator is not None:
            self.generator.stop()
        self.processes.stop_all()

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
