"""fastai's notebook 16, callback.progress: bars, tables, graphs and a log in a file."""

import pytest
from fastai.callback.progress import CSVLogger, ProgressCallback, ShowGraphCallback
from tiny import nll


@pytest.fixture
def shown(windows):
    "A learner with fastai's progress bar."
    windows.logger = print
    return windows.add_cb(ProgressCallback)


def test_a_fit_prints_a_table(shown, capsys):
    "16, ProgressCallback: names and one row an epoch."
    shown.fit(3)
    lines = capsys.readouterr().out.splitlines()
    assert any("train_loss" in line and "bits_per_char" in line for line in lines)
    rows = [row for row in shown.recorder.values if any(f"{row[1]:.6f}" in line for line in lines)]
    assert len(rows) == 3


def test_without_a_bar_the_numbers_are_printed(shown, capsys):
    "16, no_bar: a list an epoch, and the bar is back afterwards."
    with shown.no_bar():
        shown.fit(3)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert [line[:2] for line in lines] == ["[0", "[1", "[2"]
    assert isinstance(shown.progress, ProgressCallback)


def test_validation_needs_no_training(shown):
    "16, ProgressCallback: `validate` works on a new learner."
    shown.metrics = nll
    loss, metric = shown.validate()
    assert loss == pytest.approx(metric, rel=0.05)


def test_predictions_need_no_training(shown):
    "16, ProgressCallback: `get_preds` works on a new learner."
    preds, targs = shown.get_preds()
    assert preds.shape == (*targs.shape, shown.dls.c)


def test_a_graph_of_the_losses_is_shown(shown, capsys):
    "16, ShowGraphCallback: the curves grow with every epoch, and predicting works afterwards."
    graph = ShowGraphCallback()
    shown.add_cb(graph)
    shown.fit(3)
    assert graph.nb_batches == [len(shown.dls.train) * (i + 1) for i in range(3)]
    assert isinstance(shown.predict("import ")[0], str)


def test_the_log_in_a_file_has_the_numbers_of_the_recorder(windows, tmp_path):
    "16, CSVLogger: `history.csv` has the names and values of every epoch."
    windows.add_cb(CSVLogger())
    windows.fit(3)
    log = windows.csv_logger.read_log()
    assert list(log.columns) == list(windows.recorder.metric_names)
    assert (tmp_path / "history.csv").exists()
    for i, row in enumerate(windows.recorder.values):
        assert list(log.iloc[i][: len(row) + 1]) == pytest.approx([i, *row])
