"""Continue a training from a checkpoint: `learn.resume`.

    learn = char_learner(dls, "gru", seed=1, cbs=CheckpointCallback("run"))
    learn.resume("run", missing_ok=True)
    learn.fit_one_cycle(4, 5e-3)

This script can be started again after a crash. The fits that were finished are skipped, the interrupted one continues
at its batch, and later ones run as usual.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastai.basics import Callback, Learner, noop, rank_distrib

from ..errors import CharRnnError
from ..state.checkpoint_file import checkpoint_path, previous_path
from ..state.random_states import set_random_states, torch_random_states
from ..state.weights import load_weights
from .fit_context import check_thread
from .fit_records import check_same_fit, finds_rate, fit_record
from .saved_fit import CONTENT_ERRORS, SavedFit, unusable

__all__ = ["resume", "recorded_fit"]


def resume(
    self,  # a `CharLearner`, made as the one whose training was interrupted
    path: str | Path,  # the checkpoint, as passed to `CheckpointCallback`
    missing_ok: bool = False,  # whether to train from the start if there is no checkpoint
) -> Learner:  # itself
    """Load the weights of a checkpoint, and continue its training in the next fits.

    Call the same fits as before. Finished ones return at once, the interrupted one continues after the last batch of
    the checkpoint, later ones run as usual. On the learner that was interrupted, call only the interrupted fit again.
    Raises `ModelFileError` for a missing or damaged file and `ResumeError` for another model. The fits raise
    `ResumeError` for other data, arguments, callbacks or numbers of processes."""
    path = checkpoint_path(path)
    if missing_ok and not path.exists() and not previous_path(path).exists():
        return self
    saved = SavedFit.read(path)
    load_weights(self, saved.tensors)
    if self.fits:
        self.fits = saved.fits[: saved.position.fit]
    self.saved_fit = saved
    return self


@contextmanager
def recorded_fit(
    learn: Learner,  # a `CharLearner` that is about to fit
    n_epoch: int,  # epochs of the fit
    lr: float | slice | None,  # learning rate as passed to the fit
    wd: float | None,  # weight decay as passed to the fit
    cbs: Callback | list | None,  # the callbacks that were passed to the fit
) -> Iterator[bool]:  # whether the fit is skipped, because the checkpoint has its result
    """Add a fit to `learn.fits`, and prepare to continue or skip it if a checkpoint was read.

    A fit that fails before its first batch does not count. Raises `ResumeError` if it is another fit than before, and
    `ModelFileError` if the content of the checkpoint fails in the first epoch."""
    if finds_rate(cbs):
        yield False
        return
    check_thread(learn)
    number = len(learn.fits)
    saved = learn.saved_fit
    record = fit_record(learn, n_epoch, lr, wd, cbs)
    if saved is not None:
        with _content_checked():
            check_same_fit(number + 1, saved.fits[number], record)
    learn.fits = [*learn.fits, record]
    learn.train_iter = learn.restored_iter = 0
    learn.random_before = torch_random_states()
    learn.in_saved_epoch |= saved is not None
    is_skipped = False
    try:
        is_skipped = saved is not None and _continue_or_skip(learn, saved, number, cbs)
        yield is_skipped
        if learn.saved_fit is not None:
            record |= saved.fits[number]
        elif hasattr(learn, "training_log"):
            record["rows"] = len(learn.training_log.rows)
    except BaseException as error:
        if not learn.train_iter:
            learn.fits = learn.fits[:-1]
            learn.saved_fit = saved
        if learn.in_saved_epoch and _is_of_content(error):
            raise unusable(error) from error
        raise
    finally:
        learn.resuming = None
        # the fit after a skipped one is the first to use what the checkpoint holds
        learn.in_saved_epoch &= is_skipped


def _is_of_content(error):
    "Whether an error may come from a wrong content of a checkpoint."
    return isinstance(error, CONTENT_ERRORS) and not isinstance(error, CharRnnError)


@contextmanager
def _content_checked():
    "Turn the errors of a wrong content into `ModelFileError`."
    try:
        yield
    except CONTENT_ERRORS as error:
        if not _is_of_content(error):
            raise
        raise unusable(error) from error


def _continue_or_skip(learn, saved, number, cbs):
    "Restore the end of a finished fit and return True, or prepare the fit to continue and return False."
    is_last = number == saved.position.fit
    if is_last:
        learn.saved_fit = None
    if not saved.is_finished(number):
        _say(learn, f"fit {number + 1} continues {_place(saved.position)}")
        learn.resuming = saved
        # with a seed, they are set again after the fit
        learn.random_before = saved.random_before()
        set_random_states(learn.random_before)
        return False
    _say(learn, f"fit {number + 1} was finished before the checkpoint and is skipped")
    if is_last:
        with learn.added_cbs(cbs):
            saved.restore(learn)
            for cb in learn.cbs:
                # such a callback changes the learner at the end of a fit, after the checkpoint was written
                if hasattr(type(cb), "after_skipped_fit"):
                    cb.after_skipped_fit()
    return True


def _place(position):
    place = f"in epoch {position.epoch}"
    if position.stage == "in training":
        return f"{place} after {position.batch} batches"
    return f"{place}, before its validation" if position.stage == "before validation" else place


def _say(learn, text):
    if learn.logger is not noop and not rank_distrib():
        print(text)
