"""Predict binary decisions from counts of contexts that go on while a text is read: `OnlineCounts`.

For each context there are two probabilities, as in PAQ (Mahoney 2005): the one of what followed this context, and the
one of what followed all contexts of the same kind with the same history. Each moves towards every decision by
1/(n + 1.3) of its error, where n is how often it was moved. `GatedMixer` mixes their log odds.
"""

import numpy as np

from .history import history_table
from .inputs import MixerInputs
from .mixer import GatedMixer

__all__ = ["OnlineCounts"]

_first_step = 1.3
_max_count = 250
_min_prob = 1e-4
_weight = 0.1
_bias = 0.3
_lr = 0.002


class OnlineCounts:
    "Counts of all contexts of a text, and the mixers of their predictions. Reading a decision learns it."

    def __init__(
        self,
        inputs: MixerInputs,  # the text
    ):
        self.inputs = inputs
        self.history = history_table()
        n_contexts = inputs.slots.shape[1]
        n_histories = len(self.history.probs)
        # one list of probabilities: of histories for each kind of context, of contexts, of expected branches
        own = np.full(inputs.n_slots + inputs.n_expected, 0.5, np.float32)
        self.probs = np.concatenate([np.tile(self.history.probs, n_contexts), own])
        self.counts = np.zeros(len(self.probs), np.int32)
        self.of_kind = np.arange(n_contexts) * n_histories
        self.first_slot = n_contexts * n_histories
        self.first_expected = self.first_slot + inputs.n_slots
        self.histories = np.zeros(inputs.n_slots, np.int32)
        self.rates = (1 / (np.arange(_max_count + 1) + _first_step)).astype(np.float32)
        n_inputs = 2 * n_contexts + inputs.expected.shape[1] + 1
        self.mixer = GatedMixer(np.full(n_inputs, _weight), inputs.sizes, _lr)

    def learn(
        self,
        end: int,  # learn all decisions before this one
        n_streams: int = 1,  # parts that are read side by side
        n_last: int = 0,  # the last of these decisions, which are read one by one
    ):
        """Read the first decisions.

        Several streams are faster, but where they share a number, one of them changes it. So the last decisions should
        be read one by one: the weights are then nearly what they become if all are."""
        length = max(end - n_last, 0) // n_streams
        starts = np.arange(n_streams) * length
        for k in range(length):
            self._step(starts + k)
        for k in range(length * n_streams, end):
            self._step(np.array([k]))

    def predict(
        self,
        begin: int,  # the first decision; those before are learnt
    ) -> tuple[np.ndarray, np.ndarray]:  # (D, n_gates) and (D, n_inputs) float32: log odds of each mixer, its inputs
        "Predict each decision, then learn it."
        n_decisions, n_gates = self.inputs.gates[begin:].shape
        logits = np.empty((n_decisions, n_gates), np.float32)
        inputs = np.empty((n_decisions, self.mixer.weights.shape[1]), np.float32)
        for k in range(n_decisions):
            logits[k], inputs[k] = self._step(np.array([begin + k]))
        return logits, inputs

    def _step(self, at):
        "One decision of each stream."
        slots = self.inputs.slots[at]
        bits = self.inputs.decisions.bit[at][:, None]
        histories = self.histories[slots]
        expected = self.inputs.expected[at] + self.first_expected
        cells = np.concatenate([histories + self.of_kind, slots + self.first_slot, expected], 1)
        probs = self.probs[cells]
        counts = self.counts[cells]
        x = np.full((len(at), cells.shape[1] + 1), _bias, np.float32)
        np.log(probs / (1 - probs), out=x[:, :-1])
        logits = self.mixer.mix(x, self.inputs.gates[at])
        self.mixer.learn(bits)
        self.probs[cells] = (probs + (bits - probs) * self.rates[counts]).clip(_min_prob, 1 - _min_prob)
        self.counts[cells] = np.minimum(counts + 1, _max_count)
        self.histories[slots] = self.history.after[histories, bits]
        return logits, x
