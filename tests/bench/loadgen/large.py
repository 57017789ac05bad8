"""A model as large as you like over a few virtual devices: what a round of it takes of the coordinator's
memory, and what is left to do of a transfer that was cut."""

import argparse
import os
import signal
import sys
import time

import fleet_load
from fleet_load import StoryError, say

EPILOG = """
The devices send vectors of the model's size without training it; everything else is real. The peak is the
coordinator's resident memory, from before the model comes in until the round's new one is stored.

exit status: 0 done, 1 something failed, 2 wrong usage
"""
MEGABYTE = 1e6
FLOAT_BYTES = 4
CUT_AT = 0.4  # of the file: where the transfer is cut


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/dev bench large --", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=6)
    parser.add_argument("--parameters", type=int, default=250_000_000)
    parser.add_argument("--secure", choices=["semi-honest", "off"], default="semi-honest")
    parser.add_argument("--workers", type=int, default=2, help="vectors that are made and sent at once")
    parser.add_argument("--phase-seconds", type=int, default=900, help="deadline of each phase")
    parser.add_argument("--bin", default=os.environ.get("MUSTER_BIN", "build/release/bin"),
                        help="folder of the programs")
    return parser.parse_args()


def measure_round(fleet, options):
    one = fleet.round(options.devices, options.parameters, options.secure,
                      phase_deadline_s=options.phase_seconds, name="large")
    parameter_mb = FLOAT_BYTES * options.parameters / MEGABYTE
    peak_mb = one["peak_memory_mb"] * 2**20 / MEGABYTE
    say("large_parameters_mb", parameter_mb)
    say("large_peak_memory_mb", peak_mb)
    say("large_peak_memory_over_parameters", peak_mb / parameter_mb)
    say("large_round_seconds", one["seconds"])
    say("large_moved_mb_per_s", one["mb_per_s"])
    say("large_cpu_s_per_client", one["cpu_ms_per_client_round"] / 1e3)


def size_of(path):
    return path.stat().st_size if path.exists() else 0


def measure_resumption(fleet, options):
    """The coordinator is killed while the new model is fetched; the fetch then goes on where it stood."""
    folder = fleet.folder / "pulled"
    part = folder / "weights.f32.part"
    whole = FLOAT_BYTES * options.parameters
    log = fleet.folder / "pull.log"
    pull = fleet.coordinator.command("models", "pull", "large@1", "--out", folder)
    process = fleet.processes.start(pull, log)
    while size_of(part) < CUT_AT * whole and process.poll() is None:
        time.sleep(0.001)
    fleet.coordinator.process.send_signal(signal.SIGKILL)
    process.kill()
    process.wait()
    if not part.exists():
        raise StoryError("the transfer was over before it could be cut: take more --parameters")
    held = size_of(part)
    fleet.coordinator.serve()
    again = fleet.processes.start(pull, log)
    smallest = held
    while again.poll() is None:
        if part.exists():
            smallest = min(smallest, size_of(part))
        time.sleep(0.001)
    if again.returncode != 0 or size_of(folder / "weights.f32") < whole:
        raise StoryError(f"the transfer did not go on: {log.read_text()}")
    say("large_held_when_cut", held / whole)
    say("large_held_when_resumed", smallest / whole)
    return {"held": held, "smallest": smallest}


def play(fleet, options):
    fleet.enrol()
    fleet.generator.do("connect", count=options.devices)
    measure_round(fleet, options)
    return measure_resumption(fleet, options)


def main():
    options = parse()
    return fleet_load.play("large", lambda fleet: play(fleet, options), bin_dir=options.bin,
                           devices=options.devices, workers=options.workers)


if __name__ == "__main__":
    sys.exit(main())
