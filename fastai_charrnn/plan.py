"""What `charrnn train` trains and for how long: the choices for the text's size, changed by the options given."""
import inspect
from dataclasses import dataclass,field,replace

from .archs import get_arch
from .data import CharDataLoaders
from .errors import ArchError
from .learner import CharLearner,char_learner
from .light_commands import epochs
from .modelfile import count_parameters
from .recipes import best_recipe

__all__ = ["Plan", "WindowRecipe", "make_plan"]


@dataclass(frozen=True)
class WindowRecipe:
    "A network that reads windows of characters, as those of lesson 6 do."
    arch:str = "rnn"
    n_hid:int = 256
    emb_sz:int = 42
    config:dict = field(default_factory=dict)
    n:int = 8
    bs:int = 512
    epochs:int = 4
    lr:float = 5e-3
    target:str = "next"
    stride:int|None = None

    def dls(self,
        text:str, # what to train on
        **kwargs # as `CharDataLoaders.from_text`
    ) -> CharDataLoaders:
        "Windows of the text."
        return CharDataLoaders.from_text(text, n=self.n, bs=self.bs, target=self.target, stride=self.stride, **kwargs)

    def learner(self,
        dls:CharDataLoaders, # as `dls` makes them
        **kwargs # as `char_learner`
    ) -> CharLearner:
        "The untrained learner."
        return char_learner(dls, self.arch, n_hid=self.n_hid, emb_sz=self.emb_sz, config=self.config, **kwargs)

    def fit(self,
        learn:CharLearner, # as `learner` makes it
        cbs:list|None=None # further callbacks
    ):
        "Train with the one-cycle policy."
        learn.fit_one_cycle(self.epochs, self.lr, cbs=cbs)


@dataclass(frozen=True)
class Plan:
    "A recipe, the data that it reads, and how long it trains."
    recipe:object # with `dls`, `learner` and `fit`
    data:dict = field(default_factory=dict) # further arguments of `CharDataLoaders.from_text`
    minutes:float|None = None # train by the clock; None: by epochs

    def dls(self, text:str, **kwargs) -> CharDataLoaders:
        "The text as this recipe reads it."
        return self.recipe.dls(text, **self.data, **kwargs)

    def count_parameters(self, dls:CharDataLoaders) -> int:
        "How many weights the model has, before it takes memory."
        config = dict(n_hid=self.recipe.n_hid, emb_sz=self.recipe.emb_sz) | self.recipe.config
        window = None if dls.stateful else dls.window
        return count_parameters(self.recipe.arch, len(dls.vocab), config, window)*getattr(self.recipe, "n_models", 1)

    def learner(self, dls:CharDataLoaders, **kwargs) -> CharLearner:
        "The untrained learner."
        return self.recipe.learner(dls, **kwargs)

    def fit(self, learn:CharLearner, cbs:list):
        "Train by the clock or by epochs."
        if self.minutes: learn.fit_minutes(self.minutes, self.recipe.lr, cbs=cbs)
        else: self.recipe.fit(learn, cbs=cbs)

    @property
    def length(self) -> str:
        "How long it trains, in words."
        return f"{self.minutes:g} minutes" if self.minutes else epochs(self.recipe.epochs)

    def __str__(self) -> str:
        "The choices, in words."
        return f"{self.recipe.arch}, {self.recipe.n_hid} hidden units, {self.length}"


_fields = ("n_hid", "emb_sz", "n", "bs", "lr", "epochs")


def make_plan(
    args, # parsed arguments of `charrnn train`
    n_chars:int # characters of the text
) -> Plan:
    """The recipe for the text's size, or the best for `--minutes`, with what the options change.

    Raises `ArchError` for an unknown architecture."""
    if args.recipe:
        minutes = args.minutes or 5.
        return Plan(best_recipe(minutes), minutes=minutes)
    changes = {k: getattr(args, k) for k in _fields if getattr(args, k) is not None}
    config = {k: v for k in ("n_layers", "dropout") if (v := getattr(args, k)) is not None}
    if args.arch: changes["arch"] = get_arch(args.arch.lower()).name
    recipe = _window_recipe(args, changes)
    _check_takes(changes.get("arch", recipe.arch), config)
    recipe = replace(recipe, config=recipe.config | config, **changes)
    return Plan(recipe, dict(valid=args.valid, seed=args.seed), args.minutes)


def _window_recipe(args, changes):
    n = 3 if changes.get("arch") == "char3" else 8
    return WindowRecipe(n=n, target=args.target or "next", stride=args.stride)


def _check_takes(arch, config):
    takes = inspect.signature(get_arch(arch).cls).parameters
    if odd := [k for k in config if k not in takes]:
        raise ArchError(f"{arch} has no --{odd[0].replace('_', '-')}; leave it out, or choose another --arch")
