"""Claim: `predict_next` writes several times as fast as the notebook's `get_next_n`, and many prompts at once keep the processor at its matrix products.

`get_next_n` (`tests/oracles.py`) runs the notebook's layers over a whole window for every character; `learn.get_preds` is what fastai offers. All
trained for an epoch, all on one thread, the same prompt, the same 2,000 characters. Greedy text falls into a loop sooner or later and `predict_next` copies what is left of it:
with "each computed" it may not. The share is of the time that products of (256·8 x 256)(256 x 256) take alone, one a character, `concat` two.
"""

from pathlib import Path
from time import perf_counter

import torch
from figures import Row, in_turn, ratios
from oracles import ORACLES, get_next_n

from fastai_charrnn.all import CharDataLoaders, char_learner, nietzsche, read_text
from fastai_charrnn.generation.sampling import greedy_ids

_profiles = {}  # of what missed


def _per_character(learn, prompt, n):
    for _ in range(n):
        with learn.no_bar():
            preds = learn.get_preds(dl=learn.dls.test_dl([prompt]))[0]
        prompt += learn.dls.vocab[int(preds[0].argmax())]


def _of(arch, text, short):
    "Characters a second in turn; the slow ones write fewer."
    n, few, fewest, n_prompts = (100, 5, 2, 8) if short else (2000, 300, 30, 256)
    k = 3 if arch == "char3" else 8
    learn = char_learner(CharDataLoaders.from_text(text, seq_len=k, valid="tail", device="cpu"), arch, seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 5e-3)
    torch.set_num_threads(1)
    model, prompt = learn.model.eval(), "for thos"[:k]
    ids = torch.from_numpy(learn.dls.vocab.encode(prompt).astype("int64"))[None]
    many = ids.repeat(n_prompts, 1)
    a = torch.randn(n_prompts * k, 256)
    w = torch.randn(256, 256)

    def plain(x):
        with torch.no_grad():
            return ORACLES[arch](model, x)

    def products():
        for _ in range(20 * (2 if arch == "concat" else 1)):
            torch.mm(a, w)

    t = in_turn(
        dict(
            ours=lambda: learn.predict_next(prompt, n=n),
            each=lambda: greedy_ids(model, ids, n, loops=False),
            hand=lambda: get_next_n(plain, learn.dls.vocab.itos, prompt, few),
            preds=lambda: _per_character(learn, prompt, fewest),
            many=lambda: greedy_ids(model, many, 20, loops=False),
            products=products,
        ),
        1 if short else 7,
    )
    written = dict(ours=n, each=n, hand=few, preds=fewest)
    rows = _rates(arch, **{key: [s / m for s in t[key]] for key, m in written.items()})
    if k == 8:
        rows.append(
            Row(
                f"`{arch}`: {n_prompts} prompts, share of the rate of their products",
                [100 * p / m for p, m in zip(t["products"], t["many"])],
                "{:.0f}",
                "%",
                40,
                70,
            )
        )
    if any(r.verdict == "**miss**" for r in rows):
        _profiles[arch] = _profile(lambda: greedy_ids(model, ids, few, loops=False), few)
    return rows


def _rates(arch, ours, each, hand, preds):
    "The rows of one prompt, from seconds a character."
    return [
        Row(f"`{arch}`: `predict_next(n=2000)`", [1 / s for s in ours], "{:,.0f}", " a second"),
        Row(f"`{arch}`: against `get_next_n`", ratios(hand, ours), "{:.1f}", must=4, aim=8),
        Row(f"`{arch}`: against `get_next_n`, each computed", ratios(hand, each), "{:.1f}", must=4, aim=8),
        Row(f"`{arch}`: against `get_preds` a character", ratios(preds, ours), "{:.0f}", must=30, aim=60),
        Row(f"`{arch}`: against `get_preds`, each computed", ratios(preds, each), "{:.0f}", must=30, aim=60),
    ]


def _profile(run, n):
    "Microseconds a character in each of PyTorch's operations, and what is left for Python between them."
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as p:
        run()
    start = perf_counter()
    run()
    total = (perf_counter() - start) / n * 1e6
    of = {
        e.key.removeprefix("aten::"): e.self_cpu_time_total / n for e in p.key_averages() if e.key.startswith("aten::")
    }
    top = sorted(of, key=of.get, reverse=True)[:6]
    named = ", ".join(f"`{k}` {of[k]:.1f}" for k in top)
    rest = sum(of.values()) - sum(of[k] for k in top)
    return (
        f"{total:.0f} µs, of which (under the profiler, which adds to each) {named}, "
        f"{len(of) - len(top)} smaller ones {rest:.1f}"
    )


def more(folder: Path) -> str:
    "Where the time goes where a promise was missed."
    return (
        "\n".join([f"A character of `{a}`, each computed: {said}." for a, said in _profiles.items()])
        or "No promise was missed."
    )


def measure(short: bool = False) -> list[Row]:
    "Each architecture on one thread."
    text = read_text(nietzsche())[: 10_000 if short else 100_000]
    threads = torch.get_num_threads()
    rows = []
    for arch in ("char3", "loop", "concat", "rnn"):
        try:
            rows += _of(arch, text, short)
        finally:
            torch.set_num_threads(threads)
    return rows
