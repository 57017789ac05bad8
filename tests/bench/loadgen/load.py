"""Loads a real coordinator with a fleet of virtual devices, over real gRPC and mTLS, and reports what that
costs it: check-ins on kept and on fresh connections, and rounds by the size of their cohort."""

import argparse
import json
import os
import pathlib
import sys

import fleet_load
from fleet_load import say

EPILOG = """
CPU times are the coordinator's own (utime + stime of its process), so that they mean the same on a busy
machine; rates by the clock do not. Vectors are made by the device's own code, at the speed of this machine:
a round's length says more about the generator than about the coordinator.

exit status: 0 done, 1 something failed, 2 wrong usage
"""


def numbers(text):
    return sorted({int(part) for part in text.split(",") if part})


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/dev bench load --", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=10_000, help="enrolled and connected")
    parser.add_argument("--cohort", type=int, default=1_000, help="clients of the large round")
    parser.add_argument("--parameters", type=int, default=1_400_000, help="of the large round's model")
    parser.add_argument("--dropped", type=float, default=0.1,
                        help="share of the clients that vanish: half before their vector, half after")
    parser.add_argument("--slow", type=float, default=0.0, help="share of the clients that dawdle")
    parser.add_argument("--slow-pause-ms", type=int, default=500, help="before each of their messages")
    parser.add_argument("--secure", choices=["semi-honest", "malicious", "off"], default="semi-honest")
    parser.add_argument("--cohorts", type=numbers, default=[100, 300, 1_000, 3_000, 10_000],
                        help="sizes for the curve, with commas; empty: no curve")
    parser.add_argument("--curve-parameters", type=int, default=20_000, help="of the curve's model")
    parser.add_argument("--check-ins", type=int, default=4, help="of each device on its kept connection")
    parser.add_argument("--fresh", type=int, default=2_000, help="fresh connections of each kind")
    parser.add_argument("--workers", type=int, default=4,
                        help="vectors that are made and sent at once")
    parser.add_argument("--phase-seconds", type=int, default=0,
                        help="deadline of each phase of the large round (default: by its size); clients "
                             "that vanish are waited for until then")
    parser.add_argument("--store", default="", help="the coordinator's --store, if not SQLite")
    parser.add_argument("--serve", action="append", default=[], metavar="OPTION",
                        help="one more option of muster-coordinator serve, such as --serve=--threads=4")
    parser.add_argument("--core", default="0",
                        help="the coordinator's one core for the check-ins, while the generator has the"
                             " others; empty: any for both")
    parser.add_argument("--bin", default=os.environ.get("MUSTER_BIN", "build/release/bin"),
                        help="folder of the programs")
    parser.add_argument("--out", default="build/load", help="folder for load.json and load.svg")
    options = parser.parse_args()
    largest = max([options.cohort, *options.cohorts])
    if options.devices < largest:
        parser.error(f"{options.devices} devices are too few for a cohort of {largest}")
    if not 0 <= options.dropped < 0.5 or not 0 <= options.slow <= 1:
        parser.error("--dropped is a share below 0.5, --slow one up to 1")
    return options


def count(answer, call="CheckIn"):
    return answer["calls"][call]["count"]


def cost_ms(answer, call="CheckIn"):
    """Of the coordinator's CPU, for each call."""
    return 1e3 * answer["coordinator_cpu_s"] / count(answer, call)


def summary(answer, call="CheckIn"):
    return {"count": count(answer, call), "seconds": answer["seconds"],
            "per_second": count(answer, call) / answer["seconds"],
            "cpu_ms": cost_ms(answer, call), "p50_ms": answer["calls"][call]["p50_ms"],
            "p99_ms": answer["calls"][call]["p99_ms"], "outcomes": answer["outcomes"]}


def measure_connections(fleet, options):
    """Enrolment, ten thousand connections, check-ins on them, and connections for one check-in each."""
    generator, meter = fleet.generator, fleet.coordinator.meter
    report = {"enrolment": summary(fleet.enrol(), "Enrol")}
    say("load_enrolment_cpu_ms", report["enrolment"]["cpu_ms"])

    before = meter.memory_mb()
    report["connect"] = summary(generator.do("connect", count=options.devices))
    report["memory_kb_per_connection"] = 1024 * (meter.memory_mb() - before) / options.devices
    report["memory_mb_connected"] = meter.memory_mb()
    say("load_connections", options.devices)
    say("load_memory_kb_per_connection", report["memory_kb_per_connection"])

    if options.core:
        fleet.run_apart(int(options.core))
    kept = generator.do("check_in", count=options.devices, times=options.check_ins, in_flight=256)
    report["kept"] = summary(kept)
    # What one core would do if it did nothing else.
    report["kept"]["per_core_second"] = 1e3 / report["kept"]["cpu_ms"]
    say("load_check_in_cpu_ms", report["kept"]["cpu_ms"])
    say("load_check_ins_per_core_second", report["kept"]["per_core_second"])
    for name, resume in (("fresh_full", False), ("fresh_resumed", True)):
        fresh = generator.do("fresh", count=min(options.fresh, options.devices), resume=resume,
                             in_flight=16)
        report[name] = summary(fresh)
        say(f"load_{name}_cpu_ms", report[name]["cpu_ms"])
    if options.core:
        fleet.run_anywhere()
    generator.do("connect", count=min(options.fresh, options.devices))
    return report


