"""What surrounds a fit: one thread trains, with its own random numbers, and after an error the learner is usable."""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastai.basics import Callback, L, Learner

from .._memory import kept_memory
from ..errors import CharRnnWarning, TrainingError
from .fp16 import autocast_restored
from .noise import seeded_noise
from .signals import during_fit

__all__ = ["fitting", "check_thread", "cleaned_up"]

# Their `after_fit` loads weights or sends results, which only a complete fit has.
_for_complete_fits = {"fastai.callback.tracker", "fastai.callback.wandb", "fastai.callback.comet"}


@contextmanager
def fitting(
    learn: Learner,  # a `CharLearner`
    cbs: Callback | list | None,  # further callbacks of the fit
) -> Iterator[L]:  # these, and one that handles signals if it is needed
    "Mark that a fit is under way in this thread. Random numbers and autocast are afterwards as they were before."
    check_thread(learn)
    before = learn.training_now, learn.training_thread
    learn.training_now = True
    learn.training_thread = threading.get_ident()
    try:
        with kept_memory(), autocast_restored(), seeded_noise(learn), during_fit(learn, cbs) as cbs:
            yield cbs
    finally:
        learn.training_now, learn.training_thread = before


def check_thread(
    learn: Learner,  # a `CharLearner`
):
    """Raise `TrainingError` if another thread trains this learner.

    `generate`, `predict_next`, `next_probs` and `score` work in any thread; what uses callbacks does not."""
    if learn.training_now and learn.training_thread != threading.get_ident():
        raise TrainingError(
            "another thread trains this learner; wait until its fit has ended, or use a copy: copy.deepcopy(learn). "
            "generate, predict_next, next_probs and score work during a fit"
        )


@contextmanager
def cleaned_up(
    learn: Learner,  # a `CharLearner` in a fit
) -> Iterator[None]:
    """Leave a usable learner if the block ends with an error or Ctrl-C, after which fastai does nothing.

    Hooks are removed, files and progress bars closed, gradients dropped, and the model is in evaluation mode."""
    try:
        yield
    except BaseException:
        # the last ones first: a logger replaces the logger that another has set before
        for cb in reversed(learn.cbs.sorted("order")):
            _clean_up(cb)
        drop_batch(learn)
        raise


def drop_batch(
    learn: Learner,  # a `CharLearner` whose fit has ended early
):
    "Drop the gradients and the tensors of the last batch, and put the model into evaluation mode."
    if learn.opt is not None:
        learn.opt.zero_grad()
    learn.model.eval()
    learn.training = False
    learn._end_cleanup()


def _clean_up(cb):
    "Have a callback release what it holds. An error of it becomes a warning: it must not hide the first one."
    release = _release(cb)
    cb.run = True
    if release is None:
        return
    try:
        release(cb)
    except Exception as e:
        message = f"{type(cb).__name__} could not clean up after an error ({type(e).__name__}: {e})"
        warnings.warn(message, CharRnnWarning, stacklevel=2)


def _release(cb: Callback) -> Callable | None:
    "The function that releases what a callback holds: `after_error`, or the `after_fit` of a class of fastai."
    if hasattr(type(cb), "after_error"):
        return type(cb).after_error
    for base in type(cb).__mro__:
        in_fastai = base.__module__.startswith("fastai.") and base.__module__ not in _for_complete_fits
        if in_fastai and "after_fit" in vars(base):
            return vars(base)["after_fit"]
    return None
