"""A tiny learner for each way to read a text, and callbacks that watch a fit. Used by the tests of fastai's cells."""

import torch
import torch.nn.functional as F
from fastai.basics import Callback

from fastai_charrnn.all import CharDataLoaders, char_learner, python_reference

MODES = ("windows", "every", "streams")

# arguments of `CharDataLoaders.from_text` that give about ten batches an epoch
_reading = dict(
    windows=dict(bs=256, val_bs=100),
    every=dict(bs=32, target="every"),
    streams=dict(bs=32, target="every", stateful=True),
)

# what fastai sends for each batch
TRAIN_EVENTS = (
    "before_batch after_pred after_loss before_backward after_backward before_step after_step after_batch".split()
)
VALID_EVENTS = "before_batch after_pred after_loss after_batch".split()


def tiny_dls(mode, path=".", **kwargs):
    "Loaders over 3,000 characters, with several batches for training and for validation."
    arguments = dict(seq_len=8, valid="tail", valid_pct=0.2, val_bs=16, seed=1, device="cpu") | _reading[mode]
    return CharDataLoaders.from_text(python_reference()[:3000], path=path, **arguments | kwargs)


def tiny_learner(mode="windows", path=".", arch="rnn", **kwargs):
    "A learner with 8 hidden units that does not print."
    learn = char_learner(tiny_dls(mode, path), arch, **dict(n_hid=8, emb_sz=6, seed=0, lr=1e-2) | kwargs)
    learn.remove_cb(learn.progress)
    learn.logger = _silent
    return learn


def _silent(row):
    "A logger that drops the row."


class Events(Callback):
    "Remembers the name of every event."

    order = -100

    def __init__(self):
        self.seen = []

    def __call__(self, event_name):
        self.seen.append(event_name)
        super().__call__(event_name)

    def taken(self):
        "The events since the last call."
        seen = self.seen
        self.seen = []
        return seen


class Last(Callback):
    "Calls functions at events, after fastai's callbacks and ours."

    order = 100


def batch_loss(learn, batch):
    "The loss of a model on one batch, from a fresh state, in evaluation mode."
    learn.model.eval()
    learn.model.reset()
    x, *y = batch
    loss = learn.loss_func(learn.model(x), *y).item()
    learn.model.reset()
    return loss


def nll(pred, targ):
    "The loss as a function, so that a metric must equal the loss."
    return F.nll_loss(pred.flatten(0, -2), targ.flatten())


def log_probs_of(learn, x):
    "The model's log-probabilities, from a fresh state."
    learn.model.eval()
    learn.model.reset()
    with torch.no_grad():
        pred = learn.model(x)
    learn.model.reset()
    return pred


def whole_validation(learn):
    "Inputs, targets and log-probabilities of the validation part, one row a prediction as `get_preds` orders them."
    x, y, pred = [], [], []
    learn.model.eval()
    learn.model.reset()
    with torch.no_grad():
        for xb, yb in learn.dls.valid:
            x, y, pred = [*x, xb], [*y, yb], [*pred, learn.model(xb)]
    learn.model.reset()
    if y[0].ndim == 1:
        return torch.cat(x), torch.cat(y), torch.cat(pred)
    if not learn.dls.stateful:
        # chunks follow one another in the text
        return [torch.cat([batch.flatten(0, 1) for batch in part]) for part in (x, y, pred)]
    return [_in_text_order(part) for part in (x, y, pred)]


def _in_text_order(batches):
    "The characters of streams, stream after stream. The last streams may be shorter."
    return torch.cat([batch[row] for row in range(len(batches[0])) for batch in batches if row < len(batch)])


def groups(model):
    "Embedding, recurrent layer and output layer."
    return [list(part.parameters()) for part in (model.emb, model.rnn, model.out)]
