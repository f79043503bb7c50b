"""Run every benchmark beside this file and write BENCHMARKS.md: `make bench`."""
import importlib,os,platform,sys
from pathlib import Path

import torch
from fastai_charrnn.reproduce import machine

here = Path(__file__).parent


def main():
    "One table a script, its claim above it."
    parts = [f"# Benchmarks\n\nWritten by `make bench`. Medians of runs in turn; ratios carry over to other machines, seconds do not.\n\nMachine: {machine()}. PyTorch {torch.__version__}, Python {platform.python_version()}."]
    for path in sorted(here.glob("*_speed.py")):
        module = importlib.import_module(path.stem)
        print(f"{path.name} …", file=sys.stderr, flush=True)
        rows = "\n".join(f"| {what} | {figure} | {claim} |" for what,figure,claim in module.measure())
        parts.append(f"## {path.stem.replace('_', ' ')}\n\n{module.__doc__}\n\n| what | measured | claimed |\n| --- | --- | --- |\n{rows}")
    part = here.parent/".BENCHMARKS.md.part"
    part.write_text("\n\n".join(parts)+"\n", encoding="utf-8")
    os.replace(part, here.parent/"BENCHMARKS.md")


if __name__ == "__main__": main()
