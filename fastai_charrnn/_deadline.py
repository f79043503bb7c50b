"""A time limit that several steps share: `Deadline`. Imports no torch."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

__all__ = ["Deadline"]


@dataclass(frozen=True)
class Deadline:
    """A moment by which work must be done. Each step looks at `left` and takes a part of it.

    `Deadline.after(60)` is a minute from now."""

    end: float  # seconds of `clock`
    clock: Callable[[], float] = time.perf_counter  # seconds since any fixed moment

    @classmethod
    def after(
        cls,
        seconds: float,  # from now
        clock: Callable[[], float] = time.perf_counter,
    ) -> "Deadline":
        "The moment some seconds from now."
        return cls(clock() + seconds, clock)

    @property
    def left(self) -> float:
        "Seconds until then, negative after it."
        return self.end - self.clock()

    def earlier(
        self,
        seconds: float,  # to keep for later steps
    ) -> "Deadline":
        "A deadline some seconds before this one."
        return replace(self, end=self.end - seconds)

    def at_least(
        self,
        seconds: float,  # that a step gets even if the time is over
    ) -> "Deadline":
        "This deadline, or a later one that leaves so many seconds from now."
        return replace(self, end=max(self.end, self.clock() + seconds))
