"""Load the state of an optimizer that was saved with one parameter group: `one_group_accepted`.

Before version 0.3, `char_learner` had one group for all weights. Now it has a group for each layer.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from fastai.basics import L, Learner

__all__ = ["one_group_accepted"]


@contextmanager
def one_group_accepted(
    learn: Learner,  # a learner that is about to load a file
) -> Iterator[None]:
    "In the block, the optimizer's `load_state_dict` also takes the state of one group, in the order of the weights."
    if learn.opt is None:
        learn.create_opt()
    opt = learn.opt
    load = opt.load_state_dict
    opt.load_state_dict = lambda saved: load(_in_groups(saved, opt, learn.model))
    try:
        yield
    finally:
        del opt.load_state_dict


def _in_groups(saved, opt, model):
    "The state of an optimizer with one group, in the order of the groups of `opt`. Any other state is returned as is."
    n_groups = len(opt.param_lists)
    weights = [p for p, *_ in opt.all_params()]
    if n_groups == 1 or len(saved.get("hypers", ())) != 1 or len(saved["state"]) != len(weights):
        return saved
    # one group has the weights in the order of the model
    in_opt = set(weights)
    states = dict(zip([p for p in model.parameters() if p in in_opt], saved["state"]))
    return dict(state=[states[p] for p in weights], hypers=L(dict(saved["hypers"][0]) for _ in range(n_groups)))
