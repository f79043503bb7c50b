"""Integer sequences computed on demand: an epoch's order (`Shuffle`) and the windows of a split (`Starts`).

A list of 10**9 window numbers takes 8 GB. These sequences take a few bytes and can be used like arrays: `len`, and
`[…]` with numbers, slices or arrays of numbers. This module needs NumPy only.

`Shuffle` is a Feistel network on pairs (left, right) with left < a, right < b and a·b slightly above n. Each round
adds to one half a random function of the other half. A round can be undone whatever the function, so the whole is a
bijection of 0 … a·b-1. Results from n up are permuted again until they are below n (cycle walking: Black & Rogaway
2002, "Ciphers with Arbitrary Finite Domains").
"""

import math
from collections.abc import Iterator

import numpy as np

__all__ = ["Shuffle", "Starts", "SpanStarts", "DrawnStarts", "OtherStarts", "MANY"]

MANY = 2**20  # orders and splits of at most this many windows are arrays
_n_rounds = 8
_cache_size = 2**14  # numbers to permute at a time: they fit in the processor's cache
_half = np.uint64(32)
# the constants of splitmix64 (Steele, Lea & Flood 2014)
_mix = tuple(np.uint64(c) for c in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15))


class _Numbers:
    "A sequence of `n` integers. Subclasses define `_at`, which computes those at an int64 array of positions."

    n: int

    def __len__(self) -> int:
        return self.n

    def __getitem__(
        self,
        i: int | slice | np.ndarray,  # positions, from 0 to n-1
    ) -> np.ndarray:  # int64, of the same shape
        "Return the numbers at these positions. Raises `IndexError` for positions out of range."
        positions = np.arange(*i.indices(self.n)) if isinstance(i, slice) else np.asarray(i, dtype=np.int64)
        return self._at(_check_range(positions, self.n))

    def __iter__(self) -> Iterator[int]:
        for begin in range(0, self.n, 2**16):
            yield from self[begin : begin + 2**16].tolist()


