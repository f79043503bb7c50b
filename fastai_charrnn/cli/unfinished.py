"""An unfinished `charrnn train`: its checkpoint, which `--resume` continues, and the lock of a running one.

The checkpoint `my.checkpoint.safetensors` is beside the model `my.safetensors` until the training is complete. It holds
the whole state (`callback.checkpoint`), and with it the options of the command (`CommandOptions`).
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from fastai.basics import Callback

from .._files import only_writer
from ..callback.saved_fit import SavedFit
from ..errors import ModelFileError, ResumeError
from ..io.format import with_suffix
from ..state.checkpoint_file import previous_path
from .checks import option_of
from .parser import make_parser
from .plan import Plan

__all__ = ["CommandOptions", "checkpoint_of", "check_unfinished", "read_options", "remove_checkpoint", "training_lock"]

# options that belong to one call of the command
_of_one_call = (
    *("command", "began", "out", "overwrite", "resume", "print_completion"),
    *("watch", "watch_port", "watch_host"),
)


def checkpoint_of(
    out: Path,  # a model file
) -> Path:  # `my.checkpoint.safetensors` for `my.safetensors`
    "The checkpoint of the training of a model file."
    return out.with_name(f"{out.stem}.checkpoint.safetensors")


def _exists(checkpoint):
    return checkpoint.exists() or previous_path(checkpoint).exists()


def remove_checkpoint(
    checkpoint: Path,  # as `checkpoint_of` returns it
):
    "Remove a checkpoint, and the one before it."
    for path in (checkpoint, previous_path(checkpoint)):
        path.unlink(missing_ok=True)


def check_unfinished(
    out: Path,  # the model file of a training that begins
    resume: bool,  # whether to continue an unfinished training
    overwrite: bool,  # whether to start anew, which removes its checkpoint
):
    "Raise `ResumeError` for an unfinished training without one of these options, or for `resume` without one."
    checkpoint = checkpoint_of(out)
    if resume and not _exists(checkpoint):
        state = "its training is complete" if out.exists() else "no training of it was begun, or none wrote one"
        raise ResumeError(f"{out} has no checkpoint {checkpoint.name} to resume from: {state}; leave out --resume")
    if overwrite:
        remove_checkpoint(checkpoint)
    elif _exists(checkpoint) and not resume:
        raise ResumeError(
            f"{checkpoint} is an unfinished training; pass --resume to continue it, --overwrite to start anew, "
            "or another --out"
        )


class CommandOptions(Callback):
    "Keeps the options of the command in the checkpoint. Does nothing in a fit."

    def __init__(
        self,
        args,  # parsed arguments of `charrnn train`
        plan: Plan,  # what is trained
        digest: str,  # of the text
    ):
        options = {name: value for name, value in vars(args).items() if name not in _of_one_call}
        recipe = asdict(plan.recipe) if args.recipe else None
        self.recorded = dict(options=options, recipe=recipe, bf16=plan.bf16, digest=digest)

    def state_dict(self) -> dict:
        "The options as JSON."
        return {"json": json.dumps(self.recorded, default=str)}

    def load_state_dict(self, state: dict):
        "Keep the options, which `read_options` has set before."


def read_options(
    args,  # parsed arguments of `charrnn train --resume`; gets the options of the checkpoint
    out: Path,  # the model file
) -> dict:  # recipe, bf16 and digest of the text
    "Set the options of the interrupted training. Raises `ResumeError` for an option that was given and differs."
    saved = SavedFit.read(checkpoint_of(out)).callback_state("command_options")
    if "json" not in saved:
        raise ResumeError(f"{checkpoint_of(out)} was not written by charrnn train; resume it with learn.resume")
    recorded = json.loads(saved["json"])
    defaults = vars(make_parser().parse_args(["train"]))
    for name, value in recorded["options"].items():
        given = getattr(args, name)
        if given not in (None, [], defaults[name]) and _plain(given) != value:
            there = "is not an option" if value is None else f"is {value}"
            raise ResumeError(
                f"{option_of(name)} {given} was given, and {there} of the interrupted training; leave it out, or start "
                "anew with --overwrite"
            )
        setattr(args, name, Path(value) if name == "from_model" and value else value)
    if args.from_model and os.path.realpath(with_suffix(args.from_model)) == os.path.realpath(out):
        raise ResumeError(f"this training replaces the model of --from, {out}, so it cannot be resumed; start it again")
    return recorded


def _plain(value):
    return str(value) if isinstance(value, Path) else value


@contextmanager
def training_lock(
    out: Path,  # the model file of a training
) -> Iterator[None]:
    "Let one process train a model file at a time. Raises `ModelFileError`, which names the other process."
    # not the lock of the file itself, which callbacks hold during a fit
    with only_writer(out, ModelFileError, "training.lock"):
        yield
