"""The decoder to sample with: `text_decoder`. Its rows do not depend on each other.

`SharedWindowDecoder` reads the windows of many texts. It looks up the states that have read up to three characters, so
a window of 8 characters takes five steps instead of eight.
"""

from torch import Tensor, nn

from .beginning_states import Beginnings
from .decoders import SlidingWindowDecoder, StatefulDecoder, decoder, decoder_class, is_stateful
from .tiles import TiledModel, tiled_copy

__all__ = ["text_decoder", "SharedWindowDecoder"]

_min_rows = 64  # with fewer rows, one step of all states takes less time than a step for each length
_min_window = 4


def text_decoder(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: Tensor,  # (rows, n) int64 indices to continue, on the model's device; n is the window if there is one
) -> SlidingWindowDecoder:
    "Return a decoder in float32 and in tiles if the model can, else in float64. It suits the model and the rows."
    tiled = tiled_copy(model)
    if tiled is None:
        return decoder(model, ids, exact=True)
    rows, width = ids.shape
    if rows >= _min_rows and width >= _min_window and not is_stateful(model):
        return SharedWindowDecoder(tiled, ids)
    return decoder_class(model, width)(tiled, ids)


class SharedWindowDecoder(StatefulDecoder):
    """Equals `StaggeredWindowDecoder` for a model that computes in tiles.

    A prompt has states that have read 4 to n characters. At each character the longest is replaced by one that has read
    three, which is looked up."""

    def __init__(self, model: TiledModel, ids: Tensor):
        self.model = model
        with self.running():
            self.table = model.table()
            self.beginnings = Beginnings(model, self.table)
            depth = self.beginnings.depth
            n_longer = ids.shape[1] - depth
            # the states that have read most are first
            self.states = [model.init_hidden(0)] * n_longer
            self._read(ids[:, :depth])
            for c in ids[:, depth:].t():
                self.feed(c)

    def _read(self, ids):
        for c in ids.t():
            self.beginnings.feed(c)

    def log_probs(self):
        return self.model.log_probs(self.states[0])

    def feed(self, c):
        states = [*self.states[1:], self.beginnings.states()]
        # the first ones are empty until the prompt is read
        self.states = [self._step(c, state) if state[0].shape[0] else state for state in states]
        self.beginnings.feed(c)

    def _step(self, c, state):
        return self.model.step(self.table.index_select(0, c), state)

    def select(self, rows):
        self.states = [tuple(o[rows] for o in state) for state in self.states]
        self.beginnings.select(rows)
