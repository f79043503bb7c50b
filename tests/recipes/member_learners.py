"""Small learners whose networks train one after the other. Used by the tests of recipes."""

from fastai.basics import Callback

from fastai_charrnn.all import python_reference
from fastai_charrnn.recipes.best import BestRecipe
from fastai_charrnn.recipes.members import MemberTraining


def make_learner(n_models, text=None, minutes=0.04):
    recipe = BestRecipe(minutes, n_hid=8, n_models=n_models, emb_sz=4, config=dict(output_p=0.1), bs=16, seq_len=32)
    learn = recipe.learner(recipe.dls(python_reference()[:60_000] if text is None else text, device="cpu"))
    return recipe, learn


def fit_members(recipe, learn, *cbs, **options):
    "As `recipe.fit`, with other callbacks and options of `MemberTraining`. Returns the callback too."
    training = MemberTraining(recipe.n_models, **options)
    with learn.no_bar(), learn.no_logging():
        row = learn.fit_minutes(recipe.minutes, recipe.lr, schedule=training.rate, cbs=[training, *cbs])
    return row, training


class Seen(Callback):
    "Notes for each batch: the network, which loaders it is from, and the part of the network's time that has passed."

    order = MemberTraining.order + 1

    def before_fit(self):
        self.all_dls = self.member_training.all_dls
        self.batches = []

    def before_batch(self):
        if self.training:
            training = self.member_training
            loaders = {"all": self.all_dls, "without": training.held.dls, "last": training.held.last_dls}
            (name,) = (name for name, dls in loaders.items() if dls.train is self.learn.dl)
            self.batches.append((training.member, name, training._done(training.t)))
