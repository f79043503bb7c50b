"""What makes the most of a given time: `best_recipe`, by name "best" on the command line.

    recipe = best_recipe(minutes=5)
    learn = recipe.learner(recipe.dls(text))
    learn.fit_minutes(recipe.minutes, recipe.lr)

Chosen by measurement on Nietzsche, two CPU cores: trained on its first 81%, compared on the 9% after it. ARCHITECTURE.md has
what was compared.
"""
from dataclasses import dataclass,field
from functools import partial

import torch
from fastai.optimizer import OptimWrapper
from torch import nn

from .data import CharDataLoaders
from .errors import DataError
from .learner import CharLearner,char_learner
from .timed import fast_bf16,time_product

__all__ = ["BestRecipe", "best_recipe", "adamw"]


def adamw(
    params:list, # the matrices that decay, and the rest, as `decaying` splits them
    lr:float=1e-3, # learning rate
    wd:float=.1, # decay of the matrices
    **kwargs # as `torch.optim.AdamW`
) -> OptimWrapper:
    "PyTorch's AdamW, fused, for fastai; only the first group decays (Loshchilov & Hutter 2019)."
    decays,rest = params
    return OptimWrapper([dict(params=list(decays), weight_decay=wd), dict(params=list(rest), weight_decay=0.)], opt=torch.optim.AdamW, lr=lr, **dict(betas=(.9, .99), fused=True) | kwargs)


def decaying(
    model:nn.Module # any
) -> list[list[nn.Parameter]]: # matrices between layers; embedding, read-out, norms and biases
    "The two groups of `adamw`."
    ends = {p for m in model.modules() if hasattr(m, "emb") and hasattr(m, "out") for p in (*m.emb.parameters(), *m.out.parameters())}
    groups:list[list[nn.Parameter]] = [[], []]
    for p in model.parameters(): groups[p.dim() < 2 or p in ends].append(p)
    return groups


@dataclass(frozen=True)
class BestRecipe:
    "An architecture with all that its training needs."
    minutes:float
    n_hid:int
    n_models:int = 1 # networks whose probabilities are averaged
    arch:str = "mullstm" # what each is
    emb_sz:int = 128
    config:dict = field(default_factory=dict) # dropouts
    bs:int = 32 # streams
    n:int = 32 # characters between two steps
    lr:float = 7e-3
    wd:float = .1
    val_bs:int = 8 # streams that validate: the fewer, the more is known before a character

    def dls(self,
        text:str, # what to learn
        **kwargs # as `CharDataLoaders.from_text`: valid_pct, vocab, device, path
    ) -> CharDataLoaders:
        "Streams, cut elsewhere every epoch; of a short text fewer."
        bs = max(min(self.bs, int(len(text)*.9)//(4*self.n)), 1)
        return CharDataLoaders.from_text(text, **dict(n=self.n, bs=bs, val_bs=min(self.val_bs, bs), target="every", stateful=True, shift=True, valid_pct=.1) | kwargs)

    def learner(self,
        dls:CharDataLoaders, # as `dls` makes them
        seed:int|None=42, # fixes weights and order
        **kwargs # as `char_learner`
    ) -> CharLearner:
        "An untrained learner; `learn.fit_minutes(recipe.minutes, recipe.lr)` trains it."
        arch,config = (self.arch,self.config) if self.n_models == 1 else ("ensemble",self.config | dict(arch=self.arch, n_models=self.n_models))
        return char_learner(dls, arch, n_hid=self.n_hid, emb_sz=self.emb_sz, config=config, opt_func=partial(adamw, wd=self.wd), splitter=decaying, seed=seed, **kwargs)


_sizes = ( # work up to which: so many networks of a width, their dropouts and weight decay. Half a million characters are then read about seven times
    (1., 1, 384, .2, .05, .1),
    (2., 1, 512, .3, .1, .1),
    (4., 1, 768, .15, .05, .5),
    (7., 2, 768, .15, .05, .5),
    (10., 3, 768, .15, .05, .5),
    (15., 4, 768, .15, .05, .5),
    (30., 4, 1024, .15, .05, .5))


def best_recipe(
    minutes:float=5., # of training
    speed:float|None=None # of this machine, where 1 is two cores of an EPYC with AVX512-BF16; None: measured
) -> BestRecipe:
    "The recipe for a time on this machine: the more it can do in it, the wider the network, and the more of them. Raises `DataError` for a time that is none."
    if not minutes > 0: raise DataError(f"minutes={minutes!r} is not a time above 0")
    work = minutes*(measured_speed() if speed is None else speed)
    n_models,n_hid,dropout,state_drop,wd = next((rest for most,*rest in _sizes if work <= most), _sizes[-1][1:])
    return BestRecipe(minutes, n_hid, n_models, config=dict(dropout=dropout, state_drop=state_drop), wd=wd)


def measured_speed() -> float:
    "How fast this machine takes the recurrent product, where 1 is two cores of an EPYC with AVX512-BF16."
    if torch.cuda.is_available(): return 2. # an H100: an epoch of `mullstm` of 768 takes 11 seconds, half of those two cores' time; it waits for launches, whatever the width
    return _reference/time_product(torch.bfloat16 if fast_bf16() else torch.float32, 32, 50)


_reference = 1.3e-4 # seconds, there
