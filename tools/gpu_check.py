"""Everything to run where a GPU is at hand, in less than nine minutes: `make gpu`.

    python tools/gpu_check.py --out build/gpu            # the tests marked gpu, then the benchmark
    python tools/gpu_check.py --short --out build/gpu    # checks on any machine that this script runs

Works from a checkout without installing the package, and without a network: the Python that runs it needs PyTorch with
CUDA, the other requirements of settings.ini, pytest and hypothesis. The environment variable CHARRNN_DATA names the
folder of nietzsche.txt. With pytest-xdist, four tests run at a time.

Each part has a time limit and a log in the folder `--out`, so nothing is lost if a later part fails or is stopped. The
benchmark also writes BENCHMARKS.md and pictures/ there. To add its section to the project's report:

    python benchmarks/run.py --add build/gpu
"""

import argparse
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch

root = Path(__file__).parent.parent


class Part(NamedTuple):
    "A command with a time limit."

    name: str  # of its log
    command: list[str]
    seconds: float  # after which it is stopped

    def run(self, out: Path) -> str:  # how it ended
        "Run it. What it prints goes to a log in the folder `out`."
        start = time.perf_counter()
        with self.log(out).open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                self.command, stdout=log, stderr=log, cwd=root, env=_environment(), start_new_session=True
            )
            try:
                code = process.wait(self.seconds)
            except subprocess.TimeoutExpired:
                # with the processes it has started
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return f"stopped after {self.seconds:.0f} s"
        seconds = time.perf_counter() - start
        return f"finished in {seconds:.0f} s" if code == 0 else f"failed after {seconds:.0f} s (exit code {code})"

    def log(self, out: Path) -> Path:
        "The file of what it prints."
        return out / f"{self.name}.log"


def _environment():
    "The checkout is on Python's path, nothing is downloaded, and nothing that was printed is lost."
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | dict(PYTHONPATH=path, CHARRNN_OFFLINE="1", PYTHONUNBUFFERED="1")


def parts(short: bool, out: Path) -> list[Part]:
    "The tests, then the benchmark."
    at_once = ["-n", "4"] if not short and importlib.util.find_spec("xdist") else []
    which = ["tests/test_gpu.py"] if short else []
    tests = [*which, "-v", "-m", "gpu and not slow", "-p", "no:cacheprovider", *at_once]
    benchmark = ["benchmarks/run.py", "gpu_speed", "--out", str(out), *(["--short"] if short else [])]
    return [
        Part("tests", [sys.executable, "-m", "pytest", *tests], 260),
        Part("benchmark", [sys.executable, *benchmark], 250),
    ]


def tests_summary(
    log: str,  # what pytest -v printed
) -> list[str]:
    "How many tests passed, and which did not. For a run that was stopped, too."
    # without and with xdist
    line = r" {0}(?: \(.*\))?\s+\[\s*\d+%\]$|%\] {0} "
    words = ("PASSED", "FAILED", "SKIPPED")
    counts = {word: len(re.findall(line.format(word), log, re.M)) for word in words}
    failed = sorted(set(re.findall(r"^(?:FAILED|ERROR) (\S+)", log, re.M)))
    total = ", ".join(f"{n} {word.lower()}" for word, n in counts.items())
    return [total, *(f"  failed: {name}" for name in failed)]


def benchmark_summary(
    log: str,  # what the benchmark printed
) -> list[str]:
    "The rows that were measured, also if it was stopped."
    return [line for line in log.splitlines() if line.count(" | ") == 4]


_summaries = dict(tests=tests_summary, benchmark=benchmark_summary)


def check(to_run: list[Part], out: Path) -> bool:  # whether all ended well
    "Run parts one after another, and print a summary of each."
    out.mkdir(parents=True, exist_ok=True)
    is_well = True
    for part in to_run:
        ending = part.run(out)
        print(f"{part.name}: {ending}; {part.log(out)}", flush=True)
        text = part.log(out).read_text(encoding="utf-8", errors="replace")
        lines = _summaries[part.name](text)
        if not ending.startswith("finished"):
            is_well = False
            lines += ["the end of the log:", *text.splitlines()[-5:]]
        for line in lines:
            print(f"  {line}", flush=True)
    return is_well


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=root / "build/gpu", help="folder for logs and the report")
    p.add_argument("--short", action="store_true", help="do little work, on any machine; the figures mean nothing")
    args = p.parse_args()
    if not args.short and not torch.cuda.is_available():
        sys.exit(f"PyTorch {torch.__version__} finds no GPU here; `--short` runs this script on a CPU")
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"{name}, {os.cpu_count()} cores, PyTorch {torch.__version__}", flush=True)
    out = args.out.resolve()
    sys.exit(0 if check(parts(args.short, out), out) else 1)


if __name__ == "__main__":
    main()
