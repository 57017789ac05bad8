"""Plots of a story: accuracy and loss by round, and what personalization gave each device."""

import os
import tempfile

os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="muster-matplotlib-"))
import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402


def draw(report, out):
    """Writes the plots below `out`; their paths."""
    paths = [out / "accuracy.svg", out / "accuracy.png", out / "devices.svg"]
    rounds = range(1, report["rounds"] + 1)
    figure, left = plt.subplots(figsize=(7, 4))
    left.plot(rounds, [a if a is not None else float("nan") for a in report["accuracy_per_round"]],
              marker="o", markersize=3, color="#1b6ca8")
    left.set_xlabel("round")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_ylabel("accuracy on the test set", color="#1b6ca8")
    left.grid(alpha=0.3)
    right = left.twinx()
    right.plot(rounds, report["loss_per_round"], linestyle="--", color="#c4602a")
    right.set_ylabel("training loss on the devices", color="#c4602a")
    figure.suptitle(f"{report['model']}: {report['devices']} devices, Dirichlet(0.3)")
    figure.tight_layout()
    figure.savefig(paths[0])
    figure.savefig(paths[1], dpi=140)
    plt.close(figure)

    rows = report["per_device"]
    figure, axes = plt.subplots(figsize=(8, 4))
    width = 0.27
    kinds = [("global_accuracy", "the fleet's model", "#9aa7b1"),
             ("personalized_accuracy", "personalized", "#1b6ca8"),
             ("int8_accuracy", "personalized, int8", "#c4602a")]
    for offset, (key, label, color) in enumerate(kinds):
        axes.bar([i + (offset - 1) * width for i in range(len(rows))], [r[key] for r in rows],
                 width, label=label, color=color)
    axes.set_xticks(range(len(rows)), [r["device"].replace("device-", "") for r in rows])
    axes.set_xlabel("device")
    axes.set_ylabel("accuracy on its own held-out data")
    axes.set_ylim(min(0.5, min(r[k] for r in rows for k, _, _ in kinds) - 0.05), 1.0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=3, frameon=False)
    figure.tight_layout()
    figure.savefig(paths[2])
    plt.close(figure)
    return [str(path) for path in paths]