class Shuffle(_Numbers):
    "A permutation of 0 … n-1 by a seed, in O(1) memory. `shuffle[i]` is the image of i, `positions` undoes it."

    def __init__(
        self,
        n: int,  # how many numbers
        seed: int,  # selects the permutation, from 0 to 2**64-1
    ):
        self.n = n
        self.seed = seed
        a = math.isqrt(max(n - 1, 0)) + 1
        self.a = np.uint64(a)
        self.b = np.uint64(-(-max(n, 1) // a))
        self.keys = _hash(np.uint64(seed) + _mix[2] * np.arange(1, _n_rounds + 1, dtype=np.uint64))

    def positions(
        self,
        v: np.ndarray,  # numbers from 0 to n-1
    ) -> np.ndarray:  # int64, of the same shape: self[positions(v)] == v
        "Return the positions of these numbers. Raises `IndexError` for numbers out of range."
        return self._walk(_check_range(np.asarray(v, dtype=np.int64), self.n), self._backward)

    def _at(self, positions):
        return self._walk(positions, self._forward)

    def _walk(self, numbers, permute):
        "Permute numbers until all are below n."
        out = np.ascontiguousarray(numbers).astype(np.uint64).reshape(-1)
        for part in np.split(out, range(_cache_size, len(out), _cache_size)):
            part[:] = permute(part)
            while (outside := np.flatnonzero(part >= self.n)).size:
                part[outside] = permute(part[outside])
        return out.view(np.int64).reshape(numbers.shape)

    # Sums are taken modulo a or b: below zero, unsigned numbers become huge, so `minimum` picks the number in range.

    def _forward(self, numbers):
        left, right = np.divmod(numbers, self.b)
        for k, key in enumerate(self.keys):
            if k % 2:
                right += _round(left, key, self.b)
                np.minimum(right, right - self.b, out=right)
            else:
                left += _round(right, key, self.a)
                np.minimum(left, left - self.a, out=left)
        return left * self.b + right

    def _backward(self, numbers):
        left, right = np.divmod(numbers, self.b)
        for k, key in reversed(list(enumerate(self.keys))):
            if k % 2:
                right -= _round(left, key, self.b)
                np.minimum(right, right + self.b, out=right)
            else:
                left -= _round(right, key, self.a)
                np.minimum(left, left + self.a, out=left)
        return left * self.b + right


class Starts(_Numbers):
    "Where the windows of one part of a split start. Window number k starts at character k·stride."

    def __init__(self, n: int, stride: int):
        self.n = n
        self.stride = stride

    def holds(
        self,
        starts: np.ndarray,  # (k,) int64: positions of characters
    ) -> np.ndarray:  # (k,) bool
        "Whether a window of this part starts there."
        return (starts % self.stride == 0) & self._has(starts // self.stride)

    def to_numpy(self) -> np.ndarray:  # (n,) int64
        "Return all starts as an array."
        return self[:]

    @property
    def iloc(self) -> "Starts":
        "Itself, because fastai's `Interpretation` indexes `items.iloc`."
        return self

    def _at(self, positions):
        return self._numbers(positions) * self.stride


class SpanStarts(Starts):
    "The windows that are, with their targets, inside stretches of the text."

    def __init__(
        self,
        spans: tuple,  # (begin, end) of each stretch, in characters, in order
        seq_len: int,  # characters in a window, without its target
        stride: int,  # windows start at multiples of it
    ):
        self.first = np.array([-(-begin // stride) for begin, _ in spans], dtype=np.int64)
        last = [(end - seq_len - 1) // stride for _, end in spans]
        counts = [max(last - first + 1, 0) for first, last in zip(self.first.tolist(), last)]
        self.n_before = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        super().__init__(int(self.n_before[-1]), stride)

    def _numbers(self, positions):
        span = np.searchsorted(self.n_before, positions, "right") - 1
        return self.first[span] + positions - self.n_before[span]

    def _has(self, numbers):
        span = np.maximum(np.searchsorted(self.first, numbers, "right") - 1, 0)
        offset = numbers - self.first[span]
        return (offset >= 0) & (offset < np.diff(self.n_before)[span])


class DrawnStarts(Starts):
    "One part of a random split: the windows at some positions of a `Shuffle`, and optionally the last window."

    def __init__(
        self,
        shuffle: Shuffle,  # of all windows except the last
        begin: int,  # the first position of this part
        end: int,  # the position after its last
        last: bool,  # whether the last window, which is not shuffled, belongs to this part
        stride: int,  # windows start at multiples of it
    ):
        self.shuffle = shuffle
        self.begin = begin
        self.end = end
        self.last = last
        super().__init__(end - begin + last, stride)

    def _numbers(self, positions):
        out = np.full(positions.shape, len(self.shuffle), dtype=np.int64)
        drawn = positions < self.end - self.begin
        out[drawn] = self.shuffle[self.begin + positions[drawn]]
        return out

    def _has(self, numbers):
        n_drawn = len(self.shuffle)
        out = (numbers == n_drawn) & self.last
        drawn = (numbers >= 0) & (numbers < n_drawn)
        positions = self.shuffle.positions(numbers[drawn])
        out[drawn] = (positions >= self.begin) & (positions < self.end)
        return out


class OtherStarts(Starts):
    "All windows except some."

    def __init__(
        self,
        n_windows: int,  # windows of the whole text
        but: np.ndarray,  # (k,) int64, sorted and distinct: the numbers of the windows left out
        stride: int,  # windows start at multiples of it
    ):
        self.n_windows = n_windows
        self.but = but
        self.n_kept_before = but - np.arange(len(but))  # windows of this part before each one left out
        super().__init__(n_windows - len(but), stride)

    def _numbers(self, positions):
        return positions + np.searchsorted(self.n_kept_before, positions, "right")

    def _has(self, numbers):
        return (numbers >= 0) & (numbers < self.n_windows) & ~np.isin(numbers, self.but)


def _check_range(numbers, n):
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < n:
        outside = numbers.max() if numbers.min() >= 0 else numbers.min()
        raise IndexError(f"{outside} is outside 0 … {n - 1}")
    return numbers


def _hash(x):
    "The finalizer of splitmix64: a bijection of 64-bit numbers that changes half of the bits for each changed bit."
    for shift, factor in ((30, _mix[0]), (27, _mix[1])):
        x = x ^ (x >> np.uint64(shift))
        x *= factor
    return x ^ (x >> np.uint64(31))


def _round(x, key, m):
    """A random function of `x`, selected by `key`, with values below m < 2**32.

    It is the upper half of a hash, scaled to m. The bias towards any value is at most m/2**32."""
    h = _hash(x ^ key)
    h >>= _half
    h *= m
    h >>= _half
    return h
