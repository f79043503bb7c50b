"""What is shown during a fit with a time limit: ten rows and three samples. The clock of these fits counts batches."""

from fastai.basics import Callback
from learner_helpers import weights

from fastai_charrnn._deadline import Deadline
from fastai_charrnn.all import CharDataLoaders, char_learner, human_numbers
from fastai_charrnn.cli.clock_rows import ClockRows


class _CountBatches(Callback):
    "Counts the batches of training, as a clock."

    order = -100
    n = 0

    def after_batch(self):
        self.n += self.training


def _fit(*cbs):
    dls = CharDataLoaders.from_text(
        human_numbers()[:3000], seq_len=8, bs=8, target="every", stateful=True, device="cpu"
    )
    learn = char_learner(dls, "rnn", n_hid=8, seed=0)
    clock = _CountBatches()
    with learn.no_bar():
        learn.fit_minutes(100 / 60, 1e-2, cbs=[clock, *cbs], deadline=Deadline(100.0, lambda: float(clock.n)))
    return learn


def test_ten_rows_and_three_samples_are_shown_and_training_does_not_change():
    lines = []
    learn = _fit(ClockRows(lines.append, "one "))
    assert lines[0].startswith("trains for ")
    assert lines[1].split() == ["time", "epochs", "train_loss"]
    rows = [line.split() for line in lines[2:] if "'" not in line]
    samples = [line for line in lines if "'" in line]
    assert len(rows) == 10
    assert all(time.startswith("0") and float(epochs) > 0 and float(loss) > 0 for time, epochs, loss in rows)
    assert len(samples) == 3
    assert all(line.startswith("  'one ") and len(line) < 150 for line in samples)
    assert weights(learn).equal(weights(_fit()))
