"""`SavedFit`: the content of a checkpoint, and what it says about a fit."""

from contextlib import contextmanager
from pathlib import Path

from fastai.basics import Learner
from torch import Tensor

from .._printable import printable
from ..errors import CharRnnError, ModelFileError
from .checkpoint import CheckpointCallback
from .checkpoint_file import checkpoint_path, read_checkpoint
from .fit_state import FORMAT, Position, own_state, rank_tensors, restore
from .plain_state import decode

__all__ = ["SavedFit"]


class SavedFit:
    "The state of a training, as a checkpoint holds it."

    def __init__(
        self,
        tensors: dict[str, Tensor],  # by name
        state: dict,  # of the types of JSON
    ):
        if state.get("format") != FORMAT:
            raise ModelFileError(
                f"the checkpoint has format {state.get('format')!r} and this version reads {FORMAT}; "
                "resume with the version of fastai_charrnn that wrote it"
            )
        self.tensors = tensors
        self.state = state
        self.position = Position(**state["position"])

    @classmethod
    def read(
        cls,
        path: str | Path,  # a checkpoint
    ) -> "SavedFit":
        "Read a checkpoint. Raises `ModelFileError`."
        with _only_file_errors():
            return cls(*read_checkpoint(checkpoint_path(path)))

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

    def random_before(self) -> dict:
        "PyTorch's random states before the fit."
        return decode(own_state(self.state)["random_before"], rank_tensors(self.tensors))

    def restore(
        self,
        learn: Learner,  # in a fit, with its callbacks
    ):
        "Set the whole state of the learner."
        with _only_file_errors():
            restore(learn, self.tensors, self.state)
            for cb in learn._grab_cbs(CheckpointCallback):
                cb.load_state_dict(self.progress())


@contextmanager
def _only_file_errors():
    "Turn the errors of a checkpoint with a wrong content into `ModelFileError`."
    try:
        yield
    except CharRnnError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as e:
        raise ModelFileError(
            f"the checkpoint cannot be used ({type(e).__name__}: {printable(str(e), 200)}); "
            "resume with the versions of fastai_charrnn and PyTorch that wrote it"
        ) from e
