"""Train one network of the package, count n-grams, or train by lesson 6's schedule; each returns a row.

A row has `seconds` of training and `nats`, the loss on the held-out part in the mode of the training. Networks also
have `streams_nats`, the loss with the text as one stream, and `weights`.
"""

import time
from functools import cache

from fastai_charrnn._utils import count_weights
from fastai_charrnn.all import CharDataLoaders, char_learner, list_archs, ngram_baseline, nietzsche, read_text
from fastai_charrnn.callback.fp16 import fast_bf16
from fastai_charrnn.recipes.lesson6 import lesson6

MODES = {
    "windows": dict(seq_len=8, bs=512),
    "chunks": dict(seq_len=64, bs=64, target="every"),
    "streams": dict(seq_len=64, bs=64, target="every", stateful=True),
}
_dropouts = dict(output_p=0.3, hidden_p=0.1)
# arguments of `char_learner` that differ from the defaults
_sizes = {
    "mullstm": dict(n_hid=384, emb_sz=128, config=_dropouts),
    "ensemble": dict(n_hid=256, emb_sz=128, config=_dropouts),
}
# the longest contexts that n-grams are tried with
_max_context = 10


@cache
def nietzsche_text() -> str:
    "The text of the leaderboard."
    return read_text(nietzsche())


def without_held_out() -> str:
    "The first nine tenths of Nietzsche. Choices are made on the last tenth of these."
    text = nietzsche_text()
    return text[: int(len(text) * 0.9)]


def modes_of(arch: str) -> list[str]:  # "windows", "chunks", "streams"
    "The modes in which an architecture trains."
    return ["windows"] if arch == "char3" else list(MODES)


def archs_and_modes() -> list[tuple[str, str]]:
    "All pairs of an architecture and one of its modes."
    return [(arch, mode) for arch in list_archs() for mode in modes_of(arch)]


def cut_text(
    text: str,
    pct: float = 0.1,  # how much of it is held out
    max_scored: int | None = None,  # score at most so many characters; None: all that is held out
) -> tuple[str, float]:  # the text, and the part of it that is held out
    "The text up to the last character that is scored."
    n_train = int(len(text) * (1 - pct))
    text = text[: None if max_scored is None else n_train + max_scored]
    # half a character more, so that rounding cannot move the border
    return text, 1 - (n_train + 0.5) / len(text)


def held_out(
    text: str,
    pct: float = 0.1,  # how much of it is held out
    max_scored: int | None = None,  # see `cut_text`
) -> str:
    "The characters that are scored, and the one before them."
    text, pct = cut_text(text, pct, max_scored)
    return text[int(len(text) * (1 - pct)) - 1 :]


def network_row(learn, part: str, seconds: float) -> dict:
    "The row of a trained learner, scored on a part of a text."
    streams = learn.evaluate(part, by="streams")["streams_loss"]
    nats = streams if learn.dls.stateful else learn.evaluate(part)["loss"]
    return dict(seconds=seconds, nats=nats, streams_nats=streams, weights=count_weights(learn.model))


def count_ngrams(
    text: str,
    pct: float = 0.1,  # how much of it is held out
    max_scored: int | None = None,  # see `cut_text`
) -> dict:
    "N-grams with the contexts that are best on the held-out part."
    start = time.perf_counter()
    text, pct = cut_text(text, pct, max_scored)
    dls = CharDataLoaders.from_text(text, valid="tail", valid_pct=pct, device="cpu")
    best = ngram_baseline(dls, max_context=_max_context).best
    return dict(seconds=round(time.perf_counter() - start, 1), nats=best.nats, context=best.context)


def train_arch(
    text: str,  # its last tenth is held out
    arch: str,
    mode: str,  # one of MODES
    seconds: float,  # of training
    seed: int,
    max_scored: int | None = None,  # see `cut_text`
    **sizes,  # as `char_learner`, instead of the usual ones
) -> dict:
    "An architecture in one cycle of some seconds, with a highest learning rate of 5e-3."
    options = MODES[mode] | (dict(seq_len=3) if arch == "char3" else {})
    dls = CharDataLoaders.from_text(text, valid="tail", valid_pct=0.1, device="cpu", **options)
    learn = char_learner(dls, arch, seed=seed, **(sizes or _sizes.get(arch, {})))
    with learn.no_bar(), learn.no_logging():
        learn.fit_minutes(seconds / 60, 5e-3)
    return network_row(learn, held_out(text, max_scored=max_scored), seconds) | dict(mode=mode)


def train_lesson(name: str) -> dict:
    "A network of lesson 6 by its schedule."
    recipe = lesson6(name)
    learn = recipe.learner(nietzsche_text(), seed=0)
    start = time.perf_counter()
    # the large network trains for 65 epochs
    bf16 = recipe.n_hid > 256 and fast_bf16()
    if bf16:
        learn.to_bf16()
    with learn.no_bar(), learn.no_logging():
        recipe.fit(learn)
    rows = learn.training_log.rows
    row = dict(seconds=round(time.perf_counter() - start, 1), nats=rows[-1]["valid_loss"])
    return row | dict(printed=recipe.printed, epochs=len(rows), bf16=bf16)
