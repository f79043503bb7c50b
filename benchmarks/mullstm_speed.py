"""Claim: most of a training step of `mullstm`, the network of the recipes, is its matrix products.

The floor is the time that these products take alone on this machine, each in the fastest of its forms: the recurrent
products, forward and backward, step by step; the gradient of the recurrent weights, one product over all steps; three
products for the table and three for the output layer. A step is forward, backward, clipping of gradients and AdamW, as
in the recipes, with their dropouts. The sizes are those of `default_recipe` and `best_recipe`. In 16 bits a step runs
under autocast in bfloat16. Where a CPU multiplies slower in bfloat16 than in float32, the floor is that of float32.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

import torch
from figures import Row, in_turn, ratios
from torch import nn

from fastai_charrnn.all import CharLearner, best_recipe, default_recipe, nietzsche, read_text


class Case(NamedTuple):
    "A step of a recipe."

    n_hid: int
    bs: int  # streams
    emb_sz: int  # size of the embedding
    bf16: bool
    n_steps: int = 32  # characters of a stream

    def __str__(self) -> str:
        return f"{self.n_hid} units, {self.bs} x {self.n_steps}{', bf16' if self.bf16 else ''}"

    def learner(self) -> CharLearner:
        "A learner of the recipe for this size."
        text = read_text(nietzsche())[:40_000]
        recipe = self._recipe()
        learn = recipe.learner(recipe.dls(text, bs=self.bs, seq_len=self.n_steps, device="cpu"))
        learn.create_opt()
        learn.model.train()
        return learn

    def _recipe(self):
        options = dict(n_hid=self.n_hid, emb_sz=self.emb_sz)
        if self.bs >= 32:
            return replace(best_recipe(1, speed=1), **options)
        n_chars = {8: 100_000, 16: 500_000}[self.bs]
        return replace(default_recipe(n_chars), **options)


def _steps(learn, batches, bf16):
    "Training steps on these batches."

    def run():
        learn.model.reset()
        for x, y in batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                preds = learn.model(x)
            learn.loss_func(preds, y).backward()
            nn.utils.clip_grad_norm_(learn.model.parameters(), 1.0)
            learn.opt.step()
            learn.opt.zero_grad()

    return run


def _fastest(a: torch.Tensor, b: torch.Tensor) -> Callable:
    "The fastest form of the product of `a` (m, k) and `b` (k, n)."
    forms = [_product(x, y) for x in _layouts(a) for y in _layouts(b)]
    return min(forms, key=_seconds)


def _layouts(x):
    "By rows and by columns."
    return x, x.t().contiguous().t()


def _product(x, y):
    out = torch.empty(len(x), y.shape[1], dtype=x.dtype)
    return lambda: torch.mm(x, y, out=out)


def _seconds(run):
    times = []
    for _ in range(15):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return min(times)


def _products(case: Case, vocab_sz: int, n_batches: int) -> Callable:
    "The products of these many steps, in the faster of the two precisions if the step is in 16 bits."
    dtypes = (torch.bfloat16, torch.float32) if case.bf16 else (torch.float32,)
    return min((_products_in(dtype, case, vocab_sz, n_batches) for dtype in dtypes), key=_seconds)


def _products_in(dtype, case, vocab_sz, n_batches):
    n_hid, emb_sz = case.n_hid, case.emb_sz
    rows = case.bs * case.n_steps

    def product(m, k, n):
        return _fastest(torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype))

    each_step = [product(case.bs, n_hid, 4 * n_hid), product(case.bs, 4 * n_hid, n_hid)]
    once = [product(4 * n_hid, rows, n_hid)]
    for m, k, n in ((vocab_sz, emb_sz, 5 * n_hid), (rows, n_hid, vocab_sz)):
        once += [product(m, k, n), product(m, n, k), product(k, m, n)]

    def run():
        for _ in range(n_batches):
            for multiply in each_step:
                for _ in range(case.n_steps):
                    multiply()
            for multiply in once:
                multiply()

    return run


def cases(short: bool = False) -> list[Case]:
    "The sizes of the recipes."
    if short:
        return [Case(16, 8, 8, bf16) for bf16 in (False, True)]
    sizes = [(256, 8, 64), (256, 16, 64), *((n_hid, 32, 128) for n_hid in (384, 512, 768, 1024))]
    return [Case(*size, bf16) for size in sizes for bf16 in (False, True)]


def measure(short: bool = False, wanted: str = "", rounds: int = 7) -> list[Row]:
    "Time the steps and the products alone, in turn, for the cases whose names contain all words of `wanted`."
    rows = []
    for case in cases(short):
        if not all(word in str(case) for word in wanted.split()):
            continue
        learn = case.learner()
        batches = [batch for batch, _ in zip(learn.dls.train, range(2 if short else 5))]
        products = _products(case, len(learn.dls.vocab), len(batches))
        times = in_turn(dict(steps=_steps(learn, batches, case.bf16), products=products), 2 if short else rounds)
        share = [100 * r for r in ratios(times["products"], times["steps"])]
        step = [1e3 * t / len(batches) for t in times["steps"]]
        rows.append(Row(f"{case}: a step", step, "{:.2f}", " ms"))
        rows.append(Row(f"{case}: its products", share, "{:.0f}", "%", must=60, aim=75))
        print(" | ".join([*rows[-2].cells()[:2], *rows[-1].cells()]), file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    # python benchmarks/mullstm_speed.py "512 units"
    measure(wanted=" ".join(sys.argv[1:]))
