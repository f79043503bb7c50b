"""Two sets of training choices: `default_recipe` for a text of a given size, `best_recipe` for a given time.

    recipe = default_recipe(len(text))
    learn = recipe.learner(recipe.dls(text))
    recipe.fit(learn)                                # what `charrnn train FILE` does

With `best_recipe(minutes=5)`, the last line is `learn.fit_minutes(recipe.minutes, recipe.lr)`.

Both were chosen by measurement: trained on the first 81% of a text, compared on the next 9% (results/EXPERIMENTS.md).
"""

import inspect
import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import torch
from fastai.basics import rank_distrib
from fastai.callback.training import GradientClip
from fastai.optimizer import OptimWrapper
from torch import nn

from .._utils import is_count
from ..callback.time_budget import fast_bf16, time_product
from ..data.loaders import CharDataLoaders
from ..errors import DataError
from ..learner import CharLearner, char_learner
from ..models.registry import get_arch

__all__ = ["BestRecipe", "best_recipe", "DefaultRecipe", "default_recipe", "adamw"]


def adamw(
    params: list,  # the matrices that decay, and the rest, as `decaying` splits them
    lr: float = 1e-3,  # learning rate
    wd: float = 0.1,  # decay of the matrices
    **kwargs,  # as `torch.optim.AdamW`
) -> OptimWrapper:
    "PyTorch's AdamW, fused, for fastai; only the first group decays (Loshchilov & Hutter 2019)."
    decays, rest = params
    groups = [dict(params=list(decays), weight_decay=wd), dict(params=list(rest), weight_decay=0.0)]
    return OptimWrapper(groups, opt=torch.optim.AdamW, lr=lr, **dict(betas=(0.9, 0.99), fused=True) | kwargs)


def decaying(
    model: nn.Module,  # any
) -> list[list[nn.Parameter]]:  # matrices between layers; embedding, read-out, norms and biases
    "The two groups of `adamw`."
    ends = {
        p
        for m in model.modules()
        if hasattr(m, "emb") and hasattr(m, "out")
        for p in (*m.emb.parameters(), *m.out.parameters())
    }
    groups: list[list[nn.Parameter]] = [[], []]
    for p in model.parameters():
        groups[p.dim() < 2 or p in ends].append(p)
    return groups


@dataclass(frozen=True)
class BestRecipe:
    "An architecture with all that its training needs."

    minutes: float
    n_hid: int
    n_models: int = 1  # networks whose probabilities are averaged
    arch: str = "mullstm"  # what each is
    emb_sz: int = 128
    config: dict = field(default_factory=dict)  # dropouts
    bs: int = 32  # streams
    seq_len: int = 32  # characters between two steps
    lr: float = 7e-3
    wd: float = 0.1
    val_bs: int = 8  # streams that validate: the fewer, the more is known before a character

    def dls(
        self,
        text: str,  # what to learn
        **kwargs,  # as `CharDataLoaders.from_text`: valid_pct, vocab, device, path
    ) -> CharDataLoaders:
        "Streams, cut elsewhere every epoch; of a short text fewer."
        bs = _fitting_streams(len(text), self.seq_len, self.bs)
        return CharDataLoaders.from_text(
            text,
            **dict(
                seq_len=self.seq_len,
                bs=bs,
                val_bs=min(self.val_bs, bs),
                target="every",
                stateful=True,
                shift=True,
                valid_pct=0.1,
            )
            | kwargs,
        )

    def learner(
        self,
        dls: CharDataLoaders,  # as `dls` makes them
        seed: int | None = 42,  # fixes weights and order
        **kwargs,  # as `char_learner`
    ) -> CharLearner:
        "An untrained learner; `learn.fit_minutes(recipe.minutes, recipe.lr)` trains it."
        if self.n_models == 1:
            arch, config = (self.arch, self.config)
        else:
            arch, config = ("ensemble", self.config | dict(arch=self.arch, n_models=self.n_models))
        return char_learner(
            dls,
            arch,
            n_hid=self.n_hid,
            emb_sz=self.emb_sz,
            config=config,
            opt_func=partial(adamw, wd=self.wd),
            splitter=decaying,
            seed=seed,
            **kwargs,
        )


