"""Processes of the story: a coordinator and devices, started here and stopped here."""

import ctypes
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1  # prctl(2)


class StoryError(Exception):
    """Something that the story needs did not happen; the message says what and where to look."""


def free_port():
    """Below the range that outgoing connections take theirs from: a client that knocks at the port before
    anybody listens there must not be given the very same port."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_for(what, seconds, look, log=None):
    """Polls `look` until it returns something true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    hint = f"; its log is {log}" if log else ""
    raise StoryError(f"{what} did not happen within {seconds} s{hint}")


class Processes:
    """Starts programs in their own process groups and ends every one of them. `bound` ones end with the
    thread that started them too, however it ends."""

    def __init__(self, bound=False):
        self._running = []
        self._before_exec = None
        if bound:
            prctl = ctypes.CDLL(None).prctl  # looked up before there is a fork
            self._before_exec = lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def start(self, arguments, log, environment=None, talk=False):
        """`environment` is added to this process's own. `talk`: its stdin and stdout are pipes of text."""
        with open(log, "ab") as out:
            process = subprocess.Popen(
                [str(a) for a in arguments], stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talk else out, stderr=out, text=talk, start_new_session=True,
                env={**os.environ, **(environment or {})}, preexec_fn=self._before_exec)
        self._running.append(process)
        return process

    def stop_all(self, grace_seconds=10):
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        end = time.monotonic() + grace_seconds
        for process in self._running:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            try:  # whatever it left behind in its group
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self._running.clear()

    def leave_running(self):
        pids = [p.pid for p in self._running if p.poll() is None]
        self._running.clear()
        return pids


class Coordinator:
    """A coordinator of one or more replicas, and `muster` with the first operator's credential."""

    def __init__(self, bin_dir, folder, processes, replicas=1):
        self.bin = pathlib.Path(bin_dir)
        self.folder = pathlib.Path(folder)
        self.state = self.folder / "coordinator"
        self.log = self.folder / "coordinator.log"
        self.credential = self.folder / "operator"
        self.processes = processes
        self.serve_arguments = []     # more of them, for every replica: --store URL and the like
        self.serve_environment = {}
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(replicas)]
        self.address = ",".join(self.addresses)
        self.own_states = {}  # of replicas that have a copy of the folder, by their index
        self.replicas = [None] * replicas  # processes
        self.pin = None
        self.start_ms = None

    @property
    def process(self):
        return self.replicas[0]

    def init(self):
        made = run([self.bin / "muster-coordinator", "init", "--state-dir", self.state,
                    "--credential-out", self.credential, "--json"])
        self.pin = json.loads(made)["ca_pin"]

    def start_replica(self, index):
        own = []
        if len(self.replicas) > 1:
            own = ["--replica", f"r{index}", "--run-file", self.folder / f"replica-{index}.json"]
        self.replicas[index] = self.processes.start(
            [self.bin / "muster-coordinator", "serve", "--state-dir",
             self.own_states.get(index, self.state), "--listen", self.addresses[index],
             "--http", "127.0.0.1:0", "--pace-min-ms", "1000", *own, *self.serve_arguments],
            self.log, self.serve_environment)

    def serve(self):
        """Measures exec to the first answered RPC with a client that waits for it already."""
        ping = subprocess.Popen(
            [str(a) for a in self.command("ping", "--wait", "20s", "--json")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)  # the client has started and knocks at the port
        began = time.time()
        for index in range(len(self.replicas)):
            self.start_replica(index)
        out, errors = ping.communicate()
        if ping.returncode != 0:
            raise StoryError(f"the coordinator did not answer: {errors.strip()}; its log is {self.log}")
        self.start_ms = json.loads(out)["answered_unix_us"] / 1e3 - began * 1e3

    def command(self, *arguments):
        return [self.bin / "muster", "--coordinator", self.address,
                "--credential", self.credential, *arguments]

    def muster(self, *arguments):
        return run(self.command(*arguments))

    def muster_json(self, *arguments):
        return json.loads(self.muster(*arguments, "--json"))


class Device:
    """muster-client with a folder, a name and a part of the data of its own."""

    def __init__(self, bin_dir, folder, name, labels, data, processes):
        self.bin = pathlib.Path(bin_dir)
        self.folder = pathlib.Path(folder)
        self.name = name
        self.labels = labels
        self.data = data
        self.processes = processes
        self.process = None
        self.state = self.folder / "state"
        self.config = self.folder / "client.json"
        self.log = self.folder / "client.log"

    def enrol(self, coordinator, token):
        self.folder.mkdir(parents=True, exist_ok=True)
        # JSON is YAML: the device's config in the format it reads, from what Python writes.
        self.config.write_text(json.dumps({
            "coordinator": coordinator.address,
            "state_dir": str(self.state),
            "data": self.data,
            "worker": {"binary": str(self.bin / "muster-worker"), "idle_timeout_ms": 5000},
            "serving": {"listen": "127.0.0.1:0", "binary": str(self.bin / "muster-infer"),
                        "idle_timeout_ms": 2000},
        }, indent=2))
        labels = [a for key, value in self.labels.items() for a in ("--label", f"{key}={value}")]
        run([self.bin / "muster-client", "enroll", "--coordinator", coordinator.address,
             "--token", token, "--ca-pin", coordinator.pin, "--name", self.name,
             "--config", self.config, *labels])

    def start(self):
        self.process = self.processes.start(
            [self.bin / "muster-client", "run", "--config", self.config], self.log)

    def inference_port(self):
        def look():
            try:
                return json.loads((self.state / "agent.json").read_text()).get("inference_port")
            except (OSError, ValueError):
                return None
        return wait_for(f"{self.name}'s inference port", 10, look, self.log)

    def pss_mb(self):
        rollup = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        kilobytes = next(int(line.split()[1]) for line in rollup.splitlines()
                         if line.startswith("Pss:"))
        return kilobytes / 1024


def run(arguments):
    """A command that must succeed; its stdout."""
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        name = " ".join(str(a) for a in arguments[:3])
        raise StoryError(f"`{name} ...` failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout
