"""What is known of a model without measuring anything: `plain_facts`, for trainings and for models without a file."""

import math

from .._utils import unwrap_model
from ..data.protocol import data_info
from ..learner import CharLearner

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
        arch=_arch(learn),
        n_weights=sum(p.numel() for p in unwrap_model(learn.model).parameters()),
        epochs=len(log),
        trained_on=f"{n_chars:,} characters" if n_chars else None,
        split=info.get("split"),
        is_held_out=False,
        valid_loss=loss if loss is not None and math.isfinite(loss) else None,
        ngram_loss=None,
        ngram_context=None,
    )


def _arch(learn):
    name = learn.arch.name if learn.arch else type(unwrap_model(learn.model)).__name__
    shown = ", ".join(f"{key}={value}" for key, value in learn.arch_config.items())
    return f"{name} ({shown})" if shown else name
