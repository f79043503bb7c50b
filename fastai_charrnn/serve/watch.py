"""Watch a training in a browser: `WatchCallback`, which `charrnn train --watch` uses.

    learn.fit_one_cycle(5, 3e-3, cbs=WatchCallback())     # prints the address of a page

The page shows the loss next to that of n-grams, samples, and how long it will take. It can be opened, reloaded and
closed at any time. The training never waits for it, and an error of the page or of its server never stops a training.
"""

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from fastai.basics import rank_distrib
from fastai.callback.progress import ProgressCallback

from .._checks import check_count, check_number
from ..analysis.ngrams import MAX_COUNTED, ngram_baseline
from ..callback.core import TrainEpochCallback
from ..data.window_dl import WindowDL
from ..errors import CharRnnError, CharRnnWarning, ServeError
from .board import Board
from .curve import Curve
from .facts import plain_facts
from .fit_progress import FitProgress
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
        self.server = self.url = None
        self.is_prepared = self.awaits_validation = False
        # from the first batch of a fit on
        self.fit_progress: FitProgress | None = None
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
        lost = dict(server=None, url=None, board=None, fit_progress=None)
        return {name: value for name, value in vars(self).items() if name not in lost} | lost

    @contextmanager
    def during_fit(self) -> Iterator[None]:
        "Prepare what takes time before the clock of the fit begins, and tell how the fit has ended."
        # a callback of this fit only has no learner yet; it prepares in `before_fit`
        if self.learn is not None:
            self._safely(self._prepare)
        try:
            yield
        except BaseException as error:
            self._end("stopped", _reason(error))
            raise

    def before_fit(self):
        # `validate` and `get_preds` send this event too
        trains = self.learn.training_now and not hasattr(self.learn, "lr_finder")
        self.run = self.server is not None and (trains or self.awaits_validation)
        self.fit_progress = None
        if self.run and trains:
            self.awaits_validation = False
            self._safely(self._prepare)

    def after_batch(self):
        if not self.learn.training:
            return
        if self.curve.is_due() or self.fit_progress is None:
            self._safely(self._show_batch)
        if self.samples.is_due():
            self._safely(self._sample)

    def trained_epoch(self):
        "Show the numbers of the epoch, and a sample."
        self._safely(self._show_epoch)

    def after_epoch(self):
        super().after_epoch()
        if self.awaits_validation:
            self.awaits_validation = False
            self._safely(self._show_validation)

    def after_fit(self):
        if self.run and self.fit_progress is not None:
            self._safely(self._show_batch)
            # a fit by the clock is validated after it
            self.awaits_validation = self.fit_progress.budget is not None and bool(self.curve.points)
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
        facts = plain_facts(self.learn) | _ngram_facts(self.learn.dls)
        self.samples.prepare(self.learn)
        self.board.show(about=facts, status=dict(state="waiting", message="The training begins."))

    def _begin(self):
        "Called at the first batch, when a resumed training has its numbers."
        log = self.learn.training_log.rows if hasattr(self.learn, "training_log") else []
        if not self.rows:
            self.rows = [_row(i, row) for i, row in enumerate(log, 1)]
        self.fit_progress = FitProgress(self.learn, self.rows[-1]["epoch"] if self.rows else 0)
        self.board.show(epochs=list(self.rows), status=dict(state="training", message="The model is being trained."))

    def _show_batch(self):
        if self.fit_progress is None:
            self._begin()
        loss = self.learn.smooth_loss if hasattr(self, "recorder") else self.learn.loss
        self.curve.add(self.fit_progress.epochs(), float(loss))
        self.board.show(curve=list(self.curve.points), progress=self.fit_progress.as_json())

    def _show_epoch(self):
        row = (
            _row(self.fit_progress.epochs(), self.learn.training_log.rows[-1])
            if hasattr(self.learn, "training_log")
            else {}
        )
        if row.get("valid_loss") is not None:
            self.rows.append(row)
            self.board.show(epochs=list(self.rows))
        new = self.samples.new_of_callback(self.learn)
        if new:
            self.board.show(samples=self.samples.add(new, self.fit_progress.epochs()))
        elif self.samples.is_old():
            self._sample()

    def _show_validation(self):
        "The loss after a fit by the clock."
        epochs, train_loss = self.curve.points[-1]
        numbers = zip(["valid_loss", *self.learn.metrics.attrgot("name")], self.learn.final_record)
        self.rows.append(_row(epochs, dict(train_loss=train_loss) | dict(numbers)))
        self.board.show(epochs=list(self.rows))

    def _sample(self):
        text = self.samples.sample(self.learn)
        if text is not None:
            self.board.show(samples=self.samples.add([text], self.fit_progress.epochs()))


def _ngram_facts(dls):
    "The loss of the best n-grams, if there is a text to count them in."
    if not isinstance(dls.train, WindowDL):
        return {}
    info = dls.train_ds.info
    if "ngram_loss" in info:
        return {name: info[name] for name in ("ngram_loss", "ngram_context")}
    best = ngram_baseline(dls, max_chars=MAX_COUNTED).best
    return dict(ngram_loss=best.nats, ngram_context=best.context)


def _row(epoch, numbers):
    "The numbers of an epoch as JSON values."
    finite = {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
    return dict(finite, epoch=epoch)


def _reason(error) -> str:
    "Why a fit ended early, for the page."
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return "The training was interrupted."
    # fastai puts the name of a callback before its error
    message = re.sub(r"^Exception occured in `\w+` when calling event `\w+`:\s*", "", str(error))
    kind = "" if isinstance(error, CharRnnError) else f"{type(error).__name__}: "
    return f"The training has stopped: {kind}{message}"
