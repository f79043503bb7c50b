"""Claim: `predict_next` is several times as fast as the lesson's `get_next_n`, and with many prompts at once most of
the time is spent in matrix products.

`get_next_n` (`tests/oracles.py`) runs the lesson's layers over a whole window for every character; `learn.get_preds` is
fastai's own method. All use a network trained for an epoch, one thread, one prompt and 2,000 characters. Greedy text
ends in a loop sooner or later, and `predict_next` then copies it; "each computed" means that it may not. The share is
of the time that products of (256·8 x 256)(256 x 256) take alone, one a character, two for `concat`.
"""

from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import torch
from figures import Row, in_turn, ratios
from oracles import ORACLES, get_next_n

from fastai_charrnn.all import CharDataLoaders, char_learner, nietzsche, read_text
from fastai_charrnn.generation.sampling import greedy_ids

# by architecture, if a promise was missed
_profiles: dict[str, str] = {}


class Size(NamedTuple):
    "Characters and prompts of a run."

    n: int  # characters
    n_few: int  # characters by a slow method
    n_fewest: int  # characters by a very slow method
    n_prompts: int


def _by_get_preds(learn, prompt, n):
    "Write with fastai's `get_preds`, one character at a time."
    for _ in range(n):
        with learn.no_bar():
            preds = learn.get_preds(dl=learn.dls.test_dl([prompt]))[0]
        prompt += learn.dls.vocab[int(preds[0].argmax())]


def _products(arch, n_rows):
    "The products of 20 characters of many prompts."
    h = torch.randn(n_rows, 256)
    weight = torch.randn(256, 256)
    n_products = 20 * (2 if arch == "concat" else 1)

    def run():
        for _ in range(n_products):
            torch.mm(h, weight)

    return run


def _measure_arch(arch, text, size, rounds):
    "The rows of an architecture."
    seq_len = 3 if arch == "char3" else 8
    learn = char_learner(CharDataLoaders.from_text(text, seq_len=seq_len, valid="tail", device="cpu"), arch, seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 5e-3)
    torch.set_num_threads(1)
    model = learn.model.eval()
    prompt = "for thos"[:seq_len]
    ids = torch.from_numpy(learn.dls.vocab.encode(prompt).astype("int64"))[None]
    prompts = ids.repeat(size.n_prompts, 1)

    def plain(x):
        with torch.no_grad():
            return ORACLES[arch](model, x)

    runs = dict(
        ours=lambda: learn.predict_next(prompt, n=size.n),
        each=lambda: greedy_ids(model, ids, size.n, loops=False),
        hand=lambda: get_next_n(plain, learn.dls.vocab.itos, prompt, size.n_few),
        preds=lambda: _by_get_preds(learn, prompt, size.n_fewest),
        many=lambda: greedy_ids(model, prompts, 20, loops=False),
        products=_products(arch, size.n_prompts * seq_len),
    )
    times = in_turn(runs, rounds)
    rows = _rows_of_one_prompt(arch, times, size)
    if seq_len == 8:
        shares = [100 * products / many for products, many in zip(times["products"], times["many"])]
        name = f"`{arch}`: {size.n_prompts} prompts, share of the rate of their products"
        rows.append(Row(name, shares, "{:.0f}", "%", must=40, aim=70))
    if any(row.verdict == "**miss**" for row in rows):
        _profiles[arch] = _profile(lambda: greedy_ids(model, ids, size.n_few, loops=False), size.n_few)
    return rows


def _rows_of_one_prompt(arch, times, size):
    "Rates and ratios, from seconds a run."
    n_chars = dict(ours=size.n, each=size.n, hand=size.n_few, preds=size.n_fewest)
    seconds = {key: [s / n for s in times[key]] for key, n in n_chars.items()}
    ours = seconds["ours"]
    each = seconds["each"]
    hand = seconds["hand"]
    preds = seconds["preds"]
    return [
        Row(f"`{arch}`: `predict_next(n=2000)`", [1 / s for s in ours], "{:,.0f}", " a second"),
        Row(f"`{arch}`: against `get_next_n`", ratios(hand, ours), "{:.1f}", must=4, aim=8),
        Row(f"`{arch}`: against `get_next_n`, each computed", ratios(hand, each), "{:.1f}", must=4, aim=8),
        Row(f"`{arch}`: against `get_preds` a character", ratios(preds, ours), "{:.0f}", must=30, aim=60),
        Row(f"`{arch}`: against `get_preds`, each computed", ratios(preds, each), "{:.0f}", must=30, aim=60),
    ]


def _profile(run, n):
    "Microseconds a character in each of PyTorch's operations."
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    start = perf_counter()
    run()
    total = (perf_counter() - start) / n * 1e6
    events = [event for event in profile.key_averages() if event.key.startswith("aten::")]
    micros = {event.key.removeprefix("aten::"): event.self_cpu_time_total / n for event in events}
    slowest = sorted(micros, key=micros.get, reverse=True)[:6]
    listed = ", ".join(f"`{name}` {micros[name]:.1f}" for name in slowest)
    remainder = sum(micros.values()) - sum(micros[name] for name in slowest)
    return (
        f"{total:.0f} µs, of which (under the profiler, which adds to each) {listed}, "
        f"{len(micros) - len(slowest)} smaller ones {remainder:.1f}"
    )


def more(folder: Path) -> str:
    "Profiles of the architectures that missed a promise."
    lines = [f"A character of `{arch}`, each computed: {profile}." for arch, profile in _profiles.items()]
    return "\n".join(lines) or "No promise was missed."


def measure(short: bool = False) -> list[Row]:
    "Measure each architecture on one thread."
    size = Size(100, 5, 2, 8) if short else Size(2000, 300, 30, 256)
    text = read_text(nietzsche())[: 10_000 if short else 100_000]
    threads = torch.get_num_threads()
    rows = []
    for arch in ("char3", "loop", "concat", "rnn"):
        try:
            rows += _measure_arch(arch, text, size, 1 if short else 7)
        finally:
            torch.set_num_threads(threads)
    return rows
