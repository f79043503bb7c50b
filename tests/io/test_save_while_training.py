"""Models are saved while they train."""

from fastai_charrnn.all import char_learner
from fastai_charrnn.io.checkpoint import SaveModelFile


def test_a_fit_by_the_clock_is_saved_at_intervals(dls, tmp_path):
    saving = SaveModelFile(tmp_path / "m.safetensors", seconds=0.3)
    learn = char_learner(dls, n_hid=16, seed=0, cbs=saving)
    with learn.no_bar():
        learn.fit_minutes(0.03, 1e-3)
    # 1.8 seconds
    assert 2 <= saving.saved <= 6
    assert (tmp_path / "m.safetensors").exists()
