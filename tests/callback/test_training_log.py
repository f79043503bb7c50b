"""The training log has the numbers of trained epochs, and keeps small tensors out of memory during an epoch."""

import torch
from fastai.basics import Callback, Tensor


def test_the_training_log_has_every_trained_epoch_and_no_other(learn):
    with learn.no_bar(), learn.no_logging():
        learn.fit(2)
    learn.validate()
    learn.get_preds()
    rows = learn.training_log.rows
    assert len(rows) == 2
    assert set(rows[0]) == {"train_loss", "valid_loss", "accuracy", "bits_per_char", "lr"}


def test_smoothed_losses_are_floats_until_their_epoch_ends(learn):
    "After the epoch they are tensors, as fastai's, with equal numbers."
    seen = []

    class Look(Callback):
        order = 90

        def after_batch(self):
            if not self.training:
                return
            seen.append(float(self.smooth_loss))
            on_cpu = self.dls.device.type == "cpu"
            assert type(self.recorder.losses[-1]) is (float if on_cpu else Tensor)

    with learn.no_bar(), learn.no_logging():
        learn.fit(2, 1e-3, cbs=Look())
    losses = learn.recorder.losses
    assert len(losses) == len(seen)
    assert all(isinstance(loss, Tensor) for loss in losses)
    assert all(loss.dtype is torch.float32 for loss in losses)
    assert all(loss.dim() == 0 for loss in losses)
    assert [float(loss) for loss in losses] == seen
