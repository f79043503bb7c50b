"""Let a network learn from the probabilities of others: `Distillation`.

The loss becomes (1 - alpha) times the cross entropy with the text plus alpha times the cross entropy with a teacher's
probabilities (Hinton, Vinyals & Dean 2015, *Distilling the Knowledge in a Neural Network*). The teacher reads the
training part once, before the student trains.
"""

import torch
from fastai.basics import Callback
from torch import Tensor

from .._utils import modes_restored
from ..data.streams import CharStreams
from ..models.base import CharModel

__all__ = ["Distillation", "probabilities_of"]

_rows = 64  # streams in which the teacher reads
_columns = 64  # characters of a batch


class Distillation(Callback):
    "Add the cross entropy with a teacher's probabilities to the loss of training on streams."

    run_valid = False
    teacher_probs: Tensor | None = None  # (n, V) float16: the teacher's log-probabilities
    first = 0  # the position of its first row in the text

    def __init__(
        self,
        alpha: float = 0.5,  # the part of the teacher in the loss
    ):
        self.alpha = alpha

    def teach(
        self,
        teacher: CharModel,  # a trained model
        streams: CharStreams,  # what the student will train on
    ):
        "Compute the teacher's probabilities for all targets of the streams."
        self.first = streams.spans[0][0]
        self.teacher_probs = probabilities_of(teacher, streams)

    def after_loss(self):
        if not self.training or self.teacher_probs is None:
            return
        positions = self.dls.train_ds.positions_at(self.iter)
        teacher = self.teacher_probs[positions - self.first].to(self.pred.device, torch.float32)
        soft = -(teacher.exp() * self.pred.flatten(0, 1)).sum(-1).mean()
        # the loss that is reported stays that of the text
        self.learn.loss_grad = (1 - self.alpha) * self.loss_grad + self.alpha * soft


@torch.no_grad()
def probabilities_of(
    model: CharModel,  # any that carries a state
    streams: CharStreams,  # whose spans are read
) -> Tensor:  # (n, V) float16 log-probabilities for the positions from the first target to the last
    "Read all targets of some streams once, in order."
    begin, end = streams.spans[0][0], streams.spans[-1][1]
    table = torch.zeros(end - begin, len(streams.vocab), dtype=torch.float16)
    rows = max(min(_rows, (end - begin) // _columns), 1)
    whole = CharStreams(streams.ids, streams.vocab, streams.spans, rows, _columns, stateful=True)
    device = model.emb.weight.device
    with modes_restored(model), model.reading("every", None):
        model.eval()
        for k in range(-(-len(whole) // rows)):
            x, _ = whole.batch_at(k)
            log_probs = model(x.to(device))
            table[whole.positions_at(k) - begin] = log_probs.flatten(0, 1).half().cpu()
    return table
