"""States of a stateful model after texts that it has read: `PrefixStates`.

A stateful model reads a text from its beginning. While a text is typed, only its end changes, so states within it are
kept: one every 256 characters, and the last ones. The next text continues from the longest beginning that is known.
"""

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from ..models.base import CharModel, State, check_state

__all__ = ["PrefixStates", "EVERY"]

EVERY = 256  # characters between two states that are kept
_n_last = 64  # characters at the end of a text after which a state is looked for
_max_numbers = 2**24  # numbers in all states together: 64 MB in float32


class PrefixStates:
    "Reads texts with a stateful model. Not for several threads at once."

    def __init__(
        self,
        model: CharModel,  # with `seq_len=None`, in evaluation mode; its weights do not change
    ):
        self.model = model
        self.device = next(model.parameters()).device
        with torch.inference_mode():
            self.first = check_state(model, model.init_hidden(1))
        n_numbers = sum(o.numel() for o in self.first)
        self.max_states = max(_max_numbers // max(n_numbers, 1), 2)
        self.kept: OrderedDict[bytes, State] = OrderedDict()

    def after(
        self,
        ids: np.ndarray,  # (n,) indices of a text
    ) -> tuple[Tensor, Tensor]:  # log-probabilities of the next character (1, V), output (1, n_hid)
        "Read a text, or only the part of it that is new."
        marks = dict(_marks(ids))
        start = next((n for n in sorted(marks, reverse=True) if marks[n] in self.kept), 0)
        state = self.kept[marks[start]] if start else self.first
        with torch.inference_mode():
            while start < len(ids):
                # to the next multiple
                end = min(len(ids), start - start % EVERY + EVERY)
                _, state = self._read(ids[start:end], state)
                self._keep(marks[end], state)
                start = end
            return self.model.log_probs(state), self.model.output(state)

    def read(
        self,
        ids: np.ndarray,  # (n,) indices of a text
    ) -> Iterator[tuple[int, Tensor, Tensor]]:  # start, log-probabilities before (k, V), outputs after (k, n_hid)
        "Yield what the model predicts before each character and its output after it, block by block."
        state = self.first
        with torch.inference_mode():
            last = self.model.log_probs(state).float()
        for start in range(0, len(ids), EVERY):
            with torch.inference_mode():
                outputs, state = self._read(ids[start : start + EVERY], state)
                log_probs = torch.cat([last, self.model.head(outputs).float()])
                last = log_probs[-1:]
            yield start, log_probs[:-1], outputs.float()

    def _read(self, ids, state):
        "The output after each character (n, n_hid), and the last state."
        x = torch.from_numpy(ids.astype(np.int64)).to(self.device)
        outputs, state = self.model.forward_seq(x[None], state)
        return outputs[:, 0], state

    def _keep(self, mark, state):
        self.kept[mark] = state
        self.kept.move_to_end(mark)
        while len(self.kept) > self.max_states:
            self.kept.popitem(last=False)


def _marks(ids):
    "Yield lengths of beginnings of a text, each with a digest of the beginning."
    digest = blake2b(digest_size=16)
    n_done = 0
    n_last = max(len(ids) - _n_last, 0)
    lengths = {*range(EVERY, len(ids) + 1, EVERY), *range(n_last + 1, len(ids) + 1)}
    data = ids.astype(np.int32)
    for n in sorted(lengths):
        digest.update(data[n_done:n].tobytes())
        n_done = n
        yield n, digest.digest()
