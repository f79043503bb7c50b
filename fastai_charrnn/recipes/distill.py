"""Let a network learn from the probabilities of others: `Distillation`.

The loss becomes (1 - alpha) times the cross entropy with the text plus alpha times the cross entropy with a teacher's
probabilities (Hinton, Vinyals & Dean 2015, *Distilling the Knowledge in a Neural Network*). The teacher reads the
training part once, before the student trains. Of a text for whose probabilities there is no room in memory, it reads
the end, and the student learns the rest from the text alone.
"""

import torch
from fastai.basics import Callback
from torch import Tensor

from .._utils import modes_restored
from ..data.streams import CharStreams
from ..models.base import CharModel
from ..models.count_tables import last_part

__all__ = ["Distillation", "probabilities_of"]

_rows = 64  # streams in which the teacher reads
_columns = 64  # characters of a batch


class Distillation(Callback):
    "Add the cross entropy with a teacher's probabilities to the loss of training on streams."

    run_valid = False
    # (n, V) float16: the teacher's log-probabilities. Not in checkpoints: `MemberTraining` has it computed again
    teacher_probs: Tensor | None = None
    first = 0  # the position of its first row in the text

    def __init__(
        self,
        alpha: float = 0.5,  # the part of the teacher in the loss
        max_probs: int = 2**29,  # probabilities of the teacher that are kept, of two bytes each
    ):
        self.alpha = alpha
        self.max_probs = max_probs

    def teach(
        self,
        teacher: CharModel,  # a trained model
        streams: CharStreams,  # what the student will train on
    ):
        "Compute the teacher's probabilities for the targets of the streams, in bfloat16 if the fit is."
        spans = last_part(list(streams.spans), self.max_probs // len(streams.vocab))
        self.first = spans[0][0]
        device = teacher.emb.weight.device.type
        with torch.autocast(device, torch.bfloat16, enabled=hasattr(self.learn, "mixed_precision")):
            self.teacher_probs = probabilities_of(teacher, streams, spans)

    def state_dict(self) -> dict:
        "Nothing: the probabilities follow from the networks."
        return {}

    def load_state_dict(self, state: dict):
        "Set what `state_dict` returned."

    def after_loss(self):
        if not self.training or self.teacher_probs is None:
            return
        rows = self.dls.train_ds.positions_at(self.iter) - self.first
        is_known = (rows >= 0).to(self.pred.device)
        teacher = self.teacher_probs[rows.clip(0)].to(self.pred.device, torch.float32)
        soft = -(teacher.exp() * self.pred.flatten(0, 1)).sum(-1)
        part = self.alpha * is_known.float().mean()
        # the loss that is reported stays that of the text
        self.learn.loss_grad = (1 - part) * self.loss_grad + self.alpha * (soft * is_known).mean()


@torch.no_grad()
def probabilities_of(
    model: CharModel,  # any that carries a state
    streams: CharStreams,  # a text
    spans: list[tuple[int, int]] | None = None,  # positions of its targets to read; None: all of the streams
) -> Tensor:  # (n, V) float16 log-probabilities for the positions from the first target to the last
    "Read targets of some streams once, in order."
    spans = list(streams.spans) if spans is None else spans
    begin, end = spans[0][0], spans[-1][1]
    table = torch.zeros(end - begin, len(streams.vocab), dtype=torch.float16)
    rows = max(min(_rows, (end - begin) // _columns), 1)
    whole = CharStreams(streams.ids, streams.vocab, spans, rows, _columns, stateful=True)
    device = model.emb.weight.device
    with modes_restored(model), model.reading("every", None):
        model.eval()
        for k in range(-(-len(whole) // rows)):
            x, _ = whole.batch_at(k)
            log_probs = model(x.to(device))
            table[whole.positions_at(k) - begin] = log_probs.flatten(0, 1).half().cpu()
    return table
