"""Plots of a job, from what `muster jobs show JOB --json` prints, and of a story's devices."""

import argparse
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="muster-matplotlib-"))
import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402

BLUE, ORANGE, GREY = "#1b6ca8", "#c4602a", "#9aa7b1"


def save(figure, out, name):
    figure.tight_layout()
    paths = [out / f"{name}.svg", out / f"{name}.png"]
    figure.savefig(paths[0])
    figure.savefig(paths[1], dpi=140)
    plt.close(figure)
    return [str(path) for path in paths]


def series(rounds, kind, name):
    """A value of every round, with gaps where a round has none."""
    return [r.get(kind, {}).get(name, float("nan")) for r in rounds]


def has(values):
    return any(value == value for value in values)


def draw_training(shown, rounds, out):
    numbers = [r["number"] for r in rounds]
    accuracy = series(rounds, "evaluation", "accuracy")
    loss = series(rounds, "metrics", "train_loss")
    figure, left = plt.subplots(figsize=(7, 4))
    left.set_xlabel("round")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.grid(alpha=0.3)
    if has(accuracy):
        left.plot(numbers, accuracy, marker="o", markersize=3, color=BLUE)
        left.set_ylabel("accuracy on the test set", color=BLUE)
    if has(loss):
        right = left.twinx() if has(accuracy) else left
        right.plot(numbers, loss, linestyle="--", color=ORANGE)
        right.set_ylabel("training loss on the devices", color=ORANGE)
    mode = shown["job"].get("secure_aggregation", {}).get("mode", "")
    figure.suptitle(f"{shown['job']['name']}: {len(rounds)} rounds, secure aggregation {mode}")
    return save(figure, out, "accuracy")


def draw_privacy(shown, rounds, out):
    privacy = shown["job"].get("privacy")
    spent = series(rounds, "metrics", "epsilon")
    if not privacy or not has(spent):
        return []
    numbers = [r["number"] for r in rounds]
    clips = series(rounds, "metrics", "clip")
    figure, left = plt.subplots(figsize=(7, 4))
    left.plot(numbers, spent, marker="o", markersize=3, color=BLUE, label="spent so far")
    left.axhline(privacy["epsilon_budget"], color=GREY, linestyle=":", label="budget")
    left.set_xlabel("round")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_ylabel(f"epsilon at delta {privacy['delta']:g}", color=BLUE)
    left.set_ylim(0, 1.1 * max(privacy["epsilon_budget"], *(s for s in spent if s == s)))
    left.grid(alpha=0.3)
    left.legend(loc="lower right", frameon=False)
    if has(clips) and len(set(clips)) > 1:
        right = left.twinx()
        right.plot(numbers, clips, linestyle="--", color=ORANGE)
        right.set_ylabel("clip (L2 norm)", color=ORANGE)
        right.set_ylim(bottom=0)
    figure.suptitle(f"{shown['job']['name']}: {privacy['kind']} differential privacy, "
                    f"noise multiplier {privacy['noise_multiplier']:g}")
    return save(figure, out, "privacy")


def draw_job(shown, out):
    """Pictures of one job in folder `out`; their paths. Empty before the first committed round."""
    rounds = [r for r in shown["rounds"] if r["phase"] == "committed"]
    if not rounds:
        return []
    return draw_training(shown, rounds, out) + draw_privacy(shown, rounds, out)


def draw_devices(rows, out):
    """What personalization and int8 gave each device."""
    figure, axes = plt.subplots(figsize=(8, 4))
    width = 0.27
    kinds = [("global_accuracy", "the fleet's model", GREY),
             ("personalized_accuracy", "personalized", BLUE),
             ("int8_accuracy", "personalized, int8", ORANGE)]
    for offset, (key, label, color) in enumerate(kinds):
        axes.bar([i + (offset - 1) * width for i in range(len(rows))], [r[key] for r in rows],
                 width, label=label, color=color)
    axes.set_xticks(range(len(rows)), [r["device"].replace("device-", "") for r in rows])
    axes.set_xlabel("device")
    axes.set_ylabel("accuracy on its own held-out data")
    axes.set_ylim(min(0.5, min(r[k] for r in rows for k, _, _ in kinds) - 0.05), 1.0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=3, frameon=False)
    return save(figure, out, "devices")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=".")
    options = parser.parse_args()
    try:
        shown = json.load(sys.stdin)
        if "job" not in shown or "rounds" not in shown:
            raise ValueError("no job in it")
    except ValueError as error:
        print(f"scripts/plot: this is not what `muster jobs show JOB --json` prints: {error}",
              file=sys.stderr)
        return 1
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    paths = draw_job(shown, out)
    if not paths:
        print("scripts/plot: no round is committed yet: there is nothing to draw", file=sys.stderr)
        return 1
    print("\n".join(paths))
    return 0


if __name__ == "__main__":
    sys.exit(main())
