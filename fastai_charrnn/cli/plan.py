"""Choose what `charrnn train` trains and for how long: a recipe for the size of the text, changed by the options."""

from collections.abc import Sequence
from dataclasses import dataclass

from .._deadline import Deadline
from ..data.loaders import CharDataLoaders
from ..learner import CharLearner
from ..models.registry import check_takes, get_arch
from ..recipes.best import BestRecipe, best_recipe
from ..recipes.default import DefaultRecipe, default_recipe
from .checks import training_minutes
from .generate import epochs_text

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    "A recipe, and how long to train."

    recipe: DefaultRecipe | BestRecipe
    seed: int  # fixes the split, weights, order and dropout
    minutes: float | None = None  # time to train; None: the epochs of the recipe
    continues: bool = False  # whether a trained model is trained further
    bf16: bool | None = None  # with `minutes`: whether to compute in bfloat16

    def dls(
        self,
        text: str | Sequence[str],  # the text or the documents to train on
        **kwargs,  # as `CharDataLoaders.from_text`
    ) -> CharDataLoaders:
        "The data loaders of the recipe."
        return self.recipe.dls(text, seed=self.seed, **kwargs)

    @property
    def _n_models(self):
        return getattr(self.recipe, "n_models", 1)

    @property
    def why(self) -> str:
        "Why the recipe chose this, as another line; empty for a recipe that does not say."
        why = getattr(self.recipe, "why", "")
        return f"\nchosen {why}" if why else ""

    def learner(
        self,
        dls: CharDataLoaders,  # made by `dls`
        **kwargs,  # as `char_learner`
    ) -> CharLearner:
        "The untrained learner."
        return self.recipe.learner(dls, seed=self.seed, **kwargs)

    def fit(
        self,
        learn: CharLearner,  # made by `learner`
        cbs: list,  # further callbacks
        deadline: Deadline | None = None,  # when to be done, with `minutes`; None: `minutes` from now
    ):
        "Train for `minutes` or for the epochs of the recipe."
        if isinstance(self.recipe, BestRecipe):
            self.recipe.fit(learn, bf16=self.bf16, cbs=cbs, deadline=deadline)
        elif self.minutes:
            learn.fit_minutes(self.minutes, self.recipe.lr, bf16=self.bf16, cbs=cbs, deadline=deadline)
        else:
            self.recipe.fit(learn, seed=self.seed, cbs=cbs)

    @property
    def length(self) -> str:
        "The length of training, in words."
        return f"{self.minutes:g} minutes" if self.minutes else epochs_text(self.recipe.epochs)

    def __str__(self) -> str:
        "The choices in one line."
        n_models = f"{self._n_models} networks of " if self._n_models > 1 else ""
        last = ", the last of which learns from the others" if getattr(self.recipe, "one_network", False) else ""
        return (
            f"{self.recipe.arch}, {n_models}{self.recipe.n_hid} hidden units{last if n_models else ''}, {self.length}"
        )


# fields of a recipe that an option of the same name changes
_fields = ("n_hid", "emb_sz", "seq_len", "bs", "lr", "epochs", "stride", "target", "stateful")


def make_plan(
    args,  # parsed arguments of `charrnn train`
    n_chars: int,  # length of the text
) -> Plan:
    """Choose the recipe for the size of the text, or the best one for `--minutes`, and apply the options.

    Raises `ArchError` for an unknown architecture, or for an option that the architecture does not have."""
    if args.recipe:
        minutes = training_minutes(args)
        recipe = best_recipe(minutes, n_chars, device=args.device, one_network=bool(args.one_network))
        return Plan(recipe, args.seed, minutes)
    recipe = default_recipe(n_chars)
    arch = get_arch(args.arch.lower()) if args.arch else get_arch(recipe.arch)
    config = _given(args, ("n_layers", "output_p"))
    check_takes(arch.cls, config)
    changes = _given(args, _fields)
    # a target belongs to windows, unless streams are asked for
    if args.target and not args.stateful:
        changes["stateful"] = False
    # several documents are split by documents, also as streams
    if args.valid and args.valid[0] in ("random", "blocks", "last") and len(args.files) < 2:
        changes["valid"] = args.valid[0]
    return Plan(recipe.but(arch=arch.name, config=config, **changes), args.seed, args.minutes)


def _given(args, names):
    "The options that were given, by name."
    return {name: value for name in names if (value := getattr(args, name)) is not None}
