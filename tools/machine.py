"""Describe the computer that measured a report."""

import os
import platform
from pathlib import Path

import torch


def machine(
    uses_gpu: bool = True,  # whether a GPU is used if there is one
) -> str:  # such as "AMD EPYC, 2 threads of 2 cores, no GPU"
    "Processor, threads and GPU."
    gpu = torch.cuda.get_device_name() if uses_gpu and torch.cuda.is_available() else "no GPU"
    return f"{processor()}, {torch.get_num_threads()} threads of {os.cpu_count()} cores, {gpu}"


def processor() -> str:
    "The name of the processor as far as the system gives it."
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
