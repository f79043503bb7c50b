"""What tests of learners share: fits without output, weights as one tensor, a callback for tests on a GPU."""

import torch
from fastai.basics import Callback


def quiet_fit(learn, *args, **kwargs):
    "Fit without bar and table. Returns the rows of the training log."
    with learn.no_bar(), learn.no_logging():
        learn.fit(*args, **kwargs)
    return learn.training_log.rows


def weights(learn):
    "A copy of all weights."
    return torch.cat([p.detach().flatten().clone() for p in learn.model.parameters()])


class AllowWaiting(Callback):
    "Ends the debug mode in which waiting for a GPU is an error, before callbacks read the numbers of an epoch."

    order = -100

    def after_train(self):
        torch.cuda.set_sync_debug_mode("default")