def phase_seconds(options, clients):
    """Enough for every client's vector to be made, sent and added here."""
    if options.phase_seconds:
        return options.phase_seconds
    at_once = min(options.workers, os.cpu_count())
    return 30 + clients * (0.02 + 1.2e-7 * options.parameters) * 2 / at_once


def measure_large_round(fleet, options):
    """The large round, and one of a tenth of its clients: memory must not grow with them."""
    rounds = {}
    for name, clients in (("small", max(10, options.cohort // 10)), ("large", options.cohort)):
        rounds[name] = fleet.round(
            clients, options.parameters, options.secure, options.dropped, silent=True,
            idle=options.devices - clients, phase_deadline_s=phase_seconds(options, clients),
            slow=options.slow, slow_pause_ms=options.slow_pause_ms, name=f"load-{name}")
        say(f"load_{name}_round_cpu_ms_per_client", rounds[name]["cpu_ms_per_client_round"])
        say(f"load_{name}_round_peak_memory_mb", rounds[name]["peak_memory_mb"])
    rounds["peak_memory_ratio"] = (rounds["large"]["peak_memory_mb"]
                                   / rounds["small"]["peak_memory_mb"])
    say("load_peak_memory_large_over_small", rounds["peak_memory_ratio"])
    return rounds


def measure_curve(fleet, options):
    """Cost of a client's round against the number of clients. Those that leave say so: nothing waits."""
    curve = []
    for clients in options.cohorts:
        one = fleet.round(clients, options.curve_parameters, options.secure, options.dropped,
                          phase_deadline_s=600, name=f"curve-{clients}")
        curve.append(one)
        say(f"load_curve_{clients}_cpu_ms_per_client", one["cpu_ms_per_client_round"])
    costs = [one["cpu_ms_per_client_round"] for one in curve]
    if costs:
        say("load_curve_largest_over_smallest_cost", max(costs) / min(costs))
    return curve


def draw(report, out):
    from plots import BLUE, GREY, ORANGE, plt, save
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    curve = report["curve"]
    if curve:
        sizes = [one["clients"] for one in curve]
        costs = [one["cpu_ms_per_client_round"] for one in curve]
        left.plot(sizes, costs, marker="o", color=BLUE)
        left.axhspan(min(costs), 1.5 * min(costs), color=GREY, alpha=0.25)
        left.set_xscale("log")
        left.set_ylim(0, 1.3 * max(max(costs), 1.5 * min(costs)))
        left.set_xlabel("clients in the round")
        left.set_ylabel("coordinator CPU, ms per client")
        left.set_title(f"a round, {report['options']['secure']}, "
                       f"{report['options']['curve_parameters']:,} parameters")
        left.grid(alpha=0.3)
    kinds = [("check-in,\nkept connection", "kept"), ("fresh connection,\nresumed", "fresh_resumed"),
             ("fresh connection,\nfull handshake", "fresh_full"), ("enrolment", "enrolment")]
    costs = [report["connections"][key]["cpu_ms"] for _, key in kinds]
    bars = right.bar(range(len(kinds)), costs, color=[BLUE, BLUE, ORANGE, GREY])
    right.bar_label(bars, fmt="%.2f")
    right.set_xticks(range(len(kinds)), [name for name, _ in kinds], fontsize=8)
    right.set_ylabel("coordinator CPU, ms")
    right.set_title(f"{report['options']['devices']:,} devices")
    return save(figure, out, "load")


def measure(fleet, options, out):
    report = {"options": {k: v for k, v in vars(options).items() if k not in ("bin", "out")},
              "cores": os.cpu_count()}
    report["connections"] = measure_connections(fleet, options)
    report["rounds"] = measure_large_round(fleet, options) if options.cohort else {}
    report["curve"] = measure_curve(fleet, options)
    (out / "load.json").write_text(json.dumps(report, indent=2) + "\n")
    pictures = draw(report, out)
    print("\n".join(["", str(out / "load.json"), *pictures]))


def main():
    options = parse()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    return fleet_load.play(
        "load", lambda fleet: measure(fleet, options, out), failed=out / "failed",
        bin_dir=options.bin, devices=options.devices,
        tiers=[*options.cohorts, options.cohort, max(10, options.cohort // 10)],
        serve=[*options.serve, *(["--store", options.store] if options.store else [])],
        workers=options.workers)


if __name__ == "__main__":
    sys.exit(main())
