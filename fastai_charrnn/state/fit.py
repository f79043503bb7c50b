"""The state of a fit: `collect` returns it as tensors and JSON, and `restore` sets it.

    shared by all processes   weights, buffers, optimizer, gradients that wait for a step, scaler of mixed precision
    of each process           random generators, loaders, carried hidden state, recorder, metrics and other callbacks

`Position` says where a fit is: "in training" is after a batch, "before validation" after the training part of an epoch,
"between epochs" before an epoch begins, "finished" after the fit.
"""

from numbers import Real
from typing import NamedTuple

import torch
from fastai.basics import Learner, Optimizer, num_distrib, rank_distrib, to_device
from torch import Tensor

from ..data.collectives import all_gather_object
from ..errors import ResumeError
from .callbacks import callback_states, restore_callbacks
from .loaders import loader_state, set_loader_state
from .objects import decode_attributes, encode_attributes
from .random_states import random_states, set_random_states
from .values import decode, encode
from .weights import (
    gradients,
    load_weights,
    module_states,
    restore_frozen,
    restore_gradients,
    restore_modules,
    trains,
    weights,
)

__all__ = ["Position", "collect", "restore"]

FORMAT = 1
STAGES = ("in training", "before validation", "between epochs", "finished")

# attributes of the learner that a fit changes
_LEARNER_FIELDS = (
    "train_iter",
    "pct_train",
    "epoch",
    "iter",
    "training",
    "lr",
    "wd",
    "n_fits",
    "loss",
    "smooth_loss",
    "final_record",
)


class Position(NamedTuple):
    "Where training is: in which fit of a learner, and where in it."

    fit: int  # from 0; `lr_find` does not count
    stage: str  # one of `STAGES`
    epoch: int  # from 0: the epoch that continues or begins
    batch: int = 0  # batches of the epoch that were trained


def collect(
    learn: Learner,  # a learner in a fit
    position: Position,  # where it is
    progress: dict,  # the state of the `CheckpointCallback`
    warned: set[str],  # attributes that were said to be lost
) -> tuple[dict[str, Tensor], dict]:  # tensors by name, and the rest, of the types of JSON
    "Collect the state. The weights are not copied: write or copy them before training continues."
    tensors = {f"model/{name}": w for name, w in weights(learn).items()}
    state = {
        "format": FORMAT,
        "position": position._asdict(),
        "fits": learn.fits,
        "found_rates": learn.found_rates,
        "optimizer": encode(learn.opt.state_dict(), tensors, "optimizer"),
        "frozen": encode_attributes({"frozen_idx": learn.opt.frozen_idx}, {}, "") | {"trains": trains(learn)},
        "gradients": gradients(learn, tensors),
        "scaler": encode(_scaler_state(learn), tensors, "scaler"),
    }
    own_tensors: dict[str, Tensor] = {}
    own = _own_state(learn, progress, own_tensors, warned)
    if position.stage == "finished" and learn.seed is not None:
        # a seeded fit has random numbers of its own
        own["random"] |= own["random_before"]
    state["ranks"] = []
    for rank, (rank_tensors, rank_state) in enumerate(_from_all_ranks((own_tensors, own))):
        tensors |= {f"rank{rank}/{name}": t for name, t in rank_tensors.items()}
        state["ranks"].append(rank_state)
    return tensors, state


def _from_all_ranks(own):
    if num_distrib() <= 1:
        return [own]
    tensors, state = own
    return all_gather_object(({name: t.cpu() for name, t in tensors.items()}, state))


def _own_state(learn, progress, tensors, warned):
    "What may differ between processes."
    fields = {name: vars(learn)[name] for name in _LEARNER_FIELDS if name in vars(learn)}
    return {
        "learner": encode_attributes(fields, tensors, "learner"),
        "modules": module_states(learn, tensors),
        "metrics": [encode(metric, tensors, f"metric {i}") for i, metric in enumerate(learn.metrics)],
        "callbacks": callback_states(learn, tensors, warned),
        "progress": encode(progress, tensors, "progress"),
        "random": encode(random_states(), tensors, "random"),
        "random_before": encode(learn.random_before, tensors, "random before"),
        "loaders": encode([loader_state(dl) for dl in learn.dls], tensors, "loaders"),
    }


def restore(
    learn: Learner,  # a learner in a fit, made as the one of the checkpoint
    tensors: dict[str, Tensor],  # of the checkpoint
    state: dict,  # of the checkpoint
):
    "Set the state of a learner. Raises `ResumeError` for another number of processes."
    own = own_state(state)
    own_tensors = rank_tensors(tensors)
    learn.found_rates = state["found_rates"]
    load_weights(learn, tensors)
    if learn.opt is None:
        learn.create_opt()
    opt_state = decode(state["optimizer"], tensors)
    _load_optimizer(learn.opt, to_device(opt_state, next(learn.model.parameters()).device))
    restore_frozen(learn, state["frozen"])
    restore_gradients(learn, state["gradients"], tensors)
    scaler_state = decode(state["scaler"], tensors)
    if scaler_state and getattr(learn, "scaler", None) is not None:
        learn.scaler.load_state_dict(scaler_state)
    decode_attributes(learn, own["learner"], own_tensors)
    learn.model.train(learn.training)
    restore_modules(learn, own["modules"], own_tensors)
    for metric, saved in zip(learn.metrics, own["metrics"]):
        decode(saved, own_tensors, metric)
    restore_callbacks(learn, own["callbacks"], own_tensors)
    for dl, saved in zip(learn.dls, decode(own["loaders"], own_tensors)):
        set_loader_state(dl, saved)
    set_random_states(decode(own["random"], own_tensors))


def _load_optimizer(opt, saved):
    "Set the state of an optimizer. Raises `ValueError` if a number or an average of fastai's does not fit."
    before = getattr(opt, "hypers", [])
    opt.load_state_dict(saved)
    if not isinstance(opt, Optimizer):
        return
    for own, loaded in zip(before, opt.hypers):
        if any(isinstance(value, Real) and not isinstance(loaded.get(name), Real) for name, value in own.items()):
            raise ValueError("the optimizer has a hyper-parameter that is no number")
    for p, *_ in opt.all_params():
        for name, value in opt.state[p].items():
            is_average = isinstance(value, Tensor) and value.dim()
            if is_average and (value.shape != p.shape or not value.is_floating_point()):
                raise ValueError(f"{name} of the optimizer does not fit its weight")


def own_state(
    state: dict,  # of a checkpoint
) -> dict:  # what belongs to this process
    "The part of the state that belongs to this process."
    n_ranks = len(state["ranks"])
    if n_ranks != max(num_distrib(), 1):
        raise ResumeError(
            f"the checkpoint is of {n_ranks} processes and this training has {max(num_distrib(), 1)}; "
            f"start {n_ranks} processes"
        )
    return state["ranks"][rank_distrib()]


def rank_tensors(
    tensors: dict[str, Tensor],  # of a checkpoint
) -> dict[str, Tensor]:  # by their names within the process
    "The tensors that belong to this process."
    prefix = f"rank{rank_distrib()}/"
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _scaler_state(learn):
    scaler = getattr(learn, "scaler", None)
    return scaler.state_dict() if isinstance(scaler, torch.amp.GradScaler) else {}
