"""Many numbers in no memory: an epoch's order (`Shuffle`) and the windows of a split (`Starts`), computed when asked for.

A list of the numbers of 10**9 windows takes 8 GB; these take a few bytes, and look like arrays: `len`, and `[…]` with
numbers, slices or arrays of numbers. NumPy only.

`Shuffle` is a Feistel network on the pairs (l, r) with l below a and r below b, a·b just above N: each round adds to one
half a random function of the other, which can be undone whatever the function, so that the whole is a bijection. What
falls on the few numbers from N to a·b is sent through again until it falls below N (cycle walking: Black & Rogaway
2002, "Ciphers with Arbitrary Finite Domains").
"""

import math
from collections.abc import Iterator

import numpy as np

__all__ = ["Shuffle", "Starts", "SpanStarts", "DrawnStarts", "OtherStarts", "MANY"]

MANY = 2**20  # windows up to which orders and splits are arrays
_rounds = 8
_cached = 2**14
_half = np.uint64(32)
_mix = tuple(
    map(np.uint64, (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15))
)  # of splitmix64 (Steele, Lea & Flood 2014)


class _Numbers:
    "A sequence of `n` integers that `_at` computes for an int64 array of positions."

    n: int

    def __len__(self) -> int:
        return self.n

    def __getitem__(
        self,
        i: int | slice | np.ndarray,  # positions, from 0 to n-1
    ) -> np.ndarray:  # int64, of the same shape
        "The numbers at these positions. Raises `IndexError` for positions outside."
        i = np.arange(*i.indices(self.n)) if isinstance(i, slice) else np.asarray(i, dtype=np.int64)
        return self._at(_inside(i, self.n))

    def __iter__(self) -> Iterator[int]:
        for lo in range(0, self.n, 2**16):
            yield from self[lo : lo + 2**16].tolist()


