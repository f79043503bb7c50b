"""Claim: `learn.generate` draws at least ten times as many characters a second as fastai's `LMLearner.predict` with an
LSTM of equal width.

Networks have 256 hidden units and initial weights, and run on one thread. The peer is `AWD_LSTM` with one layer over
characters. The lesson's loop (`tests/oracles.py`, over the lesson's layers, without gradients) is listed for
comparison. It takes the most likely character, and `generate` draws. A text has 500 characters, the peers' have 100,
and one of 256 prompts 100.
"""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
import torch
from fastai.text.all import AWD_LSTM, TextDataLoaders, Tokenizer, awd_lstm_lm_config, language_model_learner
from figures import Row, in_turn, ratios
from oracles import ORACLES, get_next_n

from fastai_charrnn.all import CharDataLoaders, char_learner, nietzsche, read_text


class Characters:
    "A tokenizer for fastai whose tokens are characters."

    def __init__(self, **kwargs):
        pass

    def __call__(self, items):
        return (list(text) for text in items)


def lm_learner(text):
    "The language model learner of fastai that is most like `lstm`."
    df = pd.DataFrame(dict(text=[text[i : i + 2000] for i in range(0, len(text), 2000)]))
    tok = Tokenizer(Characters(), rules=[], sep="")
    cpu = torch.device("cpu")
    dls = TextDataLoaders.from_df(df, text_col="text", is_lm=True, tok_tfm=tok, bs=8, seq_len=64, device=cpu)
    config = awd_lstm_lm_config | dict(emb_sz=256, n_hid=256, n_layers=1)
    return language_model_learner(dls, AWD_LSTM, config=config, pretrained=False)


class Size(NamedTuple):
    "Characters and prompts of a run."

    n: int  # characters of a text
    n_few: int  # characters of a text by a slow method, or of one of many texts
    n_prompts: int


class Run(NamedTuple):
    "What to time."

    draw: Callable
    n_chars: int  # characters drawn


_peer = "`LMLearner.predict`"
_by_hand = ", the notebook's loop"


def _runs_of(arch, dls, text, size) -> dict[str, Run]:
    "The ways to draw from an architecture, by name."
    learn = char_learner(dls, arch, seed=0)
    prompt = "for thos"
    prompts = [text[i : i + 8] for i in range(size.n_prompts)]

    def plain(x):
        with torch.no_grad():
            return ORACLES[arch](learn.model, x)

    def stream():
        return "".join(learn.generate(prompt, size.n, seed=1, stream=True))

    n_few = size.n_few
    return {
        f"`{arch}`, one prompt": Run(lambda: learn.generate(prompt, size.n, seed=1), size.n),
        f"`{arch}`, one prompt, top_p=.9": Run(lambda: learn.generate(prompt, size.n, seed=1, top_p=0.9), size.n),
        f"`{arch}`, streamed": Run(stream, size.n),
        f"`{arch}`, {size.n_prompts} prompts": Run(
            lambda: learn.generate(prompts, n_few, seed=1), n_few * size.n_prompts
        ),
        f"`{arch}`{_by_hand}": Run(lambda: get_next_n(plain, dls.vocab.itos, prompt, n_few), n_few),
    }


def _times(runs, rounds):
    "Seconds of each run, on one thread."
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        return in_turn({name: run.draw for name, run in runs.items()}, rounds)
    finally:
        torch.set_num_threads(threads)


def measure(short: bool = False) -> list[Row]:
    "Time ways to draw characters."
    size = Size(30, 5, 8) if short else Size(500, 100, 256)
    text = read_text(nietzsche())[:60_000]
    dls = CharDataLoaders.from_text(text, valid="tail", device="cpu")
    peer = lm_learner(text)
    runs = {_peer: Run(lambda: peer.predict("for thos", size.n_few, no_bar=True), size.n_few)}
    for arch in ("rnn", "lstm"):
        runs |= _runs_of(arch, dls, text, size)
    times = _times(runs, 1 if short else 5)
    rates = {name: [run.n_chars / s for s in times[name]] for name, run in runs.items()}
    rows = [Row(name, values, "{:,.0f}", " characters/s") for name, values in rates.items()]
    against_peer = ratios(rates["`lstm`, one prompt"], rates[_peer])
    against_loop = ratios(rates["`rnn`, one prompt"], rates[f"`rnn`{_by_hand}"])
    return [
        *rows,
        Row("`lstm`, one prompt, against `LMLearner.predict`", against_peer, "{:.1f}", must=10),
        Row("`rnn`, one prompt, against the notebook's loop", against_loop, "{:.1f}"),
    ]
