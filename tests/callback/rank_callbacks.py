"""Callbacks of the jobs that treat rank 1 otherwise than rank 0."""

import os
import time

from fastai.basics import Callback

RANK = int(os.environ.get("RANK", 0))


class LoseRank1(Callback):
    "End or stop the process of rank 1 in the middle of an epoch, or before rank 0 loads weights."

    order = 20

    def __init__(self, event, sig):
        self.event = event
        self.sig = sig

    def before_batch(self):
        if self.event == "batch" and self.training and self.iter == 5:
            self._lose()

    def after_fit(self):
        if self.event == "load":
            self._lose()
            self.learn.load("initial")

    def _lose(self):
        if RANK == 1:
            os.kill(os.getpid(), self.sig)


class Late(Callback):
    "Let the clock of rank 1 begin a second later."

    order = 0

    def before_fit(self):
        time.sleep(RANK)
