"""Watch a training in a browser: `WatchCallback`, which `charrnn train --watch` uses.

    learn.fit_one_cycle(5, 3e-3, cbs=WatchCallback())     # prints the address of a page

The page shows the loss next to that of n-grams, samples, and how long it will take. It can be opened, reloaded and
closed at any time. The training never waits for it, and an error of the page or of its server never stops a training.
"""

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastai.basics import rank_distrib
from fastai.callback.progress import ProgressCallback

from .._checks import check_count, check_number
from ..callback.core import TrainEpochCallback
from ..errors import CharRnnError, CharRnnWarning, ServeError
from ..page.facts import model_facts
from .board import Board
from .curve import Curve
from .sampler import SampleClock
from .serve import check_libraries
from .server import Address, ThreadServer, bound_socket
from .watch_app import watch_app

__all__ = ["WatchCallback"]

_read_seconds = 2.5  # that the end of a training waits for an open page to ask for it


class WatchCallback(TrainEpochCallback):
    """Serve a page that shows the training as it happens. Prints its address.

    Training is the same with and without it. It runs in the first of several processes. Raises `ServeError` at once for
    a port that is taken. `url` is the address, `stop()` ends the server, which otherwise ends with the process."""

    # after the samples of the epoch
    order = ProgressCallback.order + 3
    run_valid = False

    def __init__(
        self,
        port: int = 8001,  # 0 chooses a free one
        host: str = "127.0.0.1",  # the address to listen on; other than a loopback address, a token is needed
        sample_seconds: float = 15.0,  # seconds between two samples
    ):
        check_count("port", port, 0, 65535, ServeError, "0 chooses a free port")
        self.samples = SampleClock(check_number("sample_seconds", sample_seconds, error=ServeError))
        self.board = Board()
        self.curve = Curve()
        self.rows: list[dict] = []
        self.base = 0.0  # epochs of earlier fits
        self.server = self.url = None
        self.is_prepared = self.is_begun = False
        if rank_distrib():
            return
        check_libraries()
        sock = bound_socket(host, port)
        address = Address(sock, host)
        self.url = address.url
        self.board.show(status=dict(state="waiting", message="The training has not begun."))
        self.server = ThreadServer(watch_app(self.board, address), sock)
        print(f"watch the training at {self.url}", flush=True)

    def __getstate__(self):
        "A copy of a learner is not watched: it has no server."
        lost = dict(server=None, url=None, board=None)
        return {name: value for name, value in vars(self).items() if name not in lost} | lost

    @contextmanager
    def during_fit(self) -> Iterator[None]:
        "Prepare what takes time before the clock of the fit begins, and tell how the fit has ended."
        if hasattr(self, "learn"):
            self._safely(self._prepare)
        try:
            yield
        except BaseException as error:
            self._end("stopped", _reason(error))
            raise

    def before_fit(self):
        # `validate` and `get_preds` send this event too
        self.run = self.server is not None and self.learn.training_now and not hasattr(self.learn, "lr_finder")
        self.is_begun = False
        if self.run:
            self._safely(self._prepare)

    def after_batch(self):
        if not self.learn.training:
            return
        if self.curve.is_due() or not self.is_begun:
            self._safely(self._show_batch)
        if self.samples.is_due():
            self._safely(self._sample)

    def trained_epoch(self):
        "Show the numbers of the epoch, and a sample."
        self._safely(self._show_epoch)

    def after_epoch(self):
        super().after_epoch()
        # a fit by the clock is validated after it
        if not self.trained and self.is_begun and not self.learn.training_now:
            self._safely(self._show_validation)

    def after_fit(self):
        if self.run and self.is_begun:
            self._safely(self._sample)
            self._end("ended", "The training has ended.")

    def stop(self):
        "End the server. An open page keeps what it shows."
        if self.server is not None:
            self.board.wait_until_read(_read_seconds)
            self.server.stop()
            self.server = None

    # what is shown

    def _safely(self, show):
        "Show something. An error ends the watching, not the training."
        if self.server is None:
            return
        try:
            show()
        except CharRnnError as error:
            # such as weights that are not finite, which the training finds itself
            self.board.show(note=str(error))
        except Exception as error:
            warnings.warn(f"the training is no longer watched: {error!r}", CharRnnWarning, stacklevel=2)
            self._end("lost", "The page is no longer kept up to date, because of an error. The training continues.")
            self.server = None

    def _end(self, state, message):
        if self.server is not None:
            self.board.show(status=dict(state=state, message=message))

    def _prepare(self):
        if self.is_prepared:
            return
        self.is_prepared = True
        facts = model_facts(self.learn)
        self.samples.prepare(self.learn)
        self.board.show(about=facts, status=dict(state="waiting", message="The training begins."))

    def _begin(self):
        "Called at the first batch, when a resumed training has its numbers."
        self.is_begun = True
        log = self.learn.training_log.rows if hasattr(self.learn, "training_log") else []
        if not self.rows:
            self.rows = [_row(i, row) for i, row in enumerate(log, 1)]
        budget = getattr(self, "time_budget", None)
        self.base = (self.rows[-1]["epoch"] if self.rows else 0) - (0 if budget else self.learn.epoch)
        self.began = time.monotonic(), self._part()
        self.board.show(epochs=list(self.rows), status=dict(state="training", message="The model is being trained."))

    def _show_batch(self):
        if not self.is_begun:
            self._begin()
        self.curve.add(self._x(), float(self.learn.smooth_loss if hasattr(self, "recorder") else self.learn.loss))
        self.board.show(curve=list(self.curve.points), progress=self._progress())

    def _x(self):
        "Epochs so far, of all fits."
        budget = getattr(self, "time_budget", None)
        if budget:
            return self.base + budget.epochs
        return self.base + self.learn.epoch + (self.learn.iter + 1) / self.learn.n_iter

    def _part(self):
        "The part of the fit that is done, from 0 to 1."
        budget = getattr(self, "time_budget", None)
        if budget:
            return min(budget.elapsed_pct, 1.0)
        return (self.learn.epoch + (self.learn.iter + 1) / self.learn.n_iter) / self.learn.n_epoch

    def _progress(self):
        start, part_before = self.began
        seconds = time.monotonic() - start
        part = self._part()
        done = part - part_before
        remaining = seconds / done * (1 - part) if done > 0 else None
        n_epochs = None if hasattr(self, "time_budget") else self.base + self.learn.n_epoch
        return dict(part=part, epochs=self._x(), n_epochs=n_epochs, seconds=seconds, remaining=remaining)

    def _show_epoch(self):
        row = _row(self._x(), self.learn.training_log.rows[-1]) if hasattr(self.learn, "training_log") else {}
        if row.get("valid_loss") is not None:
            self.rows.append(row)
            self.board.show(epochs=list(self.rows))
        new = self.samples.new_of_callback(self.learn)
        if new:
            self.board.show(samples=self.samples.add(new, self._x()))
        elif self.samples.is_old():
            self._sample()

    def _show_validation(self):
        "The loss after a fit by the clock."
        self.is_begun = False
        record = self.learn.final_record
        numbers = dict(zip(["valid_loss", *self.learn.metrics.attrgot("name")], record))
        train_loss = self.curve.points[-1][1] if self.curve.points else math.nan
        self.rows.append(_row(self._last_x(), dict(train_loss=train_loss) | numbers))
        self.board.show(epochs=list(self.rows))

    def _last_x(self):
        return self.curve.points[-1][0] if self.curve.points else self.base

    def _sample(self):
        text = self.samples.sample(self.learn)
        if text is not None:
            x = self._x() if self.learn.training_now and hasattr(self.learn, "iter") else self._last_x()
            self.board.show(samples=self.samples.add([text], x))


def _row(epoch, numbers):
    "The numbers of an epoch as JSON values."
    finite = {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
    return dict(finite, epoch=epoch)


def _reason(error) -> str:
    "Why a fit ended early, for the page."
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return "The training was interrupted."
    message: Any = error if isinstance(error, CharRnnError) else f"{type(error).__name__}: {error}"
    return f"The training has stopped: {message}"
