"""Claim: `learn.generate` writes at least as many characters a second as the loop that one writes by hand with
PyTorch's own layers.

The loop by hand uses `nn.RNN`, `nn.GRU` and `nn.LSTM`, or the layers of lesson 6, `softmax` and `torch.multinomial`. It
carries the state of a stateful network, and reads the whole window again for each character of one with windows of 8.
One text has 500 characters, each of 256 texts has 100.

Networks have initial weights, and output biases that give characters their frequencies in a text. In such text, pairs
and triples of characters repeat less often than in a language, which is to the disadvantage of `learn.generate`.
"""

import sys
from itertools import product
from statistics import median
from typing import NamedTuple

import torch
from figures import Row, in_turn, ratios
from plain_training import Plain

from fastai_charrnn.all import CharDataLoaders, CharLearner, char_learner, nietzsche, read_text

_temperature = 0.8


class Case(NamedTuple):
    "What is generated."

    arch: str
    n_hid: int
    stateful: bool
    n_texts: int
    n_threads: int

    def __str__(self) -> str:
        texts = "one text" if self.n_texts == 1 else f"{self.n_texts} texts"
        threads = "1 thread" if self.n_threads == 1 else f"{self.n_threads} threads"
        mode = "stateful" if self.stateful else "windows"
        return f"`{self.arch}`, {self.n_hid} units, {mode}, {texts}, {threads}"

    @property
    def n_chars(self) -> int:
        "Characters of each text."
        return 500 if self.n_texts == 1 else 100

    def learner(self, text: str) -> CharLearner:
        "Our learner."
        mode = dict(target="every", stateful=True) if self.stateful else {}
        dls = CharDataLoaders.from_text(text, seq_len=8, bs=64, valid="tail", device="cpu", **mode)
        learn = char_learner(dls, self.arch, n_hid=self.n_hid, seed=0)
        counts = torch.as_tensor(dls.vocab.encode(text), dtype=torch.int64).bincount(minlength=len(dls.vocab))
        learn.model.out.bias.data.copy_((counts + 0.1).log())
        return learn


@torch.inference_mode()
def by_hand(model: Plain, x: torch.Tensor, n: int, stateful: bool) -> torch.Tensor:  # (bs, n)
    "Draw n characters after each prompt, x (bs, 8)."
    drawn = []
    logits, state = model(x, every=False)
    for _ in range(n):
        c = torch.multinomial((logits / _temperature).softmax(-1), 1)
        drawn.append(c)
        if stateful:
            logits, state = model(c, state, every=False)
        else:
            x = torch.cat([x[:, 1:], c], 1)
            logits, _ = model(x, every=False)
    return torch.cat(drawn, 1)


def _runs(case, text):
    "Our way and the way by hand."
    learn = case.learner(text)
    vocab = learn.dls.vocab
    model = Plain(case.arch, len(vocab), case.n_hid, 1).eval()
    prompts = [text[i : i + 8] for i in range(case.n_texts)]
    x = torch.stack([torch.as_tensor(vocab.encode(p), dtype=torch.int64) for p in prompts])

    def ours():
        return learn.generate(prompts, case.n_chars, temperature=_temperature, seed=1)

    def hand():
        return [vocab.decode(row) for row in by_hand(model, x, case.n_chars, case.stateful).numpy()]

    return dict(ours=ours, hand=hand)


def cases(short: bool = False) -> list[Case]:
    "All that is measured."
    if short:
        return [Case("rnn", 16, stateful, 2, 1) for stateful in (True, False)]
    networks = [(arch, 256) for arch in ("loop", "concat", "rnn", "gru", "lstm")] + [("lstm", 512)]
    threads = sorted({1, torch.get_num_threads()})
    return [Case(*network, *how) for network, *how in product(networks, (True, False), (1, 256), threads)]


def _time(case, text, rounds):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(case.n_threads)
        return in_turn(_runs(case, text), rounds)
    finally:
        torch.set_num_threads(threads)


def measure(short: bool = False, wanted: str = "", rounds: int = 5) -> list[Row]:
    "Time the cases whose names contain all words of `wanted`."
    text = read_text(nietzsche())[:60_000]
    rows = []
    for case in cases(short):
        if not all(word in str(case) for word in wanted.split()):
            continue
        times = _time(case, text, 1 if short else rounds)
        row = Row(str(case), ratios(times["hand"], times["ours"]), must=1.0, aim=2.0)
        rows.append(row)
        rate = case.n_texts * case.n_chars / median(times["ours"])
        print(f"{' | '.join(row.cells())}; {rate:,.0f} characters/s", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    # python benchmarks/plain_generation.py lstm stateful
    measure(wanted=" ".join(sys.argv[1:]), rounds=3)
