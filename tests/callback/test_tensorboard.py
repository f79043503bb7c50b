"""fastai's `TensorBoardCallback` with its defaults writes the graph, the numbers and a table of predictions."""

import pytest
from learner_helpers import quiet_fit

from fastai_charrnn.all import CharDataLoaders, char_learner, human_numbers

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


@pytest.mark.parametrize("kwargs", [{}, dict(target="every"), dict(target="every", stateful=True)])
def test_graph_numbers_and_predictions_are_written(tmp_path, kwargs):
    from fastai.callback.tensorboard import TensorBoardCallback

    dls = CharDataLoaders.from_text(human_numbers()[:1500], seq_len=4, bs=64, device="cpu", path=tmp_path, **kwargs)
    learn = char_learner(dls, "gru", n_hid=8, seed=0)
    rows = quiet_fit(learn, 2, cbs=TensorBoardCallback(log_dir=str(tmp_path / "logs"), n_preds=3))
    events = event_accumulator.EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert "CharGru" in str(events.Graph())
    assert len(events.Scalars("train_loss")) >= 2 * len(dls.train)
    for name in ("valid_loss", "accuracy", "bits_per_char"):
        assert [event.value for event in events.Scalars(name)] == pytest.approx([row[name] for row in rows])
    tables = events.Tensors("Sample results/text_summary")
    assert len(tables) == 2
    header, _, *lines = tables[0].tensor_proto.string_val[0].decode().splitlines()
    assert header == "| text | next | predicted |"
    assert len(lines) == 3
