"""Train every architecture in every mode for the same time, and set them side by side: results/LEADERBOARD.md, with a picture.

    python tools/leaderboard.py                     # all, then the page
    python tools/leaderboard.py --seconds 45        # of each architecture and mode
    python tools/leaderboard.py --only "best, 5"    # runs whose names hold this; of the others what was measured before
    python tools/leaderboard.py --page              # the page alone

What was measured is in results/leaderboard.json, written after every run. Nietzsche, its last tenth held out;
hyper-parameters of the recipe were chosen on the rest, but for what the page names.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import matplotlib
import torch
import torch.nn.functional as F
from torch import nn

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from machine import machine

from fastai_charrnn.adapt import dynamic_evaluation
from fastai_charrnn.all import (
    CharDataLoaders,
    char_learner,
    human_numbers,
    list_archs,
    ngram_baseline,
    nietzsche,
    python_reference,
    read_text,
)
from fastai_charrnn.callback.fp16 import fast_bf16
from fastai_charrnn.recipes.best import best_recipe, measured_speed
from fastai_charrnn.recipes.lesson6 import LESSONS, lesson6, lesson_pct, merge_rare

root = Path(__file__).parent.parent
kept, seed = root / "results/leaderboard.json", 42
modes = {
    "windows": dict(seq_len=8, bs=512),
    "chunks": dict(seq_len=64, bs=64, target="every"),
    "streams": dict(seq_len=64, bs=64, target="every", stateful=True),
}
drops = dict(emb_sz=128, config=dict(output_p=0.3, hidden_p=0.1))
sizes = {
    "mullstm": dict(n_hid=384, **drops),
    "ensemble": dict(n_hid=256, **drops),
    "hawk": dict(n_hid=256, emb_sz=192, config=dict(n_mlp=384)),
}


def held(text, pct=0.1):
    "The last part of a text, and the character before it."
    return text[int(len(text) * (1 - pct)) - 1 :]


def result(learn, text, seconds, pct=0.1):
    "The loss on the last part: in the mode's own way, and with the text as streams."
    streams = learn.evaluate(held(text, pct), by="streams")["streams_loss"]
    own = streams if learn.dls.stateful else learn.evaluate(held(text, pct))["loss"]
    return dict(
        seconds=round(seconds, 1),
        nats=own,
        streams_nats=streams,
        weights=sum(p.numel() for p in learn.model.parameters()),
    )


def of_arch(text, arch, mode, seconds):
    "One cycle by the clock."
    kw = modes[mode] | (dict(n=3) if arch == "char3" else {})
    learn = char_learner(
        CharDataLoaders.from_text(text, valid="tail", valid_pct=0.1, device="cpu", **kw),
        arch,
        seed=seed,
        **sizes.get(arch, {}),
    )
    with learn.no_bar(), learn.no_logging():
        learn.fit_minutes(seconds / 60, 5e-3)
    return result(learn, text, seconds)


def twice(run, seconds):
    "In a quarter of the time too, from the start: what the rest of it is worth."
    early = run(seconds / 4)
    return run(seconds) | dict(early=[early["seconds"], early["nats"]])


def of_recipe(text, minutes, pct=0.1, dynamic=True):
    "By the clock, as `charrnn train --recipe best`."
    recipe = best_recipe(minutes)
    learn = recipe.learner(recipe.dls(text, device="cpu", valid_pct=pct), seed=seed)
    with learn.no_bar(), learn.no_logging():
        row = learn.fit_minutes(minutes, recipe.lr)
    r = result(learn, text, 60 * minutes, pct) | dict(
        n_models=recipe.n_models, n_hid=recipe.n_hid, epochs=round(row["epochs"], 1)
    )
    return r | dict(dynamic=dynamic_evaluation(learn, held(text, pct))["dynamic_loss"]) if dynamic else r


def of_other(text, minutes, pct=0.1):
    "The recipe on another text, beside what counting achieves."
    return of_recipe(text, minutes, pct, dynamic=False) | dict(ngrams=counted(text, pct)["nats"], chars=len(text))


def plain(text, seconds):
    "An LSTM as one writes it in PyTorch without a library: streams, Adam, clipped gradients, a linear decay by the clock."
    chars = sorted(set(text))
    ids = torch.tensor([chars.index(c) for c in text])
    cut = int(len(text) * 0.9)
    torch.manual_seed(seed)
    net = nn.ModuleDict(dict(emb=nn.Embedding(len(chars), 42), rnn=nn.LSTM(42, 256), out=nn.Linear(256, len(chars))))
    opt = torch.optim.Adam(net.parameters(), 5e-3)
    rows = ids[: cut // 64 * 64].view(64, -1).t()
    start = time.time()
    while (gone := (time.time() - start) / seconds) < 1:
        h = None
        for i in range(0, len(rows) - 1, 64):
            gone = (time.time() - start) / seconds
            if gone >= 1:
                break
            opt.param_groups[0]["lr"] = 5e-3 * min(1, (gone + 1e-3) / 0.05, 1 - gone)
            x = rows[i : i + 64]
            y = rows[i + 1 : i + 65]
            out, h = net["rnn"](net["emb"](x[: len(y)]), h)
            h = tuple(o.detach() for o in h)
            loss = F.cross_entropy(net["out"](out).flatten(0, 1), y.flatten())
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
    took = time.time() - start
    with torch.no_grad():
        nats = float(F.cross_entropy(net["out"](net["rnn"](net["emb"](ids[cut - 1 : -1, None]))[0])[:, 0], ids[cut:]))
    return dict(seconds=round(took, 1), nats=nats, streams_nats=nats, weights=sum(p.numel() for p in net.parameters()))


def counted(text, pct=0.1):
    start = time.time()
    best = ngram_baseline(CharDataLoaders.from_text(text, valid="tail", valid_pct=pct, device="cpu")).best
    return dict(seconds=round(time.time() - start, 1), nats=best.nats, context=best.context)


def of_lesson(text, name):
    recipe = lesson6(name)
    learn = recipe.learner(text, seed=0)
    start = time.time()
    if low := recipe.n_hid > 256 and fast_bf16():
        learn.to_bf16()  # 65 epochs
    with learn.no_bar(), learn.no_logging():
        recipe.fit(learn)
    return dict(
        seconds=round(time.time() - start, 1),
        nats=learn.training_log.rows[-1]["valid_loss"],
        printed=recipe.printed,
        epochs=len(learn.training_log.rows),
        bf16=low,
    )


def jobs(seconds):
    "What is run, by name."
    yield "n-grams", counted
    yield "plain PyTorch LSTM, streams", lambda t: twice(lambda s: plain(t, s), seconds)
    for a in list_archs():
        for m in modes:
            if a != "char3" or m == "windows":
                yield f"{a}, {m}", lambda t, a=a, m=m: twice(lambda s: of_arch(t, a, m, s), seconds)
    for minutes in (1, 5, 15):
        yield f"best, {minutes} min", lambda t, minutes=minutes: of_recipe(t, minutes)
    yield (
        "text: the lesson's (lower-cased, split as there), 15 min",
        lambda t: of_other(merge_rare(t), 15, lesson_pct(t)),
    )
    yield "text: Python's reference, 5 min", lambda t: of_other(python_reference(), 5)
    yield "text: numbers in words, 5 min", lambda t: of_other(human_numbers(), 5)
    for name in LESSONS:
        yield f"lesson6 {name}", lambda t, name=name: of_lesson(t, name)


def _size(v):
    return f"{v['n_models']} x {v['n_hid']}" if v.get("n_models", 1) > 1 else str(v["n_hid"])


_about = (
    f"Written by `make leaderboard`, seed {seed}. "
    "Nietzsche; the last tenth is held out, all characters kept as they are. "
    "Losses in nats a character; one nat is 1.4427 bits.\n"
    "*Windows* predict one character from 8 before it; *chunks* each of 64 from a state of zeros at the first; "
    "*streams* carry the state from batch to batch. "
    "A loss in its own way and one in streams are different measurements, so both are given. "
    "Networks have 256 hidden units unless said otherwise, one cycle by the clock "
    "with a highest rate of 5e-3 (the picture has a cycle in a quarter of the time too); "
    "`best` is `charrnn train --recipe best`, whose numbers were chosen on the first 90%; "
    "that a network learns by heart after some ten readings was also seen on the last tenth, "
    "with an earlier recipe ([measurements](EXPERIMENTS.md))."
)
_about_speed = (
    "Such machines differ; *speed* is that of the recurrent product when the row was measured "
    "(`recipes.measured_speed`: 1 is two cores of an EPYC with AVX512-BF16)."
)
_about_texts = (
    "`best`, chosen on Nietzsche alone. Python's reference and the numbers (*one*, *two* … to 9,999) "
    "validate on their last tenth; the lesson's text as the lesson's own networks below, "
    "of which the best printed 1.2524 after 65 epochs on a GPU. "
    "The numbers' last tenth begins with *nine thousand*, of which the rest has nothing: one network of 768 units, "
    "which had learnt the rest by heart, had .3882 there, more than counting."
)
_about_lessons = (
    "On the lesson's own terms (`lesson6`), by its schedules, seed 0: "
    "the text lower-cased with rare characters merged, its first 493,747 characters for training "
    "(in batches of 8 from each stream, where the lesson drew lengths about 8); "
    "`seq` and `seq-identity` on chunks of the text as it is, a random fifth of which validates."
)


def _note(v):
    "What a row adds to its name, in brackets."
    if "dynamic" in v:
        return f" ({_size(v)} hidden units, {v['epochs']} epochs; learning while reading {v['dynamic']:.4f})"
    return f" (contexts to {v['context']})" if "context" in v else ""


def _row(k, v):
    "A network, or n-grams, which have neither streams nor weights."
    both = f" {v['streams_nats']:.4f} | {v['weights']:,} " if "weights" in v else " | "
    return f"| {k}{_note(v)} | {v['seconds']:g} | {v['nats']:.4f} |{both}| {v['speed']:g} |"


def _lesson_row(k, v):
    name = f"`{k[8:]}`{', products in bf16' if v['bf16'] else ''}"
    losses = f"{v['printed']:.4f} | {v['nats']:.4f} | {v['nats'] - v['printed']:+.4f}"
    return f"| {name} | {v['epochs']} | {v['seconds']:g} | {losses} |"


def _text_row(k, v):
    name, _, time = k[6:].rpartition(", ")
    made = f"{time}, {_size(v)}, {v['epochs']}"
    return f"| {name} | {v['chars']:,} | {made} | {v['ngrams']:.4f} | {v['nats']:.4f} | {v['speed']:g} |"


def page(found):
    "results/LEADERBOARD.md."
    own = {k: v for k, v in found.items() if not k.startswith(("lesson6", "text: "))}
    rows = [
        "| what | seconds of training | nats, in its own way | nats, in streams | weights | speed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows += [_row(k, v) for k, v in sorted(own.items(), key=lambda o: o[1]["nats"])]
    lessons = ["| network | epochs | seconds | printed | ours | |", "| --- | --- | --- | --- | --- | --- |"]
    lessons += [_lesson_row(k, v) for k, v in found.items() if k.startswith("lesson6")]
    others = [
        "| text | characters | time, hidden units, epochs | n-grams | ours | speed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    others += [_text_row(k, v) for k, v in found.items() if k.startswith("text: ")]
    return (
        "\n\n".join(
            [
                "# Leaderboard",
                _about,
                f"Machine: {machine()}. {_about_speed}",
                "![loss against training time](pictures/leaderboard.png)",
                "\n".join(rows),
                "## The recipe on other texts",
                _about_texts,
                "\n".join(others),
                "## The lesson's other networks",
                _about_lessons,
                "\n".join(lessons),
            ]
        )
        + "\n"
    )


def picture(found, path):
    "A panel for each mode, and one for the recipe; names stand beside their points, pushed apart where they would meet."
    panels = {m: [(k.rpartition(", ")[0], v) for k, v in found.items() if k.endswith(f", {m}")] for m in modes}
    panels["the recipe"] = [(k[6:], v) for k, v in found.items() if k.startswith("best")]
    fig, axs = plt.subplots(2, 2, figsize=(8, 8), sharey=True, layout="constrained")
    low, high = (
        f(n for rows in panels.values() for _, v in rows for n in (v["nats"], *v.get("early", [])[1:]))
        for f in (min, max)
    )
    names = sorted({k for m in modes for k, _ in panels[m]})
    for ax, (title, rows) in zip(axs.flat, panels.items()):
        secs = [s for _, v in rows for s in (v["seconds"], *v.get("early", [])[:1])] or [1]
        at = -9.0
        for k, v in sorted(rows, key=lambda o: o[1]["nats"]):
            colour = f"C{names.index(k)}" if k in names else "k"
            at = max(v["nats"], at + (high - low) / 22)
            ax.plot(
                *zip(*([v["early"]] if "early" in v else []), (v["seconds"], v["nats"])),
                "o-" if k in names else "*",
                ms=6,
                lw=0.8,
                color=colour,
            )
            x = max(secs) * 1.15 if k in names else v["seconds"] * 1.1
            arrow = dict(arrowstyle="-", color=colour, lw=0.5, shrinkB=4)
            ax.annotate(k, (v["seconds"], v["nats"]), xytext=(x, at), va="center", fontsize=8, arrowprops=arrow)
        if counts := found.get("n-grams"):
            ax.axhline(counts["nats"], ls=":", color="grey")
            if ax is axs[0, 0]:
                ax.annotate(
                    "n-grams",
                    (0, counts["nats"]),
                    xycoords=("axes fraction", "data"),
                    textcoords="offset points",
                    xytext=(4, 3),
                    fontsize=8,
                    color="grey",
                )
        ax.set(title=title, xlabel="seconds of training", xscale="log", xlim=(min(secs) * 0.8, max(secs) * 3))
        ax.set_xticks(ticks := sorted({round(o) for o in secs}), ticks)
        ax.minorticks_off()
    for ax in axs[:, 0]:
        ax.set(ylabel="validation loss (nats a character)")
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=110)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seconds", type=float, default=20, help="of training, for each architecture and mode")
    p.add_argument("--page", action="store_true", help="write the page alone")
    p.add_argument("--only", help="runs whose names hold this")
    args = p.parse_args()
    torch.set_flush_denormal(True)
    text = read_text(nietzsche())
    for name, run in jobs(args.seconds):
        if args.page or (args.only or "") not in name:
            continue
        speed, row = measured_speed(), run(text)
        print(name, row, file=sys.stderr, flush=True)
        _write(
            kept, json.dumps(_measured() | {name: row | dict(speed=round(speed, 2))}, indent=1, sort_keys=True) + "\n"
        )
    found = {name: row for name, _ in jobs(args.seconds) if (row := _measured().get(name))}
    picture(found, root / "results/pictures/leaderboard.png")
    _write(root / "results/LEADERBOARD.md", page(found))


def _write(path, text):
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _measured():
    return json.loads(kept.read_text()) if kept.exists() else {}


if __name__ == "__main__":
    main()
