"""fastai's notebook 70a, callback.tensorboard: losses, rates, the graph of the model, embeddings."""

import pytest

tensorboard = pytest.importorskip("tensorboard")

from fastai.callback.tensorboard import TensorBoardCallback, projector_word_embeddings  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402


def _events(folder):
    "What was written to a folder."
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_losses_rates_and_the_model_are_logged(learn, tmp_path):
    "70a, TensorBoardCallback with default arguments: the graph, losses, metrics and rates of a fit."
    learn.fit_one_cycle(2, cbs=TensorBoardCallback(tmp_path / "runs"))
    tags = _events(tmp_path / "runs").Tags()
    assert tags["graph"]
    assert {"train_loss", "valid_loss", "accuracy", "bits_per_char", "lr_0"} <= set(tags["scalars"])


def test_losses_are_logged_without_the_model_and_predictions(learn, tmp_path):
    "70a, TensorBoardCallback: one training loss a batch, one validation loss an epoch, equal to the recorder's."
    learn.fit_one_cycle(2, cbs=TensorBoardCallback(tmp_path / "runs", trace_model=False, log_preds=False))
    events = _events(tmp_path / "runs")
    valid = [event.value for event in events.Scalars("valid_loss")]
    assert valid == pytest.approx([row[1] for row in learn.recorder.values])
    assert len(events.Scalars("train_loss")) >= 2 * len(learn.dls.train)


def test_the_embedding_is_written_for_the_projector(windows, tmp_path):
    "70a, projector_word_embeddings: one vector and one label for each character."
    projector_word_embeddings(layer=windows.model.emb, vocab=list(windows.dls.vocab), log_dir=tmp_path)
    [vectors] = tmp_path.rglob("tensors.tsv")
    [labels] = tmp_path.rglob("metadata.tsv")
    assert len(vectors.read_text().splitlines()) == windows.dls.c - 1
    assert "e_" in labels.read_text()
