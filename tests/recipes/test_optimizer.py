"""`adamw` decays only the matrices between layers."""

import pytest
from torch import nn

from fastai_charrnn.all import best_recipe, human_numbers
from fastai_charrnn.recipes.optimizer import adamw, decay_groups


# a single network, and an ensemble
@pytest.mark.parametrize("minutes", [3, 8])
def test_only_matrices_between_layers_decay(minutes):
    recipe = best_recipe(minutes, speed=1)
    learn = recipe.learner(recipe.dls(human_numbers()[:12000], device="cpu"))
    learn.create_opt()
    decay, no_decay = ({id(p) for p in group["params"]} for group in learn.opt.opt.param_groups)
    names = {id(p): name for name, p in learn.model.named_parameters()}
    assert {names[p].split(".")[-3] for p in decay} == {"inp", "hid"}
    assert len(decay) == 2 * recipe.n_models
    assert not any("bias" in names[p] for p in decay)
    assert decay | no_decay == set(names)
    assert [group["weight_decay"] for group in learn.opt.opt.param_groups] == [recipe.wd, 0]
    groups = decay_groups(learn.model)
    assert len(groups[0]) == len(decay)
    assert adamw(groups, 1e-3).hypers[0]["lr"] == 1e-3


def test_embedding_and_output_layer_of_any_model_do_not_decay():
    model = nn.ModuleDict(dict(emb=nn.Embedding(5, 4), mid=nn.Linear(4, 4), out=nn.Linear(4, 5)))
    assert [id(p) for p in decay_groups(model)[0]] == [id(model["mid"].weight)]
