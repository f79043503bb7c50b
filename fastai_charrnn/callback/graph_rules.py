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
    return [p for p, _ in adam.weights() if p.requires_grad or (adam.keeps_grads and p.grad is not None)]


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
    modules = [_mode(module) for module in model.modules()]
    if None in modules:
        return "the model has hooks"
    state = model.state if carries_state(model) else ()
    if state is None or any(len(o) != len(x) for o in state):
        return "the first batch of a pass begins with a new state"
    clips, precision = _settings(learn.cbs, x.device.type)
    if precision is None:
        return "autocast is on around the fit"
    weights = [_place(p, adam.moments(p)) for p in trained_weights(adam)]
    if None in weights:
        return "weights have hooks, are on several devices or have made no step yet"
    shapes = [(type(o), o.shape, o.dtype, o.device) for o in (x, y, *state)]
    reading = (model.target, model.seq_len, model.kept is None)
    return (*shapes, *modules, *weights, *clips, *precision, *reading, torch.is_grad_enabled())


def _mode(module: nn.Module) -> tuple | None:
    "The mode and the dropout rate of a module. None if it has hooks."
    fields = vars(module)
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(fields[name] for name in hooks):
        return None
    return id(module), module.training, fields.get("p")


def _place(p, moments):
    "Where a weight and its moments are. None if a step cannot be captured."
    if moments is None or p._backward_hooks or p._post_accumulate_grad_hooks:
        return None
    return p.data_ptr(), p.requires_grad, p.dtype, moments.avg.data_ptr(), moments.sqr_avg.data_ptr()


def _settings(cbs: list[Callback], device: str):
    "The largest norms of the gradients, and the dtype of autocast. None: it was not turned on by a callback."
    clips = [(cb.max_norm, cb.norm_type) for cb in cbs if type(cb) is GradientClip and cb.run]
    is_on = torch.is_autocast_enabled(device)
    is_ours = any(type(cb) is DeviceMixedPrecision and cb.run for cb in cbs)
    if is_on != is_ours:
        return clips, None
    return clips, (is_on, torch.get_autocast_dtype(device))
