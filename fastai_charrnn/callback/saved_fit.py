"""`SavedFit`: the content of a checkpoint, and what it says about a fit."""

from pathlib import Path

from fastai.basics import Learner
from torch import Tensor

from .._printable import printable
from ..errors import CharRnnError, ModelFileError
from ..state.checkpoint_file import checkpoint_path, read_checkpoint
from ..state.fit import FORMAT, STAGES, Position, own_state, rank_tensors, restore
from ..state.values import decode
from .checkpoint import CheckpointCallback

__all__ = ["SavedFit", "CONTENT_ERRORS", "unusable"]

# what a wrong content raises
CONTENT_ERRORS = (*(LookupError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError, AssertionError),)


class SavedFit:
    "The state of a training, as a checkpoint holds it."

    def __init__(
        self,
        tensors: dict[str, Tensor],  # by name
        state: dict,  # of the types of JSON
    ):
        if state.get("format") != FORMAT:
            found = printable(repr(state.get("format")), max_len=50)
            raise ModelFileError(
                f"the checkpoint has format {found} and this version reads {FORMAT}; "
                "resume with the version of fastai_charrnn that wrote it"
            )
        self.tensors = tensors
        self.state = state
        self.position = _position(state["position"])
        if len(self.fits) <= self.position.fit or not all(isinstance(fit, dict) for fit in self.fits):
            raise ValueError("its position is in a fit that it does not have")

    @classmethod
    def read(
        cls,
        path: str | Path,  # a checkpoint
    ) -> "SavedFit":
        "Read a checkpoint. Raises `ModelFileError`."
        try:
            return cls(*read_checkpoint(checkpoint_path(path)))
        except CharRnnError:
            raise
        except CONTENT_ERRORS as e:
            raise unusable(e) from e

    @property
    def fits(self) -> list[dict]:
        "The records of the fits, the last one included that the checkpoint was written in."
        return self.state["fits"]

    def is_finished(
        self,
        fit: int,  # the number of a fit, from 0
    ) -> bool:
        "Whether a fit was over when the checkpoint was written."
        return fit < self.position.fit or (fit == self.position.fit and self.position.stage == "finished")

    def progress(self) -> dict:
        "What the `CheckpointCallback` noted: the `rows` printed and the `epoch_start`."
        return decode(own_state(self.state)["progress"], rank_tensors(self.tensors))

    def row_after(
        self,
        fit: int,  # the number of a finished fit, from 0
    ) -> dict[str, float]:
        "The row of the training log that followed a fit, such as that of `fit_minutes`."
        log = own_state(self.state)["callbacks"]["training_log"]["attributes"]
        return decode(log["rows"], rank_tensors(self.tensors))[self.fits[fit]["rows"]]

    def callback_state(
        self,
        name: str,  # of a callback of the learner
    ) -> dict:
        "What the `state_dict` of a callback returned; empty if there was no such callback."
        state = own_state(self.state)["callbacks"].get(name, {})
        return decode(state["state_dict"], rank_tensors(self.tensors)) if "state_dict" in state else {}

    def random_before(self) -> dict:
        "PyTorch's random states before the fit."
        return decode(own_state(self.state)["random_before"], rank_tensors(self.tensors))

    def restore(
        self,
        learn: Learner,  # in a fit, with its callbacks
    ):
        "Set the whole state of the learner."
        restore(learn, self.tensors, self.state)
        for cb in learn._grab_cbs(CheckpointCallback):
            cb.load_state_dict(self.progress())


def _position(saved):
    "The position in a checkpoint. Raises `ValueError` if it is none."
    position = Position(**saved)
    numbers = (position.fit, position.epoch, position.batch)
    if position.stage not in STAGES or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError("its position is not one of a training")
    return position


def unusable(
    error: Exception,  # one of `CONTENT_ERRORS`
) -> ModelFileError:  # what to raise instead
    "The error for a checkpoint whose content is wrong, although its checksum is right."
    return ModelFileError(
        f"training cannot continue from the checkpoint ({type(error).__name__}: {printable(str(error), max_len=200)}); "
        "if the error is not of a callback of yours, use the versions of fastai_charrnn and PyTorch that wrote it"
    )
