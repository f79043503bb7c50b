"""Train a saved model further: `continued_plan`, for `charrnn train --from MODEL`.

The network, its window and what it predicts are those of the model. The text, its split, and for how long to train are
chosen as for a new model. Characters that the model does not know are added to its vocabulary.
"""

import warnings
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

from ..adapt import extend_vocab
from ..data.loaders import CharDataLoaders
from ..data.vocab import CharVocab
from ..errors import CharRnnWarning, ModelFileError, TrainingError
from ..io.expected_tensors import check_tensors
from ..io.format import describe_model, named_errors, open_model, with_suffix
from ..io.model_file import learner_of
from ..learner import CharLearner
from ..recipes.default import DefaultRecipe, default_recipe, fitting_streams, validation_streams
from ..recipes.optimizer import adamw, decay_groups
from .corpus import Corpus
from .documents import trained_documents, validating_documents
from .generate import epochs_text
from .plan import Plan

__all__ = ["ContinuedPlan", "continued_plan"]

# Highest learning rate of a model that is trained already. Of 7e-3, 4e-3, 2e-3 and 1e-3, each was tried for 3 epochs on
# the same text, another part of the book, and Python's manual: 4e-3 was within .01 nats of the best on all three.
_lr = 4e-3


@dataclass(frozen=True)
class ContinuedPlan(Plan):
    "Train the model of a file further."

    continues: bool = True
    path: Path = Path()  # the model file
    description: dict = field(default_factory=dict)  # what it contains
    vocab: CharVocab | None = None  # its characters, then those that only the text has
    n_added: int = 0  # how many of these
    n_epochs: int = 0  # epochs that the model was trained for

    def dls(self, text, **kwargs) -> CharDataLoaders:
        "The data loaders, which read as the model does."
        return super().dls(text, vocab=self.vocab, **kwargs)

    def learner(self, dls, **kwargs) -> CharLearner:
        "The trained learner on the new text, with its log."
        kwargs |= dict(opt_func=partial(adamw, wd=self.recipe.wd), splitter=decay_groups, seed=self.seed)
        with open_model(self.path) as file:
            if _planned(file.description) != _planned(self.description):
                raise ModelFileError(f"{self.path} was replaced by another model while the text was read; start again")
            if not self.n_added:
                learn = learner_of(file, dls=dls, **kwargs)
            else:
                # the learner that is extended has no text and is not trained
                learn = extend_vocab(learner_of(file, opt_func=kwargs.pop("opt_func")), dls, **kwargs)
        _remember_text(learn, self.description["data"])
        return learn

    def __str__(self) -> str:
        "The choices in one line."
        config = self.recipe.config
        n_models = f"{config['n_models']} networks of " if "n_models" in config else ""
        before = f"{self.path.name}, trained for {epochs_text(self.n_epochs)}"
        return f"{before}: {self.recipe.arch}, {n_models}{self.recipe.n_hid} hidden units, {self.length} more"


def continued_plan(
    args,  # parsed arguments of `charrnn train --from MODEL`
    corpus: Corpus,  # what to train on
) -> ContinuedPlan:
    "Plan to train a model file further. Raises `ModelFileError` for a file that is not a model."
    path = with_suffix(args.from_model)
    description = describe_model(path)
    with named_errors(path):
        vocab, _ = check_tensors(description)
    unknown = sorted(corpus.chars - set(vocab))
    if "\0" in unknown:
        raise TrainingError("the text contains the padding character '\\0'; remove it")
    if unknown:
        shown = "".join(unknown[:40]) + ("…" if len(unknown) > 40 else "")
        message = f"{len(unknown)} characters are new to the model and were added to its vocabulary: {shown!r}"
        warnings.warn(message, CharRnnWarning, stacklevel=2)
    return ContinuedPlan(
        _recipe(args, corpus, description),
        args.seed,
        args.minutes,
        path=path,
        description=description,
        vocab=vocab.extended("".join(unknown)) if unknown else vocab,
        n_added=len(unknown),
        n_epochs=description["training"].get("epochs", 0),
    )


def _planned(description):
    "What the plan and the data depend on."
    return [description.get(name) for name in ("arch", "config", "vocab", "seq_len", "target", "stateful", "data")]


def _recipe(args, corpus, description):
    "The recipe for the size of the text, with the network and the reading of the model."
    by_size = default_recipe(corpus.n_chars)
    config = dict(description["config"])
    stateful = description["stateful"]
    seq_len = description["seq_len"]
    bs = description["training"].get("bs", by_size.bs)
    if stateful:
        bs = fitting_streams(corpus.n_chars, seq_len, bs)
    given = {name: getattr(args, name) for name in ("bs", "lr", "epochs", "stride")}
    model = dict(arch=description["arch"], n_hid=config.pop("n_hid"), emb_sz=config.pop("emb_sz"), config=config)
    reading = dict(stateful=stateful, target=description["target"], seq_len=seq_len, bs=bs)
    reading |= (
        dict(val_bs=validation_streams(corpus.n_chars, bs))
        if stateful
        else dict(val_bs=None, stride=description["data"].get("stride"))
    )
    # a trained model needs fewer epochs than a new one
    length = dict(epochs=max(by_size.epochs // 2, 1), lr=_lr)
    choices = model | reading | length | {name: value for name, value in given.items() if value is not None}
    names = {o.name for o in fields(DefaultRecipe)}
    return DefaultRecipe(corpus.n_chars, **{name: value for name, value in choices.items() if name in names})


def _remember_text(learn, earlier):
    "Store what the model was trained on before. Warn if that includes what now validates."
    info = learn.dls.train_ds.info
    before = [{name: value for name, value in earlier.items() if name != "earlier"}, *earlier.get("earlier", ())]
    same = [o for o in before if o.get("digest") == info.get("digest") is not None]
    has_other_split = any(_valid_spans(o) is None or _valid_spans(o) != _valid_spans(info) for o in same)
    if has_other_split or trained_documents([o for o in before if o not in same]) & validating_documents(info):
        warnings.warn(
            "the model was trained on characters that now validate, so the validation loss is too low; "
            "pass the --valid and --valid-pct of its first training, or --valid FILE with another text",
            CharRnnWarning,
            stacklevel=2,
        )
    # a text that is trained on again is not listed twice
    info["earlier"] = [o for o in before if o not in same and o.get("n_chars")]


def _valid_spans(info):
    "The spans that validate as lists, which model files have; None for a split without spans."
    return [list(span) for span in info["spans"][1]] if info.get("spans") else None
