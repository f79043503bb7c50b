"""Which steps of training a CUDA graph can hold (`why_eager`), and when it needs a new one (`kind_of_step`)."""

from functools import partial

import torch
from fastai.basics import Callback, Learner, Tensor, nn, num_distrib
from fastai.callback.fp16 import AMPMode
from fastai.callback.training import GradientClip

from ..models.base import CharModel
from .adam_state import AdamState, adam_of
from .dispatch import may_handle
from .finite import FiniteLoss
from .fp16 import DeviceMixedPrecision
from .rnn_outputs import RNNOutputs

__all__ = ["why_eager", "kind_of_step", "carries_state", "trained_weights"]

# what happens within a step, where a replayed graph calls nobody
_STEP_EVENTS = (
    *("after_pred", "after_loss", "before_backward", "after_cancel_backward", "after_backward"),
    *("before_step", "after_cancel_step", "after_step"),
)
# methods of the learner that a graph replaces
_STEP_METHODS = ("_do_grad_opt", "_backward", "_step")
# packages whose losses and learners are computed by tensors only
_KNOWN_PACKAGES = ("torch", "fastai", __name__.partition(".")[0])
# callbacks that `GraphedStep` calls, and one that rests without an `RNNCallback`, which is not among them
_KNOWN_CALLBACKS = (FiniteLoss, GradientClip, DeviceMixedPrecision, RNNOutputs)


def why_eager(
    learn: Learner,  # a learner in a fit
) -> str | None:
    "Return why the steps of a fit must run without a graph, or None. It depends only on the parts of the learner."
    model = learn.model
    if num_distrib() > 1:
        return "several processes train together"
    if not isinstance(model, CharModel) or type(model).forward is not CharModel.forward:
        return (
            f"{type(model).__name__} may compute with Python in its forward; only a CharModel's own forward is captured"
        )
    if adam_of(learn.opt) is None:
        return f"the optimizer {_optimizer_name(learn.opt)} is not Adam or AdamW of fastai or PyTorch"
    if not _is_known(learn.loss_func):
        return f"the loss {learn.loss_func!r} may compute with Python"
    changed = [name for name in _STEP_METHODS if not _is_known(getattr(learn, name))]
    if changed:
        return f"the learner has a method {changed[0]} of its own"
    reasons = (_why_not_with(cb) for cb in learn.cbs)
    return next((reason for reason in reasons if reason is not None), None)


def _optimizer_name(opt):
    return type(getattr(opt, "opt", opt)).__name__


def _is_known(f):
    "Whether a function or an object is of PyTorch, fastai or this package, and what it calls too."
    if isinstance(f, partial):
        return _is_known(f.func)
    inner = vars(f).get("func") if hasattr(f, "__dict__") else None
    own = f if hasattr(f, "__qualname__") else type(f)
    return own.__module__.partition(".")[0] in _KNOWN_PACKAGES and (inner is None or _is_known(inner))


def _why_not_with(cb):
    "Why steps cannot be captured with a callback. One that acts within a step must see every batch."
    if type(cb) is DeviceMixedPrecision and cb.amp_mode is AMPMode.FP16:
        return "fp16 decides at every step on the host whether to skip it; bf16 does not"
    if type(cb) in _KNOWN_CALLBACKS:
        return None
    handled = [name for name in _STEP_EVENTS if may_handle(cb, name)]
    return f"{type(cb).__name__} handles {handled[0]}" if handled else None


def carries_state(
    model: CharModel,  # the model that is trained
) -> bool:
    "Whether a batch begins with the state that the one before it has left."
    return model.seq_len is None and model.target == "every"


def trained_weights(
    adam: AdamState,  # the state of the optimizer
) -> list[Tensor]:
    "The weights that a step changes: those that train, and those that fastai moves because their gradient is zeros."
    return [p for p, _ in adam.weights if p.requires_grad or (adam.keeps_grads and p.grad is not None)]


def kind_of_step(
    learn: Learner,  # a learner with a batch
    adam: AdamState,  # the state of its optimizer
) -> tuple | str:
    """Return what a graph of this step has as constants, to be compared, or why it must run without a graph.

    Shapes, modes, dropout rates, which weights train, and where tensors are in memory."""
    model = learn.model
    if len(learn.xb) != 1 or len(learn.yb) != 1:
        return "a batch is not one input and one target"
    (x,), (y,) = learn.xb, learn.yb
    modes: list[tuple] = []
    if not _add_modes(model, modes):
        return "the model has hooks"
    state = model.state if carries_state(model) else ()
    if state is None or any(len(o) != len(x) for o in state):
        return "the first batch of a pass begins with a new state"
    settings = _settings(learn.cbs, x.device.type)
    if settings is None:
        return "autocast is on around the fit"
    places = [_place(p, adam) for p in trained_weights(adam)]
    if None in places:
        return "weights have hooks, or have made no step yet"
    tensors = [(type(o), o.shape, o.dtype, o.device) for o in (x, y, *state)]
    return tensors, modes, places, settings, model.target, model.seq_len, model.kept is None, torch.is_grad_enabled()


def _add_modes(module: nn.Module, modes: list[tuple]) -> bool:
    "Add the mode and the dropout rate of a module and of those inside it. False if one has hooks."
    fields = vars(module)
    if fields["_forward_hooks"] or fields["_forward_pre_hooks"]:
        return False
    if fields["_backward_hooks"] or fields["_backward_pre_hooks"]:
        return False
    modes.append((id(module), fields["training"], fields.get("p")))
    return all(_add_modes(child, modes) for child in fields["_modules"].values() if child is not None)


def _place(p, adam):
    "Where a weight and its moments are. None if a step cannot be captured."
    moments = adam.moments(p)
    if moments is None or p._backward_hooks or p._post_accumulate_grad_hooks:
        return None
    return p.data_ptr(), p.requires_grad, p.dtype, moments.avg.data_ptr(), moments.sqr_avg.data_ptr()


def _settings(cbs: list[Callback], device: str) -> list[tuple] | None:
    "The largest norms of the gradients, and the dtype of autocast. None if autocast was not turned on by a callback."
    settings = []
    is_ours = False
    for cb in cbs:
        kind = type(cb)
        if kind is GradientClip and cb.run:
            settings.append((cb.max_norm, cb.norm_type))
        elif kind is DeviceMixedPrecision:
            is_ours = cb.run
    is_on = torch.is_autocast_enabled(device)
    if is_on:
        settings.append((torch.get_autocast_dtype(device),))
    return settings if is_on == is_ours else None
