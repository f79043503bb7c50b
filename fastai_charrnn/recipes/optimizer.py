"""The optimizer of the recipes: AdamW that decays only the matrices between layers.

learn = char_learner(dls, "gru", opt_func=adamw, splitter=decay_groups)
learn.fit_one_cycle(2, 5e-3)
"""

import torch
from fastai.optimizer import OptimWrapper
from torch import nn

__all__ = ["adamw", "decay_groups"]


def adamw(
    params: list,  # the two groups of `decay_groups`
    lr: float = 1e-3,  # learning rate
    wd: float = 0.1,  # weight decay of the first group
    **kwargs,  # as `torch.optim.AdamW`
) -> OptimWrapper:
    "PyTorch's fused AdamW as a fastai optimizer. Only the first group decays (Loshchilov & Hutter 2019)."
    decay, no_decay = map(list, params)
    groups = [dict(params=decay, weight_decay=wd), dict(params=no_decay, weight_decay=0.0)]
    kwargs.setdefault("betas", (0.9, 0.99))
    kwargs.setdefault("fused", True)
    return OptimWrapper(groups, opt=torch.optim.AdamW, lr=lr, **kwargs)


def decay_groups(
    model: nn.Module,  # any model
) -> list[list[nn.Parameter]]:  # matrices between layers; all other parameters
    "Split the parameters for `adamw`: embedding, output layer, norms and biases do not decay."
    no_decay = set(_embedding_and_output(model))
    decay = []
    for p in model.parameters():
        if p.dim() < 2:
            no_decay.add(p)
        elif p not in no_decay:
            decay.append(p)
    return [decay, [p for p in model.parameters() if p in no_decay]]


def _embedding_and_output(model):
    "Parameters of the embeddings and output layers. An ensemble has several of each."
    for module in model.modules():
        if hasattr(module, "emb") and hasattr(module, "out"):
            yield from module.emb.parameters()
            yield from module.out.parameters()
