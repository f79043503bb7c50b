"""Random calls of the public functions, from their signatures: `try_one`, which tests and `make soak` run.

An argument is sensible or odd. A call must raise an error of this package, or give what a slow version gives
(`random_checks`). TypeErrors are failures too, because all arguments have names that the function takes.
"""

import inspect
import random
from collections.abc import Callable
from contextlib import chdir
from functools import cache
from pathlib import Path

import numpy as np
from bad_place import TEXT, make_names, quiet, write_files
from random_checks import CHECKS

from fastai_charrnn.errors import CharRnnError

FUNCTIONS = """
CharDataLoaders.from_text CharDataLoaders.from_file CharDataLoaders.from_files CharDataLoaders.from_df read_text
encode_file CharVocab CharVocab.from_text CharVocab.from_json dls.vocab.encode dls.vocab.decode dls.vocab.nearest
char_learner learn.fit learn.fit_one_cycle learn.set_lrs learn.evaluate every_learn.evaluate streams_learn.evaluate
learn.validate learn.get_preds learn.dls.test_dl dynamic_evaluation extend_vocab ngram_baseline
learn.generate streams_learn.generate learn.predict_next every_learn.predict_next streams_learn.predict_next
learn.predict learn.next_probs every_learn.next_probs streams_learn.next_probs learn.score streams_learn.score
GenerationConfig PredictNextCallback plot_arch plot_embeddings plot_next plot_over_text sample_report loop_period
connectivity connectivity_map plot_connectivity plot_connectivity_map plot_text plot_surprise compare confusion
plot_confusion hidden_states find_units plot_units gates plot_gates save_model describe_model
""".split()
# functions of which most calls are made, because they have many options
OFTEN = (
    "learn.generate",
    "CharDataLoaders.from_text",
    "learn.evaluate",
    "learn.predict_next",
    "streams_learn.generate",
)
CHANGE_LEARNER = ("learn.fit", "learn.fit_one_cycle", "learn.set_lrs")
# what fastai does with these is not checked, or they would write outside of the folder
LEFT_OUT = {"self", "cbs", "path", "model_dir", "default_cbs", "train_bn", "wd_bn_bias", "loss_func", "opt_func"}
LEFT_OUT |= {"splitter", "metrics", "config", "device", "fname", "cache", "inner", "ax", "act", "save_preds"}

ODD = (None, True, False, 0, -1, 1, 2, 3, 7, 1.5, 0.5, float("nan"), float("inf"), 10**30, -(10**30), 2**64, 5e-324)
ODD += ("x", "", "\0", "\ud800", "e\u0301", "the\r\n", b"x", [], [None], ["the"], {}, (), [1, 2], slice(None), object())
ODD += (np.int64(3), np.float32(0.5), np.array([1, 2]), np.float64("nan"), Path("missing.txt"), 10**400)

SENSIBLE: dict[str, tuple] = dict(
    n=(0, 1, 5, np.int64(4)),
    temperature=(0, 0.5, 1, 2, np.float32(0.5)),
    top_k=(1, 5, 40),
    top_p=(0.0, 0.5, 1),
    min_p=(0.0, 0.1, 1),
    repetition_penalty=(0.5, 1, 1.3),
    stop=("e", ["o", " q"], lambda text: len(text) > 2),
    seed=(0, 1, 2**63),
    num=(1, 2, 3),
    beam=(1, 3),
    unk=("error", "skip", "e"),
    bs=(1, 3, 16, 200),
    val_bs=(1, 5, 4000),
    by=("windows", "chunks", "streams"),
    seq_len=(1, 2, 8, 30),
    stride=(1, 2, 9),
    valid=("tail", "random", "blocks", "last", [1, 2]),
    valid_pct=(0.1, 0.3),
    target=("next", "every"),
    n_hid=(4, 8),
    emb_sz=(4, 8),
    arch=("rnn", "gru", "mullstm", "lstm"),
    lr=(1e-3, slice(1e-4, 1e-3), 0),
    lr_max=(1e-3, slice(1e-4, 1e-3)),
    n_epoch=(0, 1),
    segment=(5, 20),
    max_context=(1, 3),
    encoding=("utf-8", "latin-1"),
)


def try_one(
    rng: random.Random,  # decides everything
    folder: Path,  # where files are written
) -> str:  # the kind of the outcome
    "Make a random call. Raises `AssertionError` for another outcome than an error of this package or a right result."
    name = rng.choice(OFTEN) if rng.random() < 0.5 else rng.choice(FUNCTIONS)
    with chdir(folder), quiet():
        if not Path("text.txt").exists():
            write_files()
        try:
            return _outcome(name, _names(), rng)
        finally:
            if name in CHANGE_LEARNER:
                # the next try needs its own
                _names.cache_clear()


def _outcome(name, names, rng):
    function = eval(name, names)
    arguments = _arguments(function, names, rng)
    try:
        result = function(**arguments)
        if arguments.get("stream"):
            result = "".join(next(result, "") for _ in range(60))
    except CharRnnError:
        return "a typed error"
    except Exception as e:
        raise AssertionError(f"{name}({arguments}) raises {type(e).__name__}: {e}") from e
    owner, _, method = name.rpartition(".")
    check = CHECKS.get("vocabulary" if owner == "CharVocab" else method)
    if check is None:
        return "a result"
    check(eval(owner or "None", names), arguments, result)
    return "a right result"


@cache
def _names():
    return make_names()


def _arguments(function: Callable, names: dict, rng: random.Random) -> dict:
    "Arguments by name: the required ones, and some others."
    if function.__name__ == "test_dl":
        # the others are those of fastai's loaders
        return dict(test_items=rng.choice([*ODD[3:], [_snippet(rng)], _snippet(rng)]))
    found = {}
    is_calm = rng.random() < 0.6  # whether odd values are rare
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        is_required = parameter.default is parameter.empty
        if name in LEFT_OUT and not is_required:
            continue
        if is_required or rng.random() < 0.3:
            # any object is true or false in Python
            is_odd = rng.random() < (0.05 if is_calm else 0.4) and not isinstance(parameter.default, bool)
            found[name] = rng.choice(ODD) if is_odd else _sensible(name, parameter, names, rng)
    if "fname" in inspect.signature(function).parameters and "prompts" not in inspect.signature(function).parameters:
        found["fname"] = rng.choice(("text.txt", "crlf.txt", "nul.txt", "latin-1.txt", *ODD))
    return found


def _sensible(name, parameter, names, rng):
    "A value that the parameter can have."
    if name in ("prompt", "text", "inp", "texts", "corpus", "items", "char", "chars", "valid_text"):
        texts = [_snippet(rng) for _ in range(rng.randint(1, 3))]
        return rng.choice([texts[0], texts, TEXT[: rng.randint(0, len(TEXT))]])
    if name in ("dls", "learn", "df"):
        return names[name]
    if name in SENSIBLE:
        return rng.choice(SENSIBLE[name])
    if isinstance(parameter.default, bool):
        return rng.random() < 0.5
    return rng.choice(ODD) if parameter.default is parameter.empty else parameter.default


def _snippet(rng):
    start = rng.randrange(len(TEXT))
    return TEXT[start : start + rng.randint(0, 60)]
