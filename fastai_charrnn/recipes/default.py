"""Training choices for a text of a given size: `default_recipe`, which `charrnn train FILE` uses.

    recipe = default_recipe(len(text))
    learn = recipe.learner(recipe.dls(text))
    recipe.fit(learn)

They were chosen by validation losses on several texts (results/EXPERIMENTS.md, results/BENCHMARKS.md).
"""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from fastai.callback.training import GradientClip

from .._utils import is_count, renamed
from ..data.loaders import CharDataLoaders
from ..errors import DataError
from ..learner import CharLearner, char_learner
from ..models.registry import get_arch
from .optimizer import adamw, decay_groups

__all__ = ["DefaultRecipe", "default_recipe"]


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
    valid: str = "tail"  # as `CharDataLoaders.from_text`
    stride: int | None = None  # as `CharDataLoaders.from_text`
    seq_len: int = 32  # characters between two optimizer steps of a stream, or in a window
    bs: int = 8  # streams, or windows in a batch
    val_bs: int | None = 8  # `bs` in validation: with few streams, most characters have a long context
    epochs: int = 10  # passes over the training part
    lr: float = 7e-3  # highest learning rate of the one-cycle schedule
    wd: float = 0.1  # weight decay of the matrices between layers
    clip: float = 1.0  # largest norm of the gradients

    def __str__(self) -> str:
        rows = "streams" if self.stateful else f"windows of {self.seq_len} characters"
        length = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        return f"{self.arch}, {self.n_hid} units, {length}, {self.bs} {rows} at a time, for {self.n_chars:,} characters"

    @renamed(n="seq_len")
    def but(
        self,
        **changes,  # fields and their values; None leaves a field unchanged
    ) -> "DefaultRecipe":
        """Return a recipe with other values. Fields that depend on them change too, unless you give them.

        another `arch`      gets the dropouts for this size that it accepts
        `config`            is added to that of the recipe
        windows             `stateful=False`, `target="next"`, a `stride`, a `valid` other than "tail", or an
                            architecture that reads only windows: all values of lesson 6 but `n_hid`"""
        given = {k: v for k, v in changes.items() if v is not None}
        arch = given.get("arch", self.arch)
        recipe = self
        if arch != self.arch:
            recipe = _with_arch(self, arch)
        if self.stateful and _needs_windows(arch, given):
            recipe = replace(recipe, **_window_fields(arch))
        if "config" in given:
            given["config"] = recipe.config | given["config"]
        return replace(recipe, **given)

    def dls(
        self,
        text: str | Sequence[str],  # a text or several documents to train on
        **kwargs,  # as `CharDataLoaders.from_text`: valid_text, valid_pct, vocab, device, path, seed
    ) -> CharDataLoaders:
        "The text as streams or windows. Raises `DataError` as `from_text` does."
        names = ("seq_len", "stride", "target", "stateful", "valid", "bs", "val_bs")
        options = {name: getattr(self, name) for name in names}
        options["shift"] = self.stateful
        options |= kwargs
        return CharDataLoaders.from_text(text, **options)

    def learner(
        self,
        dls: CharDataLoaders,  # as `dls` makes them
        seed: int | None = 42,  # fixes the initial weights and the order of training
        **kwargs,  # as `char_learner`: prompts, cbs …
    ) -> CharLearner:
        "Return an untrained learner; `fit` trains it. Raises `ArchError` as `char_learner` does."
        model: dict[str, Any] = dict(n_hid=self.n_hid, emb_sz=self.emb_sz, config=self.config)
        opt_func = partial(adamw, wd=self.wd)
        return char_learner(dls, self.arch, seed=seed, opt_func=opt_func, splitter=decay_groups, **model, **kwargs)

    def fit(
        self,
        learn: CharLearner,  # as `learner` makes it
        seed: int = 42,  # fixes the dropout masks
        cbs: list | None = None,  # further callbacks
    ):
        "Train for `epochs` in one cycle. Equal seeds give equal results; the global random state does not change."
        cbs = [GradientClip(self.clip), *(cbs or [])]
        schedule = dict(pct_start=0.1, moms=(0.9, 0.9, 0.9))
        before = learn.seed
        learn.seed = seed
        try:
            learn.fit_one_cycle(self.epochs, self.lr, cbs=cbs, **schedule)
        finally:
            learn.seed = before


