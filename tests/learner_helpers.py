"""What tests of learners share: fits without output, and weights as one tensor."""

import torch


def quiet_fit(learn, *args, **kwargs):
    "Fit without bar and table. Returns the rows of the training log."
    with learn.no_bar(), learn.no_logging():
        learn.fit(*args, **kwargs)
    return learn.training_log.rows


def weights(learn):
    "A copy of all weights."
    return torch.cat([p.detach().flatten().clone() for p in learn.model.parameters()])
