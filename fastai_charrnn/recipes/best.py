"""Training choices for a given time: `best_recipe` chooses the network that this machine can train in it.

    recipe = best_recipe(minutes=5)
    learn = recipe.learner(recipe.dls(text))
    learn.fit_minutes(recipe.minutes, recipe.lr)     # what `charrnn train FILE --recipe best` does

The networks were chosen by validation losses on Nietzsche (results/EXPERIMENTS.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch

from ..data.encoded import EncodedFile
from ..data.loaders import CharDataLoaders
from ..errors import DataError
from ..learner import CharLearner, char_learner
from .default import fitting_streams, validation_streams
from .optimizer import adamw, decay_groups
from .speed import measured_speed

__all__ = ["BestRecipe", "best_recipe"]


@dataclass(frozen=True)
class BestRecipe:
    "The training choices for a given time."

    minutes: float  # length of the training
    n_hid: int  # hidden units of each network
    n_models: int = 1  # networks whose probabilities are averaged
    arch: str = "mullstm"  # architecture of each network
    emb_sz: int = 128  # embedding size
    config: dict = field(default_factory=dict)  # further arguments of the architecture: dropouts
    bs: int = 32  # streams
    seq_len: int = 32  # characters between two optimizer steps
    lr: float = 7e-3  # highest learning rate
    wd: float = 0.1  # weight decay of the matrices between layers
    val_bs: int = 8  # streams in validation, more for a long text: with few, most characters have a long context

    def dls(
        self,
        text: str | Sequence[str],  # a text or several documents to train on
        **kwargs,  # as `CharDataLoaders.from_text`: valid_text, valid_pct, vocab, device, path
    ) -> CharDataLoaders:
        "The text as streams that start elsewhere every epoch. A short text is cut into fewer streams."
        n_chars = len(text) if isinstance(text, (str, EncodedFile)) else sum(map(len, text))
        bs = fitting_streams(n_chars, self.seq_len, self.bs)
        streams: dict[str, Any] = dict(target="every", stateful=True, shift=True, valid_pct=0.1)
        sizes = dict(seq_len=self.seq_len, bs=bs, val_bs=max(validation_streams(n_chars, bs), min(self.val_bs, bs)))
        options = streams | sizes | kwargs
        return CharDataLoaders.from_text(text, **options)

    def learner(
        self,
        dls: CharDataLoaders,  # as `dls` makes them
        seed: int | None = 42,  # fixes the initial weights and the order of training
        **kwargs,  # as `char_learner`
    ) -> CharLearner:
        "Return an untrained learner. `learn.fit_minutes(recipe.minutes, recipe.lr)` trains it."
        arch = self.arch
        config = self.config
        if self.n_models > 1:
            arch = "ensemble"
            config = self.config | dict(arch=self.arch, n_models=self.n_models)
        model: dict[str, Any] = dict(n_hid=self.n_hid, emb_sz=self.emb_sz, config=config)
        opt_func = partial(adamw, wd=self.wd)
        return char_learner(dls, arch, seed=seed, opt_func=opt_func, splitter=decay_groups, **model, **kwargs)


class _Network(NamedTuple):
    "The network for up to `max_work` minutes on the reference machine."

    max_work: float
    n_hid: int
    n_models: int
    output_p: float
    hidden_p: float
    wd: float


# With these widths, half a million characters are read about seven times.
_networks = (
    _Network(max_work=1.0, n_hid=384, n_models=1, output_p=0.2, hidden_p=0.05, wd=0.1),
    _Network(max_work=2.0, n_hid=512, n_models=1, output_p=0.3, hidden_p=0.1, wd=0.1),
    _Network(max_work=4.0, n_hid=768, n_models=1, output_p=0.15, hidden_p=0.05, wd=0.5),
    _Network(max_work=7.0, n_hid=768, n_models=2, output_p=0.15, hidden_p=0.05, wd=0.5),
    _Network(max_work=10.0, n_hid=768, n_models=3, output_p=0.15, hidden_p=0.05, wd=0.5),
    _Network(max_work=15.0, n_hid=768, n_models=4, output_p=0.15, hidden_p=0.05, wd=0.5),
    _Network(max_work=30.0, n_hid=1024, n_models=4, output_p=0.15, hidden_p=0.05, wd=0.5),
)


def best_recipe(
    minutes: float = 5.0,  # length of the training
    speed: float | None = None,  # of this machine, as `measured_speed` returns; None: measured
    device: str | torch.device | None = None,  # the device that trains, if `speed` is None; None: fastai's default
) -> BestRecipe:
    """Return the recipe for a training of some minutes on this machine.

    The more the machine can compute in the time, the wider the network; large budgets train an ensemble. The largest
    network is for 30 minutes on the reference machine, two CPU cores. Larger ones, for GPUs, have not been chosen yet:
    that takes experiments on a GPU.
    Raises `DataError` if `minutes` is not positive, or for a device that cannot be used."""
    if not minutes > 0:
        raise DataError(f"minutes={minutes!r} must be positive")
    if speed is None:
        speed = measured_speed(device)
    network = _network_for(minutes * speed)
    config = dict(output_p=network.output_p, hidden_p=network.hidden_p)
    return BestRecipe(minutes, network.n_hid, network.n_models, config=config, wd=network.wd)


def _network_for(work):
    "The first network with at least this much work, or the largest."
    for network in _networks:
        if work <= network.max_work:
            return network
    return _networks[-1]
