"""Train lesson 6's first networks with three seeds and write results/REPRODUCTION.md: `make reproduce`.

python tools/reproduction.py   # about 15 minutes on two cores
"""

import platform
import sys
from pathlib import Path
from statistics import median

import fastai
import torch
from machine import machine

from fastai_charrnn import __version__
from fastai_charrnn._files import atomic_write
from fastai_charrnn.all import nietzsche, read_text
from fastai_charrnn.recipes.lesson6 import RECIPES
from fastai_charrnn.recipes.reproduce import Reproduction, reproduce

report = Path(__file__).parent.parent / "results/REPRODUCTION.md"


def page(
    found: Reproduction,  # all trials
) -> str:  # Markdown
    "The final losses, the losses of every epoch, and the texts."
    return "\n\n".join([_head(found), _final_table(found), _epoch_table(found), _text_table(found)]) + "\n"


def _head(found):
    seeds = max(len(trials) for trials in found.schedule.values())
    return (
        "# Reproduction\n\n"
        f"Written by `make reproduce` with {seeds} seed{'s' if seeds > 1 else ''}. "
        "Losses in nats; ours as median (min–max) over seeds. "
        "The random split shares characters between training and validation windows, as lesson 6's does. "
        "`char3` validates on a single window, so its training loss is compared.\n\n"
        f"Machine: {machine()}. Versions: fastai_charrnn {__version__}, fastai {fastai.__version__}, "
        f"PyTorch {torch.__version__}, Python {platform.python_version()}."
    )


def _table(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _median(values):
    "The median over seeds, with the range if there are several."
    spread = f" ({min(values):.4f}–{max(values):.4f})" if len(values) > 1 else ""
    return f"{median(values):.4f}{spread}"


def _final_table(found):
    columns = ["arch", "epochs", "final loss", "printed", "ours, same schedule", "ours, one cycle"]
    rows = []
    for row in found.final_losses():
        printed = row["printed"]
        cycle = row["one_cycle"]
        cells = [f"`{row['arch']}`", row["epochs"], row["loss"], f"{printed:.4f}", _median(row["ours"])]
        cells += ["", ""] if cycle is None else [f"{cycle:.4f}", f"{cycle - printed:+.4f}"]
        rows.append(cells)
    return _table([*columns, "one cycle against printed"], rows)


def _epoch_table(found):
    columns = ["arch", "learning rate", "epoch", "train printed", "train ours", "valid printed", "valid ours"]
    rows = [row for arch, trials in found.schedule.items() for row in _epochs(arch, trials)]
    return "## Every epoch\n\n" + _table(columns, rows)


def _epochs(arch, trials):
    "The rows of an architecture."
    lrs = [lr for lr, epochs in RECIPES[arch].phases for _ in epochs]
    for k, (train, valid) in enumerate(RECIPES[arch].printed):
        ours_train = _median([trial.losses[k][0] for trial in trials])
        ours_valid = _median([trial.losses[k][1] for trial in trials])
        yield [f"`{arch}`", f"{lrs[k]:g}", k + 1, train, ours_train, valid, ours_valid]


def _text_table(found):
    rows = []
    for arch, trials in found.schedule.items():
        for prompt, printed in RECIPES[arch].examples.items():
            ours = " <br> ".join(f"`{trial.examples[prompt]!r}`" for trial in trials)
            rows.append([f"`{arch}`", f"`{prompt!r}`", f"`{printed!r}`", ours])
    columns = ["arch", "prompt", "lesson 6", "ours, seed by seed"]
    return "## Text (greedy: always the most likely character)\n\n" + _table(columns, rows)


def main():
    found = reproduce(read_text(nietzsche()), progress=lambda line: print(line, file=sys.stderr, flush=True))
    atomic_write(report, page(found))


if __name__ == "__main__":
    main()
