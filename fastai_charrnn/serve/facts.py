"""What is known of a model without measuring anything: `plain_facts`, for trainings and for models without a file."""

import math

from .._utils import arch_name, count_weights
from ..data.protocol import data_info
from ..learner import CharLearner
from ..page.facts import arch_text

__all__ = ["plain_facts"]


def plain_facts(
    learn: CharLearner,  # trained, loaded or before its training
) -> dict:  # JSON values, named as in `page.facts`
    "Describe a model by its learner. The loss is that of the last epoch in its log; there are no n-grams."
    log = learn.training_log.rows
    info = data_info(learn.dls)
    loss = log[-1].get("valid_loss") if log else None
    n_chars = info.get("n_chars")
    return dict(
        arch=arch_text(arch_name(learn), learn.arch_config),
        n_weights=count_weights(learn.model),
        epochs=len(log),
        trained_on=f"{n_chars:,} characters" if n_chars else None,
        split=info.get("split"),
        is_held_out=False,
        valid_loss=loss if loss is not None and math.isfinite(loss) else None,
        ngram_loss=None,
        ngram_context=None,
    )