def default_recipe(
    n_chars: int,  # size of the text in characters, with the validation part
) -> DefaultRecipe:
    """Return the training choices for a text of `n_chars` characters. They depend on nothing else.

    Up to 3 million characters, training takes less than two minutes on two CPU cores.
    Raises `DataError` for a size below 1."""
    if not is_count(n_chars):
        raise DataError(f"n_chars={n_chars!r} must be a whole number, at least 1")
    size = _size_of(n_chars)
    bs = fitting_streams(n_chars, DefaultRecipe.seq_len, size.bs)
    config = _accepted(size.arch, size.dropouts)
    val_bs = validation_streams(n_chars, bs)
    return DefaultRecipe(n_chars, size.arch, epochs=size.epochs, bs=bs, val_bs=val_bs, config=config)


class _TextSize(NamedTuple):
    "Choices for texts of up to `max_chars` characters."

    max_chars: float
    arch: str
    epochs: int
    bs: int
    output_p: float
    hidden_p: float
    embed_p: float

    @property
    def dropouts(self) -> dict[str, float]:
        "By name. An architecture gets those that it accepts."
        return dict(output_p=self.output_p, hidden_p=self.hidden_p, embed_p=self.embed_p)


_text_sizes = (
    _TextSize(max_chars=60_000, arch="mullstm", epochs=14, bs=8, output_p=0.4, hidden_p=0.2, embed_p=0.05),
    _TextSize(max_chars=150_000, arch="mullstm", epochs=10, bs=8, output_p=0.3, hidden_p=0.1, embed_p=0.05),
    _TextSize(max_chars=350_000, arch="mullstm", epochs=7, bs=16, output_p=0.2, hidden_p=0.05, embed_p=0.05),
    _TextSize(max_chars=700_000, arch="mullstm", epochs=4, bs=16, output_p=0.1, hidden_p=0.05, embed_p=0.05),
    _TextSize(max_chars=1_200_000, arch="gru", epochs=2, bs=32, output_p=0.0, hidden_p=0.0, embed_p=0.0),
    _TextSize(max_chars=math.inf, arch="gru", epochs=1, bs=32, output_p=0.0, hidden_p=0.0, embed_p=0.0),
)


def fitting_streams(
    n_chars: int,  # size of the text
    seq_len: int,  # characters between two steps
    bs: int,  # streams wanted
) -> int:  # at least 1
    "The number of streams, at most `bs`, that leaves each at least four steps an epoch."
    n_train = int(n_chars * 0.9)
    fitting = n_train // (4 * seq_len)
    return max(min(bs, fitting), 1)


def validation_streams(
    n_chars: int,  # size of the text
    bs: int,  # streams in training
) -> int:  # at most `bs`
    "The number of streams in validation: 8, and for a long text more, of at least 10,000 characters each."
    return min(max(8, n_chars // 100_000), bs)


def _size_of(n_chars):
    return next(size for size in _text_sizes if n_chars <= size.max_chars)


def _accepted(arch, config):
    "The entries of `config` that an architecture accepts."
    params = inspect.signature(get_arch(arch).cls).parameters
    any_name = any(p.kind is p.VAR_KEYWORD for p in params.values())
    return {k: v for k, v in config.items() if any_name or k in params}


def _with_arch(recipe, arch):
    "The recipe with another architecture and with dropouts for it."
    config = _size_of(recipe.n_chars).dropouts | recipe.config
    return replace(recipe, arch=arch, config=_accepted(arch, config))


def _needs_windows(arch, given):
    "Whether an architecture or one of the given fields excludes streams."
    if _fixed_seq_len(arch) or "stride" in given:
        return True
    if given.get("stateful") is False or given.get("target") == "next":
        return True
    return given.get("valid", "tail") != "tail"


def _fixed_seq_len(arch):
    "The only window that an architecture can read; None if it reads any."
    return getattr(get_arch(arch).cls, "fixed_seq_len", None)


def _window_fields(arch):
    "The fields of lesson 6's windows."
    seq_len = _fixed_seq_len(arch) or 8
    data = dict(stateful=False, target="next", seq_len=seq_len, bs=512, val_bs=None)
    return data | dict(epochs=4, lr=5e-3, emb_sz=42, config={})
