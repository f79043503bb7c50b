"""Training choices for a given time: `best_recipe` chooses the network that this machine can train in it.

    recipe = best_recipe(minutes=5)
    learn = recipe.learner(recipe.dls(text))
    recipe.fit(learn)                                # what `charrnn train FILE --recipe best` does

The networks were chosen by validation losses on Nietzsche (results/EXPERIMENTS.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from fastai.basics import Callback, L, default_device, num_distrib
from fastai.callback.tracker import TrackerCallback

from .._utils import unwrap_model
from ..data.encoded import EncodedFile
from ..data.loaders import CharDataLoaders
from ..errors import DataError
from ..learner import CharLearner, char_learner
from ..models.kernels import has_fast_bf16
from ..models.mixture import CharMixture
from .default import fitting_streams, validation_streams
from .distill import Distillation
from .member_counts import MemberCounts
from .members import MemberTraining
from .optimizer import adamw, decay_groups
from .speed import measured_speed, reference_rates

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
    bs: int = 128  # streams
    seq_len: int = 8  # characters between two optimizer steps
    lr: float = 7e-3  # highest learning rate
    wd: float = 0.1  # weight decay of the matrices between layers
    val_bs: int = 8  # streams in validation, more for a long text: with few, most characters have a long context
    one_network: bool = False  # whether the last network learns from the others, and is the result alone
    epochs: float | None = None  # how often each network will read the text, as far as known
    why: str = ""  # what was decided, and by what

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
        "Return an untrained learner; `fit` trains it."
        arch = self.arch
        config = self.config
        if self.n_models > 1:
            arch = "ensemble"
            config = self.config | dict(arch=self.arch, n_models=self.n_models)
        model: dict[str, Any] = dict(n_hid=self.n_hid, emb_sz=self.emb_sz, config=config)
        opt_func = partial(adamw, wd=self.wd)
        return char_learner(dls, arch, seed=seed, opt_func=opt_func, splitter=decay_groups, **model, **kwargs)

    def fit(
        self,
        learn: CharLearner,  # as `learner` makes it
        cbs: Callback | list | None = None,  # further callbacks
        **kwargs,  # as `fit_minutes`: bf16, deadline
    ) -> dict[str, float]:  # the row it adds to `learn.training_log.rows`
        """Train for `minutes`, one network after the other, and validate.

        See `MemberTraining`. If the text is long enough to hold back a slice, the model becomes a mixture of the
        networks with counts of the text (`CharMixture`), unless the networks alone predict the slice better. Several
        processes train all networks at once, without counts.
        Raises `DataError` for a learner that has such a mixture already, for callbacks that choose by the numbers of
        epochs, and for `one_network` in several processes."""
        cbs = list(L(cbs))
        self._check_fit(learn, cbs)
        if num_distrib() > 1:
            return learn.fit_minutes(self.minutes, self.lr, cbs=cbs, **kwargs)
        one_network = self.one_network and self.n_models > 1
        counts = MemberCounts(one_network)
        distillation = Distillation() if one_network else None
        is_often_read = self.epochs is None or self.epochs > 2
        members = MemberTraining(self.n_models, is_often_read, counts, distillation)
        cbs += [members, counts, *([distillation] if one_network else [])]
        return learn.fit_minutes(self.minutes, self.lr, schedule=members.rate, cbs=cbs, **kwargs)

    def _check_fit(self, learn, cbs):
        if isinstance(unwrap_model(learn.model), CharMixture):
            raise DataError(
                "the model of this learner is a mixture of trained networks with counts, and a recipe begins with "
                "untrained networks; make another learner: recipe.learner(dls)"
            )
        if self.one_network and self.n_models > 1 and num_distrib() > 1:
            raise DataError(
                f"one_network needs a single process, and there are {num_distrib()}: the last network learns from "
                "those that are trained before it; start one process, or leave one_network out"
            )
        for cb in learn.cbs + cbs:
            if isinstance(cb, TrackerCallback):
                raise DataError(
                    f"{cb} chooses by the numbers of each epoch, and a recipe validates at its end only; leave it out, "
                    "or use learn.fit_minutes"
                )


# Widths by the minutes on the reference machine: wider networks learn too little in the time.
_widths = ((0.25, 256), (0.6, 384), (1.2, 512), (8.0, 768), (float("inf"), 1024))
# The widest network for texts of up to so many characters. Large budgets train several of them.
_max_widths = ((100_000, 384), (250_000, 512), (2_000_000, 768), (float("inf"), 1024))
# How much of the time is steps of training. The rest counts the text, fits the gate and validates.
_part_of_steps = 0.8
# Epochs of each network, about. In more time, more networks train.
_epochs_of_each = 12
_max_members = 6
# Streams and characters between two optimizer steps. A GPU is faster with many streams. A wide network that reads the
# text more than a few times learns more from gradients that flow over long stretches, and takes as long on a CPU. Where
# products of bfloat16 are fast, as on a Xeon with AMX, 768 units read 43% more characters with 64 streams than with 32.
_short_stretches = 128, 8
_long_stretches = 32, 32
_long_stretches_bf16 = 64, 16
_few_epochs = 5.0


class _Regularisation(NamedTuple):
    "Choices for networks that read the text up to `max_epochs` times."

    max_epochs: float
    output_p: float
    hidden_p: float
    wd: float


_regularisations = (
    _Regularisation(max_epochs=2.5, output_p=0.0, hidden_p=0.0, wd=0.1),
    _Regularisation(max_epochs=5.0, output_p=0.05, hidden_p=0.0, wd=0.1),
    _Regularisation(max_epochs=10.0, output_p=0.15, hidden_p=0.05, wd=0.5),
    _Regularisation(max_epochs=float("inf"), output_p=0.3, hidden_p=0.1, wd=0.5),
)


def best_recipe(
    minutes: float = 5.0,  # length of the training
    n_chars: int = 600_000,  # size of the text, with the validation part
    speed: float | None = None,  # of this machine, as `measured_speed` returns; None: measured
    one_network: bool = False,  # whether the result is one network, which learns from others if there is time for them
    device: str | torch.device | None = None,  # the device that trains; None: fastai's default
) -> BestRecipe:
    """Return the recipe for a training of some minutes on a text of some size, on this machine.

    The more the machine can compute in the time, the wider the network. A network that would read the text too often
    leaves time for others: their probabilities are averaged. The choices are for up to 15 minutes on the reference
    machine, two CPU cores; they have not been measured for GPUs.
    Raises `DataError` if `minutes` is not positive, or for a device whose speed cannot be measured."""
    if not minutes > 0:
        raise DataError(f"minutes={minutes!r} must be positive")
    if speed is None:
        # .3% of the time, but at least half a second and at most five
        speed = measured_speed(device, seconds=min(max(0.18 * minutes, 0.5), 5.0))
    work = minutes * speed
    n_train = max(0.9 * n_chars, 1)
    n_hid = min(_first(_widths, work), _first(_max_widths, n_chars))
    epochs = 60 * work * _part_of_steps * reference_rates[n_hid] / n_train
    n_models = min(max(round(epochs / _epochs_of_each), 1), _max_members)
    epochs /= n_models
    choice = next(o for o in _regularisations if epochs <= o.max_epochs)
    config = dict(output_p=choice.output_p, hidden_p=choice.hidden_p)
    is_wide = n_hid > 512
    # the narrower a network, the higher the best rate: 384 units learn best with 1.8e-2, 768 with 7e-3
    lr = 7e-3 if is_wide else 1.6e-2
    is_on_cpu = str(default_device() if device is None else device) == "cpu"
    is_long = is_wide and epochs > _few_epochs and is_on_cpu
    long_stretches = _long_stretches_bf16 if has_fast_bf16() else _long_stretches
    bs, seq_len = long_stretches if is_long else _short_stretches
    machine = f"{minutes:g} minutes at {speed:.2g} times the speed of the reference machine"
    networks = (
        f"{n_models} networks of {n_hid} units, each reads" if n_models > 1 else f"a network of {n_hid} units reads"
    )
    why = f"for {machine}: {networks} the text about {epochs:.1f} times"
    sizes = dict(n_hid=n_hid, n_models=n_models, one_network=one_network, bs=bs, seq_len=seq_len)
    return BestRecipe(minutes, **sizes, config=config, lr=lr, wd=choice.wd, epochs=epochs, why=why)


def _first(table, size):
    "The second entry of the first row whose first entry is at least `size`."
    return next(value for limit, value in table if size <= limit)
