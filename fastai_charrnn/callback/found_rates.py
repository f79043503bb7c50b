"""What `lr_find` has suggested, so that a resumed script gets the same rates: the weights were other ones then."""

from collections import namedtuple

from fastai.basics import Learner, noop, rank_distrib

__all__ = ["rates_before", "note_rates"]


def note_rates(
    learn: Learner,  # a `CharLearner`
    rates: tuple | None,  # what `lr_find` returns: a named tuple of numbers
):
    "Note what `lr_find` has suggested before the next fit, for checkpoints."
    if rates is not None:
        found = {name: float(rate) for name, rate in rates._asdict().items()}
        learn.found_rates = [*learn.found_rates, {"fit": len(learn.fits), "rates": found}]


def rates_before(
    learn: Learner,  # a `CharLearner`
) -> tuple | None:  # as `lr_find` returns them
    "What the same call of `lr_find` has suggested before the checkpoint. None where no training is resumed."
    if learn.saved_fit is None:
        return None
    fit = len(learn.fits)
    calls = [call for call in learn.saved_fit.state["found_rates"] if call["fit"] == fit]
    n_before = sum(call["fit"] == fit for call in learn.found_rates)
    if n_before >= len(calls):
        return None
    rates = calls[n_before]["rates"]
    if learn.logger is not noop and not rank_distrib():
        print("lr_find was called before the checkpoint, and its rates are used again")
    return namedtuple("SuggestedLRs", rates)(**rates)
