"""fastai's `WandbCallback` with its defaults logs the configuration, the numbers and a table of predictions."""

import pytest
from learner_helpers import quiet_fit

from fastai_charrnn.all import CharDataLoaders, char_learner, human_numbers

wandb = pytest.importorskip("wandb")


@pytest.fixture
def run(tmp_path, monkeypatch):
    "A run that writes to a folder and contacts no server."
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(project="test", dir=tmp_path)
    yield run
    run.finish()


@pytest.mark.parametrize("kwargs", [{}, dict(target="every"), dict(target="every", stateful=True)])
def test_configuration_numbers_and_predictions_are_logged(run, tmp_path, kwargs):
    from fastai.callback.wandb import WandbCallback

    dls = CharDataLoaders.from_text(human_numbers()[:1500], seq_len=4, bs=64, device="cpu", path=tmp_path, **kwargs)
    learn = char_learner(dls, "gru", n_hid=8, seed=0)
    rows = quiet_fit(learn, 2, cbs=WandbCallback(n_preds=3))
    assert run.config["arch"] == "gru"
    assert run.config["n_hid"] == 8
    assert run.config["mode"] == dls.mode
    assert run.summary["valid_loss"] == pytest.approx(rows[-1]["valid_loss"])
    assert run.summary["bits_per_char"] == pytest.approx(rows[-1]["bits_per_char"])
    table = run.summary["Prediction_Samples"]
    assert (table["ncols"], table["nrows"]) == (3, 3)
