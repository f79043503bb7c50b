"""Random numbers for sampling: every row of a batch has a separate stream.

A stream is keyed by the seed, the part of the prompt that the model reads, and the number of the continuation. A row
therefore draws the same numbers whatever the other rows are, on every device, and for any block size.
The prompt is part of the key because rows that draw the same numbers tend to converge to the same text.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["Uniforms", "stream_keys"]


def stream_keys(
    ids: Tensor,  # (rows, n) indices that the model reads, padded with 0 on the left
    numbers: Sequence[int],  # for each row, its number among the continuations of its prompt
) -> np.ndarray:  # (rows,) uint64
    """Return the key of each row's stream: 64 bits of BLAKE2b over the indices and the number, eight bytes each.

    Padding is not part of the key."""
    return np.array([_key(row[row > 0], number) for row, number in zip(ids.cpu().numpy(), numbers)], np.uint64)


def _key(ids, number):
    data = np.append(ids, number).astype("<i8").tobytes()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


class Uniforms:
    "Uniform random numbers, one stream for each row. The block size does not change the numbers."

    def __init__(
        self,
        seed: int,  # from 0 to 2**64-1
        keys: np.ndarray,  # (rows,) uint64 from `stream_keys`; rows with equal keys share a stream
        device: torch.device,  # device of the numbers returned
    ):
        self.device = device
        distinct_keys, rows = np.unique(keys, return_inverse=True)
        self.rows = torch.from_numpy(rows).to(device)
        self.streams = [np.random.Philox(key=np.array([seed, key], np.uint64)) for key in distinct_keys]

    def take(
        self,
        k: int,  # numbers for each row
    ) -> tuple[Tensor, ...]:  # k tensors (rows, 1), float64, in [0, 1)
        "Return the next `k` numbers of every row. They are copied to the device at once."
        random_bits = np.stack([stream.random_raw(k) for stream in self.streams], 1) >> np.uint64(12)
        uniforms = torch.from_numpy(random_bits * 2.0**-52).to(self.device)
        return uniforms[:, self.rows, None].unbind()

    def select(
        self,
        rows: Tensor,  # (m,) int64
    ):
        "Keep only these rows."
        self.rows = self.rows[rows]