_sizes = (  # work up to which: so many networks of a width, their dropouts and weight decay. Half a million characters are then read about seven times
    (1.0, 1, 384, 0.2, 0.05, 0.1),
    (2.0, 1, 512, 0.3, 0.1, 0.1),
    (4.0, 1, 768, 0.15, 0.05, 0.5),
    (7.0, 2, 768, 0.15, 0.05, 0.5),
    (10.0, 3, 768, 0.15, 0.05, 0.5),
    (15.0, 4, 768, 0.15, 0.05, 0.5),
    (30.0, 4, 1024, 0.15, 0.05, 0.5),
)


def best_recipe(
    minutes: float = 5.0,  # of training
    speed: float | None = None,  # of this machine, where 1 is two cores of an EPYC with AVX512-BF16; None: measured
) -> BestRecipe:
    "The recipe for a time on this machine: the more it can do in it, the wider the network, and the more of them. Raises `DataError` for a time that is none."
    if not minutes > 0:
        raise DataError(f"minutes={minutes!r} is not a time above 0")
    work = minutes * (measured_speed() if speed is None else speed)
    n_models, n_hid, output_p, hidden_p, wd = next((rest for most, *rest in _sizes if work <= most), _sizes[-1][1:])
    return BestRecipe(minutes, n_hid, n_models, config=dict(output_p=output_p, hidden_p=hidden_p), wd=wd)


def measured_speed() -> float:
    "How fast this machine takes the recurrent product, where 1 is two cores of an EPYC with AVX512-BF16."
    if torch.cuda.is_available():
        return 2.0  # an H100: an epoch of `mullstm` of 768 takes 11 seconds, half of those two cores' time; it waits for launches, whatever the width
    return _reference / time_product(torch.bfloat16 if fast_bf16() else torch.float32, 32, 50)


_reference = 1.3e-4  # seconds, there


@dataclass(frozen=True)
class DefaultRecipe:
    "The training choices for a text of a given size. Change them with `but`, which adapts the fields that go together."

    n_chars: int  # size of the text
    arch: str = "mullstm"  # as `char_learner`
    n_hid: int = 256  # hidden units
    emb_sz: int = 64  # embedding size
    config: dict = field(default_factory=dict)  # further arguments of the architecture: dropouts, `n_layers`
    stateful: bool = True  # whether the text is read as streams; else in windows
    target: str = "every"  # as `CharDataLoaders.from_text`: "next" or "every"
    valid: str = "tail"  # likewise
    stride: int | None = None  # likewise
    seq_len: int = 32  # characters between two optimizer steps of a stream, or in a window
    bs: int = 8  # streams, or windows in a batch
    val_bs: int | None = 8  # the same for validation: few streams lose little context
    epochs: int = 10  # times through the training part
    lr: float = 7e-3  # highest learning rate of the one-cycle schedule
    wd: float = 0.1  # weight decay of the matrices between layers
    clip: float = 1.0  # largest norm of the gradients

    def __str__(self) -> str:
        "One line for people."
        rows = "streams" if self.stateful else f"windows of {self.seq_len} characters"
        times = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        return f"{self.arch}, {self.n_hid} units, {times}, {self.bs} {rows} at a time, for {self.n_chars:,} characters"

    def but(
        self,
        **changes,  # fields and their values; None leaves a field as it is
    ) -> "DefaultRecipe":
        """A recipe with other values, and with the fields that go with them unless these are given too.

        another `arch`      gets those dropouts for this size that it takes
        `config`            is added to that of the recipe
        windows             `stateful=False`, `target="next"`, a `stride`, a `valid` other than "tail", or an
                            architecture that reads windows only: all that lesson 6's windows have but `n_hid`"""
        given = {k: v for k, v in changes.items() if v is not None}
        arch = given.get("arch", self.arch)
        new = self if arch == self.arch else _other_arch(self, arch)
        if self.stateful and _needs_windows(arch, given):
            new = replace(new, **_windows_of(arch))
        if "config" in given:
            given["config"] = new.config | given["config"]
        return replace(new, **given)

    def dls(
        self,
        text: str,  # what to learn
        **kwargs,  # as `CharDataLoaders.from_text`: valid_pct, vocab, device, path, seed
    ) -> CharDataLoaders:
        "The text as streams or windows. Raises `DataError` as `from_text`."
        names = ("seq_len", "stride", "target", "stateful", "valid", "bs", "val_bs")
        own = {k: getattr(self, k) for k in names} | dict(shift=self.stateful)
        return CharDataLoaders.from_text(text, **own | kwargs)

    def learner(
        self,
        dls: CharDataLoaders,  # as `dls` makes them
        seed: int | None = 42,  # fixes the initial weights and the order of training
        **kwargs,  # as `char_learner`: prompts, cbs …
    ) -> CharLearner:
        "An untrained learner; `fit` trains it. Raises `ArchError` as `char_learner`."
        return char_learner(
            dls,
            self.arch,
            n_hid=self.n_hid,
            emb_sz=self.emb_sz,
            config=self.config,
            seed=seed,
            opt_func=partial(adamw, wd=self.wd),
            splitter=decaying,
            **kwargs,
        )

    def fit(
        self,
        learn: CharLearner,  # as `learner` makes it
        seed: int = 42,  # fixes what dropout leaves out
        cbs: list | None = None,  # further callbacks
    ):
        "Train for `epochs` in one cycle. With the same seeds the result is the same; random numbers outside are not touched."
        device = learn.dls.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed + rank_distrib())
            learn.fit_one_cycle(
                self.epochs, self.lr, pct_start=0.1, moms=(0.9, 0.9, 0.9), cbs=[GradientClip(self.clip), *(cbs or [])]
            )


