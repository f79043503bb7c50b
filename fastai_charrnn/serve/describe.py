"""Models to serve, from files and learners: `load_served` checks them all before the server begins."""

import os
from collections.abc import Sequence
from pathlib import Path

from .._printable import printable
from .._utils import arch_name, unwrap_model
from ..errors import ModelFileError, ServeError
from ..generation.char_view import char_view
from ..generation.model_view import weights_copy
from ..io.generator import CharGenerator
from ..io.model_file import load_model
from ..learner import CharLearner
from ..models.base import CharModel
from ..page.examples import example_texts, named_units, page_text, stored_examples
from ..page.facts import page_facts
from .facts import plain_facts
from .served_model import ServedModel

__all__ = ["load_served"]

_max_models = 8  # side by side


def load_served(
    models: Sequence[CharLearner | str | Path],  # learners, or model files
) -> list[ServedModel]:
    """Load models, each as it is now: a learner can be trained further.

    Raises `ModelFileError` for a file that is not a model, `ServeError` for no models or more than 8."""
    if not models or len(models) > _max_models:
        raise ServeError(f"{len(models)} models cannot be shown side by side; pass 1 to {_max_models}")
    names = _names(models)
    return [_served(_loaded(model), name) for model, name in zip(models, names)]


def _loaded(model):
    if isinstance(model, (str, os.PathLike)):
        return load_model(model)
    if not isinstance(model, CharLearner):
        raise ServeError(f"a model is a learner or a file of one, not {type(model).__name__}; pass char_learner(…)")
    return model


def _served(learn, name):
    view = char_view(learn)
    # a copy: the learner may be trained further
    generator = CharGenerator(weights_copy(unwrap_model(view.model)), view.dls.vocab, learn.dls.seq_len)
    return ServedModel(generator, _info(learn, view.dls.vocab, name))


def _info(learn, vocab, name):
    "What the page shows of a model, as JSON values."
    text = page_text(learn)
    prompts, units = stored_examples(learn)
    stateful = learn.dls.mode == "streams"
    return dict(
        name=name,
        vocab=["", *vocab.itos[1:]],
        mode=learn.dls.mode,
        seqLen=None if stateful else learn.dls.seq_len,
        archs=[arch_name(learn)],
        facts=_facts(learn),
        units=_named_units(learn, text) if text else units,
        prompts=example_texts(text) if text else prompts,
    )


def _named_units(learn, text):
    "Units that track something; none for a model without units of its own."
    return named_units(learn, text) if isinstance(unwrap_model(learn.model), CharModel) else []


def _facts(learn):
    try:
        return page_facts(learn)
    except ModelFileError:
        # a model that no file can hold
        return plain_facts(learn)


def _names(models):
    "A name for each model: that of its file. Names that occur twice get a number."
    names = [printable(_name(model), max_len=60) for model in models]
    counts = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    numbers = {}
    result = []
    for name in names:
        numbers[name] = numbers.get(name, 0) + 1
        result.append(f"{name} ({numbers[name]})" if counts[name] > 1 else name)
    return result


def _name(model):
    if isinstance(model, (str, os.PathLike)):
        return Path(model).stem
    return getattr(getattr(model, "arch", None), "name", None) or "model"
