"""Mix predictions of binary decisions by weights that learn from each decision: `GatedMixer`.

A mixer adds log odds times weights, as logistic regression does, and follows the gradient of the log loss after each
decision: w ← w + lr (bit − p) x. A gate is a small context that chooses the row of weights. With several gates there
are several rows and several predictions (Mahoney 2005, *Adaptive Weighing of Context Models for Lossless Data
Compression*).
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["GatedMixer", "log_loss"]

_max_logit = 20.0


class GatedMixer:
    "Logistic regressions with shared inputs, one for each gate, that learn online."

    def __init__(
        self,
        weights: np.ndarray,  # (n_inputs,) of all rows at first
        sizes: Sequence[int],  # how many values each gate has
        lr: float,  # learning rate
    ):
        self.offsets = np.cumsum([0, *sizes])[:-1]
        self.weights = np.tile(np.asarray(weights, np.float32), (sum(sizes), 1))
        self.lr = lr

    def mix(
        self,
        x: np.ndarray,  # (n, n_inputs) log odds
        gates: np.ndarray,  # (n, n_gates) the value of each gate
    ) -> np.ndarray:  # (n, n_gates) log odds
        "Predict a decision in each of n streams."
        self._x = x[:, None]
        self._rows = gates + self.offsets
        self._chosen = self.weights[self._rows]
        self._logits = (self._chosen * self._x).sum(2).clip(-_max_logit, _max_logit)
        return self._logits

    def learn(
        self,
        bits: np.ndarray,  # (n, 1) the decisions of the last `mix`
    ):
        "Learn the last decisions."
        errors = (bits - 1 / (1 + np.exp(-self._logits))) * self.lr
        self.weights[self._rows] = self._chosen + errors[:, :, None] * self._x


def log_loss(
    logits: np.ndarray,  # (D,) log odds of 1
    bits: np.ndarray,  # (D,) 0 or 1
) -> np.ndarray:  # (D,) nats
    "The loss of each decision."
    return np.logaddexp(0, np.where(bits > 0, -logits, logits))
