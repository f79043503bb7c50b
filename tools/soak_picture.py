"""The picture of the long runs in results/RELIABILITY.md: memory against what was done, a panel for each."""

from pathlib import Path

import matplotlib
from soak_memory import CURVES

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

min_span = 20  # MB that a panel shows at least, so that flat curves look flat


def picture(
    curves: dict[str, list],  # points of each run: (count, MB, threads, handles)
    path: Path,  # .png
):
    "Draw the memory of the runs. Threads and file handles are written below the titles."
    fig, axs = plt.subplots(2, 2, figsize=(8, 5.5), layout="constrained")
    for ax, (name, points) in zip(axs.flat, curves.items()):
        counts, memory = zip(*[(count, mb) for count, mb, *_ in points])
        threads, handles = zip(*[point[2:] for point in points])
        ax.plot(counts, memory, lw=1.5)
        middle = (min(memory) + max(memory)) / 2
        half = max(max(memory) - min(memory), min_span) * 0.6
        ax.set(ylim=(middle - half, middle + half), xlim=(0, counts[-1]), xlabel=CURVES[name].unit, ylabel="MB")
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.locator_params(axis="x", nbins=5)
        ax.grid(alpha=0.3)
        ax.set_title(f"{CURVES[name].title}\nthreads: {_range(threads)}, file handles: {_range(handles)}", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(fig)


def _range(values):
    "Such as 3 or 3–5."
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low}–{high}"
