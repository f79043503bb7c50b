"""What a page tells of its model: `page_facts`. What nobody measured is None."""

from ..analysis.held_out import held_out_ngrams
from ..learner import CharLearner
from ..share.facts import model_facts

__all__ = ["page_facts"]


def page_facts(
    learn: CharLearner,  # trained or loaded
    text: str | None = None,  # that of the training of a loaded model, to count n-grams in
) -> dict:  # JSON values
    """Describe a model, its training and its losses, which are means per character in nats.

    A learner that has its text is validated as it is now, and n-grams are counted in the text. A loaded model has the
    losses of its file."""
    facts = model_facts(learn, ngrams=None if text is None else held_out_ngrams(learn, text, unk="skip"))
    description = facts.description
    data = description["data"]
    ngrams = facts.ngrams
    return dict(
        arch=arch_text(description["arch"], description["config"]),
        n_weights=facts.n_weights,
        epochs=description["training"].get("epochs"),
        trained_on=_trained_on(data),
        split=data.get("split"),
        is_held_out=facts.is_held_out,
        valid_loss=facts.nats,
        ngram_loss=None if ngrams is None else ngrams.nats,
        ngram_context=None if ngrams is None else ngrams.context,
    )


def arch_text(
    name: str,  # of the architecture
    config: dict,  # every argument the model was built with
) -> str:  # such as "rnn (emb_sz=42, n_hid=256)"
    "Describe an architecture with its arguments."
    shown = ", ".join(f"{key}={value}" for key, value in config.items())
    return f"{name} ({shown})" if shown else name


def _trained_on(data):
    "The size of the text, and of those of earlier trainings."
    sizes = [o["n_chars"] for o in (*data.get("earlier", ()), data) if o.get("n_chars")]
    return ", then ".join(f"{size:,} characters" for size in sizes) or None
