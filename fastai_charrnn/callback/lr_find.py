"""Learning-rate finder: `lr_find` suggests a rate for `fit_one_cycle`, by the rule `descent`.

    lrs = learn.lr_find()
    learn.fit_one_cycle(4, lrs.descent)

`lr_find` raises the rate from tiny to huge, one batch at a time, and records the smoothed loss, which stays flat, falls
and rises again. `descent` is the rate at which 70% of the fall is done. Training is fast there, and the rates that
diverge are far. results/BENCHMARKS.md compares it with a grid of rates: `python benchmarks/run.py lr_find`.
"""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from copy import deepcopy
from tempfile import TemporaryDirectory

from fastai.basics import Learner, Tensor, get_random_states, set_random_states, tuplify
from fastai.callback.progress import CSVLogger

from .._checks import MAX_COUNT, check_count, check_number, shown
from .._utils import unwrap_model
from ..errors import DataError
from .core import check_has_text
from .found_rates import note_rates, rates_before

__all__ = ["lr_find", "descent"]


def descent(
    lrs: Tensor,  # the learning rates tried, rising
    losses: Tensor,  # the smoothed loss at each rate
    num_it: int,  # not used; fastai passes it to every rule
    share: float = 0.7,  # part of the fall, from the first loss to the lowest
) -> tuple[float, tuple[float, float]]:  # the suggested rate, and its point in the plot
    """Suggest the first learning rate at which `share` of the fall of the loss is done.

    A rule for `lr_find(suggest_funcs=…)`. Raises `DataError` if there are no losses."""
    if not len(losses):
        raise DataError(
            "lr_find has no losses to suggest a rate from, because training diverged at once; "
            "pass a smaller start_lr or a larger num_it"
        )
    lowest = int(losses.argmin())
    goal = losses[0] - share * (losses[0] - losses[lowest])
    reached = (losses[: lowest + 1] <= goal).nonzero()
    i = int(reached[0]) if len(reached) else lowest
    lr = float(lrs[i])
    return lr, (lr, float(losses[i]))


def lr_find(
    self,  # a `CharLearner`
    start_lr: float = 1e-5,  # first learning rate; fastai starts at 1e-7
    end_lr: float = 1,  # last learning rate; fastai ends at 10
    num_it: int = 100,  # batches to train on, one for each rate
    stop_div: bool = True,  # whether to stop when the loss is four times its lowest value
    show_plot: bool = True,  # whether to plot the loss and the suggestions
    suggest_funcs: Callable | Sequence[Callable] | None = descent,  # rules: `descent`, fastai's, or your own
) -> tuple | None:  # a named tuple with one rate for each rule, under the name of the rule
    """Try learning rates in a mock training and suggest one: `learn.fit_one_cycle(4, learn.lr_find().descent)`.

    As fastai's `lr_find`, with another default rule and a narrower range, whose steps are half as large. fastai's rules
    are valley, slide, minimum and steep. Weights, optimizer, random state and order of training are restored, and no
    file is left. Raises `DataError` if there is no text to train on, and for numbers that cannot be used."""
    check_has_text(self.dls)
    num_it = check_count("num_it", num_it, 1, MAX_COUNT)
    check_number("start_lr", start_lr, inside=True, hint="1e-5 is usual")
    check_number("end_lr", end_lr, inside=True, hint="1 is usual")
    for rule in tuplify(suggest_funcs) if suggest_funcs is not None else ():
        if not callable(rule):
            raise DataError(f"suggest_funcs={shown(suggest_funcs)}: {shown(rule)} is not a function, such as valley")
    found = rates_before(self)
    if found is None:
        with _restored(self), _no_files(self):
            found = Learner.lr_find(self, start_lr, end_lr, num_it, stop_div, show_plot, suggest_funcs)
    note_rates(self, found)
    return found


# fastai restores weights and optimizer only, and nothing after an error.
@contextmanager
def _restored(learn):
    "Restore what training changes: weights, optimizer, state of the model, random numbers and order of training."
    model = unwrap_model(learn.model)
    rng = getattr(learn.dls.train, "rng", None)
    weights = deepcopy(model.state_dict())
    state = getattr(model, "state", None)
    opt_state = deepcopy(learn.opt.state_dict()) if learn.opt is not None else None
    order = rng and rng.getstate()
    random_states = get_random_states()
    n_fits = learn.n_fits
    try:
        yield
    finally:
        model.load_state_dict(weights)
        if state is not None:
            model.state = state
        _restore_optimizer(learn, opt_state)
        if rng:
            learn.dls.train.rng.setstate(order)
        set_random_states(**random_states)
        learn.n_fits = n_fits


def _restore_optimizer(learn, opt_state):
    if opt_state is None:
        learn.opt = None
    else:
        learn.opt.load_state_dict(opt_state)


@contextmanager
def _no_files(learn):
    "Keep fastai's temporary file out of the learner's folder, and `CSVLogger` from writing."
    cbs = learn.cbs
    model_dir = learn.model_dir
    learn.cbs = cbs.filter(lambda cb: not isinstance(cb, CSVLogger))
    with TemporaryDirectory() as folder:
        learn.model_dir = folder
        try:
            yield
        finally:
            learn.cbs = cbs
            learn.model_dir = model_dir
