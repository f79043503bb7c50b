"""What is known of a model, for its page: `model_facts`. A fact that nobody measured is None."""

import math

from .._utils import unwrap_model
from ..analysis.ngrams import ngram_baseline
from ..data.protocol import data_info
from ..data.window_dl import WindowDL
from ..learner import CharLearner

__all__ = ["model_facts", "has_text"]

# n-grams are counted and scored in so many characters at most, as by `charrnn train`
_max_counted = 5_000_000


def model_facts(
    learn: CharLearner,  # trained or loaded
) -> dict:  # JSON values
    """Collect what the learner, its data and its training log say of the model.

    Losses are means per character in nats. That of n-grams is taken from the description of the data, or counted if the
    learner has its text."""
    log = learn.training_log.rows if hasattr(learn, "training_log") else []
    info = data_info(learn.dls)
    ngrams = _ngrams(learn, info)
    return dict(
        arch=_arch(learn),
        n_weights=sum(p.numel() for p in unwrap_model(learn.model).parameters()),
        epochs=len(log),
        trained_on=_trained_on(info),
        split=info.get("split"),
        valid_loss=_finite(log[-1].get("valid_loss")) if log else None,
        ngram_loss=_finite(ngrams.get("loss")),
        ngram_context=ngrams.get("context"),
    )


def has_text(
    learn: CharLearner,  # trained or loaded
) -> bool:
    "Whether the text of a learner can be read: a loaded model has none."
    return isinstance(learn.dls.train, WindowDL) and len(learn.dls.train_ds.ids) > 0


def _finite(value):
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def _arch(learn):
    name = learn.arch.name if learn.arch else type(unwrap_model(learn.model)).__name__
    shown = ", ".join(f"{key}={value}" for key, value in learn.arch_config.items())
    return f"{name} ({shown})" if shown else name


def _trained_on(info):
    "The size of the text, and of those of earlier trainings."
    sizes = [o["n_chars"] for o in (*info.get("earlier", ()), info) if o.get("n_chars")]
    return ", then ".join(f"{size:,} characters" for size in sizes) or None


def _ngrams(learn, info):
    if "ngrams" in info:
        return info["ngrams"]
    if not has_text(learn):
        return {}
    best = ngram_baseline(learn.dls, max_chars=_max_counted).best
    return dict(context=best.context, loss=best.nats)
