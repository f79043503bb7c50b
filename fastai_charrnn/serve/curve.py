"""The training loss as a curve of few points: `Curve`."""

import math
import time

__all__ = ["Curve"]

_max_points = 600
_interval = 0.25  # seconds between two points at first


class Curve:
    "Points by time. When there are too many, every second one is dropped, and later ones are half as many."

    def __init__(self):
        self.points: list[tuple[float, float]] = []
        self.interval = _interval
        self.next_time = 0.0

    def is_due(self) -> bool:
        "Whether it is time for a point."
        return time.monotonic() >= self.next_time

    def add(
        self,
        x: float,  # epochs
        y: float,  # loss; left out if it is not finite
    ):
        "Add a point."
        self.next_time = time.monotonic() + self.interval
        if not math.isfinite(y):
            return
        self.points.append((round(x, 4), round(y, 4)))
        if len(self.points) > _max_points:
            self.points = self.points[::2]
            self.interval *= 2
