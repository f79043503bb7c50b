"""`lr_find` suggests a learning rate for `fit_one_cycle`, by the rule `descent`.

    lrs = learn.lr_find()
    learn.fit_one_cycle(4, lrs.descent)

`lr_find` raises the rate from tiny to huge, one batch at a time, and looks at the smoothed loss. That loss stays flat, falls
and rises again. `descent` is the rate at which most of the fall is done: fast, and still well below the rates that diverge.
results/BENCHMARKS.md compares this rate with those of a grid: `python benchmarks/run.py lr_find`.
"""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from copy import deepcopy
from tempfile import TemporaryDirectory

from fastai.basics import Learner, Tensor, get_random_states, set_random_states
from fastai.callback.progress import CSVLogger

from .._utils import is_count, unwrap_model
from ..errors import DataError
from .core import check_has_text

__all__ = ["lr_find", "descent"]


def descent(
    lrs: Tensor,  # the learning rates tried, rising
    losses: Tensor,  # the smoothed loss at each
    num_it: int,  # how many rates were to be tried; not used
    share: float = 0.7,  # the part of the fall, from the first loss to the lowest
) -> tuple[float, tuple[float, float]]:  # the suggested rate, and its point in the plot
    """Suggest the first learning rate at which 70% of the fall of the loss is done. A function for `lr_find(suggest_funcs=…)`.

    Raises `DataError` if there is no loss to look at."""
    if not len(losses):
        raise DataError(
            "lr_find has no losses to suggest a rate from: training diverged at once; pass a smaller start_lr or a larger num_it"
        )
    lowest = int(losses.argmin())
    goal = losses[0] - share * (losses[0] - losses[lowest])
    reached = (losses[: lowest + 1] <= goal).nonzero()
    i = int(reached[0]) if len(reached) else lowest
    lr = float(lrs[i])
    return lr, (lr, float(losses[i]))


def lr_find(
    self,  # a `CharLearner`
    start_lr: float = 1e-5,  # the first learning rate; fastai starts at 1e-7
    end_lr: float = 1,  # the last; fastai ends at 10
    num_it: int = 100,  # batches to train on, one for each rate
    stop_div: bool = True,  # whether to stop once the loss is four times its lowest value
    show_plot: bool = True,  # whether to plot the loss over the rate, with the suggestions
    suggest_funcs: Callable
    | Sequence[Callable]
    | None = descent,  # `descent`, fastai's valley, slide, minimum and steep, or your own
) -> tuple | None:  # a named tuple with a rate for each function, under its name
    """Try learning rates in a mock training and suggest one: `learn.fit_one_cycle(4, learn.lr_find().descent)`.

    As fastai's, with another default suggestion and a narrower range, in which steps from rate to rate are half as large.
    Weights, optimizer, random state and the order of training are restored, and no file is left.
    Raises `DataError` where there is no text to train on, or for a `num_it` that is not a whole number from 1 up."""
    check_has_text(self.dls)
    if not is_count(num_it):
        raise DataError(f"num_it={num_it!r} is not a whole number from 1 up")
    with _restored(self), _no_files(self):
        return Learner.lr_find(self, start_lr, end_lr, num_it, stop_div, show_plot, suggest_funcs)


@contextmanager
def _restored(learn):
    "Restore what training changes: weights, optimizer, a carried state, random numbers and the order of training."
    model = unwrap_model(learn.model)
    rng = getattr(learn.dls.train, "rng", None)
    weights = deepcopy(model.state_dict())
    state = getattr(model, "state", None)
    opt = deepcopy(learn.opt.state_dict()) if learn.opt is not None else None
    order = rng and rng.getstate()
    drawn = get_random_states()
    try:
        yield
    finally:
        model.load_state_dict(weights)
        if state is not None:
            model.state = state
        if opt is None:
            learn.opt = None
        else:
            learn.opt.load_state_dict(opt)
        if rng:
            learn.dls.train.rng.setstate(order)
        set_random_states(**drawn)


@contextmanager
def _no_files(learn):
    "Keep fastai's temporary file out of the learner's folder, and `CSVLogger` from writing."
    cbs, model_dir = learn.cbs, learn.model_dir
    learn.cbs = cbs.filter(lambda cb: not isinstance(cb, CSVLogger))
    with TemporaryDirectory() as folder:
        learn.model_dir = folder
        try:
            yield
        finally:
            learn.cbs = cbs
            learn.model_dir = model_dir