def default_recipe(
    n_chars: int,  # size of the text in characters, the validation part included
) -> DefaultRecipe:
    """The training choices for a text of `n_chars` characters; they depend on nothing else.

    Up to 3 million characters, training takes less than two minutes on two CPU cores. Raises `DataError` for a size below 1."""
    if not is_count(n_chars):
        raise DataError(f"n_chars={n_chars!r} must be a whole number from 1 up")
    size = _size_of(n_chars)
    bs = _fitting_streams(n_chars, DefaultRecipe.seq_len, size.bs)
    config = _taken(size.arch, size.dropouts)
    return DefaultRecipe(n_chars, size.arch, epochs=size.epochs, bs=bs, val_bs=min(bs, 8), config=config)


class _TextSize(NamedTuple):
    "Choices for texts of up to `most` characters."

    most: float
    arch: str
    epochs: int
    bs: int
    dropouts: dict  # an architecture gets those that it takes


_text_sizes = (
    _TextSize(60_000, "mullstm", 14, 8, dict(output_p=0.4, hidden_p=0.2, embed_p=0.05)),
    _TextSize(150_000, "mullstm", 10, 8, dict(output_p=0.3, hidden_p=0.1, embed_p=0.05)),
    _TextSize(350_000, "mullstm", 7, 16, dict(output_p=0.2, hidden_p=0.05, embed_p=0.05)),
    _TextSize(700_000, "mullstm", 4, 16, dict(output_p=0.1, hidden_p=0.05, embed_p=0.05)),
    _TextSize(1_200_000, "gru", 2, 32, dict(output_p=0.0, hidden_p=0.0, embed_p=0.0)),
    _TextSize(math.inf, "gru", 1, 32, dict(output_p=0.0, hidden_p=0.0, embed_p=0.0)),
)


def _fitting_streams(n_chars, seq_len, bs):
    return max(min(bs, int(n_chars * 0.9) // (4 * seq_len)), 1)  # each with four steps or more


def _size_of(n_chars):
    return next(size for size in _text_sizes if n_chars <= size.most)


def _taken(arch, config):
    "The entries of `config` that an architecture takes."
    params = inspect.signature(get_arch(arch).cls).parameters
    any_name = any(p.kind is p.VAR_KEYWORD for p in params.values())
    return {k: v for k, v in config.items() if any_name or k in params}


def _other_arch(recipe, arch):
    "The recipe with another architecture and the dropouts that go with it."
    config = _size_of(recipe.n_chars).dropouts | recipe.config
    return replace(recipe, arch=arch, config=_taken(arch, config))


def _needs_windows(arch, given):
    "Whether an architecture or one of the given fields excludes streams."
    only = getattr(get_arch(arch).cls, "fixed_seq_len", None)
    asked = given.get("stateful") is False or given.get("target") == "next" or "stride" in given
    return only is not None or asked or given.get("valid", "tail") != "tail"


def _windows_of(arch):
    "Fields for windows: those of lesson 6."
    seq_len = getattr(get_arch(arch).cls, "fixed_seq_len", None) or 8
    return dict(
        stateful=False, target="next", seq_len=seq_len, bs=512, val_bs=None, epochs=4, lr=5e-3, emb_sz=42, config={}
    )
