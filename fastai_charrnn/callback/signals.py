"""Leave a fit cleanly on Ctrl-C, SIGTERM and SIGHUP: `StopOnSignal`, and what lasts for a whole fit: `during_fit`.

A fit with a callback that has `on_stop` gets a `StopOnSignal`: a signal then lets the batch end, these callbacks save,
and the fit ends as the signal would end it. Other fits are interrupted at once, as in fastai.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

from fastai.basics import Callback, L, Learner, num_distrib

from .arguments import check_callbacks

__all__ = ["StopOnSignal", "during_fit"]


class StopOnSignal(Callback):
    """Let a batch end when Ctrl-C, SIGTERM or SIGHUP arrives, call `on_stop()` of all callbacks, and interrupt the fit.

    Ctrl-C raises `KeyboardInterrupt`. The other signals are sent again after the fit, so that the process ends as if
    they were not handled. A second signal interrupts at once. Signals that are ignored, as SIGHUP under nohup, stay
    ignored. Does nothing in one of several processes, which wait for each other, and outside the main thread, where
    signals do not arrive. It is also a context manager around several fits."""

    # after `CheckpointCallback`, which comes after all others
    order = 10**6 + 1
    run_valid = True
    signals = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

    def __init__(
        self,
        send_again: bool = True,  # whether SIGTERM and SIGHUP end the process; False: they raise `KeyboardInterrupt`
    ):
        self.send_again = send_again
        self.received = None  # the last signal
        self.before = {}

    def __enter__(self):
        is_outer = not self.before
        if is_outer and num_distrib() <= 1 and threading.current_thread() is threading.main_thread():
            self.received = None
            # a handler that is ignored stays so, and one that is not of Python (None) cannot be put back
            known = {s: signal.getsignal(s) for s in self.signals}
            known = {s: handler for s, handler in known.items() if handler not in (None, signal.SIG_IGN)}
            self.before = {s: signal.signal(s, self._note) for s in known}
        return self

    def __exit__(self, kind, *_):
        for s, handler in self.before.items():
            signal.signal(s, handler)
        self.before = {}
        received = self.received
        self.received = None
        if received is None:
            return
        if self.send_again and received != signal.SIGINT:
            sys.stdout.flush()
            os.kill(os.getpid(), received)
        elif kind is None:
            raise KeyboardInterrupt

    def _note(self, number, frame):
        is_second = self.received is not None
        self.received = number
        if is_second:
            raise KeyboardInterrupt

    @contextmanager
    def during_fit(self) -> Iterator[None]:
        "Handle signals within the block, unless it is inside a block of this object."
        with nullcontext() if self.before else self:
            yield

    def after_batch(self):
        "Have all callbacks save, and interrupt the fit."
        if self.received is None:
            return
        for cb in self.learn.cbs:
            if hasattr(type(cb), "on_stop"):
                cb.on_stop()
        raise KeyboardInterrupt


@contextmanager
def during_fit(
    learn: Learner,  # a `CharLearner` before a fit
    cbs: Callback | list | None,  # further callbacks of the fit
) -> Iterator[L]:  # these, and a `StopOnSignal` if it is needed
    """Enter `during_fit()` of all callbacks that have it. They leave it after the fit, however that ends.

    Callbacks hold locks and handle signals there: their `after_fit` is not called after an error."""
    cbs = check_callbacks(cbs)
    if any(hasattr(type(cb), "on_stop") for cb in learn.cbs + cbs) and not _handlers(learn.cbs + cbs):
        cbs.append(StopOnSignal())
    # first in, last out: when a signal is sent again, no lock is held
    entered = sorted(learn.cbs + cbs, key=lambda cb: not isinstance(cb, StopOnSignal))
    with ExitStack() as stack:
        for cb in entered:
            if hasattr(type(cb), "during_fit"):
                stack.enter_context(cb.during_fit())
        yield cbs


def _handlers(cbs):
    return [cb for cb in cbs if isinstance(cb, StopOnSignal)]
