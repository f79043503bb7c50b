"""Standard streams that are closed, or cannot be written: `open_missing`, `LastingOutput`. Imports no torch."""

import os
import sys
from typing import TextIO

__all__ = ["open_missing", "LastingOutput", "discard_output"]


def open_missing():
    "Open the null device for standard streams that are closed, which Python has as None."
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        # the lowest free number: that of the closed stream, so that no file of the program gets it
        handle = os.open(os.devnull, os.O_RDWR)
        setattr(sys, name, open(handle, "w" if number else "r", closefd=False))


class LastingOutput:
    "A stream whose writer goes on when the device is full. `error` is what happened; what comes later is discarded."

    def __init__(
        self,
        stream: TextIO,  # such as standard output
    ):
        self.stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        "Write a text, or discard it."
        return self._try(self.stream.write, text) or len(text)

    def flush(self):
        "Flush, unless there was an error."
        self._try(self.stream.flush)

    def _try(self, call, *args):
        if self.error is not None:
            return None
        try:
            return call(*args)
        except BrokenPipeError:
            raise
        except OSError as error:
            self.error = error
            discard_output(self.stream)
            return None


def discard_output(
    stream: TextIO,  # that cannot be written
):
    "Send what is buffered, and what comes later, to the null device: Python flushes the stream at its end."
    handle = os.open(os.devnull, os.O_WRONLY)
    os.dup2(handle, stream.fileno())
    os.close(handle)
