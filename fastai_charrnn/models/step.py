"""`CharStep`: one step of a model as a module, for export.

    step = CharStep(learn.model)
    chars = torch.tensor([5])
    torch.onnx.export(step, (chars, *step.init_hidden(1)), "step.onnx")

A program that runs the exported step feeds each character with the state that the step before it returned.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._utils import unwrap_model
from ..errors import ArchError
from .base import State

__all__ = ["CharStep"]


class CharStep(nn.Module):
    "Reads one character: characters and a state in, log-probabilities and the next state out. For evaluation only."

    def __init__(
        self,
        model: nn.Module,  # a `CharModel`; it is put in evaluation mode
    ):
        """The table of the characters is computed here, so make a new step after training.

        Raises `ArchError` for a model without steps."""
        super().__init__()
        model = unwrap_model(model)
        if not all(hasattr(model, name) for name in ("table", "step", "init_hidden", "log_probs")):
            raise ArchError(f"{type(model).__name__} has no steps to export; derive it from CharModel")
        self.model = model
        self.eval()
        with torch.no_grad():
            self.register_buffer("table", model.table())

    def init_hidden(
        self,
        bs: int,  # texts that are continued at once
    ) -> State:
        "Return the state before the first character: the tensors to begin with."
        return self.model.init_hidden(bs)

    def forward(
        self,
        chars: Tensor,  # (bs,) int64
        *state: Tensor,  # as `init_hidden` and this method return
    ) -> tuple[Tensor, ...]:  # log-probabilities of the next character (bs, V), then the next state
        "Read a character of each text."
        state = self.model.step(F.embedding(chars, self.table), state)
        return self.model.log_probs(state), *state
