"""Add counts of its text to a trained network: `mix_counts`.

learn = char_learner(dls, "mullstm", n_hid=384)
learn.fit_one_cycle(4, 1e-2)
mixed = mix_counts(learn)
mixed.validate()
"""

from copy import deepcopy

import torch

from .._checks import shown
from .._utils import unwrap_model
from ..data.loaders import CharDataLoaders
from ..errors import ArchError, DataError
from ..learner import CharLearner, char_learner
from ..models.count_tables import is_span
from ..models.mixture import CharMixture

__all__ = ["mix_counts"]

_max_gate = 20_000  # characters that the gate is fitted on
_n_before = 100  # characters before them


def mix_counts(
    learn: CharLearner,  # a trained learner, which does not change
    held_back: tuple[int, int] | None = None,  # (begin, end) positions in the text that the network has not learnt from
    n_orders: int = 6,  # the longest context of characters to count
    **kwargs,  # as `char_learner`: metrics, cbs …
) -> CharLearner:  # in evaluation mode, on the same `dls`; its model is a `CharMixture`
    """Count the training part of the learner's text and mix the counts with a copy of its network.

    The gate says how far to trust either. It must be fitted on characters that neither has seen: a network is too sure
    of those it has learnt from, and counts know them all. They are `held_back`, and counted afterwards; or with None
    the beginning of the validation part, at most half of it and at most 20,000 characters. The other half then
    measures the mixture: a loss on the whole validation part is a little too good.

    `learn.model.gate_result` has the losses on these characters. The mixture is the network alone if it is not better
    there. Raises `ArchError` for a model that cannot be mixed, `DataError` for loaders without a text in spans."""
    if not isinstance(learn, CharLearner):
        raise ArchError(f"learn={shown(learn)} is not a CharLearner; make one with char_learner")
    network = deepcopy(unwrap_model(learn.model)).eval()
    spans, valid_spans = _spans(learn.dls)
    begin, end = _gate_span(held_back, spans, valid_spans)
    mixture = CharMixture.around(network, learn.dls.vocab, n_orders, learn.arch.name, learn.arch_config)
    ids = stretch(learn.dls, 0, max(end for _, end in spans))
    mixture.count(ids, _without(spans, begin, end))
    fit_gate_on(mixture, learn.dls, begin, end)
    if held_back is not None:
        mixture.count(ids, spans)
    return _learner_of(learn, mixture, kwargs)


def _learner_of(learn, mixture, kwargs):
    kwargs = dict(loss_func=learn.loss_func, opt_func=learn.opt_func, splitter=learn.splitter) | kwargs
    mixed = char_learner(learn.dls, "mixture", config=mixture.config, **kwargs)
    mixed.model = mixture.eval()
    if hasattr(learn, "training_log"):
        mixed.training_log.rows += learn.training_log.rows
    return mixed


def _spans(dls):
    "The spans of the training part and of the validation part."
    spans = dls.train_ds.info.get("spans")
    if not len(dls.train_ds.ids) or spans is None:
        raise DataError(
            "these dls have no text in spans to count, as after load_learner or load_model, or with a random split; "
            'use CharMixture.around(learn.model, learn.dls.vocab) with its count and fit_gate, or dls of valid="tail"'
        )
    return spans


def _gate_span(held_back, spans, valid_spans):
    if held_back is None:
        begin, end = valid_spans[0]
        return begin, min(begin + (end - begin) // 2, begin + _max_gate)
    if not any(is_span(held_back, a, b) for a, b in spans) or held_back[1] - held_back[0] < 2:
        raise DataError(f"held_back={shown(held_back)} is not (begin, end) inside the training part {shown(spans)}")
    return held_back


def _without(spans, begin, end):
    "Spans without the part from begin to end."
    parts = [(a, b) for first, last in spans for a, b in ((first, min(last, begin)), (max(first, end), last))]
    return [(a, b) for a, b in parts if a < b]


def fit_gate_on(
    mixture: CharMixture,
    dls: CharDataLoaders,  # of the text
    begin: int,  # position of the first character, which neither the network nor the counts have seen
    end: int,
):
    "Fit the gate of a mixture on a stretch of the text, after the characters before it."
    mixture.fit_gate(stretch(dls, begin, end), before=stretch(dls, max(begin - _n_before, 0), begin))


def stretch(
    dls: CharDataLoaders,  # of the text
    begin: int,
    end: int,
) -> torch.Tensor:  # (end - begin,) int64
    "Return the indices of a stretch of the text."
    return torch.from_numpy(dls.train_ds.ids.stretch(begin, end).astype("int64"))
