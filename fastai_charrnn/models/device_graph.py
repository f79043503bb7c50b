"""`DeviceGraph`, a CUDA graph of a step: for training (`callback.cuda_graph`) and generation (`replayed`)."""

from collections.abc import Callable

import torch

__all__ = ["DeviceGraph"]


class DeviceGraph:
    "A CUDA graph. Captures what a function launches on the GPU, and launches it again as one call."

    def __init__(self):
        self.graph = None
        # A step is captured on the stream of the steps before it, because autograd remembers the stream of each weight.
        self.stream = torch.cuda.Stream()

    def run_eager(
        self,
        step: Callable[[], None],  # a step of training or of generation
    ):
        "Run a step on the stream that the next one is captured on."
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        try:
            with torch.cuda.stream(self.stream):
                step()
        finally:
            current.wait_stream(self.stream)

    def capture(
        self,
        step: Callable[[], None],  # what to capture; it is called once, and computes nothing
    ):
        "Capture a step. Another thread may use the GPU meanwhile, for example to generate text."
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local"):
            step()

    def replay(self):
        "Run the captured step."
        self.graph.replay()