class Shuffle(_Numbers):
    "A permutation of 0 … n-1 fixed by a seed: `shuffle[i]` is where i goes, `positions` the inverse, in O(1) memory."

    def __init__(
        self,
        n: int,  # how many numbers
        seed: int,  # which of the permutations, from 0 to 2**64-1
    ):
        self.n = n
        self.seed = seed
        a = math.isqrt(max(n - 1, 0)) + 1
        self.a, self.b = np.uint64(a), np.uint64(-(-max(n, 1) // a))
        self.keys = _hash(np.uint64(seed) + _mix[2] * np.arange(1, _rounds + 1, dtype=np.uint64))

    def positions(
        self,
        v: np.ndarray,  # numbers from 0 to n-1
    ) -> np.ndarray:  # int64, of the same shape: self[positions(v)] == v
        "What goes to each v. Raises `IndexError` for numbers outside."
        return self._walk(_inside(np.asarray(v, dtype=np.int64), self.n), self._back)

    def _at(self, i):
        return self._walk(i, self._forth)

    def _walk(self, i, go):
        out = np.ascontiguousarray(i).astype(np.uint64).reshape(-1)
        for part in np.split(out, range(_cached, len(out), _cached)):  # as much as the processor's cache holds
            part[:] = go(part)
            while (far := np.flatnonzero(part >= self.n)).size:
                part[far] = go(part[far])
        return out.view(np.int64).reshape(i.shape)

    def _forth(self, i):
        l, r = np.divmod(i, self.b)
        for k, key in enumerate(
            self.keys
        ):  # unsigned: below zero is huge, so that `minimum` picks the one of two sums that is in range
            if k % 2:
                r += _part(l, key, self.b)
                np.minimum(r, r - self.b, out=r)
            else:
                l += _part(r, key, self.a)
                np.minimum(l, l - self.a, out=l)
        return l * self.b + r

    def _back(self, i):
        l, r = np.divmod(i, self.b)
        for k, key in reversed(list(enumerate(self.keys))):
            if k % 2:
                r -= _part(l, key, self.b)
                np.minimum(r, r + self.b, out=r)
            else:
                l -= _part(r, key, self.a)
                np.minimum(l, l + self.a, out=l)
        return l * self.b + r


class Starts(_Numbers):
    "Where the windows of one part of a split start; the window numbered k starts at character k·stride."

    def __init__(self, n: int, stride: int):
        self.n = n
        self.stride = stride

    def holds(
        self,
        starts: np.ndarray,  # (k,) int64: any characters
    ) -> np.ndarray:  # (k,) bool
        "Whether a window of this part starts there."
        return (starts % self.stride == 0) & self._has(starts // self.stride)

    def to_numpy(self) -> np.ndarray:  # (n,) int64
        "All of them."
        return self[:]

    @property
    def iloc(self) -> "Starts":
        "Itself: what fastai's `Interpretation` indexes."
        return self

    def _at(self, i):
        return self._numbers(i) * self.stride


class SpanStarts(Starts):
    "The windows that lie, with their targets, in stretches of the text."

    def __init__(
        self,
        spans: tuple,  # (begin, end) of each stretch, in characters, in order
        n: int,  # characters in a window; its target is one more
        stride: int,  # windows start at multiples of it
    ):
        self.first = np.array([-(-a // stride) for a, _ in spans], dtype=np.int64)
        counts = [max((b - n - 1) // stride - f + 1, 0) for (_, b), f in zip(spans, self.first.tolist())]
        self.before = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        super().__init__(int(self.before[-1]), stride)

    def _numbers(self, i):
        k = np.searchsorted(self.before, i, "right") - 1
        return self.first[k] + i - self.before[k]

    def _has(self, numbers):
        k = np.maximum(np.searchsorted(self.first, numbers, "right") - 1, 0)
        inside = numbers - self.first[k]
        return (inside >= 0) & (inside < np.diff(self.before)[k])


class DrawnStarts(Starts):
    "One part of a random split: the windows that a `Shuffle` puts from one position on, and perhaps the very last window, which it leaves out."

    def __init__(
        self,
        shuffle: Shuffle,  # of all windows but the last
        lo: int,  # the first position of this part
        hi: int,  # the first beyond it
        last: bool,  # whether the very last window belongs to it
        stride: int,  # windows start at multiples of it
    ):
        self.shuffle = shuffle
        self.lo = lo
        self.hi = hi
        self.last = last
        super().__init__(hi - lo + last, stride)

    def _numbers(self, i):
        out = np.full(i.shape, len(self.shuffle), dtype=np.int64)
        drawn = i < self.hi - self.lo
        out[drawn] = self.shuffle[self.lo + i[drawn]]
        return out

    def _has(self, numbers):
        N = len(self.shuffle)
        out = (numbers == N) & self.last
        known = (numbers >= 0) & (numbers < N)
        at = self.shuffle.positions(numbers[known])
        out[known] = (at >= self.lo) & (at < self.hi)
        return out


class OtherStarts(Starts):
    "All windows but some."

    def __init__(
        self,
        n_windows: int,  # of the whole text
        but: np.ndarray,  # (k,) int64, sorted and distinct: the numbers of those left out
        stride: int,  # windows start at multiples of it
    ):
        self.n_windows, self.but, self.skipped = n_windows, but, but - np.arange(len(but))
        super().__init__(n_windows - len(but), stride)

    def _numbers(self, i):
        return i + np.searchsorted(self.skipped, i, "right")

    def _has(self, numbers):
        return (numbers >= 0) & (numbers < self.n_windows) & ~np.isin(numbers, self.but)


def _inside(i, n):
    if i.size and not 0 <= i.min() <= i.max() < n:
        raise IndexError(f"{i.max() if i.min() >= 0 else i.min()} is outside 0 … {n - 1}")
    return i


def _hash(x):
    "The finalizer of splitmix64: 64 well-mixed bits of 64."
    for shift, by in ((30, _mix[0]), (27, _mix[1])):
        x = x ^ (x >> np.uint64(shift))
        x *= by
    return x ^ (x >> np.uint64(31))


def _part(x, key, m):
    "A random function of `x`, chosen by `key`, below `m` < 2**32: its upper half, scaled, so that no number is favoured by more than m/2**32."
    h = _hash(x ^ key)
    h >>= _half
    h *= m
    h >>= _half
    return h
