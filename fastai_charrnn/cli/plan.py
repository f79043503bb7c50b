"""What `charrnn train` trains and for how long: the recipe for the text's size, changed by the options given."""

import inspect
from dataclasses import dataclass

from ..data.loaders import CharDataLoaders
from ..errors import ArchError
from ..learner import CharLearner
from ..models.build import count_parameters
from ..models.registry import get_arch
from ..recipes.best import BestRecipe, DefaultRecipe, best_recipe, default_recipe
from .generate import epochs

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    "A recipe, and how long to train by it."

    recipe: DefaultRecipe | BestRecipe
    seed: int  # fixes the split, weights, order and dropout
    minutes: float | None = None  # train by the clock; None: by epochs

    def dls(
        self,
        text: str,  # what to train on
        **kwargs,  # as `CharDataLoaders.from_text`
    ) -> CharDataLoaders:
        "The text as the recipe reads it."
        return self.recipe.dls(text, seed=self.seed, **kwargs)

    def count_parameters(
        self,
        dls: CharDataLoaders,  # as `dls` makes them
    ) -> int:
        "How many weights the model has, before it takes memory."
        r = self.recipe
        config = dict(n_hid=r.n_hid, emb_sz=r.emb_sz) | r.config
        seq_len = None if dls.stateful else dls.seq_len
        return count_parameters(r.arch, len(dls.vocab), config, seq_len) * getattr(r, "n_models", 1)

    def learner(
        self,
        dls: CharDataLoaders,  # as `dls` makes them
        **kwargs,  # as `char_learner`
    ) -> CharLearner:
        "The untrained learner."
        return self.recipe.learner(dls, seed=self.seed, **kwargs)

    def fit(
        self,
        learn: CharLearner,  # as `learner` makes it
        cbs: list,  # further callbacks
    ):
        "Train by the clock or by epochs."
        if self.minutes:
            learn.fit_minutes(self.minutes, self.recipe.lr, cbs=cbs)
        else:
            self.recipe.fit(learn, seed=self.seed, cbs=cbs)

    @property
    def length(self) -> str:
        "How long it trains, in words."
        return f"{self.minutes:g} minutes" if self.minutes else epochs(self.recipe.epochs)

    def __str__(self) -> str:
        "The choices in one line."
        several = f"{n} networks of " if (n := getattr(self.recipe, "n_models", 1)) > 1 else ""
        return f"{self.recipe.arch}, {several}{self.recipe.n_hid} hidden units, {self.length}"


_fields = ("n_hid", "emb_sz", "seq_len", "bs", "lr", "epochs", "stride", "target", "stateful")


def make_plan(
    args,  # parsed arguments of `charrnn train`
    n_chars: int,  # characters of the text
) -> Plan:
    """The recipe for the text's size, or the best one for `--minutes`, with what the options change.

    Raises `ArchError` for an unknown architecture, or an option that it does not have."""
    if args.recipe:
        minutes = args.minutes or 5.0
        return Plan(best_recipe(minutes), args.seed, minutes)
    recipe = default_recipe(n_chars)
    arch = get_arch(args.arch.lower()).name if args.arch else recipe.arch
    config = {k: v for k in ("n_layers", "output_p") if (v := getattr(args, k)) is not None}
    _check_takes(arch, config)
    changes = {k: getattr(args, k) for k in _fields}
    # a target is that of windows, unless streams are asked for
    if args.target and not args.stateful:
        changes["stateful"] = False
    valid = None if args.valid == "tail" else args.valid
    return Plan(recipe.but(arch=arch, config=config, valid=valid, **changes), args.seed, args.minutes)


def _check_takes(arch, config):
    takes = inspect.signature(get_arch(arch).cls).parameters
    if any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        return
    if odd := [k for k in config if k not in takes]:
        raise ArchError(f"{arch} has no --{odd[0].replace('_', '-')}; leave it out, or choose another --arch")
