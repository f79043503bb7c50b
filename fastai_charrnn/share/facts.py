"""What a model card tells about a model: `model_facts` collects it from a learner or from a model file.

A learner that has its text is validated as it is now, and n-grams are counted in its text. A model file, and a learner
that was loaded from one, have the numbers that were logged in training. The files of pretrained models have the loss of
n-grams, others have none. Nothing is estimated.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from .._checks import check_number, check_seed, shown
from .._utils import count_weights
from ..analysis.ngrams import MAX_COUNTED, NgramScore, ngram_baseline
from ..data.window_dl import WindowDL
from ..errors import ShareError
from ..generation.methods import TextMethods
from ..io.format import describe_model
from ..io.generator import load_generator
from ..io.model_file import has_text, learner_description
from ..learner import CharLearner

__all__ = ["ModelFacts", "model_facts"]

# losses that are nats per character: the negative log-likelihood
_nat_losses = ("CharNLLLoss", "CrossEntropyLossFlat", "nll_loss", "cross_entropy", "NLLLoss", "CrossEntropyLoss")


@dataclass(frozen=True)
class ModelFacts:
    "What is known about a model. None where it is not known."

    writer: TextMethods  # what writes a sample: the learner, or a generator
    description: dict  # as in a model file, see `io.format`
    n_weights: int  # numbers that were trained
    nats: float | None  # mean loss per character on the validation part
    accuracy: float | None  # the part of the characters that were the most likely ones
    is_measured: bool  # whether these were measured now, not after the last epoch
    ngrams: NgramScore | None  # the best n-grams on the same characters
    seed: int | None
    minutes: float | None  # that the training took

    @property
    def is_held_out(self) -> bool:
        "Whether the validation part shares no characters with the training part, and is more than one window."
        split = self.description["data"].get("split", "")
        return bool(split) and not split.startswith(("random", "only the last window"))


def model_facts(
    model: CharLearner | str | Path,  # a learner, or a model file
    ngrams: NgramScore | None = None,  # n-grams on the same validation part; None: counted if there is a text
    seed: int | None = None,  # of the training; None: that of the learner or the file
    minutes: float | None = None,  # that the training took
) -> ModelFacts:
    """Collect what is known about a model.

    Raises `ModelFileError` for a learner that no file can hold and for a file that is not one of ours, `ShareError` for
    other arguments."""
    _check(ngrams, seed, minutes)
    if isinstance(model, (str, Path)):
        writer = load_generator(model, "cpu")
        description = describe_model(model)
        row = None
    else:
        description = learner_description(model)
        writer = model
        row = _validated(model) if _can_validate(model) else None
        ngrams = _counted(model) if ngrams is None else ngrams
    ngrams = _recorded(description["data"]) if ngrams is None else ngrams
    is_measured = row is not None
    training = description["training"]
    row = row or (training.get("log") or [{}])[-1]
    nats = _nats(row, training.get("loss"))
    return ModelFacts(
        writer=writer,
        description=description,
        n_weights=count_weights(writer.model),
        nats=nats,
        accuracy=_finite(row.get("accuracy")),
        is_measured=is_measured,
        ngrams=None if nats is None else ngrams,
        seed=training.get("seed") if seed is None else seed,
        minutes=minutes,
    )


def _check(ngrams, seed, minutes):
    if ngrams is not None and not isinstance(ngrams, NgramScore):
        raise ShareError(f"ngrams={shown(ngrams)} is not a score; pass ngram_baseline(dls).best")
    if seed is not None:
        check_seed("seed", seed, 64, ShareError)
    if minutes is not None:
        check_number("minutes", minutes, error=ShareError, inside=True)


def _can_validate(learn):
    return has_text(learn) and len(learn.dls.loaders) > 1 and len(learn.dls[1]) > 0


def _validated(learn):
    "The numbers of the learner as it is now, by the names of a training log."
    with learn.no_bar(), learn.no_logging():
        loss, *metrics = learn.validate()
    return dict(zip(learn.metrics.attrgot("name"), metrics)) | dict(valid_loss=loss)


def _counted(learn):
    "The best n-grams of the learner's text, if it is a text of ours."
    if not _can_validate(learn) or not isinstance(learn.dls.train, WindowDL):
        return None
    return ngram_baseline(learn.dls, max_chars=MAX_COUNTED).best


def _recorded(data):
    "The n-grams that a model file tells of."
    if "ngram_loss" not in data or "ngram_context" not in data:
        return None
    nats = data["ngram_loss"]
    return NgramScore(data["ngram_context"], nats, nats / math.log(2))


def _nats(row, loss):
    "The mean negative log-likelihood of a row, or None: a loss of another kind is no number of nats."
    if loss in _nat_losses:
        return _finite(row.get("valid_loss"))
    bits = _finite(row.get("bits_per_char"))
    return None if bits is None else bits * math.log(2)


def _finite(value):
    "The number, or None for none and for NaN."
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None
