"""fastai's `fit_one_cycle` with checked arguments, which `CharLearner` has as a method."""

from fastai.basics import Callback, Learner

from .arguments import checked_lr_max

__all__ = ["fit_one_cycle"]


def fit_one_cycle(
    self: Learner,  # a `CharLearner`
    n_epoch: int,  # times through the training part
    lr_max: float | slice | None = None,  # highest learning rate; None: the learner's
    div: float = 25.0,  # `lr_max` divided by the first rate
    div_final: float = 1e5,  # `lr_max` divided by the last rate
    pct_start: float = 0.25,  # the part of the training in which the rate rises
    wd: float | None = None,  # weight decay; None: the learner's
    moms: tuple[float, float, float] | None = None,  # momentum at the start, at the highest rate and at the end
    cbs: Callback | list | None = None,  # callbacks for this fit only
    reset_opt: bool = False,  # whether to begin with a new optimizer
    start_epoch: int = 0,  # the epoch to begin with; those before are skipped
):
    """Train with one cycle of the learning rate, as fastai does (Smith 2018, *A disciplined approach*, 1cycle policy).

    Raises `DataError` for arguments that fastai could not use, and `TrainingError` as `fit`."""
    lr_max = checked_lr_max(self, lr_max, div, div_final, pct_start, moms)
    Learner.fit_one_cycle(self, n_epoch, lr_max, div, div_final, pct_start, wd, moms, cbs, reset_opt, start_epoch)
